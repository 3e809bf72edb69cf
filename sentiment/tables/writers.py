"""Where scored rows go: the formats, chosen by the output's suffix."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Literal, Protocol, TypeVar, cast

import pyarrow as pa

from sentiment.tables.base import TableError
from sentiment.tables.csv_writer import CsvWriter
from sentiment.tables.flat import FlatTable
from sentiment.tables.jsonl_writer import JsonlWriter
from sentiment.tables.parquet_writer import ColumnTypes, ParquetWriter
from sentiment.tables.xlsx_writer import MAX_ROWS, XlsxWriter

Format = Literal["csv", "tsv", "xlsx", "jsonl", "parquet"]
SUFFIXES = (".csv", ".tsv", ".xlsx", ".jsonl", ".parquet", ".csv.gz", ".tsv.gz", ".jsonl.gz")
FLAT: tuple[Format, ...] = ("csv", "tsv", "xlsx")


class Writer(Protocol):
    """Takes blocks of scored rows; `cut` counts cells that the format could not hold whole.

    `close` finishes the file, `discard` lets go of what is still held, without raising, whether it was finished or not.
    """

    cut: int

    def write(self, block: pa.Table) -> None: ...
    def close(self) -> None: ...
    def discard(self) -> None: ...


_W = TypeVar("_W", bound=Writer)


def output_format(path: Path) -> tuple[Format, bool]:
    """The format that the suffix names, and whether it is compressed by gzip.

    Raises:
        TableError: another suffix.
    """
    name = path.name.lower()
    for suffix in SUFFIXES:
        if name.endswith(suffix):
            return cast(Format, suffix.split(".")[1]), suffix.endswith(".gz")
    raise TableError(f"expected an output that ends in {', '.join(SUFFIXES)}, found {path.name!r}")


@dataclass(frozen=True)
class Plan:
    """What the writers have to know: `flat` for CSV, TSV and XLSX; `schema`, or `types` found, for Parquet."""

    format: Format
    gzip: bool
    dimensions: Sequence[str]
    probabilities: bool = False
    flat: FlatTable | None = None
    schema: pa.Schema | None = None
    types: ColumnTypes | None = None
    xlsx_rows: int = MAX_ROWS


@contextmanager
def open_writer(stream: IO[bytes], plan: Plan, folder: Path | None = None) -> Iterator[Writer]:
    """A writer on the stream, finished at the end of a `with` block; `folder` is for the temporary files of XLSX."""
    if plan.gzip:
        # Neither time nor name in the header: the same rows give the same bytes.
        with gzip.GzipFile(filename="", mode="wb", fileobj=stream, mtime=0, compresslevel=6) as packed:
            yield from _writer(cast("IO[bytes]", packed), plan, folder)
    else:
        yield from _writer(stream, plan, folder)


def _writer(stream: IO[bytes], plan: Plan, folder: Path | None) -> Iterator[Writer]:
    if plan.format == "jsonl":
        yield from _finished(JsonlWriter(stream, probabilities=plan.probabilities))
    elif plan.format == "parquet":
        yield from _finished(ParquetWriter(stream, plan.dimensions, plan.types, plan.schema))
    elif plan.flat is None:
        raise ValueError(f"{plan.format} needs a flat table")
    elif plan.format == "xlsx":
        with TemporaryDirectory(prefix="xlsx-", dir=folder) as scratch:
            yield from _finished(XlsxWriter(stream, plan.flat, folder=Path(scratch), max_rows=plan.xlsx_rows))
    else:
        yield from _finished(CsvWriter(stream, plan.flat, "\t" if plan.format == "tsv" else ","))


def _finished(writer: _W) -> Iterator[_W]:
    try:
        yield writer
        writer.close()
    finally:
        writer.discard()
