"""Scaling and thresholds from development texts, and the cross-fitted predictions by which they are judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import logsumexp

from sentiment.scaling import Scaling, not_service
from sentiment.taxonomy import Taxonomy
from training.metrics import HEADS, UNKNOWN, Predictions
from training.scores import Scores

Array = NDArray[Any]

# A dimension with fewer development mentions shares the pooled threshold: its own would fit noise.
MIN_MENTIONS = 30
GRID = np.round(np.arange(0.10, 0.91, 0.02), 2)
# Share of development texts that the rule for `uncertain` flags by `overall`; by intent and by mentions a third of it
# each, by escalation a fifth.
FLAGGED = 0.15
FOLDS = 5


@dataclass(frozen=True)
class Calibration:
    """Decision rules of a checkpoint, as its config.json keeps them."""

    scaling: Scaling
    thresholds: dict[str, float]
    uncertain: dict[str, float]

    def to_config(self) -> dict[str, dict[str, Any]]:
        """The parts of config.json."""
        return {**self.scaling.to_config(), "thresholds": self.thresholds, "uncertain": self.uncertain}

    def decide(self, scores: Scores, taxonomy: Taxonomy) -> Predictions:
        """Labels by these rules."""
        shares = scores.probabilities(self.scaling)
        said = shares["mention"] >= np.array([self.thresholds[key] for key in taxonomy.keys])
        return Predictions(
            said.astype(int),
            np.where(said, shares["polarity"].argmax(-1), UNKNOWN),
            shares["overall"].argmax(-1),
            shares["intent"].argmax(-1),
            (shares["escalation"] >= self.thresholds["escalation"]).astype(int),
        )


def neutral(taxonomy: Taxonomy) -> Calibration:
    """Probabilities as the model gives them, decided at 0.5: the rules before any were fitted."""
    return Calibration(Scaling(), {**dict.fromkeys(taxonomy.keys, 0.5), "escalation": 0.5}, {})


def calibrate(scores: Scores, gold: Predictions, taxonomy: Taxonomy, start: Calibration | None = None) -> Calibration:
    """Fits all rules: the scaling by likelihood, thresholds by the mean of mention and joint F1.

    Args:
        start: rules of the checkpoint that the training began with. They stay where the texts say nothing: of a head
            without labels, of a dimension that nobody judged or of which there are mentions alone.
    """
    gold = judgeable(scores, gold)
    fitted = fit_scaling(scores, gold, taxonomy, start)
    shares = scores.probabilities(fitted)
    found, called, said = _counts(shares["mention"], shares["polarity"].argmax(-1), gold)
    judged = (gold.mention != UNKNOWN).any(0)
    pooled = _best(found.sum(0), called.sum(0), said.sum())
    # An average dimension's counts beside its own keep a threshold near the pooled one unless there is evidence.
    prior = [counted.sum(0) / max(judged.sum(), 1) for counted in (found, called, said)]
    thresholds = {}
    for k, key in enumerate(taxonomy.keys):
        if not judged[k] and start is not None:
            thresholds[key] = start.thresholds[key]
        elif said[k] >= MIN_MENTIONS:
            thresholds[key] = _best(found[k] + prior[0], called[k] + prior[1], said[k] + prior[2])
        else:
            thresholds[key] = pooled
    known = gold.escalation != UNKNOWN
    risk, truth = shares["escalation"][known], gold.escalation[known] == 1
    marks = risk[:, None] >= GRID
    thresholds["escalation"] = _best((marks & truth[:, None]).sum(0), marks.sum(0), truth.sum())
    if start is not None and not truth.any():
        thresholds["escalation"] = start.thresholds["escalation"]
    read = {name: share[~scores.unread] for name, share in shares.items()}
    return Calibration(fitted, thresholds, _uncertain(read, thresholds, taxonomy))


def judgeable(scores: Scores, gold: Predictions) -> Predictions:
    """The labels by which rules can be fitted: without texts that were not scored, and without dimensions (or the
    escalation) of which every judged text has a mention: what shall be called has to be held against what shall not.
    Nor does anything tell how probable an escalation is where no text should be escalated."""
    mention = np.where(scores.unread[:, None], UNKNOWN, gold.mention)
    mention[:, ~(mention == 0).any(0)] = UNKNOWN
    heads = {
        name: np.where(scores.unread, UNKNOWN, getattr(gold, name)) for name in ("overall", "intent", "escalation")
    }
    if not {0, 1} <= set(heads["escalation"]):
        heads["escalation"] = np.full_like(heads["escalation"], UNKNOWN)
    return replace(gold, mention=mention, polarity=np.where(scores.unread[:, None], UNKNOWN, gold.polarity), **heads)


def fit_scaling(scores: Scores, gold: Predictions, taxonomy: Taxonomy, start: Calibration | None = None) -> Scaling:
    """The scaling under which the labels are likeliest (Guo et al. 2017; Platt 1999).

    A head without labels keeps that of `start`. The logarithm of a factor, and a bias, have a standard normal prior, so
    that a few texts move them little.
    """
    aside = not_service(taxonomy)
    share = Scaling(aside=aside).share(scores.mention)
    found = {}
    for name in HEADS:
        logits, labels = getattr(scores, name), getattr(gold, name)
        if start is not None and not (labels != UNKNOWN).any():
            before = start.scaling
            zeros = (0.0,) * (1 if logits.ndim == labels.ndim else logits.shape[-1])
            kept = before.temperatures.get(name, 1.0), before.factors.get(name, 1.0), before.biases.get(name, zeros)
            found[name] = kept
        else:
            found[name] = _fit_head(logits, labels, share)
    return Scaling(
        {name: temperature for name, (temperature, _, _) in found.items()},
        {name: factor for name, (_, factor, _) in found.items()} if aside else {},
        {name: biases for name, (_, _, biases) in found.items()},
        aside,
    )


def cross_fitted(
    scores: Scores, gold: Predictions, taxonomy: Taxonomy, groups: Sequence[int], seed: int = 0
) -> Predictions:
    """Every text's labels by rules fitted without its fold: five folds of whole near-duplicate groups."""
    guess: dict[str, Array] = {}
    for rules, _, test in folds(scores, gold, taxonomy, groups, seed):
        answer = rules.decide(scores.take(test), taxonomy)
        for name in HEADS:
            part = getattr(answer, name)
            guess.setdefault(name, np.zeros((len(groups), *part.shape[1:]), dtype=int))[test] = part
    return Predictions(*(guess[name] for name in HEADS))


