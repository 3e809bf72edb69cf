"""Soft labels: a teacher's calibrated probabilities beside a person's labels, or instead of them (Hinton et al. 2015).

Three sources. Checkpoints as teachers answer texts that nobody labelled; the mean of several is a better teacher than
each. And a cross-validation's models answer the texts that each has not seen: labels that a model without them finds
doubtful count for less, which overfitting would hide from a teacher that was fitted to them. And the checkpoint that a
training begins with answers what its texts leave unknown, so that it does not unlearn it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentiment.checkpoint import load_checkpoint
from sentiment.scaling import Scaling
from sentiment.taxonomy import Taxonomy
from training.bases import BaseError
from training.calibrate import fit_scaling
from training.example import Example
from training.folders import label_space, score_folder
from training.label_issues import read_folds
from training.metrics import HEADS, UNKNOWN, Predictions
from training.scores import Scores, gold_labels

Array = NDArray[Any]


def from_teachers(teachers: Sequence[Path], examples: Sequence[Example], space: Taxonomy) -> list[Example]:
    """The examples with the mean of the checkpoints' calibrated probabilities.

    Args:
        teachers: packaged checkpoints, which hold the scaling of their development texts.

    Raises:
        BaseError, CheckpointError: no such checkpoint, or one of another label space.
    """
    shares: list[dict[str, Array]] = []
    for folder in teachers:
        if label_space(folder) != space:
            raise BaseError(f"expected a teacher of the same label space, found another in {folder}")
        shares.append(score_folder(folder, examples).probabilities(load_checkpoint(folder).scaling))
    return with_soft_labels(examples, {name: np.mean([share[name] for share in shares], axis=0) for name in HEADS})


def from_folds(folder: Path, examples: Sequence[Example], space: Taxonomy) -> list[Example]:
    """The examples, with what a cross-validation's models say about those of them that it held out.

    The scaling is fitted to the same held-out answers.

    Raises:
        BaseError: the folder is not that of a cross-validation, or of another label space.
    """
    kept, own = read_folds(folder)
    if own != space:
        raise BaseError(f"expected folds of the same label space, found another in {folder}")
    spans = np.zeros((len(kept["texts"]), len(space.keys), 2), dtype=int)  # not needed here
    scores = Scores(**{name: kept[name] for name in HEADS}, evidence=spans)
    gold = Predictions(*(kept[f"gold_{name}"] for name in HEADS))
    shares = scores.probabilities(fit_scaling(scores, gold, space))
    row = {str(text): i for i, text in enumerate(kept["texts"])}
    found = [i for i, example in enumerate(examples) if example.text in row]
    rows = [row[examples[i].text] for i in found]
    soft = iter(with_soft_labels([examples[i] for i in found], {name: shares[name][rows] for name in HEADS}))
    chosen = set(found)
    return [next(soft) if i in chosen else example for i, example in enumerate(examples)]


def from_start(folder: Path, examples: Sequence[Example]) -> list[Example]:
    """The examples; one with something unknown carries what the start says of that, and of nothing else.

    Learning without forgetting (Li and Hoiem 2016): texts that are silent on a head or a dimension would otherwise
    change it at random. The answers are not calibrated, so that a model that still gives them learns nothing.

    Args:
        folder: the packaged checkpoint or run folder that the training begins with, of the examples' label space.
    """
    space = label_space(folder)
    partly = [i for i, example in enumerate(examples) if example.soft is None and _is_partial(example, space)]
    if not partly:
        return list(examples)
    own = [examples[i] for i in partly]
    shares = score_folder(folder, own).probabilities(Scaling())
    known = gold_labels(own, space)
    for name in HEADS:
        shares[name] = np.where(_spread(getattr(known, name), shares[name]) == UNKNOWN, shares[name], np.nan)
    # The sentiment of a dimension that was judged and is not there is no open question.
    shares["polarity"][known.mention != UNKNOWN] = np.nan
    soft = iter(with_soft_labels(own, shares))
    chosen = set(partly)
    return [next(soft) if i in chosen else example for i, example in enumerate(examples)]


def mostly_partial(examples: Sequence[Example], space: Taxonomy) -> bool:
    """Whether more than half of the texts leave a head or a dimension unknown."""
    return sum(_is_partial(example, space) for example in examples) > len(examples) / 2


def _is_partial(example: Example, space: Taxonomy) -> bool:
    whole = example.overall is not None and example.intent is not None and example.escalation is not None
    return not whole or not example.annotated >= set(space.keys)


def _spread(labels: Array, shares: Array) -> Array:
    """Class indices over the axis of the classes, where the shares have one."""
    return labels if labels.ndim == shares.ndim else labels[..., None]


def with_soft_labels(examples: Sequence[Example], shares: Mapping[str, Array]) -> list[Example]:
    """The examples with these probabilities, by head, a row an example."""
    return [
        replace(example, soft={name: np.asarray(shares[name][i], dtype=np.float32) for name in HEADS})
        for i, example in enumerate(examples)
    ]
