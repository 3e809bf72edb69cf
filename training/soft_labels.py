"""Soft labels: probabilities beside a person's labels, or instead of them (Hinton et al. 2015).

The checkpoint that a training begins with answers what its texts leave unknown, so that it does not unlearn it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentiment.scaling import Scaling
from sentiment.taxonomy import Taxonomy
from training.example import Example
from training.folders import label_space, score_folder
from training.metrics import HEADS, UNKNOWN
from training.scores import gold_labels

Array = NDArray[Any]


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
