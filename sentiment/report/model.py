"""The finished report, as it goes to JSON, page and workbook: plain frozen dataclasses, nothing left to compute.

Conventions, everywhere:

- A number that is an estimate is a `Figure`: value, 95% interval, and the n it rests on. Where it cannot be given,
  `value` is None and `reason` is the `code` of one of `Report.notes`. There is never a NaN.
- Shares are percent (0–100), the index is 0–100, net sentiment −100…100, p and q are probabilities.
- Dates are ISO text (`2026-03-01`). Dimensions are named by key; `Report.dimensions` has their names and lenses.
- Whatever has texts behind it carries `quotes`, a key into `Voices.quotes` (None where there are none).
- Notes and labels carry both languages; `Meta.lang` is what the user asked for.

What draws has these entry points, which `sentiment/cli/report.py` calls:

    sentiment.report.page.write_page(report: Report, output: Path, *, rows: Rows | None) -> None
    sentiment.report.workbook.write_workbook(report: Report, output: Path, *, rows: Rows) -> None

`rows` streams every scored row (`--rows` writes them beside the page; the workbook always has them).
The three sentences of the page's first screen are made by what draws, from these figures.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Literal, Protocol

SCHEMA = 1

Lang = Literal["zh", "en"]
Sentiment = Literal["positive", "neutral", "negative"]
Kano = Literal["basic", "performance", "excitement", "indifferent", "inconclusive"]
Quadrant = Literal["concentrate", "keep", "low_priority", "overkill"]
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
class IndexRow:
    """How one dimension, group, lens value or everything is doing.

    `index`: service evaluation index 0–100. `mention_share`: percent of texts that mention it. `net`: (positive −
    negative) / mentions, −100…100. `negative_share`: percent of all texts with a negative mention (the complaint rate
    of `fix_first`); where several dimensions are taken together: of any of them. `positive`,
    `neutral`, `negative`: expected mentions.
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
    `sentiment` is the share of texts by their overall sentiment: positive, neutral, negative."""

    overall: IndexRow
    groups: list[IndexRow]
    dimensions: list[IndexRow]
    film: IndexRow | None
    sentiment: dict[str, Figure]


@dataclass(frozen=True, slots=True)
class ImpactRow:
    """Impact asymmetry of a dimension, in units of the rating.

    `penalty` ≥ 0 is how much a negative mention lowers the rating, `reward` ≥ 0 how much a positive one lifts it;
    `range` = reward + penalty (RIOCS); `asymmetry` = (reward − penalty) / range, −1…1 (IA). `kano` is the class;
    `leaning` the class of the estimate itself, also where `kano` is "inconclusive"; `stability` the percent of
    bootstrap samples in that class. `negative`, `positive`: mentions among the rated texts.
    """

    key: str
    penalty: Figure
    reward: Figure
    range: Figure
    asymmetry: Figure
    kano: Kano
    leaning: Kano
    stability: float | None
    negative: float
    positive: float
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class IpaPoint:
    """Importance (`range` of the impact, in units of the rating) against performance (the index)."""

    key: str
    performance: Figure
    importance: Figure
    quadrant: Quadrant | None


@dataclass(frozen=True, slots=True)
class FixRow:
    """One line of "fix this first". `gain`: points by which the overall index would rise if in every cinema the
    complaint rate of this dimension fell to `target` (percent of texts). `rate`: that rate today. `avoided`: negative
    mentions that would go."""

    rank: int
    key: str
    gain: Figure
    rate: Figure
    target: float
    avoided: float
    quotes: str | None = None


@dataclass(frozen=True, slots=True)
class Priorities:
    """2. What to fix first? `outcome`: what was regressed on; `exploratory` if it is `overall`, a judgement of the same
    text. `outcome_low`/`high`: its observed range; `r2` its explained share, 0–1. The cross-hairs are the overall index
    and the mean range. `benchmark`: what `fix_first` compares with: the best quarter of cinemas, or, where there are
    fewer than four, half of today's complaint rate. Lists are empty where a note says why."""

    outcome: Literal["rating", "overall"] | None
    exploratory: bool
    outcome_low: float | None
    outcome_high: float | None
    r2: float | None
    n: int
    impact: list[ImpactRow]
    crosshair_performance: float | None
    crosshair_importance: float | None
    importance_performance: list[IpaPoint]
    benchmark: Literal["best_quarter", "halved"] | None
    fix_first: list[FixRow]


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """One dimension (`key` "service": all together) in two groups. `difference`: after − before in index points;
    `effect`: the same in pooled standard deviations of the mentions (Hedges' g); `negative_difference`: change of the
    percent of texts with a negative mention. `q`: p after Benjamini–Hochberg over the table; `significant`: q ≤ 0.05.
    """

    key: str
    before: Figure
    after: Figure
    difference: Figure
    effect: Figure
    negative_difference: Figure
    p: float | None
    q: float | None
    significant: bool


