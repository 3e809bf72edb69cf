"""Scored files of every format, layout and language read as the same texts, labels and confidences."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from word_scorer import score_file

from sentiment.tables import Reject, TableError
from sentiment.tables.scored import ScoredFiles, ScoredText
from sentiment.taxonomy import Taxonomy
from training.example import parse_record

TEXTS = ["😀座椅坏，票价好 61", "=停车平", "", "Great seats", "天气伤心 70", "座椅坏\n换行，座椅坏"]


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    path = tmp_path / "dump.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["编号", "评论", "渠道"])
        writer.writerows([f"r{i}", text, "app"] for i, text in enumerate(TEXTS))
    return path


def read(path: Path, taxonomy: Taxonomy, **options: Any) -> list[ScoredText]:
    found = list(ScoredFiles([path], taxonomy, **options))
    assert not any(isinstance(one, Reject) for one in found)
    return found  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("out.csv", {}),
        ("out.csv", {"lang": "zh"}),
        ("out.csv", {"layout": "long"}),
        ("out.csv.gz", {"layout": "long", "lang": "zh"}),
        ("out.tsv", {"lang": "zh", "probabilities": True}),
        ("out.xlsx", {}),
        ("out.xlsx", {"layout": "long", "lang": "zh"}),
        ("out.jsonl", {}),
        ("out.jsonl", {"probabilities": True}),
        ("out.parquet", {}),
    ],
)
def test_scored_reads_what_score_wrote(name: str, options: dict[str, Any], dump: Path, taxonomy: Taxonomy) -> None:
    found = read(score_file(dump, dump.with_name(name), **options), taxonomy)
    assert [one.text for one in found] == TEXTS and [one.id for one in found] == [f"r{i}" for i in range(6)]
    assert [one.status for one in found] == ["ok", "ok", "empty", "not_chinese", "ok", "ok"]
    examples = [parse_record({"text": one.text, **one.labels}, taxonomy, "row") for one in found if one.text]
    first, parking, foreign, hurt, twice = examples
    assert first.labels == {"seating": ("negative", 1, 4), "price": ("positive", 5, 8)}
    assert (first.overall, first.intent, first.escalation) == ("negative", "review", False)
    assert first.annotated == frozenset(taxonomy.keys) and parking.labels == {"parking": ("neutral", 1, 4)}
    assert foreign.annotated == frozenset() and foreign.overall is None
    assert hurt.labels == {} and hurt.annotated == frozenset(taxonomy.keys) and hurt.escalation is True
    assert twice.labels["seating"][:2] == ("negative", 0)
    assert found[0].confidence == {"overall": 0.61, "intent": 0.97, "escalation": 0.98, "seating": 0.9, "price": 0.9}
    with_shares = options.get("probabilities") or name.endswith(".parquet")
    assert len(found[0].probabilities) == (len(taxonomy.keys) if with_shares else 0)
    assert all(
        list(map(float, share)) == pytest.approx([0.01, 0.01, 0.02]) for share in found[0].probabilities.values()
    )
    assert found[0].cells["渠道"] == "app"


def test_scored_knows_which_dimensions_a_wide_file_has(dump: Path, taxonomy: Taxonomy) -> None:
    found = read(score_file(dump, dump.with_name("out.csv"), dimensions=("seating",)), taxonomy)
    assert found[0].labels["annotated"] == ["seating"] and len(found[0].labels["labels"]) == 1


def test_scored_reads_corrections_by_hand(dump: Path, taxonomy: Taxonomy) -> None:
    wide = score_file(dump, dump.with_name("out.csv"))
    rows = list(csv.DictReader(wide.read_text("utf-8-sig").splitlines()))
    rows[0] |= {"cs_seating": "", "cs_price": "neutral", "cs_overall": "neutral", "cs_escalation": "TRUE"}
    rows[0] |= {"cs_sound": "positive", "cs_sound_evidence": "坏"}
    rows[3] |= {"cs_overall": "positive"}
    with wide.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows[:4])
    found = read(wide, taxonomy)
    example = parse_record({"text": found[0].text, **found[0].labels}, taxonomy, "row")
    assert example.labels == {"price": ("neutral", 5, 8), "sound": ("positive", 3, 4)}
    assert (example.overall, example.escalation) == ("neutral", True)
    assert found[3].labels["overall"] == "positive" and found[3].labels["labels"] == []


def test_scored_takes_changed_words_for_the_evidence(dump: Path, taxonomy: Taxonomy) -> None:
    path = score_file(dump, dump.with_name("out.jsonl"))
    record = json.loads(path.read_text("utf-8").splitlines()[0])
    record["dimensions"][0] |= {"evidence": "座椅坏，"}
    record["overall"] = "neutral"
    path.write_text(json.dumps(record, ensure_ascii=False) + "\n{broken\n", "utf-8")
    found = list(ScoredFiles([path], taxonomy))
    assert isinstance(found[0], ScoredText) and isinstance(found[1], Reject)
    assert found[0].labels["labels"][0]["evidence"] == "座椅坏，" and found[0].labels["overall"] == "neutral"


def test_scored_refuses_other_files(dump: Path, taxonomy: Taxonomy) -> None:
    with pytest.raises(TableError, match=r"expected a file that `cinesent score` wrote, found .*dump.csv"):
        ScoredFiles([dump], taxonomy)
    with pytest.raises(TableError, match="--text-col"):
        ScoredFiles([score_file(dump, dump.with_name("out.csv"))], taxonomy, "no such")
