"""The statistics against independent implementations on fixed data, and, in small, against simulated truth."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats
from statsmodels.stats.meta_analysis import combine_effects, effectsize_smd
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
from sentiment.report.cells import Cells, index_cells
from sentiment.report.comparison import cinema_changes, compare, hedges_g
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
from sentiment.report.league import MOST_RANKED, league, shrink
from sentiment.report.model import Trend
from sentiment.report.phrases import contrast, phrase_lists, terms, without_parts
from sentiment.report.priorities import effective, index_gain, rate_draws
from sentiment.report.segments import adjacent, best_split, splits
from sentiment.report.trend import periods, scan, shown


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


def test_shrinkage_uses_the_variance_of_paule_and_mandel() -> None:
    value = np.array([52.0, 61.0, 47.0, 70.0, 55.0, 58.0, 40.0])
    variance = np.array([4.0, 9.0, 16.0, 25.0, 4.0, 9.0, 12.0])
    found = shrink(value, variance)
    expected = combine_effects(value, variance, method_re="iterated")
    assert found.between**2 == pytest.approx(expected.tau2, rel=1e-3)
    assert found.centre == pytest.approx(expected.mean_effect_re, rel=1e-4)
    assert (np.abs(found.mean - found.centre) < np.abs(value - found.centre)).all()
    same = shrink(np.array([50.0, 50.1, 49.9, 50.0]), np.full(4, 25.0))
    assert same.between == 0
    assert np.ptp(same.mean) < 0.14


@pytest.mark.parametrize("cinemas", [2, 3, 4])
def test_intervals_of_few_cinemas_hold_their_truth(cinemas: int) -> None:
    """Differences as large as their errors: what chance cannot be told from."""
    rng = np.random.default_rng(1)
    variance, held = np.full(cinemas, 16.0), 0
    for _ in range(400):
        truth = rng.normal(60, 4, cinemas)
        found = shrink(rng.normal(truth, 4), variance)
        held += int((np.abs(found.mean - truth) <= 1.96 * found.sd).sum())
    assert held / (400 * cinemas) >= 0.93


def test_the_league_ties_what_it_cannot_tell_apart() -> None:
    rng = np.random.default_rng(5)
    p = np.zeros((1200, 1, 3), np.float32)
    cinema = np.arange(1200) % 4
    good = rng.random(1200) < np.array([0.95, 0.6, 0.6, 0.6])[cinema]
    p[:, 0, 2], p[:, 0, 0] = good, ~good
    found = league("影院", index_cells(p, cinema, 4, [0]), ["甲", "乙", "丙", "丁"], ["seating", "service"], rng, {})
    assert found is not None
    assert (found.rows[0].name, found.rows[0].rank_low, found.rows[0].rank_high, found.rows[0].tied) == (
        "甲",
        1,
        1,
        False,
    )
    assert [row.band for row in found.rows] == [1, 2, 2, 2]
    assert all(row.tied for row in found.rows[1:])
    one = index_cells(p, np.zeros(1200, int), 1, [0])
    assert league("影院", one, ["甲"], ["seating", "service"], rng, {}) is None


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


def test_weeks_begin_on_monday_and_months_on_their_first() -> None:
    days = np.array(["2026-03-01", "2026-03-02", "2026-03-15", "NaT"], "datetime64[D]")
    kind, where, starts = periods(days)
    assert (kind, starts) == ("week", ["2026-02-23", "2026-03-02", "2026-03-09"])
    assert where.tolist() == [0, 1, 2, -1]
    kind, _, starts = periods(np.array(["2025-11-30", "2026-09-02"], "datetime64[D]"))
    assert (kind, starts[0], len(starts)) == ("month", "2025-11-01", 11)
    kind, where, starts = periods(days, "month")
    assert (kind, starts, where.tolist()) == ("month", ["2026-03-01"], [0, 0, 0, -1])
    kind, _, starts = periods(np.array(["2025-11-30", "2026-09-02"], "datetime64[D]"), "week")
    assert (kind, starts[0], len(starts)) == ("week", "2025-11-24", 41)
    assert periods(np.array(["1970-01-01", "2026-09-02"], "datetime64[D]"), "week")[0] == "month"


def test_a_change_of_level_is_found_and_noise_is_not() -> None:
    variance = np.full(12, 25.0)
    mentions = np.full(12, 40.0)
    step = np.array([40.0, 44, 38, 41, 39, 42, 70, 68, 73, 69, 72, 70])
    found = splits(step, mentions, variance)
    assert found[0].at == 6
    assert found[0].p < 1e-6
    assert len([s for s in found if s.p <= 0.05]) == 1
    noise = best_split(np.array([50.0, 52, 48, 51, 49, 50, 51, 47, 52, 50, 49, 51]), mentions, variance)
    assert noise is not None and noise.p > 0.5
    assert best_split(step[:3], mentions[:3], variance[:3]) is None


def test_every_change_has_the_levels_next_to_it() -> None:
    """Twice down: the first split was judged against all that comes after it, both lower levels together."""
    variance, mentions = np.full(18, 25.0), np.full(18, 40.0)
    stairs = np.array([70.0, 71, 69, 70, 72, 68, 40, 41, 39, 40, 42, 38, 10, 11, 9, 10, 12, 8])
    found = adjacent([s for s in splits(stairs, mentions, variance) if s.p <= 0.05], stairs, mentions, variance)
    assert [(s.at, round(s.before[0]), round(s.after[0])) for s in found] == [(6, 70, 40), (12, 40, 10)]
    assert [(s.before[1], s.after[1]) for s in found] == [(240, 240), (240, 240)]
    day = np.datetime64("2024-01-15") + 30 * np.repeat(np.arange(18), 40)
    good = np.tile(np.arange(40) / 40, 18) < np.repeat(stairs, 40) / 100
    p = np.stack([~good, np.zeros_like(good), good], 1).astype(np.float32)[:, None]
    seen = alone_shown(p, day, np.full(len(day), -1, np.int32), [], ["seating", "service"], [0], "month")
    levels = [level for c in seen.series[0].changes for level in (c.before.value, c.after.value)]
    assert levels == pytest.approx([70, 40, 40, 10], abs=2)


def alone_shown(*given: Any) -> Trend:
    """The trend where nothing else is tested beside it."""
    scanned = scan(*given)
    assert scanned is not None
    return shown(scanned, np.concatenate(adjusted_together(scanned.p)))


def _of_texts(levels: np.ndarray) -> np.ndarray:
    """Probabilities of 40 texts a period whose index is that of `levels`."""
    good = np.tile(np.arange(40) / 40, len(levels)) < np.repeat(levels, 40) / 100
    return np.stack([~good, np.zeros_like(good), good], 1).astype(np.float32)[:, None]


def test_a_level_that_comes_back_is_two_changes() -> None:
    """70, 30, 70: before and after any single split the means hardly differ."""
    variance, mentions = np.full(18, 50.0), np.full(18, 40.0)
    dip = np.repeat([70.0, 30.0, 70.0], 6) + np.tile([1.0, -2, 3, -1, 0, -1], 3)
    found = adjacent([s for s in splits(dip, mentions, variance) if s.p <= 0.05], dip, mentions, variance)
    assert [(s.at, round(s.before[0]), round(s.after[0])) for s in found] == [(6, 70, 30), (12, 30, 70)]
    assert all(s.p < 1e-4 for s in found)
    alone = best_split(dip, mentions, variance)
    assert alone is not None and alone.p > 0.05
    day = np.datetime64("2024-01-15") + 30 * np.repeat(np.arange(18), 40)
    seen = alone_shown(_of_texts(dip), day, np.full(len(day), -1, np.int32), [], ["seating", "service"], [0], "month")
    assert [change.at for change in seen.series[0].changes] == ["2024-07-01", "2025-01-01"]


def test_a_lasting_change_after_a_while_is_one_change() -> None:
    """A step is no segment, however short the time after it, and whichever way it goes."""
    variance, mentions = np.full(18, 25.0), np.full(18, 40.0)
    noise = np.tile([1.0, -2, 3, -1, 0, -1], 3)
    for levels, at in (((70.0,) * 14 + (30.0,) * 4, 14), ((30.0,) * 3 + (70.0,) * 15, 3)):
        found = [s for s in splits(np.array(levels) + noise, mentions, variance) if s.p <= 0.05]
        assert [s.at for s in found] == [at]


def test_segments_raise_no_more_false_alarms() -> None:
    """Series of a single level: in at most one of twenty is a change claimed, parts of parts included."""
    rng = np.random.default_rng(8)
    claimed = 0
    for _ in range(600):
        mentions = rng.uniform(15, 60, 18)
        series = rng.normal(60, 45 / np.sqrt(mentions))
        claimed += any(s.p <= 0.05 for s in splits(series, mentions, 45**2 / mentions))
    assert claimed / 600 <= 0.05


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


def test_effects_of_few_cinemas_have_the_t_interval_of_cinemas() -> None:
    rng = np.random.default_rng(3)
    cinema = np.repeat(np.arange(MIN_CINEMAS, dtype=np.int32), 60)
    p = np.zeros((len(cinema), 1, 3), np.float32)
    p[np.arange(len(cinema)), 0, rng.choice(3, len(cinema), p=(0.4, 0.1, 0.5))] = 1
    late = np.arange(len(cinema)) % 2 == 1
    units = make_units(len(cinema), cinema, rng)
    weight = weights(units.count, 400, rng)
    sides = [tally(p[side], units.select(side), weight) for side in (~late, late)]
    row = compare(sides[0], sides[1], [("seating", [0])])[0]
    replicated = hedges_g(*(side.replicates[:, [0]].sum(1) for side in sides))
    error = replicated.std(ddof=1) * math.sqrt(MIN_CINEMAS / (MIN_CINEMAS - 1))
    assert row.effect.value is not None and row.effect.high is not None
    assert row.effect.high - row.effect.value == pytest.approx(stats.t.ppf(0.975, MIN_CINEMAS - 2) * error)


def test_the_trend_names_the_cinema_that_changed() -> None:
    rng = np.random.default_rng(4)
    size = 3600
    day = np.datetime64("2025-09-01") + rng.integers(0, 360, size)
    cinema = rng.integers(0, 4, size).astype(np.int32)
    better = (cinema == 2) & (day >= np.datetime64("2026-03-01"))
    good = rng.random(size) < np.where(better, 0.9, 0.3)
    p = np.zeros((size, 1, 3), np.float32)
    p[:, 0, 2], p[:, 0, 0] = good, ~good
    found = alone_shown(p, day, cinema, ["甲", "乙", "丙", "丁"], ["seating", "service"], [0])
    changed = {(s.key, s.cinema): s.changes[0].at for s in found.series if s.changes and s.cinema}
    assert changed == {("seating", "丙"): "2026-03-01", ("service", "丙"): "2026-03-01"}


def test_every_change_is_kept_however_many() -> None:
    cinemas, periods = 60, 8
    where, when = (axis.ravel() for axis in np.indices((cinemas, periods, 25))[:2])
    p = np.zeros((where.size, 1, 3), np.float32)
    p[:, 0, 2] = (when >= 4) ^ (where % 2 == 0)  # half of them better, half of them worse: nothing to see in all
    p[:, 0, 0] = 1 - p[:, 0, 2]
    names = [f"影院{c}" for c in range(cinemas)]
    months = np.array([f"2026-0{t + 1}-15" for t in range(periods)], "datetime64[D]")
    found = alone_shown(p, months[when], where.astype(np.int32), names, ["seating", "service"], [0])
    changed = {(series.key, series.cinema) for series in found.series if series.cinema}
    assert changed == {(key, name) for key in ("seating", "service") for name in names}
    sides = [index_cells(p, np.where((when >= 4) == late, where, -1), cinemas, [0]) for late in (False, True)]
    changes = cinema_changes(sides[0], sides[1], names, ["seating", "service"])
    assert {(change.key, change.cinema) for change in changes if change.significant} == changed


def test_the_effect_within_a_cinema_is_hedges_g_of_its_mentions() -> None:
    rng = np.random.default_rng(5)
    p = np.zeros((400, 2, 3), np.float32)
    p[np.arange(400), 0, rng.choice(3, 400, p=(0.5, 0.2, 0.3))] = 1
    p[::4, 1, 2] = 1
    late, cinema = np.arange(400) >= 250, np.arange(400, dtype=np.int32) % 2
    p[late & (cinema == 1), 0] = (0, 0, 1)
    sides = [index_cells(p, np.where(late == side, cinema, -1), 2, [0, 1]) for side in (False, True)]
    found = {(c.cinema, c.key): c for c in cinema_changes(sides[0], sides[1], ["甲", "乙"], ["a", "b", "service"])}
    for number, name in enumerate(["甲", "乙"]):
        for key, chosen in (("a", [0]), ("service", [0, 1])):
            sums = [p[(late == side) & (cinema == number)][:, chosen].sum((0, 1)) for side in (False, True)]
            effect = found[name, key].effect
            assert effect.value == pytest.approx(float(hedges_g(sums[0], sums[1])), rel=1e-4)
            assert effect.low is not None and effect.high is not None and effect.low < effect.value < effect.high
    assert found["乙", "a"].effect.value > 1 > abs(found["甲", "a"].effect.value)
    assert found["甲", "b"].effect.reason == "no_variation"


def test_the_league_says_how_many_it_leaves_out_and_why() -> None:
    mentions = np.full((MOST_RANKED + 5, 1), 20.0)
    mentions[:3] = 2.0
    names = [str(i) for i in range(len(mentions))]
    cells = Cells(np.full_like(mentions, 50.0), mentions, np.full_like(mentions, 9.0),
                  np.full_like(mentions, 30.0), np.full(len(mentions), 30.0))  # fmt: skip
    found = league("影院", cells, names, ["service"], np.random.default_rng(1), {})
    assert found is not None
    assert (len(found.rows), found.left_out) == (MOST_RANKED, 3)


def test_log_odds_follow_the_formula() -> None:
    first, second = [{"座椅"}] * 8 + [{"停车"}] * 4, [{"座椅"}] * 2 + [{"停车"}] * 6
    found = {c.term: c for c in contrast(first, second)}
    alpha = {"座椅": 10.0, "停车": 10.0}  # pooled counts, as n₁ + n₂ = 20 is under 1,000
    y1, y2, n1, n2, a0 = 8, 2, 12, 8, 20
    delta = math.log((y1 + alpha["座椅"]) / (n1 + a0 - y1 - alpha["座椅"])) - math.log(
        (y2 + alpha["座椅"]) / (n2 + a0 - y2 - alpha["座椅"])
    )
    assert found["座椅"].log_odds == pytest.approx(delta)
    assert found["座椅"].z == pytest.approx(delta / math.sqrt(1 / 18 + 1 / 12))
    assert contrast([], second) == []


def test_phrases_leave_out_parts_of_surer_ones() -> None:
    words = [{"停车", "停车场"}] * 30 + [set()] * 10, [{"热情"}] * 40
    negative, positive, found = phrase_lists(*words)
    assert len(negative) == 1
    assert [phrase.words for phrase in positive] == ["热情"]
    for phrase in (*negative, *positive):
        figure = phrase.log_odds
        assert figure.value is not None and figure.low is not None and figure.high is not None
        assert figure.high - figure.value == pytest.approx(1.96 * figure.value / phrase.z)
        assert figure.low > 0  # on its own side, and surely so
        assert figure.n == phrase.negative + phrase.positive
    assert found == (1, 1)
    assert without_parts([]) == []


def test_a_single_term_sets_nothing_apart() -> None:
    assert contrast([{"爆米花"}] * 8, [{"爆米花"}] * 5) == []


def test_terms_are_words_and_neighbours() -> None:
    found = terms("座椅 太 硬，停车", lambda text: ["座椅", "太", "硬", "，", "停车"])
    assert found == {"座椅", "停车"}


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
