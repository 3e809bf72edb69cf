"""Soft labels: a teacher's calibrated probabilities beside a person's labels, or instead of them (Hinton et al. 2015).

Two sources. Checkpoints as teachers answer texts that nobody labelled; the mean of several is a better teacher than
each. And a cross-validation's models answer the texts that each has not seen: labels that a model without them finds
doubtful count for less, which overfitting would hide from a teacher that was fitted to them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentiment.checkpoint import load_checkpoint
from sentiment.taxonomy import Taxonomy
from training.bases import BaseError
from training.calibrate import fit_scaling
from training.dataset import Example
from training.folders import label_space, score_folder
from training.label_issues import read_folds
from training.metrics import HEADS, Predictions
from training.scores import Scores

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


def with_soft_labels(examples: Sequence[Example], shares: Mapping[str, Array]) -> list[Example]:
    """The examples with these probabilities, by head, a row an example."""
    return [
        replace(example, soft={name: np.asarray(shares[name][i], dtype=np.float32) for name in HEADS})
        for i, example in enumerate(examples)
    ]
