"""Parquet: types, batches, and what is broken."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from packaging.requirements import Requirement

from sentiment.tables import ReadOptions, Reject, Row, Table, TableError, open_tables


def _open(table: pa.Table, path: Path, **options: Any) -> Table:
    pq.write_table(table, path, row_group_size=5000)
    return open_tables([path], ReadOptions(**options))


def _texts(count: int) -> pa.Array:
    return pa.array([f"好看{n}" for n in range(count)])


def test_parquet_reader_types(tmp_path: Path) -> None:
    rows = [
        {
            "id": 1,
            "text": "好看",
            "x": 1.5,
            "list": [1, 2],
            "struct": {"a": "b"},
            "when": dt.datetime(2024, 1, 1),
            "none": None,
        },
        {"id": 2, "text": None, "x": None, "list": [], "struct": None, "when": None, "none": None},
    ]
    arrow = pa.Table.from_pylist(rows)
    table = _open(arrow, tmp_path / "a.parquet")
    assert [item.cells for item in table if isinstance(item, Row)] == rows
    assert table.schema == arrow.schema
    assert (table.size, table.columns) == (2, arrow.column_names)


def test_parquet_reader_batches(tmp_path: Path) -> None:
    table = _open(pa.table({"text": _texts(12_000)}), tmp_path / "a.parquet")
    items = list(table)
    assert [item.number for item in items] == list(range(1, 12_001))
    assert items[-1] == list(table)[-1]
    assert table.position() == table.bytes_total


def test_parquet_reader_nanoseconds(tmp_path: Path) -> None:
    when = pa.array([1_700_000_000_123_456_789], pa.timestamp("ns"))
    table = _open(
        pa.table({"text": ["好"], "when": when, "d": when.cast(pa.int64()).cast(pa.duration("ns"))}),
        tmp_path / "a.parquet",
    )
    (row,) = table
    assert isinstance(row, Row) and type(row.cells["when"]) is dt.datetime and row.cells["when"].microsecond == 123456
    assert any("microsecond" in note for note in table.notes)
    assert table.schema is not None and table.schema.field("when").type == pa.timestamp("ns")


def test_parquet_reader_broken_text(tmp_path: Path) -> None:
    broken = pa.array(["好".encode(), b"\xff\xfe", "行".encode()], pa.binary()).view(pa.string())
    table = _open(pa.table({"text": broken, "id": [1, 2, 3]}), tmp_path / "a.parquet", text_column="text")
    first, bad, last = table
    assert isinstance(first, Row) and isinstance(bad, Reject) and isinstance(last, Row)
    assert bad.number == 2 and "column text" in bad.reason and "\\xff" in bad.raw and "\n" not in bad.reason


def test_parquet_reader_same_name_twice(tmp_path: Path) -> None:
    arrow = pa.Table.from_arrays([pa.array(["好"]), pa.array(["看"])], names=["text", "text"])
    table = _open(arrow, tmp_path / "a.parquet")
    assert table.columns == ["text", "text_2"] == (table.schema or pa.schema([])).names
    assert [item.cells for item in table if isinstance(item, Row)] == [{"text": "好", "text_2": "看"}]


def test_parquet_reader_truncated_or_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    _open(pa.table({"text": _texts(20_000)}), path)
    data = path.read_bytes()
    for broken in (data[:4], data[: len(data) // 2], data[:-5]):
        path.write_bytes(broken)
        with pytest.raises(TableError, match="damaged or cut short") as error:
            open_tables([path], ReadOptions())
        assert "\n" not in str(error.value)
    path.write_bytes(data[:4] + b"\xff" * (len(data) // 2) + data[4 + len(data) // 2 :])
    with pytest.raises(TableError, match="damaged or cut short"):
        list(open_tables([path], ReadOptions()))


def test_parquet_reader_empty(tmp_path: Path) -> None:
    assert list(_open(pa.table({"text": pa.array([], pa.string())}), tmp_path / "a.parquet")) == []


def test_parquet_reader_has_time_zones_on_windows() -> None:
    tomllib = pytest.importorskip("tomllib")
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))["project"]
    needed = {
        platform: {one.name for one in map(Requirement, project["dependencies"]) if _needed(one, platform)}
        for platform in ("win32", "linux")
    }
    assert needed["win32"] - needed["linux"] == {"tzdata"}


def _needed(requirement: Requirement, platform: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"sys_platform": platform})
