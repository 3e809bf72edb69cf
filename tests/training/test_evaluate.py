from __future__ import annotations

import csv
import hashlib
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from sentiment.analyzer import Analyzer
from sentiment.checkpoint import load_checkpoint
from sentiment.cli import main
from sentiment.scaling import Scaling
from sentiment.taxonomy import Taxonomy
from training.calibrate import FOLDS, Calibration, calibrate
from training.dataset import Example, near_duplicate_groups
from training.evaluate import (
    LEAST_CERTAIN,
    SHOWN_MISTAKES,
    EvaluationError,
    answer,
    cross_fitted_rules,
    evaluate,
    evaluate_checkpoint,
    evaluate_sets,
)
from training.evaluation_text import confusion_text, write_report
from training.metrics import summary
from training.scores import Scores, gold_labels

NOTHING = frozenset[str]()


def example(text: str, labels: dict[str, tuple[str, int, int]] | None = None, **more: Any) -> Example:
    return Example(text, labels or {}, **{"overall": "neutral", "intent": "review", "escalation": False} | more)


def scored(taxonomy: Taxonomy, said: list[dict[str, Any]]) -> Scores:
    """Scores that say what is told, each with a probability: `{"seating": ("negative", 0.8, (0, 4)), "overall": …}`."""
    size, count = len(said), len(taxonomy.keys)
    table = Scores(
        np.full((size, count), -6.0), np.zeros((size, count, 3)), np.zeros((size, 3)),
        np.zeros((size, len(taxonomy.intents))), np.full(size, -6.0), np.zeros((size, count, 2), dtype=int),
    )  # fmt: skip
    names = {"overall": taxonomy.overall, "intent": taxonomy.intents}
    for i, row in enumerate(said):
        for head, value in row.items():
            if head in names:
                label, share = value
                classes = names[head]
                rest = (1 - share) / (len(classes) - 1)
                getattr(table, head)[i] = [np.log(share if name == label else rest) for name in classes]
            elif head == "escalation":
                table.escalation[i] = np.log(value / (1 - value))
            else:
                label, share, span = value
                k = taxonomy.index[head]
                table.mention[i, k] = np.log(share / (1 - share))
                table.polarity[i, k] = [9.0 if name == label else -9.0 for name in taxonomy.sentiments]
                table.evidence[i, k] = span
    return table


def plain_rules(taxonomy: Taxonomy) -> Calibration:
    return Calibration(Scaling(), dict.fromkeys((*taxonomy.keys, "escalation"), 0.5), {})


@pytest.fixture
def case(taxonomy: Taxonomy) -> tuple[Scores, list[Example]]:
    """Four texts whose report can be worked out by hand."""
    everything = frozenset(taxonomy.keys)
    examples = [
        example("座椅太硬", {"seating": ("negative", 0, 4)}, annotated=everything, overall="negative", id="a"),
        example(
            "音响很好，票价贵", {"sound": ("positive", 0, 4), "price": ("negative", 5, 8)}, annotated=everything, id="b"
        ),
        example("电影好看", {"film": ("positive", -1, -1)}, annotated=everything, overall="positive", escalation=True),
        example("还行", overall="neutral", intent=None, escalation=None, id="d"),
    ]
    said: list[dict[str, Any]] = [
        {"seating": ("negative", 0.9, (2, 4)), "staff": ("negative", 0.6, (0, 2)), "overall": ("negative", 0.9),
         "intent": ("complaint", 0.8), "escalation": 0.7},
        {"sound": ("negative", 0.8, (0, 5)), "overall": ("neutral", 0.6), "intent": ("review", 0.9)},
        {"film": ("positive", 0.95, (0, 4)), "overall": ("negative", 0.5), "intent": ("review", 0.9),
         "escalation": 0.9},
        {"price": ("negative", 0.7, (0, 2)), "overall": ("neutral", 0.7), "intent": ("review", 0.7)},
    ]  # fmt: skip
    return scored(taxonomy, said), examples


def report_of(case: tuple[Scores, list[Example]], taxonomy: Taxonomy, **options: Any) -> dict[str, Any]:
    scores, examples = case
    return evaluate(scores, gold_labels(examples, taxonomy), examples, taxonomy, plain_rules(taxonomy), **options)


