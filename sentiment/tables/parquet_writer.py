"""Scored rows as arrow tables: a block of the job, and the Parquet output.

A *block* has the columns `row`, `source`, those of the record, `probabilities` and `input`. In it `input` is a struct
where the input has types of its own (Parquet), else the cells as one JSON text a row. In the output it is always a
struct. `probabilities` is a struct of one list a dimension, `[negative, neutral, positive]`, float32 in the output,
null where nothing was scored.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from sentiment.records import SCHEMA, Analysis
from sentiment.tables.base import Row

_BLOCKS_A_ROW_GROUP = 8
_BYTES_A_ROW_GROUP = 1 << 30  # arrow joins no more than 2 GiB of one column's texts
_TAG = "\0"
_INT64 = 1 << 63
_EXACT = 1 << 53  # a float64 holds every integer up to this
_SURROGATES = re.compile("[\ud800-\udfff]")

_LABEL = pa.struct([("label", pa.string()), ("confidence", pa.float64())])
_MENTION = pa.struct(
    [
        ("dimension", pa.string()),
        ("sentiment", pa.string()),
        ("confidence", pa.float64()),
        ("evidence", pa.string()),
        ("start", pa.int64()),
        ("end", pa.int64()),
        ("owner", pa.string()),
    ]
)
_RECORD: dict[str, pa.DataType] = {
    "schema": pa.int32(),
    "model": pa.string(),
    "id": pa.string(),
    "overall": pa.struct([("sentiment", pa.string()), ("confidence", pa.float64())]),
    "intent": _LABEL,
    "escalation": pa.struct([("label", pa.bool_()), ("confidence", pa.float64())]),
    "dimensions": pa.list_(_MENTION),
    "uncertain": pa.bool_(),
    "script": pa.string(),
    "tokens": pa.int64(),
    "windows": pa.int64(),
    "truncated": pa.bool_(),
    "status": pa.string(),
}


def valid(text: str) -> str:
    """The text with lone surrogates, which UTF-8 cannot hold, replaced one for one by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return _SURROGATES.sub("\ufffd", text)
    return text


def cell_text(value: Any) -> str:
    """A cell as text: bytes, as Parquet may hold them, as UTF-8; an empty one, or NaN, as no text."""
    if value is None or value != value:  # NaN is how pandas writes what is missing
        return ""
    return valid(value.decode(errors="replace") if isinstance(value, bytes) else str(value))


def jsonable(value: Any) -> Any:
    """The value as plain JSON: dates as ISO text, bytes as text or base64, NaN as null, at every depth."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(item) for item in value]
    if isinstance(value, (dt.datetime, dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, (bytes, bytearray, memoryview)):
        raw = bytes(value)
        try:
            return raw.decode()
        except UnicodeDecodeError:
            return base64.b64encode(raw).decode()
    return str(value)


def _tagged(value: Any) -> Any:
    """What JSON has no form for, as an object with one tagged key that `_untagged` reads back."""
    if isinstance(value, dt.datetime):
        return {f"{_TAG}datetime": value.isoformat()}
    if isinstance(value, dt.date):
        return {f"{_TAG}date": value.isoformat()}
    if isinstance(value, dt.time):
        return {f"{_TAG}time": value.isoformat()}
    if isinstance(value, dt.timedelta):
        return {f"{_TAG}timedelta": [value.days, value.seconds, value.microseconds]}
    if isinstance(value, Decimal):
        return {f"{_TAG}decimal": str(value)}
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {f"{_TAG}bytes": base64.b64encode(bytes(value)).decode()}
    return str(value)


_UNTAG: dict[str, Callable[[Any], Any]] = {
    f"{_TAG}datetime": dt.datetime.fromisoformat,
    f"{_TAG}date": dt.date.fromisoformat,
    f"{_TAG}time": dt.time.fromisoformat,
    f"{_TAG}timedelta": lambda parts: dt.timedelta(*parts),
    f"{_TAG}decimal": Decimal,
    f"{_TAG}bytes": base64.b64decode,
}


def _untagged(value: dict[str, Any]) -> Any:
    if len(value) == 1:
        ((key, item),) = value.items()
        if key in _UNTAG:
            return _UNTAG[key](item)
        if key.startswith(_TAG):
            return {key[1:]: item}
    return value


def _escaped(value: Any) -> Any:
    """The input's own objects whose one key begins as a tag does, with one more NUL that `_untagged` takes off."""
    if isinstance(value, dict):
        mark = _TAG if len(value) == 1 and next(iter(value)).startswith(_TAG) else ""
        return {mark + key: _escaped(item) for key, item in value.items()}
    return [_escaped(item) for item in value] if isinstance(value, (list, tuple)) else value


