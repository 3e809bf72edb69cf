"""Which character separates the cells, by how evenly it divides the first records."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from sentiment.tables.columns import folded
from sentiment.tables.csv_records import NO_DELIMITER, read_records
from sentiment.tables.header import SEARCHED
from sentiment.tables.lines import Line

DELIMITERS = ",\t;|"
NAMES = {",": "comma", "\t": "tab", ";": "semicolon", "|": "vertical bar", NO_DELIMITER: "none (one column)"}
_DECLARED = re.compile(r"sep=(.)\s*", re.IGNORECASE)


def declared_delimiter(first: str) -> str | None:
    """The delimiter of the line `sep=;` that Excel puts in front, None if the line is none."""
    match = _DECLARED.fullmatch(first)
    return match[1] if match and match[1] in DELIMITERS else None


def find_delimiter(sample: Sequence[Line], texts: frozenset[str], known: frozenset[str]) -> str:
    """The delimiter that gives a column a known name, else the one under which most records have the same width.

    `known` are names, folded; a first line that is just one of `texts` makes a file of one column.
    """
    first = next((line.text.strip().strip('"') for line in sample if line.text.strip()), "")
    if folded(first) in texts:
        return NO_DELIMITER
    best, best_rank = NO_DELIMITER, (0.0, 0, 0)
    for delimiter in DELIMITERS:
        rank = _rank(sample, delimiter, known)
        if rank > best_rank:
            best, best_rank = delimiter, rank
    return best if best_rank[0] >= 0.5 else NO_DELIMITER


def _rank(sample: Sequence[Line], delimiter: str, known: frozenset[str]) -> tuple[float, int, int]:
    records = list(read_records(sample, delimiter))
    widths = [0 if record.reason else len(record.cells) for record in records]
    if len(widths) > 1 and widths[-1] == 0:  # perhaps only cut by the end of the sample
        widths.pop()
    counted = Counter(width for width in widths if width > 1)
    if not counted:
        return 0.0, 0, 0
    width = max(counted.items(), key=lambda item: (item[1], item[0]))[0]
    titles = widths.index(width)
    block = len(widths) - titles
    share = counted[width] / block
    if titles and not (
        share >= 0.9 and block >= max(2, titles) and titles <= SEARCHED and max(widths[:titles]) < width
    ):
        share = counted[width] / len(widths)
        if widths[0] == 1:  # rather a header of one cell, and texts that hold this character
            share /= 2
    if any(folded(cell) in known for record in records[:SEARCHED] if len(record.cells) > 1 for cell in record.cells):
        share += 1
    return round(share, 2), int(widths[0] == width), width
