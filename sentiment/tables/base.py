"""What every table reader and writer shares: rows, rejected rows, options, errors, and the table itself."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import pyarrow

    from sentiment.tables.remote import RemotePath

SOURCE_COLUMN = "cs_source"
FORMATS = ("csv", "tsv", "xlsx", "jsonl", "parquet")


class TableError(ValueError):
    """Unreadable input or unwritable output: one line that says what was expected, what was found, what to do."""


@dataclass(frozen=True, slots=True)
class Row:
    """One data row: `number` counts from 1 in its file, `cells` are in column order.

    A JSON object's missing keys are missing here too, and keys that no sampled row had come along: use `cells.get`.
    """

    source: str
    number: int
    cells: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that the file itself breaks (ragged, bad quoting, undecodable); `raw` shows it as it stands there."""

    source: str
    number: int
    reason: str
    raw: str


@dataclass(frozen=True)
class ReadOptions:
    """How to read; None means: find out, and say so in the table's notes."""

    text_column: str | None = None
    id_column: str | None = None
    sheet: str | None = None
    no_header: bool = False
    encoding: str | None = None
    input_format: str | None = None
    limit: int | None = None


class FileReader(Protocol):
    """One input file, prepared: `rows()` starts from the beginning each time it is called."""

    @property
    def name(self) -> str: ...
    @property
    def path(self) -> Path | RemotePath: ...
    @property
    def columns(self) -> Sequence[str]: ...
    def rows(self) -> Iterator[Row | Reject]: ...
    def position(self) -> int: ...


@dataclass
class Table:
    """The rows of one or more files, read lazily; every iteration starts anew.

    `columns` are the input's own, for several files the union by name with `cs_source` last; `notes` tells every choice
    that was made, a line each; `schema` has the arrow types where all inputs are Parquet; `size` is the number of rows
    if known.
    """

    columns: list[str]
    text_column: str
    id_column: str | None
    notes: list[str]
    schema: pyarrow.Schema | None
    size: int | None
    bytes_total: int
    readers: list[FileReader] = field(default_factory=list, repr=False)
    limit: int | None = None
    _finished: int = field(default=0, init=False, repr=False)
    _current: FileReader | None = field(default=None, init=False, repr=False)

    def position(self) -> int:
        """Bytes of the files read so far, for progress; an estimate for XLSX and Parquet."""
        return min(self.bytes_total, self._finished + (self._current.position() if self._current else 0))

    def fingerprint(self) -> dict[str, Any]:
        """Name, size and SHA-256 of every file, by which a resumed job recognises its input."""
        return {"files": [_fingerprint(reader) for reader in self.readers]}

    def __iter__(self) -> Iterator[Row | Reject]:
        self._finished, self._current = 0, None
        left = -1 if self.limit is None else self.limit
        for reader in self.readers if left else ():
            self._current = reader
            for item in reader.rows():
                yield self._with_source(item)
                left -= 1
                if left == 0:
                    return
            self._current = None
            self._finished += reader.path.stat().st_size

    def _with_source(self, item: Row | Reject) -> Row | Reject:
        if len(self.readers) == 1 or isinstance(item, Reject):
            return item
        cells = {column: item.cells.get(column) for column in self.columns}
        if cells[SOURCE_COLUMN] in (None, ""):
            cells[SOURCE_COLUMN] = item.source
        return Row(item.source, item.number, {**cells, **{k: v for k, v in item.cells.items() if k not in cells}})


def _fingerprint(reader: FileReader) -> dict[str, Any]:
    digest = hashlib.sha256()
    size = 0
    with reader.path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
            size += len(block)
    return {"name": reader.name, "size": size, "sha256": digest.hexdigest()}
