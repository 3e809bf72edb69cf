"""Labelled files → `datasets.Dataset`: reading, schema checks, label codings, near-duplicate-free splits, tokenisation.

The labelled record is described in data/README.md: a missing key is unknown, never negative.
"""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import math
import random
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from sentiment.taxonomy import Taxonomy
from sentiment.text import normalise
from training.metrics import HEADS, UNKNOWN

logger = logging.getLogger(__name__)

OPTIONAL = ("source", "set", "kind", "author", "annotator", "split", "date", "cinema")
NONE = "none"  # a dimension that the annotator says is not mentioned


class DatasetError(ValueError):
    """A labelled file that cannot be used: names file, row and column, what was expected, what was found."""


@dataclass(frozen=True)
class Example:
    """One labelled text. None, or a dimension absent from `annotated`, is unknown.

    `labels` maps a dimension to (sentiment, start, end); start = -1 where no evidence was given. `soft` holds a
    teacher's probabilities by head (`training.distil`).
    """

    text: str
    labels: dict[str, tuple[str, int, int]] = field(default_factory=dict)
    annotated: frozenset[str] = frozenset()
    overall: str | None = None
    intent: str | None = None
    escalation: bool | None = None
    rating: float | None = None
    id: str = ""
    source: str = ""
    kind: str = ""
    author: str = ""
    weight: float = 1.0
    soft: Mapping[str, NDArray[np.float32]] | None = None


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


def parse_record(record: dict[str, Any], taxonomy: Taxonomy, where: str, weight: float = 1.0) -> Example:
    """Checks one labelled record. `where` names it in errors.

    Raises:
        DatasetError: a value that does not fit the schema.
    """
    text = record.get("text")
    if not isinstance(text, str) or not text.strip():
        found = "a blank one" if isinstance(text, str) else type(text).__name__
        raise DatasetError(f"{where}, column text: expected a non-empty string, found {found}")
    labels: dict[str, tuple[str, int, int]] = {}
    given = record.get("labels")
    if given is not None and not (isinstance(given, list) and all(isinstance(entry, dict) for entry in given)):
        raise DatasetError(f"{where}, column labels: expected a list of objects, found {given!r}")
    for entry in given or ():
        key = _choice(entry.get("dimension"), taxonomy.keys, f"{where}, column labels.dimension")
        sentiment = _choice(entry.get("sentiment"), taxonomy.sentiments, f"{where}, column labels.sentiment ({key})")
        if key in labels:
            raise DatasetError(f"{where}, column labels: expected each dimension once, found {key!r} twice")
        labels[key] = (sentiment, *_span(entry, text, f"{where}, column labels.evidence ({key})"))
    annotated = record.get("annotated")
    judged: frozenset[str] = frozenset()
    if given is not None:
        judged = frozenset(taxonomy.keys)
        if annotated is not None:
            judged = frozenset(_choice(key, taxonomy.keys, f"{where}, column annotated") for key in annotated)
            judged |= set(labels)
    overall, intent, escalation, rating = (record.get(name) for name in ("overall", "intent", "escalation", "rating"))
    if escalation is not None and not isinstance(escalation, bool):
        raise DatasetError(f"{where}, column escalation: expected true or false, found {escalation!r}")
    if rating is not None and (isinstance(rating, bool) or not isinstance(rating, int | float) or math.isinf(rating)):
        raise DatasetError(f"{where}, column rating: expected a number, found {rating!r}")
    return Example(
        text=text,
        labels=labels,
        annotated=judged,
        overall=None if overall is None else _choice(overall, taxonomy.overall, f"{where}, column overall"),
        intent=None if intent is None else _choice(intent, taxonomy.intents, f"{where}, column intent"),
        escalation=escalation,
        rating=None if rating is None or math.isnan(rating) else float(rating),
        id="" if record.get("id") is None else str(record["id"]),
        source=str(record.get("source") or record.get("set") or ""),
        kind=str(record.get("kind") or ""),
        author=str(record.get("author") or record.get("set") or record.get("source") or ""),
        weight=weight,
    )


