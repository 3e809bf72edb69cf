"""2. What to fix first? Impact, importance against performance and the ranked list, put together."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sentiment.report import impact, index, priorities
from sentiment.report.intervals import Floats
from sentiment.report.model import Figure, FixRow, ImpactRow, Performance, Priorities
from sentiment.report.notes import Notes
from sentiment.report.scored import Scored
from sentiment.report.work import Work

MIN_RATED = 50
SCALES = (5.0, 10.0, 100.0)


def highest_rating(ratings: Floats) -> float:
    """How far from 0 a rating may be: twice the top of the scale, which is the smallest of 5, 10 and 100 that holds 95%
    of the ratings (if none does, what holds them). A single slip beyond would stretch the range and the spread of all;
    rare values of the scale itself, such as praise among complaints, stay."""
    usual = float(np.quantile(np.abs(ratings), 0.95, method="lower"))
    return 2 * next((top for top in SCALES if usual <= top), usual)


def find_outcome(scored: Scored, notes: Notes) -> tuple[Floats, Literal["rating", "overall"] | None]:
    """What impact is measured on: the ratings, without those beyond `highest_rating`, which a note counts; else overall
    sentiment as −1, 0, 1. NaN where unknown."""
    rating: Floats = scored.rating.astype(np.float64)
    rated = np.isfinite(rating)
    if rated.any():
        limit = highest_rating(rating[rated])
        odd = np.abs(rating) > limit
        if odd.any():
            notes.add("odd_ratings", n=int(odd.sum()), limit=f"{limit:g}")
            rating[odd] = np.nan
            rated &= ~odd
    if rated.sum() >= MIN_RATED and np.ptp(rating[rated]) > 0:
        return rating, "rating"
    if rated.sum() >= MIN_RATED:
        notes.add("constant_rating", value=f"{float(rating[rated][0]):g}")
    elif rated.any():
        notes.add("few_ratings", n=int(rated.sum()))
    overall = np.where(scored.overall >= 0, scored.overall - 1.0, np.nan)
    known = overall[np.isfinite(overall)]
    return overall, "overall" if len(known) >= MIN_RATED and np.ptp(known) > 0 else None


def build_priorities(work: Work, performance: Performance) -> Priorities:
    """Question 2; whatever cannot be answered is a note and an empty list."""
    quotes = {row.key: row.quotes for row in performance.dimensions}
    found, rows = _impact(work)
    exploratory = found is not None and work.outcome_kind == "overall"
    if exploratory:
        work.notes.add("exploratory")
    points, cross_x, cross_y = priorities.importance_performance(
        performance.dimensions, rows, performance.overall.index.value
    )
    benchmark, fixes = _fix_first(work, performance)
    if not fixes:
        work.notes.add("unranked" if performance.overall.negative > 0.5 else "no_negatives")
    elif benchmark == "halved":
        work.notes.add("halved")
    return Priorities(
        "rating" if work.outcome_kind == "rating" else "overall" if found else None,
        exploratory,
        found.low if found else None,
        found.high if found else None,
        found.r2 if found else None,
        found.n if found else 0,
        [replace(row, quotes=quotes[row.key]) for row in rows],
        cross_x,
        cross_y,
        [replace(point, quotes=quotes[point.key]) for point in points],
        benchmark,
        fixes,
    )


def _impact(work: Work) -> tuple[impact.Impact | None, list[ImpactRow]]:
    if work.outcome_kind is None:
        work.notes.add("no_outcome")
        return None, []
    known = np.isfinite(work.outcome)
    every = bool(known.all())
    found = impact.fit_impact(
        work.scored.probabilities if every else work.scored.probabilities[known],
        work.outcome if every else work.outcome[known],
        work.units.select(known),
        work.weight,
    )
    if found is None:
        work.notes.add("too_few_for_impact")
        return None, []
    return found, impact.impact_rows(found, list(work.scored.taxonomy.keys), work.service)


def _fix_first(work: Work, performance: Performance) -> tuple[Literal["best_quarter", "halved"] | None, list[FixRow]]:
    if performance.overall.index.value is None:
        return None, []
    scored, keys = work.scored, work.scored.taxonomy.keys
    known = scored.cinema >= 0
    size = len(scored.cinemas)
    texts = np.bincount(scored.cinema[known], minlength=size).astype(np.float64)
    negative, square = np.zeros((size, len(keys))), np.zeros((size, len(keys)))
    for d in work.service:
        p = scored.probabilities[known, d, 0].astype(np.float64)
        negative[:, d] = np.bincount(scored.cinema[known], p, size)
        square[:, d] = np.bincount(scored.cinema[known], p * p, size)
    rates = [row.negative_share for row in performance.dimensions]
    among = known & priorities.compared(texts)[scored.cinema] if size else known
    if among.any() and not among.all():
        rates = _rates(work, among)
    benchmark, gains = priorities.fix_first(work.sums, work.service, rates, negative, square, texts, work.rng)
    quotes = {row.key: row.quotes for row in performance.dimensions}
    rows = [
        FixRow(rank, keys[g.dimension], g.gain, g.rate, g.target, g.avoided, quotes[keys[g.dimension]])
        for rank, g in enumerate(gains, 1)
    ]
    return benchmark if rows else None, rows


def _rates(work: Work, among: NDArray[np.bool_]) -> list[Figure]:
    """Percent of some of the texts that have a negative mention, by service dimension."""
    sums = index.tally(work.scored.probabilities[among], work.units.select(among), work.weight)
    return [
        index.text_share(
            float(sums.mentions[d, 0]), sums.replicates[:, d, 0], sums.texts, sums.replicate_texts, sums.units
        )
        for d in work.service
    ]
