"""The report as tables, drawn by page and workbook alike: what stands in which column, nothing of how it looks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from sentiment.report.labels import kano_label, label
from sentiment.report.model import Comparison, Figure, IndexRow, Question, Report, TrendSeries


@dataclass(frozen=True, slots=True)
class Quotes:
    """Lists of texts behind a row: (words on the button, key into `Voices.quotes`, how many texts in all)."""

    lists: tuple[tuple[str, str, int], ...]


Cell = str | int | float | bool | Figure | Quotes | None


@dataclass(frozen=True, slots=True)
class Column:
    """`kind` decides the format; `digits` are decimals of figures and numbers, `sign` shows a plus."""

    header: str
    kind: Literal["text", "figure", "number", "probability", "flag", "quotes"] = "figure"
    digits: int = 1
    sign: bool = False


@dataclass(frozen=True, slots=True)
class View:
    """A table: `id` is stable and unique in the report; rows have one cell a column."""

    id: str
    question: Question
    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]


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


class _Views:
    def __init__(self, report: Report) -> None:
        self.report = report
        self.lang = report.meta.lang
        self.zh = self.lang == "zh"
        self.names = {d.key: d.zh if self.zh else d.en for d in report.dimensions} | {"service": self.t("service")}
        self.lists = report.voices.quotes

    def t(self, key: str, **values: object) -> str:
        return label(key, self.lang, **values)

    def name(self, key: str) -> str:
        """Of a dimension, else of a lens value, else the value itself."""
        if key in self.names:
            return self.names[key]
        known = self.report.labels.get(key)
        return key if known is None else known.zh if self.zh else known.en

    def names_of(self, keys: Iterable[str]) -> str:
        return ("、" if self.zh else ", ").join(self.name(key) for key in keys)

    def owner(self, value: str) -> str:
        """Of a department; texts without a mention belong to nobody."""
        return self.t("unassigned") if value == "unassigned" else value

    def owners(self, values: Iterable[str]) -> str:
        return ("、" if self.zh else ", ").join(map(self.owner, values))

    def quotes(self, key: str | None, *, word: str | None = None) -> Quotes:
        """The list under `key`, and that of the other sentiments where it is one of a kind."""
        if key is None:
            return Quotes(())
        stem, _, last = key.rpartition("/")
        keys = [f"{stem}/{s}" for s in ("negative", "positive")] if last in ("negative", "positive") else [key]
        found = [(one, self.lists[one]) for one in keys if one in self.lists and self.lists[one].texts]
        words = [word or (self.t(one.rpartition("/")[2]) if len(keys) > 1 else self.t("texts")) for one, _ in found]
        return Quotes(tuple((w, one, many.total) for w, (one, many) in zip(words, found, strict=True)))

    def _text(self, key: str) -> Column:
        return Column(self.t(key), "text")

    def _count(self, key: str) -> Column:
        return Column(self.t(key), "number", 0)

    def _quotes(self) -> Column:
        return Column(self.t("quotes"), "quotes")

    def _index_columns(self, first: str) -> list[Column]:
        return [
            self._text(first),
            Column(self.t("index_short")),
            Column(self.t("mention_share")),
            Column(self.t("negative_share")),
            Column(self.t("net"), sign=True),
            self._quotes(),
        ]

    def _index_cells(self, row: IndexRow, name: str | None = None) -> list[Cell]:
        shown = name or (row.zh if self.zh else row.en)
        return [shown, row.index, row.mention_share, row.negative_share, row.net, self.quotes(row.quotes)]

    def performance(self) -> Iterable[View]:
        part = self.report.performance
        ranked = sorted(part.dimensions, key=lambda row: (row.index.value is None, row.index.value or 0.0))
        rows = [self._index_cells(row) for row in ranked]
        rows.append(self._index_cells(part.overall, self.t("service")))
        if part.film is not None:
            rows.append(self._index_cells(part.film, self.t("film_apart")))
        yield View("dimensions", "performance", self.t("by_dimension"), self._index_columns("dimension"), rows)
        groups = [self._index_cells(row, self.name(row.key)) for row in part.groups]
        columns = self._index_columns("group")
        yield View("groups", "performance", self.t("by_group"), columns, groups)
        mood: list[list[Cell]] = [[self.t(key), value] for key, value in part.sentiment.items()]
        yield View(
            "mood", "performance", self.t("overall_mood"), [self._text("overall"), Column(self.t("share"))], mood
        )

    def priorities(self) -> Iterable[View]:
        part = self.report.priorities
        fixes: list[list[Cell]] = [
            [f.rank, self.name(f.key), f.gain, f.rate, f.target, f.avoided, self.quotes(f.quotes)]
            for f in part.fix_first
        ]
        columns = [
            self._count("rank"),
            self._text("dimension"),
            Column(self.t("gain"), digits=2, sign=True),
            Column(self.t("rate")),
            Column(self.t("target"), "number"),
            self._count("avoided"),
            self._quotes(),
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
            self._text("dimension"),
            self._text("kano"),
            *(Column(self.t(key), digits=2) for key in ("penalty", "reward", "range")),
            Column(self.t("asymmetry"), digits=2, sign=True),
            Column(self.t("stability"), "number", 0),
            self._count("negative_n"),
            self._count("positive_n"),
        ]
        yield View("impact", "priorities", self.t("impact_title"), columns, impact)
        points: list[list[Cell]] = [
            [self.name(p.key), p.performance, p.importance, self.t(p.quadrant) if p.quadrant else None]
            for p in part.importance_performance
        ]
        columns = [
            self._text("dimension"),
            Column(self.t("index_short")),
            Column(self.t("importance"), digits=2),
            self._text("quadrant"),
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
            yield View(f"comparison-{at}", "changes", title, [self._text("dimension"), *tested, *more, *ps], rows)
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
            columns = [self._text("cinema"), self._text("dimension"), *tested, *ps, self._quotes()]
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
                self._count("rank"),
                Column(part.league.column if part.league.column else self.t("cinema"), "text"),
                self._text("rank_interval"),
                self._count("band"),
                Column(self.t("shrunk")),
                Column(self.t("raw")),
                self._count("texts"),
                self._quotes(),
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
            where = [self._text("dimension"), self._text("cinema"), self._text("changed_at")]
            columns = [*where, *tested, *ps[:2], self._quotes()]
            yield View("change-points", "changes", self.t("change_points"), columns, points)
            columns = [self._text("period_start"), self._count("texts")]
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
        columns = [self._text("owner"), *map(self._count, counts), self._text("about"), self._quotes()]
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
            self._text("customer"),
            self._count("texts"),
            self._text("first"),
            self._text("last"),
            self._count("span_days"),
            self._text("owner"),
            self._quotes(),
        ]
        yield View("repeats", "action", self.t("repeats_title"), columns, repeats)
        failures: list[list[Cell]] = [
            [self.name(f.key), f.texts, f.lowest, f.share, f.baseline, self.quotes(f.quotes)] for f in part.failures
        ]
        columns = [
            self._text("dimension"),
            self._count("texts"),
            self._count("lowest"),
            Column(self.t("lowest_share")),
            Column(self.t("baseline")),
            self._quotes(),
        ]
        yield View("failures", "action", self.t("failures_title"), columns, failures)
        if part.silent is not None:
            silent = part.silent
            total: list[list[Cell]] = [
                [self.t("silent_share"), silent.share, self.quotes(silent.quotes)],
                [self.t("complaint_ratio"), silent.complaint_ratio, Quotes(())],
            ]
            share = Column(self.t("share"))
            yield View("silent", "action", self.t("silent_title"), [Column("", "text"), share, self._quotes()], total)
            about: list[list[Cell]] = [[self.name(r.name), r.texts, r.share] for r in silent.dimensions]
            columns = [self._text("dimension"), self._count("texts"), share]
            yield View("silent-about", "action", self.t("silent_about"), columns, about)
            where: list[list[Cell]] = [[r.name, r.texts, r.share] for r in silent.cinemas]
            columns = [self._text("cinema"), self._count("texts"), share]
            yield View("silent-where", "action", self.t("silent_where"), columns, where)

    def lenses(self) -> Iterable[View]:
        for lens in self.report.lenses.lenses:
            title = lens.zh if self.zh else lens.en
            columns = [Column(title, "text"), *self._index_columns("group")[1:]]
            rows = [self._index_cells(row) for row in lens.rows]
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
        columns = [self._text("line"), self._text("side"), Column(self.t("amount"), sign=True), self._text("about")]
        yield View("ledger", "lenses", self.t("ledger_title"), columns, lines if ledger.lines else [])

    def voices(self) -> Iterable[View]:
        part = self.report.voices
        phrases: list[list[Cell]] = []
        for found in part.phrases:
            about = self.t("whole_texts") if found.key == "overall" else self.name(found.key)
            for side, some in (("more_negative", found.negative), ("more_positive", found.positive)):
                phrases += [[about, self.t(side), p.words, p.z, p.log_odds, p.negative, p.positive] for p in some]
        columns = [
            self._text("dimension"),
            self._text("side"),
            self._text("words"),
            Column("z", "number", 1, sign=True),
            Column(self.t("log_odds"), "number", 2, sign=True),
            self._count("negative_n"),
            self._count("positive_n"),
        ]
        yield View("phrases", "voices", self.t("phrases_title"), columns, phrases)
        kinds = {"new": "new", "rising": "rising", "uncovered": "uncovered_kind"}
        topics: list[list[Cell]] = [
            [t.words, self.t(kinds[t.kind]), t.texts, t.share, t.before, t.z, t.first, self.quotes(t.quotes)]
            for t in part.topics
        ]
        columns = [
            self._text("words"),
            self._text("kind"),
            self._count("texts"),
            Column(self.t("share")),
            Column(self.t("earlier")),
            Column("z", "number", 1),
            self._text("first"),
            self._quotes(),
        ]
        yield View("topics", "voices", self.t("topics_title"), columns, topics)

    def input(self) -> Iterable[View]:
        meta = self.report.meta
        files: list[list[Cell]] = [[f.name, f.rows, f.rejected, f.scored_here] for f in meta.inputs]
        columns = [
            self._text("file"),
            self._count("rows"),
            self._count("rejected"),
            Column(self.t("scored_here"), "flag"),
        ]
        yield View("files", "input", self.t("input"), columns, files)
        roles = ("text", "id", "date", "cinema", "rating", "customer", "reply")
        used: list[list[Cell]] = [[self.t(role), getattr(meta.columns, role) or self.t("none_found")] for role in roles]
        yield View("columns", "input", self.t("column"), [self._text("used_for"), self._text("column")], used)


def series_titles(report: Report) -> list[str]:
    """What the series of the trend are called, in their order."""
    trend = report.changes.trend
    return [] if trend is None else [_Views(report).series_title(series) for series in trend.series]
