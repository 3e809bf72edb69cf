"""Parquet: cells through a part, types as they were or as they are inferred."""

from __future__ import annotations

import datetime as dt
import io
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from written import EMPTY, OK, TAXONOMY, block, write

from sentiment.tables.base import Row
from sentiment.tables.parquet_writer import ColumnTypes, block_rows, block_table, decode_cells, encode_cells
from sentiment.tables.writers import Plan

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


typed_values = (
    json_values
    | st.datetimes()
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.decimals(allow_nan=False)
    | st.binary()
)


@given(st.dictionaries(st.text(), typed_values, max_size=4))
@example({"\0date": "not a day"})
@example({"x": [{"\0bytes": "?"}, {"\0\0decimal": {"\0time": 1}}, {"\0date": "2024-01-01", "y": dt.date(2024, 1, 1)}]})
@example({"x": {"\0timedelta": "\ud800"}})
def test_parquet_writer_cells_round_trip_through_a_part(cells: dict[str, Any]) -> None:
    assert decode_cells(encode_cells(cells)) == cells


def test_parquet_writer_blocks_give_back_records_and_cells() -> None:
    cells: list[dict[str, Any]] = [{"text": "好", "n": 10**30}, {"text": None}]
    found = list(block_rows(block(cells), probabilities=True))
    assert found == [
        (OK.to_dict(probabilities=True) | {"id": "1"}, cells[0]),
        (EMPTY.to_dict(probabilities=True) | {"id": "2"}, cells[1]),
    ]


def parquet(cells: list[dict[str, Any]]) -> pa.Table:
    types = ColumnTypes(["text"])
    for row in cells:
        types.add(row)
    return pq.read_table(io.BytesIO(write(Plan("parquet", False, TAXONOMY.keys, types=types), block(cells))))


def test_parquet_writer_schema() -> None:
    table = parquet([{"text": "好"}, {"text": None}])
    assert table.schema.names == [*OK.to_dict(), "probabilities", "input"]
    assert table.schema.field("probabilities").type.field("seating").type == pa.list_(pa.float32())
    first, second = table.to_pylist()
    assert first["probabilities"]["seating"] == pytest.approx([0.1, 0.2, 0.3])
    assert first["dimensions"][0] == OK.dimensions[0].to_dict()
    assert second["overall"] is second["probabilities"] is second["escalation"] is None
    assert second["dimensions"] == []


@pytest.mark.parametrize(
    ("values", "kind", "found"),
    [
        (["a", None, "b"], pa.string(), ["a", None, "b"]),
        ([1, None, 2**62], pa.int64(), [1, None, 2**62]),
        ([1, 2.5], pa.float64(), [1.0, 2.5]),
        ([True, None], pa.bool_(), [True, None]),
        ([dt.datetime(2024, 5, 1, 8)], pa.timestamp("us"), [dt.datetime(2024, 5, 1, 8)]),
        ([dt.datetime(2024, 5, 1), dt.date(2024, 5, 2)], pa.timestamp("us"), [dt.datetime(2024, 5, d) for d in (1, 2)]),
        ([None, None], pa.string(), [None, None]),
        (["a", 5, True, None], pa.string(), ["a", "5", "true", None]),
        ([{"a": 1}, [2, "好"]], pa.string(), ['{"a": 1}', '[2, "好"]']),
        ([2**62 + 1, 0.5], pa.string(), [str(2**62 + 1), "0.5"]),
        ([2**70], pa.string(), [str(2**70)]),
        ([True, 1], pa.string(), ["true", "1"]),
        (["a\ud800"], pa.string(), ["a\ufffd"]),
    ],
)
def test_parquet_writer_infers_types(values: list[Any], kind: pa.DataType, found: list[Any]) -> None:
    column = parquet([{"text": "好", "x": value} for value in values])["input"].combine_chunks().field("x")
    assert column.type == kind
    assert column.to_pylist() == found


def test_parquet_writer_probabilities_of_dimensions_that_nobody_asked_for_are_missing() -> None:
    half = replace(OK, probabilities={"seating": (0.1, 0.2, 0.3)})
    rows = [Row("in.csv", number, {}) for number in (1, 2, 3)]
    table = block_table(rows, [OK, half, EMPTY], ["1", "2", "3"], ("price", "seating"), None)
    of_ok = {key: list(OK.probabilities[key]) for key in ("price", "seating")}
    assert table["probabilities"].to_pylist() == [of_ok, {"price": None, "seating": [0.1, 0.2, 0.3]}, None]
    table = block_table(rows, [OK, half, EMPTY], ["1", "2", "3"], ("price",), None)
    assert table["probabilities"].to_pylist() == [{"price": of_ok["price"]}, None, None]


def _row_groups(blocks: int) -> list[int]:
    types = ColumnTypes(["text"])
    data = write(
        Plan("parquet", False, TAXONOMY.keys, types=types), *[block([{"text": "好"}, {"text": None}])] * blocks
    )
    found = pq.ParquetFile(io.BytesIO(data))
    assert found.read()["input"].to_pylist() == [{"text": "好"}, {"text": None}] * blocks
    return [found.metadata.row_group(number).num_rows for number in range(found.num_row_groups)]


def test_parquet_writer_row_groups_end_by_blocks_or_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _row_groups(9) == [16, 2]
    monkeypatch.setattr("sentiment.tables.parquet_writer._BYTES_A_ROW_GROUP", 1)
    assert _row_groups(3) == [2, 2, 2]
