"""1. The service evaluation index, mention shares and net sentiment, of dimensions and of any sets of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sentiment.report.intervals import (
    FEW_MENTIONS,
    Floats,
    Units,
    bounded_figure,
    percentile_interval,
    ratio_figure,
    share_figure,
    wilson,
)
from sentiment.report.model import Figure, IndexRow


@dataclass(frozen=True)
class Sums:
    """Sums of expected mentions with the same sums in every bootstrap replicate.

    `mentions` (D, 3): Σp⁻, Σp⁰, Σp⁺ by dimension; `texts`: how many texts; `replicates` (B, D, 3) and
    `replicate_texts` (B): the same, resampled; `units`: how many units were resampled.
    """

    mentions: Floats
    texts: float
    replicates: Floats
    replicate_texts: Floats
    units: int


@dataclass(frozen=True)
class AnySums:
    """Expected texts with at least one mention, and at least one negative one, of a set: the sum and its replicates."""

    mention: float
    negative: float
    mention_replicates: Floats
    negative_replicates: Floats


def tally(probabilities: NDArray[np.float32], units: Units, weight: Floats) -> Sums:
    """Sums over texts (n, D, 3) and their replicates under the weights (B, units)."""
    size = probabilities.shape[1]
    by_unit = np.empty((units.count, size, 3))
    for dimension in range(size):
        by_unit[:, dimension] = units.sums(probabilities[:, dimension])
    texts = units.sums(np.ones(len(units.of), np.float32))
    replicates = (weight @ by_unit.reshape(units.count, 3 * size)).reshape(len(weight), size, 3)
    occupied = int((texts > 0).sum())
    return Sums(by_unit.sum(0), float(texts.sum()), replicates, weight @ texts, occupied)


def any_mention(probabilities: NDArray[np.float32], dimensions: Sequence[int]) -> tuple[Floats, Floats]:
    """P(at least one of the dimensions is mentioned) and P(at least one negatively), by text: 1 − Π(1 − p), taking
    dimensions as independent given the text. Exact where the probabilities are 0 or 1."""
    none = np.ones(len(probabilities), np.float32)
    for dimension in dimensions:
        none *= 1 - np.minimum(1, probabilities[:, dimension].sum(1))
    return 1 - none, any_negative(probabilities, dimensions)


def any_negative(probabilities: NDArray[np.float32], dimensions: Sequence[int]) -> Floats:
    """The second of `any_mention` alone, which is the quicker one."""
    none = np.ones(len(probabilities), np.float32)
    for dimension in dimensions:
        none *= 1 - probabilities[:, dimension, 0]
    found: Floats = 1 - none
    return found


def any_sums(probabilities: NDArray[np.float32], dimensions: Sequence[int], units: Units, weight: Floats) -> AnySums:
    """`any_mention` summed over texts."""
    columns = [units.sums(column) for column in any_mention(probabilities, dimensions)]
    return AnySums(float(columns[0].sum()), float(columns[1].sum()), weight @ columns[0], weight @ columns[1])


def service_index(mentions: Floats) -> Floats:
    """The service evaluation index, 0–100 points, from (…, 3) sums of negative, neutral, positive mentions.

    100 × (Σp⁺ + ½Σp⁰) / Σ(p⁺ + p⁰ + p⁻): the mean of mentions that count 0, ½ or 1, over calibrated probabilities, so
    that uncertain mentions count by how probable they are (prevalence from probabilities rather than from counted
    labels: Bella et al. 2010, Quantification via Probability Estimators). NaN without mentions.
    """
    total = mentions.sum(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(total > 0, 100 * (mentions[..., 2] + mentions[..., 1] / 2) / total, np.nan)


def net_sentiment(mentions: Floats) -> Floats:
    """100 × (Σp⁺ − Σp⁻) / Σp, −100…100."""
    total = mentions.sum(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(total > 0, 100 * (mentions[..., 2] - mentions[..., 0]) / total, np.nan)


def index_figure(sums: Sums, dimensions: Sequence[int]) -> Figure:
    """The index of a set of dimensions, which weights them by their mentions."""
    mentions, replicates = sums.mentions[dimensions].sum(0), sums.replicates[:, dimensions].sum(1)
    n = float(mentions.sum())
    return ratio_figure(float(service_index(mentions)), service_index(replicates), sums.units, n, least=0, most=100)


def index_row(
    key: str, zh: str, en: str, dimensions: Sequence[int], sums: Sums, any_of: AnySums, quotes: str | None = None
) -> IndexRow:
    """All figures of one set of dimensions (often one)."""
    chosen = list(dimensions)
    mentions, replicates = sums.mentions[chosen].sum(0), sums.replicates[:, chosen].sum(1)
    n = float(mentions.sum())
    net = ratio_figure(float(net_sentiment(mentions)), net_sentiment(replicates), sums.units, n, least=-100, most=100)

    def share(successes: float, replicates: Floats) -> Figure:
        return text_share(successes, replicates, sums.texts, sums.replicate_texts, sums.units)

    return IndexRow(
        key, zh, en,
        index=index_figure(sums, chosen),
        mention_share=share(any_of.mention, any_of.mention_replicates),
        net=net,
        negative_share=share(any_of.negative, any_of.negative_replicates),
        positive=float(mentions[2]), neutral=float(mentions[1]), negative=float(mentions[0]),
        quotes=quotes,
    )  # fmt: skip


def text_share(successes: float, replicates: Floats, n: float, replicate_n: Floats, units: int) -> Figure:
    """Percent of texts with its bootstrap interval; where under 30 texts are in it Wilson's, of the n that would have
    the bootstrap's variance (Korn & Graubard 1998): sums of probabilities vary less than counts, cinemas more."""
    figure = share_figure(successes, n)
    if figure.value is None:
        return figure
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = 100 * replicates / replicate_n
    if successes < FEW_MENTIONS:
        variance = float(np.nanvar(shares)) / 10_000
        share = figure.value / 100
        if variance <= 0 or share in (0, 1):
            return figure
        as_good_as = min(share * (1 - share) / variance, 10 * n)
        low, high = wilson(share * as_good_as, as_good_as)
        return Figure(figure.value, 100 * low, 100 * high, figure.n)
    found = percentile_interval(shares, units)
    if found is None:
        return figure
    return bounded_figure(figure.value, min(found[0], figure.value), max(found[1], figure.value), figure.n)


def sentiment_shares(overall: NDArray[np.int8], units: Units, weight: Floats) -> dict[str, Figure]:
    """Percent of texts by their overall sentiment."""
    known = (overall >= 0).astype(np.float32)
    n, texts = float(known.sum()), weight @ units.sums(known)
    shares = {}
    for name, code in (("positive", 2), ("neutral", 1), ("negative", 0)):
        column = units.sums((overall == code).astype(np.float32))
        shares[name] = text_share(float(column.sum()), weight @ column, n, np.maximum(texts, 1), units.count)
    return shares
