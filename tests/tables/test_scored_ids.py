"""The identifiers of texts in scored files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from made_table import FakeAnalyzer, options

from sentiment.batch import score
from sentiment.tables import ReadOptions, open_tables
from sentiment.tables.scored import ScoredFiles, ScoredText
from sentiment.taxonomy import load_taxonomy


@pytest.mark.parametrize("name", ["out.csv", "out.xlsx", "out.jsonl", "out.parquet"])
def test_scored_identifier_zero_is_one(tmp_path: Path, name: str) -> None:
    dump = tmp_path / "dump.jsonl"
    dump.write_text("".join(json.dumps({"id": i, "text": "座位太挤"}) + "\n" for i in (7, 0, None, 9)), "utf-8")
    score(open_tables([dump], ReadOptions()), FakeAnalyzer(), tmp_path / name, options())
    found = [one for one in ScoredFiles([tmp_path / name], load_taxonomy()) if isinstance(one, ScoredText)]
    assert [one.id for one in found] == ["7", "0", "3", "9"]
