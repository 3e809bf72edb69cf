"""Domain-adaptive pretraining: masked language modelling on unlabelled Chinese text, whole words masked by jieba.

Continued pretraining in the domain: Gururangan et al. 2020 (Don't Stop Pretraining); whole words instead of pieces: Cui
et al. 2021 (Pre-Training with Whole Word Masking for Chinese BERT). Use the result with `cinesent train --base FOLDER`.

`python -m training.pretrain --corpora DIR -o runs/pretrained` (or `--texts FILE...`, one text a line); interrupted, it
goes on from its newest checkpoint with `--resume`.
"""

from __future__ import annotations

import argparse
import logging
import random
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import datasets
import jieba
import torch
from transformers import (
    AutoModelForMaskedLM,
    DataCollatorForLanguageModeling,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Trainer,
    TrainingArguments,
    set_seed,
)

from sentiment.text import normalise
from training.bases import BaseError, keep_layers, load_base
from training.corpora import held_out_texts, read_rows
from training.example import DatasetError
from training.labelled_files import read_jsonl
from training.steps import STEPS, newest_step
from training.train import bf16_is_fast

logger = logging.getLogger(__name__)

# Nearest to what audiences write first: a budget of tokens is spent from the front.
CORPORA = (
    "venue_broad", "film_maoyan", "reviews_openrice_aspect_stars", "absa_zhang_dianping_aste", "film_douban",
    "senti_waimai_10k", "senti_chnsenticorp_hotel", "service_jddc_dialogues", "complaint_taidi2020_gov_messages",
    "weibo_film_posts", "film_tw_yahoo_seg", "reviews_mafengwo_westlake", "absa_aichallenger_pieces",
)  # fmt: skip


@dataclass(frozen=True)
class PretrainRecipe:
    """How an encoder is pretrained. `tokens` is read at most once; a text is cut at `max_tokens`."""

    tokens: int = 25_000_000
    per_corpus: float = 0.3  # of the budget, at most
    max_tokens: int = 128
    masked: float = 0.15
    batch_size: int = 64
    learning_rate: float = 3e-4
    warmup: float = 0.05
    save_steps: int = 500
    seed: int = 13


def with_mask_head(encoder: PreTrainedModel) -> PreTrainedModel:
    """The encoder with a fresh head for masked tokens, whose output weights are the encoder's embeddings.

    Raises:
        BaseError: an architecture that has no such head.
    """
    try:
        model = AutoModelForMaskedLM.from_config(encoder.config)
    except ValueError:
        raise BaseError(
            f"expected an encoder with a masked language model, found {encoder.config.model_type}; use a BERT-like one"
        ) from None
    inner = getattr(model, model.base_model_prefix)
    inner.load_state_dict(encoder.state_dict(), strict=False)
    model.tie_weights()
    return cast(PreTrainedModel, model)


def encode_words(texts: Iterable[str], tokenizer: PreTrainedTokenizerFast, max_tokens: int) -> Iterator[dict[str, Any]]:
    """Token ids of each text, and offsets in which only tokens of one jieba word touch: these are masked together.

    A token that begins in a word belongs to it, also where it reaches into the next.
    """
    for text in texts:
        plain = normalise(text).text
        found = tokenizer(plain, truncation=True, max_length=max_tokens, return_offsets_mapping=True)
        word_of = [number for number, word in enumerate(jieba.cut(plain, HMM=False)) for _ in word]
        offsets: list[tuple[int, int]] = []
        position, before = 0, -1
        for start, end in found["offset_mapping"]:
            word = word_of[start] if start < end else -1
            position += int(word != before or word < 0)  # a gap: another word begins
            offsets.append((position, position + 1))
            position, before = position + 1, word
        yield {"input_ids": found["input_ids"], "offset_mapping": offsets, "length": len(offsets)}


def corpus_texts(
    corpora: Path, exclude: Iterable[str], seed: int, names: Sequence[str] = CORPORA
) -> Iterator[list[str]]:
    """The texts of each corpus in random order, without those of the later test and those in `exclude`."""
    seen = set(exclude) | held_out_texts(corpora)
    for name in names:
        texts = []
        for row in read_rows(corpora, name):
            if row["text"] not in seen:
                seen.add(row["text"])
                texts.append(row["text"])
        random.Random(seed).shuffle(texts)
        yield texts


def gather(
    sources: Iterable[Iterable[str]], tokenizer: PreTrainedTokenizerFast, recipe: PretrainRecipe
) -> datasets.Dataset:
    """Encodes texts until the budget of tokens is spent, of each source at most its share."""
    rows: list[dict[str, Any]] = []
    spent = 0
    for source in sources:
        share = 0
        for row in encode_words(source, tokenizer, recipe.max_tokens):
            if share >= recipe.per_corpus * recipe.tokens or spent >= recipe.tokens:
                break
            rows.append(row)
            share, spent = share + row["length"], spent + row["length"]
    if not rows:
        raise DatasetError("expected texts to pretrain on, found none; give --corpora DIR or --texts FILE")
    logger.info("%d texts, %d tokens", len(rows), spent)
    return datasets.Dataset.from_list(rows)


