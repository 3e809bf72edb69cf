"""data/samples/reviews.csv is what the documentation says it is."""

from __future__ import annotations

import csv
from datetime import date
from pathlib import Path

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
