"""3. The texts behind the trend: of every series, of both sides of every change point, of every period."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sentiment.report.limits import shown_series
from sentiment.report.model import Trend, TrendSeries
from sentiment.report.work import Work

Sets = Mapping[str, list[int]]  # positions of the dimensions that a key stands for


def quote_series(work: Work, trend: Trend, period: NDArray[np.int32], sets: Sets) -> Trend:
    """The texts of the service by period, of every series and of both sides of every change point. `period` (n): of
    each text, −1 without date."""
    prefixes = [f"trend/{start}" for start in trend.starts]
    by_period = work.mentions.add_groups(prefixes, sets["service"], period)
    series = []
    for one, shown in zip(trend.series, _shown(trend), strict=True):
        if not shown:
            series.append(one)
            continue
        among, prefix = _texts(work, one), _prefix(one)
        changed = []
        edges = [0, *(trend.starts.index(change.at) for change in one.changes), len(trend.starts)]
        for change, first, at, last in zip(one.changes, edges, edges[1:], edges[2:], strict=False):
            left = among & (period >= first) & (period < at)
            right = among & (period >= at) & (period < last)
            changed.append(
                replace(
                    change,
                    before_quotes=work.mentions.add(f"{prefix}/{change.at}/before", sets[one.key], left),
                    after_quotes=work.mentions.add(f"{prefix}/{change.at}/after", sets[one.key], right),
                )
            )
        quotes = work.mentions.add(prefix, sets[one.key], among & (period >= 0))
        series.append(replace(one, changes=changed, quotes=quotes))
    return replace(trend, series=series, quotes=by_period)


def quote_periods(work: Work, trend: Trend, period: NDArray[np.int32], sets: Sets) -> Trend:
    """The texts of every series in every period. There are hundreds of such numbers: to be called last, so that they
    take what the other numbers leave of the budget."""
    series = []
    for one, shown in zip(trend.series, _shown(trend), strict=True):
        if not shown:
            series.append(one)
            continue
        if one.key == "service" and one.cinema is None:
            series.append(replace(one, period_quotes=trend.quotes))
            continue
        codes = np.where(_texts(work, one), period, -1)
        prefixes = [f"{_prefix(one)}/{start}" for start in trend.starts]
        series.append(replace(one, period_quotes=work.mentions.add_groups(prefixes, sets[one.key], codes)))
    return replace(trend, series=series)


def _shown(trend: Trend) -> list[bool]:
    """Which series a page shows: those of all cinemas, and the first of single ones."""
    left, shown = shown_series(len(trend.starts)), []
    for one in trend.series:
        shown.append(one.cinema is None or left > 0)
        left -= one.cinema is not None
    return shown


def _texts(work: Work, one: TrendSeries) -> NDArray[np.bool_]:
    if one.cinema is None:
        return np.ones(len(work.scored), bool)
    found: NDArray[np.bool_] = work.scored.cinema == work.scored.cinemas.index(one.cinema)
    return found


def _prefix(one: TrendSeries) -> str:
    return f"trend/{one.cinema or 'all'}/{one.key}"
