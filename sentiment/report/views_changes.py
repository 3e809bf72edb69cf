"""Tables of question 3: comparisons, changes within cinemas, the league, change points and the trend."""

from __future__ import annotations

from collections.abc import Iterable

from sentiment.report.model import Comparison, League, Report, Trend, TrendSeries
from sentiment.report.view_parts import Cell, Column, View, ViewParts


def changes_views(parts: ViewParts) -> Iterable[View]:
    """In the order of the page."""
    part = parts.report.changes
    for at, comparison in enumerate(part.comparisons):
        yield from _comparison(parts, at, comparison)
    if part.league is not None:
        yield _league(parts, part.league)
        yield _league_dimensions(parts, part.league)
    if part.trend is not None:
        yield from _trend(parts, part.trend)


def series_titles(report: Report) -> list[str]:
    """What the series of the trend are called, in their order."""
    trend, parts = report.changes.trend, ViewParts(report)
    return [] if trend is None else [_series_title(parts, series) for series in trend.series]


def _series_title(parts: ViewParts, series: TrendSeries) -> str:
    return f"{parts.name(series.key)} · {series.cinema or parts.t('all_cinemas')}"


def _sides(parts: ViewParts, names: tuple[str, str] | None = None) -> list[Column]:
    before, after = names or (parts.t("before"), parts.t("after"))
    return [Column(before), Column(after), Column(parts.t("difference"), sign=True)]


def _tests(parts: ViewParts) -> list[Column]:
    return [Column(parts.t("p"), "probability"), Column(parts.t("q"), "probability")]


def _comparison(parts: ViewParts, at: int, comparison: Comparison) -> Iterable[View]:
    t = parts.t
    names = [side.zh if parts.zh else side.en for side in (comparison.after, comparison.before)]
    title = t("comparison_title", after=names[0], before=names[1])
    sides = (names[1], names[0]) if comparison.kind == "by" else None  # a group is not later than the others
    rows: list[list[Cell]] = [
        [
            parts.name(r.key),
            *(r.before, r.after, r.difference, r.effect, r.negative_difference, r.p, r.q, r.significant),
            parts.both(r.before_quotes, r.after_quotes, sides),
        ]
        for r in comparison.rows
    ]
    effects = [Column(t("effect"), digits=2, sign=True), Column(t("negative_difference"), sign=True)]
    last = [*_tests(parts), Column(t("significant"), "flag"), parts.quotes_column()]
    columns = [parts.text("dimension"), *_sides(parts, sides), *effects, *last]
    yield View(f"comparison-{at}", "changes", title, columns, rows)
    within: list[list[Cell]] = [
        [
            *(c.cinema, parts.name(c.key), c.before, c.after, c.difference, c.effect, c.p, c.q, c.significant),
            parts.both(c.before_quotes, c.after_quotes),
        ]
        for c in comparison.cinemas
    ]
    columns = [parts.text("cinema"), parts.text("dimension"), *_sides(parts), effects[0], *last]
    yield View(f"cinemas-{at}", "changes", f"{t('cinema_changes')} · {title}", columns, within)


def _league(parts: ViewParts, league: League) -> View:
    t = parts.t
    rows: list[list[Cell]] = [
        [
            r.rank,
            r.name,
            f"{r.rank_low}–{r.rank_high}" + (f" {t('tied')}" if r.tied else ""),
            *(r.band, r.index, r.raw, r.texts),
            parts.quotes(r.quotes),
        ]
        for r in league.rows
    ]
    columns = [
        parts.count("rank"),
        Column(league.column or t("cinema"), "text"),
        parts.text("rank_interval"),
        parts.count("band"),
        *(Column(t(key)) for key in ("shrunk", "raw")),
        parts.count("texts"),
        parts.quotes_column(),
    ]
    return View("league", "changes", t("league_title"), columns, rows)


def _league_dimensions(parts: ViewParts, league: League) -> View:
    """Every dimension of every ranked cinema, the weakest first."""
    found = [(row.name, key, figure) for row in league.rows for key, figure in row.dimensions.items()]
    found.sort(key=lambda cell: 100.0 if cell[2].value is None else cell[2].value)
    rows: list[list[Cell]] = [[name, parts.name(key), figure] for name, key, figure in found]
    columns = [Column(league.column or parts.t("cinema"), "text"), parts.text("dimension"), Column(parts.t("shrunk"))]
    return View("league-dimensions", "changes", parts.t("league_dimensions"), columns, rows)


def _trend(parts: ViewParts, trend: Trend) -> Iterable[View]:
    t = parts.t
    points: list[list[Cell]] = [
        [
            parts.name(s.key),
            s.cinema or t("all_cinemas"),
            *(c.at, c.before, c.after, c.difference, c.p, c.q),
            parts.both(c.before_quotes, c.after_quotes),
        ]
        for s in trend.series
        for c in s.changes
    ]
    where = [parts.text("dimension"), parts.text("cinema"), parts.text("changed_at")]
    columns = [*where, *_sides(parts), *_tests(parts), parts.quotes_column()]
    yield View("change-points", "changes", t("change_points"), columns, points)
    rows: list[list[Cell]] = [
        [
            parts.name(series.key),
            series.cinema or t("all_cinemas"),
            start,
            trend.texts[at] if series.cinema is None else None,
            _value(parts, trend, series, at),
        ]
        for series in trend_order(trend)
        for at, start in enumerate(trend.starts)
    ]
    columns = [parts.text("dimension"), parts.text("cinema"), parts.text("period_start"), parts.count("texts")]
    yield View("trend", "changes", t("trend_title"), [*columns, Column(t("index_short"))], rows)


def trend_order(trend: Trend) -> list[TrendSeries]:
    """The series as tables have them: all service first."""
    return sorted(trend.series, key=lambda series: (series.cinema is not None, series.key != "service"))


def _value(parts: ViewParts, trend: Trend, series: TrendSeries, at: int) -> Cell:
    """The index in one period, which opens its texts."""
    key = series.period_quotes[at] if series.period_quotes else None
    return parts.linked(series.values[at], f"{_series_title(parts, series)} · {trend.starts[at]}", key)
