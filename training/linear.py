"""TF-IDF with logistic regressions, one for each head and dimension: the classical baseline."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from sentiment.taxonomy import Taxonomy
from sentiment.text import normalise
from training.calibrate import FOLDS, Calibration, calibrate
from training.example import Example
from training.metrics import HEADS, UNKNOWN
from training.near_duplicates import near_duplicate_groups
from training.scores import Scores, gold_labels

Array = NDArray[Any]

# Log odds of a class or mention that the fitted texts never show.
NEVER = -12.0


@dataclass(frozen=True)
class Setting:
    """Of a logistic regression: inverse regularisation, and whether rare classes weigh as much as frequent ones."""

    strength: float = 4.0
    balanced: bool = False


GRID = tuple(Setting(strength, balanced) for balanced in (False, True) for strength in (1.0, 4.0, 16.0))


@dataclass(frozen=True)
class Fitted:
    """A baseline's answer to the texts it is judged on, and the rules that the training texts suggest."""

    scores: Scores
    rules: Calibration
    settings: dict[str, Any]


def characters() -> TfidfVectorizer:
    """Character 1–3-grams."""
    return TfidfVectorizer(analyzer="char", ngram_range=(1, 3), min_df=2, sublinear_tf=True)


def words() -> TfidfVectorizer:
    """jieba words, 1–2-grams."""
    return TfidfVectorizer(analyzer=_word_grams, min_df=2, sublinear_tf=True)


def _word_grams(text: str) -> list[str]:
    with warnings.catch_warnings():  # its own source and its use of pkg_resources are deprecated
        warnings.simplefilter("ignore")
        import jieba

    jieba.setLogLevel(logging.WARNING)
    found = [word for word in jieba.lcut(text.lower()) if word.strip()]
    return found + [f"{first} {second}" for first, second in pairwise(found)]


def fit_linear(
    make: Callable[[], TfidfVectorizer],
    examples: Sequence[Example],
    judged: Sequence[str],
    taxonomy: Taxonomy,
    grid: Sequence[Setting] | None = None,
) -> Fitted:
    """TF-IDF features and a logistic regression for each head, one for each dimension's mention.

    Each head's setting, and then thresholds and scaling, come from five-fold cross-validation on the training
    texts (whole near-duplicate groups); the final models are fitted on all of them.

    Args:
        judged: the texts to score. grid: the settings to choose from; `GRID` by default.
    """
    texts = [normalise(example.text).text for example in examples]
    gold = gold_labels(examples, taxonomy)
    folds = []
    groups = near_duplicate_groups([example.text for example in examples])
    for fit, held in GroupKFold(FOLDS).split(texts, groups=groups):
        vectoriser = make()
        known = vectoriser.fit_transform([texts[i] for i in fit])
        folds.append((fit, held, known, vectoriser.transform([texts[i] for i in held])))
    chosen: dict[str, Setting] = {}
    answers: dict[str, Array] = {}
    for head in HEADS:
        best = -1.0
        for setting in grid or GRID:
            logits = np.zeros(head_shape(head, len(texts), taxonomy))
            for fit, held, known, unseen in folds:
                logits[held] = _head(head, known, getattr(gold, head)[fit], unseen, taxonomy, setting)
            quality = _quality(head, logits, getattr(gold, head))
            if quality > best:
                best, chosen[head], answers[head] = quality, setting, logits
    rules = calibrate(scores_of(answers), gold, taxonomy)
    vectoriser = make()
    known = vectoriser.fit_transform(texts)
    unseen = vectoriser.transform([normalise(text).text for text in judged])
    final = {head: _head(head, known, getattr(gold, head), unseen, taxonomy, chosen[head]) for head in HEADS}
    settings = {head: asdict(setting) for head, setting in chosen.items()}
    return Fitted(scores_of(final), rules, settings | {"features": known.shape[1]})


def scores_of(logits: Mapping[str, Array]) -> Scores:
    return Scores(**logits, evidence=np.zeros((*logits["mention"].shape, 2), dtype=int))


def head_shape(head: str, size: int, taxonomy: Taxonomy) -> tuple[int, ...]:
    count = len(taxonomy.keys)
    shapes = {"mention": (count,), "polarity": (count, 3), "overall": (3,), "intent": (len(taxonomy.intents),)}
    return (size, *shapes.get(head, ()))


