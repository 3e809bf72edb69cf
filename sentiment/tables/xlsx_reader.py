"""XLSX: all sheets that have the text column, one after the other, cells as the workbook keeps them."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, BinaryIO

from openpyxl.workbook import Workbook

from sentiment.tables.base import ReadOptions, Reject, Row, TableError
from sentiment.tables.columns import KNOWN_NAMES
from sentiment.tables.header import find_header, header_notes, name_columns, numbered_columns, trimmed_width
from sentiment.tables.packing import Packed, check_zip
from sentiment.tables.reader import SAMPLE_ROWS, Reader, Sample
from sentiment.tables.xlsx_guard import check_place, read_workbook

_BATCH = 256
# A workbook's way to write control characters: Excel shows `_x000D_` as a carriage return.
_ESCAPE = re.compile(r"_x([0-9A-Fa-f]{4})_")


@dataclass(frozen=True)
class _Sheet:
    title: str
    columns: list[str]
    header: int  # the header's row, 0 where there is none
    sample: list[dict[str, Any]]


class XlsxReader(Reader):
    """A workbook; the only format whose memory grows with the file (its table of strings)."""

    def __init__(self, packed: Packed, options: ReadOptions, notes: list[str]) -> None:
        super().__init__(packed, notes)
        self._file = packed.seekable_path()
        with self._file.open("rb") as stream:
            magic = stream.read(4)
        if magic != b"PK\x03\x04":
            raise TableError(
                f"expected an XLSX workbook, found {self.name} is none; leave out --input-format or save it as .xlsx"
            )
        check_zip(self._file, self.name, "xlsx")
        self._raw: BinaryIO | None = None
        with self._workbook() as book:
            titles = [sheet.title for sheet in book.worksheets]
            empty: list[str] = []
            self._sheets: list[_Sheet] = []
            for title in self._wanted(titles, options.sheet):
                sheet = self._look_at(title, self._filled_rows(book, title), options)
                if sheet is None:
                    empty.append(title)
                else:
                    self._sheets.append(sheet)
        if options.sheet is not None and len(titles) > 1:
            notes.append(
                f"{self.name}: sheet {self._sheets[0].title if self._sheets else options.sheet!r} read, as --sheet says"
            )
        elif empty and self._sheets:
            notes.append(f"{self.name}: empty sheets skipped: {', '.join(empty)}")
        if not self._sheets:
            raise TableError(
                f"expected a header row in {self.name}, found only empty sheets ({', '.join(titles)}); check the file"
            )

    def _wanted(self, titles: list[str], sheet: str | None) -> list[str]:
        if sheet is None or sheet in titles:
            return titles if sheet is None else [sheet]
        if sheet.isdecimal() and 1 <= int(sheet) <= len(titles):
            return [titles[int(sheet) - 1]]
        listed = ", ".join(f"{number} {title}" for number, title in enumerate(titles, 1))
        raise TableError(f"expected a sheet {sheet!r} in {self.name}, found {listed}; give a name or number of these")

    def _look_at(self, title: str, rows: Iterator[tuple[int, list[Any]]], options: ReadOptions) -> _Sheet | None:
        head = list(islice(rows, SAMPLE_ROWS + 20))
        cells = [row for _, row in head]
        if not cells:
            return None
        place = self._place(title)
        width = max(map(len, cells))
        if options.no_header:
            columns, header = numbered_columns(width), 0
            self.notes.append(f"{place}: no header; {width} columns: {', '.join(columns)}")
        else:
            known = KNOWN_NAMES | ({options.text_column.strip().casefold()} if options.text_column else set())
            index = find_header(cells, frozenset(known))
            padded = cells[index] + [None] * (width - len(cells[index]))
            names = padded[: trimmed_width(padded, cells[index + 1 :])]
            columns, header = name_columns(names, place, self.notes), head[index][0]
            self.notes += header_notes(place, "row", header, index, columns, names)
        sample = [dict(zip(columns, row, strict=False)) for number, row in head if number > header]
        return _Sheet(title, columns, header, sample[:SAMPLE_ROWS])

    def _place(self, title: str) -> str:
        return f"{self.name} [{title}]"

    def samples(self) -> list[Sample]:
        return [Sample(self.name, self._place(sheet.title), sheet.columns, sheet.sample) for sheet in self._sheets]

    def choose(self, text_column: str) -> None:
        skipped = [sheet.title for sheet in self._sheets if text_column not in sheet.columns]
        self._sheets = [
            _Sheet(sheet.title, sheet.columns, sheet.header, [])
            for sheet in self._sheets
            if text_column in sheet.columns
        ]
        if len(self._sheets) > 1:
            self.notes.append(
                f"{self.name}: sheets read one after the other: {', '.join(sheet.title for sheet in self._sheets)}"
            )
        if skipped:
            self.notes.append(f"{self.name}: sheets without a column {text_column} skipped: {', '.join(skipped)}")
        self.columns = list(dict.fromkeys(column for sheet in self._sheets for column in sheet.columns))

    def rows(self) -> Iterator[Row | Reject]:
        number = 0
        with self._workbook() as book:
            for sheet in self._sheets:
                width = len(sheet.columns)
                absent = dict.fromkeys(self.columns)
                for place, cells in self._filled_rows(book, sheet.title):
                    if place <= sheet.header:
                        continue
                    number += 1
                    if len(cells) > width:
                        reason = f"expected {width} cells, found {len(cells)} (row {place} of sheet {sheet.title})"
                        yield Reject(
                            self.name, number, reason, "\t".join("" if cell is None else str(cell) for cell in cells)
                        )
                        continue
                    cells += [None] * (width - len(cells))
                    yield Row(self.name, number, {**absent, **dict(zip(sheet.columns, cells, strict=True))})

    def position(self) -> int:
        raw = self._raw
        if raw is None:
            return 0
        share = 1.0 if raw.closed else raw.tell() / max(1, self._file.stat().st_size)
        return int(min(1.0, share) * self.packed.size())

    @contextmanager
    def _workbook(self) -> Iterator[Workbook]:
        with self._guarded():
            opened = self._file.open("rb")
        with opened as raw:
            self._raw = raw
            with self._guarded(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                book = read_workbook(raw, self.name)
            try:
                yield book
            finally:
                book.close()

    def _filled_rows(self, book: Workbook, title: str) -> Iterator[tuple[int, list[Any]]]:
        """The rows that are not blank, with their numbers, without empty cells at their end."""
        sheet = book[title]
        with self._guarded():
            sheet.reset_dimensions()  # what a writer says of the size may be wrong
            rows = sheet.iter_rows(values_only=True)
        done, filled, error = 0, 0, None
        while error is None:
            batch, error = _batch(rows)
            if not batch and error is None:
                return
            for row in batch:
                done += 1
                filled += len(row)
                check_place(self.name, done, len(row), filled)
                cells = [_value(cell) for cell in row]
                while cells and cells[-1] in (None, ""):
                    cells.pop()
                if cells:
                    yield done, cells
        if isinstance(error, TableError | MemoryError):
            raise error
        raise self._broken(error, f" in sheet {title} after row {done}") from None

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except (TableError, MemoryError):
            raise
        except Exception as error:  # openpyxl meets a damaged part with whatever exception it happens to run into
            raise self._broken(error, "") from None

    def _broken(self, error: Exception, where: str) -> TableError:
        found = " ".join(str(error).split())[:200] or type(error).__name__
        return TableError(
            f"expected a sound XLSX workbook, found {self.name} damaged{where} ({found}); "
            "open it in Excel and save it again"
        )


def _batch(rows: Iterator[Sequence[Any]]) -> tuple[list[Sequence[Any]], Exception | None]:
    """The next rows, and what went wrong behind them; openpyxl's warnings stay inside."""
    batch: list[Sequence[Any]] = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for row in islice(rows, _BATCH):
                batch.append(row)
    except Exception as error:
        return batch, error
    return batch, None


def _value(cell: Any) -> Any:
    if isinstance(cell, str) and "_x" in cell:
        text = _ESCAPE.sub(lambda match: chr(int(match[1], 16)), cell)
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return cell
