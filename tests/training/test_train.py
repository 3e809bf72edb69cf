from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

import training.train
from sentiment.taxonomy import Taxonomy
from training.dataset import Collator, encode
from training.example import DatasetError, Example
from training.metrics import UNKNOWN
from training.model import CinesentModel, build_model
from training.near_duplicates import shingles
from training.steps import newest_step
from training.train import CinesentTrainer, Recipe, Run, fine_tune

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

SMALL = Recipe(epochs=2, learning_rate=3e-3, head_factor=2, batch_size=8, max_tokens=64, seed=5)


class Kitchen:
    """Fine-tunes the same fresh model on the same forty examples as often as asked."""

    def __init__(
        self, fresh: Callable[[int], CinesentModel], tokenizer: PreTrainedTokenizerFast, examples: list[Example]
    ):
        self.fresh, self.tokenizer, self.examples = fresh, tokenizer, examples

    def train(
        self, folder: Path, recipe: Recipe = SMALL, *, seed: int = 3, **options: Any
    ) -> tuple[CinesentModel, Run]:
        model = self.fresh(seed)
        return model, fine_tune(model, self.tokenizer, self.examples, folder, recipe, **options)

    def loss(self, model: CinesentModel) -> float:
        rows = list(encode(self.examples, self.tokenizer, model.config.label_space(), 64))
        with torch.no_grad():
            return float(model.eval()(**Collator(self.tokenizer.pad_token_id)(rows)).loss)


@pytest.fixture(scope="module")
def kitchen(
    make_encoder: Callable[..., PreTrainedModel],
    wordpiece: PreTrainedTokenizerFast,
    own_taxonomy: Taxonomy,
    own_examples: Callable[[int, int], list[Example]],
) -> Kitchen:
    def fresh(seed: int) -> CinesentModel:
        return build_model(make_encoder(wordpiece, seed=seed, initializer_range=0.1), own_taxonomy, max_tokens=64)

    return Kitchen(fresh, wordpiece, own_examples(40, 0))


@pytest.fixture(scope="module")
def trained(kitchen: Kitchen, tmp_path_factory: pytest.TempPathFactory) -> tuple[CinesentModel, Run]:
    return kitchen.train(tmp_path_factory.mktemp("train") / "run")


def test_train_loss_falls(kitchen: Kitchen, trained: tuple[CinesentModel, Run]) -> None:
    assert kitchen.loss(trained[0]) < 0.9 * kitchen.loss(kitchen.fresh(3))


def test_train_run_folder_is_complete(kitchen: Kitchen, trained: tuple[CinesentModel, Run]) -> None:
    model, run = trained
    loaded = AutoModel.from_pretrained(run.folder).eval()
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in loaded.state_dict().items())
    text = kitchen.examples[0].text
    assert AutoTokenizer.from_pretrained(run.folder)(text)["input_ids"] == kitchen.tokenizer(text)["input_ids"]
    metrics = json.loads((run.folder / "metrics.json").read_text("utf-8"))
    assert metrics == run.metrics
    assert metrics["recipe"]["epochs"] == 2 and metrics["recipe"]["seed"] == 5
    texts = metrics["texts"]
    assert texts["fitted"] + texts["held_out"] == 40 and texts["held_out"] >= 4
    assert texts["weak"] == texts["soft"] == 0
    steps = [entry["step"] for entry in metrics["history"]]
    assert metrics["history"][-1]["epoch"] == 2 and len(steps) >= 2 and steps == sorted(set(steps))
    assert 0 <= metrics["held_out"]["eval_score"] <= 1
    best = max(entry["eval_score"] for entry in metrics["history"])
    assert metrics["held_out"]["eval_score"] == pytest.approx(best)  # the best model is the one that is kept


def test_train_same_seed_same_weights(kitchen: Kitchen, trained: tuple[CinesentModel, Run], tmp_path: Path) -> None:
    same, _ = kitchen.train(tmp_path / "same")
    other, _ = kitchen.train(tmp_path / "other", Recipe(**{**SMALL.__dict__, "seed": 6}))
    expected = trained[0].state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in same.state_dict().items())
    assert not torch.equal(other.state_dict()["mention_weight"], expected["mention_weight"])


