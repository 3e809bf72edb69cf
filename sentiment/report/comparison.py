"""3. Did it work? Two groups of texts side by side, of everything and within each cinema."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy import special, stats

from sentiment.report.cells import Cells
from sentiment.report.index import Sums, index_figure, service_index
from sentiment.report.intervals import FEW_MENTIONS, LEVEL, Floats, adjusted, bounded_figure
from sentiment.report.model import CinemaChange, ComparisonRow, Figure

MIN_SIDE = 10.0  # mentions on either side under which no difference is tested
ALPHA = 0.05
_FEW = "few_mentions"
Counted = tuple[float, Floats]  # how many texts, and how many in every replicate


@dataclass(frozen=True)
class Difference:
    """after − before with its standard error, degrees of freedom, t interval and two-sided p."""

    value: float
    low: float
    high: float
    p: float


def difference(value: float, error: float, freedom: float) -> Difference:
    """A difference over its standard error as Student's t."""
    if error <= 0:
        return Difference(value, value, value, 1.0 if value == 0 else 0.0)
    freedom = max(1.0, freedom)
    half = float(stats.t.ppf((1 + LEVEL) / 2, freedom)) * error
    return Difference(value, value - half, value + half, float(2 * stats.t.sf(abs(value) / error, freedom)))


def score_sd(mentions: Floats) -> Floats:
    """Standard deviation of the mentions' scores (0, 50, 100), in points, from (…, 3) sums, over n, not n − 1."""
    total = np.maximum(mentions.sum(-1), 1e-12)
    mean = (mentions[..., 2] + mentions[..., 1] / 2) / total
    square = (mentions[..., 2] + mentions[..., 1] / 4) / total
    deviation: Floats = 100 * np.sqrt(np.maximum(0, square - mean * mean))
    return deviation


def hedges_g(before: Floats, after: Floats) -> Floats:
    """Hedges' g (1981) of the index from (…, 3) sums: difference over the pooled standard deviation of the mentions,
    times 1 − 3/(4(n₁ + n₂) − 9). NaN where neither side varies."""
    n1, n2 = before.sum(-1), after.sum(-1)
    freedom = np.maximum(n1 + n2 - 2, 1)
    pooled = np.sqrt((n1 * score_sd(before) ** 2 + n2 * score_sd(after) ** 2) / freedom)  # n · SD²: sum of squares
    with np.errstate(invalid="ignore", divide="ignore"):
        g = (service_index(after) - service_index(before)) / pooled * (1 - 3 / np.maximum(4 * (n1 + n2) - 9, 1))
    return np.where(pooled > 0, g, np.nan)


def compare(
    before: Sums,
    after: Sums,
    sets: list[tuple[str, list[int]]],
    faulted: Mapping[str, tuple[Counted, Counted]] | None = None,
) -> list[ComparisonRow]:
    """A row for each set of dimensions (key, positions); both sums come from the same replicates, so that a bootstrap
    over cinemas is paired. `faulted`: by key, the texts before and after with a negative mention of any dimension of a
    set of several.

    The difference of the indices, its standard error from the replicates (under 30 mentions a side, or where neither
    side varies, at least that of two shares, Agresti & Caffo 2000), t interval and p; q after Benjamini & Hochberg
    (1995) over the rows tested.
    """
    rows: list[ComparisonRow] = []
    p_values: list[float] = []
    for key, chosen in sets:
        first, second = index_figure(before, chosen), index_figure(after, chosen)
        b, a = before.mentions[chosen].sum(0), after.mentions[chosen].sum(0)
        counted = (_alone(before, chosen), _alone(after, chosen)) if len(chosen) == 1 else (faulted or {})[key]
        negative = _negative_difference(before, after, *counted)
        n1, n2 = float(b.sum()), float(a.sum())
        if min(n1, n2) < MIN_SIDE:
            none = Figure(None, n=min(n1, n2), reason=_FEW)
            rows.append(ComparisonRow(key, first, second, none, none, negative, None, None, False))
            continue
        rb, ra = before.replicates[:, chosen].sum(1), after.replicates[:, chosen].sum(1)
        value = float(service_index(a) - service_index(b))
        error = _error(
            service_index(ra) - service_index(rb), before.units, min(n1, n2), _share_error(_half(b), n1, _half(a), n2)
        )
        freedom = min(before.units, after.units, n1 + n2) - 2
        found = difference(value, error, freedom)
        g, replicated = float(hedges_g(b, a)), hedges_g(rb, ra)
        effect = Figure(None, n=n1 + n2, reason="no_variation")
        if np.isfinite(g):
            spread = difference(g, _error(replicated, before.units, FEW_MENTIONS, 0.0), freedom)
            effect = Figure(g, spread.low, spread.high, n1 + n2)
        shown = bounded_figure(value, found.low, found.high, n1 + n2, -100.0, 100.0)
        rows.append(ComparisonRow(key, first, second, shown, effect, negative, found.p, None, False))
        p_values.append(found.p)
    q = iter(adjusted(p_values).tolist())
    return [replace(row, q=(one := next(q)), significant=one <= ALPHA) if row.p is not None else row for row in rows]


