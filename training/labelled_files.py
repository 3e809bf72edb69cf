"""Labelled files → examples: JSONL, CSV and Parquet, and tables with a column a dimension."""

from __future__ import annotations

import csv
import json
import logging
import math
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sentiment.taxonomy import Taxonomy
from training.example import DatasetError, Example, one_of, parse_record

logger = logging.getLogger(__name__)

OPTIONAL = ("source", "set", "kind", "author", "annotator", "split", "date", "cinema")
NONE = "none"  # a dimension that the annotator says is not mentioned


def read_labelled(
    paths: Sequence[str | Path],
    taxonomy: Taxonomy,
    *,
    mapping: dict[str, str] | None = None,
    blank_none: bool = False,
    weight: float = 1.0,
) -> list[Example]:
    """Reads JSONL, CSV or Parquet files of labelled records.

    Args:
        mapping: other codings of a dimension's value, such as `{"1": "positive", "-2": "none"}` (tables only).
        blank_none: a blank cell of a table means "not mentioned" rather than unknown.
        weight: the weight of these texts in the loss.

    Raises:
        DatasetError: at the first cell that does not fit, naming file, row and column.
    """
    examples: list[Example] = []
    known = _columns(taxonomy)
    for path in map(Path, paths):
        if not path.is_file():
            raise DatasetError(f"expected a labelled file, found nothing at {path}")
        suffix = path.suffix.lower()
        if suffix == ".jsonl":
            rows: Iterable[tuple[int, dict[str, Any]]] = read_jsonl(path)
        elif suffix == ".csv":
            rows = _csv(path, known)
        elif suffix == ".parquet":
            rows = _parquet(path)
        else:
            raise DatasetError(f"expected .jsonl, .csv or .parquet, found {path.name}; convert it first")
        unread: dict[str, None] = {}
        for number, row in rows:
            where = f"{path.name}, row {number}"
            record = row
            if suffix != ".jsonl" and "labels" not in row:
                record = from_columns(row, taxonomy, mapping or {}, blank_none, where)
                unread = unread or dict.fromkeys(n for n in row if n not in known and not n.startswith("cs_"))
            examples.append(parse_record(record, taxonomy, where, weight))
        if unread:
            logger.warning("%s: columns that are no labels and were not read: %s", path.name, ", ".join(unread))
    return examples


def _columns(taxonomy: Taxonomy) -> frozenset[str]:
    """The columns of a table that mean something here."""
    labels = [*taxonomy.keys, "overall", "intent", "escalation", "rating"]
    found = [f"{prefix}{name}" for name in ("text", "id", *labels) for prefix in ("", "cs_")]
    evidence = [f"{prefix}{key}_evidence" for key in taxonomy.keys for prefix in ("", "cs_")]
    return frozenset((*found, *evidence, *OPTIONAL))


def read_jsonl(path: Path) -> Iterable[tuple[int, dict[str, Any]]]:
    """(Row number, object) of every line that is not blank.

    Raises:
        DatasetError: a line that is no JSON object in UTF-8.
    """
    with path.open("rb") as lines:
        for number, content in enumerate(lines, 1):
            try:
                line = content.decode("utf-8-sig")
            except UnicodeDecodeError:
                raise DatasetError(
                    f"{path.name}, row {number}: expected UTF-8, found another encoding; save the file as UTF-8"
                ) from None
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise DatasetError(
                    f"{path.name}, row {number}: expected one JSON object a line, found {error.msg}"
                ) from None
            if not isinstance(row, dict):
                raise DatasetError(f"{path.name}, row {number}: expected a JSON object, found {type(row).__name__}")
            yield number, row


def _csv(path: Path, known: Collection[str]) -> Iterable[tuple[int, dict[str, Any]]]:
    number = 0
    with path.open(encoding="utf-8-sig", newline="") as lines:
        rows = filter(None, csv.reader(lines, strict=True))
        try:
            names: list[str] = next(rows, [])
            twice = sorted({name for name in names if name in known and names.count(name) > 1})
            if twice:
                raise DatasetError(f"{path.name}: expected each column once, found {', '.join(twice)} twice; drop one")
            for cells in rows:
                number += 1
                if len(cells) != len(names):
                    raise DatasetError(
                        f"{path.name}, row {number}: expected {len(names)} cells as in the header, found {len(cells)}; "
                        "put cells that hold commas or line breaks into double quotes"
                    )
                yield number, dict(zip(names, cells, strict=True))
        except csv.Error as error:
            raise DatasetError(
                f"{path.name}, row {number + 1}: expected CSV, found {error}; write quotes inside of a cell twice"
            ) from None
        except UnicodeDecodeError:
            raise DatasetError(
                f"{path.name}: expected UTF-8, found another encoding; save the file as UTF-8 CSV"
            ) from None


def _parquet(path: Path) -> Iterable[tuple[int, dict[str, Any]]]:
    try:
        return enumerate(pq.read_table(path).to_pylist(), 1)
    except pa.ArrowInvalid as error:
        raise DatasetError(f"{path.name}: expected a Parquet file, found {str(error).splitlines()[0]}") from None


def from_columns(
    row: dict[str, Any], taxonomy: Taxonomy, mapping: dict[str, str], blank_none: bool, where: str
) -> dict[str, Any]:
    """A table row with a column a dimension (`seating`, or our own `cs_seating`) as a labelled record."""
    row = {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()}
    record: dict[str, Any] = {"text": row.get("text"), "id": row.get("id") or row.get("cs_id") or ""}
    if record["text"] is None:
        raise DatasetError(
            f"{where}: expected a column named text, found {', '.join(map(str, row))}; rename the column"
        )
    record.update({name: row[name] for name in ("source", "set", "kind", "author") if row.get(name)})
    labels, annotated = [], []
    for key in taxonomy.keys:
        value, column = (row[key], key) if key in row else (row.get(f"cs_{key}"), f"cs_{key}")
        if isinstance(value, float) and value.is_integer():  # integers beside blanks, as pandas writes them
            value = int(value)
        value = "" if value is None else str(value).strip()
        value = mapping.get(value, value)
        if value == "" and not (blank_none and column in row):
            continue
        annotated.append(key)
        if value not in ("", NONE):
            sentiment = one_of(value, (*taxonomy.sentiments, NONE), f"{where}, column {column}")
            labels.append({"dimension": key, "sentiment": sentiment, "evidence": row.get(f"{column}_evidence") or None})
    if annotated:
        record.update(labels=labels, annotated=annotated)
    for name in ("overall", "intent", "escalation", "rating"):
        value = row.get(name, row.get(f"cs_{name}"))
        if value is None or str(value).strip() == "":
            continue
        value = str(value).strip()
        if name == "escalation":
            value = {"true": True, "1": True, "false": False, "0": False}.get(value.lower(), value)
        elif name == "rating":
            try:
                value = float(value)
            except ValueError:
                raise DatasetError(f"{where}, column rating: expected a number, found {value!r}") from None
        elif name == "overall":
            value = mapping.get(value, value)
        record[name] = value
    return record
