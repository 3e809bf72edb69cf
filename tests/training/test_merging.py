"""Judgements of several people about one text, and how far they agree."""

from __future__ import annotations

from typing import Any

import pytest

from sentiment.taxonomy import Taxonomy
from training.agreement import agreement
from training.example import parse_record
from training.merging import Judgement, merge, sha256

TEXT = "座椅坏，票价好"


def said(by: str, seating: str | None, text: str = TEXT, **more: Any) -> Judgement:
    options = {name: more.pop(name) for name in ("at", "settled", "id", "heard") if name in more}
    labels = [] if seating is None else [{"dimension": "seating", "sentiment": seating, "evidence": "座椅坏"}]
    return Judgement(text, {"labels": labels, **more}, by, "f.jsonl", 1, **options)


def test_merging_majority_wins_and_a_tie_is_unknown(taxonomy: Taxonomy) -> None:
    votes = [said("a", "negative", overall="negative"), said("b", None, overall="neutral"), said("c", "negative")]
    merged = merge(votes, taxonomy)
    (record,) = merged.records
    assert record["labels"] == [
        {"dimension": "seating", "sentiment": "negative", "evidence": "座椅坏", "start": 0, "end": 3}
    ]
    assert "annotated" not in record and "overall" not in record and merged.open == 1 and record["id"] == sha256(TEXT)
    assert [entry["annotator"] for entry in record["annotators"]] == ["a", "b", "c"]
    (record,) = merge(votes[:2], taxonomy).records
    assert record["labels"] == [] and set(taxonomy.keys) - set(record["annotated"]) == {"seating"}


def test_merging_the_settled_judgement_holds(taxonomy: Taxonomy) -> None:
    votes = [said("a", None), said("b", None), said("c", "negative", settled=True, id="r1")]
    (record,) = merge(votes, taxonomy).records
    assert record["labels"][0]["sentiment"] == "negative" and record["id"] == "r1"


def test_merging_counts_the_latest_of_one_person(taxonomy: Taxonomy) -> None:
    merged = merge([said("a", "negative", at="2026-01-02"), said("a", "neutral", at="2026-01-01")], taxonomy)
    assert merged.records[0]["labels"][0]["sentiment"] == "negative" and merged.repeated == 1
    merged = merge([said("a", "negative"), said("a", "negative")], taxonomy)
    assert merged.repeated == 1 and merged.rejects == []
    merged = merge([said("a", "negative"), said("a", "positive")], taxonomy)
    assert merged.records[0]["labels"][0]["sentiment"] == "negative"
    assert [reject.reason for reject in merged.rejects] == [
        "expected each text once, found it in row 1 of f.jsonl with other labels"
    ]


def test_merging_gives_every_text_an_id_of_its_own(taxonomy: Taxonomy) -> None:
    merged = merge([said("a", None, id="7"), said("a", None, text="另一条", id="7")], taxonomy)
    assert [record["id"] for record in merged.records] == ["7", sha256("另一条")]


def test_agreement_asks_only_what_both_judged(taxonomy: Taxonomy) -> None:
    def judged(*labels: tuple[str, str], **more: Any) -> Any:
        entries = [{"dimension": key, "sentiment": sentiment} for key, sentiment in labels]
        return parse_record({"text": TEXT, "labels": entries, **more}, taxonomy, "row")

    full = judged(("seating", "negative"), ("price", "positive"), overall="negative", escalation=False)
    part = judged(("seating", "neutral"), annotated=["seating"], overall="positive")
    found = agreement([[full, part], [full]], taxonomy)
    assert found == {"texts": 1, "pairs": 1, "mention": 1.0, "joint": 0.0, "overall": 0.0}
    other = judged(("seating", "negative"), overall="neutral")
    found = agreement([[full, full, full], [other, other]], taxonomy)
    assert (found["pairs"], found["mention"], found["overall"]) == (4, 1.0, 1.0) and "escalation" not in found
    assert agreement([[full]], taxonomy) == {"texts": 0, "pairs": 0}
    assert agreement([[full, other]], taxonomy)["mention"] == pytest.approx(2 / 3, abs=1e-3)


def test_merging_adds_up_the_corrections_of_one_person(taxonomy: Taxonomy) -> None:
    def corrected(at: str, **labels: Any) -> Judgement:
        return Judgement(TEXT, labels, "desk", "feedback", 1, at=at, partial=True)

    def mention(key: str, sentiment: str) -> dict[str, str]:
        return {"dimension": key, "sentiment": sentiment}

    first = corrected("1", annotated=["seating", "price"], labels=[mention("seating", "neutral")], intent="review")
    second = corrected("2", annotated=["price"], labels=[mention("price", "positive")])
    third = corrected("3", overall="neutral")
    for order in ([first, second, third], [third, second, first]):
        merged = merge(order, taxonomy)
        (record,) = merged.records
        assert record["labels"] == [mention("seating", "neutral"), mention("price", "positive")]
        assert record["annotated"] == ["seating", "price"]
        assert (record["overall"], record["intent"]) == ("neutral", "review") and merged.repeated == 0
        assert len(record["annotators"]) == 1
    # Who judges everything later takes back what was corrected before.
    (record,) = merge([first, third, said("desk", "negative", at="4")], taxonomy).records
    assert record["labels"][0]["sentiment"] == "negative" and "annotated" not in record and "overall" not in record
    # Nothing says which of two is later: they may agree, not contradict each other.
    (record,) = merge([corrected("", overall="neutral"), corrected("", intent="review")], taxonomy).records
    assert (record["overall"], record["intent"]) == ("neutral", "review")
    merged = merge([corrected("", overall="neutral"), corrected("", overall="negative")], taxonomy)
    assert merged.records[0]["overall"] == "neutral" and len(merged.rejects) == 1
