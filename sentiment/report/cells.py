"""Indices of many small cells at once (a cinema, a month, both) with their standard errors, in one pass over texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentiment.report.intervals import FEW_MENTIONS, Floats


@dataclass(frozen=True)
class Cells:
    """K cells × (D + 1) columns, the last for all service dimensions together. `index`: 0–100, NaN without mentions;
    `mentions`: expected; `variance`: of the index, in points²; `deviation`: standard deviation of the mentions' scores
    (0, 50, 100), in points; `texts` (K)."""

    index: Floats
    mentions: Floats
    variance: Floats
    deviation: Floats
    texts: Floats


def index_cells(
    probabilities: NDArray[np.float32], cell: NDArray[np.integer[Any]], count: int, service: list[int]
) -> Cells:
    """The index of every cell (−1: in none) and dimension.

    The index is a ratio of sums θ = Σa / Σb over texts, a = p⁺ + ½p⁰, b = p⁺ + p⁰ + p⁻; its variance is linearised:
    n/(n−1) · Σ(a − θb)² / (Σb)² (Cochran, Sampling Techniques, 1977, ch. 6). Under 30 mentions it is at least
    θ̃(1 − θ̃)/(Σb + 4), θ̃ = (Σa + 2)/(Σb + 4) (Agresti & Coull 1998), as few mentions may show no variation at all.
    """
    used = cell >= 0
    where = cell[used]
    size = probabilities.shape[1]
    texts = np.bincount(where, minlength=count).astype(np.float64)
    index, mentions, variance, deviation = (np.empty((count, size + 1)) for _ in range(4))
    all_a, all_b = np.zeros(len(where)), np.zeros(len(where))
    all_squares: Floats = np.zeros(count)
    for column in range(size + 1):
        squares: Floats
        if column < size:
            p = probabilities[:, column] if used.all() else probabilities[used, column]
            a, b = (p[:, 2] + p[:, 1] / 2).astype(np.float64), p.sum(1, dtype=np.float64)
            squares = np.bincount(where, (p[:, 2] + p[:, 1] / 4).astype(np.float64), count)
            if column in service:
                all_a += a
                all_b += b
                all_squares += squares
        else:
            a, b, squares = all_a, all_b, all_squares
        index[:, column], mentions[:, column], variance[:, column] = _ratio(a, b, where, count)
        with np.errstate(invalid="ignore", divide="ignore"):
            spread = squares / mentions[:, column] - index[:, column] ** 2
        deviation[:, column] = np.sqrt(np.maximum(spread, 0))
    return Cells(100 * index, mentions, 10_000 * variance, 100 * deviation, texts)


def _ratio(a: Floats, b: Floats, where: NDArray[np.integer[Any]], count: int) -> tuple[Floats, Floats, Floats]:
    sum_a, sum_b = np.bincount(where, a, count), np.bincount(where, b, count)
    n = np.bincount(where, b > 0, count)
    with np.errstate(invalid="ignore", divide="ignore"):
        theta = np.where(sum_b > 0, sum_a / sum_b, np.nan)
        residual = a - np.nan_to_num(theta)[where] * b
        variance = np.bincount(where, residual * residual, count) / (sum_b * sum_b) * n / (n - 1)
    variance[n <= 1] = np.nan  # one text shows no variation: 0/0, or a rounding error over 0
    middle = (sum_a + 2) / (sum_b + 4)
    least = middle * (1 - middle) / (sum_b + 4)
    few = (sum_b < FEW_MENTIONS) | ~np.isfinite(variance)
    return theta, sum_b, np.where(few, np.fmax(variance, least), np.maximum(variance, 1e-12))