def value(report: dict[str, Any], *path: str) -> Any:
    found: Any = report
    for name in path:
        found = found[name]
    return found["value"]


def test_report_by_hand(case: tuple[Scores, list[Example]], taxonomy: Taxonomy) -> None:
    report = report_of(case, taxonomy)
    # Service: seating, sound and price are there; seating, staff and sound were called (the last text is not judged).
    service = report["service"]
    assert (service["support"], service["called"]) == (3, 3)
    assert (
        value(service, "mention", "precision") == value(service, "mention", "recall") == pytest.approx(2 / 3, abs=1e-4)
    )
    assert value(service, "joint", "f1") == pytest.approx(1 / 3, abs=1e-4)  # sound has the wrong sentiment
    assert value(report, "all", "mention", "f1") == pytest.approx(2 * 3 / 8, abs=1e-4)
    assert value(report, "all", "joint", "f1") == pytest.approx(2 * 2 / 8, abs=1e-4)
    assert "macro_joint" not in service  # no dimension has thirty mentions
    dimensions = report["dimensions"]
    assert list(dimensions) == list(taxonomy.keys)
    parking = dimensions["parking"]
    assert parking.pop("confusion") == [[3, 0, 0, 0], [0] * 4, [0] * 4, [0] * 4]
    assert parking == {"texts": 3, "support": 0, "called": 0, "mention": {}, "joint": {}}
    assert report["dimension_labels"] == ["none", *taxonomy.sentiments]
    place = 1 + taxonomy.sentiments.index("negative")
    assert dimensions["staff"]["confusion"][0][place] == 1  # called, and not there
    assert dimensions["seating"]["confusion"][place][place] == 1
    assert value(dimensions["staff"], "mention", "precision") == 0.0
    assert "recall" not in dimensions["staff"]["mention"]  # nothing was there to be found
    assert "precision" not in dimensions["price"]["mention"]  # nothing was called
    assert value(dimensions["seating"], "joint", "f1") == 1.0

    overall = report["overall"]
    assert overall["labels"] == ["positive", "neutral", "negative"]
    assert overall["confusion"] == [[0, 0, 1], [0, 2, 0], [0, 0, 1]]
    assert value(overall, "accuracy") == 0.75
    assert value(overall, "macro_f1") == pytest.approx((0 + 1 + 2 / 3) / 3, abs=1e-4)
    assert report["intent"]["texts"] == 3
    assert value(report["intent"], "accuracy") == pytest.approx(2 / 3, abs=1e-4)
    assert value(report["intent"], "macro_f1") == pytest.approx((4 / 5 + 0) / 2, abs=1e-4)
    escalation = report["escalation"]
    assert (escalation["texts"], escalation["support"], escalation["called"]) == (3, 1, 2)
    assert (value(escalation, "precision"), value(escalation, "recall")) == (0.5, 1.0)
    assert value(escalation, "f1") == pytest.approx(2 / 3, abs=1e-4)

    # seating: 2 of 2 + 4 characters shared; sound: 4 of 4 + 5; the film's mention has no labelled span.
    assert report["evidence"]["mentions"] == 2
    assert value(report["evidence"], "f1") == pytest.approx((2 * 2 / 6 + 2 * 4 / 9) / 2, abs=1e-4)
    # The least certain 15% of four texts is one: the third, and it is the one that is wrong.
    risk = report["risk_coverage"]
    assert (risk["share"], risk["texts"], risk["errors"], risk["errors_caught"]) == (LEAST_CERTAIN, 1, 1, 1)
    assert value(risk, "caught") == value(risk, "accuracy_of_the_rest") == 1.0
    for name, labels in (("dimensions", 4), ("overall", 4), ("intent", 3), ("escalation", 3)):
        assert report["calibration"][name]["labels"] == labels


def test_mistakes_are_the_surest_wrong_labels_without_their_texts(
    case: tuple[Scores, list[Example]], taxonomy: Taxonomy
) -> None:
    mistakes = report_of(case, taxonomy)["mistakes"]
    hashed = hashlib.sha256("电影好看".encode()).hexdigest()
    assert [tuple(mistake.values()) for mistake in mistakes] == [
        ("a", "intent", "complaint", "review", 0.8),
        ("b", "sound", "negative", "positive", 0.8),
        ("a", "escalation", "true", "false", 0.7),
        ("a", "staff", "negative", "none", 0.6),
        (hashed, "overall", "negative", "positive", 0.5),
    ]
    assert "座椅" not in json.dumps(mistakes, ensure_ascii=False)
    shown = report_of(case, taxonomy, show_texts=True)["mistakes"]
    assert {mistake["text"] for mistake in shown} == {"音响很好，票价贵", "座椅太硬", "电影好看"}


