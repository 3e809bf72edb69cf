"""The walk of a text through the house: normalise, window, tokenise, infer, decode, record."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import cast

import numpy as np

from sentiment.checkpoint import Checkpoint, load_checkpoint
from sentiment.decode import Decoded, evidence_span, join
from sentiment.engine import Engine, Logits
from sentiment.records import PROBABILITY_ORDER, Analysis, Mention, Sentiment
from sentiment.runtimes import Choice
from sentiment.taxonomy import Taxonomy, TaxonomyError, load_taxonomy
from sentiment.text import MAX_CHARACTERS, NormalisedText, normalise
from sentiment.windows import split_windows

# Texts taken together by `analyze_many`: enough to sort by length well, few enough for constant memory.
BLOCK = 1024
# Characters that are tokenised and inferred together: each takes some 350 bytes until its text is decoded. A block of
# reviews has fewer, one of long articles would take gigabytes.
GROUP_CHARACTERS = 500_000
ESCALATION = "escalation"


class Analyzer:
    """Scores texts with one checkpoint. Safe to use from several threads.

    Example:
        >>> analyzer = Analyzer.load()
        >>> analyzer.analyze("座椅太硬，坐得腰疼").overall
        'negative'
    """

    def __init__(self, checkpoint: Checkpoint, engine: Engine, *, taxonomy: Taxonomy | None = None) -> None:
        self._checkpoint = checkpoint
        self._engine = engine
        self.name = checkpoint.name
        self.hash = checkpoint.hash
        self.taxonomy = checkpoint.taxonomy if taxonomy is None else checkpoint.taxonomy.with_names_of(taxonomy)
        self._thresholds = np.array([checkpoint.thresholds[key] for key in self.taxonomy.keys])
        self._wanted = np.ones(len(self.taxonomy.keys), dtype=bool)
        self._order = [checkpoint.taxonomy.sentiments.index(name) for name in PROBABILITY_ORDER]

    @classmethod
    def load(
        cls,
        path: str | Path | None = None,
        *,
        taxonomy: str | Path | Taxonomy | None = None,
        threads: int | None = None,
        batch_size: int | None = None,
        max_memory: int | None = None,
        runtime: str | None = None,
        dimensions: Sequence[str] | None = None,
        thresholds: Mapping[str, float] | float | None = None,
    ) -> Analyzer:
        """Opens a checkpoint folder; without `path`, the checkpoint inside the package.

        Args:
            taxonomy: a file or label space whose names, owners and lenses replace the checkpoint's; same keys.
            threads: CPU threads, all cores by default. batch_size: most windows a batch. max_memory: MB of activations.
            runtime: onnxruntime, openvino (extra `fast`), or auto: OpenVINO where it is installed and the processor
                multiplies bfloat16, else ONNX Runtime. By default that of the variable CINESENT_RUNTIME, else auto.
            dimensions: keys to report; all by default.
            thresholds: least mention probability, for all dimensions or by key; by default the checkpoint's.

        Raises:
            CheckpointError: the folder holds no usable checkpoint. TaxonomyError: an unknown key.
            RuntimeChoiceError: the runtime is not installed. ValueError: a number out of range.
        """
        checkpoint = load_checkpoint(path)
        names = taxonomy if taxonomy is None or isinstance(taxonomy, Taxonomy) else load_taxonomy(taxonomy)
        engine = Engine(checkpoint, threads=threads, batch_size=batch_size, max_memory=max_memory, runtime=runtime)
        analyzer = cls(checkpoint, engine, taxonomy=names)
        if dimensions is not None:
            analyzer._wanted = np.isin(analyzer.taxonomy.keys, [analyzer.taxonomy[key].key for key in dimensions])
        if isinstance(thresholds, Mapping):
            for key, value in thresholds.items():
                analyzer._thresholds[analyzer._position(key)] = _probability(value, f"the threshold of {key}")
        elif thresholds is not None:
            analyzer._thresholds[:] = _probability(thresholds, "the threshold")
        return analyzer

    @property
    def runtime(self) -> Choice:
        """What runs the model."""
        return self._engine.runtime

    def _position(self, key: str) -> int:
        if key not in self.taxonomy.index:
            raise TaxonomyError(
                f"expected a dimension of the taxonomy ({', '.join(self.taxonomy.keys)}), found {key!r}"
            )
        return self.taxonomy.index[key]

    def warm_up(self) -> None:
        """Runs one short and one long text, so that the first caller does not pay for lazy set-up."""
        self.analyze_block(["影院不错", "座椅有点硬，音响很好。" * 40])

    def analyze(self, text: str, id: str | None = None) -> Analysis:  # noqa: A002
        """Scores one text of any length (beyond 20,000 characters the rest is left unread)."""
        return self.analyze_block([text], [id])[0]

    def analyze_many(self, texts: Iterable[str]) -> Iterator[Analysis]:
        """Scores a stream in constant memory; the order is kept."""
        iterator = iter(texts)
        while block := list(islice(iterator, BLOCK)):
            yield from self.analyze_block(block)

    def analyze_block(self, texts: Sequence[str], ids: Sequence[str | None] | None = None) -> list[Analysis]:
        """Scores texts together, sorted by length and batched inside; the order is kept.

        A text's record does not depend on its neighbours.
        """
        for text in texts:
            if not isinstance(text, str):
                raise TypeError(f"expected texts of type str, found {type(text).__name__}")
        names = ids if ids is not None else [None] * len(texts)
        if len(names) != len(texts):
            raise ValueError(f"expected one id a text, found {len(names)} ids for {len(texts)} texts")
        found: list[Analysis] = []
        for group in _groups(texts):
            found += self._analyze_group(texts[group], names[group])
        return found

    def _analyze_group(self, texts: Sequence[str], names: Sequence[str | None]) -> list[Analysis]:
        normalised = [normalise(text) for text in texts]
        readable = [i for i, norm in enumerate(normalised) if norm.status == "ok"]
        encodings = self._engine.tokenizer.encode_batch(
            [normalised[i].text for i in readable], add_special_tokens=False
        )
        offsets = [encoding.offsets for encoding in encodings]
        parts = [
            split_windows(normalised[i].text, spans, self._engine.window)
            for i, spans in zip(readable, offsets, strict=True)
        ]
        windows = [
            encoding.ids[start:end] for encoding, ranges in zip(encodings, parts, strict=True) for start, end in ranges
        ]
        answers = iter(self._engine.run(windows))
        records: list[Analysis | None] = [None] * len(texts)
        for i, spans, ranges in zip(readable, offsets, parts, strict=True):
            logits = [next(answers) for _ in ranges]
            records[i] = self._record(texts[i], names[i], normalised[i], spans, ranges, logits)
        return [
            record
            if record is not None
            else Analysis(self.name, name, norm.status, norm.script, truncated=norm.truncated)
            for record, name, norm in zip(records, names, normalised, strict=True)
        ]

    def _record(
        self,
        text: str,
        name: str | None,
        norm: NormalisedText,
        offsets: Sequence[tuple[int, int]],
        ranges: Sequence[tuple[int, int]],
        logits: Sequence[Logits],
    ) -> Analysis:
        rules = self._checkpoint
        decoded = join(logits, rules.scaling)
        shares = decoded.polarity * decoded.mention[:, None]
        mentions = []
        for k in np.flatnonzero((decoded.mention >= self._thresholds) & self._wanted):
            window = int(decoded.best[k])
            first, last = ranges[window]
            span = evidence_span(logits[window].evidence[:, k], offsets[first:last], norm.text)
            start, end = norm.original_span(*span)
            dimension, choice = self.taxonomy.dimensions[k], int(decoded.polarity[k].argmax())
            sentiment = cast("Sentiment", self.taxonomy.sentiments[choice])
            mentions.append(
                Mention(
                    dimension.key, sentiment, _floored(shares[k, choice]), text[start:end], start, end, dimension.owner
                )
            )
        mentions.sort(key=lambda mention: -mention.confidence)
        overall, intent = int(decoded.overall.argmax()), int(decoded.intent.argmax())
        escalation = decoded.escalation >= rules.thresholds.get(ESCALATION, 0.5)
        return Analysis(
            model=self.name,
            id=name,
            status="ok",
            script=norm.script,
            overall=self.taxonomy.overall[overall],  # type: ignore[arg-type]
            overall_confidence=_rounded(decoded.overall[overall]),
            intent=self.taxonomy.intents[intent],
            intent_confidence=_rounded(decoded.intent[intent]),
            escalation=bool(escalation),
            escalation_confidence=_rounded(decoded.escalation if escalation else 1 - decoded.escalation),
            dimensions=tuple(mentions),
            uncertain=self._uncertain(decoded, mentions),
            tokens=len(offsets),
            windows=len(ranges),
            truncated=norm.truncated,
            probabilities={
                key: tuple(_floored(shares[k, c]) for c in self._order)  # type: ignore[misc]
                for k, key in enumerate(self.taxonomy.keys)
                if self._wanted[k]
            },
        )

    def _uncertain(self, decoded: Decoded, mentions: Sequence[Mention]) -> bool:
        """Whether a person should look: `overall` or `intent` less sure than the checkpoint's bound, a mention less
        sure, or escalation nearer to its threshold than the bound."""
        bounds = self._checkpoint.uncertain
        threshold = self._checkpoint.thresholds.get(ESCALATION, 0.5)
        return bool(
            decoded.overall.max() < bounds.get("overall", 0.0)
            or decoded.intent.max() < bounds.get("intent", 0.0)
            or any(mention.confidence < bounds.get("mention", 0.0) for mention in mentions)
            or abs(decoded.escalation - threshold) < bounds.get(ESCALATION, 0.0)
        )


def _groups(texts: Sequence[str]) -> Iterator[slice]:
    """The texts in runs of at most `GROUP_CHARACTERS` that are read, or of one text."""
    start = characters = 0
    for i, text in enumerate(texts):
        length = min(len(text), MAX_CHARACTERS)
        if characters + length > GROUP_CHARACTERS and i > start:
            yield slice(start, i)
            start, characters = i, 0
        characters += length
    if start < len(texts):
        yield slice(start, len(texts))


def _probability(value: float, what: str) -> float:
    if not 0.0 < value < 1.0:
        raise ValueError(f"expected {what} between 0 and 1, found {value}")
    return float(value)


def _rounded(value: float) -> float:
    return round(float(value), 4)


def _floored(value: float) -> float:
    """Rounded down: three shares of one dimension never add up to more than 1."""
    return math.floor(float(value) * 10_000) / 10_000
