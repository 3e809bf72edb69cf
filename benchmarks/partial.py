"""What training on partly labelled texts does to the packaged checkpoint, and writes benchmarks/results/partial.json.

`python -m benchmarks.partial --corpora DIR --seen FILE... --dev real=FILE written=FILE --work runs/partial`

Three public sets of other people's texts, each with one kind of labels: hotels, of which only the overall sentiment is
known; films, of which only the stars are; restaurants, of which some dimensions are judged. On each the packaged
checkpoint is trained on as `cinesent train --data FILE --dev FILE...` does it by default, and judged before and after:
on other rows of the set, and on one half of the development sets. By their other half the share of the start's weights
is chosen that the result keeps (`kept`; 1 is the start itself, so that nothing was learnt); with `--keep SHARE` it is
given instead. Rows that the packaged checkpoint was trained on (the stand-off files name them, and `--seen`), or that
nearly repeat such a one, are neither trained on nor judged. Thresholds and scaling are cross-fitted on either side. A
run of the same start, texts and recipe that is there already under --work is judged, not made again.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import machine
from sentiment.checkpoint import CheckpointError, embedded_folder, load_checkpoint
from sentiment.taxonomy import Taxonomy
from training.bases import BaseError
from training.calibrate import fold_numbers
from training.compare import compare
from training.corpora import read_corpus
from training.example import DatasetError, Example
from training.folders import label_space, score_folder
from training.labelled_files import read_labelled
from training.near_duplicates import near_duplicate_groups, without_near_duplicates
from training.public_sets import read_public_set, sampled
from training.results import named_sets, set_facts, write_results
from training.run import Start, load_start, remembered
from training.standoff import read_standoff
from training.steps import STEPS, clear_run, fingerprint
from training.train import PARTLY, Recipe, fine_tune

RESULTS = Path(__file__).parent / "results" / "partial.json"
STANDOFF = Path(__file__).parent.parent / "data" / "standoff"
FITTED, JUDGED = 2000, 1000


def seen_texts(corpora: Path, files: Sequence[Path], taxonomy: Taxonomy) -> list[Example]:
    """Others' texts that the packaged checkpoint was trained on: those of the stand-off files and of labelled ones."""
    named, _ = read_standoff(sorted(STANDOFF.glob("*.jsonl")), corpora, taxonomy)
    return [*named, *read_labelled(files, taxonomy)]


def hotels(corpora: Path, taxonomy: Taxonomy, seen: Sequence[Example]) -> tuple[list[Example], list[Example]]:
    """Overall sentiment only. Judged: the rows of the hash rule, which nothing of ours was fitted to."""
    found = read_public_set(corpora, "chnsenticorp", most=FITTED)
    fitted, judged = (without_near_duplicates(side, seen) for side in (found.other, found.held))
    return fitted, sampled(judged, JUDGED)


def films(corpora: Path, taxonomy: Taxonomy, seen: Sequence[Example]) -> tuple[list[Example], list[Example]]:
    """Stars only: what is judged has the overall sentiment that its stars stand for."""
    fitted, judged = _parted(_unseen(corpora, "film_maoyan", taxonomy, seen))
    return [replace(example, overall=None) for example in fitted], judged


def restaurants(corpora: Path, taxonomy: Taxonomy, seen: Sequence[Example]) -> tuple[list[Example], list[Example]]:
    """Some dimensions only: those that mean the same in a restaurant."""
    return _parted(_unseen(corpora, "absa_dimabsa_restaurant_zh", taxonomy, seen))


def _unseen(corpora: Path, name: str, taxonomy: Taxonomy, seen: Sequence[Example]) -> list[Example]:
    """Rows of a corpus without those in `seen`: left out before they are drawn, and what nearly repeats them after."""
    known = [example.text for example in seen]
    return without_near_duplicates(
        read_corpus(corpora, name, taxonomy, limit=FITTED + JUDGED, exclude=known), seen
    )  # fmt: skip


def _parted(examples: list[Example]) -> tuple[list[Example], list[Example]]:
    """A third to judge on, whole groups of near-duplicates, and the rest."""
    groups = near_duplicate_groups([example.text for example in examples])
    judged = set(sorted(set(groups))[::3])
    sides: tuple[list[Example], list[Example]] = ([], [])
    for example, group in zip(examples, groups, strict=True):
        sides[group in judged].append(example)
    return sides


SETS = {
    "overall": ("hotels: overall sentiment only", hotels),
    "stars": ("films: stars only", films),
    "dimensions": ("restaurants: some dimensions only", restaurants),
}


def halves(dev: Mapping[str, Sequence[Example]]) -> tuple[dict[str, list[Example]], dict[str, list[Example]]]:
    """The development sets in two: to choose by, and to judge on. Groups of near-duplicates, across sets too, stay
    whole."""
    groups = near_duplicate_groups([example.text for part in dev.values() for example in part])
    numbers = iter(fold_numbers(groups, 2, seed=0))
    sides: tuple[dict[str, list[Example]], dict[str, list[Example]]] = ({}, {})
    for name, part in dev.items():
        dealt = [(next(numbers), example) for example in part]
        for number, side in enumerate(sides):
            side[name] = [example for half, example in dealt if half == number]
    return sides


