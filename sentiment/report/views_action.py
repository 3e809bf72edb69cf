"""Tables of question 4: departments, repeats, single failures, silent dissatisfaction."""

from __future__ import annotations

from collections.abc import Iterable

from sentiment.report.model import Silent
from sentiment.report.view_parts import Cell, Column, View, ViewParts


def action_views(parts: ViewParts) -> Iterable[View]:
    """In the order of the page."""
    part, t, quotes = parts.report.action, parts.t, parts.quotes_column()
    owners: list[list[Cell]] = [
        [
            parts.name(o.owner),
            *(o.complaints, o.escalations, o.unanswered, o.median_days, o.oldest_days),
            parts.names_of(o.dimensions),
            parts.quotes(o.quotes),
        ]
        for o in part.owners
    ]
    counts = parts.counts("complaints", "escalations", "unanswered", "median_days", "oldest_days")
    columns = [parts.text("owner"), *counts, parts.text("about"), quotes]
    yield View("owners", "action", t("owners_title"), columns, owners)
    repeats: list[list[Cell]] = [
        [
            *(r.customer, r.texts, r.complaints, r.escalations, r.first, r.last, r.days),
            parts.names_of(r.owners),
            parts.quotes(r.quotes),
        ]
        for r in part.repeats or ()
    ]
    columns = [
        parts.text("customer"),
        *parts.counts("texts", "complaints", "escalations"),
        parts.text("first"),
        parts.text("last"),
        parts.count("span_days"),
        parts.text("owner"),
        quotes,
    ]
    yield View("repeats", "action", t("repeats_title"), columns, repeats)
    failures: list[list[Cell]] = [
        [parts.name(f.key), f.texts, f.lowest, f.share, f.baseline, parts.quotes(f.quotes)] for f in part.failures
    ]
    shares = [Column(t("lowest_share")), Column(t("baseline"))]
    columns = [parts.text("dimension"), *parts.counts("texts", "lowest"), *shares, quotes]
    yield View("failures", "action", t("failures_title"), columns, failures)
    if part.silent is not None:
        yield from _silent(parts, part.silent)


def _silent(parts: ViewParts, silent: Silent) -> Iterable[View]:
    t, share, quotes = parts.t, Column(parts.t("share")), parts.quotes_column()
    total: list[list[Cell]] = [
        [t("silent_share"), silent.share, parts.quotes(silent.quotes)],
        [t("complaint_ratio"), silent.complaint_ratio, parts.quotes(silent.complaining_quotes)],
    ]
    yield View("silent", "action", t("silent_title"), [Column("", "text"), share, quotes], total)
    for name, first, shares in (("about", "dimension", silent.dimensions), ("where", "cinema", silent.cinemas)):
        rows: list[list[Cell]] = [
            [parts.name(r.name) if name == "about" else r.name, r.texts, r.share, parts.quotes(r.quotes)]
            for r in shares
        ]
        columns = [parts.text(first), parts.count("texts"), share, quotes]
        yield View(f"silent-{name}", "action", t(f"silent_{name}"), columns, rows)
