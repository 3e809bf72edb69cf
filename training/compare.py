"""Runs and checkpoints side by side on the same labelled texts, with paired intervals of their differences.

`python -m training.compare FIRST OTHER... --dev real=FILE written=FILE`: run folders or checkpoints; differences are to
the first. All are decided by thresholds and temperatures fitted across five folds of the texts, so that a run needs no
export to be compared.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from sentiment.checkpoint import CheckpointError
from sentiment.taxonomy import Taxonomy
from training.bases import BaseError
from training.calibrate import cross_fitted
from training.dataset import DatasetError, Example, near_duplicate_groups
from training.folders import label_space, score_folder
from training.metrics import Predictions, counts
from training.rates import rates, ratio, resampled
from training.results import named_sets, set_rows
from training.scores import Scores, gold_labels

Array = NDArray[Any]
# Set → model → `figures` or `differences` → figure → value and interval.
Comparison = dict[str, dict[str, dict[str, dict[str, dict[str, float]]]]]

FIGURES = ("mention", "joint", "overall", "intent", "escalation")


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
    scores: Mapping[str, Scores], sets: Mapping[str, Sequence[Example]], taxonomy: Taxonomy, samples: int = 1000
) -> Comparison:
    """Set → model → `figures` and, but for the first model, `differences` to it: figure → `{"value", "low", "high"}`.

    Mentions and joint count the service dimensions together. Percentile bootstrap over texts (Efron and Tibshirani
    1993), paired for differences.
    """
    examples = [example for part in sets.values() for example in part]
    gold, groups = gold_labels(examples, taxonomy), near_duplicate_groups([example.text for example in examples])
    service = [taxonomy.index[key] for key in taxonomy.service_keys]
    said = {name: cross_fitted(table, gold, taxonomy, groups) for name, table in scores.items()}
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
