"""Fine-tuning on `transformers.Trainer`: optimiser groups, early stopping on a tenth of the texts, the run folder."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import datasets
import numpy as np
import torch
from transformers import (
    EarlyStoppingCallback,
    EvalPrediction,
    PreTrainedTokenizerFast,
    Trainer,
    TrainingArguments,
    set_seed,
)

from training.dataset import Collator, encode
from training.example import DatasetError, Example
from training.interpolate import copied, keep_of_start
from training.losses import distillation_loss
from training.metrics import HEADS, Predictions, summary
from training.model import CinesentModel
from training.near_duplicates import near_duplicate_groups, split_groups
from training.steps import STEPS, fingerprint, keep_fingerprint, misses, newest_step

logger = logging.getLogger(__name__)

LABELS = (
    "mention_labels", "polarity_labels", "overall_labels", "intent_labels", "escalation_labels", "rating_labels",
    "evidence_labels",
)  # fmt: skip


@dataclass(frozen=True)
class Recipe:
    """How a model is fine-tuned. Rates are AdamW's peaks; the heads, which nothing has trained yet, learn faster.

    `soft`: share of the loss that soft labels have, where examples carry any (`training.soft_labels`). `keep`: share of
    the start's weights in the result, None to choose it (`training.interpolate`). `max_tokens`: the window that the
    start is given (`training.run.load_start`), None for its own; texts are cut at the model's.
    """

    epochs: float = 8
    learning_rate: float = 2.5e-4
    head_factor: float = 8.0
    batch_size: int = 32
    weight_decay: float = 0.01
    warmup: float = 0.06
    patience: int = 3
    evaluations_per_epoch: int = 1
    held_out: float = 0.1
    max_tokens: int | None = None
    soft: float = 0.5
    keep: float | None = 0.0
    seed: int = 13


# Of a checkpoint that goes on with partly labelled texts. Its heads are trained already: they need no higher rate.
PARTLY = Recipe(epochs=3, learning_rate=5e-5, head_factor=1.0, keep=None)


@dataclass
class Run:
    """What a training run leaves: its folder holds model, tokeniser and metrics.json."""

    folder: Path
    metrics: dict[str, Any] = field(default_factory=dict)


class CinesentTrainer(Trainer):
    """`Trainer` with two rates, the encoder's and a higher one for the heads, and with soft labels."""

    def __init__(self, *args: Any, head_factor: float, soft: float = 0.5, **kwargs: Any) -> None:
        self.head_factor = head_factor
        self.soft = soft
        super().__init__(*args, **kwargs)

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        soft = {head: inputs.pop(f"soft_{head}") for head in HEADS if f"soft_{head}" in inputs}
        output = model(**inputs)
        loss = output.loss
        if soft:
            loss = (1 - self.soft) * loss + self.soft * distillation_loss(output, soft, inputs.get("weights"))
        return (loss, output) if return_outputs else loss

    def create_optimizer(self, *args: Any, **kwargs: Any) -> torch.optim.Optimizer:
        if self.optimizer is None:
            model = cast(CinesentModel, self.model)
            heads = {id(p) for p in model.head_parameters()}
            groups = []
            for in_head in (False, True):
                for decays in (True, False):
                    parameters = [
                        p for p in model.parameters()
                        if p.requires_grad and (id(p) in heads) == in_head and (p.ndim > 1) == decays
                    ]  # fmt: skip
                    rate = self.args.learning_rate * (self.head_factor if in_head else 1.0)
                    groups.append({"params": parameters, "lr": rate, "weight_decay": self.args.weight_decay * decays})
            self.optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), eps=1e-6, fused=True)
        return self.optimizer