def test_at_most_twenty_mistakes(taxonomy: Taxonomy) -> None:
    examples = [example(f"第{i}条", overall="positive") for i in range(40)]
    scores = scored(taxonomy, [{"overall": ("negative", 0.4 + i / 100)} for i in range(40)])
    mistakes = report_of((scores, examples), taxonomy)["mistakes"]
    assert len(mistakes) == SHOWN_MISTAKES
    assert [mistake["confidence"] for mistake in mistakes] == sorted((m["confidence"] for m in mistakes), reverse=True)
    assert mistakes[0]["confidence"] == 0.79


def test_excluded_dimensions_count_nowhere(case: tuple[Scores, list[Example]], taxonomy: Taxonomy) -> None:
    report = report_of(case, taxonomy, exclude=("film", "sound"))
    assert not {"film", "sound"} & set(report["dimensions"])
    assert report["all"] == report["service"]
    assert (report["all"]["support"], report["all"]["called"]) == (2, 2)
    assert "sound" not in {mistake["head"] for mistake in report["mistakes"]}
    assert report["calibration"]["dimensions"]["labels"] == 2


def test_heads_without_labels_are_missing_and_nothing_is_nan(
    case: tuple[Scores, list[Example]], taxonomy: Taxonomy
) -> None:
    scores, examples = case
    unknown = {"labels": {}, "annotated": NOTHING, "overall": None, "intent": None, "escalation": None}
    heads = {
        "overall": {"overall": "positive"}, "intent": {"intent": "inquiry"}, "escalation": {"escalation": False},
        "dimensions": {"annotated": frozenset({"price"})},
    }  # fmt: skip
    for head, known in heads.items():
        partly = [replace(e, **(unknown | known)) for e in examples]  # type: ignore[arg-type]
        report = report_of((scores, partly), taxonomy)
        json.dumps(report, allow_nan=False)
        assert {name for name in heads if name in report} == {head}
        assert ("service" in report) == (head == "dimensions")
        assert {name for name in report["calibration"] if name != "estimator"} == {head}
        write_report(report, taxonomy, io.StringIO())
    assert list(report["dimensions"]) == ["price"]
    nothing = [replace(e, **unknown) for e in examples]  # type: ignore[arg-type]
    bare = report_of((scores, nothing), taxonomy)
    assert set(bare) == {"schema", "texts", "unread", "calibration", "mistakes"}
    assert set(bare["calibration"]) == {"estimator"}


def test_a_text_that_is_not_read_counts_as_wrong(taxonomy: Taxonomy) -> None:
    everything = frozenset(taxonomy.keys)
    examples = [
        example(
            "great seats", {"seating": ("positive", 0, 5)}, annotated=everything, overall="positive", escalation=True
        ),
        example("座椅很好", {"seating": ("positive", 0, 4)}, annotated=everything, overall="positive"),
    ]
    row = {"seating": ("positive", 0.9, (0, 4)), "overall": ("positive", 0.9), "escalation": 0.9}
    report = report_of((scored(taxonomy, [row, row | {"escalation": 0.1}]), examples), taxonomy)
    assert report["unread"] == 1
    assert value(report["overall"], "accuracy") == 0.5
    assert report["overall"]["unread"] == 1
    assert (report["service"]["support"], report["service"]["called"]) == (2, 1)
    assert (report["escalation"]["support"], report["escalation"]["called"]) == (1, 0)
    assert report["risk_coverage"]["errors"] == 0
    assert report["calibration"]["overall"]["labels"] == 1
    assert report["mistakes"] == []


