"""Date columns while they are read: whether day or month comes first in 03/01/2026 is known once a file is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentiment.report.dates import DateOrder, both_ways, parse_date

Dates = NDArray[np.datetime64]
_KEPT = 100_000  # distinct cells of a file that are parsed once
_UNKNOWN = int(np.datetime64("NaT", "D").astype(np.int64))


class Days:
    """Reads cells as days, and those that may be either of two once all cells are known."""

    def __init__(self, order: DateOrder | None) -> None:
        self._order = order
        self._known: dict[int, dict[Any, int]] = {}  # by source
        self._orders: dict[int, set[DateOrder]] = {}  # what days above 12 tell, by source
        self._unclear: list[tuple[int, NDArray[np.int64], Dates, Dates]] = []  # source, rows, by day, by month

    def read(self, cells: Sequence[Any], source: int, start: int) -> tuple[Dates, int]:
        """Days (NaT: none, or unclear yet), and how many are unclear; `start` is the first one's row of all."""
        known = self._known.setdefault(source, {})
        days = np.fromiter((self._day(cell, source, known) for cell in cells), np.int64, len(cells))
        found: Dates = days.astype("datetime64[D]")
        rows, ways = [], []
        if self._order is None:
            for at in np.flatnonzero(np.isnat(found)).tolist():
                both = both_ways(cells[at])
                if both is not None and None not in both:
                    rows.append(start + at)
                    ways.append(both)
        if rows:
            by_day, by_month = np.array(ways, "datetime64[D]").T
            self._unclear.append((source, np.array(rows), by_day, by_month))
        return found, len(rows)

    def _day(self, cell: Any, source: int, known: dict[Any, int]) -> int:
        try:
            return known[cell]
        except TypeError:
            return _UNKNOWN
        except KeyError:
            day = int(np.datetime64(parse_date(cell, self._order), "D").astype(np.int64))
            if (
                isinstance(cell, str)
                and (both := both_ways(cell)) is not None
                and (both[0] is None) != (both[1] is None)
            ):
                self._orders.setdefault(source, set()).add("month" if both[0] is None else "day")
            if len(known) < _KEPT:
                known[cell] = day
            return day

    def settle(self, dates: Dates) -> int:
        """Fills in, in the column of all files, the days that the rest of their file has made clear; how many are
        not."""
        left = 0
        for source, rows, by_day, by_month in self._unclear:
            orders = self._orders.get(source, set())
            if len(orders) == 1:
                dates[rows] = by_day if "day" in orders else by_month
            else:
                left += len(rows)
        return left
