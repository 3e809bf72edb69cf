"""3. Weekly or monthly trend of the index, and where its level changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sentiment.report.cells import Cells, index_cells
from sentiment.report.comparison import ALPHA, MIN_SIDE, cell_figure, difference
from sentiment.report.intervals import Floats, bounded_figure
from sentiment.report.model import ChangePoint, Trend, TrendSeries
from sentiment.report.segments import Split, adjacent, splits

Period = Literal["week", "month"]

WEEKLY_UP_TO = 183  # days
MOST_WEEKS = 1000  # one date that is wrong by decades would make more of them than anybody reads


def periods(date: NDArray[np.datetime64], asked: Period | None = None) -> tuple[Period, NDArray[np.int32], list[str]]:
    """Weeks (from Monday) or months: the period of each text (−1 without date), and the first day of every period, gaps
    included. Unless asked for one of them, weeks up to half a year and months beyond; months over `MOST_WEEKS`."""
    known = ~np.isnat(date)
    if not known.any():
        return asked or "month", np.full(len(date), -1, np.int32), []
    days_between = (date[known].max() - date[known].min()).astype(int)
    kind: Period = asked or ("week" if days_between <= WEEKLY_UP_TO else "month")
    if days_between > 7 * MOST_WEEKS:
        kind = "month"
    if kind == "week":
        number = (date.astype("datetime64[D]").astype(np.int64) + 3) // 7  # day 0 was a Thursday
    else:
        number = date.astype("datetime64[M]").astype(np.int64)
    low, high = int(number[known].min()), int(number[known].max())
    where = np.where(known, number - low, -1).astype(np.int32)
    numbers = np.arange(low, high + 1)
    days = (numbers * 7 - 3).astype("datetime64[D]") if kind == "week" else numbers.astype("datetime64[M]")
    return kind, where, [str(day) for day in days.astype("datetime64[D]")]


@dataclass(frozen=True)
class Scan:
    """Where the levels of all series may have changed: the series of all texts by dimension, then those of single
    cinemas (cinema, dimension, cells, first row), and the changes to be judged, each with the number of its series."""

    kind: Period
    starts: list[str]
    keys: list[str]
    cinemas: list[str]
    whole: Cells
    jobs: list[tuple[int, int, Cells, int]]
    found: list[tuple[int, Split]]

    @property
    def p(self) -> tuple[list[float], list[float]]:
        """The p of the changes found in the series of all texts, and of those in single cinemas, in their order."""
        size = len(self.keys)
        return [s.p for number, s in self.found if number < size], [s.p for number, s in self.found if number >= size]


def scan(
    probabilities: NDArray[np.float32],
    date: NDArray[np.datetime64],
    cinema: NDArray[np.int32],
    cinemas: list[str],
    keys: list[str],
    service: list[int],
    period: Period | None = None,
) -> Scan | None:
    """Every series segmented. `keys` end with the one for all service. None for under two periods."""
    kind, where, starts = periods(date, period)
    if len(starts) < 2:
        return None
    whole = index_cells(probabilities, where, len(starts), service)
    jobs: list[tuple[int, int, Cells, int]] = [(-1, d, whole, 0) for d in range(len(keys))]
    if len(cinemas) > 1:
        cell = np.where((where >= 0) & (cinema >= 0), cinema.astype(np.int64) * len(starts) + where, -1)
        parts = index_cells(probabilities, cell, len(cinemas) * len(starts), service)
        total = parts.mentions.reshape(len(cinemas), len(starts), -1).sum(1)
        jobs += [(c, d, parts, c * len(starts)) for c, d in np.argwhere(total >= 2 * MIN_SIDE).tolist()]
    found: list[tuple[int, Split]] = []
    for number, (_, d, cells, offset) in enumerate(jobs):
        rows = slice(offset, offset + len(starts))
        found += [
            (number, split) for split in splits(cells.index[rows, d], cells.mentions[rows, d], cells.variance[rows, d])
        ]
    return Scan(kind, starts, keys, cinemas, whole, jobs, found)


def shown(scanned: Scan, q: Floats) -> Trend:
    """The series of all texts, and of single cinemas where their level changed, surest first. `q`: of each change in
    `scanned.found`; those at q ≤ 0.05 are kept."""
    starts, jobs = scanned.starts, scanned.jobs
    sure: dict[int, dict[int, tuple[Split, float]]] = {}
    for (number, split), one in zip(scanned.found, q.tolist(), strict=True):
        if one <= ALPHA:
            sure.setdefault(number, {})[split.at] = split, one
    changes: dict[int, list[ChangePoint]] = {}
    for number, by_period in sure.items():
        _, d, cells, offset = jobs[number]
        rows = slice(offset, offset + len(starts))
        found = [split for split, _ in by_period.values()]
        near = adjacent(found, cells.index[rows, d], cells.mentions[rows, d], cells.variance[rows, d])
        changes[number] = [_change(split, starts, by_period[split.at][1]) for split in near]
    series = []
    size = len(scanned.keys)
    order = sorted(changes, key=lambda number: min(change.p for change in changes[number]))
    for number in (*range(size), *(n for n in order if n >= size)):
        c, d, cells, offset = jobs[number]
        series.append(
            TrendSeries(
                scanned.keys[d],
                None if c < 0 else scanned.cinemas[c],
                [cell_figure(cells, offset + t, d) for t in range(len(starts))],
                changes.get(number, []),
            )
        )
    return Trend(scanned.kind, starts, [int(n) for n in scanned.whole.texts], series, [None] * len(starts))


def _change(split: Split, starts: list[str], q: float) -> ChangePoint:
    spread = difference(split.value, split.error, split.freedom)
    n1, n2 = split.before[1], split.after[1]
    share1, share2 = split.error * np.sqrt(n2 / (n1 + n2)), split.error * np.sqrt(n1 / (n1 + n2))
    before = difference(split.before[0], float(share1), split.freedom)
    after = difference(split.after[0], float(share2), split.freedom)
    return ChangePoint(
        starts[split.at],
        bounded_figure(before.value, before.low, before.high, n1),
        bounded_figure(after.value, after.low, after.high, n2),
        bounded_figure(spread.value, spread.low, spread.high, n1 + n2, -100.0, 100.0),
        split.p,
        q,
    )
