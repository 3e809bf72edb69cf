"""The report as tables, drawn by page and workbook alike: what stands in which column, nothing of how it looks."""

from __future__ import annotations

from collections.abc import Iterable

from sentiment.report.labels import kano_label
from sentiment.report.model import Comparison, Report, TrendSeries
from sentiment.report.view_parts import Cell, Column, Quotes, View, ViewParts


def views(report: Report) -> dict[str, View]:
    """All tables of the report by id; a table without rows is left out."""
    maker = _Views(report)
    made = [
        *maker.performance(),
        *maker.priorities(),
        *maker.changes(),
        *maker.action(),
        *maker.lenses(),
        *maker.voices(),
        *maker.input(),
    ]
    return {view.id: view for view in made if view.rows}


class _Views(ViewParts):
    def performance(self) -> Iterable[View]:
        part = self.report.performance
        ranked = sorted(part.dimensions, key=lambda row: (row.index.value is None, row.index.value or 0.0))
        rows = [self.index_cells(row) for row in ranked]
        rows.append(self.index_cells(part.overall, self.t("service")))
        if part.film is not None:
            rows.append(self.index_cells(part.film, self.t("film_apart")))
        yield View("dimensions", "performance", self.t("by_dimension"), self.index_columns("dimension"), rows)
        groups = [self.index_cells(row, self.name(row.key)) for row in part.groups]
        columns = self.index_columns("group")
        yield View("groups", "performance", self.t("by_group"), columns, groups)
        mood: list[list[Cell]] = [[self.t(key), value] for key, value in part.sentiment.items()]
        yield View("mood", "performance", self.t("overall_mood"), [self.text("overall"), Column(self.t("share"))], mood)

    def priorities(self) -> Iterable[View]:
        part = self.report.priorities
        fixes: list[list[Cell]] = [
            [f.rank, self.name(f.key), f.gain, f.rate, f.target, f.avoided, self.quotes(f.quotes)]
            for f in part.fix_first
        ]
        columns = [
            self.count("rank"),
            self.text("dimension"),
            Column(self.t("gain"), digits=2, sign=True),
            Column(self.t("rate")),
            Column(self.t("target"), "number"),
            self.count("avoided"),
            self.quotes_column(),
        ]
        yield View("fix", "priorities", self.t("fix_first"), columns, fixes)
        impact: list[list[Cell]] = []
        for row in part.impact:
            kano = kano_label(row.kano, self.lang)
            if row.kano == "inconclusive" and row.leaning != "inconclusive":
                kano += f" ({self.t('leaning', kano=kano_label(row.leaning, self.lang))})"
            impact.append(
                [
                    self.name(row.key),
                    kano,
                    row.penalty,
                    row.reward,
                    row.range,
                    row.asymmetry,
                    row.stability,
                    row.negative,
                    row.positive,
                ]
            )
        columns = [
            self.text("dimension"),
            self.text("kano"),
            *(Column(self.t(key), digits=2) for key in ("penalty", "reward", "range")),
            Column(self.t("asymmetry"), digits=2, sign=True),
            Column(self.t("stability"), "number", 0),
            self.count("negative_n"),
            self.count("positive_n"),
        ]
        yield View("impact", "priorities", self.t("impact_title"), columns, impact)
        points: list[list[Cell]] = [
            [self.name(p.key), p.performance, p.importance, self.t(p.quadrant) if p.quadrant else None]
            for p in part.importance_performance
        ]
        columns = [
            self.text("dimension"),
            Column(self.t("index_short")),
            Column(self.t("importance"), digits=2),
            self.text("quadrant"),
        ]
        yield View("ipa", "priorities", self.t("ipa_title"), columns, points)

    def comparison_title(self, comparison: Comparison) -> str:
        before, after = comparison.before, comparison.after
        names = (after.zh, before.zh) if self.zh else (after.en, before.en)
        return self.t("comparison_title", after=names[0], before=names[1])

    def series_title(self, series: TrendSeries) -> str:
        return f"{self.name(series.key)} · {series.cinema or self.t('all_cinemas')}"

    def changes(self) -> Iterable[View]:
        part = self.report.changes
        tested = [
            Column(self.t("before")),
            Column(self.t("after")),
            Column(self.t("difference"), sign=True),
        ]
        ps = [
            Column(self.t("p"), "probability"),
            Column(self.t("q"), "probability"),
            Column(self.t("significant"), "flag"),
        ]
        for at, comparison in enumerate(part.comparisons):
            title = self.comparison_title(comparison)
            rows: list[list[Cell]] = [
                [
                    self.name(r.key),
                    r.before,
                    r.after,
                    r.difference,
                    r.effect,
                    r.negative_difference,
                    r.p,
                    r.q,
                    r.significant,
                ]
                for r in comparison.rows
            ]
            more = [Column(self.t("effect"), digits=2, sign=True), Column(self.t("negative_difference"), sign=True)]
            yield View(f"comparison-{at}", "changes", title, [self.text("dimension"), *tested, *more, *ps], rows)
            within: list[list[Cell]] = [
                [
                    c.cinema,
                    self.name(c.key),
                    c.before,
                    c.after,
                    c.difference,
                    c.p,
                    c.q,
                    c.significant,
                    self.quotes(c.quotes),
                ]
                for c in comparison.cinemas
            ]
            columns = [self.text("cinema"), self.text("dimension"), *tested, *ps, self.quotes_column()]
            yield View(f"cinemas-{at}", "changes", f"{self.t('cinema_changes')} · {title}", columns, within)
        if part.league is not None:
            rows = [
                [
                    r.rank,
                    r.name,
                    f"{r.rank_low}–{r.rank_high}" + (f" {self.t('tied')}" if r.tied else ""),
                    r.band,
                    r.index,
                    r.raw,
                    r.texts,
                    self.quotes(r.quotes),
                ]
                for r in part.league.rows
            ]
            columns = [
                self.count("rank"),
                Column(part.league.column if part.league.column else self.t("cinema"), "text"),
                self.text("rank_interval"),
                self.count("band"),
                Column(self.t("shrunk")),
                Column(self.t("raw")),
                self.count("texts"),
                self.quotes_column(),
            ]
            yield View("league", "changes", self.t("league_title"), columns, rows)
        if part.trend is not None:
            trend = part.trend
            points: list[list[Cell]] = [
                [
                    self.name(s.key),
                    s.cinema or self.t("all_cinemas"),
                    c.at,
                    c.before,
                    c.after,
                    c.difference,
                    c.p,
                    c.q,
                    self.quotes(s.quotes),
                ]
                for s in trend.series
                for c in s.changes
            ]
            where = [self.text("dimension"), self.text("cinema"), self.text("changed_at")]
            columns = [*where, *tested, *ps[:2], self.quotes_column()]
            yield View("change-points", "changes", self.t("change_points"), columns, points)
            columns = [self.text("period_start"), self.count("texts")]
            columns += [Column(self.series_title(series)) for series in trend.series]
            rows = [
                [start, trend.texts[at], *(series.values[at] for series in trend.series)]
                for at, start in enumerate(trend.starts)
            ]
            yield View("trend", "changes", self.t("trend_title"), columns, rows)

    def action(self) -> Iterable[View]:
        part = self.report.action
        owners: list[list[Cell]] = [
            [
                self.owner(o.owner),
                o.complaints,
                o.escalations,
                o.unanswered,
                o.median_days,
                o.oldest_days,
                self.names_of(o.dimensions),
                self.quotes(o.quotes),
            ]
            for o in part.owners
        ]
        counts = ("complaints", "escalations", "unanswered", "median_days", "oldest_days")
        columns = [self.text("owner"), *map(self.count, counts), self.text("about"), self.quotes_column()]
        yield View("owners", "action", self.t("owners_title"), columns, owners)
        repeats: list[list[Cell]] = [
            [
                r.customer,
                r.texts,
                r.first,
                r.last,
                r.days,
                self.owners(r.owners),
                self.quotes(r.quotes),
            ]
            for r in part.repeats or ()
        ]
        columns = [
            self.text("customer"),
            self.count("texts"),
            self.text("first"),
            self.text("last"),
            self.count("span_days"),
            self.text("owner"),
            self.quotes_column(),
        ]
        yield View("repeats", "action", self.t("repeats_title"), columns, repeats)
        failures: list[list[Cell]] = [
            [self.name(f.key), f.texts, f.lowest, f.share, f.baseline, self.quotes(f.quotes)] for f in part.failures
        ]
        columns = [
            self.text("dimension"),
            self.count("texts"),
            self.count("lowest"),
            Column(self.t("lowest_share")),
            Column(self.t("baseline")),
            self.quotes_column(),
        ]
        yield View("failures", "action", self.t("failures_title"), columns, failures)
        if part.silent is not None:
            silent = part.silent
            total: list[list[Cell]] = [
                [self.t("silent_share"), silent.share, self.quotes(silent.quotes)],
                [self.t("complaint_ratio"), silent.complaint_ratio, Quotes(())],
            ]
            share = Column(self.t("share"))
            yield View(
                "silent", "action", self.t("silent_title"), [Column("", "text"), share, self.quotes_column()], total
            )
            about: list[list[Cell]] = [[self.name(r.name), r.texts, r.share] for r in silent.dimensions]
            columns = [self.text("dimension"), self.count("texts"), share]
            yield View("silent-about", "action", self.t("silent_about"), columns, about)
            where: list[list[Cell]] = [[r.name, r.texts, r.share] for r in silent.cinemas]
            columns = [self.text("cinema"), self.count("texts"), share]
            yield View("silent-where", "action", self.t("silent_where"), columns, where)

    def lenses(self) -> Iterable[View]:
        for lens in self.report.lenses.lenses:
            title = lens.zh if self.zh else lens.en
            columns = [Column(title, "text"), *self.index_columns("group")[1:]]
            rows = [self.index_cells(row) for row in lens.rows]
            yield View(f"lens-{lens.lens}", "lenses", title, columns, rows)
        ledger = self.report.lenses.ledger
        lines: list[list[Cell]] = [
            [line.zh if self.zh else line.en, self.t(line.side), line.amount, self.names_of(line.dimensions)]
            for line in ledger.lines
        ]
        for key in ("value", "cost", "balance"):
            lines.append([self.t(key), "Σ", getattr(ledger, key), None])
        if ledger.film is not None:
            lines.append([self.t("film_apart"), None, ledger.film, None])
        columns = [self.text("line"), self.text("side"), Column(self.t("amount"), sign=True), self.text("about")]
        yield View("ledger", "lenses", self.t("ledger_title"), columns, lines if ledger.lines else [])

    def voices(self) -> Iterable[View]:
        part = self.report.voices
        phrases: list[list[Cell]] = []
        for found in part.phrases:
            about = self.t("whole_texts") if found.key == "overall" else self.name(found.key)
            for side, some in (("more_negative", found.negative), ("more_positive", found.positive)):
                phrases += [[about, self.t(side), p.words, p.z, p.log_odds, p.negative, p.positive] for p in some]
        columns = [
            self.text("dimension"),
            self.text("side"),
            self.text("words"),
            Column("z", "number", 1, sign=True),
            Column(self.t("log_odds"), "number", 2, sign=True),
            self.count("negative_n"),
            self.count("positive_n"),
        ]
        yield View("phrases", "voices", self.t("phrases_title"), columns, phrases)
        kinds = {"new": "new", "rising": "rising", "uncovered": "uncovered_kind"}
        topics: list[list[Cell]] = [
            [t.words, self.t(kinds[t.kind]), t.texts, t.share, t.before, t.z, t.first, self.quotes(t.quotes)]
            for t in part.topics
        ]
        columns = [
            self.text("words"),
            self.text("kind"),
            self.count("texts"),
            Column(self.t("share")),
            Column(self.t("earlier")),
            Column("z", "number", 1),
            self.text("first"),
            self.quotes_column(),
        ]
        yield View("topics", "voices", self.t("topics_title"), columns, topics)

    def input(self) -> Iterable[View]:
        meta = self.report.meta
        files: list[list[Cell]] = [[f.name, f.rows, f.rejected, f.scored_here] for f in meta.inputs]
        columns = [
            self.text("file"),
            self.count("rows"),
            self.count("rejected"),
            Column(self.t("scored_here"), "flag"),
        ]
        yield View("files", "input", self.t("input"), columns, files)
        roles = ("text", "id", "date", "cinema", "rating", "customer", "reply")
        used: list[list[Cell]] = [[self.t(role), getattr(meta.columns, role) or self.t("none_found")] for role in roles]
        yield View("columns", "input", self.t("column"), [self.text("used_for"), self.text("column")], used)


def series_titles(report: Report) -> list[str]:
    """What the series of the trend are called, in their order."""
    trend = report.changes.trend
    return [] if trend is None else [_Views(report).series_title(series) for series in trend.series]
