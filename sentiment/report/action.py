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


@dataclass(frozen=True)
class Facts:
    """What the questions share, by text. `owner`: position in `owners` of the department that answers first (首问负责),
    −1 where nothing negative is said; `first_confidence`: of the mention that decides it. `days`: back from
    `as_of`, NaN without date or after it."""

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
        days[days < 0] = np.nan
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


def repeat_rows(scored: Scored, found: Facts, quotes: Quotes) -> list[RepeatRow]:
    """Customers with two or more texts that complain or are dissatisfied, none of which was replied to; those first who
    called for escalation, then who complained most, wrote most, wait longest. Texts of a file without a reply column
    do not count: nobody knows whether they were."""
    known = (scored.customer >= 0) & (scored.replied >= 0)
    bad = np.flatnonzero((found.complaint | found.dissatisfied) & known)
    size = len(scored.customers)
    of = scored.customer[bad]
    count = np.bincount(of, minlength=size)
    complaints = np.bincount(of, found.complaint[bad], size)
    escalations = np.bincount(of, scored.escalation[bad], size)
    replied = np.bincount(of, scored.replied[bad] == 1, size)
    waiting = np.zeros(size)
    np.maximum.at(waiting, of, np.nan_to_num(found.days[bad]))
    repeated = np.flatnonzero((count >= 2) & (replied == 0))
    order = np.lexsort((-waiting[repeated], -count[repeated], -complaints[repeated], -escalations[repeated]))
    by_customer = bad[np.argsort(of, kind="stable")]
    ends = np.cumsum(count)
    rows = []
    for customer in repeated[order].tolist():
        mine = by_customer[ends[customer] - count[customer] : ends[customer]]
        dates = scored.date[mine]
        dates = dates[~np.isnat(dates)]
        name = scored.customers[customer]
        weight = 1.0 + found.complaint[mine] + 2.0 * scored.escalation[mine]
        rows.append(
            RepeatRow(
                name, len(mine), int(complaints[customer]), int(escalations[customer]),
                str(dates.min()) if len(dates) else None, str(dates.max()) if len(dates) else None,
                int(waiting[customer]) if np.isfinite(found.days[mine]).any() else None,
                list(dict.fromkeys(found.owners[o] for o in found.owner[mine].tolist() if o >= 0)),
                quotes.add(f"customer/{name}", mine, weight),
            )
        )  # fmt: skip
    return rows


def failure_rows(
    scored: Scored, found: Facts, outcome: Floats, at_most: float, service: list[int], quotes: Quotes
) -> tuple[list[FailureRow], str | None]:
    """100 − 1 = 0: texts that fault exactly one service dimension, are neutral on none and praise at least one other
    dimension; how many of them have an outcome of `at_most`, against texts that only praise, whose quotes key comes
    second. Shares with Wilson's intervals. `outcome` is NaN where unknown; such texts are left out."""
    rated = np.isfinite(outcome)
    negative = (scored.labels == NEGATIVE).sum(1)
    praised = (scored.labels == POSITIVE).any(1) & ~(scored.labels == NEUTRAL).any(1)
    only_praise = np.flatnonzero(rated & praised & (negative == 0))
    low = outcome <= at_most
    baseline = share_figure(float(low[only_praise].sum()), len(only_praise))
    rows = []
    for d in service:
        mine = np.flatnonzero(rated & praised & (negative == 1) & (scored.labels[:, d] == NEGATIVE))
        if len(mine) == 0:
            continue
        lowest = low[mine]
        key = quotes.add(f"failure/{scored.taxonomy.keys[d]}", mine, found.first_confidence[mine] + 2.0 * lowest + 0.01)
        share = share_figure(float(lowest.sum()), len(mine))
        rows.append(FailureRow(scored.taxonomy.keys[d], len(mine), int(lowest.sum()), share, baseline, key))
    key = quotes.add("only_praise", only_praise, np.ones(len(only_praise))) if rows else None
    return sorted(rows, key=lambda row: (-row.lowest, -row.texts)), key


def silent_dissatisfaction(scored: Scored, found: Facts, service: list[int], texts: int, quotes: Quotes) -> Silent:
    """非投诉型抱怨: negative on service, but neither complaint nor escalation. Shares with Wilson's intervals."""
    speaking = found.dissatisfied & (found.complaint | scored.escalation)
    quiet = found.dissatisfied & ~speaking
    rows, loud = np.flatnonzero(quiet), np.flatnonzero(speaking)
    total, silent = int(found.dissatisfied.sum()), len(rows)

    def quoted(key: str, chosen: NDArray[np.intp]) -> str | None:
        return quotes.add(key, chosen, found.first_confidence[chosen] + 0.01)

    topics = []
    for d in service:
        mine = rows[scored.labels[rows, d] == NEGATIVE]
        if len(mine):
            name = scored.taxonomy.keys[d]
            topics.append(ShareRow(name, len(mine), share_figure(len(mine), silent), quoted(f"silent/{name}", mine)))
    size = len(scored.cinemas)
    of_all = np.bincount(scored.cinema[found.dissatisfied & (scored.cinema >= 0)], minlength=size)
    known = rows[scored.cinema[rows] >= 0]
    by_cinema = known[np.argsort(scored.cinema[known], kind="stable")]
    of_quiet = np.bincount(scored.cinema[known], minlength=size)
    ends = np.cumsum(of_quiet)
    cinemas = []
    for c in np.argsort(-of_quiet, kind="stable").tolist():
        mine = by_cinema[ends[c] - of_quiet[c] : ends[c]]
        if len(mine):
            name = scored.cinemas[c]
            share = share_figure(len(mine), float(of_all[c]))
            cinemas.append(ShareRow(name, len(mine), share, quoted(f"silent/cinema/{name}", mine)))
    return Silent(
        total, silent, len(loud),
        share_figure(silent, texts),
        share_figure(len(loud), total, reason="none_dissatisfied"),
        sorted(topics, key=lambda row: -row.texts),
        cinemas,
        quoted("silent", rows),
        quoted("complaining", loud),
    )  # fmt: skip
