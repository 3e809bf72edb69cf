"""3. Weekly or monthly trend of the index, and where its level changed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from sentiment.report.cells import Cells, index_cells
from sentiment.report.comparison import ALPHA, MIN_SIDE, cell_figure, difference
from sentiment.report.intervals import Floats, adjusted, bounded_figure
from sentiment.report.model import ChangePoint, Trend, TrendSeries

WEEKLY_UP_TO = 183  # days
MIN_PERIODS = 4


@dataclass(frozen=True)
class Split:
    """A change before period `at`: levels, difference, the z of the most likely split, its p over all splits."""

    at: int
    before: tuple[float, float]
    after: tuple[float, float]
    value: float
    error: float
    freedom: float
    p: float


def periods(date: NDArray[np.datetime64]) -> tuple[Literal["week", "month"], NDArray[np.int32], list[str]]:
    """Weeks (from Monday) up to half a year, months beyond: the period of each text (−1 without date), and the first
    day of every period, gaps included."""
    known = ~np.isnat(date)
    if not known.any():
        return "month", np.full(len(date), -1, np.int32), []
    first, last = date[known].min(), date[known].max()
    kind: Literal["week", "month"] = "week" if (last - first).astype(int) <= WEEKLY_UP_TO else "month"
    if kind == "week":
        number = (date.astype("datetime64[D]").astype(np.int64) + 3) // 7  # day 0 was a Thursday
    else:
        number = date.astype("datetime64[M]").astype(np.int64)
    low, high = int(number[known].min()), int(number[known].max())
    where = np.where(known, number - low, -1).astype(np.int32)
    numbers = np.arange(low, high + 1)
    days = (numbers * 7 - 3).astype("datetime64[D]") if kind == "week" else numbers.astype("datetime64[M]")
    return kind, where, [str(day) for day in days.astype("datetime64[D]")]


def best_split(index: Floats, mentions: Floats, variance: Floats) -> Split | None:
    """The most likely single change of level in a series of period indices.

    For every split the mention-weighted means before and after are compared: z = difference / standard error, whose
    variance per mention is pooled over the periods and, where the periods scatter around the two levels by more than
    that (χ² test at 5%), widened to it (quasi-likelihood). p of the greatest |z| is Bonferroni's over the splits tried
    (Worsley 1982 shows it to be close), so it never claims too much. None with under four periods or under 10 mentions
    a side.
    """
    has = np.flatnonzero((mentions > 0) & np.isfinite(index))
    if len(has) < MIN_PERIODS:
        return None
    y, n = index[has], mentions[has]
    unit = float((variance[has] * n * n).sum() / n.sum())  # points² of one mention
    left, left_y = np.cumsum(n)[:-1], np.cumsum(n * y)[:-1]
    right, right_y = n.sum() - left, (n * y).sum() - left_y
    allowed = (left >= MIN_SIDE) & (right >= MIN_SIDE)
    allowed[0] = allowed[-1] = False  # a level needs two periods
    if not allowed.any():
        return None
    first, second = left_y / left, right_y / right
    error = np.sqrt(unit * (1 / left + 1 / right))
    z = np.where(allowed, np.abs(second - first) / np.maximum(error, 1e-9), 0.0)
    k = int(z.argmax())
    levels = np.where(np.arange(len(y)) <= k, first[k], second[k])
    freedom = len(y) - 2
    scatter = float((n * (y - levels) ** 2).sum()) / max(unit, 1e-12)
    wide = np.sqrt(scatter / freedom) if stats.chi2.sf(scatter, freedom) < ALPHA else 1.0
    one = difference(float(second[k] - first[k]), float(error[k] * wide), freedom if wide > 1 else float(n.sum() - 2))
    return Split(
        int(has[k + 1]),
        (float(first[k]), float(left[k])),
        (float(second[k]), float(right[k])),
        one.value,
        float(error[k] * wide),
        freedom if wide > 1 else float(n.sum() - 2),
        min(1.0, one.p * int(allowed.sum())),
    )


def splits(index: Floats, mentions: Floats, variance: Floats) -> list[Split]:
    """Binary segmentation (Scott & Knott 1974): the best split, and where its p is at most 0.05 the best splits of both
    parts in turn. The first is returned whatever its p, for the correction over all series."""
    first = best_split(index, mentions, variance)
    if first is None:
        return []
    found = [first]
    if first.p <= ALPHA:
        at = first.at
        for low, part in ((0, slice(None, at)), (at, slice(at, None))):
            for inner in splits(index[part], mentions[part], variance[part]):
                if inner.p <= ALPHA:
                    found.append(replace(inner, at=inner.at + low))
    return found


def trend(
    probabilities: NDArray[np.float32],
    date: NDArray[np.datetime64],
    cinema: NDArray[np.int32],
    cinemas: list[str],
    keys: list[str],
    service: list[int],
) -> Trend | None:
    """Series of all texts by dimension, and of single cinemas where their level changed, surest first; q of all change
    points together after Benjamini & Hochberg, kept at q ≤ 0.05. `keys` end with the one for all service. None for
    under two periods."""
    kind, where, starts = periods(date)
    if len(starts) < 2:
        return None
    whole = index_cells(probabilities, where, len(starts), service)
    jobs: list[tuple[int, int, Cells, int]] = [(-1, d, whole, 0) for d in range(len(keys))]
    if len(cinemas) > 1:
        cell = np.where((where >= 0) & (cinema >= 0), cinema.astype(np.int64) * len(starts) + where, -1)
        parts = index_cells(probabilities, cell, len(cinemas) * len(starts), service)
        total = parts.mentions.reshape(len(cinemas), len(starts), -1).sum(1)
        jobs += [(c, d, parts, c * len(starts)) for c, d in np.argwhere(total >= 2 * MIN_SIDE).tolist()]
    candidates: list[tuple[int, Split]] = []
    for number, (_, d, cells, offset) in enumerate(jobs):
        rows = slice(offset, offset + len(starts))
        candidates += [
            (number, split) for split in splits(cells.index[rows, d], cells.mentions[rows, d], cells.variance[rows, d])
        ]
    changes: dict[int, list[ChangePoint]] = {}
    for (number, split), q in zip(candidates, adjusted([split.p for _, split in candidates]), strict=True):
        if q <= ALPHA:
            changes.setdefault(number, []).append(_change(split, starts, float(q)))
    series = []
    order = sorted(changes, key=lambda number: min(change.p for change in changes[number]))
    kept = list(range(len(keys))) + [n for n in order if n >= len(keys)]
    for number in kept:
        c, d, cells, offset = jobs[number]
        series.append(
            TrendSeries(
                keys[d],
                None if c < 0 else cinemas[c],
                [cell_figure(cells, offset + t, d) for t in range(len(starts))],
                sorted(changes.get(number, []), key=lambda change: change.at),
            )
        )
    return Trend(kind, starts, [int(n) for n in whole.texts], series, [None] * len(starts))


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