def pretrain(
    encoder: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    data: datasets.Dataset,
    folder: Path,
    recipe: PretrainRecipe,
    *,
    resume: bool = False,
) -> float:
    """Trains the encoder on masked words and saves it, without the head, with its tokeniser.

    Args:
        resume: go on from the newest whole checkpoint in the folder; without any the training begins anew.

    Returns:
        The mean loss, in nats a masked token, over a fixed two percent of the texts that were not trained on.
    """
    if tokenizer.mask_token is None:
        raise BaseError("expected a tokeniser with a mask token, found none; choose another base")
    set_seed(recipe.seed)
    model = with_mask_head(encoder)
    parts = data.train_test_split(test_size=0.02, seed=recipe.seed)
    arguments = TrainingArguments(
        output_dir=str(folder / STEPS),
        num_train_epochs=1,
        learning_rate=recipe.learning_rate,
        per_device_train_batch_size=recipe.batch_size,
        per_device_eval_batch_size=recipe.batch_size,
        warmup_steps=recipe.warmup,
        weight_decay=0.01,
        train_sampling_strategy="group_by_length",
        length_column_name="length",
        remove_unused_columns=False,
        prediction_loss_only=True,
        save_steps=recipe.save_steps,
        save_total_limit=2,
        logging_steps=50,
        report_to=[],
        bf16=bf16_is_fast(),
        use_cpu=not torch.cuda.is_available(),
        seed=recipe.seed,
    )
    trainer = MaskedTrainer(
        model=model,
        args=arguments,
        train_dataset=parts["train"],
        eval_dataset=parts["test"],
        data_collator=WordMasking(tokenizer, recipe.masked, recipe.seed),
        processing_class=tokenizer,
    )
    step = newest_step(folder) if resume else None
    trainer.train(resume_from_checkpoint=None if step is None else str(step))
    loss = float(trainer.evaluate()["eval_loss"])
    inner = getattr(model, model.base_model_prefix)
    inner.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return loss


class MaskedTrainer(Trainer):
    """Scores masked tokens alone: over all tokens the product with the vocabulary would cost as much as the encoder."""

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Cross-entropy in nats, the mean over the masked tokens of the batch."""
        labels = inputs.pop("labels")
        masked = labels != -100
        head = next(child for name, child in model.named_children() if name != model.base_model_prefix)
        hook = head.register_forward_pre_hook(lambda _, hidden: (hidden[0][masked],))
        try:
            outputs = model(**inputs)
        finally:
            hook.remove()
        loss = torch.nn.functional.cross_entropy(outputs.logits.float(), labels[masked])
        return (loss, outputs) if return_outputs else loss


class WordMasking:
    """Pads a batch of `encode_words` rows and replaces whole words by the mask token."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, probability: float, seed: int | None = None) -> None:
        self.tokenizer = tokenizer
        self.masking = DataCollatorForLanguageModeling(
            tokenizer,
            whole_word_mask=True,
            mlm_probability=probability,
            mask_replace_prob=1,
            random_replace_prob=0,
            seed=seed,
        )

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        shape = len(rows), max(len(row["input_ids"]) for row in rows)
        ids = torch.full(shape, int(self.tokenizer.pad_token_id or 0))
        offsets = torch.zeros(*shape, 2, dtype=torch.long)
        special = torch.ones(shape, dtype=torch.long)
        attention = torch.zeros(shape, dtype=torch.long)
        for i, row in enumerate(rows):
            size = len(row["input_ids"])
            ids[i, :size] = torch.tensor(row["input_ids"])
            offsets[i, :size] = torch.tensor(row["offset_mapping"])
            special[i, :size] = torch.tensor(
                self.tokenizer.get_special_tokens_mask(row["input_ids"], already_has_special_tokens=True)
            )
            attention[i, :size] = 1
        masked, labels = self.masking.torch_mask_tokens(ids, special_tokens_mask=special, offset_mapping=offsets)
        return {"input_ids": masked, "attention_mask": attention, "labels": labels}


def main(arguments: Sequence[str] | None = None) -> int:
    """Pretrains from the command line."""
    parser = argparse.ArgumentParser(prog="python -m training.pretrain", description=__doc__)
    parser.add_argument("--base", default="offline", help="offline, a folder or a hub id (default: %(default)s)")
    parser.add_argument("--layers", type=int, help="keep the first LAYERS layers (default: all)")
    parser.add_argument("--corpora", type=Path, help="folder with the public corpora")
    parser.add_argument("--texts", type=Path, nargs="+", default=[], help="text files, one text a line")
    parser.add_argument("--exclude", type=Path, nargs="+", default=[], help="labelled .jsonl whose texts are left out")
    parser.add_argument("--tokens", type=int, default=PretrainRecipe.tokens, help="budget (default: %(default)s)")
    parser.add_argument("--resume", action="store_true", help="go on from the newest checkpoint in OUT")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the encoder")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    recipe = PretrainRecipe(tokens=options.tokens)
    try:
        if options.resume and newest_step(options.output) is None:
            raise BaseError(
                f"expected saved steps in {options.output / STEPS} for --resume, found none; leave --resume out"
            )
        encoder, tokenizer = load_base(options.base)
        if options.layers is not None:
            keep_layers(encoder, options.layers)
        excluded = [str(row.get("text")) for path in options.exclude for _, row in read_jsonl(path)]
        banned = set(excluded)
        sources: list[Iterable[str]] = [
            [line for line in path.read_text("utf-8").splitlines() if line.strip() and line not in banned]
            for path in options.texts
        ]
        if options.corpora is not None:
            sources += list(corpus_texts(options.corpora, excluded, recipe.seed))
        loss = pretrain(encoder, tokenizer, gather(sources, tokenizer, recipe), options.output, recipe,
                        resume=options.resume)  # fmt: skip
    except (BaseError, DatasetError) as error:
        print(f"training.pretrain: {error}", file=sys.stderr)
        return 2
    print(f"{options.output} written; loss on texts not trained on: {loss:.3f} nats a masked token")
    return 0


if __name__ == "__main__":
    sys.exit(main())
