"""JSON lines: the record beside its input."""

from __future__ import annotations

import datetime as dt
import json
import math
from decimal import Decimal
from typing import Any

import pytest
from written import OK, TAXONOMY, block, write

from sentiment.tables.jsonl_writer import dump_line
from sentiment.tables.writers import Plan


def test_jsonl_writer_record_and_input() -> None:
    cells = {
        "text": "好",
        "when": dt.datetime(2024, 5, 1),
        "price": Decimal("39.90"),
        "deep": {"a": [1, None]},
        "nan": math.nan,
    }
    line, empty = write(Plan("jsonl", False, TAXONOMY.keys, True), block([cells, {"text": None}])).splitlines()
    record = json.loads(line)
    assert record.pop("input") == {
        "text": "好",
        "when": "2024-05-01T00:00:00",
        "price": 39.9,
        "deep": {"a": [1, None]},
        "nan": None,
    }
    assert record == OK.to_dict(probabilities=True) | {"id": "1"}
    assert list(record) == list(OK.to_dict(probabilities=True))
    assert b'"price":39.90,' in line
    assert json.loads(empty)["probabilities"] == {}
    (plain,) = write(Plan("jsonl", False, TAXONOMY.keys), block([cells])).splitlines()
    assert "probabilities" not in json.loads(plain)


@pytest.mark.parametrize("value", [{"a": "\ud800"}, {"a": 10**30}, {"a": [-(10**20), "好"]}, {"\udfff": 1.5}])
def test_jsonl_writer_what_utf8_and_64_bits_cannot_hold(value: Any) -> None:
    assert json.loads(dump_line(value)) == value
