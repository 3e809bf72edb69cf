"""How fast we read Chinese comments, beside other programs and beside the machine's own limit.

`python -m benchmarks.speed --corpora DIR --peers-python PATH` writes benchmarks/results/speed.json. The same texts, the
same machine, interleaved rounds, medians: short comments and long ones (without --corpora: our own texts, cycled). Ours
is measured as a plain installation runs it. In the same rounds the matrix products of our model's shapes, and where the
time of `cinesent score` goes; before them cold starts, after them a large CSV. Every target stands in the results as
met or not. `--rounds 0` measures only the large CSV, `--rows 0` all but that; what is not measured, the large CSV on
another runtime as well, stays as it was in the file. An interrupted run goes on with the start, the round, or the block
of the large CSV, that it was at: the same command, the same --work. While a program is missing, the rounds are kept as
well, so that it can be added. It starts only on a machine that it has to itself.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import transformers

from benchmarks.ceiling import KINDS, Products, operations, shapes_of, units
from benchmarks.contestants import OURS, Contestant, analyzers_of, check_peers, contestants
from benchmarks.journal import Journal, code_hash, identity
from benchmarks.machine import MachineError, add_busy, conditions, machine, processor
from benchmarks.rivals import Size, write_bert
from benchmarks.rounds import Reordered, interleaved, probed, rate_of, spread
from benchmarks.runtimes import runtime_of
from benchmarks.speed_targets import targets
from benchmarks.stages import shares
from benchmarks.starts import large_job, starts
from benchmarks.texts import CORPORA, OWN, Drawn, drawn_texts, lengths_by
from sentiment.analyzer import Analyzer
from sentiment.checkpoint import Checkpoint, CheckpointError, load_checkpoint
from sentiment.engine import Engine
from sentiment.runtimes import RUNTIMES, RuntimeChoiceError
from sentiment.windows import split_windows
from training.example import DatasetError
from training.peers import PeerError, Peers
from training.results import write_results
from training.speed_table import verdict

RESULTS = Path(__file__).parent / "results" / "speed.json"
RUNNER = Path(__file__).parent / "peers" / "runner.py"
SIZE = Size()
TEXTS, ROUNDS, ROWS, STARTS = 10_000, 3, 1_000_000, 5
CEILING_SECONDS = 2.0
LONGEST_ROUND = 1200.0  # seconds; a peer that would take longer takes part in one round only
# Whose code a measurement depends on; what comes after the rounds and the cold starts does not count.
MODULES = ("speed", "contestants", "rivals", "ceiling", "stages", "starts", "texts", "machine", "peers/runner")
ROUNDS_PART = (
    "threads", "versions", "measured", "texts", "rounds", "sittings", "contestants", "gain", "ceiling", "stages",
    "cold_start",
)  # fmt: skip


def versions() -> dict[str, str | None]:
    """Of what takes part; None where it is not installed."""
    found: dict[str, str | None] = {}
    for name in ("numpy", "onnxruntime", "scikit-learn", "tokenizers", "torch", "transformers"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def tokens_run(engine: Engine, texts: Sequence[str]) -> float:
    """Tokens a text that the model has to see: special ones and windows' overlaps counted, padding not."""
    extra = engine.tokenizer.num_special_tokens_to_add(False)
    total = 0
    for text, encoding in zip(texts, engine.tokenizer.encode_batch(list(texts), add_special_tokens=False), strict=True):
        total += sum(end - start + extra for start, end in split_windows(text, encoding.offsets, engine.window))
    return total / len(texts)


