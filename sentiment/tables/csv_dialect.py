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


def find_delimiter(sample: Sequence[Line], known: frozenset[str]) -> str:
    """The delimiter under which most records of `sample` have the same number of cells, at least two.

    `known` are names, folded, that head a column of texts: a first line that is just one of them
    is a file of one column.
    """
    first = next((line.text.strip().strip('"') for line in sample if line.text.strip()), "")
    if folded(first) in known:
        return NO_DELIMITER
    best, best_rank = NO_DELIMITER, (0.0, 0, 0)
    for delimiter in DELIMITERS:
        rank = _rank(sample, delimiter)
        if rank > best_rank:
            best, best_rank = delimiter, rank
    return best if best_rank[0] >= 0.5 else NO_DELIMITER


def _rank(sample: Sequence[Line], delimiter: str) -> tuple[float, int, int]:
    widths = [0 if record.reason else len(record.cells) for record in read_records(sample, delimiter)]
    if len(widths) > 1 and widths[-1] == 0:  # perhaps only cut by the end of the sample
        widths.pop()
    counted = Counter(width for width in widths if width > 1)
    if not counted:
        return 0.0, 0, 0
    width = max(counted.items(), key=lambda item: (item[1], item[0]))[0]
    titles = next(position for position, cells in enumerate(widths) if cells > 1)
    share = counted[width] / (len(widths) - titles)
    if titles and (titles > SEARCHED or share < 0.9):  # rather a header of one cell, and texts that hold this character
        share /= 2
    return round(share, 2), int(widths[titles] == width), width
