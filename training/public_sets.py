"""Public sets of texts labelled positive or negative: held-out rows to judge on, the other rows to fit.

The held-out rows are those of the hash rule (`training.corpora.in_held_out_rows`), which no checkpoint of ours was
fitted to; rows that nearly repeat one of them are not for fitting.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.corpora import READERS, in_held_out_rows, read_rows
from training.example import DatasetError, Example
from training.near_duplicates import without_near_duplicates
from training.rates import rates, ratio, resampled

Array = NDArray[Any]

PUBLIC = {
    "chnsenticorp": "senti_chnsenticorp_hotel",
    "waimai_10k": "senti_waimai_10k",
    "online_shopping": "senti_online_shopping_10_cats",
}
CLASSES = ("negative", "positive")
SILENT = len(CLASSES)  # a text without an answer: an error, whatever its label


@dataclass(frozen=True)
class PublicSet:
    """One public set. `removed` rows of `other` nearly repeated a held-out row."""

    name: str
    held: list[Example]
    other: list[Example]
    removed: int
    sha256: str


def read_public_set(corpora: Path, name: str, *, most: int | None = None) -> PublicSet:
    """Reads one set.

    Args:
        name: a key of `PUBLIC`. most: for trials, only so many rows of either side, a seeded sample.

    Raises:
        DatasetError: another name, or no such file in `corpora`.
    """
    if name not in PUBLIC:
        raise DatasetError(f"expected one of {', '.join(PUBLIC)}, found {name!r}")
    corpus = PUBLIC[name]
    held: list[Example] = []
    other: list[Example] = []
    for row in read_rows(corpora, corpus):
        text = row["text"]
        digest = hashlib.sha256(text.encode()).hexdigest()
        example = Example(text, overall=READERS[corpus](row)["overall"], id=digest, source=corpus)
        (held if in_held_out_rows(text) else other).append(example)
    held, other = sampled(held, most), sampled(other, most)
    kept = without_near_duplicates(other, held)
    file = hashlib.sha256((corpora / f"{corpus}.jsonl.xz").read_bytes()).hexdigest()
    return PublicSet(name, held, kept, len(other) - len(kept), file)


def sampled(examples: Sequence[Example], most: int | None, seed: int = 0) -> list[Example]:
    """At most `most` examples, drawn by the seed; all in their order if there are no more."""
    if most is None or len(examples) <= most:
        return list(examples)
    return random.Random(seed).sample(list(examples), most)


def gold_classes(examples: Sequence[Example]) -> Array:
    """[N]: indices into `CLASSES`."""
    return np.array([CLASSES.index(str(example.overall)) for example in examples], dtype=int)


def two_class_figures(gold: Array, said: Array, samples: int = 1000, seed: int = 0) -> dict[str, Any]:
    """Accuracy and macro-F1 with 95% percentile bootstrap intervals over texts (Efron and Tibshirani 1993).

    Args:
        gold, said: [N], indices into `CLASSES`; `SILENT` where there was no answer, which counts as an error.
    """
    table = np.zeros((len(gold), len(CLASSES), len(CLASSES) + 1))
    table[np.arange(len(gold)), gold, said] = 1
    confusion = resampled({"confusion": table}, samples, seed)["confusion"]
    right = np.diagonal(confusion[:, :, :-1], axis1=1, axis2=2)
    total = confusion.sum(2) + confusion[:, :, :-1].sum(1)
    scores = ratio(2 * right, total)
    macro = ratio(np.where(np.isnan(scores), 0, scores).sum(1), (total > 0).sum(1))
    return {
        "texts": len(gold),
        **rates(accuracy=ratio(right.sum(1), confusion.sum((1, 2))), macro_f1=macro),
        "unanswered": int((said == SILENT).sum()),
        "confusion": confusion[0].astype(int).tolist(),
    }


def fit_cuts(scores: Array, labels: Sequence[str], classes: Sequence[str]) -> list[float]:
    """The values that part `scores` into `classes`, lowest first, with the fewest errors; never between equal scores.

    A score above a cut lies on its upper side. Of equally good cuts the middle one is taken.
    """
    values = np.unique(scores)
    edges = np.concatenate([[values[0] - 1], (values[:-1] + values[1:]) / 2, [values[-1] + 1]])
    ranked = np.searchsorted(values, scores)
    below = []  # of each class, how many texts lie below each edge
    for name in classes:
        found = np.bincount(ranked[np.array(labels) == name], minlength=len(values))
        below.append(np.concatenate([[0], np.cumsum(found)]))
    # best[i]: most right answers of the classes so far if the last of them ends at edge i.
    best = below[0].astype(float)
    trail: list[Array] = []
    for count in below[1:-1]:
        gain = best - count
        running = np.maximum.accumulate(gain)
        trail.append(np.array([_middle(gain[: i + 1], running[i]) for i in range(len(gain))]))
        best = running + count
    total = best + below[-1][-1] - below[-1]
    at = _middle(total, total.max())
    cuts = [at]
    for steps in reversed(trail):
        at = int(steps[at])
        cuts.append(at)
    return [float(edges[i]) for i in reversed(cuts)]


def _middle(values: Array, highest: float) -> int:
    best = np.flatnonzero(values == highest)
    return int(best[len(best) // 2])
