"""Checkpoints side by side: how large, how fast, how good, so that somebody can choose between them.

`python -m benchmarks.tradeoff large=runs/large/ensemble-3 --corpora DIR --dev real=FILE` writes
benchmarks/results/tradeoff.json, of the packaged checkpoint and of those named. Rates are medians of interleaved rounds
over the texts of `benchmarks.speed`; quality is that of data/cinema/dev.jsonl and of what --dev names, thresholds
cross-fitted for each, with paired differences to the packaged one; both on the runtime that --runtime names. `python -m
benchmarks.tables` draws docs/tradeoff.svg of it.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import onnx

from benchmarks.ceiling import units
from benchmarks.journal import Journal, code_hash, identity
from benchmarks.machine import MachineError, add_busy, conditions, machine, processor
from benchmarks.rounds import Reordered, interleaved, rate_of, scoring_seconds
from benchmarks.runtimes import add_runtime, runtime_of
from benchmarks.texts import CORPORA, OWN, Drawn, drawn_texts, lengths_by
from sentiment.analyzer import Analyzer
from sentiment.checkpoint import Checkpoint, CheckpointError, load_checkpoint
from sentiment.engine import Engine
from sentiment.runtimes import Choice, RuntimeChoiceError, choose_runtime
from training.compare import compare
from training.example import DatasetError, Example
from training.quantise import SCALE
from training.results import named_sets, set_facts, write_results
from training.scores import score_examples

RESULTS = Path(__file__).parent / "results" / "tradeoff.json"
DEV = OWN.parent / "dev.jsonl"
PACKAGED = "packaged"
TEXTS, ROUNDS = 10_000, 3
MODULES = ("tradeoff", "texts")  # whose code the rates depend on
INTEGER = onnx.TensorProto.INT64  # shapes and indices, no weights


def checkpoints_of(items: Sequence[str], model: Path | None) -> dict[str, Checkpoint]:
    """The packaged checkpoint, or that in `model`, and those of `NAME=FOLDER` arguments, by name.

    Raises:
        CheckpointError: an argument of another form, no checkpoint there, or one of another label space.
    """
    found = {PACKAGED: load_checkpoint(model)}
    for item in items:
        name, equals, folder = item.partition("=")
        if not equals or not name or name in found:
            raise CheckpointError(f"expected NAME=FOLDER with different names, none {PACKAGED}, found {item!r}")
        found[name] = load_checkpoint(Path(folder))
        if found[name].taxonomy.keys != found[PACKAGED].taxonomy.keys:
            raise CheckpointError(f"expected one label space, found another in {folder}; compare what has the same")
    return found


def size(checkpoint: Checkpoint) -> dict[str, Any]:
    """Members, the layers and the width of each, parameters, and MB of the folder's files."""
    tensors = onnx.load(str(checkpoint.folder / "model.onnx")).graph.initializer
    weights = [tensor for tensor in tensors if not tensor.name.endswith(SCALE) and tensor.data_type != INTEGER]
    encoder = checkpoint.config["encoder"]
    return {
        "members": int(checkpoint.config.get("members", 1)),
        "layers": int(encoder["num_hidden_layers"]),
        "hidden": int(encoder["hidden_size"]),
        "parameters": sum(math.prod(tensor.dims) for tensor in weights),
        "mb": round(sum((checkpoint.folder / name).stat().st_size for name in checkpoint.files) / 1e6, 1),
    }


