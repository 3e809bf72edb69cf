"""Runs and checkpoints side by side on the same labelled texts, with paired intervals of their differences.

`python -m training.compare FIRST OTHER... --dev real=FILE written=FILE`: run folders or checkpoints; differences are to
the first. All are decided by thresholds and scaling fitted across five folds of the texts, so that a run needs no
export to be compared.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentiment.checkpoint import Checkpoint, CheckpointError
from sentiment.engine import Engine
from sentiment.runtimes import decided_by
from sentiment.taxonomy import Taxonomy
from sentiment.text import normalise
from training.bases import BaseError
from training.calibrate import FOLDS, Calibration, cross_fitted
from training.evaluate import packaged_rules, silent
from training.example import DatasetError, Example
from training.folders import label_space, score_folder
from training.metrics import UNKNOWN, Predictions, counts
from training.near_duplicates import near_duplicate_groups
from training.rates import rates, ratio, resampled, rounded
from training.results import named_sets, set_rows
from training.scores import Scores, gold_labels, score_examples

Array = NDArray[Any]
# Set → model → `figures` or `differences` → figure → value and interval.
Comparison = dict[str, dict[str, dict[str, dict[str, dict[str, float]]]]]

FIGURES = ("mention", "joint", "overall", "intent", "escalation")
DECIDING = ("joint", "overall", "escalation")


def figures(gold: Predictions, said: Predictions, samples: int, seed: int = 0) -> dict[str, Array]:
    """[samples + 1] each: a figure over all texts first, then over texts drawn with replacement.

    The same seed and number of texts draw the same texts, so that two models' figures are paired.
    """
    sums = resampled(counts(gold, said), samples, seed)
    return {
        "mention": ratio(2 * sums["found"], sums["gold"] + sums["called"]),
        "joint": ratio(2 * sums["joint"], sums["gold"] + sums["called"]),
        "overall": ratio(sums["overall_right"], sums["overall_n"]),
        "intent": ratio(sums["intent_right"], sums["intent_n"]),
        "escalation": ratio(2 * sums["escalation_found"], sums["escalation_gold"] + sums["escalation_called"]),
    }


def compare(
    scores: Mapping[str, Scores], sets: Mapping[str, Sequence[Example]], taxonomy: Taxonomy, samples: int = 1000,
    rules: Mapping[str, Calibration] | None = None,
) -> Comparison:  # fmt: skip
    """Set → model → `figures` and, but for the first model, `differences` to it: figure → `{"value", "low", "high"}`.

    Mentions and joint count the service dimensions together. Percentile bootstrap over texts (Efron and Tibshirani
    1993), paired for differences. Decided by each model's `rules`, or by rules that are cross-fitted for it.
    """
    examples = [example for part in sets.values() for example in part]
    gold, groups = gold_labels(examples, taxonomy), near_duplicate_groups([example.text for example in examples])
    service = [taxonomy.index[key] for key in taxonomy.service_keys]
    said = {
        name: cross_fitted(table, gold, taxonomy, groups) if rules is None else rules[name].decide(table, taxonomy)
        for name, table in scores.items()
    }
    result: Comparison = {}
    for part, index in set_rows(sets).items():
        drawn = {
            name: figures(gold.take(index, service), guess.take(index, service), samples)
            for name, guess in said.items()
        }
        first = next(iter(drawn.values()))
        result[part] = {name: {"figures": rates(**own)} for name, own in drawn.items()}
        for name in list(drawn)[1:]:
            result[part][name]["differences"] = rates(**{key: drawn[name][key] - first[key] for key in FIGURES})
    return result


@dataclass(frozen=True)
class Verdict:
    """Whether a checkpoint may take another one's place. `rows`: figure → `old`, `new`, `difference`, `low`, `high`, as
    shares; a figure of whose labels there are fewer than two classes is missing. `reasons` say what speaks against
    it."""

    texts: int
    rows: dict[str, dict[str, float]]
    reasons: list[str]

    @property
    def may_replace(self) -> bool:
        return not self.reasons


def replacement(
    gold: Predictions, old: Predictions, new: Predictions, *, margin: float = 0.01, samples: int = 2000
) -> Verdict:
    """Judges `new` against `old` on the same texts.

    It may not replace it if the whole 95% interval of a difference (paired percentile bootstrap over texts) lies more
    than `margin` below nothing, for joint, overall or escalation; nor if that of joint lies below nothing at all.
    """
    drawn = [figures(gold, said, samples) for said in (old, new)]
    changes = rates(**{key: drawn[1][key] - drawn[0][key] for key in DECIDING if _has_classes(gold, key)})
    rows = {
        key: {
            "old": rounded(drawn[0][key][0]), "new": rounded(drawn[1][key][0]), "difference": change["value"],
            "low": change["low"], "high": change["high"],
        }
        for key, change in changes.items()
    }  # fmt: skip
    reasons = []
    for key, row in rows.items():
        bound = 0.0 if key == "joint" else -margin
        if row["high"] < bound:
            worse = f"{100 * row['difference']:+.1f} [{100 * row['low']:+.1f}, {100 * row['high']:+.1f}] points"
            reasons.append(f"{key} is worse: {worse}, all of it below {100 * bound:g}")
    return Verdict(len(gold.overall), rows, reasons)


def _has_classes(gold: Predictions, key: str) -> bool:
    """Whether the labels of a figure have two classes: one class alone is no measure, as a model that always
    says it would be right."""
    labels = gold.mention if key == "joint" else getattr(gold, key)
    return len(np.unique(labels[labels != UNKNOWN])) > 1


def compare_checkpoints(
    old: Checkpoint, new: Checkpoint, examples: Sequence[Example], *, cross_fit: bool = False,
    exclude: Collection[str] = (), margin: float = 0.01, samples: int = 2000, threads: int | None = None,
    runtime: str = "onnxruntime",
) -> Verdict:  # fmt: skip
    """Scores the texts with both and judges, over the service dimensions, by each one's own thresholds or, with
    `cross_fit`, by thresholds fitted across five folds of the texts; both on one runtime.

    Raises:
        DatasetError: other label spaces, too few texts to fit on, or texts without a label that decides.
        RuntimeChoiceError: the runtime cannot be had with one of them.
    """
    if not examples:
        raise DatasetError("expected labelled texts, found none; give --data FILE")
    space = old.taxonomy
    for name in ("keys", "sentiments", "overall", "intents"):
        if getattr(space, name) != getattr(new.taxonomy, name):
            raise DatasetError(
                f"expected one label space, found other {name} in the new one; compare what has the same"
            )
    gold = gold_labels(examples, space)
    unread = np.array([normalise(example.text).status != "ok" for example in examples], dtype=bool)
    groups = near_duplicate_groups([example.text for example in examples]) if cross_fit else []
    if cross_fit and len(set(groups)) < 2 * FOLDS:
        raise DatasetError(
            f"expected at least {2 * FOLDS} different texts to fit on, found {len(set(groups))}; leave --cross-fit out"
        )
    said = []
    for checkpoint in (old, new):
        engine = Engine(checkpoint, threads=threads, runtime=runtime)
        scores = score_examples(checkpoint, engine, examples)
        own = packaged_rules(decided_by(engine.runtime, checkpoint))
        found = cross_fitted(scores, gold, space, groups) if cross_fit else own.decide(scores, space)
        said.append(silent(found, unread))
    keys = [space.index[key] for key in space.service_keys if key not in exclude]
    everything = np.arange(len(examples))
    verdict = replacement(
        gold.take(everything, keys), *(one.take(everything, keys) for one in said), margin=margin, samples=samples
    )
    if "joint" not in verdict.rows:
        raise DatasetError(
            "expected texts with labelled dimensions, some mentioned and some not, found none or one of the two alone; "
            "without them nobody can say which one is better"
        )
    return verdict


def table(comparison: Comparison) -> str:
    """Markdown: a table a set, a row a model; in points of a hundred, with differences and their intervals."""
    lines: list[str] = []
    for part, models in comparison.items():
        lines += [f"**{part}**", "", f"| model | {' | '.join(FIGURES)} |", "| --- |" + " ---: |" * len(FIGURES)]
        for name, entry in models.items():
            cells = [_cell(entry["figures"].get(key), entry.get("differences", {}).get(key)) for key in FIGURES]
            lines.append(f"| {name} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def _cell(rate: Mapping[str, float] | None, gained: Mapping[str, float] | None) -> str:
    if rate is None:
        return "–"
    value = f"{100 * rate['value']:.1f}"
    if gained is None:
        return value
    difference, low, high = (100 * gained[name] for name in ("value", "low", "high"))
    return f"{value} ({difference:+.1f} [{low:+.1f}, {high:+.1f}])"


def main(arguments: Sequence[str] | None = None) -> int:
    """Compares from the command line."""
    parser = argparse.ArgumentParser(prog="python -m training.compare", description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+", metavar="DIR", help="run folders or checkpoints")
    parser.add_argument("--dev", nargs="+", required=True, metavar="NAME=FILE", help="labelled texts")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: all cores)")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write every number to this file")
    options = parser.parse_args(arguments)
    names = [str(folder) for folder in options.folders]
    if len(set(names)) < len(names):
        parser.error("expected different folders, found one twice")
    try:
        sets: dict[str, list[Example]] = {}
        scores: dict[str, Scores] = {}
        space: Taxonomy | None = None
        for folder in options.folders:
            own = label_space(folder)
            if space is None:
                space = own
                sets = named_sets(options.dev, space)
            elif own.keys != space.keys:
                raise DatasetError(f"expected one label space, found another in {folder}; compare what has the same")
            scores[str(folder)] = score_folder(folder, [e for part in sets.values() for e in part], options.threads)
        assert space is not None
        found = compare(scores, sets, space)
    except (BaseError, CheckpointError, DatasetError) as error:
        print(f"training.compare: {error}", file=sys.stderr)
        return 2
    if options.json is not None:
        options.json.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", "utf-8")
    print(table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
