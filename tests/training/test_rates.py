from __future__ import annotations

import numpy as np
import pytest

from training.rates import calibration_error


def test_calibration_error_by_hand() -> None:
    confidence = np.array([0.6, 0.6, 0.6, 0.6, 0.9, 0.9, 0.9, 0.9])
    right = np.array([1, 1, 0, 0, 1, 1, 1, 0], dtype=bool)
    found = calibration_error(confidence, right, bins=2)
    # Gaps of 0.6 - 0.5 and 0.9 - 0.75.
    assert found["plain"] == pytest.approx((0.1 + 0.15) / 2)
    squared = (0.1**2 - 0.25 / 3 + 0.15**2 - 0.1875 / 3) / 2
    assert found["rms"] == pytest.approx(max(squared, 0) ** 0.5)
    draws = np.random.default_rng(0).normal([0.5, 0.75], np.sqrt(np.array([0.25, 0.1875]) / 4), (400_000, 2))
    biased = np.abs(draws - [0.6, 0.9]).mean()
    assert found["ece"] == pytest.approx(max(2 * found["plain"] - biased, 0), abs=2e-3)
    assert (found["labels"], found["confidence"], found["accuracy"]) == (8, 0.75, 0.625)
    assert found["bins"] == [
        {"labels": 4, "confidence": 0.6, "accuracy": 0.5},
        {"labels": 4, "confidence": 0.9, "accuracy": 0.75},
    ]


def test_calibration_error_sees_overconfidence_and_not_the_chance_of_small_samples() -> None:
    rng = np.random.default_rng(1)
    plain, debiased, root = [], [], []
    for _ in range(60):
        confidence = rng.uniform(0.5, 1, 400)
        found = calibration_error(confidence, rng.random(400) < confidence)
        plain.append(found["plain"])
        debiased.append(found["ece"])
        root.append(found["rms"] ** 2)
    assert np.mean(plain) > 0.035  # though nothing is wrong
    assert np.mean(debiased) < 0.6 * np.mean(plain) + 0.005
    assert np.mean(root) ** 0.5 < 0.035
    confidence = rng.uniform(0.6, 1, 20_000)
    assert calibration_error(confidence, rng.random(20_000) < confidence)["ece"] < 0.01
    off = calibration_error(confidence, rng.random(20_000) < confidence - 0.1)
    assert off["ece"] == pytest.approx(0.1, abs=0.012)
    assert off["rms"] == pytest.approx(0.1, abs=0.012)


def test_calibration_error_of_a_single_label() -> None:
    assert calibration_error(np.array([0.7]), np.array([True]))["ece"] == pytest.approx(0.3)