def fine_tune(
    model: CinesentModel,
    tokenizer: PreTrainedTokenizerFast,
    examples: list[Example],
    folder: Path,
    recipe: Recipe,
    *,
    always: list[Example] | None = None,
    fresh_heads: bool | Collection[str] = True,
    resume: bool = False,
    development: Sequence[Example] = (),
    begun: str | None = None,
) -> Run:
    """Trains on `examples`, of which a tenth (whole near-duplicate groups) is held out for early stopping.

    Args:
        always: weakly labelled examples that are only trained on, never held out.
        fresh_heads: whether the heads are new, or the dimensions of which they are: their mention biases start at the
            rates of the training texts.
        resume: go on from the newest whole checkpoint in the folder; without any the training begins anew.
        development: texts to choose `recipe.keep` by; they are not trained on.
        begun: what tells the weights that the training begins with from others, where another start is to be refused.

    Raises:
        DatasetError: too few different texts, or other texts, settings or start than those of the training to resume.

    Returns:
        The run; its folder holds the best model by joint micro-F1 on the held-out tenth, which is not a development
        score: the tenth is drawn from the training texts.
    """
    space, window = model.config.label_space(), int(model.config.max_tokens)
    groups = near_duplicate_groups([e.text for e in examples])
    rest, held = split_groups(groups, recipe.held_out, recipe.seed)
    fit = [examples[i] for i in rest] + (always or [])
    if not fit or not held:
        raise DatasetError(
            f"expected at least two texts that do not nearly repeat one another, one of them to hold out, found "
            f"{len(set(groups))} among {len(examples)}; give more texts"
        )
    step = newest_step(folder) if resume else None
    if resume and step is None:
        logger.warning("no saved step in %s is whole: the training begins anew", folder)
    learnt = fingerprint(
        [*examples, *(always or [])], (space.keys, recipe.seed, recipe.held_out, recipe.batch_size, window)
    )
    settings = {name: getattr(recipe, name) for name in ("learning_rate", "head_factor", "keep")}
    settings |= {} if begun is None else {"start": begun}
    keep_fingerprint(folder, learnt, resume=step is not None, settings=settings)
    set_seed(recipe.seed)
    attention = model.encoder.config._attn_implementation
    if not torch.cuda.is_available():
        # The fused attention's backward pass on a CPU is slow at the lengths of reviews: a quarter of a step.
        model.encoder.set_attn_implementation("eager")
    train = encode(fit, tokenizer, space, window)
    holdout = encode([examples[i] for i in held], tokenizer, space, window)
    if step is None:
        labels = np.array(train["mention_labels"], dtype=float)
        labels[labels < 0] = np.nan
        known = (~np.isnan(labels)).sum(0)
        rates = np.where(known > 0, np.nansum(labels, axis=0) / np.maximum(known, 1), 0.05)
        fresh = (space.keys if fresh_heads else ()) if isinstance(fresh_heads, bool) else fresh_heads
        if fresh:
            model.set_mention_prior(torch.tensor(rates, dtype=torch.float32), [space.index[key] for key in fresh])

    # Nothing that could be right, ratings alone for instance: the loss says which model is best.
    scored = any(_can_be_right(examples[i]) for i in held)
    # Rounded up: what is saved at the end of an epoch is resumed with the order of the next, as if nothing had been.
    steps = math.ceil(math.ceil(len(train) / recipe.batch_size) / recipe.evaluations_per_epoch)
    stopping = EarlyStoppingCallback(recipe.patience)
    done = -1
    if step is not None:
        stopping.early_stopping_patience_counter = misses(step)
        if misses(step) >= recipe.patience:  # it was killed between its last evaluation and its end
            done = int(step.name.rpartition("-")[2])
            # Trainer takes a step of an epoch that it has begun before it looks whether it should stop.
            done = done - done % math.ceil(len(train) / recipe.batch_size) or done
    arguments = TrainingArguments(
        output_dir=str(folder / STEPS),
        num_train_epochs=recipe.epochs,
        max_steps=done,
        learning_rate=recipe.learning_rate,
        per_device_train_batch_size=recipe.batch_size,
        per_device_eval_batch_size=64,
        warmup_steps=recipe.warmup,
        lr_scheduler_type="linear",
        train_sampling_strategy="group_by_length",
        length_column_name="length",
        remove_unused_columns=False,
        eval_strategy="steps",
        eval_steps=steps,
        save_strategy="steps",
        save_steps=steps,
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model="score" if scored else "loss",
        greater_is_better=scored,
        label_names=list(LABELS),
        logging_steps=25,
        report_to=[],
        bf16=bf16_is_fast(),
        use_cpu=not torch.cuda.is_available(),
        seed=recipe.seed,
        max_grad_norm=1.0,
    )
    trainer = CinesentTrainer(
        model=model,
        args=arguments,
        train_dataset=train,
        eval_dataset=holdout,
        data_collator=Collator(int(tokenizer.pad_token_id or 0)),
        processing_class=tokenizer,
        compute_metrics=_compute_metrics,
        callbacks=[stopping],
        head_factor=recipe.head_factor,
        soft=recipe.soft,
    )
    before = copied(model) if recipe.keep != 0 else {}
    trainer.train(resume_from_checkpoint=None if step is None else str(step))
    history = [entry for entry in trainer.state.log_history if "eval_score" in entry]
    kept: dict[str, Any] = {}
    if before:
        told = encode(list(development), tokenizer, space, window) if development else None
        by_loss = not any(map(_can_be_right, development))
        kept = keep_of_start(
            model, before, recipe.keep, lambda: _score(trainer, holdout, not scored),
            None if told is None else lambda: _score(trainer, told, by_loss),
        )  # fmt: skip
    trainer.save_model(str(folder))
    tokenizer.save_pretrained(folder)
    metrics: dict[str, Any] = {
        "recipe": {**asdict(recipe), "max_tokens": window},
        "texts": {
            "fitted": len(train),
            "held_out": len(holdout),
            "weak": len(always or []),
            "soft": sum(example.soft is not None for example in fit),
        },
        "history": history,
        "held_out": trainer.evaluate(),
        **({"kept": kept} if kept else {}),
    }
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=2, ensure_ascii=False), "utf-8")
    # The caller's model shall answer in float32 again: with bf16, its forward pass was wrapped to compute in less.
    trainer.accelerator.unwrap_model(trainer.model_wrapped, keep_fp32_wrapper=False)
    model.encoder.set_attn_implementation(attention)
    return Run(folder, metrics)


def _can_be_right(example: Example) -> bool:
    return bool(example.labels or example.overall or example.intent or example.escalation)


def _score(trainer: Trainer, texts: datasets.Dataset, by_loss: bool) -> float:
    """How well the model as it stands answers the texts; higher is better."""
    found = trainer.evaluate(texts)
    return -float(found["eval_loss"]) if by_loss else float(found["eval_score"])


def _compute_metrics(prediction: EvalPrediction) -> dict[str, float]:
    outputs = cast("tuple[Any, ...]", prediction.predictions)
    labels = dict(zip(LABELS, prediction.label_ids, strict=False))
    gold = Predictions.from_labels(labels)
    guess = Predictions.from_logits(*outputs[:5])
    report = summary(gold, guess)
    if not (gold.mention == 1).any():  # 0 or undefined, according to what is called
        report.pop("joint", None)
    score = [report[name] for name in ("joint", "overall") if name in report]
    score = score or [report[name] for name in ("intent", "escalation") if name in report]
    return {**report, "score": float(np.mean(score)) if score else 0.0}


def bf16_is_fast() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware; emulated, it is many times slower than float32."""
    return torch.cuda.is_available() or bool(
        torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    )
