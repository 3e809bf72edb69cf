"""3. The league of cinemas: indices shrunk towards the mean, and ranks no surer than the data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from sentiment.report.cells import Cells
from sentiment.report.comparison import cell_figure
from sentiment.report.intervals import LEVEL, Floats, bounded_figure
from sentiment.report.model import Figure, League, LeagueRow

MIN_RANKED = 10.0  # service mentions
MOST_RANKED = 1000
_DRAWS = 2000


@dataclass(frozen=True)
class Shrunk:
    """Posterior means and standard deviations, the estimated mean and the standard deviation between cinemas."""

    mean: Floats
    sd: Floats
    centre: float
    between: float


def shrink(value: Floats, variance: Floats) -> Shrunk:
    """Empirical Bayes for normal means with known, unequal variances (Efron & Morris 1975; Morris 1983).

    Each value is moved towards the precision-weighted mean by v / (v + τ²); τ² solves Paule & Mandel's (1982) equation
    Σ w (y − μ)² = k − 1, w = 1/(v + τ²), and is 0 where the values differ by no more than chance. The posterior
    variance has the terms for the estimated mean and for the estimated τ² (Morris 1983, eq. 1.16). Up to three values
    stay as they are.
    """
    k = len(value)

    def centre_of(tau2: float) -> tuple[float, Floats]:
        w = 1 / (variance + tau2)
        return float((w * value).sum() / w.sum()), w

    def excess(tau2: float) -> float:
        mu, w = centre_of(tau2)
        return float((w * (value - mu) ** 2).sum() - (k - 1))

    top = float(value.var() * 4 + 1.0)
    while excess(top) > 0 and top < 1e8:
        top *= 4
    tau2 = float(optimize.brentq(excess, 0.0, top)) if k > 1 and excess(0.0) > 0 > excess(top) else 0.0
    mu, w = centre_of(tau2)
    # Morris's (k − 3)/(k − 1) keeps an estimated τ² from shrinking too much: three values tell nothing about it.
    pull = max(0, k - 3) / max(1, k - 1) * variance * w
    mean = (1 - pull) * value + pull * mu
    spread = 2 / (k - 3) * pull**2 * (value - mu) ** 2 if k > 3 else 0.0
    posterior = variance * (1 - pull * (1 - w / w.sum())) + spread
    return Shrunk(mean, np.sqrt(posterior), mu, float(np.sqrt(tau2)))


def league(
    column: str,
    cells: Cells,
    names: list[str],
    keys: list[str],
    rng: np.random.Generator,
    quotes: dict[str, str | None],
) -> League | None:
    """Ranks the cinemas with at least 10 service mentions (at most the 1,000 with most); None for fewer than two.

    The rank interval holds the ranks of 95% of joint posterior draws. A cinema is tied with the best of its band if it
    is better in over 2.5% of the draws. `keys` name the columns of the cells, the last being all service; `quotes` are
    keys by name.
    """
    mentions = cells.mentions[:, -1]
    ranked = np.flatnonzero(mentions >= MIN_RANKED)
    enough = len(ranked)
    if enough > MOST_RANKED:
        ranked = np.sort(ranked[np.argsort(-mentions[ranked], kind="stable")[:MOST_RANKED]])
    if len(ranked) < 2:
        return None
    found = shrink(cells.index[ranked, -1], cells.variance[ranked, -1])
    draws = rng.normal(found.mean, np.maximum(found.sd, 1e-9), (_DRAWS, len(ranked)))
    ranks = stats.rankdata(-draws, axis=1)
    low = np.quantile(ranks, (1 - LEVEL) / 2, axis=0, method="lower")
    high = np.quantile(ranks, (1 + LEVEL) / 2, axis=0, method="higher")
    by_dimension = [_dimension_shrunk(cells, ranked, d) for d in range(len(keys) - 1)]
    order = np.argsort(-found.mean, kind="stable")
    band, leader, rows = 0, -1, []
    for place, i in enumerate(order.tolist()):
        if leader < 0 or (draws[:, i] > draws[:, leader]).mean() <= (1 - LEVEL) / 2:
            band, leader = band + 1, i
        tied = any(
            low[i] <= high[j] and low[j] <= high[i] for j in order[max(0, place - 1) : place + 2].tolist() if j != i
        )
        rows.append(
            LeagueRow(
                names[ranked[i]], int(cells.texts[ranked[i]]), cell_figure(cells, int(ranked[i]), len(keys) - 1),
                _figure(found.mean[i], found.sd[i], mentions[ranked[i]]),
                place + 1, int(low[i]), int(high[i]), tied, band,
                {key: figures[i] for key, figures in zip(keys, by_dimension, strict=False) if i in figures},
                quotes.get(names[ranked[i]]),
            )
        )  # fmt: skip
    few = int((cells.texts > 0).sum()) - enough
    return League(column, found.centre, found.between, rows, few)


def _dimension_shrunk(cells: Cells, ranked: Floats, column: int) -> dict[int, Figure]:
    """The shrunk index of one dimension, by position among the ranked, where there are five mentions."""
    has = np.flatnonzero(cells.mentions[ranked, column] >= 5)
    if len(has) < 2:
        return {int(i): cell_figure(cells, int(ranked[i]), column) for i in has}
    rows = ranked[has]
    found = shrink(cells.index[rows, column], cells.variance[rows, column])
    return {int(i): _figure(found.mean[j], found.sd[j], cells.mentions[ranked[i], column]) for j, i in enumerate(has)}


def _figure(mean: float, sd: float, n: float) -> Figure:
    half = float(stats.norm.ppf((1 + LEVEL) / 2)) * float(sd)
    value = min(100.0, max(0.0, float(mean)))
    return bounded_figure(value, value - half, value + half, float(n))
