"""Periods, changes of level, and whose they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sentiment.report.cells import index_cells
from sentiment.report.comparison import cinema_changes
from sentiment.report.intervals import (
    adjusted_together,
)
from sentiment.report.model import Trend
from sentiment.report.segments import adjacent, best_split, splits
from sentiment.report.trend import periods, scan, shown


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
