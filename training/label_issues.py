"""Labels that models trained without them contradict with confidence: a list for a person to look at.

Confident learning: Northcutt et al. 2021 (cleanlab). `cinesent train --data … --base offline --folds 5 -o runs/folds`
leaves what each fold's model says about texts that it has not seen; `python -m training.label_issues runs/folds -o
issues.jsonl` compares that with their labels. Nothing is changed: a model is wrong more often than a careful annotator.

The base must not have learnt the texts either: a checkpoint repeats the labels that it was fitted to, and the embedded
one, where `cinesent train` begins by default, was fitted to those of this project.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores
from numpy.typing import NDArray

from sentiment.decode import sigmoid, softmax
from sentiment.taxonomy import Taxonomy
from training.bases import BaseError
from training.folders import label_space
from training.metrics import UNKNOWN
from training.seen import read_seen, text_hash

Array = NDArray[Any]
OUT_OF_FOLD = "out_of_fold.npz"
NONE, MENTIONED = "none", "mentioned"


def questions(kept: Mapping[str, Array], space: Taxonomy) -> Iterator[tuple[str, list[str], Array, Array]]:
    """(name, classes, given [N], probabilities [N, C]) of each question put to the texts; given may be UNKNOWN.

    Per dimension two questions: is it mentioned, and, where a label says so, with which sentiment.
    """
    polarity = softmax(kept["polarity"])
    for k, key in enumerate(space.keys):
        yield key, [NONE, MENTIONED], kept["gold_mention"][:, k], _binary(kept["mention"][:, k])
        yield key, list(space.sentiments), kept["gold_polarity"][:, k], polarity[:, k]
    for head, names in (("overall", space.overall), ("intent", space.intents)):
        yield head, list(names), kept[f"gold_{head}"], softmax(kept[head])
    yield "escalation", ["false", "true"], kept["gold_escalation"], _binary(kept["escalation"])


def label_issues(kept: Mapping[str, Array], space: Taxonomy) -> list[dict[str, Any]]:
    """The labels in doubt, the most doubtful first.

    Each: `row` in the order of the gathered texts, `id`, `text`, `label` (a dimension or a head), `given`, `proposed`,
    and `quality`, the probability of the given label, 0..1.
    """
    issues: list[dict[str, Any]] = []
    for name, classes, given, probabilities in questions(kept, space):
        rows = np.flatnonzero(given != UNKNOWN)
        if len(np.unique(given[rows])) < 2:
            continue
        labels, shares = _present(given[rows].astype(int), probabilities[rows], len(classes))
        names = [classes[c] for c in np.unique(given[rows])]
        quality = get_label_quality_scores(labels, shares, method="self_confidence")
        found = find_label_issues(labels, shares, filter_by="confident_learning", n_jobs=1)
        for i in np.flatnonzero(found):
            issues.append(
                {
                    "row": int(rows[i]),
                    "id": str(kept["ids"][rows[i]]),
                    "text": str(kept["texts"][rows[i]]),
                    "label": name,
                    "given": names[labels[i]],
                    "proposed": names[int(shares[i].argmax())],
                    "quality": round(float(quality[i]), 4),
                }
            )
    return sorted(issues, key=lambda issue: issue["quality"])


def _binary(logits: Array) -> Array:
    positive = sigmoid(np.asarray(logits, dtype=float))
    return np.stack([1 - positive, positive], 1)


def _present(labels: Array, shares: Array, count: int) -> tuple[Array, Array]:
    """Without the classes that no label has: numbered anew, their probabilities shared out."""
    present = np.unique(labels)
    number = np.zeros(count, dtype=int)
    number[present] = np.arange(len(present))
    kept = np.asarray(shares, dtype=float)[:, present]
    return number[labels], kept / kept.sum(1, keepdims=True)


def read_folds(folder: Path) -> tuple[dict[str, Array], Taxonomy]:
    """What a cross-validation left, and its label space.

    Raises:
        BaseError: the folder is not that of a cross-validation.
    """
    path = folder / OUT_OF_FOLD
    if not path.is_file():
        raise BaseError(
            f"expected {OUT_OF_FOLD} in {folder}, found none; run `cinesent train --base offline --folds 5 -o {folder}`"
        )
    with np.load(path, allow_pickle=False) as stored:
        return dict(stored), label_space(folder / "fold-1")


def started_from(folder: Path) -> str | None:
    """The trained checkpoint that the folds began with; None if their heads were new, "" if nothing says.

    A folder or hub name as the base means new heads: `training.run.Start`.
    """
    try:
        start = json.loads((folder / "fold-1" / "metrics.json").read_text("utf-8"))["start"]
        warm, base = start["warm_start"], start["base"]
    except (OSError, ValueError, LookupError, TypeError):
        return ""
    return str(warm) if warm is not None else "embedded" if base == "embedded" else None


def seen_by_all(folder: Path, texts: Sequence[str]) -> NDArray[np.bool_]:
    """Whether every fold's model has seen a text [N]: then one that had seen it answered.

    A fold's seen.txt lists the texts of its own and of the run that it began with. Where a fold has none, nothing is
    known and all are False.
    """
    kept = [read_seen(part) for part in sorted(folder.glob("fold-*"))]
    lists = [found for found in kept if found is not None]
    if not lists or len(lists) < len(kept):
        return np.zeros(len(texts), bool)
    common = frozenset.intersection(*lists)
    return np.array([text_hash(text) in common for text in texts], bool)


def main(arguments: Sequence[str] | None = None) -> int:
    """Lists label issues from the command line."""
    parser = argparse.ArgumentParser(prog="python -m training.label_issues", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR", help="what `cinesent train --folds` wrote")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="the list, as JSON lines")
    options = parser.parse_args(arguments)
    try:
        kept, space = read_folds(options.folder)
    except BaseError as error:
        print(f"training.label_issues: {error}", file=sys.stderr)
        return 2
    start = started_from(options.folder)
    if start is not None:
        began = f"with the trained checkpoint {start}" if start else "nobody knows with what"
        print(
            f"the folds began {began}: about labels that it was fitted to its answers are no second opinion; "
            "give `cinesent train` --base offline",
            file=sys.stderr,
        )
    count = len(kept["texts"])
    seen = seen_by_all(options.folder, [str(text) for text in kept["texts"]])
    if seen.all():
        print(
            f"training.label_issues: expected texts that no model had learnt, found all {count} among what the folds "
            "began with; run `cinesent train` with --base offline",
            file=sys.stderr,
        )
        return 2
    if seen.any():
        print(f"{seen.sum()} of {count} texts had been learnt before the folds: left out", file=sys.stderr)
    rows = np.flatnonzero(~seen)
    issues = label_issues({name: values[rows] for name, values in kept.items()}, space)
    for issue in issues:
        issue["row"] = int(rows[issue["row"]])
    options.output.write_text("".join(json.dumps(i, ensure_ascii=False) + "\n" for i in issues), "utf-8")
    counts = Counter(issue["label"] for issue in issues)
    for name, count in counts.most_common():
        print(f"{name}\t{count}")
    print(f"{len(issues)} labels of {len(rows)} texts in doubt; {options.output} written", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
