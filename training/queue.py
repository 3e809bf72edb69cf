"""What to label next: texts about which the model is unsure, that differ from one another, near-duplicates once.

Uncertain: each text is asked four questions (overall, intent, escalation, mentions) and is as uncertain as its rank at
the one where it is least sure, so that every question gets its share: alternating selection over several tasks
(Reichart et al. 2008, Multi-Task Active Learning for Linguistic Annotations) by least confidence (Lewis and Gale 1994).
Diverse: of the most uncertain ones, ten times as many as wanted, those nearest to the centres of a k-means over TF-IDF
vectors weighted by uncertainty (Zhdanov 2019, Diverse mini-batch Active Learning).
"""

from __future__ import annotations

import hashlib
import warnings
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.cluster import KMeans
from sklearn.decomposition import TruncatedSVD
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize
from threadpoolctl import threadpool_limits

from sentiment.tables import Reject
from sentiment.tables.scored import HEADS, ScoredText
from sentiment.text import normalise
from training.near_duplicates import near_duplicate_groups

Array = NDArray[Any]

FACTOR = 10  # so many times more uncertain texts than wanted are looked at for diverse ones
COMPONENTS = 100


@dataclass
class Chosen:
    """`texts`, the most uncertain first. The rest are counts of rows: read, without a score, rejected by the file,
    the same as an earlier one or as a known text, and near-duplicates among those that were looked at."""

    texts: list[ScoredText]
    read: int = 0
    unscored: int = 0
    rejected: int = 0
    repeated: int = 0
    near: int = 0


def doubts(scored: ScoredText) -> tuple[float, float, float, float]:
    """How unsure the model is about overall, intent, escalation and mentions: 1 − confidence of the label that it gave.

    Of mentions the least sure one counts; where the file has probabilities, also the likeliest that was not called.
    """
    heads = [1 - scored.confidence[head] if head in scored.confidence else 0.0 for head in HEADS]
    called = {key: sure for key, sure in scored.confidence.items() if key not in HEADS}
    missed = (sum(shares) for key, shares in scored.probabilities.items() if key not in called)
    return heads[0], heads[1], heads[2], max([0.0, *(1 - sure for sure in called.values()), *missed])


def uncertainty(table: Array) -> Array:
    """[N, questions] doubts → [N]: the best rank at any question, as a share of the texts, ties by the mean rank.

    A doubt of 0 has rank 0: nothing was asked, or nothing is in doubt.
    """
    ranks = np.where(table > 0, rankdata(table, method="min", axis=0) / max(len(table), 1), 0.0)
    best: Array = ranks.max(1) + ranks.mean(1) * 1e-6
    return best


def choose(scored: Iterable[ScoredText | Reject], count: int, known: Sequence[str] = (), seed: int = 0) -> Chosen:
    """Chooses `count` texts, or as many as there are.

    Args:
        scored: is iterated over twice or more; no text is kept but those that are looked at closely.
        known: texts that are labelled already; neither they nor their near-duplicates are chosen.
    """
    chosen = Chosen([])
    table, places = array("f"), array("q")
    seen = {_digest(text) for text in known}
    for place, item in enumerate(scored):
        if isinstance(item, Reject):
            chosen.rejected += 1
            continue
        chosen.read += 1
        if item.status != "ok" or not item.confidence:
            chosen.unscored += 1
            continue
        digest = _digest(item.text)
        if digest in seen:
            chosen.repeated += 1
            continue
        seen.add(digest)
        table.extend(doubts(item))
        places.append(place)
    unsure = uncertainty(np.frombuffer(table, dtype=np.float32).reshape(-1, 4)) if places else np.zeros(0)
    order = np.argsort(-unsure, kind="stable")
    size = FACTOR * count
    while True:
        pool = order[:size]
        texts = _fetch(scored, [places[i] for i in pool])
        kept = _apart(texts, known)
        if len(kept) >= count or size >= len(order):
            break
        size *= 2
    chosen.near = len(pool) - len(kept)
    weights = unsure[pool][kept]
    picked = _diverse([texts[i].text for i in kept], weights, count, seed)
    chosen.texts = [texts[kept[i]] for i in sorted(picked)]
    return chosen


def _digest(text: str) -> int:
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big")


def _fetch(scored: Iterable[ScoredText | Reject], places: Sequence[int]) -> list[ScoredText]:
    """The texts at these places of the stream, in the order of `places`."""
    wanted = set(places)
    found = {place: item for place, item in enumerate(scored) if place in wanted and not isinstance(item, Reject)}
    return [found[place] for place in places]


def _apart(texts: Sequence[ScoredText], known: Sequence[str]) -> list[int]:
    """The first of every group of near-duplicates, without the groups of known texts."""
    groups = near_duplicate_groups([*known, *(one.text for one in texts)])
    taken = set(groups[: len(known)])
    kept = []
    for index, group in enumerate(groups[len(known) :]):
        if group not in taken:
            taken.add(group)
            kept.append(index)
    return kept


def _diverse(texts: Sequence[str], weights: Array, count: int, seed: int) -> list[int]:
    """Indices of `count` texts: in each of so many clusters the one nearest to the centre."""
    if len(texts) <= count:
        return list(range(len(texts)))
    vectors = TfidfVectorizer(analyzer="char", ngram_range=(1, 2), sublinear_tf=True).fit_transform(
        [normalise(text).text for text in texts]
    )
    # One thread: so little gains nothing by more, and sums the same way on every machine.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different points than clusters: filled up below
        if vectors.shape[1] > COMPONENTS:
            vectors = TruncatedSVD(min(COMPONENTS, len(texts) - 1), random_state=seed).fit_transform(vectors)
        points = normalize(np.asarray(vectors.todense()) if hasattr(vectors, "todense") else vectors)
        # Where nothing is in doubt, all weigh the same: KMeans cannot draw from weights of 0.
        means = KMeans(count, n_init=1, random_state=seed).fit(points, sample_weight=weights if weights.any() else None)
    distance = np.linalg.norm(points - means.cluster_centers_[means.labels_], axis=1)
    picked: dict[int, int] = {}
    for index in np.lexsort((np.arange(len(texts)), distance)):
        picked.setdefault(int(means.labels_[index]), int(index))
    taken = set(picked.values())
    rest = [index for index in range(len(texts)) if index not in taken]  # the most uncertain first
    return [*taken, *rest[: count - len(taken)]]
