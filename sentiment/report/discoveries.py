"""3. Did it work? Which differences and changes hold, of everything that was tested."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np

from sentiment.report.comparison import ALPHA
from sentiment.report.intervals import Floats, adjusted_together
from sentiment.report.model import CinemaChange, Comparison, ComparisonRow

_Row = TypeVar("_Row", ComparisonRow, CinemaChange)


def corrected(
    comparisons: list[Comparison], trends: tuple[list[float], list[float]]
) -> tuple[list[Comparison], Floats]:
    """The comparisons with q over all that question 3 tests, since its sentence chooses from all of it: before and
    after, groups, within cinemas, and the changes in the trend (p in `trends`: of all texts, of single cinemas), whose
    q are returned as well."""
    rows = {kind: [r for c in comparisons if (c.kind == "by") == kind for r in c.rows] for kind in (False, True)}
    within = [change for comparison in comparisons for change in comparison.cinemas]
    p = [[row.p for row in rows[kind] if row.p is not None] for kind in (False, True)]
    q = adjusted_together([*p, [change.p for change in within], *trends])
    held = {kind: iter(_held(rows[kind], q[kind])) for kind in (False, True)}
    cinemas = iter(_held(within, q[2]))
    made = [
        replace(c, rows=[next(held[c.kind == "by"]) for _ in c.rows], cinemas=[next(cinemas) for _ in c.cinemas])
        for c in comparisons
    ]
    return made, np.concatenate(q[3:])


def _held(rows: list[_Row], q: Floats) -> list[_Row]:
    """The rows with their q; those that were not tested have none."""
    each = iter(q.tolist())
    return [row if row.p is None else replace(row, q=(one := next(each)), significant=one <= ALPHA) for row in rows]