def measure(
    fitted: Sequence[Example], judged: Sequence[Example], choosing: Mapping[str, Sequence[Example]],
    dev: Mapping[str, Sequence[Example]], folder: Path, recipe: Recipe, begin: Path,
) -> dict[str, Any]:  # fmt: skip
    """Trains on from the checkpoint `begin` unless the folder holds a run of that recipe; returns figures before and
    after, and their differences.

    Args:
        judged, dev: what the figures are on. choosing: other development texts, by which the share of the start is
            chosen, if it is.
    """
    texts, others = ([example for part in sets.values() for example in part] for sets in (dev, choosing))
    kept = without_near_duplicates(list(fitted), [*judged, *texts, *others])
    learnt = fingerprint([*kept, *others], (len(kept),))
    key = {"start": load_checkpoint(begin).hash, "texts": learnt, "recipe": asdict(recipe)}
    mark, start = folder / "made_of.json", Start(warm_start=begin)
    if not mark.is_file() or json.loads(mark.read_text("utf-8")) != key:
        clear_run(folder)
        model, tokenizer, fresh = load_start(start, recipe.max_tokens)
        known = remembered(start, kept, model.config.label_space())
        fine_tune(model, tokenizer, known, folder, recipe, fresh_heads=fresh, development=others)
        shutil.rmtree(folder / STEPS, ignore_errors=True)  # optimiser states of a run that is over
        mark.write_text(json.dumps(key), "utf-8")
    metrics = json.loads((folder / "metrics.json").read_text("utf-8"))
    found: dict[str, Any] = {"fitted": len(kept), "judged": len(judged), "kept": metrics.get("kept"), "sets": {}}
    space = label_space(begin)
    # A run is traced to be scored, which takes longer than its texts do: once for all of them.
    scores = {name: score_folder(path, [*judged, *texts]) for name, path in (("before", begin), ("after", folder))}
    both = np.split(np.arange(len(judged) + len(texts)), [len(judged)])
    for sets, rows in zip(({"own": judged}, dev), both, strict=True):
        for name, sides in compare({side: own.take(rows) for side, own in scores.items()}, sets, space).items():
            found["sets"][name] = {
                "before": sides["before"]["figures"],
                "after": sides["after"]["figures"],
                "differences": sides["after"]["differences"],
            }
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and writes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.partial", description=__doc__)
    parser.add_argument("--corpora", type=Path, required=True, metavar="DIR", help="folder of the public corpora")
    parser.add_argument("--dev", nargs="+", required=True, metavar="NAME=FILE", help="development sets")
    parser.add_argument(
        "--seen", type=Path, nargs="+", required=True, metavar="FILE",
        help="labelled files that the packaged checkpoint was trained on, beside the stand-off ones",
    )  # fmt: skip
    parser.add_argument("--work", type=Path, default=Path("runs/partial"), metavar="DIR", help="default: %(default)s")
    parser.add_argument("--only", nargs="+", choices=list(SETS), default=list(SETS), help="only these sets")
    parser.add_argument("--epochs", type=float, default=PARTLY.epochs, help="default: %(default)s")
    parser.add_argument("--learning-rate", type=float, default=PARTLY.learning_rate, help="default: %(default)s")
    parser.add_argument(
        "--keep", type=float, metavar="SHARE", help="of the start's weights; default: chosen on a half of --dev"
    )
    parser.add_argument("--most", type=int, metavar="N", help="a trial: at most N texts to fit and N to judge of a set")
    parser.add_argument("--json", type=Path, default=RESULTS, metavar="OUT", help="where the results go")
    options = parser.parse_args(arguments)
    if options.most is not None and options.json == RESULTS:
        parser.error("expected --json FILE beside --most, found none; a trial is no result")
    logging.basicConfig(level=logging.WARNING)
    recipe = replace(PARTLY, epochs=options.epochs, learning_rate=options.learning_rate, keep=options.keep)
    try:
        checkpoint = load_checkpoint()
        sets = named_sets(options.dev, checkpoint.taxonomy)
        choosing, dev = halves(sets)
        seen = seen_texts(options.corpora, options.seen, checkpoint.taxonomy)
        results: dict[str, Any] = {
            "kind": "partial",
            "model": checkpoint.name,
            "machine": machine(),
            "sets": {
                name: {**facts, "judged": len(dev[name])}
                for name, facts in set_facts(options.dev, sets, "development").items()
            },
            "seen": len(seen),
            "recipe": asdict(recipe),
            "trainings": {},
        }
        for name in options.only:
            what, read = SETS[name]
            found_rows = read(options.corpora, checkpoint.taxonomy, seen)
            fitted, judged = (sampled(side, options.most) for side in found_rows)
            found = measure(fitted, judged, choosing, dev, options.work / name, recipe, embedded_folder())
            results["trainings"][name] = {"what": what, **found}
    except (BaseError, CheckpointError, DatasetError) as error:
        parser.error(str(error))
    write_results(options.json, results)
    print(f"{options.json} written", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
