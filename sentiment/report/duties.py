"""Answer 4: who has to act on what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sentiment.report.figures import Figure


@dataclass(frozen=True, slots=True)
class OwnerRow:
    """Complaints that a department answers first (the owner of the surest negative mention). Escalations are counted
    among all texts of that owner, complaint or not. Days from `Meta.as_of` back to the texts, later ones left out; None
    without dates. `unanswered`: complaints without a reply; None without such a column."""

    owner: str
    complaints: int
    escalations: int
    unanswered: int | None
    median_days: float | None
    oldest_days: int | None
    dimensions: list[str]
    quotes: str | None = None


@dataclass(frozen=True, slots=True)
class RepeatRow:
    """A customer who was dissatisfied or complained more than once and got no reply to any of it. Of the `texts`,
    `complaints` complain and `escalations` call for escalation."""

    customer: str
    texts: int
    complaints: int
    escalations: int
    first: str | None
    last: str | None
    days: int | None
    owners: list[str]
    quotes: str | None = None


@dataclass(frozen=True, slots=True)
class FailureRow:
    """100 − 1 = 0: texts that fault only this dimension and praise at least one other. `lowest`: how many of them come
    with a rating in the lowest quarter of the scale, `share` the percent; `baseline`: the percent among texts that only
    praise. Most frequent first. `quotes`: the texts, those with the lowest ratings first."""

    key: str
    texts: int
    lowest: int
    share: Figure
    baseline: Figure
    quotes: str | None = None


@dataclass(frozen=True, slots=True)
class ShareRow:
    """A share (percent) of a dimension (`name` its key) or a cinema (`name` its name); `texts` in the numerator."""

    name: str
    texts: int
    share: Figure
    quotes: str | None = None


@dataclass(frozen=True, slots=True)
class Silent:
    """Silent dissatisfaction: negative on service, yet not complaining. `share`: percent of all texts.
    `complaint_ratio`: percent of the dissatisfied who complain. `dimensions`: what they are silent about, percent of
    the silent texts; `cinemas`: where, percent of each cinema's dissatisfied texts that are silent, most texts first.
    """

    dissatisfied: int
    silent: int
    complaining: int
    share: Figure
    complaint_ratio: Figure
    dimensions: list[ShareRow]
    cinemas: list[ShareRow]
    quotes: str | None = None
    complaining_quotes: str | None = None


@dataclass(frozen=True, slots=True)
class Action:
    """4. Who must act? `urgent`: quotes key of the most urgent escalations (≤ 200). `repeats` is None where customer
    or reply column is missing; else all of them, those with most escalations first, then most complaints, most texts,
    longest wait. `failure_outcome`: what "lowest" is judged by;
    `only_praise`: quotes key of the texts that failures are compared with."""

    owners: list[OwnerRow]
    complaints: int
    escalations: int
    urgent: str | None
    repeats: list[RepeatRow] | None
    failures: list[FailureRow]
    failure_outcome: Literal["rating", "overall"] | None
    failure_at_most: float | None
    only_praise: str | None
    silent: Silent | None
