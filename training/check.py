"""Whether a folder of labelled texts keeps its promises: schema, near-duplicates, authors, annotators, least counts.

`check` is pure: rows in, counts and findings out. What a set is held to beyond the schema stands in its own
`requirements.yaml` (`training.requirements`); without one only what is wrong in every set is an error. What lies beside
the set is read by `training.companions`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sentiment.taxonomy import Taxonomy
from sentiment.text import normalise
from training.companions import Companions, check_companions
from training.example import DatasetError, Example, parse_record
from training.labelled_files import read_jsonl
from training.near_duplicates import near_duplicate_groups
from training.requirements import Judged, Requirements

TRADITIONAL = ("hant", "mixed")
SHOWN = 20  # findings of one kind


@dataclass(frozen=True)
class Split:
    """A file of the folder: its rows as they stand, and parsed."""

    rows: Sequence[Mapping[str, Any]]
    examples: Sequence[Example]


@dataclass
class Checked:
    """Counts by split (and `all`), counts of what lies beside the set, and what is wrong, in sentences that name the
    row."""

    counts: dict[str, dict[str, Any]]
    errors: list[str]
    beside: dict[str, int] = field(default_factory=dict)


def read_splits(paths: Iterable[Path], taxonomy: Taxonomy) -> dict[str, Split]:
    """The JSONL files by their stem; a folder stands for those in it.

    Raises:
        DatasetError: no file, or a row that does not fit the schema.
    """
    files = [file for path in paths for file in (sorted(path.glob("*.jsonl")) if path.is_dir() else [path])]
    if not files:
        raise DatasetError("expected labelled .jsonl files, found none; name a file or a folder that has some")
    splits: dict[str, Split] = {}
    for file in files:
        if file.stem in splits:
            raise DatasetError(f"expected files of different names, found {file.name} twice")
        rows = list(read_jsonl(file))
        examples = [parse_record(row, taxonomy, f"{file.name}, row {number}") for number, row in rows]
        splits[file.stem] = Split([row for _, row in rows], examples)
    return splits


def check(
    splits: Mapping[str, Split], taxonomy: Taxonomy, required: Requirements, companions: Companions | None = None
) -> Checked:
    """Counts a labelled set and lists what is wrong with it and, where given, with what lies beside it."""
    counts = {name: count(split.examples, taxonomy) for name, split in splits.items()}
    everything = [example for split in splits.values() for example in split.examples]
    counts["all"] = count(everything, taxonomy)
    errors = [*_ids(splits), *_near_duplicates(splits), *_authors(splits, required.judged)]
    errors += _lengths(splits, required.characters)
    errors += _annotators(splits, taxonomy, required.judged)
    errors += _kinds(splits, taxonomy, required)
    errors += _least(counts["all"], taxonomy, required)
    for name in required.judged.splits:
        if name in counts:
            errors += _at_least(f"{name}: texts", counts[name]["texts"], required.judged.texts)
            for key in taxonomy.keys:
                found = sum(counts[name]["mentions"][key].values())
                errors += _at_least(f"{name}: mentions of {key}", found, required.judged.mentions)
        elif required.judged.texts:
            errors.append(f"expected a split {name}, found none")
    if companions is None:
        return Checked(counts, errors)
    fitted = {name: split.examples for name, split in splits.items() if name not in required.judged.splits}
    errors += check_companions(companions, fitted, required, SHOWN)
    beside = {
        "stand-off rows": len(companions.standoff),
        "labelled twice": len(companions.seconded()),
        "pairs": companions.paired(),
    }
    return Checked(counts, errors, beside)


def count(examples: Sequence[Example], taxonomy: Taxonomy) -> dict[str, Any]:
    """Texts, authors, scripts, intents, escalations, kinds, and mentions by dimension and sentiment."""
    mentions: dict[str, Counter[str]] = {key: Counter() for key in taxonomy.keys}
    for example in examples:
        for key, (sentiment, _, _) in example.labels.items():
            mentions[key][sentiment] += 1
    return {
        "texts": len(examples),
        "authors": len({example.author for example in examples if example.author}),
        "traditional": sum(normalise(example.text).script in TRADITIONAL for example in examples),
        "intents": dict(Counter(example.intent for example in examples if example.intent)),
        "overall": dict(Counter(example.overall for example in examples if example.overall)),
        "escalations": sum(example.escalation is True for example in examples),
        "kinds": dict(Counter(example.kind for example in examples if example.kind)),
        "mentions": {key: {name: found[name] for name in taxonomy.sentiments} for key, found in mentions.items()},
    }


def _name(split: str, number: int, example: Example) -> str:
    return f"{split}, row {number + 1}" + (f" ({example.id})" if example.id else "")


def _shorten(found: list[str], what: str) -> list[str]:
    return found if len(found) <= SHOWN else [*found[:SHOWN], f"{len(found) - SHOWN} more {what}"]


def _ids(splits: Mapping[str, Split]) -> list[str]:
    seen: dict[str, str] = {}
    found = []
    for name, split in splits.items():
        for number, example in enumerate(split.examples):
            if not example.id:
                continue
            where = _name(name, number, example)
            if example.id in seen:
                found.append(f"{where}: expected an id of its own, found that of {seen[example.id]}")
            seen.setdefault(example.id, where)
    return _shorten(found, "ids that are not unique")


def _near_duplicates(splits: Mapping[str, Split]) -> list[str]:
    named = [(name, i, e) for name, split in splits.items() for i, e in enumerate(split.examples)]
    first: dict[int, tuple[str, int, Example]] = {}
    found = []
    for group, item in zip(near_duplicate_groups([e.text for _, _, e in named]), named, strict=True):
        if group in first:
            found.append(f"{_name(*item)}: near-duplicate (5-gram Jaccard over 0.5) of {_name(*first[group])}")
        first.setdefault(group, item)
    return _shorten(found, "near-duplicates")


def _authors(splits: Mapping[str, Split], judged: Judged) -> list[str]:
    homes: dict[str, set[str]] = defaultdict(set)
    for name, split in splits.items():
        for example in split.examples:
            if example.author:
                homes[example.author].add(name)
    return [
        f"author {author}: expected in one split, found in {', '.join(sorted(names))}"
        for author, names in sorted(homes.items())
        if len(names) > 1 and names & set(judged.splits)
    ]


def _lengths(splits: Mapping[str, Split], bounds: tuple[int, int]) -> list[str]:
    low, high = bounds
    found = [
        f"{_name(name, i, e)}: expected {low} to {high} characters, found {len(e.text)}"
        for name, split in splits.items()
        for i, e in enumerate(split.examples)
        if not low <= len(e.text) <= high
    ]
    return _shorten(found, "texts of another length")


def _annotators(splits: Mapping[str, Split], taxonomy: Taxonomy, judged: Judged) -> list[str]:
    found = []
    copies = []
    for name in judged.splits:
        split = splits.get(name)
        repeated: list[bool] = []
        for i, (row, example) in enumerate(zip(split.rows, split.examples, strict=True) if split else ()):
            where = _name(name, i, example)
            given = row.get("annotators") or []
            if len(given) < judged.annotators:
                found.append(f"{where}: expected labels of {judged.annotators} annotators, found {len(given)}")
            people = Counter(entry["annotator"] for entry in given if entry.get("annotator"))
            found += [
                f"{where}: expected annotators of different names, found {person!r} {times} times"
                for person, times in people.items()
                if times > 1
            ]
            heard = []
            for labels in given:
                try:
                    heard.append(parse_record({"text": example.text, **labels}, taxonomy, f"{where}, annotators"))
                except DatasetError as error:
                    found.append(str(error))
            repeated.append(len(heard) > 1 and all(one == heard[0] for one in heard))
        # Careful annotators agree on most texts; on every one, down to the words of the evidence, only a copy does.
        if judged.annotators > 1 and repeated and all(repeated):
            copies.append(f"{name}: expected labellings that differ, found copies of one in all {len(repeated)} rows")
    return [*_shorten(found, "rows without their annotators"), *copies]


def _kinds(splits: Mapping[str, Split], taxonomy: Taxonomy, required: Requirements) -> list[str]:
    """Texts whose kind says one thing and whose labels say another."""
    found = []
    for name, split in splits.items():
        for i, example in enumerate(split.examples):
            service = sorted(example.labels.keys() & set(taxonomy.service_keys))
            if example.kind in required.no_service and service:
                found.append(
                    f"{_name(name, i, example)}: expected no service label in a {example.kind}, "
                    f"found {', '.join(service)}; correct the label or the kind"
                )
            if example.kind in required.no_escalation and example.escalation is not False:
                value = "none" if example.escalation is None else "true"
                found.append(
                    f"{_name(name, i, example)}: expected escalation false in a {example.kind}, found {value}; "
                    "correct the label or the kind"
                )
    return _shorten(found, "texts whose labels contradict their kind")


def _at_least(what: str, found: int, least: int) -> list[str]:
    return [f"{what}: expected at least {least}, found {found}"] if found < least else []


def _least(counts: Mapping[str, Any], taxonomy: Taxonomy, required: Requirements) -> list[str]:
    errors = _at_least("texts", counts["texts"], required.texts)
    for key in taxonomy.keys:
        found = counts["mentions"][key]
        errors += _at_least(f"mentions of {key}", sum(found.values()), required.mentions)
        for name in taxonomy.sentiments:
            errors += _at_least(f"mentions of {key}, {name}", found[name], required.sentiments)
    for name, least in required.intents.items():
        errors += _at_least(f"intent {name}", counts["intents"].get(name, 0), least)
    errors += _at_least("escalations", counts["escalations"], required.escalations)
    for name, least in required.kinds.items():
        errors += _at_least(f"kind {name}", counts["kinds"].get(name, 0), least)
    errors += _at_least(
        "texts in Traditional characters", counts["traditional"], round(required.traditional * counts["texts"])
    )
    return errors
