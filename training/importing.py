"""What people labelled, wherever they did, as judgements: Label Studio's export, labelled files, scored files that
somebody corrected, feedback of the service.

Every judgement is checked as a training would; what does not fit is rejected with its row and the reason, and stops
nothing. `training.merging` puts the judgements of one text together.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sentiment.tables import ReadOptions, Reject, Row
from sentiment.tables.csv_reader import CsvReader
from sentiment.tables.csv_writer import unguard
from sentiment.tables.files import find_files
from sentiment.tables.flat import FlatNames
from sentiment.tables.jsonl_reader import JsonArrayReader, JsonlReader
from sentiment.tables.open import open_file
from sentiment.tables.parquet_writer import jsonable
from sentiment.tables.reader import Reader
from sentiment.tables.scored import HEADS, ScoredFile, ScoredText, scored_kind
from sentiment.taxonomy import Taxonomy
from training.example import DatasetError, parse_record
from training.labelled_files import from_columns
from training.labelstudio import is_task, read_annotations, task_text
from training.merging import Judgement, example, sha256

# Members of a labelled record that are labels, or about them; all others are passed on.
LABELS = ("labels", "annotated", *HEADS)
_OWN = (*LABELS, "text", "id", "annotator", "annotators", "sha256")


@dataclass(frozen=True)
class ImportOptions:
    """How files are read.

    `text_column` of tables and of Label Studio's data; `checked` names the column of a scored file in which whoever
    checked a row signed: other rows are left out; `dimensions` were judged in scored files, by default all that they
    show; `confirmed`: what a correction left as it was counts as judged too; `mapping` and `blank_none` as in training.
    """

    text_column: str | None = None
    checked: str | None = None
    dimensions: tuple[str, ...] | None = None
    confirmed: bool = False
    mapping: Mapping[str, str] = field(default_factory=dict)
    blank_none: bool = False


@dataclass
class Imported:
    """What was read: `judgements` that fit, `rejects`, by kind of file the rows (`rows`), rows in which nobody had said
    anything (`silent`), and lines for the user."""

    judgements: list[Judgement] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    rows: Counter[str] = field(default_factory=Counter)
    silent: int = 0
    notes: list[str] = field(default_factory=list)


class Importer:
    """Reads files, and feedback, into one `Imported`. `texts`: by sha256, for rows that only name their text."""

    def __init__(
        self, taxonomy: Taxonomy, options: ImportOptions | None = None, texts: Mapping[str, str] | None = None
    ) -> None:
        self._taxonomy, self._options = taxonomy, options or ImportOptions()
        self._texts = dict(texts or {})
        self._names = FlatNames(taxonomy)
        self.found = Imported()
        # Corrections may name their text only, and another file may have it.
        self._waiting: list[tuple[str, int, Mapping[str, Any]]] = []

    def read(self, paths: Sequence[str | Path]) -> None:
        """
        Raises:
            TableError: a path that cannot be read, or holds no table.
        """
        for file in find_files(paths, self.found.notes):
            reader = open_file(file, ReadOptions(), [])
            kind = scored_kind(reader, self._names)
            if kind is not None:
                self._scored(reader, ScoredFile(
                    reader, kind, self._taxonomy, self._names, ReadOptions(self._options.text_column), self.found.notes
                ))  # fmt: skip
            else:
                self._rows(reader)
        for source, number, row in self._waiting:
            self.found.rows["feedback"] += 1
            self._try(source, number, row, self._correction)
        self._waiting.clear()

    def feedback(self, rows: Iterable[Mapping[str, Any]], source: str) -> None:
        """Corrections as `serve.store.read_feedback` gives them."""
        for number, row in enumerate(rows, 1):
            self.found.rows["feedback"] += 1
            self._try(source, number, row, self._correction)

    def _rows(self, reader: Reader) -> None:
        json_like = isinstance(reader, JsonlReader | JsonArrayReader)
        clean: Callable[[Any], Any] = _unguarded if isinstance(reader, CsvReader) else (lambda value: value)
        reader.choose(self._options.text_column or "text")
        for item in reader.rows():
            if isinstance(item, Reject):
                self.found.rejects.append(item)
                continue
            cells = {name: clean(value) for name, value in item.cells.items()}
            if is_task(cells):
                self.found.rows["Label Studio"] += 1
                self._task(item.source, item.number, cells)
            elif "after" in cells:
                self._waiting.append((item.source, item.number, cells))
            else:
                self.found.rows["labelled"] += 1
                self._try(
                    item.source, item.number, cells, self._record if json_like or "labels" in cells else self._line
                )

    def _try(
        self, source: str, number: int, row: Mapping[str, Any],
        build: Callable[[str, int, Mapping[str, Any]], Judgement | None],
    ) -> None:  # fmt: skip
        """Takes what `build` makes of the row, checked; the row is rejected if that fails."""
        try:
            judgement = build(source, number, row)
            if judgement is not None and (judgement.labels or judgement.more.get("rating") is not None):
                example(judgement, self._taxonomy)
                self.found.judgements.append(judgement)
            else:
                self.found.silent += 1
        except DatasetError as error:
            self._reject(source, number, row, error)

    def _reject(self, source: str, number: int, row: Mapping[str, Any], error: DatasetError) -> None:
        raw = json.dumps(jsonable(dict(row)), ensure_ascii=False)
        self.found.rejects.append(Reject(source, number, _reason(error), raw))

    def _task(self, source: str, number: int, row: Mapping[str, Any]) -> None:
        """One bad annotation does not take the others of its task with it."""
        try:
            text = task_text(row, self._options.text_column)
        except DatasetError as error:
            self._reject(source, number, row, error)
            return
        self._texts.setdefault(sha256(text), text)
        name = str(row["data"].get("id") or "")
        said = 0
        for one in read_annotations(row, text, self._taxonomy):
            said += 1
            try:
                if isinstance(one, DatasetError):
                    raise one
                judgement = Judgement(text, one.labels, one.by, source, number, name, one.at, one.settled)
                example(judgement, self._taxonomy)
            except DatasetError as error:
                self._reject(source, number, row, error)
                continue
            self.found.judgements.append(judgement)
            if one.mixed:
                keys = ", ".join(one.mixed)
                self.found.notes.append(f"{source}, row {number}: spans of {keys} good and bad, read as neutral")
        self.found.silent += not said

    def _correction(self, source: str, number: int, row: Mapping[str, Any]) -> Judgement | None:
        before, after = row.get("before") or {}, row.get("after")
        if not isinstance(after, dict) or not isinstance(before, dict):
            raise DatasetError("expected labels under before and after, found others")
        labels = labelled(after)
        if before and not self._options.confirmed:
            labels = changed(labelled(before), labels, self._taxonomy)
        by, at = str(row.get("by") or "feedback"), str(row.get("at") or "")
        return Judgement(self._text(row), labels, by, source, number, at=at, partial=True)

    def _text(self, row: Mapping[str, Any]) -> str:
        text = row.get("text")
        if isinstance(text, str) and text:
            return text
        digest = row.get("sha256")
        if not isinstance(digest, str):
            raise DatasetError("expected a text, found none")
        if digest not in self._texts:
            raise DatasetError("expected the text, found its sha256 only; name a table that has it with --texts")
        return self._texts[digest]

    def _record(self, source: str, number: int, row: Mapping[str, Any]) -> Judgement | None:
        """A row in the shape of a labelled record."""
        column = self._options.text_column
        if column is not None:
            row = {name: value for name, value in row.items() if name != column} | {"text": row.get(column)}
        return self._judged(source, number, row)

    def _judged(self, source: str, number: int, row: Mapping[str, Any]) -> Judgement:
        text = self._text(row)
        self._texts.setdefault(sha256(text), text)
        more = {name: value for name, value in row.items() if name not in _OWN}
        heard = row.get("annotators")
        by = str(row.get("annotator") or Path(source).name)
        labels = {name: row[name] for name in LABELS if row.get(name) is not None}
        for one in heard if isinstance(heard, list) else ():
            parse_record({"text": text, **one} if isinstance(one, dict) else {}, self._taxonomy, "annotators")
        return Judgement(
            text, labels, by, source, number, str(row.get("id") or ""), settled=bool(heard), more=more,
            heard=heard if isinstance(heard, list) else (),
        )  # fmt: skip

    def _line(self, source: str, number: int, row: Mapping[str, Any]) -> Judgement | None:
        """A row of a table with a column a dimension."""
        column = self._options.text_column or "text"
        if column not in row:
            raise DatasetError(f"expected a column {column}, found {', '.join(row)}; name the texts' with --text-col")
        record = from_columns(
            {**row, "text": row[column] or ""}, self._taxonomy, dict(self._options.mapping),
            self._options.blank_none, "",
        )  # fmt: skip
        return self._judged(source, number, record | _named(row))

    def _scored(self, reader: Reader, file: ScoredFile) -> None:
        options = self._options
        if options.checked is None:
            self.found.notes.append(
                f"{reader.name}: a scored file, taken as corrected in every row; --checked COLUMN takes the signed ones"
            )
        for item in file:
            if isinstance(item, Reject):
                self.found.rejects.append(item)
                continue
            self.found.rows["scored"] += 1
            self._texts.setdefault(sha256(item.text), item.text)
            if options.checked is not None and options.checked not in item.cells:
                shown = ", ".join(map(str, item.cells))
                raise DatasetError(f"expected a column {options.checked} in {reader.name}, found {shown}")
            signed = "" if options.checked is None else str(item.cells[options.checked] or "").strip()
            if options.checked is not None and not signed:
                self.found.silent += 1
                continue
            row = {"text": item.text, "id": item.id, **item.labels}
            self._try(item.source, item.row, row, lambda *_, one=item, by=signed: self._corrected(one, by))

    def _corrected(self, item: ScoredText, by: str) -> Judgement | None:
        labels = dict(item.labels)
        if self._options.dimensions is not None and "labels" in labels:
            judged = self._options.dimensions
            labels["annotated"] = list(judged)
            labels["labels"] = [
                one for one in labels["labels"] if not isinstance(one, dict) or one.get("dimension") in judged
            ]
        return Judgement(item.text, labels, by or Path(item.source).name, item.source, item.row, item.id)


def _unguarded(value: Any) -> Any:
    return unguard(value) if isinstance(value, str) else value


def _named(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"annotator": row["annotator"]} if row.get("annotator") else {}


def _reason(error: DatasetError) -> str:
    return str(error).removeprefix(", ").removeprefix("column ")


def labelled(labels: Mapping[str, Any]) -> dict[str, Any]:
    """Labels as members of a labelled record, from those or from an analysis record."""
    found = {name: labels[name] for name in LABELS if labels.get(name) is not None}
    for head, member in (("overall", "sentiment"), ("intent", "label"), ("escalation", "label")):
        if isinstance(found.get(head), dict):
            found[head] = found[head].get(member)
    if "labels" not in found and isinstance(labels.get("dimensions"), list):
        kept = ("dimension", "sentiment", "start", "end", "evidence")
        found["labels"] = [
            {name: mention[name] for name in kept if name in mention} if isinstance(mention, dict) else mention
            for mention in labels["dimensions"]
        ]
    if "labels" not in found:
        found.pop("annotated", None)
    return found


def changed(before: Mapping[str, Any], after: Mapping[str, Any], taxonomy: Taxonomy) -> dict[str, Any]:
    """What of `after` a correction says: the labels that it changed. One that changes nothing confirms everything.

    Whoever corrects one label has not always read the others, and what nobody judged must not pass for judged.
    """
    result = {head: after[head] for head in HEADS if head in after and after[head] != before.get(head)}
    if "labels" in after:
        said, says = (_by_dimension(labels.get("labels", ())) for labels in (before, after))
        listed = after.get("annotated")
        judged = set(taxonomy.keys if listed is None else listed)
        differ = {key for key in said.keys() | says.keys() if _differ(said.get(key), says.get(key))} & judged
        if differ:
            result["annotated"] = sorted(differ, key=taxonomy.keys.index)
            result["labels"] = [entry for entry in after["labels"] if entry.get("dimension") in differ]
    return result or dict(after)


def _by_dimension(labels: Iterable[Any]) -> dict[str, tuple[Any, Any, Any]]:
    if not all(isinstance(entry, dict) for entry in labels):
        raise DatasetError("expected labels as a list of objects, found others")
    return {
        str(entry.get("dimension")): (entry.get("sentiment"), entry.get("start"), entry.get("end")) for entry in labels
    }


def _differ(said: tuple[Any, Any, Any] | None, says: tuple[Any, Any, Any] | None) -> bool:
    """Whether a mention was changed; one whose place is not told is where it was."""
    if said is None or says is None:
        return said is not says
    return said[0] != says[0] or (says[1] is not None and said[1:] != says[1:])


def texts_of(rows: Iterator[Row | Reject], column: str) -> dict[str, str]:
    """The texts of a table by their sha256."""
    found = (row.cells.get(column) for row in rows if isinstance(row, Row))
    return {sha256(text): text for text in found if isinstance(text, str)}
