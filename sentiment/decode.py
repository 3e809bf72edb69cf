"""Logits → calibrated probabilities, joined over windows → mentions with evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentiment.engine import Logits
from sentiment.scaling import Scaling

Floats = NDArray[np.floating[Any]]

# The guidelines' longest evidence, in characters.
MAX_EVIDENCE = 40
# Chosen on the development texts: what a span loses by each clause that it crosses into, and wins by each whole end.
_CROSSING, _WHOLE = 0.95, 1.04
_BREAKS = frozenset("。！？!?…；;，,、：:（）()～~\n ")
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


def join(windows: Sequence[Logits], scaling: Scaling) -> Decoded:
    """Joins a text's windows after scaling the logits of each.

    A dimension is as surely mentioned as in its best window, whose polarity counts by how surely each window mentions
    it. `overall` is the mean weighted by tokens. An intent other than the first, and `escalation`, is as sure as in the
    window that shows it best: one complaint at the end makes the text a complaint.
    """
    raw = np.stack([w.mention for w in windows]).astype(np.float64)
    share = scaling.share(raw)

    def scaled(head: str) -> Floats:
        return scaling.scaled(head, np.stack([getattr(w, head) for w in windows]).astype(np.float64), share)

    mention = sigmoid(scaling.scaled("mention", raw, share))
    polarity, overall, intent = (softmax(scaled(head)) for head in ("polarity", "overall", "intent"))
    escalation = sigmoid(scaled("escalation"))
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


def evidence_span(attention: Floats, offsets: Sequence[tuple[int, int]], text: str) -> tuple[int, int]:
    """The evidence of one dimension: code points (start, end) in `text`.

    The attention is trained to be even over the labelled span and nil elsewhere. Read like that, its perplexity is the
    span's length; of the runs of tokens around the peak, at most `MAX_EVIDENCE` characters, the one with the highest
    expected character F1 is chosen. A run that begins or ends with a clause is preferred a little to one that does not,
    and one within a clause to one that crosses over. Punctuation at the ends goes.

    Args:
        attention: log attention [T]; offsets: the tokens' code points in `text`.
    """
    usable = [t for t, (start, end) in enumerate(offsets) if text[start:end].strip(_TRIMMED)]
    if not usable:
        start, end = (offsets[0][0], offsets[-1][1]) if offsets else (0, 0)
        start, end = (start, end) if start < end else (0, len(text))
        return start, min(end, start + MAX_EVIDENCE)
    peak = max(usable, key=lambda t: float(attention[t]))
    starts, ends = np.array(offsets).T
    share = softmax(np.asarray(attention[: len(offsets)], dtype=np.float64))
    per_character = share / np.maximum(ends - starts, 1)
    length = np.exp(-(share * np.log(np.maximum(per_character, 1e-12))).sum())

    first = np.flatnonzero(starts[: peak + 1] >= ends[peak] - MAX_EVIDENCE)
    first = first if len(first) else np.array([peak])  # a token that is longer by itself
    last = peak + np.flatnonzero(ends[peak:] <= starts[peak] + MAX_EVIDENCE)
    last = last if len(last) else np.array([peak])
    mass = np.concatenate([[0.0], np.cumsum(share)])
    origin = int(starts[first[0]])  # nothing beyond the candidates is looked at: texts may be long
    breaks = np.cumsum([0, *(character in _BREAKS for character in text[origin : ends[last[-1]]])])
    at_start = np.array([starts[t] == 0 or text[starts[t] - 1] in _BREAKS for t in first])
    at_end = np.array([ends[t] == len(text) or text[ends[t]] in _BREAKS for t in last])
    characters = ends[last] - starts[first][:, None]
    value = (mass[last + 1] - mass[first][:, None]) / (1.0 + characters / length)
    value *= _CROSSING ** (breaks[ends[last] - origin] - breaks[starts[first] - origin][:, None])
    value *= _WHOLE ** (at_start[:, None].astype(int) + at_end)
    value[characters > MAX_EVIDENCE] = -1.0
    i, j = np.unravel_index(int(value.argmax()), value.shape)
    start, end = int(starts[first[i]]), int(ends[last[j]])
    while text[start] in _TRIMMED:  # ends within the peak, which is more than punctuation
        start += 1
    end = min(end, start + MAX_EVIDENCE)
    while text[end - 1] in _TRIMMED:
        end -= 1
    return start, end
