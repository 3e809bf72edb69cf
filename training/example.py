"""One labelled text, and the checks of the record it is read from.

The record is described in data/README.md: a missing key is unknown, never negative.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentiment.taxonomy import Taxonomy


class DatasetError(ValueError):
    """A labelled file that cannot be used: names file, row and column, what was expected, what was found."""


@dataclass(frozen=True)
class Example:
    """One labelled text. None, or a dimension absent from `annotated`, is unknown.

    `labels` maps a dimension to (sentiment, start, end); start = -1 where no evidence was given. `soft` holds a
    teacher's probabilities by head (`training.soft_labels`).
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
        key = one_of(entry.get("dimension"), taxonomy.keys, f"{where}, column labels.dimension")
        sentiment = one_of(entry.get("sentiment"), taxonomy.sentiments, f"{where}, column labels.sentiment ({key})")
        if key in labels:
            raise DatasetError(f"{where}, column labels: expected each dimension once, found {key!r} twice")
        labels[key] = (sentiment, *_span(entry, text, f"{where}, column labels.evidence ({key})"))
    annotated = record.get("annotated")
    judged: frozenset[str] = frozenset()
    if given is not None:
        judged = frozenset(taxonomy.keys)
        if annotated is not None:
            judged = frozenset(one_of(key, taxonomy.keys, f"{where}, column annotated") for key in annotated)
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
        overall=None if overall is None else one_of(overall, taxonomy.overall, f"{where}, column overall"),
        intent=None if intent is None else one_of(intent, taxonomy.intents, f"{where}, column intent"),
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


def one_of(value: Any, allowed: Sequence[str], where: str) -> str:
    """The value, if it is allowed. `where` names it in errors.

    Raises:
        DatasetError: it is none of these.
    """
    if value not in allowed:
        raise DatasetError(f"{where}: expected one of {', '.join(allowed)}, found {value!r}")
    return str(value)
