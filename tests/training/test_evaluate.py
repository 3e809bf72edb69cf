"""What a report counts, worked out by hand or against the metrics."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from made_scores import example, plain_rules, scored, simulated, value

from sentiment.taxonomy import Taxonomy
from training.evaluate import (
    LEAST_CERTAIN,
    SHOWN_MISTAKES,
    evaluate,
)
from training.evaluation_text import confusion_text, write_report
from training.example import Example
from training.metrics import summary
from training.scores import Scores, gold_labels

NOTHING = frozenset[str]()


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


def test_confusion_text_counts_mentions_and_names_what_is_mistaken_for_what() -> None:
    labels = ["none", "positive", "neutral", "negative"]
    counts = [[50, 0, 0, 4], [2, 9, 0, 0], [0, 4, 3, 0], [1, 0, 0, 1_200]]
    assert confusion_text(counts, labels) == (
        1_212, "none → negative 4, neutral → positive 4, positive → none 2, negative → none 1",
    )  # fmt: skip
    assert confusion_text([[5, 0], [0, 0]], labels) == (0, "")
