"""2. What to fix first: importance against performance, and what fewer complaints would bring."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, softmax

from sentiment.report.index import Sums
from sentiment.report.intervals import LEVEL, Floats, percentile_interval
from sentiment.report.model import Figure, ImpactRow, IndexRow, IpaPoint, Quadrant

MIN_BENCHMARK = 4  # cinemas, of which the best quarter is at least one
MIN_TEXTS = 30  # texts of a cinema whose complaint rate counts
_GRID = np.linspace(0.005, 0.6, 60)  # √ρ, ρ the correlation of two texts of one cinema


@dataclass(frozen=True)
class Gain:
    """What one dimension would bring: gain of the overall index in points, target rate and rate today in percent,
    negative mentions avoided."""

    dimension: int
    gain: Figure
    rate: Figure
    target: Figure
    avoided: Figure


def importance_performance(
    indices: list[IndexRow], impact: list[ImpactRow], overall: float | None
) -> tuple[list[IpaPoint], float | None, float | None]:
    """Points, and the cross-hairs: the overall index, and the mean range of impact over the dimensions shown.

    Martilla & James (1977), with the range of impact as derived importance (impact range–performance analysis, Mikulić
    & Prebežac 2008). Quadrants: under the index and over the mean impact "concentrate", over both "keep", under both
    "low_priority", else "overkill".
    """
    by_key = {row.key: row for row in impact}
    shown = [
        (row, by_key[row.key].range)
        for row in indices
        if row.key in by_key and row.index.value is not None and by_key[row.key].range.value is not None
    ]
    ranges = [figure.value for _, figure in shown if figure.value is not None]
    if not shown or overall is None:
        return [], None, None
    cross = float(np.mean(ranges))
    return (
        [IpaPoint(row.key, row.index, range_, _quadrant(row.index, range_, overall, cross)) for row, range_ in shown],
        overall,
        cross,
    )


def _quadrant(performance: Figure, importance: Figure, overall: float, cross: float) -> Quadrant:
    good = (performance.value or 0.0) >= overall
    if (importance.value or 0.0) >= cross:
        return "keep" if good else "concentrate"
    return "overkill" if good else "low_priority"


def index_gain(positive_half: Floats | float, total: Floats | float, avoided: Floats | float) -> Floats:
    """Points by which 100 A / N rises when `avoided` negative mentions are not made: 100 A / (N − x) − 100 A / N, with
    A = Σ(p⁺ + ½p⁰) and N all mentions."""
    rest = np.maximum(total - avoided, 1e-9)
    gain: Floats = 100 * positive_half / rest - 100 * positive_half / total
    return gain


def effective(negative: Floats, square: Floats, texts: Floats) -> float:
    """By how much more than counts the probabilities say about the rates: the variance of a share, q(1 − q), over the
    pooled variance of p⁻ within cinemas. 1 for labels; over 1 for probabilities, which vary less than what they stand
    for, so that as many texts leave less noise."""
    freedom = texts.sum() - len(texts)
    within = float((square - negative * negative / texts).sum()) / freedom if freedom > 0 else 0.0
    q = float(negative.sum() / texts.sum())
    return float(np.clip(q * (1 - q) / within, 1.0, 20.0)) if within > 0 else 1.0


def rate_draws(negative: Floats, texts: Floats, draws: int, rng: np.random.Generator) -> Floats:
    """Draws of every cinema's true complaint rate, 0–1: (draws, cinemas).

    A cinema's number of texts with a negative mention is Binomial(texts, q), the q's Beta over cinemas (beta-binomial:
    Skellam 1948; moments after Kleinman 1973). The mean is the pooled rate; √ρ, the intra-cinema correlation, has a
    flat prior on a grid, since with few cinemas its estimate alone is often 0 and all intervals would be too narrow.
    """
    p = float(np.clip(negative.sum() / texts.sum(), 1e-6, 1 - 1e-6))
    strength = 1 / np.square(_GRID) - 1
    a, b = p * strength[:, None], (1 - p) * strength[:, None]
    other = np.maximum(texts - negative, 0)
    log_marginal = (
        gammaln(a + negative) - gammaln(a) + gammaln(b + other) - gammaln(b)
        + gammaln(a + b) - gammaln(a + b + negative + other)
    ).sum(1)  # fmt: skip
    chosen = rng.choice(len(_GRID), size=draws, p=softmax(log_marginal))
    found: Floats = rng.beta(a[chosen] + negative, b[chosen] + other)
    return found


def compared(cinema_texts: Floats) -> NDArray[np.bool_]:
    """The cinemas among which the best quarter is sought, those of 30 texts; none where they are fewer than four."""
    enough: NDArray[np.bool_] = cinema_texts >= MIN_TEXTS
    return enough if enough.sum() >= MIN_BENCHMARK else np.zeros_like(enough)


def fix_first(
    sums: Sums,
    service: list[int],
    rates: list[Figure],
    cinema_negative: Floats,
    cinema_square: Floats,
    cinema_texts: Floats,
    rng: np.random.Generator,
) -> tuple[Literal["best_quarter", "halved"], list[Gain]]:
    """Expected gain of the overall index by dimension, greatest first.

    With at least four cinemas of 30 texts: if every cinema above it came down to the rate that the best quarter of the
    cinemas reaches (the lower quartile of the true rates, `rate_draws`); mean and 2.5%–97.5% of the draws. There is
    no target where today's rate of all their texts is no higher, as it is where most texts are of good cinemas. With
    fewer: if today's complaint rate halved; bootstrap interval. The complaints avoided are not made at all, so the gain
    is the least that can be hoped for: no praise takes their place.

    Args:
        cinema_negative, cinema_square: (cinemas, D) Σp⁻ and Σ(p⁻)² by cinema. cinema_texts: (cinemas,).
        rates: percent of the texts of the cinemas `compared`, or of all where there are none, by dimension.
    """
    total = float(sums.mentions[service].sum())
    half = float(sums.mentions[service, 2].sum() + sums.mentions[service, 1].sum() / 2)
    enough = compared(cinema_texts)
    gains = []
    benchmark: Literal["best_quarter", "halved"] = "best_quarter" if enough.any() else "halved"
    if benchmark == "halved":
        totals, halves = _replicated(sums, service)
    draws = int(np.clip(4_000_000 // max(1, int(enough.sum())), 200, 2000))
    for d, rate in zip(service, rates, strict=True):
        negative = float(sums.mentions[d, 0])
        if rate.value is None or negative < 1:
            continue
        if benchmark == "best_quarter":
            scale = effective(cinema_negative[enough, d], cinema_square[enough, d], cinema_texts[enough])
            q = rate_draws(cinema_negative[enough, d] * scale, cinema_texts[enough] * scale, draws, rng)
            target = np.quantile(q, 0.25, axis=1)
            avoided = np.maximum(0, q - target[:, None]) @ cinema_texts[enough]
            gain = _drawn(index_gain(half, total, avoided), sums.texts)
            n = float(cinema_texts[enough].sum())
            best = _drawn(100 * target, n)
            if (best.value or 0.0) >= rate.value:
                best = Figure(None, n=n, reason="no_target")
            gains.append(Gain(d, gain, rate, best, _drawn(avoided, n)))
            continue
        fewer = sums.replicates[:, d, 0] / 2
        gain = _resampled(
            float(index_gain(half, total, negative / 2)), index_gain(halves, totals, fewer), sums.units, sums.texts
        )
        low, high = (None if end is None else end / 2 for end in (rate.low, rate.high))
        target_rate = Figure(rate.value / 2, low, high, rate.n, rate.reason)
        gains.append(Gain(d, gain, rate, target_rate, _resampled(negative / 2, fewer, sums.units, sums.texts)))
    return benchmark, sorted(gains, key=lambda gain: -(gain.gain.value or 0.0))


def _drawn(draws: Floats, n: float) -> Figure:
    """Mean and middle 95% of posterior draws."""
    low, high = np.quantile(draws, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return Figure(float(draws.mean()), float(low), float(high), n)


def _resampled(value: float, replicates: Floats, units: int, n: float) -> Figure:
    ends = percentile_interval(replicates, units)
    low, high = ends or (None, None)
    return Figure(value, low, high, n, None if ends else "one_unit")


def _replicated(sums: Sums, service: list[int]) -> tuple[Floats, Floats]:
    chosen = sums.replicates[:, service]
    return np.maximum(chosen.sum((1, 2)), 1e-9), chosen[:, :, 2].sum(1) + chosen[:, :, 1].sum(1) / 2
