"""Answers 1 and 5: how dimensions, groups and lenses are doing, and the customer-value ledger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sentiment.report.figures import Figure


@dataclass(frozen=True, slots=True)
class IndexRow:
    """How one dimension, group, lens value or everything is doing.

    `index`: service evaluation index 0–100. `mention_share`: percent of texts that mention it. `net`: (positive −
    negative) / mentions, −100…100. `negative_share`: percent of all texts with a negative mention (`fix_first` has
    that of the cinemas compared); where several dimensions are taken together: of any of them. `positive`, `neutral`,
    `negative`: expected mentions.
    """

    key: str
    zh: str
    en: str
    index: Figure
    mention_share: Figure
    net: Figure
    negative_share: Figure
    positive: float
    neutral: float
    negative: float
    quotes: str | None = None


@dataclass(frozen=True, slots=True)
class Performance:
    """1. How are we doing? `overall` and `groups` leave the film out; `film` is None where the taxonomy has none.
    `sentiment` is the share of texts by their overall sentiment: positive, neutral, negative; `sentiment_quotes` the
    texts, by the same names."""

    overall: IndexRow
    groups: list[IndexRow]
    dimensions: list[IndexRow]
    film: IndexRow | None
    sentiment: dict[str, Figure]
    sentiment_quotes: dict[str, str]


@dataclass(frozen=True, slots=True)
class Lens:
    """One way to group the service dimensions: group, stage, form, quality, servqual, owner; `rows` in the taxonomy's
    order, their `key` the lens value."""

    lens: str
    zh: str
    en: str
    rows: list[IndexRow]


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """A line of the customer-value ledger. Value lines: (positive − negative) mentions per 100 texts; cost lines:
    (negative − positive) per 100 texts, so a cost that people praise is negative."""

    line: str
    zh: str
    en: str
    side: Literal["value", "cost"]
    amount: Figure
    dimensions: list[str]
    quotes: str | None = None


@dataclass(frozen=True, slots=True)
class Ledger:
    """`balance` = `value` − `cost`, all per 100 texts, without the film, whose own amount is `film`.
    `quotes`: keys by value, cost, balance, apart (the film)."""

    lines: list[LedgerLine]
    value: Figure
    cost: Figure
    balance: Figure
    film: Figure | None
    quotes: dict[str, str]


@dataclass(frozen=True, slots=True)
class Lenses:
    """5. Through whose eyes?"""

    lenses: list[Lens]
    ledger: Ledger