def simulated(taxonomy: Taxonomy, size: int, seed: int = 0) -> tuple[Scores, list[Example]]:
    """Scores with labels drawn from them: calibrated at temperature 1."""
    rng = np.random.default_rng(seed)
    count = len(taxonomy.keys)
    shapes = {"mention": (count,), "polarity": (count, 3), "overall": (3,), "intent": (len(taxonomy.intents),)}
    logits = {name: rng.normal(0, 2, (size, *shape)) for name, shape in shapes.items()}
    logits["mention"] -= 2
    said = rng.random((size, count)) < 1 / (1 + np.exp(-logits["mention"]))
    drawn = {n: (logits[n] + rng.gumbel(size=logits[n].shape)).argmax(-1) for n in ("polarity", "overall", "intent")}
    risk = rng.normal(0, 2, size)
    escalated = rng.random(size) < 1 / (1 + np.exp(-risk))
    names = [[taxonomy.sentiments[c] for c in row] for row in drawn["polarity"]]
    examples = [
        Example(
            f"第{i}条{rng.integers(10**12)}好",
            {key: (names[i][k], -1, -1) for k, key in enumerate(taxonomy.keys) if said[i, k]},
            frozenset(taxonomy.keys),
            taxonomy.overall[drawn["overall"][i]],
            taxonomy.intents[drawn["intent"][i]],
            bool(escalated[i]),
        )
        for i in range(size)
    ]
    return Scores(**logits, escalation=risk, evidence=np.zeros((size, count, 2), dtype=int)), examples


def test_report_agrees_with_the_metrics_and_calibrated_scores_look_calibrated(taxonomy: Taxonomy) -> None:
    scores, examples = simulated(taxonomy, 4000)
    gold, rules = gold_labels(examples, taxonomy), plain_rules(taxonomy)
    report = evaluate(scores, gold, examples, taxonomy, rules, samples=200)
    service = [taxonomy.index[key] for key in taxonomy.service_keys]
    plain = summary(gold.take(slice(None), service), rules.decide(scores, taxonomy).take(slice(None), service))
    assert value(report["service"], "mention", "f1") == pytest.approx(plain["mention"], abs=1e-4)
    assert value(report["service"], "joint", "f1") == pytest.approx(plain["joint"], abs=1e-4)
    assert value(report["overall"], "accuracy") == pytest.approx(plain["overall"], abs=1e-4)
    assert value(report["escalation"], "f1") == pytest.approx(plain["escalation"], abs=1e-4)
    macro = report["all"]["macro_joint"]
    mean = np.mean([value(report["dimensions"][key], "joint", "f1") for key in taxonomy.keys])
    assert macro["dimensions"] == list(taxonomy.keys)
    assert macro["value"] == pytest.approx(mean, abs=1e-4)
    for name in ("dimensions", "overall", "intent", "escalation"):
        assert report["calibration"][name]["ece"] < 0.02, name
        assert report["calibration"][name]["rms"] < 0.02, name
    # Errors are where the model is unsure, and intervals are about two standard errors wide on each side.
    assert value(report["risk_coverage"], "caught") > 0.25
    rate = report["overall"]["accuracy"]
    error = (rate["value"] * (1 - rate["value"]) / 4000) ** 0.5
    assert (rate["high"] - rate["low"]) / error == pytest.approx(2 * 1.96, rel=0.2)
    for entry in report["dimensions"].values():
        for kind in ("mention", "joint"):
            assert all(r["low"] <= r["value"] <= r["high"] for r in entry[kind].values())


def test_answer_wants_rules_for_every_text_once(taxonomy: Taxonomy) -> None:
    scores, _ = simulated(taxonomy, 10)
    rules = plain_rules(taxonomy)
    with pytest.raises(ValueError, match="each of 10 rows exactly once"):
        answer(scores, taxonomy, [(rules, np.arange(9))])
    with pytest.raises(ValueError, match="exactly once"):
        answer(scores, taxonomy, [(rules, np.arange(10)), (rules, np.array([3]))])


def test_each_text_is_answered_by_its_own_rules(taxonomy: Taxonomy) -> None:
    scores, _ = simulated(taxonomy, 30)
    strict = Calibration(
        Scaling({"mention": 2.0, "overall": 3.0}), dict.fromkeys((*taxonomy.keys, "escalation"), 0.9), {}
    )
    mild = plain_rules(taxonomy)
    odd, even = np.arange(1, 30, 2), np.arange(0, 30, 2)
    mixed = answer(scores, taxonomy, [(strict, odd), (mild, even)])
    for rules, rows in ((strict, odd), (mild, even)):
        alone = answer(scores, taxonomy, rules)
        assert (mixed.said.mention[rows] == alone.said.mention[rows]).all()
        for name, sure in mixed.sure.items():
            assert np.allclose(sure[rows], alone.sure[name][rows])


