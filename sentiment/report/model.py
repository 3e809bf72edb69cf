"""The finished report, as it goes to JSON, page and workbook: plain frozen dataclasses, nothing left to compute.

The answers are in a module each (`standing`, `ranking`, `progress`, `duties`, `sayings`), their conventions in
`figures`; all of them can be had from here. The sentences of the first screen are made of these figures by what draws.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Literal

from sentiment.report.duties import Action, FailureRow, OwnerRow, RepeatRow, ShareRow, Silent
from sentiment.report.figures import Figure, Label, Lang, Note, Question, Sentiment
from sentiment.report.progress import (
    ChangePoint,
    Changes,
    CinemaChange,
    Comparison,
    ComparisonRow,
    League,
    LeagueRow,
    Trend,
    TrendSeries,
)
from sentiment.report.ranking import FixRow, ImpactRow, IpaPoint, Kano, Priorities, Quadrant
from sentiment.report.sayings import (
    Cell,
    MentionMark,
    Phrase,
    PhraseSet,
    Quote,
    QuoteList,
    RowColumn,
    Rows,
    Topic,
    Voices,
)
from sentiment.report.standing import IndexRow, Ledger, LedgerLine, Lens, Lenses, Performance

SCHEMA = 1
__all__ = [
    "SCHEMA", "Action", "Cell", "ChangePoint", "Changes", "CinemaChange", "Columns", "Comparison",
    "ComparisonRow", "DimensionInfo", "FailureRow", "Figure", "FixRow", "ImpactRow", "IndexRow", "InputFile",
    "IpaPoint", "Kano", "Label", "Lang", "League", "LeagueRow", "Ledger", "LedgerLine", "Lens", "Lenses",
    "MentionMark", "Meta", "Note", "OwnerRow", "Performance", "Phrase", "PhraseSet", "Priorities", "Quadrant",
    "Question", "Quote", "QuoteList", "RepeatRow", "Report", "RowColumn", "Rows", "Sentiment", "ShareRow",
    "Silent", "Topic", "Trend", "TrendSeries", "Voices", "to_plain",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class DimensionInfo:
    """A dimension of the taxonomy; `service` is False for the film, which is shown apart."""

    key: str
    zh: str
    en: str
    service: bool
    group: str
    stage: str
    form: str
    quality: str
    ledger: str
    servqual: str
    owner: str


@dataclass(frozen=True, slots=True)
class InputFile:
    """One input file: `rows` read, `rejected` broken in the file, `scored_here` if it had to be scored first."""

    name: str
    rows: int
    rejected: int
    scored_here: bool


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column of the input was used for what; None: there is none."""

    text: str | None
    id: str | None
    date: str | None
    cinema: str | None
    rating: str | None
    customer: str | None
    reply: str | None


@dataclass(frozen=True, slots=True)
class Meta:
    """Where the figures come from.

    `basis`: "probabilities" where all rows have them, else "counts" of labels. `interval_unit`: what the bootstrap
    resamples. `as_of`: the day from which "days since" counts. `texts` are the rows with status ok.
    """

    schema: int
    version: str
    models: list[str]
    lang: Lang
    inputs: list[InputFile]
    rows: int
    texts: int
    empty: int
    not_chinese: int
    service_texts: int
    cinemas: int
    first: str | None
    last: str | None
    as_of: str | None
    columns: Columns
    basis: Literal["probabilities", "counts"]
    interval_unit: Literal["texts", "cinemas"]
    level: float
    replicates: int
    seed: int


@dataclass(frozen=True, slots=True)
class Report:
    """Everything. `labels`: names of lens values, by value. `notes`: all that cannot be answered, and why."""

    meta: Meta
    dimensions: list[DimensionInfo]
    labels: dict[str, Label]
    notes: list[Note]
    performance: Performance
    priorities: Priorities
    changes: Changes
    action: Action
    lenses: Lenses
    voices: Voices


def to_plain(value: Any) -> Any:
    """Dataclasses as dictionaries, at every depth: what JSON holds. `dataclasses.asdict` without its deep copies."""
    if is_dataclass(value):
        return {field.name: to_plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {key: to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    return value
