"""Logits → calibrated probabilities, joined over windows → mentions with evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentiment.engine import Logits

Floats = NDArray[np.floating[Any]]

# The guidelines' longest evidence, in characters.
MAX_EVIDENCE = 40
_TRIMMED = " \t\n。！？!?…；;，,、~～：:.\"'”“‘’（）()【】[]《》"


@dataclass(frozen=True, slots=True)
class Decoded:
    """One text's probabilities: mention [K], polarity [K, 3] in taxonomy order, overall [3], intent [I], escalation.

    `best` [K]: the window that speaks loudest for each dimension, where its evidence is.
    """

    mention: Floats
    polarity: Floats
    overall: Floats
    intent: Floats
    escalation: float
    best: NDArray[np.intp]


def softmax(logits: Floats) -> Floats:
    """Softmax over the last axis."""
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True))


def sigmoid(logits: Floats) -> Floats:
    """Logistic function, without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * logits)))


def join(windows: Sequence[Logits], temperatures: dict[str, float]) -> Decoded:
    """Joins a text's windows after dividing the logits by each head's temperature (Guo et al. 2017).

    A dimension is as surely mentioned as in its best window, whose polarity counts by how surely each window mentions
    it. `overall` is the mean weighted by tokens. An intent other than the first, and `escalation`, is as sure as in the
    window that shows it best: one complaint at the end makes the text a complaint.
    """
    mention = sigmoid(np.stack([w.mention for w in windows]).astype(np.float64) / temperatures.get("mention", 1.0))
    polarity = softmax(np.stack([w.polarity for w in windows]).astype(np.float64) / temperatures.get("polarity", 1.0))
    overall = softmax(np.stack([w.overall for w in windows]).astype(np.float64) / temperatures.get("overall", 1.0))
    intent = softmax(np.stack([w.intent for w in windows]).astype(np.float64) / temperatures.get("intent", 1.0))
    escalation = sigmoid(
        np.stack([w.escalation for w in windows]).astype(np.float64) / temperatures.get("escalation", 1.0)
    )
    if len(windows) == 1:
        return Decoded(
            mention[0], polarity[0], overall[0], intent[0], float(escalation[0]), np.zeros(mention.shape[1], int)
        )
    weight = np.maximum(mention, 1e-9) ** 2  # where no window mentions it at all, all count alike
    weight /= weight.sum(0, keepdims=True)
    lengths = np.array([max(len(w.evidence), 1) for w in windows], dtype=float)
    joined = intent.max(0)
    joined[0] = intent[:, 0].min()
    return Decoded(
        mention.max(0),
        (polarity * weight[:, :, None]).sum(0),
        (overall * (lengths / lengths.sum())[:, None]).sum(0),
        joined / joined.sum(),
        float(escalation.max()),
        mention.argmax(0),
    )


def evidence_span(attention: Floats, offsets: Sequence[tuple[int, int]], text: str, ratio: float) -> tuple[int, int]:
    """The evidence of one dimension: code points (start, end) in `text`.

    Starts at the token with the most attention and grows to both sides while tokens have at least `ratio` of its
    attention (one weaker token in between is bridged), within `MAX_EVIDENCE` characters; punctuation at the ends goes.

    Args:
        attention: log attention [T]; offsets: the tokens' code points in `text`.
    """
    usable = [t for t, (start, end) in enumerate(offsets) if text[start:end].strip(_TRIMMED)]
    if not usable:
        start, end = (offsets[0][0], offsets[-1][1]) if offsets else (0, 0)
        start, end = (start, end) if start < end else (0, len(text))
        return start, min(end, start + MAX_EVIDENCE)
    peak = max(usable, key=lambda t: float(attention[t]))
    strong = attention >= attention[peak] + np.log(ratio)
    first = last = peak
    left = right = True
    while left or right:
        left = (
            left
            and first > 0
            and _joins(strong, first - 1, -1)
            and offsets[last][1] - offsets[first - 1][0] <= MAX_EVIDENCE
        )
        if left:
            first -= 1
        right = (
            right
            and last + 1 < len(offsets)
            and _joins(strong, last + 1, 1)
            and offsets[last + 1][1] - offsets[first][0] <= MAX_EVIDENCE
        )
        if right:
            last += 1
    start, end = offsets[first][0], offsets[last][1]
    while text[start] in _TRIMMED:  # ends within the peak, which is more than punctuation
        start += 1
    end = min(end, start + MAX_EVIDENCE)
    while text[end - 1] in _TRIMMED:
        end -= 1
    return start, end


def _joins(strong: NDArray[np.bool_], token: int, step: int) -> bool:
    beyond = token + step
    return bool(strong[token] or (0 <= beyond < len(strong) and strong[beyond]))
