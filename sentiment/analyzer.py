"""The walk of a text through the house: normalise, window, tokenise, infer, decode, record."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np

from sentiment.checkpoint import Checkpoint, load_checkpoint
from sentiment.decode import EvidenceFinder, Floats, join_all
from sentiment.engine import Engine, Logits
from sentiment.memory import give_back
from sentiment.records import PROBABILITY_ORDER, Analysis, Mention, Sentiment
from sentiment.runtimes import Choice, decided_by
from sentiment.taxonomy import Taxonomy, TaxonomyError, load_taxonomy
from sentiment.text import MAX_CHARACTERS, NormalisedText, normalise
from sentiment.windows import split_windows

# Texts taken together by `analyze_many`: enough to sort by length well, few enough for constant memory.
BLOCK = 1024
# Characters that are tokenised and inferred together: each takes some 350 bytes until its text is decoded. A block of
# reviews has fewer, one of long articles would take gigabytes.
GROUP_CHARACTERS = 500_000
# Texts after which memory is given back: it takes less than a hundredth of their time.
MANY = 256
ESCALATION = "escalation"


class _FoundMention(NamedTuple):
    """A mention: positions of its dimension, its sentiment and its window."""

    dimension: int
    sentiment: int
    confidence: float
    window: int


class _Found(NamedTuple):
    """What the windows of one text say, as plain numbers.

    `probabilities` are three rows, in the record's order, of the wanted dimensions.
    """

    mentions: list[_FoundMention]
    probabilities: list[list[float]]
    overall: list[float]
    intent: list[float]
    escalation: float


class Analyzer:
    """Scores texts with one checkpoint. Safe to use from several threads.

    Example:
        >>> analyzer = Analyzer.load()
        >>> analyzer.analyze("座椅太硬，坐得腰疼").overall
        'negative'
    """

    def __init__(self, checkpoint: Checkpoint, engine: Engine, *, taxonomy: Taxonomy | None = None) -> None:
        checkpoint = decided_by(engine.runtime, checkpoint)
        self._checkpoint = checkpoint
        self._engine = engine
        self.name = checkpoint.name
        self.hash = checkpoint.hash
        self.taxonomy = checkpoint.taxonomy if taxonomy is None else checkpoint.taxonomy.with_names_of(taxonomy)
        self._thresholds = np.array([checkpoint.thresholds[key] for key in self.taxonomy.keys])
        self._wanted, self._wanted_keys = np.ones(len(self.taxonomy.keys), dtype=bool), self.taxonomy.keys
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
            runtime: onnxruntime (in float32), onnxruntime-int8, or auto, which is int8 where processor and checkpoint
                allow it. By default that of the variable CINESENT_RUNTIME, else auto.
            dimensions: keys to report; all by default.
            thresholds: least mention probability, for all dimensions or by key; by default the checkpoint's.

        Raises:
            CheckpointError: the folder holds no usable checkpoint. TaxonomyError: an unknown key.
            RuntimeChoiceError: the runtime cannot be had. ValueError: a number out of range.
        """
        checkpoint = load_checkpoint(path)
        names = taxonomy if taxonomy is None or isinstance(taxonomy, Taxonomy) else load_taxonomy(taxonomy)
        engine = Engine(checkpoint, threads=threads, batch_size=batch_size, max_memory=max_memory, runtime=runtime)
        analyzer = cls(checkpoint, engine, taxonomy=names)
        if dimensions is not None:
            chosen = {analyzer.taxonomy[key].key for key in dimensions}
            analyzer._wanted = np.isin(analyzer.taxonomy.keys, list(chosen))
            analyzer._wanted_keys = tuple(key for key in analyzer.taxonomy.keys if key in chosen)
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
        if len(texts) >= MANY:
            give_back()
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
        logits = [list(islice(answers, len(ranges))) for ranges in parts]
        records: list[Analysis | None] = [None] * len(texts)
        for i, spans, ranges, own, found in zip(readable, offsets, parts, logits, self._found(logits), strict=True):
            records[i] = self._record(texts[i], names[i], normalised[i], spans, ranges, own, found)
        return [
            record
            if record is not None
            else Analysis(self.name, name, norm.status, norm.script, truncated=norm.truncated)
            for record, name, norm in zip(records, names, normalised, strict=True)
        ]

    def _found(self, logits: Sequence[Sequence[Logits]]) -> list[_Found]:
        """What the windows of each text say. All texts at once: an array's steps cost the same for one and for many."""
        if not logits:
            return []
        decoded = join_all(logits, self._checkpoint.scaling)
        shares = _floored(decoded.polarity * decoded.mention[:, :, None])
        mentions: list[list[_FoundMention]] = [[] for _ in logits]
        at = np.nonzero((decoded.mention >= self._thresholds) & self._wanted)
        choices = decoded.polarity[at].argmax(-1)
        columns = (*at, choices, shares[(*at, choices)], decoded.best[at])
        for i, *mention in zip(*(column.tolist() for column in columns), strict=True):
            mentions[i].append(_FoundMention(*mention))
        probabilities = shares[:, self._wanted][:, :, self._order].swapaxes(1, 2)
        heads = (probabilities, decoded.overall, decoded.intent, decoded.escalation)
        return list(map(_Found, mentions, *(head.tolist() for head in heads)))

    def _record(
        self,
        text: str,
        name: str | None,
        norm: NormalisedText,
        offsets: Sequence[tuple[int, int]],
        ranges: Sequence[tuple[int, int]],
        logits: Sequence[Logits],
        found: _Found,
    ) -> Analysis:
        rules, taxonomy = self._checkpoint, self.taxonomy
        finders: dict[int, EvidenceFinder] = {}
        mentions = []
        for k, choice, confidence, window in found.mentions:
            if window not in finders:
                finders[window] = EvidenceFinder(offsets[slice(*ranges[window])], norm.text)
            start, end = norm.original_span(*finders[window].span(logits[window].evidence[:, k]))
            dimension, sentiment = taxonomy.dimensions[k], cast("Sentiment", taxonomy.sentiments[choice])
            mentions.append(Mention(dimension.key, sentiment, confidence, text[start:end], start, end, dimension.owner))
        mentions.sort(key=lambda mention: -mention.confidence)
        overall, intent = max(found.overall), max(found.intent)
        escalation = found.escalation >= rules.thresholds.get(ESCALATION, 0.5)
        return Analysis(
            model=self.name,
            id=name,
            status="ok",
            script=norm.script,
            overall=taxonomy.overall[found.overall.index(overall)],  # type: ignore[arg-type]
            overall_confidence=round(overall, 4),
            intent=taxonomy.intents[found.intent.index(intent)],
            intent_confidence=round(intent, 4),
            escalation=escalation,
            escalation_confidence=round(found.escalation if escalation else 1 - found.escalation, 4),
            dimensions=tuple(mentions),
            uncertain=self._uncertain(found),
            tokens=len(offsets),
            windows=len(ranges),
            truncated=norm.truncated,
            probabilities=dict(zip(self._wanted_keys, zip(*found.probabilities, strict=True), strict=True)),
        )

    def _uncertain(self, found: _Found) -> bool:
        """Whether a person should look: `overall` or `intent` less sure than the checkpoint's bound, a mention less
        sure, or escalation nearer to its threshold than the bound."""
        bounds = self._checkpoint.uncertain
        threshold = self._checkpoint.thresholds.get(ESCALATION, 0.5)
        return (
            max(found.overall) < bounds.get("overall", 0.0)
            or max(found.intent) < bounds.get("intent", 0.0)
            or any(mention.confidence < bounds.get("mention", 0.0) for mention in found.mentions)
            or abs(found.escalation - threshold) < bounds.get(ESCALATION, 0.0)
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


def _floored(shares: Floats) -> Floats:
    """Rounded down: three shares of one dimension never add up to more than 1."""
    if np.isnan(shares).any():
        raise ValueError("expected probabilities, found NaN; the checkpoint's graph is damaged")
    return np.asarray(np.floor(shares * 10_000) / 10_000)
