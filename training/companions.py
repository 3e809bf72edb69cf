"""What lies beside a labelled set and is promised with it: stand-off labels of others' texts, and pairs of wordings.

Of the stand-off labels only the committed files are needed: they hold hashes, offsets and labels, no words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sentiment.taxonomy import Taxonomy
from training.example import DatasetError, Example, one_of, parse_record
from training.labelled_files import read_jsonl
from training.near_duplicates import near_duplicates_of
from training.requirements import Pairs, Requirements, Standoff

SECOND = "second"  # the file of stand-off labels given a second time, blind
SIDES = ("traditional", "mainland")
LABELS = ("labels", "overall", "intent", "escalation")

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Companions:
    """`standoff`: first labels by the text's sha256; `second`: the same, labelled again; `pairs`: by side and id.
    `broken` lists what is wrong with the rows themselves."""

    standoff: Mapping[str, Row] = field(default_factory=dict)
    second: Mapping[str, Row] = field(default_factory=dict)
    pairs: Mapping[str, Mapping[str, Example]] = field(default_factory=dict)
    broken: Sequence[str] = ()

    def seconded(self) -> list[tuple[Row, Row]]:
        """(first, second) labels of every text that has both, in the order of the second file."""
        return [(self.standoff[name], row) for name, row in self.second.items() if name in self.standoff]

    def alone(self) -> list[str]:
        """The hashes of texts that have a second label and no first."""
        return [name for name in self.second if name not in self.standoff]

    def paired(self) -> int:
        """The number of ids that both sides have."""
        one, other = (self.pairs.get(side, {}) for side in SIDES)
        return len(one.keys() & other.keys())


def read_companions(required: Requirements, taxonomy: Taxonomy) -> Companions:
    """Reads the folders that the requirements name; one that is not there has no rows.

    Raises:
        DatasetError: a file that is no JSONL, or a text of a pair that does not fit the schema.
    """
    broken: list[str] = []
    first, second = read_standoff_labels(required.standoff.folder, taxonomy, broken)
    pairs = {side: _side(required.pairs.folder, side, taxonomy, broken) for side in SIDES}
    return Companions(first, second, pairs, broken)


def _side(folder: Path | None, side: str, taxonomy: Taxonomy, broken: list[str]) -> dict[str, Example]:
    """The texts of one side of the pairs by id; `broken` collects ids that are missing or there twice."""
    found: dict[str, Example] = {}
    if folder is None or not (path := folder / f"{side}.jsonl").is_file():
        return found
    for number, row in read_jsonl(path):
        example = parse_record(row, taxonomy, f"{path.name}, row {number}")
        if not example.id or example.id in found:
            broken.append(f"{path.name}, row {number}: expected an id of its own, found {example.id!r}")
        found.setdefault(example.id, example)
    return found


def read_standoff_labels(
    folder: Path | None, taxonomy: Taxonomy, broken: list[str] | None = None
) -> tuple[dict[str, Row], dict[str, Row]]:
    """(first, second) labels by sha256 of all stand-off files in a folder. `broken` collects rows that do not fit."""
    found: tuple[dict[str, Row], dict[str, Row]] = ({}, {})
    for path in sorted(folder.glob("*.jsonl")) if folder is not None else ():
        rows = found[path.stem == SECOND]
        for number, row in read_jsonl(path):
            wrong = _wrong(row, rows, taxonomy, f"{path.name}, row {number}")
            if wrong is None:
                rows[row["sha256"]] = row
            elif broken is not None:
                broken.append(wrong)
    return found


def check_companions(
    found: Companions, fitted: Mapping[str, Sequence[Example]], required: Requirements, shown: int
) -> list[str]:
    """What is wrong with the companions of a set; `fitted` are the splits that a model learns from."""
    errors = [*_standoff(found, required.standoff), *_pairs(found, required.pairs)]
    near = _near_pairs(found, fitted)
    for part, what in ((found.broken, "rows beside the set"), (near, "near-duplicates of pairs")):
        errors += part if len(part) <= shown else [*part[:shown], f"{len(part) - shown} more {what}"]
    return errors


def _wrong(row: Row, rows: Mapping[str, Row], taxonomy: Taxonomy, where: str) -> str | None:
    """What is wrong with a stand-off row, or None. Its evidence cannot be checked: the text is elsewhere."""
    digest = row.get("sha256")
    if not isinstance(digest, str) or len(digest) != 64 or not {"corpus", *LABELS} <= set(row):
        return f"{where}: expected sha256, corpus, {', '.join(LABELS)}, found {', '.join(map(str, row)) or 'nothing'}"
    if digest in rows:
        return f"{where}: expected each text once, found {digest[:8]} again"
    try:
        for entry in row["labels"]:
            one_of(entry.get("dimension"), taxonomy.keys, f"{where}, labels.dimension")
            one_of(entry.get("sentiment"), taxonomy.sentiments, f"{where}, labels.sentiment")
        one_of(row["overall"], taxonomy.overall, f"{where}, overall")
        one_of(row["intent"], taxonomy.intents, f"{where}, intent")
        if not isinstance(row["escalation"], bool):
            return f"{where}, escalation: expected true or false, found {row['escalation']!r}"
    except DatasetError as error:
        return str(error)
    except (AttributeError, TypeError):
        return f"{where}, labels: expected a list of objects, found {row['labels']!r}"
    return None


def _standoff(found: Companions, required: Standoff) -> list[str]:
    errors = []
    rows, twice = len(found.standoff), found.seconded()
    if rows < required.rows:
        errors.append(f"stand-off rows: expected at least {required.rows}, found {rows} in {required.folder}")
    if len(twice) < required.second * rows:
        errors.append(
            f"stand-off rows with a second label: expected at least {required.second:.0%} of {rows}, found {len(twice)}"
        )
    if alone := found.alone():
        errors.append(f"{SECOND}.jsonl: expected texts with a first label, found {len(alone)} without: {alone[0][:8]}")
    if twice and all(_given(one) == _given(other) for one, other in twice):
        errors.append(
            f"{SECOND}.jsonl: expected labels given blind, found a copy of the first in all {len(twice)} rows"
        )
    return errors


def _given(row: Row) -> tuple[Any, ...]:
    labels = {entry["dimension"]: (entry["sentiment"], entry.get("start"), entry.get("end")) for entry in row["labels"]}
    return labels, row["overall"], row["intent"], row["escalation"]


def _pairs(found: Companions, required: Pairs) -> list[str]:
    one, other = (found.pairs.get(side, {}) for side in SIDES)
    errors = []
    if (count := found.paired()) < required.pairs:
        errors.append(f"pairs of wordings: expected at least {required.pairs}, found {count} in {required.folder}")
    if single := sorted(one.keys() ^ other.keys()):
        errors.append(f"pairs: expected every id in {SIDES[0]} and {SIDES[1]}, found {len(single)} in one: {single[0]}")
    if differ := [name for name in one if name in other and _said(one[name]) != _said(other[name])]:
        errors.append(f"pairs: expected the same labels on both sides, found others in {len(differ)}: {differ[0]}")
    return errors


def _said(example: Example) -> tuple[Any, ...]:
    labels = {key: sentiment for key, (sentiment, _, _) in example.labels.items()}
    return labels, example.overall, example.intent, example.escalation


def _near_pairs(found: Companions, fitted: Mapping[str, Sequence[Example]]) -> list[str]:
    named = [(f"{side} {name}", example.text) for side, part in found.pairs.items() for name, example in part.items()]
    rows = [(f"{split}, row {i + 1} ({e.id})", e.text) for split, part in fitted.items() for i, e in enumerate(part)]
    return [
        f"{rows[i][0]}: near-duplicate (5-gram Jaccard over 0.5) of the pair {named[j][0]}"
        for i, j in near_duplicates_of([text for _, text in rows], [text for _, text in named])
    ]
