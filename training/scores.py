"""A checkpoint's raw answers to labelled examples, as arrays: what calibration and evaluation work on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentiment.checkpoint import Checkpoint
from sentiment.decode import Decoded, EvidenceFinder, join, sigmoid, softmax
from sentiment.engine import Engine
from sentiment.scaling import Scaling
from sentiment.taxonomy import Taxonomy
from sentiment.text import normalise
from sentiment.windows import split_windows
from training.example import Example
from training.metrics import HEADS, UNKNOWN, Predictions

Array = NDArray[Any]

UNREAD = -20.0  # the logit of every mention, and of escalation, in a text that was not scored


@dataclass(frozen=True)
class Scores:
    """Logits of N texts: mention [N, K], polarity [N, K, 3], overall [N, 3], intent [N, I], escalation [N].

    evidence [N, K, 2]: code points of the caller's text for every dimension, whether mentioned or not. A text that was
    not scored (empty, not Chinese) has logits that say "nothing".

    windows [N]: of a text of several windows their logits, by which its probabilities are joined as the analyser joins
    them, after scaling; None for any other, and as a whole where none are kept. The logits of such a text are those of
    its windows joined unscaled, on which a scaling is fitted.
    """

    mention: Array
    polarity: Array
    overall: Array
    intent: Array
    escalation: Array
    evidence: Array
    windows: Array | None = None

    @property
    def unread(self) -> Array:
        """[N]: which texts were not scored."""
        found: Array = (self.mention == UNREAD).all(1)
        return found

    def take(self, index: Array | Sequence[int]) -> Scores:
        windows = None if self.windows is None else self.windows[index]
        parts = {name: getattr(self, name)[index] for name in (*HEADS, "evidence")}
        return Scores(**parts, windows=windows)

    def probabilities(self, scaling: Scaling) -> dict[str, Array]:
        """Calibrated probabilities of each head, in the shapes of the logits."""
        share = scaling.share(self.mention)
        found: dict[str, Array] = {
            name: (sigmoid if name in ("mention", "escalation") else softmax)(
                scaling.scaled(name, getattr(self, name), share)
            )
            for name in HEADS
        }
        if self.windows is None:
            return found
        for i, windows in enumerate(self.windows):
            if windows is not None:
                joined = join(windows, scaling)
                for name in HEADS:
                    found[name][i] = getattr(joined, name)
        return found


def score_examples(checkpoint: Checkpoint, engine: Engine, examples: Sequence[Example]) -> Scores:
    """Runs the checkpoint over the examples' texts, windows joined as the analyser joins them."""
    count, intents = len(checkpoint.taxonomy.keys), len(checkpoint.taxonomy.intents)
    size = len(examples)
    kept = np.full(size, None, dtype=object)
    table = Scores(
        np.full((size, count), UNREAD),
        np.zeros((size, count, 3)),
        np.zeros((size, 3)),
        np.zeros((size, intents)),
        np.full(size, UNREAD),
        np.zeros((size, count, 2), dtype=int),
        kept,
    )
    normalised = [normalise(example.text) for example in examples]
    readable = [i for i, norm in enumerate(normalised) if norm.status == "ok"]
    encodings = engine.tokenizer.encode_batch([normalised[i].text for i in readable], add_special_tokens=False)
    ranges = [
        split_windows(normalised[i].text, encoding.offsets, engine.window)
        for i, encoding in zip(readable, encodings, strict=True)
    ]
    windows = [e.ids[start:end] for e, parts in zip(encodings, ranges, strict=True) for start, end in parts]
    answers = iter(engine.run(windows))
    for i, encoding, parts in zip(readable, encodings, ranges, strict=True):
        logits = [next(answers) for _ in parts]
        decoded = join(logits, Scaling())
        for name in HEADS:
            value = getattr(logits[0], name) if len(logits) == 1 else _logit(decoded, name)
            getattr(table, name)[i] = value
        if len(logits) > 1:
            # Of the evidence only the number of tokens counts when they are joined again.
            kept[i] = [replace(one, evidence=np.zeros((len(one.evidence), 0), np.float32)) for one in logits]
            decoded = join(logits, checkpoint.scaling)  # the loudest window as the analyser has it
        offsets = encoding.offsets
        finders = [EvidenceFinder(offsets[first:last], normalised[i].text) for first, last in parts]
        for k, window in enumerate(decoded.best.tolist()):
            span = finders[window].span(logits[window].evidence[:, k])
            table.evidence[i, k] = normalised[i].original_span(*span) if span[0] < span[1] else (0, 0)
    return table


def _logit(decoded: Decoded, name: str) -> Array:
    value = np.clip(np.asarray(getattr(decoded, name), dtype=float), 1e-9, 1 - 1e-9)
    logit: Array = np.log(value / (1 - value)) if name in ("mention", "escalation") else np.log(value)
    return logit


def gold_labels(examples: Sequence[Example], taxonomy: Taxonomy) -> Predictions:
    """The examples' labels as arrays; what nobody judged is UNKNOWN."""
    size, count = len(examples), len(taxonomy.keys)
    mention, polarity = np.full((size, count), UNKNOWN), np.full((size, count), UNKNOWN)
    for i, example in enumerate(examples):
        for key in example.annotated:
            mention[i, taxonomy.index[key]] = 0
        for key, (sentiment, _, _) in example.labels.items():
            mention[i, taxonomy.index[key]] = 1
            polarity[i, taxonomy.index[key]] = taxonomy.sentiments.index(sentiment)

    def classes(values: list[Any], names: Sequence[Any]) -> Array:
        return np.array([UNKNOWN if value is None else names.index(value) for value in values])

    return Predictions(
        mention,
        polarity,
        classes([e.overall for e in examples], taxonomy.overall),
        classes([e.intent for e in examples], taxonomy.intents),
        classes([e.escalation for e in examples], (False, True)),
    )
