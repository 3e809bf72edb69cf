"""CSV and TSV: cells are strings, ragged and broken records are rejects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from sentiment.tables.base import ReadOptions, Reject, Row, TableError
from sentiment.tables.columns import ID_NAMES, KNOWN_NAMES, TEXT_NAMES, folded
from sentiment.tables.csv_dialect import NAMES, declared_delimiter, find_delimiter
from sentiment.tables.csv_records import Record, read_records
from sentiment.tables.encodings import Encoding
from sentiment.tables.header import (
    find_header,
    header_notes,
    is_blank,
    looks_like_data,
    name_columns,
    numbered_columns,
    trimmed_width,
)
from sentiment.tables.lines import Line, Lines
from sentiment.tables.packing import Packed
from sentiment.tables.reader import SAMPLE_ROWS, Reader

_SNIFFED_LINES, _SNIFFED_CHARACTERS = 400, 1 << 20


class CsvReader(Reader):
    """Text in lines; `kind` is "tsv" where tabs were demanded, `csv` where the delimiter is to be found."""

    def __init__(self, packed: Packed, encoding: Encoding, options: ReadOptions, notes: list[str]) -> None:
        super().__init__(packed, notes)
        self._lines = Lines(packed, encoding)
        known = KNOWN_NAMES | ({options.text_column.strip().casefold()} if options.text_column else set())
        start = self._first_lines()
        first = next((line.text for line in start if line.text.strip()), "")
        self._declared = declared_delimiter(first)
        if options.input_format == "tsv":
            self.delimiter = "\t"
        else:
            wanted = {folded(options.text_column)} if options.text_column else set()
            texts = wanted | set(TEXT_NAMES)
            self.delimiter = self._declared or find_delimiter(start, frozenset(texts), frozenset(texts | set(ID_NAMES)))
        notes.append(f"{self.name}: delimiter {NAMES[self.delimiter]}")
        head = list(islice(self._records(), SAMPLE_ROWS + 20))
        self._header_line = self._read_header(head, options, known)
        if self._lines.nuls:
            self.note_once(f"{self.name}: NUL bytes are dropped")
        self.sample = [row.cells for row in islice(self._rows(head), SAMPLE_ROWS) if isinstance(row, Row)]

    def _first_lines(self) -> list[Line]:
        lines: list[Line] = []
        length = 0
        for line in self._lines:
            lines.append(line)
            length += len(line.text)
            if len(lines) >= _SNIFFED_LINES or length >= _SNIFFED_CHARACTERS:
                break
        return lines

    def _records(self) -> Iterator[Record]:
        records = read_records(self._lines, self.delimiter)
        if self._declared:
            next(records, None)
        return records

    def _read_header(self, head: list[Record], options: ReadOptions, known: frozenset[str]) -> int:
        """Sets the columns; returns the line of the header, 0 where there is none."""
        sound = [record for record in head if record.reason is None]
        if all(is_blank(cell) for record in sound for cell in record.cells):
            raise TableError(
                f"expected a line with column names in {self.name}, found no sound line; check file and encoding"
            )
        rows = [record.cells for record in sound]
        if options.no_header:
            widths = [len(row) for row in rows]
            self.columns = numbered_columns(max(set(widths), key=lambda width: (widths.count(width), width)))
            self.notes.append(f"{self.name}: no header; {len(self.columns)} columns: {', '.join(self.columns)}")
            return 0
        index = find_header(rows, known)
        broken = next((record for record in head if record.reason is not None), None)
        line = sound[index].line
        if broken is not None and broken.line < line and _may_be_data(rows[index], options, known):
            raise TableError(
                f"expected the column names of {self.name} in line {broken.line}, found it broken ({broken.reason}), "
                f"and what may be data in line {line}; mend it, give its --encoding, or say --no-header if there "
                f"are none, --text-col NAME if line {line} has them"
            )
        header = rows[index][: trimmed_width(rows[index], rows[index + 1 :])]
        self.columns = name_columns(header, self.name, self.notes)
        self.notes += header_notes(self.name, "line", line, index, self.columns, header)
        return line

    def rows(self) -> Iterator[Row | Reject]:
        yield from self._rows(self._records())
        if self._lines.nuls:
            self.note_once(f"{self.name}: {self._lines.nuls:,} NUL bytes dropped")

    def _rows(self, records: Iterator[Record] | list[Record]) -> Iterator[Row | Reject]:
        name, columns, width = self.name, self.columns, len(self.columns)
        number = 0
        for record in records:
            if record.reason is None and record.line <= self._header_line:
                continue
            number += 1
            cells, reason = record.cells, record.reason
            if reason is None and len(cells) > width and not any(cells[width:]):
                cells = cells[:width]
            if reason is None and len(cells) != width:
                reason = f"expected {width} cells, found {len(cells)}"
            if reason is None:
                yield Row(name, number, dict(zip(columns, cells, strict=True)))
            else:
                yield Reject(name, number, f"{reason} (line {record.line})", record.raw)


def _may_be_data(row: Sequence[str], options: ReadOptions, known: frozenset[str]) -> bool:
    """Whether what is taken as the header may be the first row of data, which would be lost, below a broken header."""
    names = {cell.strip().casefold() for cell in row}
    if options.text_column is not None and options.text_column.strip().casefold() in names:
        return False
    return looks_like_data(row) or names.isdisjoint(known)