def test_train_resume_goes_on_from_the_newest_checkpoint(kitchen: Kitchen, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    _, first = kitchen.train(folder)
    # Long enough that the held-out score of so few texts rises, and with it the checkpoint that is kept.
    longer = Recipe(**{**SMALL.__dict__, "epochs": 8, "patience": 99})
    model, second = kitchen.train(folder, longer, seed=99, resume=True)
    done, all_of_it = first.metrics["history"], second.metrics["history"]
    # What was done is not done again: its entries are those of the first run, although another model was passed in.
    assert all_of_it[: len(done)] == done and len(all_of_it) > len(done)
    assert all_of_it[-1]["epoch"] == 8 and all_of_it[-1]["step"] > done[-1]["step"]
    assert kitchen.loss(model) < 0.9 * kitchen.loss(kitchen.fresh(99))


def test_train_resumed_is_the_training_that_nothing_interrupted(
    kitchen: Kitchen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(SMALL, epochs=3, batch_size=13, patience=99)
    whole, run = kitchen.train(tmp_path / "whole", recipe)
    batches = -(-run.metrics["texts"]["fitted"] // 13)
    assert run.metrics["texts"]["fitted"] % 13  # the last batch of an epoch is not full
    step = CinesentTrainer.training_step

    def killed(self: CinesentTrainer, *arguments: Any, **options: Any) -> Any:
        if self.state.global_step == batches + 1:  # in the second epoch
            raise InterruptedError
        return step(self, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(CinesentTrainer, "training_step", killed)
        with pytest.raises(InterruptedError):
            kitchen.train(tmp_path / "cut", recipe)
    resumed, again = kitchen.train(tmp_path / "cut", recipe, seed=99, resume=True)
    figures = ("step", "epoch", "eval_loss", "eval_score")
    first, second = ([[e[name] for name in figures] for e in one.metrics["history"]] for one in (run, again))
    assert first == second and [epoch for _, epoch, *_ in first] == [1, 2, 3]
    expected = whole.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in resumed.state_dict().items())


def test_train_resumed_counts_on_towards_its_patience(kitchen: Kitchen, tmp_path: Path) -> None:
    """At a rate of nothing no evaluation is better than the first: with a patience of 3 the fourth is the last."""
    still = replace(SMALL, learning_rate=0.0, patience=3)
    for epochs, evaluated in ((2, 2), (8, 4), (8, 4)):  # the third time there is nothing left to do
        _, run = kitchen.train(tmp_path, replace(still, epochs=epochs), resume=epochs == 8)
        assert [entry["epoch"] for entry in run.metrics["history"]] == list(range(1, evaluated + 1))


def test_train_held_out_tenth_repeats_no_fitted_text(
    kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, own_examples: Callable[[int, int], list[Example]]
) -> None:
    seen: list[list[Example]] = []

    def spy(examples: list[Example], *rest: Any) -> Any:
        seen.append(list(examples))
        return encode(examples, *rest)

    monkeypatch.setattr(training.train, "encode", spy)
    base = own_examples(30, 8)
    twins = [Example(f"{e.text[:-1]}！", e.labels, e.annotated, e.overall, e.intent, e.escalation) for e in base]
    weak = [Example(f"{base[0].text}！！", overall="positive", weight=0.3)]
    recipe = Recipe(**{**SMALL.__dict__, "epochs": 0.5, "held_out": 0.3})
    fine_tune(kitchen.fresh(0), kitchen.tokenizer, [*base, *twins], tmp_path / "run", recipe, always=weak)
    fitted, held = seen
    assert len(fitted) + len(held) == 61 and len(held) >= 18 and weak[0] in fitted and weak[0] not in held
    ours = [shingles(e.text) for e in fitted if e is not weak[0]]
    for grams in (shingles(e.text) for e in held):
        assert all(len(grams & other) / len(grams | other) <= 0.5 for other in ours)


@pytest.mark.parametrize(
    ("fresh", "begun"), [(True, {1, 2, 3, 4}), (False, set()), (frozenset({"counter", "queue"}), {1, 4})]
)
def test_train_mention_biases_start_at_the_rates_of_fresh_heads_only(
    kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fresh: bool | frozenset[str], begun: set[int]
) -> None:
    model = kitchen.fresh(0)
    started: list[torch.Tensor] = []
    monkeypatch.setattr(
        CinesentTrainer, "train", lambda self, **_: started.append(self.model.mention_bias.detach().clone())
    )
    # Of two dimensions, one is mentioned in half of its judged texts, the other was never judged.
    examples = [
        Example(
            f"第{i}家{'面包很香' * (i % 2)}", {"bread": ("positive", -1, -1)} if i % 2 else {}, frozenset({"bread"})
        )
        for i in range(20)
    ]
    recipe = Recipe(**{**SMALL.__dict__, "held_out": 0.0})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training.train, "split_groups", lambda groups, *_: (list(range(len(groups))), [0]))
        fine_tune(model, kitchen.tokenizer, examples, tmp_path / "run", recipe, fresh_heads=fresh)
    (bias,) = started
    expected = [np.log(0.05 / 0.95) if k in begun else 0.0 for k in range(5)]
    assert bias.tolist() == pytest.approx(expected, abs=1e-5)


def test_train_heads_learn_faster_and_norms_do_not_decay(kitchen: Kitchen, tmp_path: Path) -> None:
    from transformers import TrainingArguments

    model = kitchen.fresh(0)
    arguments = TrainingArguments(str(tmp_path), learning_rate=1e-3, weight_decay=0.1, use_cpu=True, report_to=[])
    optimizer = CinesentTrainer(model=model, args=arguments, head_factor=8.0).create_optimizer()
    rates = {id(p): (group["lr"], group["weight_decay"]) for group in optimizer.param_groups for p in group["params"]}
    assert len(rates) == sum(1 for _ in model.parameters())
    for name, parameter in model.named_parameters():
        rate = 1e-3 if name.startswith("encoder.") else 8e-3
        assert rates[id(parameter)] == pytest.approx((rate, 0.1 if parameter.ndim > 1 else 0.0)), name


def test_train_weak_examples_are_fitted_and_counted(kitchen: Kitchen, tmp_path: Path) -> None:
    weak = [Example(f"面包发酸{i}号", overall="negative", weight=0.3) for i in range(5)]
    recipe = Recipe(**{**SMALL.__dict__, "epochs": 0.5})
    _, run = kitchen.train(tmp_path / "run", recipe, always=weak)
    assert run.metrics["texts"]["weak"] == 5
    assert run.metrics["texts"]["fitted"] + run.metrics["texts"]["held_out"] == 45


def test_train_follows_soft_labels(kitchen: Kitchen, tmp_path: Path, own_taxonomy: Taxonomy) -> None:
    """Texts without any label of a person's, all of which a teacher calls questions."""
    count, kinds = len(own_taxonomy.keys), len(own_taxonomy.intents)
    asked = own_taxonomy.intents.index("question")
    soft = {
        "mention": np.full(count, 0.01, np.float32), "polarity": np.full((count, 3), 1 / 3, np.float32),
        "overall": np.full(3, 1 / 3, np.float32), "intent": np.eye(kinds, dtype=np.float32)[asked],
        "escalation": np.float32(0.0),
    }  # fmt: skip
    taught = [Example(text=example.text, soft=soft) for example in kitchen.examples]
    model = kitchen.fresh(3)
    recipe = replace(SMALL, epochs=6, soft=1.0)
    run = fine_tune(model, kitchen.tokenizer, kitchen.examples[:10], tmp_path, recipe, always=taught)
    assert run.metrics["texts"]["soft"] == len(taught)
    rows = list(encode(kitchen.examples[10:], kitchen.tokenizer, own_taxonomy, 64))
    with torch.no_grad():
        output = model.eval()(**Collator(kitchen.tokenizer.pad_token_id)(rows))
    assert (output.intent.argmax(-1) == asked).all()
    assert (output.mention < 0).all()


def test_train_resume_takes_the_newest_step_that_is_whole(kitchen: Kitchen, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    _, first = kitchen.train(folder)
    whole = newest_step(folder)
    assert whole is not None
    number = int(whole.name.removeprefix("checkpoint-"))
    for later, lost in ((number + 4, "trainer_state.json"), (number + 8, "optimizer.pt")):
        (shutil.copytree(whole, whole.with_name(f"checkpoint-{later}")) / lost).unlink()
    cut = shutil.copytree(whole, whole.with_name(f"checkpoint-{number + 12}")) / "trainer_state.json"
    cut.write_text(cut.read_text("utf-8")[:40], "utf-8")
    assert newest_step(folder) == whole
    longer = Recipe(**{**SMALL.__dict__, "epochs": 3, "patience": 99})
    _, second = kitchen.train(folder, longer, resume=True)
    assert second.metrics["history"][: len(first.metrics["history"])] == first.metrics["history"]
    assert second.metrics["history"][-1]["epoch"] == 3


def test_train_resume_without_a_whole_step_begins_anew(
    kitchen: Kitchen, tmp_path: Path, trained: tuple[CinesentModel, Run], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "run" / "checkpoints" / "checkpoint-3").mkdir(parents=True)
    model, _ = kitchen.train(tmp_path / "run", resume=True)
    assert "the training begins anew" in caplog.text
    expected = trained[0].state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in model.state_dict().items())


def test_train_resume_with_other_texts_is_refused(kitchen: Kitchen, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    kitchen.train(folder)
    for examples, recipe in (
        ([replace(kitchen.examples[0], overall=None), *kitchen.examples[1:]], SMALL),
        (kitchen.examples[1:], SMALL),
        (kitchen.examples, replace(SMALL, seed=6)),
    ):
        with pytest.raises(DatasetError, match="expected the texts, labels, seed, batch size and window"):
            fine_tune(kitchen.fresh(3), kitchen.tokenizer, examples, folder, recipe, resume=True)


def test_train_resume_with_another_rate_share_or_start_is_refused(kitchen: Kitchen, tmp_path: Path) -> None:
    kitchen.train(tmp_path, begun="one")
    others: tuple[tuple[str, dict[str, float], str], ...] = (
        ("learning rate", {"learning_rate": 1e-3}, "one"), ("head factor", {"head_factor": 3.0}, "one"),
        ("keep", {"keep": 0.5}, "one"), ("start", {}, "other"),
    )  # fmt: skip
    for named, changed, begun in others:
        with pytest.raises(
            DatasetError, match=f"^expected the {named} of the training in .*, found another; resume with"
        ):
            kitchen.train(tmp_path, replace(SMALL, **changed), resume=True, begun=begun)
    note = tmp_path / "checkpoints" / "texts.json"
    note.write_text(json.dumps({"sha256": json.loads(note.read_text("utf-8"))["sha256"]}), "utf-8")
    kitchen.train(tmp_path, resume=True, begun="other")  # one of an earlier version does not tell


def test_train_wants_two_different_texts(kitchen: Kitchen, tmp_path: Path) -> None:
    one = kitchen.examples[0]
    for examples in ([one], [one, replace(one, text=f"{one.text}！")]):
        with pytest.raises(DatasetError, match=f"found 1 among {len(examples)}; give more texts"):
            fine_tune(kitchen.fresh(3), kitchen.tokenizer, examples, tmp_path / "run", SMALL)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("labels", "chosen"),
    [
        ({"rating": 4.0}, ("loss", False)),
        ({"escalation": False}, ("loss", False)),  # nothing to find: F1 would be 0 from first to last
        ({"annotated": frozenset({"bread"})}, ("loss", False)),
        ({"intent": "praise"}, ("score", True)),
        ({"overall": "neutral", "rating": 4.0}, ("score", True)),
    ],
)
def test_train_chooses_the_best_model_by_what_is_labelled(
    kitchen: Kitchen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, labels: dict[str, Any], chosen: tuple[str, bool]
) -> None:
    found: list[tuple[str | None, bool | None]] = []
    monkeypatch.setattr(
        CinesentTrainer,
        "train",
        lambda self, **_: found.append((self.args.metric_for_best_model, self.args.greater_is_better)),
    )
    examples = [Example(example.text, **labels) for example in kitchen.examples]
    fine_tune(kitchen.fresh(3), kitchen.tokenizer, examples, tmp_path / "run", SMALL)
    assert found == [chosen]


def test_train_score_is_of_the_heads_that_are_labelled() -> None:
    """Two texts, one dimension. Calling it counts only where somebody mentions it."""
    two = np.array([[4.0, 0.0, 0.0], [4.0, 0.0, 0.0]])
    said = (np.ones((2, 1)), np.zeros((2, 1, 3)), two, two, np.array([4.0, -4.0]))
    unknown = np.full(2, UNKNOWN)

    def score(mention: list[int], overall: Any, intent: Any, escalation: Any) -> float:
        gold = np.array(mention)[:, None]
        heads = (gold, np.where(gold == 1, 0, UNKNOWN), *map(np.asarray, (overall, intent, escalation)))
        return training.train._compute_metrics(SimpleNamespace(predictions=said, label_ids=heads))["score"]  # type: ignore[arg-type]

    nothing = [UNKNOWN, UNKNOWN]
    assert score(nothing, unknown, [0, 1], unknown) == 0.5
    assert score(nothing, unknown, [0, 1], [1, 0]) == 0.75
    assert score(nothing, [0, 0], [0, 1], [1, 0]) == 1.0
    assert score([0, 0], [0, 0], unknown, unknown) == 1.0
    assert score([1, 0], [0, 0], unknown, unknown) == pytest.approx((2 / 3 + 1) / 2)


def test_train_keeps_a_share_of_the_start(kitchen: Kitchen, tmp_path: Path) -> None:
    start = kitchen.fresh(3).state_dict()
    free, _ = kitchen.train(tmp_path / "free", fresh_heads=False)
    _, run = kitchen.train(tmp_path / "kept", replace(SMALL, keep=0.75), fresh_heads=False)
    saved = CinesentModel.from_pretrained(tmp_path / "kept").state_dict()
    for name, value in free.state_dict().items():
        if value.is_floating_point():
            assert torch.allclose(saved[name], 0.75 * start[name] + 0.25 * value, atol=1e-5), name
    assert run.metrics["kept"] == {"share": 0.75}
    # The figures are those of what is saved, not of what was trained.
    found = run.metrics["held_out"]["eval_loss"]
    assert all(abs(found - entry["eval_loss"]) > 1e-3 for entry in run.metrics["history"])


def test_train_goes_no_further_than_development_texts_bear(kitchen: Kitchen, tmp_path: Path) -> None:
    start = kitchen.fresh(3).eval()
    space = start.config.label_space()
    silent = [replace(e, labels={}, annotated=frozenset()) for e in kitchen.examples]
    with torch.no_grad():
        answers = start(**Collator(kitchen.tokenizer.pad_token_id)(list(encode(silent, kitchen.tokenizer, space, 64))))
    as_start = [replace(e, overall=space.overall[i]) for e, i in zip(silent, answers.overall.argmax(-1), strict=True)]
    own = Kitchen(kitchen.fresh, kitchen.tokenizer, silent)
    shares = {}
    for name, development in (("against", as_start), ("along", silent)):
        _, run = own.train(
            tmp_path / name, replace(SMALL, epochs=6, keep=None), fresh_heads=False, development=development
        )
        kept = run.metrics["kept"]
        chosen = next(entry for entry in kept["tried"] if entry["share"] == kept["share"])
        assert chosen["development"] >= kept["tried"][-1]["development"]
        shares[name] = kept["share"]
    # What contradicts the start costs there, and is wanted where development texts say the same.
    assert shares["along"] < shares["against"]
