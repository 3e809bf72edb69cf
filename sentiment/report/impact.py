"""2. Impact asymmetry: how much a negative mention of a dimension lowers the rating, and a positive one lifts it.

Mikulić & Prebežac (2008), Prioritizing improvement of service attributes using impact range-performance analysis and
impact-asymmetry analysis, Managing Service Quality 18(6): regress the overall judgement on dummies of negative and
positive performance; from penalty p and reward r follow the range of impact RIOCS = r + |p| and the impact asymmetry
IA = (r − |p|) / RIOCS. Classes as in Kano (1984).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sentiment.report.intervals import FEW_MENTIONS, Floats, Units, percentile_interval, plain_figure
from sentiment.report.model import Figure, ImpactRow, Kano

# One side has at least twice the impact of the other: |r − |p|| / (r + |p|) ≥ 1/3.
ASYMMETRIC = 1 / 3
# A range under 0.2 standard deviations of the rating is what Cohen (1988) calls less than a small effect.
INDIFFERENT_SD = 0.2
STABLE = 80.0
KANO: tuple[Kano, ...] = ("basic", "performance", "excitement", "indifferent")
_RIDGE = 1e-6
_LEAST = 5.0


@dataclass(frozen=True)
class Impact:
    """Coefficients of one regression and its replicates, in units of the outcome.

    `penalty`, `reward` (D) ≥ 0 and their replicates (B, D); `negative`, `positive` (D): mentions among the `n` texts;
    `sd`, `low`, `high` of the outcome; `r2` explained share.
    """

    penalty: Floats
    reward: Floats
    penalty_replicates: Floats
    reward_replicates: Floats
    negative: Floats
    positive: Floats
    n: int
    units: int
    sd: float
    low: float
    high: float
    r2: float


def _cross_products(probabilities: NDArray[np.float32], outcome: Floats, units: Units) -> Floats:
    """Z'Z by unit, Z = [1, negative (D), positive (D), outcome]: (units, 2D+2, 2D+2)."""
    size = probabilities.shape[1]
    order = np.argsort(units.of, kind="stable")
    edges = np.searchsorted(units.of[order], np.arange(units.count + 1))
    out = np.zeros((units.count, 2 * size + 2, 2 * size + 2))
    for unit in range(units.count):
        rows = order[edges[unit] : edges[unit + 1]]
        block = np.ones((len(rows), 2 * size + 2))
        block[:, 1 : size + 1] = probabilities[rows, :, 0]
        block[:, size + 1 : -1] = probabilities[rows, :, 2]
        block[:, -1] = outcome[rows]
        out[unit] = block.T @ block
    return out


def fit_impact(probabilities: NDArray[np.float32], outcome: Floats, units: Units, weight: Floats) -> Impact | None:
    """Least squares of the outcome (n) on the probabilities of a negative and of a positive mention of every dimension,
    the film's too, which thereby is controlled for: y = β₀ + Σ_d (−p_d · P(negative)_d + r_d · P(positive)_d) + ε.

    With calibrated probabilities as regressors the coefficients are not diluted by the classifier's errors (regression
    calibration: Carroll et al., Measurement Error in Nonlinear Models, 2006, ch. 4). Coefficients of the wrong sign are
    0. Dimensions with under five mentions on a side have no coefficient there. None if the outcome is constant or there
    are fewer texts than coefficients.
    """
    size, n = probabilities.shape[1], len(outcome)
    if n < 10 or float(np.ptp(outcome)) == 0:
        return None
    products = _cross_products(probabilities, outcome, units)
    total = products.sum(0)
    counts = total[0, 1:-1]
    kept = np.concatenate(([0], 1 + np.flatnonzero(counts >= _LEAST)))
    if n <= 2 * len(kept):
        return None
    fitted = np.concatenate((kept, [2 * size + 1]))
    small = products[:, fitted[:, None], fitted]
    replicated = (weight @ small.reshape(units.count, -1)).reshape(len(weight), len(fitted), len(fitted))
    beta = np.zeros((len(weight) + 1, 2 * size))
    everything = np.concatenate((small.sum(0)[None], replicated))
    matrix, right = everything[:, :-1, :-1], everything[:, :-1, -1]
    ridge = _RIDGE * np.maximum(np.einsum("bii->bi", matrix), 1)
    solved = np.linalg.solve(matrix + np.eye(len(kept)) * ridge[:, None, :], right[..., None])[..., 0]
    beta[:, kept[1:] - 1] = solved[:, 1:]
    mean = total[0, -1] / n
    spread = total[-1, -1] - n * mean * mean
    residual = total[-1, -1] - float(solved[0] @ right[0])
    penalty, reward = np.maximum(0, -beta[:, :size]), np.maximum(0, beta[:, size:])
    return Impact(
        penalty[0], reward[0], penalty[1:], reward[1:], counts[:size], counts[size:],
        n, int((products[:, 0, 0] > 0).sum()), float(np.sqrt(spread / n)),
        float(outcome.min()), float(outcome.max()), float(np.clip(1 - residual / spread, 0, 1)),
    )  # fmt: skip


