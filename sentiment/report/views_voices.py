"""Tables of question 6: phrases and topics."""

from __future__ import annotations

from collections.abc import Iterable

from sentiment.report.view_parts import Cell, Column, View, ViewParts

_KINDS = {"new": "new", "rising": "rising", "uncovered": "uncovered_kind"}


def voices_views(parts: ViewParts) -> Iterable[View]:
    """The phrases of whole texts and of every dimension, and the topics."""
    part, t, quotes = parts.report.voices, parts.t, parts.quotes_column()
    phrases: list[list[Cell]] = []
    for found in part.phrases:
        about = t("whole_texts") if found.key == "overall" else parts.name(found.key)
        for side, some, count in (
            ("more_negative", found.negative, found.negative_found),
            ("more_positive", found.positive, found.positive_found),
        ):
            phrases += [
                [about, t(side), p.words, p.z, p.log_odds, p.negative, p.positive, count, parts.quotes(p.quotes)]
                for p in some
            ]
    columns = [
        parts.text("dimension"),
        parts.text("side"),
        parts.text("words"),
        Column("z", "number", 1, sign=True),
        Column(t("log_odds"), "figure", 2, sign=True),
        *parts.counts("negative_n", "positive_n", "found_side"),
        quotes,
    ]
    yield View("phrases", "voices", t("phrases_title"), columns, phrases)
    topics: list[list[Cell]] = [
        [s.words, t(_KINDS[s.kind]), s.texts, s.share, s.before, s.z, s.first, parts.quotes(s.quotes)]
        for s in part.topics
    ]
    columns = [
        parts.text("words"),
        parts.text("kind"),
        parts.count("texts"),
        *(Column(t(key)) for key in ("share", "earlier")),
        Column("z", "number", 1),
        parts.text("first"),
        quotes,
    ]
    cut = t("shown_of", k=len(topics), n=part.topics_found) if len(topics) < part.topics_found else ""
    yield View("topics", "voices", t("topics_title") + cut, columns, topics)