def _head(head: str, known: Any, labels: Array, unseen: Any, taxonomy: Taxonomy, setting: Setting) -> Array:
    """Logits of one head for the rows of `unseen`, fitted on the labelled rows of `known`."""
    if head == "mention":
        columns = [_binary(known, labels[:, k], unseen, setting) for k in range(labels.shape[1])]
        return np.stack(columns, 1)
    if head == "escalation":
        return _binary(known, labels, unseen, setting)
    if head == "polarity":
        rows, dimensions = np.nonzero(labels != UNKNOWN)
        count, width = labels.shape[1], known.shape[1]
        mentions, said = by_dimension(known[rows], dimensions, count), labels[rows, dimensions]
        odds = []
        for c in range(3):
            weights, bias = fit_logistic(mentions, said == c, setting)
            # As by_dimension lays them out: the weights for all dimensions, for each one, and its own bias.
            shared, own, named = np.split(weights, [width, width * (count + 1)])
            odds.append(unseen @ (shared + own.reshape(count, width)).T + named + bias)
        return _normalised(np.stack(odds, -1))
    known_rows = np.flatnonzero(labels != UNKNOWN)
    classes = head_shape(head, 0, taxonomy)[1]
    fits = [fit_logistic(known[known_rows], labels[known_rows] == c, setting) for c in range(classes)]
    return _normalised(np.stack([unseen @ weights + bias for weights, bias in fits], -1))


def _binary(known: Any, labels: Array, unseen: Any, setting: Setting) -> Array:
    rows = np.flatnonzero(labels != UNKNOWN)
    weights, bias = fit_logistic(known[rows], labels[rows] == 1, setting)
    return np.asarray(unseen @ weights + bias)


def fit_logistic(features: Any, truth: Array, setting: Setting) -> tuple[Array, float]:
    """(weights, bias) of a logistic regression. Where all rows agree there is nothing to learn but that."""
    if truth.all() or not truth.any():
        return np.zeros(features.shape[1]), -NEVER if truth.any() else NEVER
    model = LogisticRegression(
        C=setting.strength,
        class_weight="balanced" if setting.balanced else None,
        solver="liblinear",
        dual=True,  # with more features than texts ten times as fast as the primal problem, and as good
        tol=0.01,
        max_iter=5000,
        random_state=0,
    ).fit(features, truth)
    return model.coef_[0], float(model.intercept_[0])


def _normalised(odds: Array) -> Array:
    """Log-probabilities of classes that were fitted one against the rest."""
    shares = -np.logaddexp(0.0, -odds)
    return np.asarray(shares - np.logaddexp.reduce(shares, axis=-1, keepdims=True))


def by_dimension(features: Any, dimensions: Array, count: int) -> Any:
    """Each row three times: for all dimensions, for its own, and its dimension by itself (Daumé III 2007).

    So what a word says of one dimension is learnt apart as far as there are examples, and shared otherwise.
    """
    size, width = features.shape
    own = sp.csr_matrix(
        (features.data, features.indices + width * np.repeat(dimensions, np.diff(features.indptr)), features.indptr),
        shape=(size, width * count),
    )
    named = sp.csr_matrix((np.ones(size), (np.arange(size), dimensions)), shape=(size, count))
    return sp.hstack([features, own, named], "csr")


def _quality(head: str, logits: Array, labels: Array) -> float:
    """What a setting is chosen by: F1 at the best thresholds of mentions and escalation, else accuracy."""
    if head in ("mention", "escalation"):
        columns = zip(logits.reshape(len(logits), -1).T, labels.reshape(len(labels), -1).T, strict=True)
        found, total = np.sum([best_counts(*column) for column in columns], axis=0)
        return float(2 * found / max(total, 1))
    known = labels != UNKNOWN
    return float((logits.argmax(-1)[known] == labels[known]).mean()) if known.any() else 0.0


def best_counts(logits: Array, labels: Array) -> tuple[float, float]:
    """(found, found and missed and called) at the threshold with the highest F1."""
    known = labels != UNKNOWN
    truth = labels[known][np.argsort(-logits[known], kind="stable")] == 1
    if not truth.any():
        return 0.0, 0.0
    found = np.cumsum(truth)
    total = np.arange(1, len(truth) + 1) + truth.sum()
    best = int((2 * found / total).argmax())
    return float(found[best]), float(total[best])