def in_rounds(
    analyzers: Mapping[str, Analyzer], checkpoint: Checkpoint, entries: Sequence[Contestant],
    sets: Mapping[str, Drawn], rounds: int, threads: int, journal: Journal,
) -> dict[str, Any]:  # fmt: skip
    """Contestants, ceiling and stages, interleaved; what the journal has is not measured again."""
    tasks: dict[str, Callable[[], Any]] = {}
    given: dict[str, tuple[float, Drawn]] = {}
    once: set[str] = set()
    for entry in entries:
        for part, drawn in sets.items():
            if entry.seconds is None:
                continue
            key = entry.key(part)
            whole, known = entry.kind == "checkpoint", journal.get(f"probe of {key}")
            rate, texts = given[key] = probed(entry.seconds, drawn, everything=whole, known=known)
            journal.once(f"probe of {key}", partial(float, rate))
            tasks[key] = Reordered(entry.seconds, texts.texts)
            if not whole and len(texts.texts) / rate > LONGEST_ROUND:
                once.add(key)
            said = ", in one round" if key in once else ""
            print(f"{key}: about {rate:.2f} texts/s, gets {len(texts.texts)}{said}", file=sys.stderr)
    shapes = shapes_of(checkpoint)
    products = {kind: Products(kind, shapes) for kind in KINDS}
    counts = {"1": 1, "all": threads}
    for kind, product in products.items():
        for label, count in counts.items():
            tasks[f"{kind} products, {label}"] = partial(product.rate, count, CEILING_SECONDS)
    keys = {(entry.name, part): entry.key(part) for entry in entries for part in sets}
    for part, drawn in sets.items():
        tasks[f"stages of {keys[OURS, part]}"] = Reordered(partial(shares, analyzers[OURS]), drawn.texts)
    values = interleaved(tasks, rounds, journal, once=once)

    needed = {part: tokens_run(analyzers[OURS]._engine, drawn.texts) for part, drawn in sets.items()}
    kinds = {}
    for kind, product in products.items():
        speeds = {label: values[f"{kind} products, {label}"] for label in counts}
        medians = {label: statistics.median(found) for label, found in speeds.items()}
        kinds[kind] = {
            "means": product.means,
            "rows": product.rows,
            "operations_per_second": {label: round(speed) for label, speed in medians.items()},
            "gain": float(f"{medians['all'] / medians['1']:.4g}"),
            "gflops": {label: spread([value / 1e9 for value in found], 2) for label, found in speeds.items()},
            "texts_per_second": {
                part: spread([value / (operations(shapes) * tokens) for value in speeds["all"]], 2)
                for part, tokens in needed.items()
            },
        }
    found = []
    for entry in entries:
        fields = ("name", "title", "zh", "kind", "threads", "how", "how_zh", "runtime")
        told: dict[str, Any] = {name: getattr(entry, name) for name in fields}
        for part in sets:
            key = entry.key(part)
            told[part] = rate_of(values[key], given[key][1], given[key][0]) if key in given else None
            if key in once:
                told[part]["once"] = f"one round, as it takes more than {LONGEST_ROUND / 60:g} minutes"
        found.append(told | ({"skipped": entry.skipped} if entry.skipped else {}))
    rates = {entry["name"]: entry for entry in found}
    return {
        "rounds": rounds,
        "sittings": journal.sittings,
        "contestants": found,
        "gain": {
            OURS: {
                part: round(rates[OURS][part]["texts_per_second"] / rates[f"{OURS}-1"][part]["texts_per_second"], 3)
                for part in sets
            }
        },
        "ceiling": {
            "operations_a_token": operations(shapes),
            "tokens_a_text": {part: round(tokens, 2) for part, tokens in needed.items()},
            "kinds": kinds,
        },
        "stages": {OURS: {part: _stages(values[f"stages of {keys[OURS, part]}"]) for part in sets}},
    }


