"""Resampling units, bootstrap weights, and intervals from replicates: what every statistic of the report shares.

The bootstrap resamples *units*: texts, or whole cinemas where there are enough of them to stand for others. Beyond
`MOST_UNITS` the units are put together at random into that many groups, and the groups are resampled (the random group
method: Wolter, Introduction to Variance Estimation, 2007, ch. 2): sums over groups are all that is kept, so a million
texts cost no more than two thousand, and the standard error itself is uncertain by 1/√(2·2000) = 1.6%.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from sentiment.report.model import Figure

LEVEL = 0.95
MOST_UNITS = 2000
MIN_CINEMAS = 20  # under this a bootstrap over cinemas is too narrow; the texts are resampled instead
MIN_MENTIONS = 5.0  # under this there is no figure at all
FEW_MENTIONS = 30.0  # under this an interval is at least as wide as a share's

Floats = NDArray[Any]  # float64, of the shape that each docstring says


@dataclass(frozen=True)
class Units:
    """`of` (n): the unit of each text; `count` units; `kind`: what they are."""

    of: NDArray[np.int32]
    count: int
    kind: Literal["texts", "cinemas"]

    def sums(self, values: NDArray[Any]) -> Floats:
        """Sums of a column (n) or of columns (n, k) by unit: (count,) or (count, k)."""
        if values.ndim == 1:
            return np.bincount(self.of, values, self.count)
        out = np.empty((self.count, values.shape[1]))
        for column in range(values.shape[1]):
            out[:, column] = np.bincount(self.of, values[:, column], self.count)
        return out

    def select(self, kept: NDArray[np.bool_]) -> Units:
        """The same units for some of the texts only."""
        return Units(self.of[kept], self.count, self.kind)


def make_units(size: int, cinema: NDArray[np.int32] | None, rng: np.random.Generator) -> Units:
    """Units for `size` texts: cinemas where at least `MIN_CINEMAS` are known (a text without one is a unit of its own),
    else texts; at most `MOST_UNITS`, joined at random."""
    kind: Literal["texts", "cinemas"] = "texts"
    of = np.arange(size)
    if cinema is not None and len(np.unique(cinema[cinema >= 0])) >= MIN_CINEMAS:
        kind = "cinemas"
        known = cinema >= 0
        of = np.where(known, cinema, cinema.max(initial=0) + 1 + np.cumsum(~known))
        of = np.unique(of, return_inverse=True)[1]
    count = int(of.max(initial=-1)) + 1
    if count > MOST_UNITS:
        groups = rng.permutation(count) % MOST_UNITS
        of, count = groups[of], MOST_UNITS
    return Units(of.astype(np.int32), count, kind)


def weights(count: int, replicates: int, rng: np.random.Generator) -> Floats:
    """How often each unit is drawn in each replicate: (replicates, count), every row summing to `count`."""
    if count == 0:
        return np.zeros((replicates, 0))
    return rng.multinomial(count, np.full(count, 1 / count), size=replicates).astype(np.float64)


def percentile_interval(replicates: Floats, count: int, level: float = LEVEL) -> tuple[float, float] | None:
    """The expanded percentile interval (Hesterberg, What Teachers Should Know About the Bootstrap, 2015, §5.3): the
    percentiles are moved out so that a mean of `count` units gets the width of a t interval, not of the bootstrap's
    own, which is too narrow by √((count−1)/count) and by z instead of t. None where under two units say anything."""
    found = replicates[np.isfinite(replicates)]
    if count < 2 or len(found) < 20:
        return None
    half = stats.t.ppf((1 + level) / 2, count - 1) * np.sqrt(count / (count - 1))
    tail = float(stats.norm.cdf(-half))
    low, high = np.quantile(found, (tail, 1 - tail))
    return float(low), float(high)


def widening(tests: int, level: float = LEVEL) -> float:
    """How many times as wide intervals must be, lest any of so many misses its truth oftener than one alone would
    (Bonferroni): the ratio of the normal quantiles."""
    each = (1 - level) / (2 * max(1, tests))
    return float(stats.norm.isf(each) / stats.norm.isf((1 - level) / 2))


def wilson(successes: float, n: float, level: float = LEVEL) -> tuple[float, float]:
    """Wilson's interval of a share, 0–1 (Wilson 1927; Brown, Cai & DasGupta 2001). `n` > 0; both may be expected
    counts. (p + z²/2n ± z√(p(1−p)/n + z²/4n²)) / (1 + z²/n)."""
    z = float(stats.norm.ppf((1 + level) / 2))
    share = min(1.0, max(0.0, successes / n))
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return float(max(0.0, min(share, centre - half))), float(min(1.0, max(share, centre + half)))


def share_figure(successes: float, n: float, *, reason: str = "no_texts") -> Figure:
    """A percent with Wilson's interval."""
    if n <= 0:
        return Figure(None, reason=reason)
    low, high = wilson(successes, n)
    return Figure(100 * min(1.0, successes / n), 100 * low, 100 * high, n)


