"""Rows whose cells are records (JSONL), or whose texts are scored here, as blocks of columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sentiment.records import PROBABILITY_ORDER
from sentiment.report.scored import STATUS, Block, Builder
from sentiment.tables.base import Row, TableError
from sentiment.taxonomy import Taxonomy

BLOCK = 4096
SENTIMENT_CODE: dict[str, int] = {label: code for code, label in enumerate(PROBABILITY_ORDER)}
STATUS_CODE: dict[str, int] = {label: code for code, label in enumerate(STATUS)}
_UNKNOWN: dict[str, Any] = {}


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


def record_blocks(
    blocks: Iterator[list[Row]], builder: Builder, taxonomy: Taxonomy, wanted: Wanted, source: int
) -> Iterator[Block]:
    """Blocks from rows of records, the input's own columns under `input`.

    Raises:
        TableError: a dimension that the taxonomy does not have.
    """
    for rows in blocks:
        records = [row.cells for row in rows]
        builder.models.update(dict.fromkeys(str(r["model"]) for r in records if r.get("model")))
        cells = [r["input"] if isinstance(r.get("input"), dict) else _UNKNOWN for r in records]
        yield block_of(records, cells, [row.number for row in rows], taxonomy, wanted, source)


def scored_blocks(
    blocks: Iterator[list[Row]], analyzer: Any, taxonomy: Taxonomy, wanted: Wanted, source: int
) -> Iterator[Block]:
    """Blocks of rows that are scored on the way, equal texts of a block once."""
    for rows in blocks:
        texts = [_text(row.cells.get(wanted.text or "")) or "" for row in rows]
        distinct = list(dict.fromkeys(texts))
        found = dict(zip(distinct, analyzer.analyze_block(distinct), strict=True))
        records = [found[text].to_dict(probabilities=True) for text in texts]
        yield block_of(records, [row.cells for row in rows], [r.number for r in rows], taxonomy, wanted, source)


def block_of(
    records: Sequence[Mapping[str, Any]],
    cells: Sequence[Mapping[str, Any]],
    numbers: Sequence[int],
    taxonomy: Taxonomy,
    wanted: Wanted,
    source: int,
) -> Block:
    """One block from records and the input's cells beside them."""
    count, index = len(records), taxonomy.index
    intents = {label: code for code, label in enumerate(taxonomy.intents)}
    labels = np.full((count, len(index)), -1, np.int8)
    row: list[int] = []
    dimension: list[int] = []
    confidence: list[float] = []
    start: list[int] = []
    end: list[int] = []
    for position, record in enumerate(records):
        for mention in record.get("dimensions") or ():
            place = index.get(mention.get("dimension"))
            if place is None:
                raise unknown_dimension(str(mention.get("dimension")))
            labels[position, place] = SENTIMENT_CODE.get(mention.get("sentiment"), -1)
            row.append(position)
            dimension.append(place)
            confidence.append(mention.get("confidence") or 0.0)
            start.append(-1 if (at := mention.get("start")) is None else at)
            end.append(-1 if (at := mention.get("end")) is None else at)
    escalation = [record.get("escalation") or _UNKNOWN for record in records]
    flags = [bool(found.get("label")) for found in escalation]
    sure = [found.get("confidence") or 0.0 for found in escalation]
    texts = [None if wanted.text is None else _text(cell.get(wanted.text)) for cell in cells]
    return Block(
        source=source,
        rows=numbers,
        labels=labels,
        probabilities=_probabilities(records, taxonomy.keys),
        status=[STATUS_CODE.get(str(record.get("status")), 0) for record in records],
        overall=[
            SENTIMENT_CODE.get(str((record.get("overall") or _UNKNOWN).get("sentiment")), -1) for record in records
        ],
        intent=[intents.get(str((record.get("intent") or _UNKNOWN).get("label")), -1) for record in records],
        escalation=flags,
        urgency=[value if flag else 1 - value for flag, value in zip(flags, sure, strict=True)],
        texts=texts,
        ids=[
            str(number if (found := record.get("id")) is None else found)
            for number, record in zip(numbers, records, strict=True)
        ],
        cells={role: [cell.get(column) for cell in cells] for role, column in wanted.roles.items()},
        mention_row=row,
        mention_dimension=dimension,
        mention_confidence=confidence,
        mention_start=start,
        mention_end=end,
    )


def _probabilities(records: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> np.ndarray[Any, Any] | None:
    """(n, D, 3); None if a scored row has none. Rows that were not read (empty, not Chinese) have zeros."""
    nothing = [0.0] * 3
    values: list[float] = []
    for record in records:
        found = record.get("probabilities")
        if not found and record.get("status") == "ok":
            return None
        for key in keys:
            values += (found and found.get(key)) or nothing
    return np.array(values, np.float32).reshape(len(records), len(keys), 3)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