def _error(replicates: Floats, units: int, n: float, share: float) -> float:
    found = replicates[np.isfinite(replicates)]
    error = float(found.std(ddof=1) * np.sqrt(units / max(1, units - 1))) if len(found) > 1 else 0.0
    return max(error, share) if n < FEW_MENTIONS or error < 1e-9 else error


def _half(mentions: Floats) -> float:
    return float(mentions[2] + mentions[1] / 2)


def _share_error(successes: float, n: float, other: float, other_n: float) -> float:
    shares = np.array([(successes + 1) / (n + 2), (other + 1) / (other_n + 2)]).clip(0, 1)
    return float(100 * np.sqrt((shares * (1 - shares) / (np.array([n, other_n]) + 2)).sum()))


def _alone(sums: Sums, chosen: list[int]) -> Counted:
    return float(sums.mentions[chosen[0], 0]), sums.replicates[:, chosen[0], 0]


def _negative_difference(before: Sums, after: Sums, faulted_before: Counted, faulted_after: Counted) -> Figure:
    if min(before.texts, after.texts) < 2:
        return Figure(None, n=min(before.texts, after.texts), reason="no_texts")
    (b, replicates_b), (a, replicates_a) = faulted_before, faulted_after
    value = 100 * (a / after.texts - b / before.texts)
    with np.errstate(invalid="ignore", divide="ignore"):
        replicates = 100 * (replicates_a / after.replicate_texts - replicates_b / before.replicate_texts)
    share = _share_error(b, before.texts, a, after.texts)
    error = _error(replicates, before.units, min(b, a), share)
    found = difference(value, error, min(before.units, after.units) - 2)
    return bounded_figure(found.value, found.low, found.high, before.texts + after.texts, -100.0, 100.0)


def cinema_changes(before: Cells, after: Cells, names: list[str], keys: list[str]) -> list[CinemaChange]:
    """Every cinema and dimension with at least 10 mentions on both sides, surest first; Welch's t (1947) on the
    linearised standard errors with the degrees of freedom of Satterthwaite (1946), q over all of them; Hedges' g with
    the large-sample interval of Hedges & Olkin (1985, ch. 5).
    `keys` name the columns of the cells, the last being all service."""
    tested = (before.mentions >= MIN_SIDE) & (after.mentions >= MIN_SIDE)
    where = np.argwhere(tested)
    if len(where) == 0:
        return []
    value = (after.index - before.index)[tested]
    v1, v2, n1, n2 = (x[tested] for x in (before.variance, after.variance, before.mentions, after.mentions))
    error = np.sqrt(v1 + v2)
    freedom = np.maximum(1, (v1 + v2) ** 2 / (v1**2 / (n1 - 1) + v2**2 / (n2 - 1)))
    p = 2 * stats.t.sf(np.abs(value) / np.maximum(error, 1e-9), freedom)
    q = adjusted(p)
    half = stats.t.ppf((1 + LEVEL) / 2, freedom) * error
    effects = _cell_effects(before, after, tested)
    found = []
    for i in np.argsort(p, kind="stable").tolist():
        c, d = where[i]
        n = float(before.mentions[c, d] + after.mentions[c, d])
        change = bounded_figure(value[i], value[i] - half[i], value[i] + half[i], n, -100.0, 100.0)
        found.append(
            CinemaChange(
                names[c], keys[d], cell_figure(before, c, d), cell_figure(after, c, d), change, effects[i],
                float(p[i]), float(q[i]), bool(q[i] <= ALPHA),
            )
        )  # fmt: skip
    return found


def _cell_effects(before: Cells, after: Cells, tested: Floats) -> list[Figure]:
    n1, n2 = before.mentions[tested], after.mentions[tested]
    n = n1 + n2
    squares = n1 * before.deviation[tested] ** 2 + n2 * after.deviation[tested] ** 2
    pooled = np.sqrt(squares / np.maximum(n - 2, 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        g = (after.index - before.index)[tested] / pooled * (1 - 3 / np.maximum(4 * n - 9, 1))
        half = stats.norm.ppf((1 + LEVEL) / 2) * np.sqrt(n / (n1 * n2) + g * g / (2 * n))
    return [
        Figure(float(g[i]), float(g[i] - half[i]), float(g[i] + half[i]), float(n[i]))
        if pooled[i] > 0
        else Figure(None, n=float(n[i]), reason="no_variation")
        for i in range(len(n))
    ]


def cell_figure(cells: Cells, row: int, column: int, least: float = 5.0) -> Figure:
    """One cell's index with its t interval."""
    n, value = float(cells.mentions[row, column]), float(cells.index[row, column])
    if n < least or not np.isfinite(value):
        return Figure(None, n=n, reason=_FEW)
    quantile = special.stdtrit(max(1.0, n - 1), (1 + LEVEL) / 2)  # stats.t.ppf, without its 100 µs of checks
    half = float(quantile * np.sqrt(cells.variance[row, column]))
    return bounded_figure(value, value - half, value + half, n)
