"""What `cinesent score` wrote, in any of its formats, layouts and languages, read back one text at a time.

The labels come as members of a labelled record, so that a file whose labels somebody corrected by hand can be trained
on; the confidences come beside them, so that the next texts to label can be chosen, and a report can quote the surest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from sentiment.records import PROBABILITY_ORDER
from sentiment.tables.base import ReadOptions, Reject, Row, TableError
from sentiment.tables.columns import choose_id_column, choose_text_column
from sentiment.tables.csv_reader import CsvReader
from sentiment.tables.csv_writer import unguard
from sentiment.tables.files import find_files
from sentiment.tables.flat import FlatNames
from sentiment.tables.open import open_file
from sentiment.tables.parquet_writer import cell_text
from sentiment.tables.reader import Reader, Sample
from sentiment.taxonomy import Taxonomy

HEADS = ("overall", "intent", "escalation")
TRUTH = {"true": True, "1": True, "false": False, "0": False}

Kind = Literal["record", "wide", "long"]


@dataclass(frozen=True, slots=True)
class ScoredText:
    """One text of a scored file.

    `labels` has the members of a labelled record, not checked; a dimension that the file has no column for is not in
    its `annotated`. `confidence` is by head and by dimension mentioned. `probabilities`, where the file has them, is
    negative, neutral, positive by dimension. `cells` are the input's own columns.
    """

    source: str
    row: int
    id: str
    text: str
    status: str
    model: str = ""
    labels: dict[str, Any] = field(default_factory=dict)
    confidence: dict[str, float] = field(default_factory=dict)
    probabilities: dict[str, Sequence[float]] = field(default_factory=dict)
    cells: Mapping[str, Any] = field(default_factory=dict)


def scored_kind(reader: Reader, names: FlatNames) -> Kind | None:
    """Which of our layouts a file has, by its columns; None if none."""
    columns = {column for sample in reader.samples() for column in sample.columns}
    if {"status", "dimensions", "input"} <= columns:
        return "record"
    own = names.ours(columns)
    if {"cs_dimension", "cs_sentiment"} <= set(own.values()):
        return "long"
    heads = [column for column, name in own.items() if name in ("cs_overall", "cs_intent", "cs_status")]
    # One Chinese header may be a dump's own (诉求类型); one that begins with cs_ is not.
    return "wide" if len(heads) > 1 or any(own[column] == column for column in heads) else None


class ScoredFiles:
    """The texts of scored files, in order; every iteration reads them anew. `notes` tells what was chosen.

    Raises:
        TableError: a file that cannot be read, that `cinesent score` did not write, or whose texts cannot be found.
    """

    def __init__(self, paths: Sequence[str | Path], taxonomy: Taxonomy, text_column: str | None = None) -> None:
        self.notes: list[str] = []
        names = FlatNames(taxonomy)
        options = ReadOptions(text_column)
        self._files: list[ScoredFile] = []
        for file in find_files(paths, self.notes):
            reader = open_file(file, ReadOptions(), self.notes)
            kind = scored_kind(reader, names)
            if kind is None:
                raise TableError(
                    f"expected a file that `cinesent score` wrote, found {file.name} without its columns; score it"
                )
            self._files.append(ScoredFile(reader, kind, taxonomy, names, options, self.notes))

    def __iter__(self) -> Iterator[ScoredText | Reject]:
        for file in self._files:
            yield from file


class ScoredFile:
    """One scored file of a known layout. `text_column` and `id_column` are those of the input that was scored,
    `columns` all of the input's own; `scored` maps our columns' names to headers (empty for records).

    `need_text=False` takes a file without texts, whose texts then are blank; such a file's `text_column` is None.
    `parsed=False` leaves a flat file's probabilities in the `cells`, for whoever reads them by column: `shares` are the
    columns of negative, neutral, positive by dimension.

    Raises:
        TableError: the texts cannot be found.
    """

    def __init__(
        self, reader: Reader, kind: Kind, taxonomy: Taxonomy, names: FlatNames, options: ReadOptions,
        notes: list[str], *, need_text: bool = True, parsed: bool = True,
    ) -> None:  # fmt: skip
        self._parsed = parsed
        self._reader, self._taxonomy, self._names = reader, taxonomy, names
        self._clean: Callable[[str], str] = unguard if isinstance(reader, CsvReader) else str
        self._kind = kind
        ours = names.ours(column for sample in reader.samples() for column in sample.columns)
        self.scored: dict[str, str] = {} if kind == "record" else {name: column for column, name in ours.items()}
        samples = [self._own_columns(sample, ours) for sample in reader.samples()]
        self.columns = list(dict.fromkeys(column for sample in samples for column in sample.columns))
        self.text_column, self.id_column = self._find_text(samples, options, notes, need_text)
        self._of_dimension = [
            (key, self.scored[f"cs_{key}"], self.scored.get(f"cs_{key}_confidence"), f"cs_{key}_evidence")
            for key in taxonomy.keys
            if f"cs_{key}" in self.scored
        ]
        parts = [
            (key, [self.scored.get(f"cs_{key}_probability_{label}") for label in PROBABILITY_ORDER])
            for key in taxonomy.keys
        ]
        self.shares = {key: [c for c in columns if c] for key, columns in parts if all(columns)}
        judged = [key for key, *_ in self._of_dimension]
        self._partly = {} if set(judged) == set(taxonomy.keys) else {"annotated": judged}
        self._known: dict[str, str] = {}  # labels by cell
        reader.choose("status" if kind == "record" else self.text_column or next(iter(self.scored.values())))

    def _find_text(
        self, samples: list[Sample], options: ReadOptions, notes: list[str], need_text: bool
    ) -> tuple[str | None, str | None]:
        no_header = options.no_header
        filled = [sample for sample in samples if sample.columns] or samples
        try:
            text, note = choose_text_column(filled, options.text_column, no_header=no_header)
        except TableError:
            if need_text or options.text_column is not None:
                raise
            return None, None
        row_id, _ = choose_id_column(filled, options.id_column, text, no_header=no_header)
        notes += [f"{self._reader.name}: {note}"] if note else []
        return text, row_id

    def _own_columns(self, sample: Sample, ours: Mapping[str, str]) -> Sample:
        """The sample of what was scored, without our columns."""
        if self._kind == "record":
            rows = [row["input"] for row in sample.rows if isinstance(row.get("input"), dict)]
            names = dict.fromkeys(column for row in rows for column in row)
            return Sample(
                sample.file, sample.place, [*self._struct(), *(n for n in names if n not in self._struct())], rows
            )
        columns = [column for column in sample.columns if column not in ours]
        return Sample(sample.file, sample.place, columns, sample.rows)

    def _struct(self) -> list[str]:
        """The input's columns as a Parquet schema names them."""
        schema = self._reader.schema
        at = -1 if schema is None else schema.get_field_index("input")
        kind: Any = None if schema is None or at < 0 else schema.field(at).type
        return [kind.field(i).name for i in range(kind.num_fields)] if hasattr(kind, "num_fields") else []

    @property
    def dimensions(self) -> list[str] | None:
        """The dimensions that a flat file was scored on, by its columns; None where they do not tell."""
        if self._kind == "wide":
            return [key for key, *_ in self._of_dimension]
        return list(self.shares) or None

    def __iter__(self) -> Iterator[ScoredText | Reject]:
        if self._kind == "long":
            yield from self._long()
            return
        build = self._record if self._kind == "record" else self._wide
        for item in self._reader.rows():
            yield item if isinstance(item, Reject) else build(item)

    def _long(self) -> Iterator[ScoredText | Reject]:
        """Lines that follow one another, alike in the input's own columns and the id, are one text's mentions, as long
        as each is of another dimension."""
        held: list[Row] = []
        dimensions: set[Any] = set()
        ours = [*self.columns, *([self.scored["cs_id"]] if "cs_id" in self.scored else [])]
        for item in self._reader.rows():
            if not isinstance(item, Reject):
                found = item.cells.get(self.scored["cs_dimension"])
                first = held[0].cells if held else {}
                if held and found and dimensions and found not in dimensions and all(
                    item.cells.get(column) == first.get(column) for column in ours
                ):  # fmt: skip
                    held.append(item)
                    dimensions.add(found)
                    continue
            if held:
                yield self._from_lines(held)
            if isinstance(item, Reject):
                held, dimensions = [], set()
                yield item
            else:
                held, dimensions = [item], {found} if found else set()
        if held:
            yield self._from_lines(held)

    def _cell(self, cells: Mapping[str, Any], name: str) -> str:
        """One of our cells as text, whatever the language of its header; blank if there is none."""
        column = self.scored.get(name)
        return "" if column is None else self._words(cells.get(column))

    def _words(self, value: Any) -> str:
        return "" if value is None else self._clean(str(value)).strip()

    def _label(self, cells: Mapping[str, Any], name: str) -> str:
        column = self.scored.get(name)
        return "" if column is None else self._label_of(cells.get(column))

    def _label_of(self, value: Any) -> str:
        """The label that a cell holds; the few that there are are looked up once."""
        if type(value) is not str:
            return self._names.label(self._words(value))
        label = self._known.get(value)
        if label is None:
            label = self._names.label(self._words(value))
            if len(self._known) < 1000:
                self._known[value] = label
        return label

    def _text_of(self, cells: Mapping[str, Any]) -> str:
        value = cells.get(self.text_column) if self.text_column is not None else None
        return cell_text(self._clean(value) if isinstance(value, str) else value)

    def _heads(self, cells: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, float]]:
        """Labels of the whole text that are filled in, and their confidences."""
        labels: dict[str, Any] = {}
        confidence: dict[str, float] = {}
        for head in HEADS:
            value = self._label(cells, f"cs_{head}")
            if value:
                labels[head] = TRUTH.get(value.lower(), value) if head == "escalation" else value
                _number(self._cell(cells, f"cs_{head}_confidence"), confidence, head)
        return labels, confidence

    def _wide(self, row: Row) -> ScoredText:
        cells = row.cells
        labels, confidence = self._heads(cells)
        text, status = self._text_of(cells), self._label(cells, "cs_status")
        mentions: list[dict[str, Any]] = []
        for key, column, sure, words in self._of_dimension:
            cell = cells.get(column)
            if cell is None or cell == "":
                continue
            value = self._label_of(cell)
            if value in ("", "none"):
                continue
            evidence = self._cell(cells, words)
            mentions.append({"dimension": key, "sentiment": value} | ({"evidence": evidence} if evidence else {}))
            if sure is not None:
                _number(self._words(cells.get(sure)), confidence, key)
        if self._of_dimension and (labels or mentions):  # a text neither scored nor labelled says nothing
            labels |= {"labels": mentions, **self._partly}
        name = cells.get(self.id_column) if self.id_column else None
        return ScoredText(
            row.source, row.number, str(row.number if name in (None, "") else name), text, status, "",
            labels, confidence, self._shares_of(cells), cells,
        )  # fmt: skip

    def probabilities(self, cells: Mapping[str, Any]) -> dict[str, Sequence[float]]:
        """Of one text of a flat file, by the cells that are numbers."""
        found: dict[str, Sequence[float]] = {}
        for key, columns in self.shares.items():
            shares: dict[str, float] = {}
            for column in columns:
                _number(cells.get(column), shares, column)
            if len(shares) == len(PROBABILITY_ORDER):
                found[key] = list(shares.values())
        return found

    def _shares_of(self, cells: Mapping[str, Any]) -> dict[str, Sequence[float]]:
        return self.probabilities(cells) if self._parsed else {}

    def _from_lines(self, rows: Sequence[Row]) -> ScoredText:
        first = rows[0].cells
        labels, confidence = self._heads(first)
        text = self._text_of(first)
        mentions: list[dict[str, Any]] = []
        for row in rows:
            dimension = self._names.dimension_key(self._cell(row.cells, "cs_dimension"))
            if not dimension:
                continue
            offsets = [self._cell(row.cells, name) for name in ("cs_start", "cs_end")]
            start, end = (int(float(value)) if value.replace(".", "", 1).isdecimal() else -1 for value in offsets)
            evidence = self._cell(row.cells, "cs_evidence")
            sentiment = self._label(row.cells, "cs_sentiment")
            mentions.append({"dimension": dimension, "sentiment": sentiment} | _words(text, evidence, start, end))
            _number(self._cell(row.cells, "cs_confidence"), confidence, dimension)
        if labels or mentions:
            labels["labels"] = mentions
        status, name = self._label(first, "cs_status"), self._cell(first, "cs_id")
        return ScoredText(
            rows[0].source, rows[0].number, name or str(rows[0].number), text, status, "", labels, confidence,
            self._shares_of(first), first,
        )  # fmt: skip

    def _record(self, row: Row) -> ScoredText:
        cells = row.cells.get("input")
        own: Mapping[str, Any] = cells if isinstance(cells, dict) else {}
        return text_of_record(row.cells, own, self._text_of(own), row.source, row.number)


