"""Tables of questions 1 and 5: indices of dimensions, groups and lenses, and the ledger."""

from __future__ import annotations

from collections.abc import Iterable

from sentiment.report.model import IndexRow
from sentiment.report.view_parts import Cell, Column, View, ViewParts


def performance_views(parts: ViewParts) -> Iterable[View]:
    """By dimension with everything and the film at the end, by group, and the sentiment of whole texts."""
    part, t = parts.report.performance, parts.t
    ranked = sorted(part.dimensions, key=lambda row: (row.index.value is None, row.index.value or 0.0))
    rows = [_cells(parts, row) for row in ranked]
    rows.append(_cells(parts, part.overall, t("service")))
    if part.film is not None:
        rows.append(_cells(parts, part.film, t("film_apart")))
    yield View("dimensions", "performance", t("by_dimension"), _columns(parts, t("dimension")), rows)
    groups = [_cells(parts, row) for row in part.groups]
    yield View("groups", "performance", t("by_group"), _columns(parts, t("group")), groups)
    mood: list[list[Cell]] = [
        [t(key), value, parts.only(part.sentiment_quotes.get(key))] for key, value in part.sentiment.items()
    ]
    columns = [parts.text("overall"), Column(t("share")), parts.quotes_column()]
    yield View("mood", "performance", t("overall_mood"), columns, mood)


def lens_views(parts: ViewParts) -> Iterable[View]:
    """A table a lens, and the ledger."""
    part, t = parts.report.lenses, parts.t
    for lens in part.lenses:
        title = lens.zh if parts.zh else lens.en
        rows = [_cells(parts, row) for row in lens.rows]
        yield View(f"lens-{lens.lens}", "lenses", title, _columns(parts, title), rows)
    ledger = part.ledger
    lines: list[list[Cell]] = [
        [
            line.zh if parts.zh else line.en,
            t(line.side),
            line.amount,
            parts.names_of(line.dimensions),
            parts.quotes(line.quotes),
        ]
        for line in ledger.lines
    ]
    for key in ("value", "cost", "balance"):
        lines.append([t(key), "Σ", getattr(ledger, key), None, parts.quotes(ledger.quotes.get(key))])
    if ledger.film is not None:
        lines.append([t("film_apart"), None, ledger.film, None, parts.quotes(ledger.quotes.get("apart"))])
    columns = [parts.text("line"), parts.text("side"), Column(t("amount"), sign=True), parts.text("about")]
    columns.append(parts.quotes_column())
    yield View("ledger", "lenses", t("ledger_title"), columns, lines if ledger.lines else [])


def _columns(parts: ViewParts, first: str) -> list[Column]:
    return [
        Column(first, "text"),
        *(Column(parts.t(key)) for key in ("index_short", "mention_share", "negative_share")),
        Column(parts.t("net"), sign=True),
        parts.quotes_column(),
    ]


def _cells(parts: ViewParts, row: IndexRow, name: str | None = None) -> list[Cell]:
    shown = name or (row.zh if parts.zh else row.en)
    return [shown, row.index, row.mention_share, row.negative_share, row.net, parts.quotes(row.quotes)]
