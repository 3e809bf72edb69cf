"""Scored texts as columns: what every statistic of the report reads. Nothing here grows by Python objects a row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sentiment.report.dates import DateOrder
from sentiment.report.day_column import Days
from sentiment.report.roles import parse_customer, parse_name, parse_rating, parse_reply
from sentiment.taxonomy import Taxonomy

# Codes of a sentiment, in the order of `probabilities`; -1 is "not mentioned" or "unknown".
NEGATIVE, NEUTRAL, POSITIVE = 0, 1, 2
STATUS = ("ok", "empty", "not_chinese")
_BY_ROW = (
    "probabilities", "labels", "status", "overall", "intent", "escalation", "urgency", "date", "rating", "replied",
    "cinema", "customer", "group", "source", "row",
)  # fmt: skip
Column = Sequence[Any] | NDArray[Any]


@dataclass(frozen=True)
class Mentions:
    """Every mention, sorted by `row`; `start` and `end` are -1 where the evidence is not known."""

    row: NDArray[np.int32]
    dimension: NDArray[np.int8]
    confidence: NDArray[np.float32]
    start: NDArray[np.int32]
    end: NDArray[np.int32]


@dataclass(frozen=True)
class Scored:
    """n texts with D dimensions.

    `probabilities` (n, D, 3): negative, neutral, positive; one-hot labels where `from_probabilities` is False.
    `labels` (n, D): what the record reports, -1 not mentioned. `overall`, `intent`: codes, -1 unknown. `urgency`:
    probability of escalation. `date`: NaT, `rating`: NaN, `cinema`/`customer`/`group`: -1 where unknown; `replied`: -1
    unknown, else 0 or 1. `files`: names by `source`; `row` counts from 1 in its file.
    """

    taxonomy: Taxonomy
    from_probabilities: bool
    probabilities: NDArray[np.float32]
    labels: NDArray[np.int8]
    status: NDArray[np.int8]
    overall: NDArray[np.int8]
    intent: NDArray[np.int8]
    escalation: NDArray[np.bool_]
    urgency: NDArray[np.float32]
    date: NDArray[np.datetime64]
    rating: NDArray[np.float32]
    replied: NDArray[np.int8]
    cinema: NDArray[np.int32]
    customer: NDArray[np.int32]
    group: NDArray[np.int32]
    cinemas: list[str]
    customers: list[str]
    groups: list[str]
    source: NDArray[np.int32]
    row: NDArray[np.int32]
    files: list[str]
    texts: pa.ChunkedArray
    ids: pa.ChunkedArray
    mentions: Mentions
    models: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.status)

    def only(self, kept: NDArray[np.bool_]) -> Scored:
        """The rows that `kept` marks; itself where that is all of them."""
        if kept.all():
            return self
        place = np.cumsum(kept, dtype=np.int32) - 1
        of = kept[self.mentions.row]
        mentions = Mentions(
            place[self.mentions.row[of]],
            *(getattr(self.mentions, name)[of] for name in ("dimension", "confidence", "start", "end")),
        )
        mask = pa.array(kept)
        chosen = {name: getattr(self, name)[kept] for name in _BY_ROW}
        return replace(self, **chosen, texts=self.texts.filter(mask), ids=self.ids.filter(mask), mentions=mentions)

    def counted(self) -> Scored:
        """The same with its labels for probabilities."""
        return replace(self, probabilities=_one_hot(self.labels), from_probabilities=False)

    def text(self, row: int) -> str:
        """The text of a row; empty where the input has none."""
        return self.texts[row].as_py() or ""


@dataclass
class Block:
    """Some rows on their way in. `cells` has, by role, one Python value a row; mention rows count from 0 here."""

    source: int
    rows: Column
    labels: NDArray[np.int8]
    probabilities: NDArray[np.float32] | None
    status: Column
    overall: Column
    intent: Column
    escalation: Column
    urgency: Column
    texts: Column | pa.Array
    ids: Column | pa.Array
    cells: dict[str, Sequence[Any]]
    mention_row: Column
    mention_dimension: Column
    mention_confidence: Column
    mention_start: Column
    mention_end: Column


class _Codes:
    """Names as integers, in order of appearance."""

    def __init__(self, parse: Callable[[Any], str | None]) -> None:
        self._parse = parse
        self._code: dict[str, int] = {}
        self._seen: dict[Any, int] = {}

    def encode(self, values: Sequence[Any]) -> NDArray[np.int32]:
        return np.fromiter((self._one(value) for value in values), np.int32, len(values))

    def _one(self, value: Any) -> int:
        try:
            return self._seen[value]
        except KeyError:
            name = self._parse(value)
            code = -1 if name is None else self._code.setdefault(name, len(self._code))
            self._seen[value] = code
            return code
        except TypeError:  # a list or a dictionary is no name
            return -1

    @property
    def names(self) -> list[str]:
        return list(self._code)


class Builder:
    """Gathers blocks into one `Scored`. `unread` counts by role the filled cells that could not be read, and, once
    finished, as "date_order" the dates of which nobody knows whether day or month comes first."""

    def __init__(self, taxonomy: Taxonomy, date_order: DateOrder | None = None) -> None:
        self.taxonomy = taxonomy
        self.files: list[str] = []
        self.models: dict[str, None] = {}
        self.unread = {"date": 0, "rating": 0}
        self.unscored: set[str] = set()  # dimensions that some input was not scored on
        self.without_probabilities = 0
        self._codes = {
            "cinema": _Codes(parse_name), "customer": _Codes(parse_customer), "group": _Codes(parse_name),
        }  # fmt: skip
        self._days = Days(date_order)
        self._columns: dict[str, list[Any]] = {}
        self._rows = 0

    def add(self, block: Block) -> None:
        """Appends a block."""
        count = len(block.rows)
        if count == 0:
            return
        if block.probabilities is None:
            self.without_probabilities += count
            probabilities = _one_hot(block.labels)
        else:
            probabilities = block.probabilities
        empty = [None] * count
        cells = {role: block.cells.get(role, empty) for role in ("date", "rating", "reply", *self._codes)}
        date, unclear = self._days.read(cells["date"], block.source, self._rows)
        rating = np.fromiter(map(parse_rating, cells["rating"]), np.float32, count)
        self.unread["date"] += int(np.isnat(date).sum()) - unclear - _blank(cells["date"])
        self.unread["rating"] += int(np.isnan(rating).sum()) - _blank(cells["rating"])
        replied = (
            np.full(count, -1, np.int8)
            if "reply" not in block.cells
            else np.fromiter(map(parse_reply, cells["reply"]), np.int8, count)
        )
        new: dict[str, Any] = {
            "probabilities": probabilities,
            "labels": block.labels,
            "status": np.asarray(block.status, np.int8),
            "overall": np.asarray(block.overall, np.int8),
            "intent": np.asarray(block.intent, np.int8),
            "escalation": np.asarray(block.escalation, np.bool_),
            "urgency": np.asarray(block.urgency, np.float32),
            "date": date,
            "rating": rating,
            "replied": replied,
            **{role: codes.encode(cells[role]) for role, codes in self._codes.items()},
            "source": np.full(count, block.source, np.int32),
            "row": np.asarray(block.rows, np.int32),
            "texts": pa.array(block.texts, pa.large_string()),
            "ids": pa.array(block.ids, pa.large_string()),
            "m_row": np.asarray(block.mention_row, np.int32) + np.int32(self._rows),
            "m_dimension": np.asarray(block.mention_dimension, np.int8),
            "m_confidence": np.asarray(block.mention_confidence, np.float32),
            "m_start": np.asarray(block.mention_start, np.int32),
            "m_end": np.asarray(block.mention_end, np.int32),
        }
        for name, values in new.items():
            self._columns.setdefault(name, []).append(values)
        self._rows += count

    def finish(self) -> Scored:
        """All blocks as one, each column freed as soon as it is joined.

        Dimensions that a file was not scored on are left out, as nobody knows whether its texts mention them.
        """
        dimensions = [d for d in self.taxonomy.dimensions if d.key not in self.unscored]
        kept = [self.taxonomy.index[d.key] for d in dimensions]
        taxonomy = Taxonomy(tuple(dimensions), self.taxonomy.sentiments, self.taxonomy.overall, self.taxonomy.intents)
        size, full = len(self.taxonomy.keys), len(kept) == len(self.taxonomy.keys)

        def joined(name: str, dtype: Any, shape: tuple[int, ...] = (0,)) -> NDArray[Any]:
            parts = self._columns.pop(name, None)
            return np.zeros(shape, dtype) if parts is None else np.concatenate(parts)

        probabilities = joined("probabilities", np.float32, (0, size, 3))
        labels = joined("labels", np.int8, (0, size))
        from_probabilities = self.without_probabilities == 0
        if not from_probabilities and self.without_probabilities < self._rows:
            probabilities[:] = labels[..., None] == np.arange(3, dtype=np.int8)  # mixed inputs: counts for all
        if not full:
            probabilities, labels = probabilities[:, kept], labels[:, kept]
        date = joined("date", "datetime64[D]")
        self.unread["date_order"] = self._days.settle(date)
        place = np.full(size, -1, np.int8)
        place[kept] = np.arange(len(kept))
        dimension = joined("m_dimension", np.int8)
        dimension = place[dimension]
        known = dimension >= 0
        mentions = Mentions(
            joined("m_row", np.int32)[known], dimension[known],
            *(joined(f"m_{name}", kind)[known]
              for name, kind in (("confidence", np.float32), ("start", np.int32), ("end", np.int32))),
        )  # fmt: skip
        return Scored(
            taxonomy=taxonomy,
            from_probabilities=from_probabilities,
            probabilities=probabilities,
            labels=labels,
            status=joined("status", np.int8),
            overall=joined("overall", np.int8),
            intent=joined("intent", np.int8),
            escalation=joined("escalation", np.bool_),
            urgency=joined("urgency", np.float32),
            date=date,
            rating=joined("rating", np.float32),
            replied=joined("replied", np.int8),
            cinema=joined("cinema", np.int32),
            customer=joined("customer", np.int32),
            group=joined("group", np.int32),
            cinemas=self._codes["cinema"].names,
            customers=self._codes["customer"].names,
            groups=self._codes["group"].names,
            source=joined("source", np.int32),
            row=joined("row", np.int32),
            files=list(self.files),
            texts=pa.chunked_array(self._columns.pop("texts", []), pa.large_string()),
            ids=pa.chunked_array(self._columns.pop("ids", []), pa.large_string()),
            mentions=mentions,
            models=list(self.models),
        )


def _one_hot(labels: NDArray[np.int8]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = (labels[..., None] == np.arange(3, dtype=np.int8)).astype(np.float32)
    return found


def _blank(values: Sequence[Any]) -> int:
    return sum(value is None or value == "" or value != value for value in values)


def decoded(array: pa.Array, parse: Callable[[Any], Any]) -> list[Any]:
    """An arrow column as Python values, each distinct value converted once."""
    if not pa.types.is_dictionary(array.type):
        try:
            array = array.dictionary_encode()
        except pa.ArrowException:  # nested
            return [parse(value) for value in array.to_pylist()]
    values = [parse(value) for value in array.dictionary.to_pylist()]
    return [None if index is None else values[index] for index in array.indices.to_pylist()]
