"""Records out of lines: strict RFC 4180, where a broken quote costs one line and never the rest of the file."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from sentiment.tables.lines import LONGEST, Line

NO_DELIMITER = "\uffff"  # a noncharacter: every line is one cell
MAX_LINES, MAX_CHARACTERS = 1000, 4 << 20  # a quoted cell that runs further was never closed
_TIGHT_LINES = 8  # the same where broken quotes have cost too much already
_UNCLOSED = "a quote is opened and never closed"


class Record(NamedTuple):
    """The cells of one record, or the reason why there are none; `line` is its first physical line."""

    cells: list[str]
    raw: str
    line: int
    reason: str | None


def read_records(lines: Iterable[Line], delimiter: str) -> Iterator[Record]:
    """All records of a file but blank lines; those that are broken carry a reason."""
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST))
    return _Records(lines, delimiter).records()


class _Records:
    def __init__(self, lines: Iterable[Line], delimiter: str) -> None:
        self.lines = iter(lines)
        self.delimiter = delimiter
        self.waiting: deque[Line] = deque()
        # Lines and characters read once, and read again after broken quotes: the second may be ten times the first.
        self.read, self.reread = [20_000, 8 << 20], [0, 0]

    def next_line(self) -> Line | None:
        return self.waiting.popleft() if self.waiting else next(self.lines, None)

    def records(self) -> Iterator[Record]:
        single = self.delimiter == NO_DELIMITER
        while (line := self.next_line()) is not None:
            self.read[0] += 1
            self.read[1] += len(line.text)
            if '"' in line.text:
                yield self.quoted(line)
                continue
            text = line.text.rstrip("\r\n")
            if not (text if single else text.strip(" \u3000")) and line.problem is None:
                continue
            if line.problem is not None:
                yield Record([], text, line.number, line.problem)
            else:
                yield Record(text.split(self.delimiter), text, line.number, None)

    def quoted(self, first: Line) -> Record:
        used = [first]
        try:
            cells = next(csv.reader(self.feed(first, used), delimiter=self.delimiter, strict=True))
        except csv.Error as error:
            self.waiting.extendleft(reversed(used[1:]))
            self.reread[0] += len(used)
            self.reread[1] += sum(len(line.text) for line in used)
            reason = _UNCLOSED if "end of data" in str(error) else f"bad quoting: {error}"
            return Record([], first.text.rstrip("\r\n"), first.number, first.problem or reason)
        raw = "".join(line.text for line in used).rstrip("\r\n")
        problem = next((line.problem for line in used if line.problem is not None), None)
        for line in used[1:]:
            self.read[0] += 1
            self.read[1] += len(line.text)
        return Record([] if problem else cells, raw, first.number, problem)

    def feed(self, first: Line, used: list[Line]) -> Iterator[str]:
        yield first.text
        tight = any(again > 10 * once for again, once in zip(self.reread, self.read, strict=True))
        most, length = _TIGHT_LINES if tight else MAX_LINES, len(first.text)
        while len(used) < most and length <= MAX_CHARACTERS and (line := self.next_line()) is not None:
            used.append(line)
            length += len(line.text)
            yield line.text
