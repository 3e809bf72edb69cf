"""Judgements of several people about the same texts, put together into labelled records."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sentiment.tables import Reject
from sentiment.tables.scored import HEADS
from sentiment.taxonomy import Taxonomy
from training.example import Example, parse_record
from training.labelled_files import NONE


@dataclass(frozen=True)
class Judgement:
    """What one person said about one text. `settled`: several have been heard already, or the project says that this is
    the truth. `partial`: a correction, beside which stands what the same person said before about other labels. `at`
    orders what the same person said; `more` is passed on."""

    text: str
    labels: Mapping[str, Any]
    by: str
    source: str
    row: int
    id: str = ""
    at: str = ""
    settled: bool = False
    more: Mapping[str, Any] = field(default_factory=dict)
    heard: Sequence[Mapping[str, Any]] = ()
    partial: bool = False


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def example(judgement: Judgement, taxonomy: Taxonomy) -> Example:
    """The judgement as a training would read it.

    Raises:
        DatasetError: it does not fit the schema.
    """
    return parse_record({"text": judgement.text, **judgement.labels}, taxonomy, "")


@dataclass
class Merged:
    """`records` in the order in which their texts appeared; `examples` by text what each annotator said; how many
    labels nobody could settle (`open`); judgements that a later one of the same person replaced (`repeated`); and those
    that contradict another of the same person where nothing says which is later (`rejects`)."""

    records: list[dict[str, Any]]
    examples: list[list[Example]]
    open: int = 0
    repeated: int = 0
    rejects: list[Reject] = field(default_factory=list)


def merge(judgements: Iterable[Judgement], taxonomy: Taxonomy) -> Merged:
    """One record a text. What a settled judgement says holds; else the majority of those who judged a label; on a tie
    the label is unknown, which costs nothing in training. Of one person the latest counts, of corrections label by
    label."""
    merged = Merged([], [])
    given: dict[str, dict[str, list[Judgement]]] = {}
    for judgement in judgements:
        given.setdefault(judgement.text, {}).setdefault(judgement.by, []).append(judgement)
    names: set[str] = set()
    for text, people in given.items():
        record, open_labels = _record(text, [_latest(said, taxonomy, merged) for said in people.values()], taxonomy)
        if record["id"] in names:
            record["id"] = sha256(text)
        names.add(record["id"])
        merged.records.append(record)
        merged.open += open_labels
        heard = [parse_record({"text": text, **one}, taxonomy, "") for one in record.get("annotators", ())]
        merged.examples.append(heard)
    return merged


def _latest(said: Sequence[Judgement], taxonomy: Taxonomy, merged: Merged) -> Judgement:
    """What one person thinks now of a text; `merged` counts what was replaced and gets what cannot be ordered."""
    first, *others = sorted(said, key=lambda judgement: judgement.at)
    for later in others:
        ordered = later.at or first.at
        if later.partial and (ordered or _agree(first, later, taxonomy)):
            first = replace(first, labels=_over(first.labels, later.labels, taxonomy), at=later.at)
        elif ordered or example(first, taxonomy) == example(later, taxonomy):
            first = later
            merged.repeated += 1
        else:
            reason = f"expected each text once, found it in row {first.row} of {first.source} with other labels"
            raw = json.dumps({"text": later.text, **later.labels}, ensure_ascii=False)
            merged.rejects.append(Reject(later.source, later.row, reason, raw))
    return first


def _over(earlier: Mapping[str, Any], later: Mapping[str, Any], taxonomy: Taxonomy) -> dict[str, Any]:
    """The labels of both; where both judged one, the later."""
    labels = {**earlier, **later}
    if "labels" in earlier and "labels" in later:
        said, says = _judged(earlier, taxonomy), _judged(later, taxonomy)
        labels["labels"] = [*(entry for entry in earlier["labels"] if entry["dimension"] not in says), *later["labels"]]
        labels["annotated"] = [key for key in taxonomy.keys if key in said | says]
    return labels


def _judged(labels: Mapping[str, Any], taxonomy: Taxonomy) -> set[str]:
    listed = labels.get("annotated")
    return set(taxonomy.keys if listed is None else listed) | {entry["dimension"] for entry in labels["labels"]}


def _agree(first: Judgement, other: Judgement, taxonomy: Taxonomy) -> bool:
    one, two = (
        replace(other, labels=_over(*pair, taxonomy))
        for pair in ((first.labels, other.labels), (other.labels, first.labels))
    )
    return example(one, taxonomy) == example(two, taxonomy)


def _record(text: str, said: Sequence[Judgement], taxonomy: Taxonomy) -> tuple[dict[str, Any], int]:
    settled = [one for one in said if one.settled]
    voters = [example(one, taxonomy) for one in (settled[-1:] or said)]
    record: dict[str, Any] = {"id": next((one.id for one in said if one.id), sha256(text)), "text": text}
    for one in said:
        record |= {name: value for name, value in one.more.items() if value not in (None, "")}
    labels, judged, unsettled = [], [], 0
    for key in taxonomy.keys:
        votes = [(v.labels[key][0] if key in v.labels else NONE) for v in voters if key in v.annotated]
        winner = _majority(votes)
        if winner is None:
            unsettled += bool(votes)
            continue
        judged.append(key)
        if winner != NONE:
            spans = [v.labels[key][1:] for v in voters if key in v.labels and v.labels[key][0] == winner]
            start, end = max(spans, key=lambda span: span[0] >= 0)  # the first that has one
            labels.append({"dimension": key, "sentiment": winner, **_evidence(text, start, end)})
    if judged:
        record["labels"] = labels
        if len(judged) < len(taxonomy.keys):
            record["annotated"] = judged
    for head in HEADS:
        votes = [value for v in voters if (value := getattr(v, head)) is not None]
        winner = _majority(votes)
        if winner is not None:
            record[head] = winner
        unsettled += bool(votes) and winner is None
    heard = [entry for one in said for entry in one.heard]
    heard += [{"annotator": one.by, **_shown(one, taxonomy)} for one in said if not one.heard]
    record["annotators"] = heard
    return record, unsettled


def _majority(votes: Sequence[Any]) -> Any:
    """What most say; None where two things are said equally often, or nothing."""
    ranked = Counter(votes).most_common(2)
    return None if not ranked or (len(ranked) > 1 and ranked[0][1] == ranked[1][1]) else ranked[0][0]


def _shown(judgement: Judgement, taxonomy: Taxonomy) -> dict[str, Any]:
    """A judgement's labels with the words of their evidence."""
    found = example(judgement, taxonomy)
    labels = dict(judgement.labels)
    if "labels" in labels:
        labels["labels"] = [
            {"dimension": key, "sentiment": sentiment, **_evidence(judgement.text, start, end)}
            for key, (sentiment, start, end) in found.labels.items()
        ]
    return labels


def _evidence(text: str, start: int, end: int) -> dict[str, Any]:
    return {"evidence": text[start:end], "start": start, "end": end} if start >= 0 else {}