def encode_cells(cells: dict[str, Any]) -> str:
    """An input row's cells as JSON text from which `decode_cells` gets them back, types included."""
    if "\\u0000" in (text := _dumped(cells)):
        text = _dumped(cells := _escaped(cells))
    if valid(text) is not text:
        return json.dumps(cells, default=_tagged, ensure_ascii=True, separators=(",", ":"))
    return text


def _dumped(cells: dict[str, Any]) -> str:
    return json.dumps(cells, default=_tagged, ensure_ascii=False, separators=(",", ":"))


def decode_cells(text: str) -> dict[str, Any]:
    """The cells that `encode_cells` wrote."""
    cells: dict[str, Any] = json.loads(text, object_hook=_untagged if "\\u0000" in text else None)
    return cells


def probability_type(dimensions: Sequence[str], number: pa.DataType) -> pa.DataType:
    """One list `[negative, neutral, positive]` a dimension."""
    return pa.struct([(key, pa.list_(number)) for key in dimensions])


def block_table(
    rows: Sequence[Row],
    analyses: Sequence[Analysis],
    ids: Sequence[str],
    dimensions: Sequence[str],
    schema: pa.Schema | None,
) -> pa.Table:
    """The block of these rows with their analyses; `schema` gives the input's types where it has any (Parquet)."""
    chosen = set(dimensions)
    records = [
        analysis.to_dict() | {"schema": SCHEMA, "id": valid(text_id)}
        for analysis, text_id in zip(analyses, ids, strict=True)
    ]
    for record in records:
        mentions = [mention for mention in record["dimensions"] if mention["dimension"] in chosen]
        record["dimensions"] = [mention | {"evidence": valid(mention["evidence"])} for mention in mentions]
    columns: dict[str, pa.Array] = {
        "row": pa.array([row.number for row in rows], pa.int64()),
        "source": pa.array([valid(row.source) for row in rows], pa.string()),
    }
    for name, kind in _RECORD.items():
        columns[name] = pa.array([record[name] for record in records], kind)
    columns["probabilities"] = _probabilities(analyses, dimensions)
    if schema is None:
        columns["input"] = pa.array([encode_cells(row.cells) for row in rows], pa.large_string())
    else:
        columns["input"] = _struct(
            {field.name: [row.cells.get(field.name) for row in rows] for field in schema}, schema, len(rows)
        )
    return pa.table(columns)


def _probabilities(analyses: Sequence[Analysis], dimensions: Sequence[str]) -> pa.Array:
    """The column, built by dimension: a dictionary a row takes arrow twice as long to read."""
    kind = probability_type(dimensions, pa.float64())
    columns = [pa.array([a.probabilities.get(field.name) for a in analyses], field.type) for field in kind]
    missing = pa.array([a.probabilities.keys().isdisjoint(dimensions) for a in analyses], pa.bool_())
    return pa.StructArray.from_arrays(columns, fields=list(kind), mask=missing)


def _struct(columns: dict[str, list[Any]], schema: pa.Schema, rows: int) -> pa.Array:
    arrays = [pa.array(columns[field.name], field.type) for field in schema]
    fields = [pa.field(field.name, field.type) for field in schema]
    return pa.StructArray.from_arrays(arrays, fields=fields) if fields else pa.array([{}] * rows, pa.struct([]))


def _microseconds(kind: pa.DataType) -> pa.DataType:
    """The type with nanoseconds, for which Python has no value, cut to microseconds."""
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        return pa.timestamp("us", kind.tz)
    if pa.types.is_duration(kind) and kind.unit == "ns":
        return pa.duration("us")
    if pa.types.is_time64(kind) and kind.unit == "ns":
        return pa.time64("us")
    return kind


def input_cells(column: pa.ChunkedArray) -> list[dict[str, Any]]:
    """The `input` column of a block as one dictionary a row."""
    if not pa.types.is_struct(column.type):
        return [decode_cells(text) for text in column.to_pylist()]
    fields = [column.type.field(i) for i in range(column.type.num_fields)]
    values: list[list[Any]] = []
    array = column.combine_chunks()
    for position, field in enumerate(fields):
        child, kind = array.field(position), _microseconds(field.type)
        values.append((child if kind == field.type else child.cast(kind, safe=False)).to_pylist())
    names = [field.name for field in fields]
    return [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]


