"""CSV and TSV output: UTF-8 with a byte order mark, and no cell that a spreadsheet would run."""

from __future__ import annotations

import base64
import csv
import datetime as dt
import io
import json
import re
from contextlib import suppress
from typing import IO, Any

import pyarrow as pa

from sentiment.tables.flat import FlatTable
from sentiment.tables.parquet_writer import block_rows, jsonable, valid

# What makes a spreadsheet run a cell; the full-width forms too, which Excel folds in Chinese and Japanese locales.
_RUNS = tuple("=+-@\t\r\n＝＋－＠")
_NUMBER = re.compile(r"[+-]?(?:(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?%?")


def guard(text: str) -> str:
    """The cell with a `'` before it where a spreadsheet would run it; numbers stay as they are."""
    if text.startswith(_RUNS) and not _NUMBER.fullmatch(text):
        return f"'{text}"
    return text


def unguard(text: str) -> str:
    """The cell as it was before `guard`."""
    return text[1:] if text[:1] == "'" and text[1:].startswith(_RUNS) else text


def as_text(value: Any) -> str:
    """A cell of the input as text: blank for None, ISO dates, true/false, JSON for lists and objects."""
    if value is None:
        return ""
    if isinstance(value, str):
        return valid(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dt.datetime):
        return value.isoformat(" ")
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return base64.b64encode(value).decode()
    if isinstance(value, (dict, list, tuple)):
        return valid(json.dumps(jsonable(value), ensure_ascii=False))
    return str(value)


class CsvWriter:
    """Writes blocks of scored rows as CSV, or as TSV with `delimiter="\\t"`."""

    cut = 0

    def __init__(self, stream: IO[bytes], table: FlatTable, delimiter: str = ",") -> None:
        self._table = table
        self._text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="", write_through=True)
        self._csv = csv.writer(self._text, delimiter=delimiter, lineterminator="\r\n")
        self._csv.writerow([guard(valid(header)) for header in table.headers])

    def write(self, block: pa.Table) -> None:
        for record, cells in block_rows(block, probabilities=self._table.probabilities):
            for line in self._table.lines(record, cells):
                self._csv.writerow(["" if cell is None else guard(as_text(cell)) for cell in line])

    def close(self) -> None:
        self._text.flush()

    def discard(self) -> None:
        with suppress(OSError, ValueError):  # ValueError: detached already
            self._text.detach()  # else its destructor would close the stream