def test_cross_fitted_rules_are_fitted_without_the_texts_they_judge_and_their_near_duplicates(
    taxonomy: Taxonomy,
) -> None:
    scores, examples = simulated(taxonomy, 60)
    copies = [replace(e, text=e.text + "！") for e in examples]
    both = Scores(
        *(
            np.concatenate([getattr(scores, n)] * 2)
            for n in ("mention", "polarity", "overall", "intent", "escalation", "evidence")
        )
    )
    gold = gold_labels([*examples, *copies], taxonomy)
    parts = cross_fitted_rules(both, gold, [*examples, *copies], taxonomy)
    assert len(parts) == FOLDS
    groups = near_duplicate_groups([e.text for e in (*examples, *copies)])
    for rules, judged in parts:
        rest = np.setdiff1d(np.arange(120), judged)
        assert not {groups[i] for i in judged} & {groups[i] for i in rest}
        assert {i + 60 if i < 60 else i - 60 for i in judged} == set(judged)  # copies stay together
        assert rules == calibrate(both.take(rest), gold.take(rest), taxonomy)
        everything = calibrate(both, gold, taxonomy)
        assert rules != everything


def test_cross_fitting_is_over_all_sets_together(taxonomy: Taxonomy) -> None:
    scores, examples = simulated(taxonomy, 90)
    sets = {"first": examples[:50], "second": examples[50:]}
    reports = evaluate_sets(scores, sets, taxonomy, samples=50)
    assert {name: (report["texts"], report["rules"]) for name, report in reports.items()} == {
        "first": (50, "cross-fitted"),
        "second": (40, "cross-fitted"),
    }
    gold = gold_labels(examples, taxonomy)
    rules = cross_fitted_rules(scores, gold, examples, taxonomy)
    said = answer(scores, taxonomy, rules).said
    service = [taxonomy.index[key] for key in taxonomy.service_keys]
    rows = np.arange(50, 90)
    plain = summary(gold.take(rows, service), said.take(rows, service))
    assert value(reports["second"]["service"], "joint", "f1") == pytest.approx(plain["joint"], abs=1e-4)


def test_packaged_rules_are_named(taxonomy: Taxonomy) -> None:
    scores, examples = simulated(taxonomy, 20)
    (report,) = evaluate_sets(scores, {"all": examples}, taxonomy, plain_rules(taxonomy), samples=10).values()
    assert report["rules"] == "packaged"


def test_too_few_texts_to_cross_fit(taxonomy: Taxonomy) -> None:
    scores, examples = simulated(taxonomy, 9)
    with pytest.raises(EvaluationError, match="at least 10 different texts for cross-fitting, found 9"):
        evaluate_sets(scores, {"all": examples}, taxonomy)


# The command, on a checkpoint that nobody has trained.

LABELS = {"座椅": ("seating", "negative"), "音响": ("sound", "positive"), "爆米花": ("concessions", "negative"),
          "停车": ("parking", "positive"), "剧情": ("film", "negative")}  # fmt: skip


def labelled(texts: list[str]) -> list[dict[str, Any]]:
    rows = []
    for i, text in enumerate(texts):
        found = [
            {"dimension": key, "sentiment": sentiment, "evidence": word}
            for word, (key, sentiment) in LABELS.items() if word in text
        ]  # fmt: skip
        negative = any(entry["sentiment"] == "negative" for entry in found)
        rows.append(
            {"text": text, "labels": found, "overall": "negative" if negative else "positive", "intent": "review",
             "escalation": "投诉" in text, "id": f"t{i}"}
        )  # fmt: skip
    return rows


@pytest.fixture(scope="module")
def texts(sample_texts: list[str]) -> list[str]:
    return [text for text in dict.fromkeys(sample_texts) if len(text) < 40][:80]


@pytest.fixture
def data(tmp_path: Path, texts: list[str]) -> Path:
    path = tmp_path / "labelled.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in labelled(texts)), "utf-8")
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["evaluate", *(str(argument) for argument in arguments)])


