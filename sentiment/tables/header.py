"""Where a table's header is, below what titles, and how its columns are called."""

from __future__ import annotations

import re
from collections.abc import Sequence
from statistics import median
from typing import Any

SEARCHED = 15  # rows from the top among which the header is
_NUMBER = re.compile(r"[-+]?[\d,.]+%?|\d{4}[-/.]\d{1,2}[-/.]\d{1,2}.*")


def is_blank(cell: Any) -> bool:
    """Whether a cell has nothing in it."""
    return cell is None or (isinstance(cell, str) and not cell.strip())


def find_header(rows: Sequence[Sequence[Any]], known: frozenset[str]) -> int:
    """The index of the header among the first rows: titles above it have fewer filled cells than the block below.

    `known` are names, case-folded, that head a column of texts or identifiers: the surest sign of a header. Below a row
    that is as filled one may be a cell of the data ("no", 意见), and only two are a sign.
    """
    filled = [sum(not is_blank(cell) for cell in row) for row in rows]
    if not filled:
        return 0
    typical = median(filled[1:]) if len(filled) > 1 else filled[0]
    for index, row in enumerate(rows[:SEARCHED]):
        named = sum(isinstance(cell, str) and cell.strip().casefold() in known for cell in row)
        least = 1 if all(count < filled[index] for count in filled[:index]) else 2
        if named >= least and filled[index] * 2 >= typical:
            return index
    widths = [max((i + 1 for i, cell in enumerate(row) if not is_blank(cell)), default=0) for row in rows]
    below = slice(SEARCHED, None) if len(rows) >= 2 * SEARCHED else slice(None)
    block = median(filled[below]) if len(rows) >= 2 * SEARCHED else max(filled[:SEARCHED])
    for index, row in enumerate(rows[:SEARCHED]):
        if filled[index] >= block:
            return index if index == 0 or _names_only(row) else 0
        if filled[index] > max(1, block / 2) and widths[index] >= max(widths[below]):
            return index  # a header that leaves a column without a name
    return 0


def _names_only(row: Sequence[Any]) -> bool:
    cells = [cell for cell in row if not is_blank(cell)]
    return all(isinstance(cell, str) and len(cell) <= 64 and not _NUMBER.fullmatch(cell.strip()) for cell in cells)


def looks_like_data(row: Sequence[Any]) -> bool:
    """Whether a header might be a data row after all."""
    cells = [cell for cell in row if not is_blank(cell)]
    return any(not isinstance(cell, str) or len(cell) > 30 or _NUMBER.fullmatch(cell.strip()) for cell in cells)


def name_columns(cells: Sequence[Any], place: str, notes: list[str]) -> list[str]:
    """Names as they stand, `column_3` for an empty one, `_2` behind one that is taken; a note tells of both."""
    plain = [None if is_blank(cell) else str(cell) for cell in cells]
    taken = {name for name in plain if name is not None}
    names: list[str] = []
    used: set[str] = set()
    changed: list[str] = []
    for position, name in enumerate(plain, 1):
        wanted = f"column_{position}" if name is None else name
        final, count = wanted, 1
        while final in used or (final != name and final in taken):
            count += 1
            final = f"{wanted}_{count}"
        if final != name:
            changed.append(
                f"column {position} has {'no name' if name is None else f'the name {name!r} again'}: called {final!r}"
            )
        used.add(final)
        names.append(final)
    if changed:
        notes.append(f"{place}: {'; '.join(changed[:5])}{' …' if len(changed) > 5 else ''}")
    return names


def numbered_columns(width: int) -> list[str]:
    """The names of columns without a header."""
    return [f"column_{position}" for position in range(1, width + 1)]


def header_notes(
    place: str, unit: str, number: int, skipped: int, columns: Sequence[str], row: Sequence[Any]
) -> list[str]:
    """What to say about the choice of a header."""
    notes = []
    if skipped:
        notes.append(
            f"{place}: {skipped} title row{'s' if skipped > 1 else ''} above the header skipped; "
            f"the header is {unit} {number}"
        )
    if looks_like_data(row):
        notes.append(
            f"{place}: {unit} {number} is taken as the header, though it looks like data; if it is: --no-header"
        )
    shown = ", ".join(columns[:12]) + (", …" if len(columns) > 12 else "")
    notes.append(f"{place}: {len(columns)} column{'s' if len(columns) != 1 else ''}: {shown}")
    return notes


def trimmed_width(header: Sequence[Any], rows: Sequence[Sequence[Any]]) -> int:
    """The number of columns: trailing ones without a name count only where a row has something there."""
    width = len(header)
    while width and is_blank(header[width - 1]) and all(len(row) < width or is_blank(row[width - 1]) for row in rows):
        width -= 1
    return width
