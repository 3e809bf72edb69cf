"""Runs and checkpoints beside one another: the figures, the paired differences, the command."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sentiment.cli import main as cinesent
from sentiment.int8 import exact_products
from sentiment.scaling import Scaling
from sentiment.taxonomy import Taxonomy
from tests.wide_scales import give_scales, keep_rules
from training.calibrate import Calibration
from training.compare import Verdict, compare, figures, main, replacement, score_folder, table
from training.example import Example
from training.metrics import HEADS, UNKNOWN, Predictions
from training.scores import Scores, gold_labels


@pytest.fixture(scope="module")
def examples(sample_texts: list[str], taxonomy: Taxonomy) -> list[Example]:
    texts = [text for text in dict.fromkeys(sample_texts) if len(text) < 40][:80]
    known = frozenset(taxonomy.keys)
    return [
        Example(
            text,
            {"seating": ("negative", -1, -1)} if i % 2 else {},
            known,
            overall=("positive", "negative")[i % 2],
            intent="review",
            escalation=i % 8 == 0,
        )
        for i, text in enumerate(texts)
    ]


@pytest.fixture(scope="module")
def altered(own_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Copies `own_checkpoint` with other thresholds or another label space."""

    def make(thresholds: dict[str, float], **space: Any) -> Path:
        folder = Path(shutil.copytree(own_checkpoint, tmp_path_factory.mktemp("altered") / "own"))
        config = json.loads((folder / "config.json").read_text("utf-8"))
        config["thresholds"] |= thresholds
        config["taxonomy"] |= space
        (folder / "config.json").write_text(json.dumps(config), "utf-8")
        return folder

    return make


@pytest.fixture(scope="module")
def deaf(altered: Callable[..., Path], own_taxonomy: Taxonomy) -> Path:
    """`own_checkpoint`, but it hears no dimension: no probability is above 1."""
    return altered(dict.fromkeys(own_taxonomy.keys, 1.1))


@pytest.fixture
def bakery(tmp_path: Path, own_examples: Callable[[int, int], list[Example]]) -> Path:
    return write(tmp_path / "bakery.jsonl", own_examples(60, 2))


def write(path: Path, examples: list[Example]) -> Path:
    rows = [
        {
            "text": e.text, "labels": [{"dimension": key, "sentiment": value[0]} for key, value in e.labels.items()],
            "overall": e.overall, "intent": e.intent, "escalation": e.escalation,
        }
        for e in examples
    ]  # fmt: skip
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def judge(old: Path, new: Path, data: Path, *options: str) -> tuple[int, dict[str, Any]]:
    """The exit code of `evaluate --compare`, and its JSON."""
    out = data.parent / "verdict.json"
    out.unlink(missing_ok=True)
    arguments = ["--compare", str(old), str(new), "--data", str(data), "--json", str(out), *options]
    with pytest.raises(SystemExit) as ended:
        cinesent(["evaluate", *arguments])
    return int(ended.value.code or 0), json.loads(out.read_text("utf-8")) if out.exists() else {}