def test_command_prints_tables_and_writes_json(
    tiny_checkpoint: Path, data: Path, tmp_path: Path, texts: list[str]
) -> None:
    out = tmp_path / "report.json"
    result = run("--data", data, "--model", tiny_checkpoint, "--json", out)
    assert result.exit_code == 0, result.stderr
    report = json.loads(out.read_text("utf-8"))
    checkpoint = load_checkpoint(tiny_checkpoint)
    assert (report["model"], report["hash"]) == (checkpoint.name, checkpoint.hash)
    assert (report["texts"], report["rules"], report["files"]) == (80, "packaged", ["labelled.jsonl"])
    for told in (
        checkpoint.name,
        "texts: 80",
        "the checkpoint's own thresholds",
        "service dimensions",
        "seating (座椅视野)",
        "Confusions: truth → said",
        "Overall: accuracy",
        "Intent: accuracy",
        "Escalation",
        "Kumar et al. 2019",
        "Least certain 15%",
        "Evidence: character F1",
        "Surest mistakes",
    ):
        assert told in result.stdout
    assert not any(text.strip() in result.stdout for text in texts)
    assert "report.json written" in result.stderr


def test_command_writes_one_html_file_that_loads_nothing(
    tiny_checkpoint: Path, data: Path, tmp_path: Path, texts: list[str]
) -> None:
    out = tmp_path / "report.html"
    result = run("--data", data, "--model", tiny_checkpoint, "-o", out)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == ""
    page = out.read_text("utf-8")
    for told in ("seating 座椅视野", "Confusions", "Reliability of overall", "<svg", "Surest mistakes", "texts: 80"):
        assert told in page
    assert not any(word in page for word in ("http:", "https:", "<script", "src=", "@import", "url("))
    assert not any(text.strip() in page for text in texts)
    assert page.count("<table") == page.count("</table>") and page.count("<svg") == page.count("</svg>") == 4

    hostile = tmp_path / "hostile.jsonl"
    hostile.write_text(json.dumps({"text": "<script>座椅太硬</script>", "overall": "positive"}) + "\n", "utf-8")
    assert run("--data", hostile, "--model", tiny_checkpoint, "-o", out, "--show-texts").exit_code == 0
    assert "<script" not in out.read_text("utf-8")


def test_command_agrees_with_the_analyser(tiny_checkpoint: Path, data: Path, tmp_path: Path, texts: list[str]) -> None:
    out = tmp_path / "report.json"
    assert run("--data", data, "--model", tiny_checkpoint, "--json", out).exit_code == 0
    report = json.loads(out.read_text("utf-8"))
    records = Analyzer.load(tiny_checkpoint).analyze_block(texts)
    rows = labelled(texts)
    called = sum(len(record.dimensions) for record in records)
    agreed = sum(
        (entry["dimension"], entry["sentiment"]) in {(m.dimension, m.sentiment) for m in record.dimensions}
        for record, row in zip(records, rows, strict=True)
        for entry in row["labels"]
    )
    assert report["all"]["called"] == called > 0
    gold = sum(len(row["labels"]) for row in rows)
    assert value(report["all"], "joint", "f1") == pytest.approx(2 * agreed / (called + gold), abs=1e-4)
    right = sum(record.overall == row["overall"] for record, row in zip(records, rows, strict=True))
    assert value(report["overall"], "accuracy") == pytest.approx(right / 80, abs=1e-4)
    sure = {row["id"]: record for row, record in zip(rows, records, strict=True)}
    for mistake in report["mistakes"]:
        if mistake["head"] == "overall":
            assert mistake["confidence"] == pytest.approx(sure[mistake["id"]].overall_confidence, abs=1e-3)


def test_command_cross_fits_and_says_so(tiny_checkpoint: Path, data: Path, tmp_path: Path) -> None:
    out, text = tmp_path / "report.json", tmp_path / "report.txt"
    result = run("--data", data, "--model", tiny_checkpoint, "--cross-fit", "--json", out, "-o", text)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == ""
    assert json.loads(out.read_text("utf-8"))["rules"] == "cross-fitted"
    assert "refitted for each of five folds without its texts" in " ".join(text.read_text("utf-8").split())


