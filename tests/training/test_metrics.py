from __future__ import annotations

import numpy as np
import pytest

from training.metrics import (
    UNKNOWN,
    Predictions,
    bootstrap,
    cells,
    counts,
    macro_f1,
    paired_bootstrap,
    rates,
    summary,
)

U = UNKNOWN

# Three texts, two dimensions; the second dimension of the third text was not judged.
GOLD = Predictions(
    mention=np.array([[1, 0], [1, 1], [0, U]]),
    polarity=np.array([[2, U], [0, 1], [U, U]]),
    overall=np.array([2, 0, U]),
    intent=np.array([1, 0, 0]),
    escalation=np.array([1, 0, U]),
)
GUESS = Predictions(
    mention=np.array([[1, 1], [1, 0], [0, 1]]),
    polarity=np.array([[2, 0], [1, U], [U, 0]]),
    overall=np.array([2, 1, 0]),
    intent=np.array([1, 0, 2]),
    escalation=np.array([1, 1, 1]),
)


def test_cells_by_hand() -> None:
    said, called, right, agreed = (table.astype(int).tolist() for table in cells(GOLD, GUESS))
    assert said == [[1, 0], [1, 1], [0, 0]]
    assert called == [[1, 1], [1, 0], [0, 0]]  # the last call was not judged
    assert right == [[1, 0], [1, 0], [0, 0]]
    assert agreed == [[1, 0], [0, 0], [0, 0]]


def test_counts_by_hand() -> None:
    table = {name: values.tolist() for name, values in counts(GOLD, GUESS).items()}
    assert table == {
        "gold": [1, 2, 0],
        "called": [2, 1, 0],
        "found": [1, 1, 0],
        "joint": [1, 0, 0],
        "overall_n": [1, 1, 0],
        "overall_right": [1, 0, 0],
        "intent_n": [1, 1, 1],
        "intent_right": [1, 1, 0],
        "escalation_gold": [1, 0, 0],
        "escalation_called": [1, 1, 0],
        "escalation_found": [1, 0, 0],
    }


def test_summary_by_hand() -> None:
    assert summary(GOLD, GUESS) == pytest.approx(
        {
            "mention": 4 / 6,
            "joint": 2 / 6,
            "precision": 2 / 3,
            "recall": 2 / 3,
            "overall": 1 / 2,
            "intent": 2 / 3,
            "escalation": 2 / 3,
        }
    )


def test_what_nobody_labelled_has_no_rate() -> None:
    nothing = Predictions(np.full((3, 2), U), np.full((3, 2), U), *(np.full(3, U) for _ in range(3)))
    assert summary(nothing, GUESS) == {}
    assert summary(GOLD.take([2]), GUESS.take([2])) == {"intent": 0.0}
    assert bootstrap(nothing, GUESS, samples=10) == {}


def test_no_calls_is_a_precision_of_zero_not_an_error() -> None:
    silent = Predictions(np.zeros((3, 2), int), np.full((3, 2), U), GUESS.overall, GUESS.intent, np.zeros(3, int))
    report = summary(GOLD, silent)
    assert report["mention"] == report["precision"] == report["recall"] == 0.0


def test_macro_f1_by_hand() -> None:
    truth, answer = np.array([0, 0, 1, 2, U]), np.array([0, 1, 1, 1, 0])
    # class 0: 1 right of 2 + 1; class 1: 1 of 1 + 3; class 2: none of 1 + 0; class 3 does not occur.
    assert macro_f1(truth, answer, 4) == pytest.approx((2 / 3 + 2 / 4 + 0) / 3)
    assert np.isnan(macro_f1(np.array([U]), np.array([0]), 3))


def test_from_logits_takes_the_surest_class_and_thresholds() -> None:
    answer = Predictions.from_logits(
        mention=np.array([[0.1, -0.1]]),
        polarity=np.array([[[0, 1, 2], [5, 0, 0]]]),
        overall=np.array([[0, 3, 1]]),
        intent=np.array([[0, 0, 0, 9]]),
        escalation=np.array([-1.0]),
    )
    assert answer.mention.tolist() == [[1, 0]]
    assert answer.polarity.tolist() == [[2, U]]
    assert (answer.overall[0], answer.intent[0], answer.escalation[0]) == (1, 3, 0)


def test_take_selects_texts_and_dimensions() -> None:
    part = GOLD.take([1, 0], [1])
    assert part.mention.tolist() == [[1], [0]]
    assert part.overall.tolist() == [0, 2]


def simulated(size: int, accuracy: float, seed: int) -> tuple[Predictions, Predictions]:
    """Overall labels that are right with the given probability; a tenth of the cells mentioned, found half the time."""
    rng = np.random.default_rng(seed)
    overall = rng.integers(0, 3, size)
    wrong = (overall + rng.integers(1, 3, size)) % 3
    mention = (rng.random((size, 4)) < 0.1).astype(int)
    called = mention * (rng.random((size, 4)) < 0.5)
    zeros = np.zeros(size, int)
    return (
        Predictions(mention, np.where(mention, 0, U), overall, zeros, zeros),
        Predictions(
            called, np.where(called, 0, U), np.where(rng.random(size) < accuracy, overall, wrong), zeros, zeros
        ),
    )


def test_bootstrap_intervals_hold_the_true_rate_about_nineteen_times_in_twenty() -> None:
    held, widths = 0, []
    for seed in range(100):
        value, low, high = bootstrap(*simulated(200, 0.8, seed), samples=200, seed=seed)["overall"]
        assert low <= value <= high
        held += low <= 0.8 <= high
        widths.append(high - low)
    assert 88 <= held <= 100
    # 1.96 standard errors to both sides.
    assert np.mean(widths) == pytest.approx(2 * 1.96 * (0.8 * 0.2 / 200) ** 0.5, rel=0.1)


def test_bootstrap_is_reproducible_and_its_value_is_the_summary() -> None:
    gold, guess = simulated(150, 0.7, 5)
    first = bootstrap(gold, guess, samples=50, seed=3)
    assert first == bootstrap(gold, guess, samples=50, seed=3)
    assert {name: value for name, (value, _, _) in first.items()} == summary(gold, guess)


def test_paired_bootstrap_sees_a_small_difference_that_single_intervals_hide() -> None:
    gold, first = simulated(400, 0.8, 1)
    better = first.overall.copy()
    wrong = np.flatnonzero(better != gold.overall)[:12]
    better[wrong] = gold.overall[wrong]
    second = Predictions(first.mention, first.polarity, better, first.intent, first.escalation)
    difference, low, high = paired_bootstrap(gold, first, second, lambda r: r["overall"], samples=300)
    assert difference == pytest.approx(12 / 400)
    assert 0 < low < difference < high
    single = [bootstrap(gold, guess, samples=300)["overall"] for guess in (first, second)]
    assert single[0][2] > single[1][1]


def test_rates_of_sums() -> None:
    sums = {name: float(values.sum()) for name, values in counts(GOLD, GUESS).items()}
    assert rates(sums) == summary(GOLD, GUESS)
