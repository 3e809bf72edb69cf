"""Logits → calibrated probabilities, joined over windows → mentions with evidence."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
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
# Their powers: of no run that counts is there more to cross than its characters.
_CROSSINGS = _CROSSING ** np.arange(MAX_EVIDENCE + 1)
_WHOLES = _WHOLE ** np.arange(3)


@dataclass(frozen=True, slots=True)
class Decoded:
    """One text's probabilities: mention [K], polarity [K, 3] in taxonomy order, overall [3], intent [I], escalation [].

    `best` [K]: the window that speaks loudest for each dimension, where its evidence is. Of several texts every array
    has one axis more, the first.
    """

    mention: Floats
    polarity: Floats
    overall: Floats
    intent: Floats
    escalation: Floats
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
    one = join_all([windows], scaling)
    return Decoded(one.mention[0], one.polarity[0], one.overall[0], one.intent[0], one.escalation[0, ...], one.best[0])


def join_all(texts: Sequence[Sequence[Logits]], scaling: Scaling) -> Decoded:
    """`join` of each of the texts, one at least, bit for bit: no step reaches across windows but those of one text."""
    windows = [window for text in texts for window in text]

    def stacked(head: str) -> Floats:
        return np.array([getattr(window, head) for window in windows], dtype=np.float64)

    raw = stacked("mention")
    share = scaling.share(raw)
    mention = sigmoid(scaling.scaled("mention", raw, share))
    polarity, overall, intent = (
        softmax(scaling.scaled(head, stacked(head), share)) for head in ("polarity", "overall", "intent")
    )
    escalation = sigmoid(scaling.scaled("escalation", stacked("escalation"), share))
    first = np.cumsum([0, *map(len, texts[:-1])])
    # Right for texts of one window, which most are.
    found = Decoded(
        mention[first],
        polarity[first],
        overall[first],
        intent[first],
        escalation[first],
        np.zeros((len(texts), mention.shape[1]), dtype=np.intp),
    )
    for i, text in enumerate(texts):
        if len(text) == 1:
            continue
        own = slice(first[i], first[i] + len(text))
        weight = np.maximum(mention[own], 1e-9) ** 2  # where no window mentions it at all, all count alike
        weight /= weight.sum(0, keepdims=True)
        lengths = np.array([max(len(window.evidence), 1) for window in text], dtype=float)
        joined = intent[own].max(0)
        joined[0] = intent[own, 0].min()
        found.mention[i] = mention[own].max(0)
        found.polarity[i] = (polarity[own] * weight[:, :, None]).sum(0)
        found.overall[i] = (overall[own] * (lengths / lengths.sum())[:, None]).sum(0)
        found.intent[i] = joined / joined.sum()
        found.escalation[i] = escalation[own].max()
        found.best[i] = mention[own].argmax(0)
    return found


class EvidenceFinder:
    """Finds the evidence of dimensions in one window, from their attention over its tokens.

    The attention is trained to be even over the labelled span and nil elsewhere. Read like that, its perplexity is the
    span's length; of the runs of tokens around the peak, at most `MAX_EVIDENCE` characters, the one with the highest
    expected character F1 is chosen. A run that begins or ends with a clause is preferred a little to one that does not,
    and one within a clause to one that crosses over. Punctuation at the ends goes.
    """

    def __init__(self, offsets: Sequence[tuple[int, int]], text: str) -> None:
        """`offsets`: the tokens' code points in `text`, in order."""
        self._text, self._offsets = text, offsets
        self._usable = np.array([t for t, (start, end) in enumerate(offsets) if text[start:end].strip(_TRIMMED)])
        if not len(self._usable):
            return
        self._starts, self._ends = map(list, zip(*offsets, strict=True))
        # The window with the characters beside it, where a text's ends count as breaks; the rest may be long.
        origin = self._starts[0]
        around = f" {text} "[origin : self._ends[-1] + 2]
        breaks = np.array([character in _BREAKS for character in around], dtype=int)
        breaks_up_to = breaks.cumsum()
        first, last = np.array(self._starts) - origin, np.array(self._ends) - origin
        self._at_start, self._at_end = breaks[first], breaks[last + 1]
        self._breaks_before, self._breaks_within = breaks_up_to[first], breaks_up_to[last]
        self._first, self._last, self._lengths = first, last, np.maximum(last - first, 1)

    def span(self, attention: Floats) -> tuple[int, int]:
        """The evidence of one dimension, of which `attention` is the log attention [T]: code points (start, end)."""
        text, usable = self._text, self._usable
        if not len(usable):
            offsets = self._offsets
            start, end = (offsets[0][0], offsets[-1][1]) if offsets else (0, 0)
            start, end = (start, end) if start < end else (0, len(text))
            return start, min(end, start + MAX_EVIDENCE)
        attention = np.asarray(attention[: len(self._first)], dtype=np.float64)
        peak = int(usable[attention[usable].argmax()])
        share = softmax(attention)
        length = np.exp(-(share * np.log(np.maximum(share / self._lengths, 1e-12))).sum())

        # The tokens that a run may begin and end with: all near the peak, which may be longer by itself.
        low = min(bisect_left(self._starts, self._ends[peak] - MAX_EVIDENCE), peak)
        high = max(bisect_right(self._ends, self._starts[peak] + MAX_EVIDENCE), peak + 1)
        begin, finish = np.s_[low : peak + 1, None], np.s_[peak:high]
        mass = np.zeros(len(share) + 1)
        share.cumsum(out=mass[1:])
        characters = self._last[finish] - self._first[begin]
        value = (mass[peak + 1 : high + 1] - mass[begin]) / (1.0 + characters / length)
        value *= _CROSSINGS.take(self._breaks_within[finish] - self._breaks_before[begin], mode="clip")
        value *= _WHOLES[self._at_start[begin] + self._at_end[finish]]
        value[characters > MAX_EVIDENCE] = -1.0
        i, j = divmod(int(value.argmax()), high - peak)
        start, end = self._starts[low + i], self._ends[peak + j]
        while text[start] in _TRIMMED:  # ends within the peak, which is more than punctuation
            start += 1
        end = min(end, start + MAX_EVIDENCE)
        while text[end - 1] in _TRIMMED:
            end -= 1
        return start, end