@dataclass(frozen=True, slots=True)
class CinemaChange:
    """One dimension of one cinema before and after; only those with enough mentions, surest first."""

    cinema: str
    key: str
    before: Figure
    after: Figure
    difference: Figure
    p: float
    q: float
    significant: bool
    quotes: str | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two sets of texts side by side. `kind`: `since` a date, `compare` with other files, `by` a column: one of its
    groups (`after`) against all others (`before`). `cinemas`: the same within each cinema, where there are several."""

    kind: Literal["since", "compare", "by"]
    column: str | None
    before: Label
    after: Label
    before_texts: int
    after_texts: int
    rows: list[ComparisonRow]
    cinemas: list[CinemaChange]


@dataclass(frozen=True, slots=True)
class LeagueRow:
    """A cinema in the league. `raw`: its own index; `index`: the same shrunk towards the mean of all, by which it is
    ranked. `rank_low`…`rank_high` is the 95% interval of its rank (1 = best); `tied` if it overlaps a neighbour's;
    `band`: cinemas with the same number are tied with the best of the band. `dimensions`: shrunk indices by key."""

    name: str
    texts: int
    raw: Figure
    index: Figure
    rank: int
    rank_low: int
    rank_high: int
    tied: bool
    band: int
    dimensions: dict[str, Figure]
    quotes: str | None = None


@dataclass(frozen=True, slots=True)
class League:
    """`mean` and `between` (standard deviation between cinemas, in points) are what the shrinkage estimated;
    `left_out`: cinemas with too few mentions to be ranked."""

    column: str
    mean: float
    between: float
    rows: list[LeagueRow]
    left_out: int


@dataclass(frozen=True, slots=True)
class ChangePoint:
    """The level before and after the period that starts at `at`; `difference` in index points."""

    at: str
    before: Figure
    after: Figure
    difference: Figure
    p: float
    q: float


@dataclass(frozen=True, slots=True)
class TrendSeries:
    """The index of a dimension ("service": all, or the film's key) over `Trend.starts`, of all cinemas (`cinema` None)
    or of one. Series of single cinemas are kept only if they have a change point."""

    key: str
    cinema: str | None
    values: list[Figure]
    changes: list[ChangePoint]
    quotes: str | None = None


@dataclass(frozen=True, slots=True)
class Trend:
    """`starts`: first day of every period, `texts` in each; a period without mentions has a Figure with a reason."""

    period: Literal["week", "month"]
    starts: list[str]
    texts: list[int]
    series: list[TrendSeries]


@dataclass(frozen=True, slots=True)
class Changes:
    """3. Did it work? None or an empty list where a note says why."""

    comparisons: list[Comparison]
    league: League | None
    trend: Trend | None


@dataclass(frozen=True, slots=True)
class OwnerRow:
    """Complaints that a department answers first (the owner of the surest negative mention). Escalations are counted
    among all texts of that owner, complaint or not. Days from `Meta.as_of` back to the texts; None without dates.
    `unanswered`: complaints without a reply; None without such a column."""

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
    """A customer who was dissatisfied or complained more than once and got no reply to any of it."""

    customer: str
    texts: int
    first: str | None
    last: str | None
    days: int | None
    owners: list[str]
    quotes: str | None = None


@dataclass(frozen=True, slots=True)
class FailureRow:
    """100 − 1 = 0: texts that fault only this dimension and praise at least one other. `lowest`: how many of them come
    with a rating in the lowest quarter of the scale, `share` the percent; `baseline`: the percent among texts that only
    praise. Most frequent first."""

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


@dataclass(frozen=True, slots=True)
class Action:
    """4. Who must act? `urgent`: quotes key of the most urgent escalations (≤ 200). `repeats` is None where customer
    or reply column is missing. `failure_outcome`: what "lowest" is judged by."""

    owners: list[OwnerRow]
    complaints: int
    escalations: int
    urgent: str | None
    repeats: list[RepeatRow] | None
    repeats_total: int
    failures: list[FailureRow]
    failure_outcome: Literal["rating", "overall"] | None
    failure_at_most: float | None
    silent: Silent | None


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


@dataclass(frozen=True, slots=True)
class Ledger:
    """`balance` = `value` − `cost`, all per 100 texts, without the film, whose own amount is `film`."""

    lines: list[LedgerLine]
    value: Figure
    cost: Figure
    balance: Figure
    film: Figure | None


@dataclass(frozen=True, slots=True)
class Lenses:
    """5. Through whose eyes?"""

    lenses: list[Lens]
    ledger: Ledger


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
    """A word or two-word phrase; `z` of its log-odds (positive: more in the first set), and how many texts of each set
    hold it."""

    words: str
    z: float
    log_odds: float
    negative: int
    positive: int


@dataclass(frozen=True, slots=True)
class PhraseSet:
    """Phrases that set negative from positive apart: of whole texts (`key` "overall") or of a dimension's evidence.
    `negative_texts`, `positive_texts`: how many were read (a random sample where there are many)."""

    key: str
    negative_texts: int
    positive_texts: int
    negative: list[Phrase]
    positive: list[Phrase]


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
    `owner/工程`, `failure/parking`, `silent`, `topic/WORDS`. `uncovered`: texts without any mention."""

    texts: list[Quote]
    quotes: dict[str, QuoteList]
    phrases: list[PhraseSet]
    topics: list[Topic]
    uncovered: Figure


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


@dataclass(frozen=True, slots=True)
class RowColumn:
    """A column of `Rows`: `key` is stable, the names are headers; `kind` says how to format it."""

    key: str
    zh: str
    en: str
    kind: Literal["text", "number", "date", "label", "flag"]


Cell = str | float | int | bool | None


class Rows(Protocol):
    """Every scored row, streamed: cells in the order of `columns`; labels are the stable English ones, dates ISO."""

    @property
    def columns(self) -> Sequence[RowColumn]: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[tuple[Cell, ...]]: ...


def to_plain(value: Any) -> Any:
    """Dataclasses as dictionaries, at every depth: what JSON holds. `dataclasses.asdict` without its deep copies."""
    if is_dataclass(value):
        return {field.name: to_plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {key: to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    return value
