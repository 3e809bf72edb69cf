"""Tables of question 2: what to fix first, impact, importance against performance."""

from __future__ import annotations

from collections.abc import Iterable

from sentiment.report.labels import GAIN_DIGITS, kano_label
from sentiment.report.model import ImpactRow
from sentiment.report.view_parts import Cell, Column, View, ViewParts


def priorities_views(parts: ViewParts) -> Iterable[View]:
    """The ranked list, the impact of every dimension and its class, and the quadrants."""
    part, t = parts.report.priorities, parts.t
    dimension, quotes = parts.text("dimension"), parts.quotes_column()
    fixes: list[list[Cell]] = [
        [f.rank, parts.name(f.key), f.gain, f.rate, f.target, f.avoided, parts.quotes(f.quotes)] for f in part.fix_first
    ]
    gain, avoided = Column(t("gain"), digits=GAIN_DIGITS, sign=True), Column(t("avoided"), digits=0)
    columns = [parts.count("rank"), dimension, gain, Column(t("rate")), Column(t("target")), avoided, quotes]
    yield View("fix", "priorities", t("fix_first"), columns, fixes)
    impact: list[list[Cell]] = [
        [
            parts.name(r.key),
            _kano(parts, r),
            *(r.penalty, r.reward, r.range, r.asymmetry, r.stability, r.negative, r.positive),
            parts.quotes(r.quotes),
        ]
        for r in part.impact
    ]
    columns = [
        dimension,
        parts.text("kano"),
        *(Column(t(key), digits=2) for key in ("penalty", "reward", "range")),
        Column(t("asymmetry"), digits=2, sign=True),
        Column(t("stability"), "number", 0),
        *parts.counts("negative_n", "positive_n"),
        quotes,
    ]
    yield View("impact", "priorities", t("impact_title"), columns, impact)
    points: list[list[Cell]] = [
        [parts.name(p.key), p.performance, p.importance, t(p.quadrant) if p.quadrant else None, parts.quotes(p.quotes)]
        for p in part.importance_performance
    ]
    columns = [dimension, Column(t("index_short")), Column(t("importance"), digits=2), parts.text("quadrant"), quotes]
    yield View("ipa", "priorities", t("ipa_title"), columns, points)


def _kano(parts: ViewParts, row: ImpactRow) -> str:
    kano = kano_label(row.kano, parts.lang)
    if row.kano == "inconclusive" and row.leaning != "inconclusive":
        kano += f" ({parts.t('leaning', kano=kano_label(row.leaning, parts.lang))})"
    return kano
