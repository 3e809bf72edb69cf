"""4. Who must act? Complaints by owner, repeats unanswered, single failures, silent dissatisfaction.

These count texts by the labels of their records, not by probabilities: each is a text that somebody has to read.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sentiment.report.intervals import Floats, share_figure
from sentiment.report.model import FailureRow, OwnerRow, RepeatRow, ShareRow, Silent
from sentiment.report.quotes import Quotes
from sentiment.report.scored import NEGATIVE, NEUTRAL, POSITIVE, Scored

UNASSIGNED = "unassigned"
MOST_REPEATS = 100
MOST_CINEMAS = 50
_QUOTED_REPEATS = 20


@dataclass(frozen=True)
class Facts:
    """What the questions share, by text. `owner`: position in `owners` of the department that answers first (首问负责),
    −1 where nothing negative is said; `first_confidence`: of the mention that decides it. `days`: back from
    `as_of`, NaN without date."""

    owner: NDArray[np.int16]
    owners: list[str]
    first_dimension: NDArray[np.int8]
    first_confidence: NDArray[np.float32]
    dissatisfied: NDArray[np.bool_]
    complaint: NDArray[np.bool_]
    days: Floats


def facts(scored: Scored, service: list[int], as_of: np.datetime64 | None) -> Facts:
    """The first owner is that of the surest negative mention; a complaint that faults nothing in particular is
    `UNASSIGNED`. Dissatisfied: a negative service mention."""
    size, taxonomy = len(scored), scored.taxonomy
    first = np.full(size, -1, np.int8)
    sure = np.zeros(size, np.float32)
    m = scored.mentions
    negative = np.flatnonzero(scored.labels[m.row, m.dimension] == NEGATIVE) if len(m.row) else np.zeros(0, np.intp)
    order = negative[np.lexsort((m.confidence[negative], m.row[negative]))]  # the surest of a row comes last and stays
    first[m.row[order]] = m.dimension[order]
    sure[m.row[order]] = m.confidence[order]
    owners = list(dict.fromkeys([d.owner or UNASSIGNED for d in taxonomy.dimensions] + [UNASSIGNED]))
    of_dimension = np.array([owners.index(d.owner or UNASSIGNED) for d in taxonomy.dimensions] + [-1], np.int16)
    owner = of_dimension[first]
    complaint = _intent(scored, "complaint")
    owner[(owner < 0) & (complaint | scored.escalation)] = owners.index(UNASSIGNED)
    dissatisfied = (scored.labels[:, service] == NEGATIVE).any(1)
    days = np.full(size, np.nan)
    if as_of is not None:
        known = ~np.isnat(scored.date)
        days[known] = (as_of - scored.date[known]).astype(np.int64)
    return Facts(owner, owners, first, sure, dissatisfied, complaint, days)


def _intent(scored: Scored, label: str) -> NDArray[np.bool_]:
    intents = scored.taxonomy.intents
    found: NDArray[np.bool_] = scored.intent == (intents.index(label) if label in intents else -2)
    return found


def owner_rows(scored: Scored, found: Facts, quotes: Quotes, *, replies: bool) -> list[OwnerRow]:
    """A row for each department with complaints or escalations, those with most escalations first."""
    rows = []
    act = found.complaint | scored.escalation
    for number, owner in enumerate(found.owners):
        mine = np.flatnonzero((found.owner == number) & act)
        if len(mine) == 0:
            continue
        complaints = mine[found.complaint[mine]]
        days = found.days[complaints if len(complaints) else mine]
        days = days[np.isfinite(days)]
        named = np.bincount(found.first_dimension[mine][found.first_dimension[mine] >= 0], minlength=1)
        urgency = scored.urgency[mine] + scored.escalation[mine] + found.first_confidence[mine] / 2
        rows.append(
            OwnerRow(
                owner,
                len(complaints),
                int(scored.escalation[mine].sum()),
                int((scored.replied[complaints] == 0).sum()) if replies else None,
                float(np.median(days)) if len(days) else None,
                int(days.max()) if len(days) else None,
                [scored.taxonomy.keys[d] for d in np.argsort(-named, kind="stable") if named[d] > 0],
                quotes.add(f"owner/{owner}", mine, urgency),
            )
        )
    return sorted(rows, key=lambda row: (-row.escalations, -row.complaints))


def repeat_rows(scored: Scored, found: Facts, quotes: Quotes) -> tuple[list[RepeatRow], int]:
    """Customers with two or more texts that complain or are dissatisfied, none of which was replied to: those with most
    texts, and how many there are in all."""
    bad = (found.complaint | found.dissatisfied) & (scored.customer >= 0)
    size = len(scored.customers)
    count = np.bincount(scored.customer[bad], minlength=size)
    replied = np.bincount(scored.customer[bad], scored.replied[bad] == 1, size)
    repeated = np.flatnonzero((count >= 2) & (replied == 0))
    chosen = repeated[np.argsort(-count[repeated], kind="stable")[:MOST_REPEATS]]
    of = np.flatnonzero(bad & np.isin(scored.customer, chosen))
    rows = []
    for place, customer in enumerate(chosen.tolist()):
        mine = of[scored.customer[of] == customer]
        dates = scored.date[mine]
        dates = dates[~np.isnat(dates)]
        days = found.days[mine][np.isfinite(found.days[mine])]
        key = None
        if place < _QUOTED_REPEATS:
            key = quotes.add(f"customer/{scored.customers[customer]}", mine, np.ones(len(mine)))
        rows.append(
            RepeatRow(
                scored.customers[customer], len(mine),
                str(dates.min()) if len(dates) else None, str(dates.max()) if len(dates) else None,
                int(days.max()) if len(days) else None,
                list(dict.fromkeys(found.owners[o] for o in found.owner[mine].tolist() if o >= 0)),
                key,
            )
        )  # fmt: skip
    return rows, len(repeated)


def failure_rows(
    scored: Scored, found: Facts, outcome: Floats, at_most: float, service: list[int], quotes: Quotes
) -> list[FailureRow]:
    """100 − 1 = 0: texts that fault exactly one service dimension, are neutral on none and praise at least one other
    dimension; how many of them have an outcome of `at_most`, against texts that only praise. Shares with Wilson's
    intervals. `outcome` is NaN where unknown; such texts are left out."""
    rated = np.isfinite(outcome)
    negative = (scored.labels == NEGATIVE).sum(1)
    praised = (scored.labels == POSITIVE).any(1) & ~(scored.labels == NEUTRAL).any(1)
    only_praise = rated & praised & (negative == 0)
    low = outcome <= at_most
    baseline = share_figure(float((low & only_praise).sum()), float(only_praise.sum()))
    rows = []
    for d in service:
        mine = np.flatnonzero(rated & praised & (negative == 1) & (scored.labels[:, d] == NEGATIVE))
        if len(mine) == 0:
            continue
        lowest = mine[low[mine]]
        key = quotes.add(f"failure/{scored.taxonomy.keys[d]}", lowest, found.first_confidence[lowest] + 0.01)
        share = share_figure(len(lowest), len(mine))
        rows.append(FailureRow(scored.taxonomy.keys[d], len(mine), len(lowest), share, baseline, key))
    return sorted(rows, key=lambda row: (-row.lowest, -row.texts))


def silent_dissatisfaction(scored: Scored, found: Facts, service: list[int], texts: int, quotes: Quotes) -> Silent:
    """非投诉型抱怨: negative on service, but neither complaint nor escalation. Shares with Wilson's intervals."""
    speaking = found.dissatisfied & (found.complaint | scored.escalation)
    quiet = found.dissatisfied & ~speaking
    rows = np.flatnonzero(quiet)
    total, silent, complaining = int(found.dissatisfied.sum()), len(rows), int(speaking.sum())
    topics = []
    for d in service:
        count = int((scored.labels[rows, d] == NEGATIVE).sum())
        if count:
            topics.append(ShareRow(scored.taxonomy.keys[d], count, share_figure(count, silent)))
    size = len(scored.cinemas)
    known = scored.cinema >= 0
    of_all = np.bincount(scored.cinema[found.dissatisfied & known], minlength=size)
    of_quiet = np.bincount(scored.cinema[quiet & known], minlength=size)
    cinemas = [
        ShareRow(scored.cinemas[c], int(of_quiet[c]), share_figure(float(of_quiet[c]), float(of_all[c])))
        for c in np.argsort(-of_quiet, kind="stable")[:MOST_CINEMAS].tolist()
        if of_quiet[c]
    ]
    return Silent(
        total, silent, complaining,
        share_figure(silent, texts),
        share_figure(complaining, total, reason="none_dissatisfied"),
        sorted(topics, key=lambda row: -row.texts),
        cinemas,
        quotes.add("silent", rows, found.first_confidence[rows] + 0.01),
    )  # fmt: skip
