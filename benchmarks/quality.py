"""Measures the packaged checkpoint on labelled texts and writes benchmarks/results/quality.json.

`python -m benchmarks.quality --dev real=FILE written=FILE --test written-test=FILE`

Development sets are cross-fitted, all together: the checkpoint's thresholds were fitted on them. Test sets are decided
by the checkpoint's own rules.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from sentiment.checkpoint import CheckpointError, load_checkpoint
from training.evaluate import EvaluationError, evaluate_checkpoint
from training.example import DatasetError
from training.results import Report, named_sets, set_facts, short, write_results

RESULTS = Path(__file__).parent / "results" / "quality.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and writes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    parser.add_argument("--dev", nargs="+", default=[], metavar="NAME=FILE", help="development sets: cross-fitted")
    parser.add_argument("--test", nargs="+", default=[], metavar="NAME=FILE", help="test sets: the packaged rules")
    parser.add_argument("--model", type=Path, metavar="DIR", help="checkpoint folder (default: the packaged one)")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: all cores)")
    parser.add_argument("--json", type=Path, default=RESULTS, metavar="OUT", help="where the results go")
    options = parser.parse_args(arguments)
    try:
        checkpoint = load_checkpoint(options.model)
        development = named_sets(options.dev, checkpoint.taxonomy)
        test = named_sets(options.test, checkpoint.taxonomy)
        if set(development) & set(test) or not (development or test):
            parser.error(
                "expected --dev or --test with a different name for each file, such as --test written-test=FILE"
            )
        reports: dict[str, Report] = {}
        for sets, cross_fit in ((development, True), (test, False)):
            if sets:
                reports |= evaluate_checkpoint(checkpoint, sets, cross_fit=cross_fit, threads=options.threads)
    except (CheckpointError, DatasetError, EvaluationError) as error:
        parser.error(str(error))
    results = {
        "kind": "quality",
        "sets": set_facts(options.dev, development, "development") | set_facts(options.test, test, "test"),
        "models": [
            {
                "name": checkpoint.name,
                "title": checkpoint.name,
                "hash": checkpoint.hash,
                "kind": "checkpoint",
                "sets": short(reports),
            }
        ],
    }
    write_results(options.json, results)
    print(f"{options.json} written", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