def _span(entry: dict[str, Any], text: str, where: str) -> tuple[int, int]:
    evidence, start, end = entry.get("evidence"), entry.get("start"), entry.get("end")
    if isinstance(start, int) and isinstance(end, int):
        if not 0 <= start < end <= len(text):
            raise DatasetError(f"{where}: expected 0 <= start < end <= {len(text)}, found {start}..{end}")
        if evidence and text[start:end] != evidence:
            raise DatasetError(
                f"{where}: expected its words from start to end, found others at {start}..{end}; count code points"
            )
        return start, end
    if not evidence:
        return -1, -1
    at = text.find(evidence) if isinstance(evidence, str) else -1
    if at < 0:
        raise DatasetError(f"{where}: expected words of the text, found others; quote the evidence exactly")
    return at, at + len(evidence)


def _choice(value: Any, allowed: Sequence[str], where: str) -> str:
    if value not in allowed:
        raise DatasetError(f"{where}: expected one of {', '.join(allowed)}, found {value!r}")
    return str(value)


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
            sentiment = _choice(value, (*taxonomy.sentiments, NONE), f"{where}, column {column}")
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


def in_held_out_rows(text: str) -> bool:
    """Whether the hash rule keeps a text of the public polarity sets (a fifth of them) for a later test."""
    return int(hashlib.sha1(text.encode()).hexdigest()[:8], 16) % 5 == 0


def shingles(text: str, size: int = 5) -> set[str]:
    """Character n-grams of the normalised text without punctuation, lower case: what near-duplicates share. Of a text
    that is nothing but marks and emoji they are the n-grams of these."""
    plain = normalise(text).text.lower()
    bare = re.sub(r"\W+", "", plain) or re.sub(r"\s+", "", plain)
    return {bare[i : i + size] for i in range(max(1, len(bare) - size + 1))}


