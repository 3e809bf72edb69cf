"""Answer 2: impact on the rating, importance against performance, and what to fix first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sentiment.report.figures import Figure

Kano = Literal["basic", "performance", "excitement", "indifferent", "inconclusive"]
Quadrant = Literal["concentrate", "keep", "low_priority", "overkill"]


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
    quotes: str | None = None


@dataclass(frozen=True, slots=True)
class IpaPoint:
    """Importance (`range` of the impact, in units of the rating) against performance (the index)."""

    key: str
    performance: Figure
    importance: Figure
    quadrant: Quadrant | None
    quotes: str | None = None


@dataclass(frozen=True, slots=True)
class FixRow:
    """One line of "fix this first". `gain`: points by which the overall index would rise if in every cinema the
    complaint rate of this dimension fell to `target` (percent of texts), which is itself an estimate; None where `rate`
    is no higher. `rate`: that rate today, of the texts of the cinemas compared (`benchmark` "halved": of all).
    `avoided`: negative mentions that would go."""

    rank: int
    key: str
    gain: Figure
    rate: Figure
    target: Figure
    avoided: Figure
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