@pytest.fixture(scope="module")
def escalates_all(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`tiny_checkpoint`, but it escalates every text."""
    folder = Path(shutil.copytree(tiny_checkpoint, tmp_path_factory.mktemp("loud") / "loud"))
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config["thresholds"]["escalation"] = 0.0
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    return folder


def oracle(examples: list[Example], taxonomy: Taxonomy, wrong: int = 0) -> Scores:
    """Scores that are right about all texts but the first `wrong` ones' seats and overall."""
    size, count = len(examples), len(taxonomy.keys)
    scores = Scores(
        np.full((size, count), -6.0), np.zeros((size, count, 3)), np.zeros((size, 3)),
        np.zeros((size, len(taxonomy.intents))), np.full(size, -6.0), np.zeros((size, count, 2), dtype=int),
    )  # fmt: skip
    for i, example in enumerate(examples):
        mentioned = ("seating" in example.labels) != (i < wrong)
        scores.mention[i, taxonomy.index["seating"]] = 6.0 if mentioned else -6.0
        scores.polarity[i, :, taxonomy.sentiments.index("negative")] = 6.0
        said = example.overall if i >= wrong else "neutral"
        scores.overall[i, taxonomy.overall.index(str(said))] = 6.0
        scores.intent[i, taxonomy.intents.index("review")] = 6.0
        scores.escalation[i] = 6.0 if example.escalation else -6.0
    return scores


def test_figures_are_paired_by_the_draws_of_the_texts() -> None:
    gold = Predictions(
        np.array([[1], [0], [1]]), np.array([[0], [-100], [1]]), np.array([0, 1, 2]), np.array([0, 0, 0]),
        np.array([1, 0, 0]),
    )  # fmt: skip
    said = Predictions(
        np.array([[1], [1], [0]]), np.array([[0], [2], [-100]]), np.array([0, 1, 0]), np.array([0, 0, 0]),
        np.array([1, 0, 0]),
    )  # fmt: skip
    drawn = figures(gold, said, 50, seed=4)
    assert drawn["mention"][0] == pytest.approx(0.5) and drawn["joint"][0] == pytest.approx(0.5)
    assert drawn["overall"][0] == pytest.approx(2 / 3)
    assert all(len(values) == 51 for values in drawn.values())
    again = figures(gold, said, 50, seed=4)
    for key, values in drawn.items():
        np.testing.assert_array_equal(values, again[key])


def test_compare_gives_differences_to_the_first_with_their_intervals(
    examples: list[Example], taxonomy: Taxonomy
) -> None:
    scores = {"good": oracle(examples, taxonomy), "bad": oracle(examples, taxonomy, wrong=30)}
    sets = {"first": examples[:40], "second": examples[40:]}
    found = compare(scores, sets, taxonomy, samples=200)
    assert "differences" not in found["first"]["good"]
    worse = found["first"]["bad"]["differences"]
    for key in ("mention", "joint", "overall"):
        assert worse[key]["high"] < 0 and worse[key]["low"] <= worse[key]["value"] <= worse[key]["high"]
    # The second set has none of the wrong answers: no difference at all, whatever is drawn.
    same = found["second"]["bad"]["differences"]["overall"]
    assert (same["value"], same["low"], same["high"]) == (0.0, 0.0, 0.0)
    # By given rules: with thresholds that nothing reaches nobody mentions anything, and there is no difference.
    deaf = Calibration(Scaling(), dict.fromkeys((*taxonomy.keys, "escalation"), 1.0), {})
    given = compare(scores, sets, taxonomy, samples=200, rules=dict.fromkeys(scores, deaf))
    assert (
        given["first"]["good"]["figures"]["joint"]["value"] == 0.0 < found["first"]["good"]["figures"]["joint"]["value"]
    )
    assert given["first"]["bad"]["differences"]["joint"]["low"] == 0.0
    assert given["first"]["bad"]["differences"]["overall"]["high"] < 0
    shown = table(found)
    assert shown.count("| good |") == shown.count("| bad |") == 2 and "(+0.0 [+0.0, +0.0])" in shown


def test_score_folder_of_a_run_is_near_its_packaged_checkpoint(
    tiny_run: Any, tiny_checkpoint: Path, examples: list[Example]
) -> None:
    run, packaged = score_folder(tiny_run.folder, examples), score_folder(tiny_checkpoint, examples)
    for head in HEADS:
        np.testing.assert_allclose(getattr(run, head), getattr(packaged, head), atol=0.2, err_msg=head)


def test_compare_command(
    tiny_checkpoint: Path, tiny_run: Any, examples: list[Example], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = tmp_path / "dev.jsonl", tmp_path / "found.json"
    labels: Callable[[Example], list[dict[str, str]]] = lambda e: [  # noqa: E731
        {"dimension": key, "sentiment": sentiment} for key, (sentiment, _, _) in e.labels.items()
    ]
    rows = [
        {"text": e.text, "labels": labels(e), "overall": e.overall, "intent": e.intent, "escalation": e.escalation}
        for e in examples
    ]
    data.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    folders = [str(tiny_checkpoint), str(tiny_run.folder)]
    assert main([*folders, "--dev", f"dev={data}", "--json", str(out)]) == 0
    assert "| model | mention | joint |" in capsys.readouterr().out
    assert list(json.loads(out.read_text("utf-8"))["dev"]) == folders
    assert main([str(tmp_path), "--dev", f"dev={data}"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "expected a run folder with model.safetensors, found none" in error


def predictions(examples: list[Example], taxonomy: Taxonomy, wrong: int) -> tuple[Predictions, Predictions]:
    """The truth, and what a model says that is wrong about the first `wrong` texts."""
    scores = oracle(examples, taxonomy, wrong)
    gold = gold_labels(examples, taxonomy)
    return gold, packaged_rules_of(taxonomy).decide(scores, taxonomy)


def packaged_rules_of(taxonomy: Taxonomy) -> Calibration:
    return Calibration(Scaling(), {**dict.fromkeys(taxonomy.keys, 0.5), "escalation": 0.5}, {})


def test_replacement_of_a_clearly_worse_one_is_refused(examples: list[Example], taxonomy: Taxonomy) -> None:
    gold, good = predictions(examples, taxonomy, 0)
    _, bad = predictions(examples, taxonomy, 30)
    refused = replacement(gold, good, bad, samples=300)
    assert not refused.may_replace and [reason.split()[0] for reason in refused.reasons] == ["joint", "overall"]
    assert refused.rows["overall"]["difference"] == pytest.approx(-30 / 80, abs=1e-3)
    assert refused.rows["escalation"]["low"] == refused.rows["escalation"]["high"] == 0.0
    assert replacement(gold, bad, good, samples=300).may_replace
    assert replacement(gold, good, good, samples=300).may_replace


def test_replacement_forgives_what_is_within_the_margin(examples: list[Example], taxonomy: Taxonomy) -> None:
    gold, good = predictions(examples, taxonomy, 0)
    _, slip = predictions(examples, taxonomy, 1)  # one text of eighty: the interval reaches up to no difference
    assert replacement(gold, good, slip, samples=500).may_replace
    _, bad = predictions(examples, taxonomy, 30)
    only_overall = replace(good, overall=bad.overall)
    assert [r.split()[0] for r in replacement(gold, good, only_overall, samples=300).reasons] == ["overall"]
    assert replacement(gold, good, only_overall, margin=0.9, samples=300).may_replace


def test_replacement_leaves_out_what_has_no_labels(examples: list[Example], taxonomy: Taxonomy) -> None:
    gold, good = predictions(examples, taxonomy, 0)
    bare = replace(gold, overall=np.full_like(gold.overall, UNKNOWN), escalation=np.full_like(gold.escalation, UNKNOWN))
    assert list(replacement(bare, good, good, samples=50).rows) == ["joint"]


@pytest.mark.parametrize("label", [0, 1])
def test_replacement_leaves_out_a_head_of_one_class(examples: list[Example], taxonomy: Taxonomy, label: int) -> None:
    """Whatever the new one says of it, much or nothing: there is nothing to hold it against."""
    gold, good = predictions(examples, taxonomy, 0)
    known = np.where(np.arange(len(examples)) % 3 == 0, UNKNOWN, label)
    one = replace(gold, overall=known, escalation=known)
    for old, new in ((0, 0), (0, 1), (1, 0), (1, 1)):
        said = [replace(good, overall=np.full_like(known, a), escalation=np.full_like(known, a)) for a in (old, new)]
        verdict = replacement(one, *said, samples=50)
        assert list(verdict.rows) == ["joint"] and verdict.may_replace
    alone = replace(gold, mention=np.where(gold.mention == label, label, UNKNOWN))
    assert list(replacement(alone, good, good, samples=50).rows) == ["overall", "escalation"]


def test_evaluate_compare_command(
    tiny_checkpoint: Path, tmp_path: Path, examples: list[Example], capsys: pytest.CaptureFixture[str]
) -> None:
    data, bare, out = tmp_path / "test.jsonl", tmp_path / "bare.jsonl", tmp_path / "verdict.json"
    rows = [
        {"text": e.text, "labels": [{"dimension": key, "sentiment": value[0]} for key, value in e.labels.items()]}
        for e in examples
    ]
    data.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    empty = tmp_path / "empty.jsonl"
    empty.write_text("", "utf-8")
    bare.write_text(json.dumps({"text": "座椅太硬", "overall": "negative"}, ensure_ascii=False) + "\n", "utf-8")

    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            cinesent(["evaluate", *map(str, arguments)])
        shown = capsys.readouterr()
        return int(ended.value.code or 0), shown.out, shown.err

    both = ("--compare", tiny_checkpoint, tiny_checkpoint)
    code, shown, said = run(*both, "--data", data, "--json", out)
    assert code == 0 and "may replace" in shown
    assert "overall, escalation cannot be compared: the texts have no such labels" in said
    assert "of test.jsonl; on ONNX Runtime" in shown and json.loads(out.read_text("utf-8"))["runtime"] in shown
    assert json.loads(out.read_text("utf-8"))["figures"]["joint"]["difference"] == 0.0
    for arguments, message in (
        ((*both, "--data", bare), "expected texts with labelled dimensions, some mentioned and some not"),
        ((*both, "--data", empty), "expected labelled texts, found none"),
        ((*both, "--data", data, "--model", tiny_checkpoint), "expected --compare without --model"),
        ((*both, "--data", data, "--runtime", "onnxruntime-int8"), "expected int8.safetensors and int8.onnx"),
        (("--compare", tiny_checkpoint, tmp_path, "--data", data), "expected a checkpoint folder with config.json"),
    ):
        code, _, said = run(*arguments)
        assert code == 2 and message in said and said.count("\n") == 1


def test_evaluate_compare_command_without_an_escalation(
    tiny_checkpoint: Path,
    escalates_all: Path,
    tmp_path: Path,
    examples: list[Example],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Two checkpoints that differ in nothing but what they escalate."""
    data = tmp_path / "calm.jsonl"
    rows = [
        {
            "text": e.text, "labels": [{"dimension": key, "sentiment": value[0]} for key, value in e.labels.items()],
            "overall": e.overall, "escalation": False,
        }
        for e in examples
    ]  # fmt: skip
    data.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    for old, new in ((tiny_checkpoint, escalates_all), (escalates_all, tiny_checkpoint)):
        with pytest.raises(SystemExit) as ended:
            cinesent(["evaluate", "--compare", str(old), str(new), "--data", str(data)])
        shown = capsys.readouterr()
        assert not ended.value.code and "escalation" not in shown.out and "overall" in shown.out
        assert shown.err == (
            "cinesent: escalation cannot be compared: the texts have no such labels, or only ones of one class\n"
        )


def test_evaluate_compare_command_says_no_with_exit_code_3(
    tiny_checkpoint: Path, tmp_path: Path, examples: list[Example], taxonomy: Taxonomy,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    gold, good = predictions(examples, taxonomy, 0)
    verdict = replacement(gold, good, predictions(examples, taxonomy, 30)[1], samples=300)
    monkeypatch.setattr("training.compare.compare_checkpoints", lambda *_, **options: verdict)
    data, out = tmp_path / "test.jsonl", tmp_path / "verdict.json"
    data.write_text(json.dumps({"text": "座椅太硬", "labels": []}, ensure_ascii=False) + "\n", "utf-8")
    both = 2 * [str(tiny_checkpoint)]
    with pytest.raises(SystemExit) as ended:
        cinesent(["evaluate", "--compare", *both, "--data", str(data), "--json", str(out)])
    shown = capsys.readouterr()
    assert ended.value.code == 3
    assert "may not replace" in shown.out and "joint is worse" in shown.err
    assert json.loads(out.read_text("utf-8"))["may_replace"] is False


def test_evaluate_compare_command_judges_the_new_one_against_the_old(
    own_checkpoint: Path, deaf: Path, bakery: Path
) -> None:
    code, found = judge(own_checkpoint, deaf, bakery)
    joint = found["figures"]["joint"]
    assert code == 3 and found["may_replace"] is False and [r.split()[0] for r in found["reasons"]] == ["joint"]
    assert joint["old"] > 0.5 > joint["new"] == 0 and joint["high"] < 0
    assert joint["difference"] == pytest.approx(joint["new"] - joint["old"], abs=1e-4)
    for head in ("overall", "escalation"):
        assert found["figures"][head]["difference"] == 0
    code, found = judge(deaf, own_checkpoint, bakery)
    assert code == 0 and found["may_replace"] is True and found["figures"]["joint"]["low"] > 0


@pytest.mark.skipif(not exact_products(), reason="the processor does not add products of int8 exactly")
def test_evaluate_compare_command_judges_int8_by_its_own_thresholds(own_checkpoint: Path, bakery: Path) -> None:
    old, new = (shutil.copytree(own_checkpoint, bakery.with_name(name)) for name in ("old", "new"))
    for folder in (old, new):
        give_scales(folder)
    keep_rules(new, 1.1)  # deaf in int8 alone
    code, found = judge(old, new, bakery)
    assert code == 0 and found["figures"]["joint"]["difference"] == 0 and found["runtime"].endswith("float32")
    code, found = judge(old, new, bakery, "--runtime", "onnxruntime-int8")
    joint = found["figures"]["joint"]
    assert code == 3 and joint["old"] > joint["new"] == 0 and found["runtime"].endswith("int8")


def test_evaluate_compare_command_leaves_out_what_is_excluded(
    own_checkpoint: Path, altered: Callable[..., Path], bakery: Path
) -> None:
    half_deaf = altered({"bread": 1.1, "queue": 1.1})
    assert judge(own_checkpoint, half_deaf, bakery)[0] == 3
    code, found = judge(own_checkpoint, half_deaf, bakery, "--exclude", "bread,queue")
    assert code == 0 and found["figures"]["joint"]["difference"] == 0


def test_evaluate_compare_command_fits_thresholds_anew_when_asked(
    own_checkpoint: Path, deaf: Path, bakery: Path
) -> None:
    """Two that differ in thresholds alone are then the same."""
    code, found = judge(own_checkpoint, deaf, bakery, "--cross-fit")
    assert code == 0 and found["figures"]["joint"]["old"] == found["figures"]["joint"]["new"] > 0.5


def test_evaluate_compare_command_hears_nothing_in_what_is_not_read(
    altered: Callable[..., Path], own_checkpoint: Path, own_taxonomy: Taxonomy, bakery: Path,
    own_examples: Callable[[int, int], list[Example]],
) -> None:  # fmt: skip
    loud = altered(dict.fromkeys(own_taxonomy.keys, 0.0))
    known = frozenset(own_taxonomy.keys)
    foreign = [Example(f"fresh bread number {i}", {}, known, escalation=False) for i in range(40)]
    alone = judge(own_checkpoint, loud, bakery)[1]
    more = judge(own_checkpoint, loud, write(bakery.with_name("more.jsonl"), [*own_examples(60, 2), *foreign]))[1]
    assert more["texts"] == alone["texts"] + 40
    for key in ("old", "new"):
        assert more["figures"]["joint"][key] == alone["figures"]["joint"][key] > 0


def test_evaluate_compare_command_wants_one_label_space(
    own_checkpoint: Path, tiny_checkpoint: Path, altered: Callable[..., Path], own_taxonomy: Taxonomy, bakery: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    spaces = {"keys": tiny_checkpoint}
    for name in ("sentiments", "overall", "intents"):
        spaces[name] = altered({}, **{name: [*reversed(getattr(own_taxonomy, name))]})
    for name, other in spaces.items():
        assert judge(own_checkpoint, other, bakery) == (2, {})
        assert f"expected one label space, found other {name} in the new one" in capsys.readouterr().err


def test_evaluate_compare_command_hands_its_options_on(
    tiny_checkpoint: Path, escalates_all: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def spy(*arguments: Any, **options: Any) -> Verdict:
        calls.append((arguments, options))
        return Verdict(len(arguments[2]), {}, [])

    monkeypatch.setattr("training.compare.compare_checkpoints", spy)
    data = tmp_path / "coded.csv"
    data.write_text("text,seating,price\n座椅太硬,-1,\n", "utf-8")
    codes = ("--map", "-1=negative", "--blank", "none")
    options = ("--margin", "2", "--exclude", "film", "--exclude", "price", "--cross-fit", "--threads", "3")
    assert judge(tiny_checkpoint, escalates_all, data, *codes, *options)[1]["margin"] == 0.02
    assert judge(tiny_checkpoint, escalates_all, data, "--map", "-1=negative")[1]["margin"] == 0.01
    ((old, new, (full,)), asked), ((*_, (bare,)), defaults) = calls
    assert (old.folder, new.folder) == (tiny_checkpoint, escalates_all)
    assert asked == {
        "margin": 0.02,
        "exclude": ("film", "price"),
        "cross_fit": True,
        "threads": 3,
        "runtime": "onnxruntime",
    }
    assert defaults == {
        "margin": 0.01, "exclude": (), "cross_fit": False, "threads": None, "runtime": "onnxruntime",
    }  # fmt: skip
    assert full.labels == bare.labels == {"seating": ("negative", -1, -1)}
    assert full.annotated == {"seating", "price"} and bare.annotated == {"seating"}


def test_compare_gate_of_this_project_fits_across_folds() -> None:
    """It asks on development texts, on which the packaged thresholds were fitted."""
    page = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text("utf-8")
    gates = [line for line in page.splitlines() if line.startswith("cinesent evaluate --compare sentiment/model ")]
    assert [gate.endswith(" --runtime onnxruntime-int8") for gate in gates] == [False, True]
    assert all("/dev.jsonl" in gate and " --cross-fit " in gate for gate in gates)
