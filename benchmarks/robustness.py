"""Measures what should change nothing, or call nothing, and writes benchmarks/results/robustness.json.

Pairs: the same content in Taiwan or Hong Kong usage and, by another author, in mainland wording; figures on both sides
and their difference. Film talk: texts on the film alone that use words of service, and how many get a service label.
All are decided by the checkpoint's own rules, whose thresholds were fitted on the development texts, the film talk
among them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sentiment.checkpoint import Checkpoint, CheckpointError, load_checkpoint
from sentiment.engine import Engine
from training.compare import FIGURES, figures
from training.evaluate import packaged_rules
from training.example import DatasetError, Example
from training.metrics import Predictions
from training.rates import rates, resampled
from training.results import named_sets, set_facts, write_results
from training.scores import gold_labels, score_examples

DATA = Path(__file__).parent.parent / "data"
RESULTS = Path(__file__).parent / "results" / "robustness.json"
SAMPLES = 1000


def said_of(checkpoint: Checkpoint, engine: Engine, examples: Sequence[Example]) -> Predictions:
    """What the checkpoint says, by its own thresholds and scaling."""
    return packaged_rules(checkpoint).decide(score_examples(checkpoint, engine, examples), checkpoint.taxonomy)


def measure_pairs(
    checkpoint: Checkpoint, engine: Engine, first: Sequence[Example], second: Sequence[Example]
) -> dict[str, Any]:
    """Figures on both sides and second less first, with paired percentile intervals over the pairs.

    Raises:
        DatasetError: the two files do not hold the same ids.
    """
    other = {example.id: example for example in second}
    if {example.id for example in first} != set(other):
        raise DatasetError("expected the same ids on both sides of the pairs, found different ones; every text has one")
    sides = (list(first), [other[example.id] for example in first])
    service = [checkpoint.taxonomy.index[key] for key in checkpoint.taxonomy.service_keys]
    rows = np.arange(len(first))
    drawn = [
        figures(
            gold_labels(side, checkpoint.taxonomy).take(rows, service),
            said_of(checkpoint, engine, side).take(rows, service),
            SAMPLES,
        )
        for side in sides
    ]
    return {
        "pairs": len(first),
        "first": rates(**drawn[0]),
        "second": rates(**drawn[1]),
        "differences": rates(**{name: drawn[1][name] - drawn[0][name] for name in FIGURES}),
    }


def measure_film_talk(checkpoint: Checkpoint, engine: Engine, examples: Sequence[Example]) -> dict[str, Any]:
    """The share of texts without a service label that get one, over those marked as decoys."""
    service = [checkpoint.taxonomy.index[key] for key in checkpoint.taxonomy.service_keys]
    said = said_of(checkpoint, engine, examples).mention[:, service] == 1
    called = said.any(1)
    share = resampled({"called": called}, SAMPLES, seed=0)["called"] / len(called)
    return {"texts": len(called), "labelled": int(called.sum()), **rates(rate=share)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and writes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.robustness", description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, metavar="DIR", help="the data folder (default: data)")
    parser.add_argument("--model", type=Path, metavar="DIR", help="checkpoint folder (default: the packaged one)")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: all cores)")
    parser.add_argument("--json", type=Path, default=RESULTS, metavar="OUT", help="where the results go")
    options = parser.parse_args(arguments)
    try:
        checkpoint = load_checkpoint(options.model)
        engine = Engine(checkpoint, threads=options.threads)
        named = [f"{name}={options.data / 'pairs' / f'{name}.jsonl'}" for name in ("traditional", "mainland")]
        named.append(f"written={options.data / 'cinema' / 'dev.jsonl'}")
        sets = named_sets(named, checkpoint.taxonomy)
        *sides, dev = sets.values()
        decoys = [e for e in dev if e.kind == "decoy" and not set(e.labels) & set(checkpoint.taxonomy.service_keys)]
        if not decoys:
            raise DatasetError("expected decoys in the development texts, found none")
        results = {
            "kind": "robustness",
            "model": checkpoint.name,
            "sets": set_facts(named, sets, "development"),
            "pairs": measure_pairs(checkpoint, engine, *sides),
            "film_talk": measure_film_talk(checkpoint, engine, decoys),
        }
    except (CheckpointError, DatasetError) as error:
        parser.error(str(error))
    write_results(options.json, results)
    print(f"{options.json} written", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
