"""Parquet: record batches turned into Python objects, in constant memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sentiment.tables.base import Reject, Row, TableError
from sentiment.tables.header import name_columns
from sentiment.tables.packing import Packed
from sentiment.tables.reader import SAMPLE_ROWS, Reader
from sentiment.tables.remote import RemotePath, RemoteStream

BATCH_ROWS = 4096


class ParquetReader(Reader):
    """A Parquet file; `schema` has its types, under the names of `columns`."""

    def __init__(self, packed: Packed, notes: list[str]) -> None:
        super().__init__(packed, notes)
        path = packed.file.path
        self._file = path if isinstance(path, RemotePath) and not packed.packing else packed.seekable_path()
        self._stream: RemoteStream | None = None  # that of the newest reading, where the file is at an address
        self._done = 0
        with self._open() as file:
            found = file.schema_arrow
            self.columns = name_columns(found.names, self.name, notes)
            self.schema = pa.schema(
                [
                    field.with_name(name).with_type(_roomy(field.type))
                    for field, name in zip(found, self.columns, strict=True)
                ]
            )
            self.size = file.metadata.num_rows
        fine = [field.name for field in self.schema if _microseconds(field.type) is not None]
        if fine:
            notes.append(f"{self.name}: times finer than a microsecond are cut to it: {', '.join(fine)}")
        self.sample = [row.cells for row in islice(self.rows(), SAMPLE_ROWS) if isinstance(row, Row)]
        self._done = 0

    def rows(self) -> Iterator[Row | Reject]:
        self._done = 0
        with self._open() as file:
            batches = file.iter_batches(batch_size=BATCH_ROWS)
            while (batch := self._next(batches)) is not None:
                for row in self._python(batch):
                    self._done += 1
                    if isinstance(row, dict):
                        yield Row(self.name, self._done, row)
                    else:
                        yield Reject(self.name, self._done, row[0], row[1])

    def position(self) -> int:
        return self.packed.size() * self._done // max(1, self.size or 1)

    @contextmanager
    def _open(self) -> Iterator[pq.ParquetFile]:
        with ExitStack() as stack:
            if isinstance(self._file, RemotePath):
                self._stream = stack.enter_context(self._file.open_seekable())
            try:
                file = stack.enter_context(pq.ParquetFile(self._stream or self._file))
                _ = file.schema_arrow.names
            except Exception as error:  # a damaged footer shows as an Arrow error, or as whatever reading it runs into
                raise self._broken(error) from None
            yield file

    def _next(self, batches: Iterator[pa.RecordBatch]) -> pa.RecordBatch | None:
        try:
            batch = next(batches, None)
            if batch is None:
                return None
            columns = [_cut(column) for column in batch.columns]
            return pa.RecordBatch.from_arrays(columns, names=self.columns)
        except Exception as error:
            raise self._broken(error) from None

    def _python(self, batch: pa.RecordBatch) -> Iterator[dict[str, Any] | tuple[str, str]]:
        try:
            yield from batch.to_pylist()
            return
        except (ValueError, TypeError, KeyError, OverflowError, pa.ArrowException):
            pass
        for index in range(batch.num_rows):  # one value is broken: find the rows that are not
            cells: dict[str, Any] = {}
            for column in self.columns:
                try:
                    cells[column] = batch.column(column)[index].as_py()
                except (ValueError, TypeError, KeyError, OverflowError, pa.ArrowException) as error:
                    reason = f"column {column} holds a value that cannot be read: {' '.join(str(error).split())}"
                    yield reason, _shown(batch, index, self.columns)
                    break
            else:
                yield cells

    def _broken(self, error: Exception) -> Exception:
        """What to raise: where the way to the file failed, that, which Arrow tells in no other class than damage."""
        if self._stream is not None and self._stream.lost is not None:
            return self._stream.lost
        found = " ".join(str(error).split())[:200]
        return TableError(
            f"expected a sound Parquet file, found {self.name} damaged or cut short ({found}); write or copy it again"
        )


def holds(wide: pa.DataType, narrow: pa.DataType) -> bool:
    """Whether every value of `narrow` is one of `wide`, to which arrow would promote it: not a long integer as float,
    nor a date of the year 9999 in nanoseconds."""
    kinds = pa.types
    if wide == narrow or kinds.is_null(narrow):
        return True
    if kinds.is_floating(wide):
        exact = kinds.is_integer(narrow) and 2 * narrow.bit_width <= wide.bit_width
        return bool(kinds.is_floating(narrow) or exact)
    if kinds.is_integer(wide):
        return bool(
            wide.bit_width > narrow.bit_width or kinds.is_signed_integer(wide) == kinds.is_signed_integer(narrow)
        )
    if kinds.is_timestamp(wide) or kinds.is_duration(wide):
        return str(wide.unit) != "ns"
    if kinds.is_nested(wide):
        inner = (narrow.field(i) for i in range(narrow.num_fields))
        if kinds.is_struct(wide):
            return all(holds(wide.field(field.name).type, field.type) for field in inner)
        return all(holds(wide.field(i).type, field.type) for i, field in enumerate(inner))
    return True


def _roomy(kind: pa.DataType) -> pa.DataType:
    """The type; of a dictionary, as categories are, with room for the values of all files in one block."""
    if not pa.types.is_dictionary(kind):
        return kind
    return pa.dictionary(pa.int32(), kind.value_type, kind.ordered)


def _microseconds(kind: pa.DataType) -> pa.DataType | None:
    """The type to which a time in nanoseconds is cut, as Python's own has microseconds; None for every other type."""
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        return pa.timestamp("us", kind.tz)
    if pa.types.is_duration(kind) and kind.unit == "ns":
        return pa.duration("us")
    return pa.time64("us") if pa.types.is_time64(kind) and kind.unit == "ns" else None


def _cut(column: pa.Array) -> pa.Array:
    kind = _microseconds(column.type)
    return column if kind is None else column.cast(kind, safe=False)


def _shown(batch: pa.RecordBatch, index: int, columns: Sequence[str]) -> str:
    parts = []
    for column in columns:
        value = batch.column(column)[index]
        try:
            parts.append(f"{column}: {value.as_py()!r}")
        except (ValueError, TypeError, KeyError, OverflowError, pa.ArrowException):
            buffer = value.as_buffer().to_pybytes() if hasattr(value, "as_buffer") else b"?"
            parts.append(f"{column}: {buffer.decode('utf-8', 'backslashreplace')}")
    return "; ".join(parts)