def test_command_reads_tables_with_other_codings_and_several_files(
    tiny_checkpoint: Path, tmp_path: Path, texts: list[str]
) -> None:
    files = []
    for name, part in (("a.csv", texts[:20]), ("b.csv", texts[20:30])):
        files.append(tmp_path / name)
        with files[-1].open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["text", "seating", "price", "overall"])
            writer.writerows([text, "-1" if "座椅" in text else "-2", "", "1"] for text in part)
    out = tmp_path / "report.json"
    options = ("--model", tiny_checkpoint, "--json", out, "--map", "1=positive,-1=negative,-2=none")
    assert run("--data", *files, *options).exit_code == 0
    report = json.loads(out.read_text("utf-8"))
    assert report["texts"] == 30
    assert list(report["dimensions"]) == ["seating"]  # price is blank: not judged
    assert not {"intent", "escalation", "evidence"} & set(report)
    assert (
        run("--data", files[0], "--data", files[1], *options, "--blank", "none", "--exclude", "seating").exit_code == 0
    )
    report = json.loads(out.read_text("utf-8"))
    assert list(report["dimensions"]) == ["price"]
    assert report["excluded"] == ["seating"]


def test_command_shows_texts_only_when_asked(tiny_checkpoint: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.json"
    assert run("--data", data, "--model", tiny_checkpoint, "--json", out, "--show-texts").exit_code == 0
    (first, *_) = json.loads(out.read_text("utf-8"))["mistakes"]
    assert first["text"]


def test_command_takes_names_from_a_taxonomy(
    tiny_checkpoint: Path, data: Path, tmp_path: Path, taxonomy: Taxonomy
) -> None:
    own = taxonomy.to_dict()
    own["dimensions"][taxonomy.index["seating"]]["zh"] = "坐得舒服吗"
    path = tmp_path / "names.yaml"
    path.write_text(json.dumps(own, ensure_ascii=False), "utf-8")
    result = run("--data", data, "--model", tiny_checkpoint, "--taxonomy", path)
    assert result.exit_code == 0, result.stderr
    assert "坐得舒服吗" in result.stdout


def test_command_fails_in_one_line(tiny_checkpoint: Path, data: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"text": "座椅太硬", "overall": "sad"}\n', "utf-8")
    bare = tmp_path / "bare.jsonl"
    bare.write_text('{"text": "座椅太硬"}\n', "utf-8")
    few = tmp_path / "few.jsonl"
    few.write_text('{"text": "座椅太硬", "overall": "negative"}\n', "utf-8")
    empty = tmp_path / "empty.jsonl"
    empty.write_text("", "utf-8")
    for arguments, told in (
        (("--data", broken), "broken.jsonl, row 1"),
        (("--data", bare), "at least one label"),
        (("--data", few, "--cross-fit"), "at least 10 different texts"),
        (("--data", empty), "expected labelled texts, found none"),
        (("--data", data, "--exclude", "cushion"), "expected a dimension of the taxonomy"),
        (("--data", data, "--map", "1"), "expected --map as CODE=VALUE"),
        (("--data", data, "--json", tmp_path / "no" / "folder.json"), "No such file"),
        (("--data", tmp_path / "missing.jsonl"), "does not exist"),
        ((), "--data"),
    ):
        result = run(*arguments, "--model", tiny_checkpoint)
        assert result.exit_code == 2, (arguments, result.output)
        assert told in result.stderr
        assert result.stderr.splitlines()[-1].startswith("cinesent: ")


def test_help_is_a_manual() -> None:
    result = run("--help")
    assert result.exit_code == 0
    for told in ("Examples:", "Exit codes:", "--cross-fit", "--show-texts", "Kumar et al. 2019"):
        assert told in result.stdout


def test_evaluate_checkpoint_wants_texts(tiny_checkpoint: Path) -> None:
    with pytest.raises(EvaluationError, match="found none; give --data"):
        evaluate_checkpoint(load_checkpoint(tiny_checkpoint), {"data": []})


def test_confusion_text_counts_mentions_and_names_what_is_mistaken_for_what() -> None:
    labels = ["none", "positive", "neutral", "negative"]
    counts = [[50, 0, 0, 4], [2, 9, 0, 0], [0, 4, 3, 0], [1, 0, 0, 1_200]]
    assert confusion_text(counts, labels) == (
        1_212, "none → negative 4, neutral → positive 4, positive → none 2, negative → none 1",
    )  # fmt: skip
    assert confusion_text([[5, 0], [0, 0]], labels) == (0, "")
