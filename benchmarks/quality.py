"""Measures the packaged checkpoint on labelled texts and writes benchmarks/results/quality.json.

`python -m benchmarks.quality --dev real=FILE written=FILE --test written-test=FILE`

Development sets are cross-fitted, all together: the checkpoint's thresholds were fitted on them. Test sets are decided
by the checkpoint's own rules. In float32, and in int8 where checkpoint and processor have it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from sentiment.checkpoint import Checkpoint, CheckpointError, load_checkpoint
from sentiment.runtimes import choose_runtime
from training.evaluate import EvaluationError, evaluate_checkpoint
from training.example import DatasetError, Example
from training.results import Report, named_sets, set_facts, short, write_results

RESULTS = Path(__file__).parent / "results" / "quality.json"


def measure(
    checkpoint: Checkpoint, development: Mapping[str, Sequence[Example]], test: Mapping[str, Sequence[Example]],
    threads: int | None, runtime: str,
) -> dict[str, Report]:  # fmt: skip
    """The reports of all sets on a runtime."""
    reports: dict[str, Report] = {}
    for sets, cross_fit in ((development, True), (test, False)):
        if sets:
            reports |= evaluate_checkpoint(checkpoint, sets, cross_fit=cross_fit, threads=threads, runtime=runtime)
    return reports


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
        on = partial(measure, checkpoint, development, test, options.threads)
        same: dict[str, Any] = {"name": checkpoint.name, "hash": checkpoint.hash}
        models = [{**same, "title": checkpoint.name, "kind": "checkpoint", "sets": short(on("onnxruntime"))}]
        best = choose_runtime("auto", checkpoint.folder)
        if best.precision == "int8":
            titles = {"title": f"{checkpoint.name} in int8", "zh": f"{checkpoint.name}，int8"}
            models.append({**same, **titles, "kind": "checkpoint-int8", "sets": short(on(best.name))})
    except (CheckpointError, DatasetError, EvaluationError) as error:
        parser.error(str(error))
    results = {
        "kind": "quality",
        "sets": set_facts(options.dev, development, "development") | set_facts(options.test, test, "test"),
        "models": models,
    }
    write_results(options.json, results)
    print(f"{options.json} written", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