def near_duplicate_groups(texts: Sequence[str], threshold: float = 0.5) -> list[int]:
    """A group number a text; texts with a 5-gram Jaccard similarity over `threshold`, or a chain of such, share one."""
    sets = [shingles(text) for text in texts]
    index: dict[str, list[int]] = defaultdict(list)
    parent = list(range(len(texts)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for i, grams in enumerate(sets):
        shared: dict[int, int] = defaultdict(int)
        for gram in grams:
            for j in index[gram]:
                shared[j] += 1
            index[gram].append(i)
        for j, count in shared.items():
            if count / (len(grams) + len(sets[j]) - count) > threshold:
                # The first text names the group: sets have another order in every process, numbers must not.
                first, second = sorted((root(i), root(j)))
                parent[second] = first
    return [root(i) for i in range(len(texts))]


def split_groups(groups: Sequence[int], fraction: float, seed: int) -> tuple[list[int], list[int]]:
    """Indices of (rest, held out): whole groups are drawn until `fraction` of the texts is held out. One that would
    make it more than twice as many is drawn only if there are no others."""
    members: dict[int, list[int]] = defaultdict(list)
    for index, group in enumerate(groups):
        members[group].append(index)
    order = sorted(members)
    random.Random(seed).shuffle(order)
    wanted = fraction * len(groups)
    held: list[int] = []
    aside: list[int] = []
    for group in order:
        if len(held) >= wanted:
            break
        if len(held) + len(members[group]) > max(2 * wanted, 1):
            aside.append(group)
        else:
            held.extend(members[group])
    for group in sorted(aside, key=lambda group: len(members[group])):
        if len(held) >= wanted:
            break
        held.extend(members[group])
    chosen = set(held)
    return [i for i in range(len(groups)) if i not in chosen], sorted(held)


def without_near_duplicates(examples: Sequence[Example], of: Sequence[Example]) -> list[Example]:
    """The examples that are no near-duplicates of any text in `of`."""
    groups = near_duplicate_groups([e.text for e in of] + [e.text for e in examples])
    taken = set(groups[: len(of)])
    return [e for e, group in zip(examples, groups[len(of) :], strict=True) if group not in taken]


def encode(
    examples: Sequence[Example], tokenizer: PreTrainedTokenizerFast, taxonomy: Taxonomy, max_tokens: int
) -> datasets.Dataset:
    """Tokenises examples into a `Dataset` whose columns are the arguments of the model's forward.

    Evidence is kept as token spans [K, 2], (-1, -1) where none was given. A text longer than `max_tokens` is cut; a
    mention whose evidence lies behind the cut becomes unknown, and so does "not mentioned" in a cut text.
    """
    normalised = [normalise(e.text) for e in examples]
    # Evidence offsets are of the caller's text: bring each normalised character's origin along.
    encodings = tokenizer(
        [n.text for n in normalised], truncation=True, max_length=max_tokens, return_offsets_mapping=True
    )
    rows: dict[str, list[Any]] = defaultdict(list)
    count = len(taxonomy.keys)
    for i, (example, norm) in enumerate(zip(examples, normalised, strict=True)):
        offsets = encodings["offset_mapping"][i]
        origin = [norm.original_span(s, e) if e > s else (-1, -1) for s, e in offsets]
        read = max((end for _, end in origin), default=0)
        cut = len(offsets) >= max_tokens and offsets[-2][1] < len(norm.text)
        mention, polarity, spans = [UNKNOWN] * count, [UNKNOWN] * count, [[-1, -1]] * count
        for k, key in enumerate(taxonomy.keys):
            if key not in example.annotated:
                continue
            if key not in example.labels:
                mention[k] = UNKNOWN if cut else 0
                continue
            sentiment, start, end = example.labels[key]
            tokens = [t for t, (s, e) in enumerate(origin) if s < end and e > start and s >= 0] if start >= 0 else []
            if cut and (start < 0 or start >= read):
                continue
            mention[k], polarity[k] = 1, taxonomy.sentiments.index(sentiment)
            if tokens:
                spans[k] = [tokens[0], tokens[-1] + 1]
        rows["input_ids"].append(encodings["input_ids"][i])
        rows["length"].append(len(encodings["input_ids"][i]))
        rows["mention_labels"].append(mention)
        rows["polarity_labels"].append(polarity)
        rows["spans"].append(spans)
        rows["overall_labels"].append(UNKNOWN if example.overall is None else taxonomy.overall.index(example.overall))
        rows["intent_labels"].append(UNKNOWN if example.intent is None else taxonomy.intents.index(example.intent))
        rows["escalation_labels"].append(UNKNOWN if example.escalation is None else int(example.escalation))
        rows["rating_labels"].append(math.nan if example.rating is None else example.rating)
        rows["weights"].append(example.weight)
    taught = next((e.soft for e in examples if e.soft is not None), None)
    if taught is not None:
        for head in HEADS:
            nothing = np.full_like(taught[head], np.nan)
            rows[f"soft_{head}"] = [np.asarray(nothing if e.soft is None else e.soft[head]).tolist() for e in examples]
    return datasets.Dataset.from_dict(dict(rows))


@dataclass
class Collator:
    """Pads a batch of encoded rows to its longest and spreads evidence spans over tokens."""

    pad_token_id: int

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        longest = max(len(row["input_ids"]) for row in rows)
        ids = np.full((len(rows), longest), self.pad_token_id, dtype=np.int64)
        mask = np.zeros((len(rows), longest), dtype=np.int64)
        evidence = np.zeros((len(rows), longest, len(rows[0]["spans"])), dtype=np.float32)
        for i, row in enumerate(rows):
            n = len(row["input_ids"])
            ids[i, :n], mask[i, :n] = row["input_ids"], 1
            for k, (start, end) in enumerate(row["spans"]):
                evidence[i, max(start, 0) : max(end, 0), k] = 1
        batch = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
        batch["evidence_labels"] = torch.from_numpy(evidence)
        for name in ("mention_labels", "polarity_labels", "overall_labels", "intent_labels", "escalation_labels"):
            batch[name] = torch.tensor([row[name] for row in rows], dtype=torch.int64)
        for name in ("rating_labels", "weights", *(f"soft_{head}" for head in HEADS)):
            if name in rows[0]:
                batch[name] = torch.tensor([row[name] for row in rows], dtype=torch.float32)
        return batch
