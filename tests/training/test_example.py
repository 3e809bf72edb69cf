from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from sentiment.taxonomy import Taxonomy
from training.example import DatasetError, Example, parse_record
from training.labelled_files import read_labelled

Write = Callable[..., Path]


def test_example_record_is_read_whole(jsonl: Write, taxonomy: Taxonomy) -> None:
    row = {
        "text": "座椅太硬，票价还行",
        "labels": [
            {"dimension": "seating", "sentiment": "negative", "evidence": "太硬"},
            {"dimension": "price", "sentiment": "neutral", "start": 5, "end": 9},
            {"dimension": "film", "sentiment": "positive"},
        ],
        "overall": "negative", "intent": "complaint", "escalation": False, "rating": 2, "id": 17, "author": "甲",
        "kind": "decoy", "source": "ours", "annotators": [], "split": "train",
    }  # fmt: skip
    (example,) = read_labelled([jsonl(row)], taxonomy, weight=0.5)
    labels = {"seating": ("negative", 2, 4), "price": ("neutral", 5, 9), "film": ("positive", -1, -1)}
    assert example == Example(
        row["text"], labels, frozenset(taxonomy.keys), "negative", "complaint", False, 2.0, "17", "ours", "decoy", "甲",
        0.5,
    )  # fmt: skip


def test_example_missing_keys_are_unknown(jsonl: Write, taxonomy: Taxonomy) -> None:
    (example,) = read_labelled([jsonl({"text": "好"})], taxonomy)
    assert example == Example("好")
    assert example.annotated == frozenset() and example.overall is example.escalation is example.rating is None
    (empty,) = read_labelled([jsonl({"text": "好", "labels": []})], taxonomy)
    assert empty.annotated == frozenset(taxonomy.keys) and empty.labels == {}
    subset = {"text": "好", "labels": [{"dimension": "film", "sentiment": "positive"}], "annotated": ["price"]}
    (judged,) = read_labelled([jsonl(subset)], taxonomy)
    assert judged.annotated == {"price", "film"}
    (nothing,) = read_labelled([jsonl({"text": "好", "labels": None, "rating": math.nan, "overall": None})], taxonomy)
    assert nothing == Example("好")


def test_example_what_a_record_does_not_say_is_unknown(taxonomy: Taxonomy) -> None:
    found = parse_record({"text": "座椅坏", "annotated": ["seating"], "id": None}, taxonomy, "row 1")
    assert found == Example("座椅坏")


def test_example_offsets_that_point_at_other_words_are_refused(taxonomy: Taxonomy) -> None:
    entry = {"dimension": "seating", "sentiment": "negative", "evidence": "座椅坏"}
    row = {"text": "😀座椅坏了", "labels": [{**entry, "start": 2, "end": 5}]}  # in UTF-16 code units
    said = r"column labels\.evidence \(seating\): expected its words from start to end, found others at 2\.\.5; .*$"
    with pytest.raises(DatasetError, match=f"^row 1, {said}"):
        parse_record(row, taxonomy, "row 1")
    with pytest.raises(DatasetError, match=r"^row 1, column rating: expected a number, found inf$"):
        parse_record({"text": "好", "rating": math.inf}, taxonomy, "row 1")


def test_example_is_immutable() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Example("好").text = "坏"  # type: ignore[misc]
