"""Scored texts, however they were written, as blocks of columns; and texts that are scored on the way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sentiment.records import PROBABILITY_ORDER
from sentiment.report.scored import STATUS, Block
from sentiment.tables.base import Reject, Row, TableError
from sentiment.tables.csv_writer import unguard
from sentiment.tables.parquet_writer import cell_text
from sentiment.tables.scored import ScoredFile, ScoredText, text_of_record
from sentiment.taxonomy import Taxonomy

BLOCK = 4096
SENTIMENT_CODE: dict[str, int] = {label: code for code, label in enumerate(PROBABILITY_ORDER)}
STATUS_CODE: dict[str, int] = {label: code for code, label in enumerate(STATUS)}


@dataclass(frozen=True)
class Wanted:
    """Which of the input's own columns to take: the text, the identifier, and by role."""

    text: str | None
    id: str | None
    roles: Mapping[str, str]


def unknown_dimension(key: str) -> TableError:
    """The error for a dimension that the taxonomy lacks."""
    return TableError(
        f"expected dimensions of the taxonomy, found {key!r} in the scored file; "
        "give the checkpoint that scored it with --model, or its taxonomy with --taxonomy"
    )


def sound(items: Iterable[Any], rejected: list[int]) -> Iterator[list[Any]]:
    """All but the rejects, in blocks; counts the rejects."""
    block: list[Any] = []
    for item in items:
        if isinstance(item, Reject):
            rejected[0] += 1
            continue
        block.append(item)
        if len(block) == BLOCK:
            yield block
            block = []
    if block:
        yield block


def scored_now(rows: Sequence[Row], analyzer: Any, text_column: str) -> list[ScoredText]:
    """The rows scored, equal texts once."""
    texts = [cell_text(row.cells.get(text_column)) for row in rows]
    distinct = list(dict.fromkeys(texts))
    found = dict(zip(distinct, analyzer.analyze_block(distinct), strict=True))
    return [
        text_of_record(found[text].to_dict(probabilities=True), row.cells, text, row.source, row.number)
        for text, row in zip(texts, rows, strict=True)
    ]


def block_of(
    texts: Sequence[ScoredText],
    taxonomy: Taxonomy,
    wanted: Wanted,
    source: int,
    numbers: Sequence[int] | None = None,
    flat: ScoredFile | None = None,
) -> Block:
    """One block; `numbers` count the texts where the rows of the file do not (the long layout); `flat`: the file whose
    cells still hold the probabilities.

    Raises:
        TableError: a dimension that the taxonomy does not have.
    """
    intents = {label: code for code, label in enumerate(taxonomy.intents)}
    labels = np.full((len(texts), len(taxonomy.keys)), -1, np.int8)
    mentions = _Mentions()
    for position, text in enumerate(texts):
        for mention in text.labels.get("labels") or ():
            if not isinstance(mention, dict):
                continue
            key = str(mention.get("dimension"))
            place = taxonomy.index.get(key)
            if place is None:
                raise unknown_dimension(key)
            labels[position, place] = SENTIMENT_CODE.get(str(mention.get("sentiment")), -1)
            mentions.add(position, place, text.confidence.get(key, 0.0), *_span(text.text, mention))
    flags = [text.labels.get("escalation") is True for text in texts]
    sure = [text.confidence.get("escalation", 0.0) for text in texts]
    return Block(
        source=source,
        rows=[text.row for text in texts] if numbers is None else numbers,
        labels=labels,
        probabilities=_probabilities(texts, taxonomy.keys) if flat is None else flat_shares(texts, taxonomy.keys, flat),
        status=[STATUS_CODE.get(text.status, 0) for text in texts],
        overall=[SENTIMENT_CODE.get(str(text.labels.get("overall")), -1) for text in texts],
        intent=[intents.get(str(text.labels.get("intent")), -1) for text in texts],
        escalation=flags,
        urgency=[value if flag else 1 - value for flag, value in zip(flags, sure, strict=True)],
        texts=[text.text for text in texts],
        ids=[text.id for text in texts],
        cells={role: [_plain(text.cells.get(column)) for text in texts] for role, column in wanted.roles.items()},
        mention_row=mentions.row,
        mention_dimension=mentions.dimension,
        mention_confidence=mentions.confidence,
        mention_start=mentions.start,
        mention_end=mentions.end,
    )


class _Mentions:
    """Mentions while they are gathered, one list a field."""

    def __init__(self) -> None:
        self.row: list[int] = []
        self.dimension: list[int] = []
        self.confidence: list[float] = []
        self.start: list[int] = []
        self.end: list[int] = []

    def add(self, row: int, dimension: int, confidence: float, start: int, end: int) -> None:
        self.row.append(row)
        self.dimension.append(dimension)
        self.confidence.append(confidence)
        self.start.append(start)
        self.end.append(end)


def _probabilities(
    texts: Sequence[ScoredText], keys: Sequence[str], flat: ScoredFile | None = None
) -> NDArray[np.float32] | None:
    """(n, D, 3); None if a scored text has none. Texts that were not read (empty, not Chinese) have zeros."""
    nothing = [0.0] * 3
    values: list[float] = []
    for text in texts:
        found = text.probabilities if flat is None else flat.probabilities(text.cells)
        if not found and text.status in ("ok", ""):
            return None
        for key in keys:
            values += found.get(key) or nothing
    return np.array(values, np.float32).reshape(len(texts), len(keys), 3)


def flat_shares(texts: Sequence[ScoredText], keys: Sequence[str], flat: ScoredFile) -> NDArray[np.float32] | None:
    """The same from the cells of a flat file, a block at once where they are numbers or blank."""
    known = [at for at, key in enumerate(keys) if key in flat.shares]
    columns = [column for at in known for column in flat.shares[keys[at]]]
    if not columns:
        return _probabilities(texts, keys)
    cells = itemgetter(*columns)
    try:
        found = pa.array([cell for text in texts for cell in cells(text.cells)])
        if pa.types.is_string(found.type):
            found = pc.replace_with_mask(found, pc.equal(found, ""), pa.scalar(None, pa.string())).cast(pa.float64())
        if not pa.types.is_float64(found.type):
            return _probabilities(texts, keys, flat)
    except (KeyError, TypeError, pa.ArrowException):  # a cell that is not there, or no number
        return _probabilities(texts, keys, flat)
    shares = found.to_numpy(zero_copy_only=False).reshape(len(texts), len(known), 3)
    there = ~np.isnan(shares).any(2)
    if any(not row and text.status in ("ok", "") for row, text in zip(there.any(1).tolist(), texts, strict=True)):
        return None
    probabilities = np.zeros((len(texts), len(keys), 3), np.float32)
    probabilities[:, known] = np.where(there[..., None], shares, 0.0)
    return probabilities


def _span(text: str, mention: Mapping[str, Any]) -> tuple[int, int]:
    """Where the evidence stands in the text; (-1, -1) if it is not known."""
    if "start" in mention:
        return mention["start"], mention["end"]
    words = mention.get("evidence")
    at = text.find(words) if words else -1
    return (-1, -1) if at < 0 else (at, at + len(str(words)))


def _plain(value: Any) -> Any:
    """A cell as it was before the guard against formulas; bytes as text."""
    if isinstance(value, bytes):
        return cell_text(value)
    return unguard(value) if isinstance(value, str) else value
