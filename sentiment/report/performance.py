"""1. How are we doing? and 5. Through whose eyes? put together from sums, with the texts behind every index."""

from __future__ import annotations

import numpy as np

from sentiment.records import PROBABILITY_ORDER
from sentiment.report import index, lenses
from sentiment.report.labels import label
from sentiment.report.model import IndexRow, Lens, Lenses, Performance
from sentiment.report.work import Work


def build_performance(work: Work) -> Performance:
    """Dimensions, groups, everything, and the film apart."""
    taxonomy, scored = work.scored.taxonomy, work.scored
    rows = [
        _row(work, f"dimension/{d.key}", d.key, (d.zh, d.en), [position])
        for position, d in enumerate(taxonomy.dimensions)
    ]
    overall = _row(work, "service", "service", (label("service", "zh"), label("service", "en")), work.service)
    if overall.index.value is None:
        said = overall.positive + overall.neutral + overall.negative
        work.notes.add("few_service" if said > 0.5 else "no_service")
    quoted: dict[str, str] = {}
    for code, name in enumerate(PROBABILITY_ORDER):
        found = np.flatnonzero(scored.overall == code)
        if (key := work.quotes.add(f"overall/{name}", found, np.ones(len(found)))) is not None:
            quoted[name] = key
    return Performance(
        overall,
        _lens_rows(work, "group"),
        [rows[position] for position in work.service],
        rows[work.film[0]] if work.film else None,
        index.sentiment_shares(scored.overall, work.units, work.weight),
        quoted,
    )


def build_lenses(work: Work) -> Lenses:
    """The dimensions by each lens, and the customer-value ledger."""
    taxonomy = work.scored.taxonomy
    shown = []
    for lens in lenses.SHOWN_LENSES:
        rows = _lens_rows(work, lens)
        if rows:
            shown.append(Lens(lens, label(f"lens_{lens}", "zh"), label(f"lens_{lens}", "en"), rows))
    names = {value: (name.zh, name.en) for value, name in work.names.items()}
    return Lenses(shown, lenses.ledger(work.sums, taxonomy, work.service, names, work.mentions.add))


def _row(work: Work, prefix: str, key: str, names: tuple[str, str], dimensions: list[int]) -> IndexRow:
    quotes = work.mentions.add(prefix, dimensions)
    return index.index_row(key, *names, dimensions, work.sums, work.any_of(dimensions), quotes)


def _lens_rows(work: Work, lens: str) -> list[IndexRow]:
    return [
        _row(work, f"{lens}/{value}", value, (work.names[value].zh, work.names[value].en), chosen)
        for value, chosen in lenses.lens_sets(work.scored.taxonomy, lens, work.service)
    ]
