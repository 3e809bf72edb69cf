"""Metrics over label arrays: mention, joint, overall, intent, escalation; bootstrap intervals over texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

UNKNOWN = -100  # a label that was not given: no loss, no count
HEADS = ("mention", "polarity", "overall", "intent", "escalation")
Array = NDArray[Any]


@dataclass(frozen=True)
class Predictions:
    """Labels of N texts over K dimensions, or a model's answer to them.

    mention [N, K]: 1, 0 (or UNKNOWN in gold); polarity [N, K]: class, UNKNOWN where not mentioned; overall, intent,
    escalation [N]: class, UNKNOWN where not known. Classes are indices into the taxonomy's lists.
    """

    mention: Array
    polarity: Array
    overall: Array
    intent: Array
    escalation: Array

    @classmethod
    def from_labels(cls, labels: dict[str, Array]) -> Predictions:
        return cls(*(np.asarray(labels[f"{name}_labels"]) for name in HEADS))

    @classmethod
    def from_logits(
        cls, mention: Array, polarity: Array, overall: Array, intent: Array, escalation: Array, threshold: float = 0.0
    ) -> Predictions:
        """Decides by argmax and by `threshold` on the mention and escalation logits."""
        said = mention > threshold
        return cls(
            said.astype(int),
            np.where(said, polarity.argmax(-1), UNKNOWN),
            overall.argmax(-1),
            intent.argmax(-1),
            (escalation > 0).astype(int),
        )

    def take(
        self, index: Array | Sequence[int], dimensions: Array | Sequence[int] | slice = slice(None)
    ) -> Predictions:
        return Predictions(
            self.mention[index][:, dimensions],
            self.polarity[index][:, dimensions],
            self.overall[index],
            self.intent[index],
            self.escalation[index],
        )


def cells(gold: Predictions, guess: Predictions) -> tuple[Array, Array, Array, Array]:
    """[N, K] each: mentioned in truth, called mentioned (where judged), both, both and of the same sentiment."""
    said, called = gold.mention == 1, (guess.mention == 1) & (gold.mention != UNKNOWN)
    right = said & called
    return said, called, right, right & (gold.polarity == guess.polarity)


def counts(gold: Predictions, guess: Predictions) -> dict[str, Array]:
    """Per-text counts [N] from which every rate below is a ratio of sums, so that texts can be resampled."""
    said, called, right, agreed = cells(gold, guess)
    table: dict[str, Array] = {
        "gold": said.sum(1), "called": called.sum(1), "found": right.sum(1), "joint": agreed.sum(1),
    }  # fmt: skip
    for name in ("overall", "intent"):
        truth, answer = getattr(gold, name), getattr(guess, name)
        table[f"{name}_n"] = (truth != UNKNOWN).astype(int)
        table[f"{name}_right"] = ((truth != UNKNOWN) & (truth == answer)).astype(int)
    truth, answer = gold.escalation, guess.escalation
    table["escalation_gold"] = (truth == 1).astype(int)
    table["escalation_called"] = ((truth != UNKNOWN) & (answer == 1)).astype(int)
    table["escalation_found"] = ((truth == 1) & (answer == 1)).astype(int)
    return table


def rates(sums: dict[str, float]) -> dict[str, float]:
    """Micro-F1 of mention and joint labels, accuracies, escalation F1 from sums of counts; undefined ones left out."""
    report: dict[str, float] = {}
    if sums["gold"] + sums["called"]:
        report["mention"] = 2 * sums["found"] / (sums["gold"] + sums["called"])
        report["joint"] = 2 * sums["joint"] / (sums["gold"] + sums["called"])
        report["precision"] = sums["found"] / max(sums["called"], 1)
        report["recall"] = sums["found"] / max(sums["gold"], 1)
    for name in ("overall", "intent"):
        if sums[f"{name}_n"]:
            report[name] = sums[f"{name}_right"] / sums[f"{name}_n"]
    if sums["escalation_gold"] + sums["escalation_called"]:
        total = sums["escalation_gold"] + sums["escalation_called"]
        report["escalation"] = 2 * sums["escalation_found"] / total
    return report


def summary(gold: Predictions, guess: Predictions) -> dict[str, float]:
    """All rates over all texts and dimensions given."""
    return rates({name: float(values.sum()) for name, values in counts(gold, guess).items()})


def bootstrap(
    gold: Predictions, guess: Predictions, *, samples: int = 1000, seed: int = 0
) -> dict[str, tuple[float, float, float]]:
    """(value, low, high) of every rate: 95% percentile bootstrap over texts (Efron and Tibshirani 1993, ch. 13)."""
    table = counts(gold, guess)
    names = list(table)
    matrix = np.stack([table[name] for name in names], axis=1).astype(float)
    rng = np.random.default_rng(seed)
    draws: dict[str, list[float]] = {}
    for _ in range(samples):
        sums = matrix[rng.integers(0, len(matrix), len(matrix))].sum(0)
        for name, value in rates(dict(zip(names, sums, strict=True))).items():
            draws.setdefault(name, []).append(value)
    point = rates(dict(zip(names, matrix.sum(0), strict=True)))
    return {name: (value, *_interval(draws[name])) for name, value in point.items()}


def _interval(draws: Sequence[float]) -> tuple[float, float]:
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(low), float(high)


def macro_f1(truth: Array, answer: Array, classes: int) -> float:
    """Mean F1 over the classes that occur in truth or answer; UNKNOWN truths are left out."""
    known = truth != UNKNOWN
    truth, answer = truth[known], answer[known]
    scores = []
    for label in range(classes):
        total = (truth == label).sum() + (answer == label).sum()
        if total:
            scores.append(2 * ((truth == label) & (answer == label)).sum() / total)
    return float(np.mean(scores)) if scores else float("nan")


def paired_bootstrap(
    gold: Predictions, first: Predictions, second: Predictions, rate: Callable[[dict[str, float]], float],
    *, samples: int = 1000, seed: int = 0,
) -> tuple[float, float, float]:  # fmt: skip
    """(difference, low, high) of a rate, second minus first, on the same resampled texts."""
    tables = [counts(gold, guess) for guess in (first, second)]
    names = list(tables[0])
    matrices = [np.stack([table[name] for name in names], axis=1).astype(float) for table in tables]
    rng = np.random.default_rng(seed)

    def difference(index: Array | slice) -> float:
        values = [rate(rates(dict(zip(names, matrix[index].sum(0), strict=True)))) for matrix in matrices]
        return values[1] - values[0]

    draws = [difference(rng.integers(0, len(matrices[0]), len(matrices[0]))) for _ in range(samples)]
    return (difference(slice(None)), *_interval(draws))