def _stages(runs: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Seconds of each stage and its share of the round's total, over the rounds."""
    names = [name for name in runs[0] if name != "total"]
    return {
        "seconds": {name: spread([run[name] for run in runs], 4) for name in runs[0]},
        "shares": {name: spread([run[name] / run["total"] for run in runs], 4) for name in names},
    }


def cold_starts(model: Path | None, bert: Path, runs: int, journal: Journal) -> dict[str, Any]:
    """Seconds to the first record, ours and the plain pipeline's, after one start each in every sitting that does not
    count; those that the journal has are not measured again.

    Raises:
        RuntimeError: one ends without a record.
    """
    runtime = runtime_of(None, model)
    begun = starts(model, bert, runtime.name)
    # A runtime's version can change between sittings, as in the names of the contestants.
    identity = {OURS: f" ({runtime})"}
    tasks = {f"cold start of {name}{identity.get(name, '')}": start for name, start in begun.items()}
    for start in tasks.values():
        start()
    values = interleaved(tasks, runs, journal)
    return {
        name: {**spread(seconds, 3), "runs": [round(value, 3) for value in seconds]}
        for name, seconds in zip(begun, values.values(), strict=True)
    }


def parser_of() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--corpora", type=Path, metavar="DIR", help=f"folder of the public corpora: {', '.join(CORPORA)}"
    )
    parser.add_argument(
        "--peers-python", type=Path, metavar="PATH", help="Python of SnowNLP and cnsenti: benchmarks/peers/README.md"
    )
    parser.add_argument("--model", type=Path, metavar="DIR", help="checkpoint folder in place of the packaged one")
    parser.add_argument(
        "--texts", type=int, default=TEXTS, metavar="N", help="short texts, and a tenth as many long ones"
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N", help=f"default: {ROUNDS}; 0: only --rows")
    parser.add_argument(
        "--rows", type=int, default=ROWS, metavar="N", help=f"of the large CSV (default: {ROWS:,}; 0: none)"
    )
    parser.add_argument("--starts", type=int, default=STARTS, metavar="N", help=f"cold starts each (default: {STARTS})")
    parser.add_argument(
        "--runtime", choices=[name for name in RUNTIMES if name != "auto"],
        help="of the large CSV in this run (default: what a plain installation runs, as all else does)",
    )  # fmt: skip
    parser.add_argument(
        "--threads", type=int, metavar="N", help="CPU threads of all that use several (default: all cores)"
    )
    add_busy(parser)
    parser.add_argument(
        "--work",
        type=Path,
        default=Path("runs/speed"),
        metavar="DIR",
        help="keeps the random BERT, and what is measured",
    )
    parser.add_argument("--json", type=Path, default=RESULTS, metavar="OUT", help="where the results go")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and writes."""
    parser = parser_of()
    options = parser.parse_args(arguments)
    least = {"texts": TEXTS, "rounds": ROUNDS, "rows": ROWS, "starts": STARTS}
    trial = any(getattr(options, name) < number for name, number in least.items() if getattr(options, name))
    if trial and options.json == RESULTS:
        parser.error(
            "expected --json FILE beside fewer texts, rounds, rows or starts, found none; a trial is no result"
        )
    if options.texts < 20 or min(options.rounds, options.rows) < 0 or options.starts < 1:
        parser.error("expected at least 20 --texts, 1 of --starts, 0 --rounds and --rows, found less")
    if options.rows and options.rows < 42:
        parser.error(f"expected at least 42 --rows, or 0, found {options.rows}")
    peers = Peers(options.peers_python, RUNNER)
    try:
        checkpoint = load_checkpoint(options.model)
        runtime = runtime_of(options.runtime if options.rows else None, options.model)
        if options.peers_python is not None and options.rounds:
            check_peers(peers)
        circumstances = conditions(busy=options.busy)
    except (CheckpointError, PeerError, MachineError, RuntimeChoiceError) as error:
        parser.error(str(error))
    threads = options.threads or os.cpu_count() or 1
    before = json.loads(options.json.read_text("utf-8")) if options.json.is_file() else {}
    kept = before if before.get("hash") == checkpoint.hash else {}
    results: dict[str, Any] = {
        "kind": "speed", "model": checkpoint.name, "hash": checkpoint.hash, "trial": trial, "threads": threads,
        "versions": versions(),
    }  # fmt: skip
    stays = ("jobs",) if options.rounds else (*ROUNDS_PART, "jobs")
    results |= {name: kept[name] for name in stays if name in kept}
    journal = None
    if options.rounds:
        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
        bert = options.work / "bert"
        analyzers = analyzers_of(options.model, threads)
        tokenizer = analyzers[OURS]._engine.tokenizer
        try:
            sets = drawn_texts(options.corpora, lengths_by(tokenizer), options.texts, max(options.texts // 10, 4))
        except DatasetError as error:
            parser.error(str(error))
        results["measured"] = {"machine": machine(), "units": units()}
        write_bert(bert, SIZE)
        results["texts"] = {
            "source": [f"{name}.jsonl.xz" for name in CORPORA] if options.corpora else [OWN.name],
            **{name: drawn.facts() for name, drawn in sets.items()},
        }
        facts = {
            **identity(checkpoint), "threads": threads, "texts": results["texts"],
            "versions": results["versions"],  # those of the peers stand in their tasks' names: they can be added later
            "processor": processor(), "code": code_hash(MODULES),
        }  # fmt: skip
        journal = Journal(options.work / "rounds.jsonl", facts)
        journal.circumstances(circumstances)  # of this sitting, should it be cut off
        # Before the rounds: one that fails does so before hours have passed.
        results["cold_start"] = cold_starts(options.model, bert, options.starts, journal)
        entries = contestants(analyzers, checkpoint, bert, peers, threads)
        try:
            results |= in_rounds(analyzers, checkpoint, entries, sets, options.rounds, threads, journal)
        except PeerError as error:
            parser.error(
                f"{error}; rounds are kept in {options.work}: the same command goes on, and without --peers-python the "
                "peers are left out"
            )
        results["measured"]["sittings"] = journal.circumstances(circumstances)
    if options.rows:
        found = large_job(options.rows, options.model, options.work, runtime.name, threads, circumstances)
        results["jobs"] = {**results.get("jobs", {}), runtime.name: {"machine": machine(), "units": units(), **found}}
    results["targets"] = targets(results)
    write_results(options.json, results)
    left_out = [entry["name"] for entry in results.get("contestants", []) if entry.get("skipped")]
    if journal is not None and left_out:
        print(f"rounds are kept in {options.work}: {', '.join(left_out)} can be added by --work", file=sys.stderr)
    elif journal is not None:
        journal.close()
    for entry in results["targets"]:
        sign = "≥" if entry["at_least"] else "≤"
        said = f"{entry['title']}: {entry['value']} ({sign} {entry['bound']}): {verdict(entry)}"
        print(said, file=sys.stderr)
    print(f"{options.json} written", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
