"""The files of data/samples are what the documentation says they are."""

from __future__ import annotations

import csv
import io
import json
from datetime import date
from pathlib import Path

from benchmarks.visits import CINEMAS, COLUMNS, FIRST, LAST, ROWS, TARGET, compose, to_bytes
from sentiment.text import normalise

SAMPLE = Path(__file__).parent.parent / "data" / "samples" / "reviews.csv"


def test_the_sample_is_as_documented() -> None:
    assert SAMPLE.read_bytes().startswith(b"\xef\xbb\xbf")
    with SAMPLE.open(encoding="utf-8-sig", newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) == 120
    assert list(rows[0]) == ["日期", "影院", "城市", "评分", "评论"]
    texts = [row["评论"] for row in rows]
    assert len(set(texts)) == len(texts)
    found = [normalise(text) for text in texts]
    assert [norm.status for norm in found].count("empty") == 2
    assert [norm.status for norm in found].count("not_chinese") == 1
    assert sum(norm.status == "ok" and norm.script == "other" for norm in found) == 1  # emoji alone
    assert sum(norm.script in ("hant", "mixed") for norm in found) >= 10
    assert 550 <= max(map(len, texts)) <= 650
    for row in rows:
        assert date.fromisoformat(row["日期"]).year == 2026
        assert row["评分"] in ("", "1", "2", "3", "4", "5")
        assert row["影院"] and row["城市"]


def _visits(made: bytes) -> list[dict[str, str]]:
    assert made.startswith(b"\xef\xbb\xbf")
    return list(csv.DictReader(io.StringIO(made.decode("utf-8-sig"), newline="")))


def test_the_visits_are_as_documented() -> None:
    made = TARGET.read_bytes()
    assert len(made) < 1_500_000
    rows = _visits(made)
    assert len(rows) == ROWS
    assert list(rows[0]) == list(COLUMNS)
    assert {row["影院"] for row in rows} == set(CINEMAS)
    assert {row["评分"] for row in rows} == {"", "1", "2", "3", "4", "5"}
    dates = [row["日期"] for row in rows]
    assert dates == sorted(dates)
    assert FIRST.isoformat() <= dates[0] <= dates[-1] <= LAST.isoformat()
    assert sum(not row["评论"] for row in rows) == 23


def test_the_script_composes_the_same_again() -> None:
    """Not byte for byte what is committed: the training texts may have been corrected since."""
    made = to_bytes(compose())
    assert made == to_bytes(compose())
    rows, committed = _visits(made), _visits(TARGET.read_bytes())
    assert len(rows) == len(committed)
    assert list(rows[0]) == list(committed[0])


def test_the_visits_are_composed_of_training_texts_only() -> None:
    cinema = TARGET.parents[1] / "cinema"
    lines = [line for name in ("dev", "test") for line in (cinema / f"{name}.jsonl").read_text("utf-8").splitlines()]
    held_out = [text for text in (json.loads(line)["text"] for line in lines) if len(text) >= 12]
    assert len(held_out) > 1000
    shown = TARGET.read_text("utf-8-sig")
    assert [text for text in held_out if text in shown] == []