def block_rows(block: pa.Table, *, probabilities: bool = False) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """The block's records, as `Analysis.to_dict` gives them, each with the input row's cells."""
    names = [*_RECORD, "probabilities"] if probabilities else list(_RECORD)
    for record, cells in zip(block.select(names).to_pylist(), input_cells(block["input"]), strict=True):
        if probabilities:
            record["probabilities"] = {k: v for k, v in (record["probabilities"] or {}).items() if v is not None}
        yield record, cells


class ColumnTypes:
    """Finds the arrow types of columns that have none of their own (JSONL, XLSX, CSV), from all their values.

    A column of one kind keeps it: text, int64, float64, bool, timestamp. Anything else becomes text: in it text stays
    as it is, and every other value is its JSON.
    """

    def __init__(self, columns: Iterable[str] = ()) -> None:
        self._kinds: dict[str, set[str]] = {column: set() for column in columns}

    def add(self, cells: dict[str, Any]) -> None:
        """Takes one row into account; columns not seen before are added at the end."""
        for column, value in cells.items():
            if value is not None:
                self._kinds.setdefault(column, set()).add(_kind(value))
            elif column not in self._kinds:
                self._kinds[column] = set()

    def schema(self) -> pa.Schema:
        return pa.schema([pa.field(valid(column), _arrow_type(kinds)) for column, kinds in self._kinds.items()])

    def convert(self, rows: Sequence[dict[str, Any]]) -> pa.Array:
        """The rows as a struct array of `schema()`."""
        schema = self.schema()
        pairs = zip(self._kinds, schema, strict=True)
        columns = {field.name: [_converted(row.get(column), field.type) for row in rows] for column, field in pairs}
        return _struct(columns, schema, len(rows))


def _kind(value: Any) -> str:
    if isinstance(value, str):
        return "text"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int" if abs(value) <= _EXACT else "long" if -_INT64 <= value < _INT64 else "other"
    if isinstance(value, float):
        return "float"
    if isinstance(value, dt.datetime):
        return "naive" if value.tzinfo is None else "aware"
    return "naive" if isinstance(value, dt.date) else "other"


def _arrow_type(kinds: set[str]) -> pa.DataType:
    if kinds == {"bool"}:
        return pa.bool_()
    if kinds and kinds <= {"int", "long"}:
        return pa.int64()
    if kinds and kinds <= {"int", "float"}:
        return pa.float64()
    if kinds == {"naive"}:
        return pa.timestamp("us")
    if kinds == {"aware"}:
        return pa.timestamp("us", "UTC")
    return pa.string()


def _converted(value: Any, kind: pa.DataType) -> Any:
    if value is None:
        return None
    if pa.types.is_string(kind):
        plain = jsonable(value)
        return valid(plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False))
    if pa.types.is_floating(kind):
        return float(value)
    if pa.types.is_timestamp(kind) and not isinstance(value, dt.datetime):
        return dt.datetime(value.year, value.month, value.day)
    return value


class ParquetWriter:
    """Writes blocks of scored rows as Parquet; `types` where the blocks' `input` is JSON text."""

    cut = 0

    def __init__(
        self, stream: IO[bytes], dimensions: Sequence[str], types: ColumnTypes | None, schema: pa.Schema | None
    ) -> None:
        self._types = types
        self._probabilities = probability_type(dimensions, pa.float32())
        fields = (types.schema() if types is not None else schema) or pa.schema([])
        kinds: dict[str, pa.DataType] = {
            **_RECORD,
            "probabilities": self._probabilities,
            "input": pa.struct([pa.field(field.name, field.type) for field in fields]),
        }
        self._schema = pa.schema(list(kinds.items()), metadata={"cinesent.schema": str(SCHEMA)})
        self._writer = pq.ParquetWriter(stream, self._schema, compression="zstd")
        self._waiting: list[pa.Table] = []
        self._bytes = 0

    def write(self, block: pa.Table) -> None:
        columns = {name: block[name] for name in _RECORD}
        columns["probabilities"] = block["probabilities"].cast(self._probabilities)
        columns["input"] = block["input"] if self._types is None else self._types.convert(input_cells(block["input"]))
        table = pa.table(columns, schema=self._schema)
        size = table.get_total_buffer_size()
        if self._bytes + size > _BYTES_A_ROW_GROUP:
            self._flush()
        self._waiting.append(table)
        self._bytes += size
        if len(self._waiting) == _BLOCKS_A_ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.concat_tables(self._waiting).combine_chunks())
            self._waiting, self._bytes = [], 0

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def discard(self) -> None:
        with suppress(Exception):  # else the destructor tries it, when the stream is closed
            self._writer.close()
        self._writer.is_open = False