def classify(penalty: Floats, reward: Floats, sd: float) -> NDArray[np.int8]:
    """Positions in `KANO`: 必备 basic where IA ≤ −1/3 (the penalty is at least twice the reward), 兴奋 excitement where
    IA ≥ 1/3, 期望 performance between, 无差异 indifferent where RIOCS < 0.2 standard deviations of the outcome."""
    total = penalty + reward
    with np.errstate(invalid="ignore", divide="ignore"):
        asymmetry = np.where(total > 0, (reward - penalty) / total, 0.0)
    code = np.where(asymmetry <= -ASYMMETRIC, 0, np.where(asymmetry >= ASYMMETRIC, 2, 1))
    return np.where(total < INDIFFERENT_SD * sd, 3, code).astype(np.int8)


def impact_rows(impact: Impact, keys: list[str], service: list[int]) -> list[ImpactRow]:
    """The table: a class counts if at least 80% of the replicates are in it and both sides have 30 mentions."""
    classes = classify(impact.penalty, impact.reward, impact.sd)
    replicated = classify(impact.penalty_replicates, impact.reward_replicates, impact.sd)
    rows = []
    for d in service:
        penalty, reward = impact.penalty_replicates[:, d], impact.reward_replicates[:, d]
        leaning = KANO[classes[d]]
        stability = float(100 * (replicated[:, d] == classes[d]).mean())
        few = min(impact.negative[d], impact.positive[d]) < FEW_MENTIONS
        reason = "few_sides" if few else "unstable" if stability < STABLE else None
        rows.append(
            ImpactRow(
                keys[d],
                plain_figure(float(impact.penalty[d]), penalty, impact.units, impact.n),
                plain_figure(float(impact.reward[d]), reward, impact.units, impact.n),
                plain_figure(float(impact.penalty[d] + impact.reward[d]), penalty + reward, impact.units, impact.n),
                _asymmetry(float(impact.penalty[d]), float(impact.reward[d]), penalty, reward, impact),
                "inconclusive" if reason else leaning,
                leaning,
                stability,
                float(impact.negative[d]),
                float(impact.positive[d]),
                reason,
            )
        )
    return rows


def _asymmetry(p: float, r: float, penalty: Floats, reward: Floats, impact: Impact) -> Figure:
    if p + r == 0:
        return Figure(None, n=impact.n, reason="no_impact")
    with np.errstate(invalid="ignore", divide="ignore"):
        replicates = (reward - penalty) / (reward + penalty)
    value = (r - p) / (r + p)
    found = percentile_interval(replicates, impact.units)
    if found is None:
        return Figure(value, None, None, impact.n, "one_unit")
    return Figure(value, max(-1.0, min(found[0], value)), min(1.0, max(found[1], value)), impact.n)
