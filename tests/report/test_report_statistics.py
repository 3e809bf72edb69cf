"""The statistics against independent implementations on fixed data, and, in small, against simulated truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats
from statsmodels.stats.meta_analysis import effectsize_smd
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from benchmarks.report_statistics import (
    Errors,
    comparison_errors,
    draw_states,
    gain_coverage,
    index_coverage,
    kano_recovery,
    league_coverage,
    measured_confusion,
    observed,
    usual_shares,
)
from sentiment.report.cells import index_cells
from sentiment.report.comparison import compare, hedges_g
from sentiment.report.impact import KANO, classify, fit_impact
from sentiment.report.index import any_mention, index_figure, net_sentiment, service_index, tally
from sentiment.report.intervals import (
    MIN_CINEMAS,
    MOST_UNITS,
    adjusted,
    adjusted_together,
    make_units,
    percentile_interval,
    weights,
    wilson,
)
from sentiment.report.priorities import effective, index_gain, rate_draws


def _probabilities(size: int, seed: int = 3) -> tuple[np.ndarray, np.random.Generator]:
    rng = np.random.default_rng(seed)
    shares = usual_shares(4, rng)
    return observed(draw_states(shares, size, rng), shares, None, rng), rng


def test_the_index_is_the_formula() -> None:
    mentions = np.array([[2.0, 1.0, 5.0], [0.0, 0.0, 0.0]])
    assert service_index(mentions)[0] == pytest.approx(100 * 5.5 / 8)
    assert net_sentiment(mentions)[0] == pytest.approx(100 * 3 / 8)
    assert math.isnan(service_index(mentions)[1])


def test_the_bootstrap_agrees_with_the_linearised_standard_error() -> None:
    p, rng = _probabilities(5000)
    units = make_units(5000, None, rng)
    assert units.count == MOST_UNITS
    sums = tally(p, units, weights(units.count, 2000, rng))
    cells = index_cells(p, np.zeros(5000, int), 1, [0, 1, 2, 3])
    for chosen, column in (([0], 0), ([0, 1, 2, 3], 4)):
        figure = index_figure(sums, chosen)
        assert figure.value == pytest.approx(cells.index[0, column])
        assert figure.low is not None and figure.high is not None
        assert (figure.high - figure.low) / 2 == pytest.approx(1.96 * cells.variance[0, column] ** 0.5, rel=0.12)


def test_units_are_cinemas_where_there_are_enough() -> None:
    rng = np.random.default_rng(1)
    cinema = np.arange(400, dtype=np.int32) % MIN_CINEMAS
    units = make_units(400, cinema, rng)
    assert (units.kind, units.count) == ("cinemas", MIN_CINEMAS)
    assert len(np.unique(units.of[cinema == 3])) == 1
    assert make_units(400, cinema % 5, rng).kind == "texts"
    assert weights(units.count, 50, rng).sum(1).tolist() == [MIN_CINEMAS] * 50


def test_percentiles_are_moved_out_to_the_t_interval() -> None:
    replicates = stats.norm.ppf((np.arange(20_000) + 0.5) / 20_000)
    found = percentile_interval(replicates, 10)
    assert found is not None
    assert found[1] == pytest.approx(stats.t.ppf(0.975, 9) * math.sqrt(10 / 9), rel=0.01)
    assert percentile_interval(replicates, 1) is None


@pytest.mark.parametrize(("successes", "n"), [(0, 7), (3, 40), (40, 40), (612, 2000)])
def test_wilson_is_that_of_statsmodels(successes: int, n: int) -> None:
    assert wilson(successes, n) == pytest.approx(proportion_confint(successes, n, method="wilson"), abs=1e-9)


def test_q_values_are_those_of_statsmodels() -> None:
    p = [0.001, 0.2, 0.03, 0.04, 0.9, 0.011]
    assert adjusted(p) == pytest.approx(multipletests(p, method="fdr_bh")[1])


def test_hedges_g_is_that_of_statsmodels() -> None:
    before, after = np.array([6.0, 2.0, 4.0]), np.array([3.0, 2.0, 10.0])

    def moments(counts: np.ndarray) -> tuple[float, float, int]:
        scores = np.repeat([0.0, 50.0, 100.0], counts.astype(int))
        return float(scores.mean()), float(scores.std(ddof=1)), len(scores)

    (m1, s1, n1), (m2, s2, n2) = moments(before), moments(after)
    expected, _ = effectsize_smd(m2, s2, n2, m1, s1, n1)
    assert hedges_g(before, after) == pytest.approx(expected, rel=1e-9)


def test_penalty_and_reward_are_ordinary_least_squares() -> None:
    p, rng = _probabilities(800)
    rating = 3 + p[:, :, 2] @ [0.2, 0.9, 0.5, 0.4] - p[:, :, 0] @ [1.0, 0.2, 0.5, 0.3] + rng.normal(0, 0.5, 800)
    units = make_units(800, None, rng)
    found = fit_impact(p, rating, units, weights(units.count, 50, rng))
    assert found is not None
    design = sm.add_constant(np.hstack([p[:, :, 0], p[:, :, 2]]).astype(float))
    expected = sm.OLS(rating, design).fit()
    assert found.penalty == pytest.approx(-expected.params[1:5], rel=1e-3)
    assert found.reward == pytest.approx(expected.params[5:], rel=1e-3)
    assert found.r2 == pytest.approx(expected.rsquared, rel=1e-3)
    assert found.penalty_replicates.std(0) == pytest.approx(expected.bse[1:5], rel=0.35)


def test_kano_classes_have_the_documented_bounds() -> None:
    penalty, reward = np.array([1.0, 1.0, 0.3, 0.05, 0.6]), np.array([0.2, 1.0, 1.0, 0.05, 0.3])
    assert [KANO[c] for c in classify(penalty, reward, 1.0)] == [
        "basic", "performance", "excitement", "indifferent", "basic",
    ]  # fmt: skip


def test_a_constant_rating_has_no_impact() -> None:
    p, rng = _probabilities(100)
    units = make_units(100, None, rng)
    assert fit_impact(p, np.full(100, 4.0), units, weights(units.count, 10, rng)) is None


def test_complaint_rates_are_the_beta_binomial_posterior() -> None:
    negative, texts = np.array([5.0, 8.0, 40.0, 9.0]), np.array([100.0, 100.0, 100.0, 100.0])
    draws = rate_draws(negative, texts, 4000, np.random.default_rng(1))
    p = negative.sum() / texts.sum()
    grid = np.linspace(0.005, 0.6, 60)
    strength = 1 / grid**2 - 1
    log = np.array([stats.betabinom.logpmf(negative, 100, p * s, (1 - p) * s).sum() for s in strength])
    weight = np.exp(log - log.max())
    means = np.array([(p * s + negative) / (s + texts) for s in strength])
    assert draws.mean(0) == pytest.approx((weight[:, None] * means).sum(0) / weight.sum(), abs=0.004)


def test_probabilities_that_vary_less_than_labels_count_for_more() -> None:
    texts = np.full(4, 100.0)
    labels = np.array([10.0, 20.0, 15.0, 5.0])
    assert effective(labels, labels, texts) == pytest.approx(1.0, abs=0.02)
    half = labels / 2  # every second of them sure to a half
    assert effective(half, half / 2, texts) > 1.5


def test_the_gain_is_the_index_without_the_avoided_complaints() -> None:
    assert index_gain(60.0, 100.0, 20.0) == pytest.approx(100 * 60 / 80 - 60)


def test_any_mention_is_exact_for_labels() -> None:
    p = np.zeros((3, 2, 3), np.float32)
    p[0, 0, 0] = p[1, 1, 2] = 1
    mention, negative = any_mention(p, [0, 1])
    assert mention.tolist() == [1, 1, 0]
    assert negative.tolist() == [1, 0, 0]


def test_compare_finds_the_difference_and_corrects_over_the_table() -> None:
    rng = np.random.default_rng(2)
    shares = np.tile(np.array([0.1, 0.02, 0.1, 0.78]), (6, 1))
    other = shares.copy()
    other[0] = (0.02, 0.02, 0.18, 0.78)
    sides = []
    for own in (shares, other):
        p = observed(draw_states(own, 1500, rng), own, None, rng)
        units = make_units(1500, None, rng)
        sides.append(tally(p, units, weights(units.count, 400, rng)))
    rows = compare(sides[0], sides[1], [(str(d), [d]) for d in range(6)])
    assert [row.key for row in rows if row.significant] == ["0"]
    assert [row.q for row in rows] == pytest.approx(multipletests([row.p for row in rows], method="fdr_bh")[1])
    assert rows[0].difference.value == pytest.approx(100 * (0.19 - 0.11) / 0.22, abs=8)


def test_q_over_families_weighs_each_alike() -> None:
    few, many = [0.001, 0.4, 0.9], np.linspace(0.001, 1, 997).tolist()
    alone, beside = adjusted_together([few, []]), adjusted_together([few, many])
    assert alone[0] == pytest.approx(adjusted(few))
    assert len(alone[1]) == 0
    assert beside[0][0] == pytest.approx(2 * adjusted(few)[0], rel=1e-3)  # one of two families, not one of 1,000 tests
    assert [len(q) for q in beside] == [3, 997]
    assert all(len(q) == 0 for q in adjusted_together([[], []]))
    weight = np.concatenate([np.full(3, 1000 / 6), np.full(997, 1000 / 1994)])
    expected = multipletests(np.minimum(1, np.array(few + many) / weight), method="fdr_bh")[1]
    assert np.concatenate(beside) == pytest.approx(expected)


def test_a_difference_where_nothing_varies_is_no_certainty() -> None:
    p = np.zeros((80, 1, 3), np.float32)
    p[:40, 0, 2], p[40:, 0, 2] = 1, 1
    rng = np.random.default_rng(1)
    units = make_units(80, None, rng)
    weight = weights(units.count, 200, rng)
    late = np.arange(80) >= 40
    sides = [tally(p[side], units.select(side), weight) for side in (~late, late)]
    row = compare(sides[0], sides[1], [("seating", [0])])[0]
    for figure in (row.difference, row.negative_difference):
        assert figure.value == pytest.approx(0)
        assert figure.low is not None and figure.high is not None
        assert figure.low < -1 and figure.high > 1
    assert row.effect.reason == "no_variation"


@pytest.mark.slow
@pytest.mark.parametrize("errors", [False, True])
def test_simulated_truth_is_found(errors: bool) -> None:
    """A small version of benchmarks/report_statistics.py; the bounds allow for the few simulations."""
    made = Errors(measured_confusion()) if errors else None
    rng = np.random.default_rng(11)
    index = index_coverage(40, made, rng, texts=400, replicates=300)
    assert index["coverage of index of a dimension"] > 0.90
    assert index["coverage of mention share"] > 0.90
    compared = comparison_errors(8, made, rng, texts=600, replicates=200)
    assert compared["coverage of difference of two groups"] > 0.88
    assert compared["true differences found"] > 0.5
    assert kano_recovery(2, made, rng, replicates=150)["kano classes recovered"] >= 0.85
    assert league_coverage(10, made, rng)["coverage of shrunk index of a cinema"] > 0.88
    assert gain_coverage(8, made, rng, replicates=100)["coverage of expected gain"] >= 0.75
