"""Rates with their 95% bootstrap intervals, and the error of confidences: arrays in, plain numbers out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

Array = NDArray[Any]

BINS = 10
ECE_SOURCE = (
    "equal-mass bins (Roelofs et al. 2022, Mitigating Bias in Calibration Error Estimation); plain: l1; ece: l1 less "
    "its bias by a normal approximation, as the library of Kumar et al. 2019 does it (uncertainty-calibration), at "
    "least 0; rms: l2, debiased as in Definition 5.2 of their paper (Verified Uncertainty Calibration), at least 0"
)


def resampled(tables: Mapping[str, Array], samples: int, seed: int) -> dict[str, Array]:
    """Sums over the texts: row 0 over all of them, the others over as many drawn with replacement."""
    size = len(next(iter(tables.values())))
    rng = np.random.default_rng(seed)
    flat = {name: table.reshape(size, int(np.prod(table.shape[1:]))).astype(float) for name, table in tables.items()}
    rows = {name: [table.sum(0, keepdims=True)] for name, table in flat.items()}
    for start in range(0, samples, 100):
        draws = rng.multinomial(size, np.full(size, 1 / size), min(100, samples - start)).astype(float)
        for name, table in flat.items():
            rows[name].append(draws @ table)
    return {name: np.concatenate(parts).reshape(-1, *tables[name].shape[1:]) for name, parts in rows.items()}


def ratio(part: Array, whole: Array) -> Array:
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), np.nan)


def rates(**values: Array) -> dict[str, dict[str, float]]:
    """Value and interval of each rate whose value is defined; resamples in which it is not do not count."""
    report = {}
    for name, row in values.items():
        if np.isnan(row[0]):
            continue
        draws = row[1:][~np.isnan(row[1:])]
        low, high = np.quantile(draws, [0.025, 0.975]) if len(draws) else (row[0], row[0])
        report[name] = {"value": rounded(row[0]), "low": rounded(low), "high": rounded(high)}
    return report


def has_width(rate: Mapping[str, float]) -> bool:
    """Whether a rate's interval is one. Where all labels of few texts are right, or none, every resample says the same:
    that nothing is uncertain is the bootstrap's limit, and no finding."""
    return rate["low"] < rate["high"]


def f1(gold: Array, called: Array, found: Array) -> dict[str, dict[str, float]]:
    return rates(precision=ratio(found, called), recall=ratio(found, gold), f1=ratio(2 * found, gold + called))


def rounded(value: Any) -> float:
    return round(float(value), 4)


def calibration_error(confidence: Array, right: Array, bins: int = BINS) -> dict[str, Any]:
    """How far confidence is from the share of right labels, over bins of equal numbers of labels.

    With few labels a bin's share of right ones strays by chance, which alone looks like an error: `plain` is the
    usual l1 error with that bias. `ece` is it less the bias that a normal error of the observed shares adds, of which
    some remains: 2 plain - E[plain of resampled shares], the `normal_debiased_ce` of Kumar et al.'s library with the
    expectation in closed form. Their paper defines a debiased estimator for the squared error only (Definition 5.2):
    `rms` is its root. Both are cut off at 0, which says that chance alone explains `plain`, not that there is no error.
    """
    order = np.argsort(confidence, kind="stable")
    parts = np.array_split(order, max(1, min(bins, len(order) // 2)))
    sizes = np.array([len(part) for part in parts], dtype=float)
    said = np.array([confidence[part].mean() for part in parts])
    hit = np.array([right[part].mean() for part in parts])
    weight, gap, variance = sizes / sizes.sum(), np.abs(said - hit), hit * (1 - hit)
    spread = np.sqrt(variance / sizes)
    plain = float(weight @ gap)
    biased = float(weight @ _folded_normal_mean(gap, spread))
    squared = float(weight @ (gap**2 - variance / np.maximum(sizes - 1, 1)))
    return {
        "labels": len(order),
        "confidence": rounded(confidence.mean()),
        "accuracy": rounded(right.mean()),
        "ece": rounded(max(2 * plain - biased, 0.0)),
        "rms": rounded(max(squared, 0.0) ** 0.5),
        "plain": rounded(plain),
        "bins": [
            {"labels": int(n), "confidence": rounded(s), "accuracy": rounded(h)}
            for n, s, h in zip(sizes, said, hit, strict=True)
        ],
    }


def _folded_normal_mean(mean: Array, deviation: Array) -> Array:
    """E|X| of normal X."""
    ratio = mean / np.where(deviation > 0, deviation, 1)
    folded = deviation * np.sqrt(2 / np.pi) * np.exp(-(ratio**2) / 2) + mean * erf(ratio / np.sqrt(2))
    return np.where(deviation > 0, folded, mean)