def bounded_figure(value: float, low: float, high: float, n: float, least: float = 0.0, most: float = 100.0) -> Figure:
    """An estimate with the part of its interval that lies within the bounds of what is estimated."""
    return Figure(float(value), max(least, float(low)), min(most, float(high)), n)


def ratio_figure(
    value: float,
    replicates: Floats,
    count: int,
    n: float,
    *,
    least: float,
    most: float,
    floor: float = MIN_MENTIONS,
    reason: str = "few_mentions",
) -> Figure:
    """An estimate bounded by `least` and `most` with its bootstrap interval.

    Where it rests on under `FEW_MENTIONS`, the interval is widened to Wilson's of a share of that n, since the
    bootstrap knows no value that the sample did not show (all positive would give an interval of width 0). The value
    is always inside.
    """
    if n < floor or not np.isfinite(value):
        return Figure(None, n=float(n), reason=reason)
    found = percentile_interval(replicates, count)
    if found is None:
        return Figure(value, None, None, float(n), "one_unit")
    low, high = found
    if n < FEW_MENTIONS or low == high:
        a, b = wilson((value - least) / (most - least) * n, n)
        low, high = min(low, least + a * (most - least)), max(high, least + b * (most - least))
    return Figure(value, max(least, min(low, value)), min(most, max(high, value)), float(n))


def plain_figure(
    value: float, replicates: Floats, count: int, n: float, *, scale: Callable[[float], float] = float
) -> Figure:
    """An unbounded estimate with its bootstrap interval."""
    if not np.isfinite(value):
        return Figure(None, n=float(n), reason="few_mentions")
    found = percentile_interval(replicates, count)
    if found is None:
        return Figure(scale(value), None, None, float(n), "one_unit")
    return Figure(scale(value), scale(min(found[0], value)), scale(max(found[1], value)), float(n))


def adjusted(p: NDArray[Any] | list[float]) -> Floats:
    """q-values: p after Benjamini & Hochberg (1995), which keeps the expected share of false discoveries under q."""
    values = np.asarray(p, np.float64)
    return values if len(values) == 0 else np.asarray(stats.false_discovery_control(values, method="bh"))


def adjusted_together(families: Sequence[NDArray[Any] | list[float]]) -> list[Floats]:
    """q-values over several families of tests at once, whose claims are chosen from together: of all of them the
    expected share of false discoveries stays under q. Each family has the same weight (Benjamini & Hochberg with
    weights: Genovese, Roeder & Wasserman 2006), lest twenty tests somebody asked for drown among thousands. A single
    family has the q of `adjusted`."""
    sizes = [len(family) for family in families]
    used, total = sum(size > 0 for size in sizes), sum(sizes)
    weighted = [np.asarray(f, np.float64) * (used * len(f) / max(1, total)) for f in families]
    q = adjusted(np.minimum(1.0, np.concatenate([np.zeros(0), *weighted])))
    return np.split(q, np.cumsum(sizes)[:-1])