def fold_numbers(groups: Sequence[int], count: int, seed: int) -> Array:
    """The fold of each text, 0 to count - 1: groups are kept whole and dealt out in random order."""
    names = np.array(sorted(set(groups)))
    np.random.default_rng(seed).shuffle(names)
    fold_of = {name: i % count for i, name in enumerate(names)}
    return np.array([fold_of[group] for group in groups])


def folds(
    scores: Scores, gold: Predictions, taxonomy: Taxonomy, groups: Sequence[int], seed: int = 0
) -> list[tuple[Calibration, Array, Array]]:
    """(rules, fitted rows, judged rows) of each of the five folds."""
    fold = fold_numbers(groups, FOLDS, seed)
    result = []
    for number in range(FOLDS):
        fit, test = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        result.append((calibrate(scores.take(fit), gold.take(fit), taxonomy), fit, test))
    return result


def _fit_head(logits: Array, labels: Array, share: Array) -> tuple[float, float, tuple[float, ...]]:
    """(temperature, factor, biases) under which the labels are likeliest, given the prior of `fit_scaling`."""
    known = labels != UNKNOWN
    binary = logits.ndim == labels.ndim
    classes = 1 if binary else logits.shape[-1]
    if not known.any():
        return 1.0, 1.0, (0.0,) * classes
    around = np.broadcast_to(share.reshape(-1, *(1,) * (labels.ndim - 1)), labels.shape)[known]
    values, truth = logits[known].reshape(-1, classes), labels[known]
    count = len(truth)

    def loss(weights: Array) -> float:
        scaled = values * np.exp(-(weights[0] + weights[1] * around))[:, None] + weights[2:]
        if binary:
            likelihood = np.logaddexp(0.0, np.where(truth == 1, -scaled[:, 0], scaled[:, 0]))
        else:
            likelihood = logsumexp(scaled, -1) - scaled[np.arange(count), truth]
        return float(likelihood.mean() + (weights[1:] ** 2).sum() / (2 * count))

    bounds = [(-1.5, 1.5), *[(None, None)] * (1 + classes)]
    found = minimize(loss, np.zeros(2 + classes), method="L-BFGS-B", bounds=bounds).x
    temperature, factor = (round(float(np.exp(value)), 4) for value in found[:2])
    return temperature, factor, tuple(round(float(value), 4) for value in found[2:])


def _counts(mention: Array, polarity: Array, gold: Predictions) -> tuple[Array, Array, Array]:
    """Hits (half for the mention, half for the sentiment) and calls by dimension and threshold; gold mentions."""
    known = (gold.mention != UNKNOWN)[:, :, None]
    calls = (mention[:, :, None] >= GRID) & known
    right = calls & (gold.mention == 1)[:, :, None]
    agreed = right & (gold.polarity == polarity)[:, :, None]
    return (right.sum(0) + agreed.sum(0)) / 2, calls.sum(0), (gold.mention == 1).sum(0)


def _best(found: Array, called: Array, said: float) -> float:
    """The threshold with the highest F1; of a plateau its middle."""
    scores = 2 * found / np.maximum(called + said, 1e-9)
    best = np.flatnonzero(scores >= scores.max() - 1e-12)
    return float(GRID[best[len(best) // 2]])


def _uncertain(shares: dict[str, Array], thresholds: dict[str, float], taxonomy: Taxonomy) -> dict[str, float]:
    if not len(shares["overall"]):
        return dict.fromkeys(("overall", "intent", "mention", "escalation"), 0.0)
    bounds = np.array([thresholds[key] for key in taxonomy.keys])
    called = shares["mention"] >= bounds
    confidence = (shares["mention"] * shares["polarity"].max(-1))[called]
    distance = np.abs(shares["escalation"] - thresholds["escalation"])
    return {
        "overall": round(float(np.quantile(shares["overall"].max(-1), FLAGGED)), 4),
        "intent": round(float(np.quantile(shares["intent"].max(-1), FLAGGED / 3)), 4),
        "mention": round(float(np.quantile(confidence, FLAGGED / 3)), 4) if len(confidence) else 0.0,
        "escalation": round(float(min(np.quantile(distance, FLAGGED / 5), 0.2)), 4),
    }
