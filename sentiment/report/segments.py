"""3. Where a series of period indices changed its level, for good or for a while."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.special import ndtr

from sentiment.report.comparison import ALPHA, MIN_SIDE, difference
from sentiment.report.intervals import Floats

MIN_PERIODS = 4
LEAST_LEVEL = 2  # periods that make a level
LONGEST_SEGMENT = 60  # periods; what lasts longer leaves enough of them for single splits to find both its ends


@dataclass(frozen=True)
class Split:
    """A change before period `at`: levels, difference, their standard error, and p over all places tried."""

    at: int
    before: tuple[float, float]
    after: tuple[float, float]
    value: float
    error: float
    freedom: float
    p: float


@dataclass(frozen=True)
class _Series:
    """The periods that have mentions: their numbers, indices, mentions, and the variance of one mention, in points²."""

    has: NDArray[np.intp]
    y: Floats
    n: Floats
    unit: float


def _series(index: Floats, mentions: Floats, variance: Floats) -> _Series | None:
    has = np.flatnonzero((mentions > 0) & np.isfinite(index))
    if len(has) < MIN_PERIODS:
        return None
    y, n = index[has], mentions[has]
    return _Series(has, y, n, float((variance[has] * n * n).sum() / n.sum()))


def _two_levels(series: _Series, second: NDArray[np.bool_], at: int, tried: float) -> Split:
    """The periods of `second` against the others, with p over the `tried` places.

    The variance per mention is pooled over the periods and, where these scatter around the two levels by more than that
    (χ² test at 5%), widened to it (quasi-likelihood).
    """
    y, n, unit = series.y, series.n, series.unit
    n1, n2 = float(n[~second].sum()), float(n[second].sum())
    low, high = float((n * y)[~second].sum() / n1), float((n * y)[second].sum() / n2)
    error = float(np.sqrt(unit * (1 / n1 + 1 / n2)))
    freedom: float = len(y) - 2
    scatter = float((n * (y - np.where(second, high, low)) ** 2).sum()) / max(unit, 1e-12)
    if stats.chi2.sf(scatter, freedom) < ALPHA:
        error *= float(np.sqrt(scatter / freedom))
    else:
        freedom = float(n.sum() - 2)
    one = difference(high - low, error, freedom)
    return Split(at, (low, n1), (high, n2), one.value, error, freedom, min(1.0, one.p * tried))


def best_split(index: Floats, mentions: Floats, variance: Floats) -> Split | None:
    """The most likely single change of level.

    For every split the mention-weighted means before and after are compared: z = difference / standard error. p of the
    greatest |z| is Bonferroni's over the splits tried (Worsley 1982 shows it to be close), so it never claims too much.
    None with under four periods or under 10 mentions a side.
    """
    series = _series(index, mentions, variance)
    return None if series is None else _best_split(series)


def _best_split(series: _Series) -> Split | None:
    y, n = series.y, series.n
    left, left_y = np.cumsum(n)[:-1], np.cumsum(n * y)[:-1]
    right, right_y = n.sum() - left, (n * y).sum() - left_y
    allowed = (left >= MIN_SIDE) & (right >= MIN_SIDE)
    allowed[: LEAST_LEVEL - 1] = allowed[len(allowed) - LEAST_LEVEL + 1 :] = False
    if not allowed.any():
        return None
    error = np.sqrt(series.unit * (1 / left + 1 / right))
    z = np.where(allowed, np.abs(right_y / right - left_y / left) / np.maximum(error, 1e-9), 0.0)
    at = int(series.has[int(z.argmax()) + 1])
    return _two_levels(series, series.has >= at, at, int(allowed.sum()))


@lru_cache(maxsize=64)
def _places(size: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """First and one past the last period of every segment that leaves a level before and after it."""
    first, past = np.triu_indices(size + 1, LEAST_LEVEL)
    kept = (first >= LEAST_LEVEL) & (past <= size - LEAST_LEVEL) & (past - first <= LONGEST_SEGMENT)
    return first[kept], past[kept]


def _best_segment(series: _Series) -> tuple[Split, int, int] | None:
    """The most likely change for a while: the segment that differs most from all around it, with p over the segments
    tried, doubled, and its ends as positions among the periods with mentions. None where no p can be under 0.05."""
    first, past = _places(len(series.y))
    if not len(first):
        return None
    n, ny = (np.concatenate([[0.0], np.cumsum(part)]) for part in (series.n, series.n * series.y))
    inside = n[past] - n[first]
    allowed = (inside >= MIN_SIDE) & (n[first] >= MIN_SIDE) & (n[-1] - n[past] >= MIN_SIDE)
    if not allowed.any():
        return None
    first, past, inside = first[allowed], past[allowed], inside[allowed]
    inside_y, outside = ny[past] - ny[first], n[-1] - inside
    error = np.sqrt(series.unit * (1 / inside + 1 / outside))
    z = np.abs(inside_y / inside - (ny[-1] - inside_y) / outside) / np.maximum(error, 1e-9)
    best = int(z.argmax())
    if 2 * 2 * len(z) * ndtr(-z[best]) > ALPHA:  # t, and a wider error, only make it more
        return None
    start, end = int(first[best]), int(past[best])
    place = np.arange(len(series.y))
    found = _two_levels(series, (place >= start) & (place < end), int(series.has[start]), len(first))
    return replace(found, p=min(1.0, 2 * found.p)), start, end


def best_changes(index: Floats, mentions: Floats, variance: Floats) -> list[Split]:
    """The surest change of a series: one split, or the two ends of a segment.

    A level that comes back leaves means before and after any single split that hardly differ, so segments are compared
    with all around them, too (circular binary segmentation: Olshen, Venkatraman, Lucito & Wigler 2004). Splits and
    segments have half of the false-alarm rate each (a weighted Bonferroni: p doubled), so that the many segments cost a
    single split little. An end of a segment is a change only if the levels on its own two sides differ as well, over
    all places where that end might have been. If no end is, the best split is what there is.
    """
    series = _series(index, mentions, variance)
    split = None if series is None else _best_split(series)
    if series is None or split is None:
        return []
    if len(_places(len(series.y))[0]):
        split = replace(split, p=min(1.0, 2 * split.p))
    segment = _best_segment(series)
    if segment is not None and segment[0].p < split.p:
        whole, start, end = segment
        parts = (slice(0, end), start), (slice(start, len(series.y)), end)
        ends = [_end(series, part, at, whole.p) for part, at in parts]
        return [one for one in ends if one.p <= ALPHA] or [split]
    return [split]


def _end(series: _Series, part: slice, at: int, p: float) -> Split:
    """The change before position `at` judged within the part of the series that ends, or begins, with the segment."""
    own = _Series(series.has[part], series.y[part], series.n[part], series.unit)
    found = _two_levels(own, own.has >= series.has[at], int(series.has[at]), len(own.y) - 1)
    return replace(found, p=max(p, found.p))


def splits(index: Floats, mentions: Floats, variance: Floats) -> list[Split]:
    """Binary segmentation (Scott & Knott 1974; Olshen et al. 2004): the surest change, and where its p is at most 0.05
    the surest ones of all parts in turn. The first is returned whatever its p, for the correction over all series."""
    found = best_changes(index, mentions, variance)
    if not found or found[0].p > ALPHA:
        return found[:1]
    edges = [0, *(split.at for split in found), len(index)]
    for low, high in pairwise(edges):
        part = slice(low, high)
        for inner in splits(index[part], mentions[part], variance[part]):
            if inner.p <= ALPHA:
                found.append(replace(inner, at=inner.at + low))
    return found


def adjacent(found: list[Split], index: Floats, mentions: Floats, variance: Floats) -> list[Split]:
    """The splits of one series in their order, each with the levels next to it, from the split before it to the one
    after it: the segmentation judged the first by all that lies on either side."""
    ordered = sorted(found, key=lambda split: split.at)
    edges = [0, *(split.at for split in ordered), len(index)]
    made = []
    for split, start, end in zip(ordered, edges, edges[2:], strict=False):
        has = start + np.flatnonzero((mentions[start:end] > 0) & np.isfinite(index[start:end]))
        y, n = index[has], mentions[has]
        near = _Series(has, y, n, float((variance[has] * n * n).sum() / n.sum()))
        made.append(replace(_two_levels(near, has >= split.at, split.at, 1), p=split.p))
    return made
