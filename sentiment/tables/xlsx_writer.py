"""XLSX output in constant memory: text is text, whatever it looks like."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Sequence
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import xlsxwriter
from xlsxwriter.exceptions import FileCreateError

from sentiment.tables.base import TableError
from sentiment.tables.csv_writer import as_text
from sentiment.tables.flat import FlatTable
from sentiment.tables.parquet_writer import block_rows

MAX_ROWS = 1_048_576
MAX_COLUMNS = 16_384
MAX_TEXT = 32_767  # UTF-16 units, which is how Excel counts
_MAX_DIGITS = 10**15
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_SHEET = {"en": "scores", "zh": "评分结果"}
_FIRST_DAY = dt.datetime(1900, 3, 1)  # before it Excel's calendar is off by one


def cell_text(text: str) -> tuple[str, bool]:
    """The text as a cell may hold it, and whether it had to be cut.

    What is illegal in XML becomes U+FFFD; CR LF becomes space and LF, a lone CR becomes LF, so that offsets stay true.
    """
    text = _CONTROLS.sub("\ufffd", text)
    if "\r" in text:
        text = text.replace("\r\n", " \n").replace("\r", "\n")
    if len(text) * 2 <= MAX_TEXT:
        return text, False
    units = text.encode("utf-16-le")
    if len(units) <= 2 * MAX_TEXT:
        return text, False
    return units[: 2 * MAX_TEXT].decode("utf-16-le", "ignore"), True


def check_width(headers: Sequence[str]) -> None:
    """
    Raises:
        TableError: more columns than a sheet has.
    """
    if len(headers) > MAX_COLUMNS:
        raise TableError(f"expected at most {MAX_COLUMNS} columns for XLSX, found {len(headers)}; write CSV")


def _is_number(value: Any) -> bool:
    """Whether a cell, which holds 15 digits, can hold the number."""
    if isinstance(value, Decimal):
        return value.is_finite() and len(value.as_tuple().digits) <= 15
    if isinstance(value, int):
        return abs(value) < _MAX_DIGITS
    return isinstance(value, float) and math.isfinite(value)


class _Output:
    """The stream; once it failed it swallows everything: the archive's destructor would write again, and complain."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.dead = False

    def write(self, data: bytes) -> int:
        if self.dead:
            return len(data)
        try:
            return self._stream.write(data)
        except BaseException:
            self.dead = True
            raise

    def tell(self) -> int:
        return 0 if self.dead else self._stream.tell()

    def seek(self, offset: int, whence: int = 0) -> int:
        return 0 if self.dead else self._stream.seek(offset, whence)

    def flush(self) -> None:
        if not self.dead:
            self._stream.flush()


class XlsxWriter:
    """Writes blocks of scored rows as sheets of at most `max_rows` rows, header included; `cut` counts cells cut."""

    def __init__(
        self, stream: IO[bytes], table: FlatTable, *, folder: Path | None = None, max_rows: int = MAX_ROWS
    ) -> None:
        self._table, self._headers, self._max_rows = table, table.headers, max_rows
        check_width(self._headers)
        self.cut = 0
        options = {"constant_memory": True, "default_date_format": "yyyy-mm-dd hh:mm:ss"}
        self._output = _Output(stream)
        self._book = xlsxwriter.Workbook(self._output, options | ({"tmpdir": str(folder)} if folder else {}))
        self._book.use_zip64()
        self._bold = self._book.add_format({"bold": True})
        self._day = self._book.add_format({"num_format": "yyyy-mm-dd"})
        self._clock = self._book.add_format({"num_format": "hh:mm:ss"})
        self._sheets = 0
        self._begin()

    def write(self, block: pa.Table) -> None:
        for record, cells in block_rows(block, probabilities=self._table.probabilities):
            for line in self._table.lines(record, cells):
                if self._row == self._max_rows:
                    self._end()
                    self._begin()
                for column, cell in enumerate(line):
                    if cell is not None and cell != "":
                        self._cell(column, cell)
                self._row += 1

    def close(self) -> None:
        self._end()
        try:
            self._book.close()
        except FileCreateError as error:
            raise (
                error.args[0] if error.args and isinstance(error.args[0], OSError) else OSError(str(error))
            ) from None

    def discard(self) -> None:
        self._output.dead = self._book.fileclosed = True
        for sheet in self._book.worksheets():
            with suppress(OSError):
                sheet._opt_close()  # its temporary file

    def _begin(self) -> None:
        self._sheets += 1
        name = _SHEET[self._table.lang]
        self._sheet = self._book.add_worksheet(name if self._sheets == 1 else f"{name} {self._sheets}")
        self._sheet.freeze_panes(1, 0)
        for column, header in enumerate(self._headers):
            self._sheet.set_column(column, column, self._width(column, header))
            text, cut = cell_text(as_text(header))
            self.cut += cut
            self._sheet.write_string(0, column, text, self._bold)
        self._row = 1

    def _end(self) -> None:
        self._sheet.autofilter(0, 0, max(self._row - 1, 0), max(len(self._headers) - 1, 0))

    def _width(self, column: int, header: str) -> float:
        """Wide enough for the header (Chinese counts double) and the filter's button, more for text, up to 40."""
        width = sum(1 if ord(character) < 0x1100 else 2 for character in header) + 4
        long = column < len(self._table.columns) or header.endswith(("evidence", "依据"))
        return float(min(max(width, 24 if long else 10), 40))

    def _cell(self, column: int, value: Any) -> None:
        sheet, row = self._sheet, self._row
        if isinstance(value, bool):
            sheet.write_boolean(row, column, value)
        elif _is_number(value):
            sheet.write_number(row, column, float(value) if isinstance(value, Decimal) else value)
        elif isinstance(value, dt.datetime) and value.tzinfo is None and value >= _FIRST_DAY:
            sheet.write_datetime(row, column, value)
        elif type(value) is dt.date and value >= _FIRST_DAY.date():
            sheet.write_datetime(row, column, value, self._day)
        elif isinstance(value, dt.time) and value.tzinfo is None:
            sheet.write_datetime(row, column, value, self._clock)
        else:
            text, cut = cell_text(as_text(value))
            self.cut += cut
            sheet.write_string(row, column, text)
