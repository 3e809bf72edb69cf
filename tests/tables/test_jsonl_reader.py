"""JSONL and JSON arrays: objects stay as they are, everything else is a reject."""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentiment.tables import ReadOptions, Reject, Row, Table, TableError, jsonl_reader, open_tables
from sentiment.tables.jsonl_writer import dump_line

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab好", max_size=3), inner, max_size=3),
    max_leaves=5,
)


def _open(folder: Path, data: str | bytes, name: str = "f.jsonl", **options: Any) -> Table:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return open_tables([path], ReadOptions(**options))


@given(
    st.lists(st.dictionaries(st.sampled_from(["a", "b", "编号"]), VALUES), max_size=6),
    st.booleans(),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_jsonl_reader_round_trip(rows: list[dict[str, Any]], ascii_only: bool, codec: str) -> None:
    rows = [{"text": "好看", **row} for row in rows or [{}]]
    data = "".join(json.dumps(row, ensure_ascii=ascii_only) + "\n" for row in rows)
    with tempfile.TemporaryDirectory() as folder:
        table = _open(Path(folder), data.encode(codec))
        found = [item.cells for item in table if isinstance(item, Row)]
    assert found == rows


def test_jsonl_reader_rejects(tmp_path: Path) -> None:
    lines = [
        '{"text": "好"}',
        "{text: 1}",
        "",
        "[1]",
        "5",
        '"x"',
        "null",
        '{"text": "\\ud800"}',
        "[" * 100_000,
        '{"text": "行"}',
    ]
    items = list(_open(tmp_path, "\n".join(lines)))
    assert [item.number for item in items] == list(range(1, 10))
    assert [type(item) for item in items] == [Row, *[Reject] * 7, Row]
    reasons = [item.reason for item in items if isinstance(item, Reject)]
    assert reasons[0].startswith("not valid JSON") and reasons[0].endswith("(line 2)")
    assert reasons[1] == "expected a JSON object, found an array (line 4)"
    assert all("\n" not in reason for reason in reasons)


def test_jsonl_reader_undecodable_line(tmp_path: Path) -> None:
    _, bad, last = _open(tmp_path, '{"text": "好看"}\n'.encode() + b'{"text": "\xff"}\n' + '{"text": "行"}'.encode())
    assert isinstance(bad, Reject) and bad.raw == '{"text": "\\xff"}'
    assert isinstance(last, Row)


def test_jsonl_reader_columns_in_order_and_late_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonl_reader, "COLUMN_ROWS", 2)
    table = _open(tmp_path, '{"b": 1, "text": "好"}\n{"a": {"x": [1]}, "text": "好"}\n{"late": 1, "text": "好"}\n')
    assert table.columns == ["b", "text", "a"]
    assert [item.cells for item in table if isinstance(item, Row)][1:] == [
        {"a": {"x": [1]}, "text": "好"},
        {"late": 1, "text": "好"},
    ]


def test_jsonl_reader_numbers(tmp_path: Path) -> None:
    (row,) = _open(tmp_path, '{"text": "好", "id": 123456789012345678901234567890, "x": NaN, "y": 1.5}')
    assert isinstance(row, Row)
    assert row.cells["id"] == 123456789012345678901234567890
    assert math.isnan(row.cells["x"]) and row.cells["y"] == 1.5


def test_jsonl_reader_leaves_our_own_input_struct(tmp_path: Path) -> None:
    (row,) = _open(tmp_path, '{"text": "好", "input": {"评论": "好", "n": [1, {}]}}')
    assert isinstance(row, Row) and row.cells["input"] == {"评论": "好", "n": [1, {}]}


def test_jsonl_reader_one_pretty_object(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"one JSON object a line.*jq"):
        _open(tmp_path, '{\n "text": "好"\n}')


@pytest.mark.parametrize("options", [{}, {"input_format": "jsonl"}])
def test_jsonl_reader_array(tmp_path: Path, options: dict[str, Any]) -> None:
    table = _open(tmp_path, '[{"text": "好"},\n 5, {"text": "行"}]', "f.json", **options)
    assert table.size == 3
    for _ in range(2):
        first, bad, last = table
        assert isinstance(first, Row) and isinstance(bad, Reject) and isinstance(last, Row)
        assert (bad.number, bad.raw, last.number) == (2, "5", 3)


def nested(depth: int) -> str:
    return '{"text": "好", "x": ' + "[" * depth + "1" + "]" * depth + "}"


@pytest.mark.parametrize("deep", [jsonl_reader.MAX_DEPTH, 600, 1000])
def test_jsonl_reader_rejects_what_no_writer_could_write(tmp_path: Path, deep: int) -> None:
    rows = [nested(jsonl_reader.MAX_DEPTH - 1), nested(deep), '{"text": "行"}']
    for name, data in (("f.jsonl", "\n".join(rows)), ("f.json", f"[{', '.join(rows)}]")):
        first, bad, last = _open(tmp_path, data, name)
        assert isinstance(first, Row) and isinstance(bad, Reject) and isinstance(last, Row)
        assert bad.reason.startswith("nested more than 100 deep (") or bad.reason.startswith("not valid JSON: nested")
        assert json.loads(dump_line(first.cells)) == first.cells


@pytest.mark.parametrize("data", ['[{"text": "好"}', "[{]", "[]"])
def test_jsonl_reader_broken_array(tmp_path: Path, data: str) -> None:
    with pytest.raises(TableError, match=r"^expected .* found"):
        _open(tmp_path, data, "f.json")


def test_jsonl_reader_large_array(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonl_reader, "ARRAY_LIMIT", 30)
    with pytest.raises(TableError, match=r"larger; convert it .* jq -c"):
        _open(tmp_path, '[{"text": "好看的电影"}, {"text": "行"}]', "f.json")
