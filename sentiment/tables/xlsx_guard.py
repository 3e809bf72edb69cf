"""What a workbook may hold: openpyxl's reader, stopped before a hostile one fills the memory.

XML of a few bytes packs a thousandfold and costs a hundred bytes an element once it is read. So every part is followed
while it is read, in the same pass: elements that stay in memory are counted, and rows, strings and tags measured. The
bounds are Excel's own or far beyond what it writes. What zipfile gives out of a part is never more than the archive's
list says, and that is bounded by `packing.check_zip`.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import IO, Any, BinaryIO
from xml.parsers import expat

from openpyxl.reader.excel import ExcelReader
from openpyxl.workbook import Workbook

from sentiment.tables.base import TableError

MAX_ROWS, MAX_COLUMNS = 1_048_576, 16_384  # of a sheet, as Excel has it
_MAX_CELLS = 400_000_000  # of a sheet with those that are left out: a cell far to the right fills up its row
_KEPT_ELEMENTS = 500_000  # outside rows and strings: styles, merged cells, links
_UNIT_ELEMENTS = 8 * MAX_COLUMNS  # in one row or string, which goes once it is read
_KEPT_BYTES = 64_000_000  # outside rows and strings, or in one of them
_STRINGS_RATIO = 50  # texts that differ do not pack better
_TAG_BYTES = 1_000_000
_PIECE = 1 << 16
_SHEETS = "http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_ROW, _STRING = f"{_SHEETS}row", f"{_SHEETS}si"


def read_workbook(stream: BinaryIO, name: str) -> Workbook:
    """As `openpyxl.load_workbook(stream, read_only=True, data_only=True, keep_links=False)`.

    Raises:
        TableError: it would take too much memory; also while its rows are read. Whatever openpyxl meets.
    """
    reader = _Reader(stream, read_only=True, data_only=True, keep_links=False)
    reader.archive = _Archive(stream, name)
    try:
        reader.read()
    except ValueError as error:
        if isinstance(error.__cause__, TableError):  # openpyxl has put its own words around it
            raise error.__cause__ from None
        raise
    return reader.wb


def check_place(name: str, row: int, width: int, cells: int) -> None:
    """
    Raises:
        TableError: a row has a number or a width that no sheet of Excel has, or the sheet has too many cells so far.
    """
    if row > MAX_ROWS or width > MAX_COLUMNS:
        raise _refusal(name, f"a cell beyond row {MAX_ROWS:,} or column {MAX_COLUMNS:,}")
    if cells > _MAX_CELLS:
        raise _refusal(name, f"more than {_MAX_CELLS:,} cells in a sheet, blank ones among them")


class _Reader(ExcelReader):  # type: ignore[misc]
    def read_strings(self) -> None:
        with self.archive.reading_strings():
            super().read_strings()


class _Archive(zipfile.ZipFile):
    """A workbook's parts; openpyxl reads small ones as a whole, and sheets and the table of strings as streams."""

    def __init__(self, stream: BinaryIO, name: str) -> None:
        super().__init__(stream)
        self._name = name
        self._unit = _ROW

    @contextmanager
    def reading_strings(self) -> Iterator[None]:
        self._unit = _STRING
        try:
            yield
        finally:
            self._unit = _ROW

    def open(self, name: Any, mode: Any = "r", pwd: Any = None, **options: Any) -> Any:
        info = name if isinstance(name, zipfile.ZipInfo) else self.getinfo(name)
        most = MAX_ROWS
        if self._unit == _STRING:
            most += info.compress_size
            if info.file_size > _KEPT_BYTES + _STRINGS_RATIO * info.compress_size:
                raise _refusal(self._name, "texts that unpack to more than 50 times their size")
        return _Followed(super().open(name, mode, pwd, **options), _Follower(self._name, self._unit, most))

    def read(self, name: Any, pwd: Any = None) -> bytes:
        with super().open(name, "r", pwd) as part:
            followed = _Followed(part, _Follower(self._name, None, 0))
            return b"".join(iter(lambda: followed.read(_PIECE), b""))


class _Followed:
    """A part that is looked through as it is read."""

    def __init__(self, part: IO[bytes], follower: _Follower) -> None:
        self._part, self._follower = part, follower

    def read(self, size: int = -1) -> bytes:
        data = self._part.read(size)
        for start in range(0, len(data), _PIECE):
            self._follower.feed(data[start : start + _PIECE])
        return data

    def close(self) -> None:
        self._part.close()

    def __enter__(self) -> _Followed:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class _Follower:
    """Counts what a part's reader has to keep. `unit` is the element that it lets go of once it is read, if any.

    Raises:
        TableError: in `feed`, before the reader sees the piece with which it becomes too much.
    """

    def __init__(self, name: str, unit: str | None, most: int) -> None:
        self._name, self._unit, self._most = name, unit, most
        self._parser: Any = expat.ParserCreate(namespace_separator="}")
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._depth = self._unit_depth = 0
        self._kept = self._inside = self._units = 0  # elements outside units and in this one, units
        self._fed = self._released = self._began = 0  # bytes

    def feed(self, piece: bytes) -> None:
        if self._parser is None:
            return
        self._fed += len(piece)
        try:
            self._parser.Parse(piece, False)
        except expat.ExpatError:  # the reader will meet the same, at the same place
            self._parser = None
            return
        if self._fed - self._parser.CurrentByteIndex > _TAG_BYTES:
            raise _refusal(self._name, "a tag of more than 1 MB")
        if self._fed - self._released > _KEPT_BYTES:
            raise _refusal(self._name, f"more than {_KEPT_BYTES // 1_000_000} MB in one piece")

    def _start(self, name: str, attributes: object) -> None:
        self._depth += 1
        if self._unit_depth:
            self._inside += 1
            if self._inside > _UNIT_ELEMENTS:
                raise _refusal(self._name, f"more than {_UNIT_ELEMENTS:,} elements in one row or text")
        elif name == self._unit:
            self._unit_depth = self._depth
            self._began = self._parser.CurrentByteIndex
            self._units += 1
            if self._units > self._most:
                raise _refusal(self._name, f"more than {self._most:,} rows in a sheet, or texts")
        else:
            self._kept += 1
            if self._kept > _KEPT_ELEMENTS:
                raise _refusal(self._name, f"more than {_KEPT_ELEMENTS:,} elements that are no cells")

    def _end(self, name: str) -> None:
        if self._depth == self._unit_depth:
            self._unit_depth = self._inside = 0
            self._released += self._parser.CurrentByteIndex - self._began
        self._depth -= 1

    def _doctype(self, *declaration: object) -> None:
        raise _refusal(self._name, "a document type, which workbooks do not have")


def _refusal(name: str, found: str) -> TableError:
    return TableError(
        f"expected a workbook as Excel writes it, found {name} with {found}; "
        "if it is sound, open it in Excel and save it again, or as CSV"
    )