def text_of_record(record: Mapping[str, Any], cells: Mapping[str, Any], text: str, source: str, row: int) -> ScoredText:
    """A text from its analysis record, corrected by hand or not; `cells` are the input's own."""
    labels: dict[str, Any] = {}
    confidence: dict[str, float] = {}
    for head in HEADS:
        value = record.get(head)
        if isinstance(value, dict):  # else somebody wrote the bare label, or nothing
            _number(value.get("confidence"), confidence, head)
            value = value.get("sentiment" if head == "overall" else "label")
        if value is not None:
            labels[head] = value
    listed = record.get("dimensions")
    mentions: list[Any] = []
    for mention in listed if isinstance(listed, list) else ():
        if not isinstance(mention, dict):
            mentions.append(mention)  # for the check to name
            continue
        start, end = (v if isinstance(v := mention.get(name), int) else -1 for name in ("start", "end"))
        words = _words(text, str(mention.get("evidence") or ""), start, end)
        mentions.append({"dimension": mention.get("dimension"), "sentiment": mention.get("sentiment")} | words)
        _number(mention.get("confidence"), confidence, str(mention.get("dimension")))
    if labels or mentions:
        labels["labels"] = mentions
    shares = record.get("probabilities")
    known = {key: value for key, value in shares.items() if value} if isinstance(shares, dict) else {}
    name = record.get("id")
    return ScoredText(
        source, row, str(row if name in (None, "") else name), text, str(record.get("status") or ""),
        str(record.get("model") or ""), labels, confidence, known, cells,
    )  # fmt: skip


def _words(text: str, evidence: str, start: int, end: int) -> dict[str, Any]:
    """Where the evidence is: by its offsets if they fit it, else by its words, which somebody may have changed."""
    if 0 <= start < end and (text[start:end] == evidence or not evidence):
        return {"start": start, "end": end}
    return {"evidence": evidence} if evidence else {}


def _number(value: Any, table: dict[str, float], key: str) -> None:
    """Puts the value into the table if it is a number."""
    try:
        table[key] = float(value)
    except (TypeError, ValueError):
        return
