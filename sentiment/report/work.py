"""What the six questions share while a report is put together."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sentiment.report.action import Facts
from sentiment.report.index import AnySums, Sums, any_sums
from sentiment.report.intervals import Floats, Units
from sentiment.report.mention_quotes import MentionQuotes
from sentiment.report.model import Label, Lang
from sentiment.report.notes import Notes
from sentiment.report.quotes import Quotes
from sentiment.report.scored import Scored

REPLICATES = 1000


@dataclass(frozen=True)
class ReportOptions:
    """What the user asked for: language of page and workbook, seed, comparisons, the day from which days are counted
    (default: the last date in the data, so that the same input gives the same report), the periods of the trend
    (default: by the time that the dates span)."""

    lang: Lang = "zh"
    seed: int = 1
    replicates: int = REPLICATES
    since: dt.date | None = None
    by: str | None = None
    as_of: dt.date | None = None
    period: Literal["week", "month"] | None = None


@dataclass(frozen=True)
class Work:
    """What the questions share: the readable texts, resampling units and weights, sums, facts, quotes, notes,
    names of lens values."""

    scored: Scored
    service: list[int]
    film: list[int]
    units: Units
    weight: Floats
    sums: Sums
    facts: Facts
    quotes: Quotes
    mentions: MentionQuotes
    notes: Notes
    outcome: Floats
    outcome_kind: Literal["rating", "overall"] | None
    names: dict[str, Label]
    options: ReportOptions
    roles: dict[str, str | None]
    rng: np.random.Generator

    def any_of(self, chosen: list[int]) -> AnySums:
        """Texts with a mention of any of these dimensions."""
        return any_sums(self.scored.probabilities, chosen, self.units, self.weight)
