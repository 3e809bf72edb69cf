"""What is promised beside a labelled set: every finding has files that have it, and files without it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from sentiment.taxonomy import Taxonomy
from training.companions import Companions, check_companions, read_companions
from training.example import Example
from training.requirements import Pairs, Requirements, Standoff

FILM = [{"dimension": "film", "sentiment": "positive", "start": 0, "end": 2}]
OTHER = [{"dimension": "film", "sentiment": "positive", "start": 0, "end": 3}]
TRADITIONAL, MAINLAND = "散場之後行去泊車嗰度都冇人指路", "散场以后走去停车的地方也没人指路"


def standoff_row(number: int, labels: list[dict[str, Any]] = FILM, **more: Any) -> dict[str, Any]:
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    heads = {"overall": "positive", "intent": "review", "escalation": False}
    return {"sha256": digest, "corpus": "film_douban", "labels": labels, **heads, **more}


def pair(number: int, text: str, **more: Any) -> dict[str, Any]:
    return {"id": f"p{number}", "text": text, "labels": [], "overall": "negative"} | more


def write(folder: Path, **files: list[dict[str, Any]]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, rows in files.items():
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text("".join(lines), "utf-8")
    return folder


def errors_of(required: Requirements, taxonomy: Taxonomy, *fitted: str) -> list[str]:
    examples = {"train": [Example(text, id=f"t{i}") for i, text in enumerate(fitted)]}
    return check_companions(read_companions(required, taxonomy), examples, required, shown=3)


FIRST = [standoff_row(number) for number in range(10)]
TWICE = [standoff_row(0), standoff_row(1, OTHER)]


def test_companions_counts_rows_of_all_files_but_the_second(tmp_path: Path, taxonomy: Taxonomy) -> None:
    folder = write(tmp_path / "standoff", film=FIRST[:6], trades=FIRST[6:], second=TWICE)
    required = Requirements(standoff=Standoff(folder, rows=10, second=0.2))
    assert errors_of(required, taxonomy) == []
    found = read_companions(required, taxonomy)
    assert (len(found.standoff), len(found.seconded()), found.alone(), found.paired()) == (10, 2, [], 0)
    assert errors_of(Requirements(standoff=Standoff(folder, rows=11)), taxonomy) == [
        f"stand-off rows: expected at least 11, found 10 in {folder}"
    ]
    assert errors_of(Requirements(standoff=Standoff(folder, second=0.3)), taxonomy) == [
        "stand-off rows with a second label: expected at least 30% of 10, found 2"
    ]
    nowhere = tmp_path / "nowhere"
    assert errors_of(Requirements(standoff=Standoff(nowhere, rows=1)), taxonomy) == [
        f"stand-off rows: expected at least 1, found 0 in {nowhere}"
    ]


def test_companions_names_second_labels_without_a_first(tmp_path: Path, taxonomy: Taxonomy) -> None:
    lone = standoff_row(77)
    folder = write(tmp_path / "standoff", film=FIRST, second=[*TWICE, lone])
    assert errors_of(Requirements(standoff=Standoff(folder, second=0.2)), taxonomy) == [
        f"second.jsonl: expected texts with a first label, found 1 without: {lone['sha256'][:8]}"
    ]


def test_companions_tells_a_copy_from_a_second_labelling(tmp_path: Path, taxonomy: Taxonomy) -> None:
    two = [*FILM, {"dimension": "staff", "sentiment": "negative", "start": 4, "end": 6}]
    first = [standoff_row(0, two), *FIRST[1:]]
    folder = write(tmp_path / "standoff", film=first, second=[standoff_row(0, two[::-1]), standoff_row(1)])
    required = Requirements(standoff=Standoff(folder))
    assert errors_of(required, taxonomy) == [
        "second.jsonl: expected labels given blind, found a copy of the first in all 2 rows"
    ]
    write(folder, second=[standoff_row(0, two), standoff_row(1, escalation=True)])
    assert errors_of(required, taxonomy) == []


@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        ({"sha256": "77"}, "film.jsonl, row 2: expected sha256, corpus, labels, overall, intent, escalation, found "),
        ({"sha256": FIRST[0]["sha256"]}, "film.jsonl, row 2: expected each text once, found "),
        ({"labels": [{"dimension": "popcorn", "sentiment": "positive"}]}, "film.jsonl, row 2, labels.dimension: "),
        ({"labels": [{"dimension": "film"}]}, "film.jsonl, row 2, labels.sentiment: "),
        ({"labels": ["film"]}, "film.jsonl, row 2, labels: expected a list of objects, found ['film']"),
        ({"intent": "praise"}, "film.jsonl, row 2, intent: expected one of review, "),
        ({"escalation": 1}, "film.jsonl, row 2, escalation: expected true or false, found 1"),
    ],
)
def test_companions_names_a_stand_off_row_that_does_not_fit(
    tmp_path: Path, taxonomy: Taxonomy, broken: dict[str, Any], expected: str
) -> None:
    folder = write(tmp_path / "standoff", film=[FIRST[0], FIRST[1] | broken])
    (error,) = errors_of(Requirements(standoff=Standoff(folder)), taxonomy)
    assert expected in error


def test_companions_counts_pairs_and_names_what_is_no_pair(tmp_path: Path, taxonomy: Taxonomy) -> None:
    folder = write(tmp_path / "pairs", traditional=[pair(1, TRADITIONAL)], mainland=[pair(1, MAINLAND)])
    assert errors_of(Requirements(pairs=Pairs(folder, pairs=1)), taxonomy) == []
    assert errors_of(Requirements(pairs=Pairs(folder, pairs=2)), taxonomy) == [
        f"pairs of wordings: expected at least 2, found 1 in {folder}"
    ]
    write(folder, mainland=[pair(1, MAINLAND, overall="positive"), pair(2, "座椅太硬")])
    assert errors_of(Requirements(pairs=Pairs(folder)), taxonomy) == [
        "pairs: expected every id in traditional and mainland, found 1 in one: p2",
        "pairs: expected the same labels on both sides, found others in 1: p1",
    ]
    write(folder, mainland=[pair(1, MAINLAND), pair(1, "座椅太硬")])
    assert errors_of(Requirements(pairs=Pairs(folder)), taxonomy) == [
        "mainland.jsonl, row 2: expected an id of its own, found 'p1'"
    ]


def test_companions_names_a_training_text_that_nearly_repeats_a_pair(tmp_path: Path, taxonomy: Taxonomy) -> None:
    folder = write(tmp_path / "pairs", traditional=[pair(1, TRADITIONAL)], mainland=[pair(1, MAINLAND)])
    required = Requirements(pairs=Pairs(folder, pairs=1))
    assert errors_of(required, taxonomy, "座椅太硬", "停车的地方没有灯") == []
    told = "near-duplicate (5-gram Jaccard over 0.5) of the pair"
    assert errors_of(required, taxonomy, "座椅太硬", f"{MAINLAND}！", f"{TRADITIONAL}啊") == [
        f"train, row 2 (t1): {told} mainland p1",
        f"train, row 3 (t2): {told} traditional p1",
    ]
    many = errors_of(required, taxonomy, *(f"{MAINLAND}{mark}" for mark in "啊吧呢吗呀"))
    assert len(many) == 4 and many[-1] == "2 more near-duplicates of pairs"


def test_companions_of_a_set_that_promises_none_are_empty(taxonomy: Taxonomy) -> None:
    assert read_companions(Requirements(), taxonomy) == Companions(pairs={"traditional": {}, "mainland": {}}, broken=[])
    assert errors_of(Requirements(), taxonomy, "座椅太硬") == []
