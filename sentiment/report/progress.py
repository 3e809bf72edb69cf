"""Answer 3: comparisons, the league and the trend."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from sentiment.report.figures import Figure, Label


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """One dimension (`key` "service": all together) in two groups. `difference`: after − before in index points;
    `effect`: the same in pooled standard deviations of the mentions (Hedges' g); `negative_difference`: change of the
    percent of texts with a negative mention, of any dimension where `key` is "service". `q`: p after Benjamini–Hochberg
    over all tests of this answer (before and after, groups, within cinemas, trend: kinds of the same weight);
    `significant`: q ≤ 0.05."""

    key: str
    before: Figure
    after: Figure
    difference: Figure
    effect: Figure
    negative_difference: Figure
    p: float | None
    q: float | None
    significant: bool
    before_quotes: str | None = None
    after_quotes: str | None = None


@dataclass(frozen=True, slots=True)
class CinemaChange:
    """One dimension of one cinema before and after, as in `ComparisonRow`; all with enough mentions on both sides,
    surest first. The first 200, which a page shows, have their texts."""

    cinema: str
    key: str
    before: Figure
    after: Figure
    difference: Figure
    effect: Figure
    p: float
    q: float
    significant: bool
    before_quotes: str | None = None
    after_quotes: str | None = None


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
    `left_out`: cinemas with too few mentions to be ranked. Beyond 1,000 cinemas those with most mentions are ranked: a
    note says so."""

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
    before_quotes: str | None = None
    after_quotes: str | None = None


@dataclass(frozen=True, slots=True)
class TrendSeries:
    """The index of a dimension ("service": all, or the film's key) over `Trend.starts`, of all cinemas (`cinema` None)
    or of one. Series of single cinemas are kept only if they have a change point, surest first. `period_quotes`: the
    texts behind each value; they and `quotes` are kept for the series that a page shows (see `limits`)."""

    key: str
    cinema: str | None
    values: list[Figure]
    changes: list[ChangePoint]
    quotes: str | None = None
    period_quotes: list[str | None] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Trend:
    """`starts`: first day of every period, `texts` in each, and `quotes` of the service in it; a period without
    mentions has a Figure with a reason."""

    period: Literal["week", "month"]
    starts: list[str]
    texts: list[int]
    series: list[TrendSeries]
    quotes: list[str | None]


@dataclass(frozen=True, slots=True)
class Changes:
    """3. Did it work? None or an empty list where a note says why."""

    comparisons: list[Comparison]
    league: League | None
    trend: Trend | None
