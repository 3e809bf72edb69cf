"""What every answer of the report is made of: a figure with its interval, a note, a name in both languages.

Conventions, everywhere:

- A number that is an estimate is a `Figure`: value, 95% interval, and the n it rests on. Where it cannot be given,
  `value` is None and `reason` is the `code` of one of `Report.notes`. There is never a NaN.
- Shares are percent (0–100), the index is 0–100, net sentiment −100…100, p and q are probabilities.
- Dates are ISO text (`2026-03-01`). Dimensions are named by key; `Report.dimensions` has their names and lenses.
- Whatever has texts behind it carries `quotes`, a key into `Voices.quotes` (None where there are none). A key that ends
  in `/negative`, `/neutral` or `/positive` is one of up to three: the lists of the other sentiments stand beside it.
- Notes and labels carry both languages; `Meta.lang` is what the user asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Lang = Literal["zh", "en"]
Sentiment = Literal["positive", "neutral", "negative"]
Question = Literal["input", "performance", "priorities", "changes", "action", "lenses", "voices"]


@dataclass(frozen=True, slots=True)
class Figure:
    """An estimate with its 95% interval. `n` counts what it rests on: mentions (expected ones, from probabilities) for
    an index or net sentiment, texts for a share, ratings for a regression. `low` and `high` may be None on their own:
    then the interval cannot be given and `reason` says why."""

    value: float | None
    low: float | None = None
    high: float | None = None
    n: float = 0.0
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """What the report cannot answer, or answers with a caveat, and why; in both languages, without review text."""

    code: str
    question: Question
    level: Literal["cannot", "caution", "info"]
    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Label:
    """A name in both languages: of a lens value, a group, an owner."""

    zh: str
    en: str
