"""Answer 6: quoted texts, phrases and topics; and every scored row, for the workbook and the file beside the page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from sentiment.report.figures import Figure, Sentiment

Cell = str | float | int | bool | None


@dataclass(frozen=True, slots=True)
class MentionMark:
    """A mention in a quoted text: `text[start:end]` is the evidence; None where the input has none or it is not
    found."""

    dimension: str
    sentiment: Sentiment
    confidence: float | None
    start: int | None
    end: int | None


@dataclass(frozen=True, slots=True)
class Quote:
    """A text as the input has it (cut at 1,000 characters: `cut`), with what is known of it. `row` counts from 1 in its
    `source`."""

    id: str
    source: str
    row: int
    text: str
    cut: bool
    date: str | None
    cinema: str | None
    rating: float | None
    overall: Sentiment | None
    intent: str | None
    escalation: bool
    owner: str | None
    days: int | None
    replied: bool | None
    mentions: list[MentionMark]


@dataclass(frozen=True, slots=True)
class QuoteList:
    """Texts behind a number, the most telling first: positions in `Voices.texts`; `total` is the n of "20 of n"."""

    texts: list[int]
    total: int


@dataclass(frozen=True, slots=True)
class Phrase:
    """A word or two-word phrase; its log-odds (positive: more on its own side) with their normal interval, n the texts
    that hold it, and their `z`; how many texts of each set hold it."""

    words: str
    z: float
    log_odds: Figure
    negative: int
    positive: int
    quotes: str | None = None


@dataclass(frozen=True, slots=True)
class PhraseSet:
    """Phrases that set negative from positive apart: of whole texts (`key` "overall") or of a dimension's evidence.
    `negative_texts`, `positive_texts`: how many were read (a random sample where there are many); `negative_found`,
    `positive_found`: how many words pass the same test, of which the lists have the surest."""

    key: str
    negative_texts: int
    positive_texts: int
    negative: list[Phrase]
    positive: list[Phrase]
    negative_found: int = 0
    positive_found: int = 0


@dataclass(frozen=True, slots=True)
class Topic:
    """Words of texts that no dimension covers. `kind`: "rising" if more frequent in the last quarter of the time
    than before, "new" if not seen before, "uncovered" without dates. `share`: percent of those uncovered texts (of the
    last quarter) that hold it; `before`: percent of the earlier ones."""

    words: str
    kind: Literal["new", "rising", "uncovered"]
    texts: int
    z: float
    share: Figure
    before: Figure
    first: str | None
    quotes: str | None = None


@dataclass(frozen=True, slots=True)
class Voices:
    """6. What do they say? `quotes` by key, such as `dimension/seating/negative`, `cinema/NAME`, `urgent`,
    `owner/工程`, `failure/parking`, `silent`, `topic/WORDS`. `uncovered`: texts without any mention. `topics_found`:
    how many words pass the test of `topics`, of which these are the surest."""

    texts: list[Quote]
    quotes: dict[str, QuoteList]
    phrases: list[PhraseSet]
    topics: list[Topic]
    uncovered: Figure
    uncovered_quotes: str | None = None
    topics_found: int = 0


@dataclass(frozen=True, slots=True)
class RowColumn:
    """A column of `Rows`: `key` is stable, the names are headers; `kind` says how to format it."""

    key: str
    zh: str
    en: str
    kind: Literal["text", "number", "date", "label", "flag"]


class Rows(Protocol):
    """Every scored row, streamed: cells in the order of `columns`; labels are the stable English ones, dates ISO."""

    @property
    def columns(self) -> Sequence[RowColumn]: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[tuple[Cell, ...]]: ...
