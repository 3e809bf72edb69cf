"""Rows of flat scored tables (CSV, TSV, XLSX), wide or long, in either language, as blocks of columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from sentiment.report.record_rows import SENTIMENT_CODE, STATUS_CODE, Wanted, unknown_dimension
from sentiment.report.scored import Block, Builder
from sentiment.tables.base import Row
from sentiment.tables.csv_writer import unguard
from sentiment.tables.flat import PROBABILITY_PARTS, VALUES, FlatNames
from sentiment.taxonomy import Taxonomy


class _Lines:
    """A text's mentions while they are gathered, one list a field."""

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


class FlatRows:
    """Reads one flat file; `flat` says which header stands for which of our columns."""

    def __init__(
        self,
        taxonomy: Taxonomy,
        names: FlatNames,
        flat: Mapping[str, str],
        wanted: Wanted,
        source: int,
        builder: Builder,
    ) -> None:
        self._taxonomy, self._names, self._flat, self._wanted, self._source = taxonomy, names, flat, wanted, source
        self._long = "cs_dimension" in flat
        self._value = {text: label for label, zh in VALUES.items() for text in (label, zh)}
        self._ours = set(flat.values()) - {flat.get("cs_id")}
        self._probabilities = [[flat.get(f"cs_{key}{part}") for part in PROBABILITY_PARTS] for key in taxonomy.keys]
        self._with = any(all(columns) for columns in self._probabilities)
        if not self._long:
            builder.unscored.update(key for key in taxonomy.keys if f"cs_{key}" not in flat)
        elif self._with:
            builder.unscored.update(
                key for key, columns in zip(taxonomy.keys, self._probabilities, strict=True) if not all(columns)
            )

    def blocks(self, blocks: Iterator[list[Row]]) -> Iterator[Block]:
        """Blocks of texts. In the long layout the lines of one text follow one another.

        Raises:
            TableError: a dimension that the taxonomy does not have.
        """
        if not self._long:
            for rows in blocks:
                yield self._block([[row.cells] for row in rows], [row.number for row in rows])
            return
        held: list[list[Mapping[str, Any]]] = []
        numbers: list[int] = []
        texts = 0
        for rows in blocks:
            for row in rows:
                if held and self._continues(held[-1], row.cells):
                    held[-1].append(row.cells)
                else:
                    texts += 1
                    held.append([row.cells])
                    numbers.append(texts)
            if len(held) > 1:
                yield self._block(held[:-1], numbers[:-1])
                held, numbers = held[-1:], numbers[-1:]
        if held:
            yield self._block(held, numbers)

    def _continues(self, lines: list[Mapping[str, Any]], cells: Mapping[str, Any]) -> bool:
        """Whether a line is another mention of the same text: same id, same own cells, another dimension."""
        dimension, first = self._flat["cs_dimension"], lines[0]
        if not cells.get(dimension) or not first.get(dimension):
            return False
        return all(cells.get(c) == first.get(c) for c in first if c not in self._ours) and all(
            cells[dimension] != line[dimension] for line in lines
        )

    def _get(self, cells: Mapping[str, Any], name: str) -> Any:
        column = self._flat.get(name)
        return None if column is None else cells.get(column)

    def _labels(self, heads: list[Mapping[str, Any]], name: str, codes: Mapping[str, int]) -> list[int]:
        column = self._flat.get(name)
        if column is None:
            return [-1] * len(heads)
        code = {text: codes[label] for text, label in self._value.items() if label in codes} | dict(codes)
        return [code.get(_word(cells.get(column)), -1) for cells in heads]

    def _block(self, groups: list[list[Mapping[str, Any]]], numbers: list[int]) -> Block:
        heads = [lines[0] for lines in groups]
        text_column, id_column = self._wanted.text, self._wanted.id
        texts = [None if text_column is None else _text(cells.get(text_column)) for cells in heads]
        labels = np.full((len(heads), len(self._taxonomy.keys)), -1, np.int8)
        found = _Lines()
        (self._long_mentions if self._long else self._wide_mentions)(groups, texts, labels, found)
        flags = [value == 1 for value in self._labels(heads, "cs_escalation", {"true": 1, "false": 0})]
        sure = [_number(self._get(cells, "cs_escalation_confidence")) for cells in heads]
        intents = {label: code for code, label in enumerate(self._taxonomy.intents)}
        identity = self._flat.get("cs_id") or id_column
        ids = [numbers[i] if identity is None else heads[i].get(identity) for i in range(len(heads))]
        return Block(
            source=self._source,
            rows=numbers,
            labels=labels,
            probabilities=self._matrix(heads) if self._with else None,
            status=[max(0, code) for code in self._labels(heads, "cs_status", STATUS_CODE)],
            overall=self._labels(heads, "cs_overall", SENTIMENT_CODE),
            intent=self._labels(heads, "cs_intent", intents),
            escalation=flags,
            urgency=[value if flag else 1 - value for flag, value in zip(flags, sure, strict=True)],
            texts=texts,
            ids=[str(n if value in (None, "") else value) for n, value in zip(numbers, ids, strict=True)],
            cells={role: [_plain(cells.get(column)) for cells in heads] for role, column in self._wanted.roles.items()},
            mention_row=found.row,
            mention_dimension=found.dimension,
            mention_confidence=found.confidence,
            mention_start=found.start,
            mention_end=found.end,
        )

    def _wide_mentions(
        self, groups: list[list[Mapping[str, Any]]], texts: list[str | None], labels: Any, found: _Lines
    ) -> None:
        heads = [lines[0] for lines in groups]
        by_row: list[list[tuple[int, float, int, int]]] = [[] for _ in heads]
        for place, key in enumerate(self._taxonomy.keys):
            if f"cs_{key}" not in self._flat:
                continue
            codes = self._labels(heads, f"cs_{key}", SENTIMENT_CODE)
            labels[:, place] = codes
            for i in np.flatnonzero(labels[:, place] >= 0).tolist():
                evidence = self._get(heads[i], f"cs_{key}_evidence")
                start, end = _span(texts[i], evidence)
                by_row[i].append((place, _number(self._get(heads[i], f"cs_{key}_confidence")), start, end))
        for i, mentions in enumerate(by_row):
            for mention in mentions:
                found.add(i, *mention)

    def _long_mentions(
        self, groups: list[list[Mapping[str, Any]]], texts: list[str | None], labels: Any, found: _Lines
    ) -> None:
        for i, lines in enumerate(groups):
            for cells in lines:
                name = _word(self._get(cells, "cs_dimension"))
                if not name:
                    continue
                place = self._taxonomy.index.get(self._names.dimension_key(name))
                if place is None:
                    raise unknown_dimension(name)
                labels[i, place] = SENTIMENT_CODE.get(self._value.get(_word(self._get(cells, "cs_sentiment")), ""), -1)
                start, end = self._get(cells, "cs_start"), self._get(cells, "cs_end")
                if start in (None, "") or end in (None, ""):
                    span = _span(texts[i], self._get(cells, "cs_evidence"))
                else:
                    span = int(_number(start)), int(_number(end))
                found.add(i, place, _number(self._get(cells, "cs_confidence")), *span)

    def _matrix(self, heads: list[Mapping[str, Any]]) -> Any:
        values = np.zeros((len(heads), len(self._taxonomy.keys), 3), np.float32)
        for place, columns in enumerate(self._probabilities):
            for part, column in enumerate(columns):
                if column is not None:
                    values[:, place, part] = [_number(cells.get(column)) for cells in heads]
        return values


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    text = "" if value is None else str(value).strip()
    return text.lower() if text.isascii() and text.lower() in ("true", "false") else text


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return 0.0


def _text(value: Any) -> str | None:
    return None if value is None else unguard(str(value))


def _plain(value: Any) -> Any:
    return unguard(value) if isinstance(value, str) else value


def _span(text: str | None, evidence: Any) -> tuple[int, int]:
    """Where the evidence stands in the text; (-1, -1) if it is not known."""
    if not text or not evidence:
        return -1, -1
    words = unguard(str(evidence))
    at = text.find(words)
    return (-1, -1) if at < 0 else (at, at + len(words))