def measure(
    checkpoints: Mapping[str, Checkpoint], texts: Mapping[str, Drawn], sets: Mapping[str, Sequence[Example]],
    rounds: int, threads: int, runtime: Choice, journal: Journal,
) -> list[dict[str, Any]]:  # fmt: skip
    """An entry for each checkpoint, the packaged one first; rounds that the journal has are not run again."""
    engines = {
        name: Engine(checkpoint, threads=threads, runtime=runtime.name) for name, checkpoint in checkpoints.items()
    }
    tasks: dict[str, Callable[[], float]] = {}
    for name, engine in engines.items():
        analyzer = Analyzer(checkpoints[name], engine)
        for part, drawn in texts.items():
            scoring_seconds(analyzer, drawn.subsample(100).texts)  # warm
            tasks[f"{name} on {part}"] = Reordered(partial(scoring_seconds, analyzer), drawn.texts)
    values = interleaved(tasks, rounds, journal)
    examples = [example for part in sets.values() for example in part]
    scores = {name: score_examples(checkpoints[name], engine, examples) for name, engine in engines.items()}
    judged = compare(scores, sets, checkpoints[PACKAGED].taxonomy)
    entries = []
    for name, checkpoint in checkpoints.items():
        entry: dict[str, Any] = {"name": name, "model": checkpoint.name, "hash": checkpoint.hash, **size(checkpoint)}
        for part, drawn in texts.items():
            entry[part] = rate_of(values[f"{name} on {part}"], drawn, 0.0)
            del entry[part]["probe_texts_per_second"]
        entry["sets"] = {part: judged[part][name] for part in sets}
        entries.append(entry)
    return entries


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and writes."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.tradeoff", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoints", nargs="+", metavar="NAME=FOLDER", help="packed checkpoints beside the packaged")
    parser.add_argument(
        "--corpora", type=Path, metavar="DIR", help=f"folder of the public corpora: {', '.join(CORPORA)}"
    )
    parser.add_argument("--dev", nargs="+", default=[], metavar="NAME=FILE", help="development sets beside our own")
    parser.add_argument("--model", type=Path, metavar="DIR", help="checkpoint folder in place of the packaged one")
    parser.add_argument(
        "--texts", type=int, default=TEXTS, metavar="N", help="short texts, and a tenth as many long ones"
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N", help=f"default: {ROUNDS}")
    parser.add_argument("--limit", type=int, metavar="N", help="a trial on the first N texts of each development set")
    add_runtime(parser)
    add_busy(parser)
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: all cores)")
    parser.add_argument(
        "--work",
        type=Path,
        default=Path("runs/tradeoff"),
        metavar="DIR",
        help="keeps the rounds that are done meanwhile",
    )
    parser.add_argument("--json", type=Path, default=RESULTS, metavar="OUT", help="where the results go")
    options = parser.parse_args(arguments)
    trial = options.limit is not None or options.texts < TEXTS or options.rounds < ROUNDS
    if trial and options.json == RESULTS:
        parser.error("expected --json FILE beside --limit or smaller numbers, found none; a trial is no result")
    if options.texts < 20 or options.rounds < 1:
        parser.error("expected at least 20 --texts and 1 of --rounds, found less")
    threads = options.threads or os.cpu_count() or 1
    items = [f"written={DEV}", *options.dev]
    try:
        checkpoints = checkpoints_of(options.checkpoints, options.model)
        packaged = checkpoints[PACKAGED]
        sets = named_sets(items, packaged.taxonomy)
        facts = set_facts(items, sets, "development")
        tokenizer = Engine(packaged, threads=threads).tokenizer
        texts = drawn_texts(options.corpora, lengths_by(tokenizer), options.texts, max(options.texts // 10, 4))
        runtime = runtime_of(options.runtime, packaged.folder)
        for checkpoint in checkpoints.values():
            choose_runtime(runtime.name, checkpoint.folder)
        circumstances = conditions(busy=options.busy)
    except (CheckpointError, DatasetError, MachineError, RuntimeChoiceError) as error:
        parser.error(str(error))
    sets = {name: part[: options.limit] for name, part in sets.items()}
    drawn = {part: part_of.facts() for part, part_of in texts.items()}
    facts_of_rounds = {
        "models": {name: identity(checkpoint) for name, checkpoint in checkpoints.items()}, "threads": threads,
        "texts": drawn, "runtime": str(runtime), "processor": processor(),
        "code": code_hash(MODULES),
    }  # fmt: skip
    journal = Journal(options.work / "rounds.jsonl", facts_of_rounds)
    journal.circumstances(circumstances)  # of this sitting, should it be cut off
    entries = measure(checkpoints, texts, sets, options.rounds, threads, runtime, journal)
    results = {
        "kind": "tradeoff", "model": packaged.name, "hash": packaged.hash, "trial": trial, "threads": threads,
        "runtime": str(runtime), "machine": machine(), "units": units(), "rounds": options.rounds,
        "sets": facts,
        "texts": {
            "source": [f"{name}.jsonl.xz" for name in CORPORA] if options.corpora else [OWN.name],
            **drawn,
        },
        "sittings": journal.sittings, "circumstances": journal.circumstances(circumstances),
        "checkpoints": entries,
    }  # fmt: skip
    write_results(options.json, results)
    journal.close()
    print(f"{options.json} written", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
