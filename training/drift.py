"""How far a packed model's answers are from the exact one's, and how far they may be."""

from __future__ import annotations

from collections.abc import Mapping

from sentiment.taxonomy import Taxonomy
from training.calibrate import Calibration
from training.metrics import Predictions, summary
from training.scores import Scores

# Share of changed cells among those that either model calls mentioned, share of changed overall labels, points of
# joint F1 or overall accuracy lost.
MAX_CHANGED_CELLS = 0.03
MAX_CHANGED_OVERALL = 0.015
MAX_LOSS = 0.01


class ExportError(ValueError):
    """An export that was refused; the message says what was expected, or which bound was exceeded and by how much."""


def drift_of(
    exact: Scores, packed: Scores, gold: Predictions, rules: Calibration, space: Taxonomy,
    packed_rules: Calibration | None = None,
) -> dict[str, float]:  # fmt: skip
    """How far the packed model's labels are from the exact one's, under the same rules or, given, its own."""
    before, after = rules.decide(exact, space), (packed_rules or rules).decide(packed, space)
    called = (before.mention == 1) | (after.mention == 1)
    changed = called & ((before.mention != after.mention) | (before.polarity != after.polarity))
    first, second = summary(gold, before), summary(gold, after)
    drift = {
        "changed_cells": float(changed.sum() / max(called.sum(), 1)),
        "changed_overall": float((before.overall != after.overall).mean()),
    }
    for name in ("joint", "overall"):
        if name in first and name in second:
            drift[f"{name}_lost"] = first[name] - second[name]
    return {name: round(value, 5) for name, value in drift.items()}


def judged_of(gold: Predictions) -> dict[str, int]:
    """What each share of a drift was taken from, where few would move it much."""
    return {
        "joint_lost": int((gold.mention == 1).sum()),
        "overall_lost": int((gold.overall >= 0).sum()),
        "changed_overall": len(gold.overall),
    }


def check_drift(
    drift: Mapping[str, float],
    judged: Mapping[str, int] | None = None,
    remedy: str = "train longer or keep more of the model in float",
) -> None:
    """
    Args:
        judged: as `judged_of` tells. remedy: what to do, for the error.

    Raises:
        ExportError: beyond a bound.
    """
    bounds = {
        "changed_cells": MAX_CHANGED_CELLS, "changed_overall": MAX_CHANGED_OVERALL,
        "joint_lost": MAX_LOSS, "overall_lost": MAX_LOSS,
    }  # fmt: skip
    for name, count in (judged or {}).items():
        # Of few texts, one label lost or two that changed, either way, are more than the bound and no sign of damage.
        bounds[name] = max(bounds[name], round((2 if name == "changed_overall" else 1) / max(count, 1), 5))
    for name, bound in bounds.items():
        if drift.get(name, 0.0) > bound:
            raise ExportError(
                f"expected {name} of at most {bound:.1%} between float32 and int8, found {drift[name]:.1%}; {remedy}"
            )
