"""Figures of several runs of a training, and the differences between trainings: over texts and over runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentiment.taxonomy import Taxonomy
from training.calibrate import calibrate, folds
from training.compare import FIGURES, figures
from training.metrics import HEADS, Predictions
from training.rates import rates
from training.scores import Scores

Array = NDArray[Any]
# Figure → [runs, samples + 1]: over all texts first, then over resamples of them, the same for every training.
Drawn = dict[str, Array]

SAMPLES = 1000
MARGIN = 0.01  # of joint F1: how much a shallower model may lose to the best depth
RUNS_SEED = 1  # apart from the seed that draws the texts


def drawn_figures(gold: Predictions, said: Sequence[Predictions], samples: int = SAMPLES) -> Drawn:
    """The figures of each run's answers, by run."""
    found = [figures(gold, one, samples) for one in said]
    return {name: np.stack([one[name] for one in found]) for name in FIGURES}


def over_runs(table: Array) -> Array:
    """[runs, samples + 1] → [samples + 1]: the mean over all runs, then over as many runs drawn with replacement.

    With the texts that the columns draw this is a bootstrap over texts and runs, crossed (Owen 2007, The pigeonhole
    bootstrap). As many runs draw the same ones, so that trainings are paired by seed. Of one run nothing is drawn.
    """
    runs, columns = table.shape
    share = np.random.default_rng(RUNS_SEED).multinomial(runs, np.full(runs, 1 / runs), columns) / runs
    share[0] = 1 / runs
    mean: Array = (share * table.T).sum(1)
    return mean


def summarised(drawn: Drawn) -> dict[str, dict[str, float]]:
    """Mean and 95% interval of each figure, in shares."""
    return rates(**{name: over_runs(table) for name, table in drawn.items()})


def difference(one: Drawn, other: Drawn) -> dict[str, dict[str, float]]:
    """`one` less `other`, paired by text and seed, over the seeds that both have."""
    both = min(len(one["joint"]), len(other["joint"]))
    return rates(**{name: over_runs(one[name][:both] - other[name][:both]) for name in one})


def told_of(own: Drawn, reference: Drawn | None) -> dict[str, Any]:
    """What is told of one training on one part of the texts: `figures`, and `differences` to the reference if any."""
    found: dict[str, Any] = {"figures": summarised(own)}
    return found if reference is None else found | {"differences": difference(own, reference)}


def depth_rule(drawn: Mapping[str, Drawn], layers: Mapping[str, int]) -> dict[str, Any]:
    """Which depth to embed: the shallowest whose interval of joint F1 against the best stays above -`MARGIN`.

    Args:
        drawn, layers: the figures and the number of layers of every depth.

    Returns:
        `best`, by the mean over its runs; `margin`; `shallowest`, of as many layers the better; `to_best`: depth →
        difference of joint F1 to the best.
    """
    mean = {name: float(own["joint"][:, 0].mean()) for name, own in drawn.items()}
    best = max(mean, key=lambda name: mean[name])
    to_best = {name: difference(own, drawn[best])["joint"] for name, own in drawn.items()}
    held = [name for name, change in to_best.items() if change["low"] > -MARGIN]
    shallowest = min(held, key=lambda name: (layers[name], -mean[name]))
    return {"best": best, "margin": MARGIN, "shallowest": shallowest, "to_best": to_best}


def common_threshold(scores: Scores, gold: Predictions, space: Taxonomy, groups: Sequence[int]) -> Predictions:
    """As `cross_fitted`, with the same threshold for every dimension: the median of the fitted ones."""
    size = len(groups)
    guess = {name: np.zeros((size, *getattr(gold, name).shape[1:]), dtype=int) for name in HEADS}
    for _, fit, test in folds(scores, gold, space, groups):
        rules = calibrate(scores.take(fit), gold.take(fit), space)
        middle = float(np.median([rules.thresholds[key] for key in space.keys]))
        same = replace(
            rules, thresholds={**dict.fromkeys(space.keys, middle), "escalation": rules.thresholds["escalation"]}
        )
        answer = same.decide(scores.take(test), space)
        for name in HEADS:
            guess[name][test] = getattr(answer, name)
    return Predictions(*(guess[name] for name in HEADS))
