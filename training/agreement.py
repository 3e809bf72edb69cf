"""How far people agree who labelled the same texts: F1 of mentions, Cohen's κ of the labels of the whole text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np

from sentiment.taxonomy import Taxonomy
from training.datacard import kappa
from training.example import Example
from training.metrics import UNKNOWN, Predictions, summary
from training.scores import gold_labels

CLASSES = ("overall", "intent", "escalation")


def agreement(texts: Sequence[Sequence[Example]], taxonomy: Taxonomy) -> dict[str, Any]:
    """
    Args:
        texts: for every text what each of its annotators said.

    Returns:
        `texts` with at least two annotators, `pairs` of annotators over them, and over all pairs together `mention` and
        `joint` (F1, all dimensions that both judged) and Cohen's κ of `overall`, `intent`, `escalation`. A figure that
        nothing can be said about is missing: nobody gave both labels, or all are one and the same.
    """
    pairs = [pair for judged in texts for pair in combinations(judged, 2)]
    report: dict[str, Any] = {"texts": sum(len(judged) > 1 for judged in texts), "pairs": len(pairs)}
    if not pairs:
        return report
    first, second = (gold_labels([pair[side] for pair in pairs], taxonomy) for side in (0, 1))
    first, second = _both(first, second), _both(second, first)
    rates = summary(first, second)
    report |= {name: round(rates[name], 4) for name in ("mention", "joint") if name in rates}
    for name in CLASSES:
        one, other = getattr(first, name), getattr(second, name)
        known = one != UNKNOWN
        value = kappa(one[known], other[known]) if known.any() else float("nan")
        if not np.isnan(value):
            report[name] = round(value, 4)
    return report


def _both(labels: Predictions, others: Predictions) -> Predictions:
    """The labels without those that the other did not give."""
    judged = others.mention != UNKNOWN
    whole = {name: np.where(getattr(others, name) != UNKNOWN, getattr(labels, name), UNKNOWN) for name in CLASSES}
    return replace(
        labels,
        mention=np.where(judged, labels.mention, UNKNOWN),
        polarity=np.where(judged, labels.polarity, UNKNOWN),
        **whole,
    )
