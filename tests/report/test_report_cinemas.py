"""Cinemas beside one another: shrinkage, the league, effects within and over them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.meta_analysis import combine_effects

from sentiment.report.cells import Cells, index_cells
from sentiment.report.comparison import cinema_changes, compare, hedges_g
from sentiment.report.index import tally
from sentiment.report.intervals import (
    MIN_CINEMAS,
    make_units,
    weights,
)
from sentiment.report.labels import label
from sentiment.report.league import MOST_RANKED, league, shrink


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
    before, after = (100 * (p[s, 0, 2] + p[s, 0, 1] / 2).mean(dtype=float) for s in (~late, late))
    assert row.before.value == pytest.approx(before) and row.after.value == pytest.approx(after)
    assert row.difference.value == pytest.approx(after - before)
    assert row.effect.high - row.effect.value == pytest.approx(stats.t.ppf(0.975, MIN_CINEMAS - 2) * error)


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
    change = found["乙", "a"]  # all of it good from then on
    assert change.before.value is not None and change.before.value < 60 and change.after.value == pytest.approx(100)
    assert change.difference.value == pytest.approx(100 - change.before.value)
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


def test_league_neighbours_in_two_bands_may_be_tied() -> None:
    """Each is compared with the best of its band alone, so what explains the bands must not say more."""
    index = np.array([[70.0], [66.0], [62.0], [58.0], [54.0], [50.0]])
    cells = Cells(index, *(np.full_like(index, x) for x in (60.0, 4.0, 30.0)), np.full(len(index), 60.0))
    found = league("影院", cells, list("甲乙丙丁戊己"), ["service"], np.random.default_rng(1), {})
    assert found is not None
    best, second, third = found.rows[:3]
    assert best.band == second.band != third.band
    assert third.rank_low <= second.rank_high and second.tied and third.tied
    for lang, wrong in (("zh", "重叠的并列，用同一组号"), ("en", "share a band")):
        hint = label("league_hint", lang, mean=60, between=8)
        assert label("tied", lang) in hint.casefold()
        assert wrong not in hint
