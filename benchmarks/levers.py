"""What each lever on our speed brings: it pulled, it released, interleaved in one run; those used and those not.

`python -m benchmarks.levers --corpora DIR` writes benchmarks/results/levers.json. The texts are drawn as those of
`benchmarks.speed`, fewer of them; a ratio is the rate with the lever pulled over that with it released, of medians of
the rounds, with the least and the greatest of them. Every runtime that is installed takes part in the same rounds, each
side held against the other on the same runtime; levers that change the ONNX graph, and depths, are measured on ONNX
Runtime alone. Depths have random weights of the checkpoint's width, inference alone; what they are worth comes from
`benchmarks.ablation`, and what engines bring from `benchmarks.engines`.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from benchmarks.ceiling import units
from benchmarks.depths import depths_beside, inference_seconds, own_depth, random_engine
from benchmarks.engines import labels, probabilities
from benchmarks.graphs import GraphError, optimiser_finds, table_bytes
from benchmarks.journal import Journal, code_hash
from benchmarks.lever_list import LEVERS, PACKAGED, Lever
from benchmarks.machine import MachineError, add_busy, conditions, machine
from benchmarks.rounds import interleaved, scoring_seconds
from benchmarks.runtimes import PORTABLE, installed
from benchmarks.sessions import float_graph, windows_of
from benchmarks.texts import CORPORA, OWN, Drawn, drawn_texts, lengths_by
from benchmarks.variants import (
    InOrder,
    Overlapped,
    Packed,
    Pinned,
    PinnedOpenVino,
    Sorted,
    cut_table,
    fused_session,
    one_by_one,
    with_session,
)
from sentiment.analyzer import BLOCK, Analyzer
from sentiment.batch import LocalRunner, ScoreOptions, score_with
from sentiment.checkpoint import Checkpoint, CheckpointError, load_checkpoint
from sentiment.engine import Engine
from sentiment.runtimes import Choice
from sentiment.tables import ReadOptions, open_tables
from sentiment.text import normalise
from training.example import DatasetError
from training.results import write_results

MODULES = ("levers", "variants", "graphs", "depths", "sessions", "texts")  # whose code the rates depend on
RESULTS = Path(__file__).parent / "results" / "levers.json"
TEXTS, ROUNDS, COMPARED = 3_000, 5, 200
BLOCKS = 10  # of a job; with fewer there is little to overlap
TOLERANCE = 1e-4  # of a probability, between sides that add in another order
NOISE = 0.02  # a ratio nearer to 1 is neither a gain nor a loss
RUNNERS = {"serial": LocalRunner, "overlapped": Overlapped}
Texts = Mapping[str, Drawn]
Tasks = dict[str, Callable[[], float]]
Told = dict[str, dict[str, Any]]  # side → what is told of it: `records`, and `skipped` or how large it is


def task(side: str, part: str, choice: Choice) -> str:
    """The name of a measurement."""
    return f"{side} on {part}, {choice.name}"


def blocks(items: Sequence[Any], size: int) -> Iterator[list[Any]]:
    """The items, so many at a time."""
    iterator = iter(items)
    while block := list(islice(iterator, size)):
        yield block


def engines_of(checkpoint: Checkpoint, texts: Texts, threads: int, choice: Choice) -> tuple[dict[str, Engine], Told]:
    """Side → engine on this runtime, and what is told of a side: `skipped`, where it could not be made."""
    plain = Engine(checkpoint, threads=threads, runtime=choice.name)
    engines: dict[str, Engine] = {PACKAGED: plain}
    told: Told = {}

    def pruned() -> Engine:
        drawn = [text for part in texts.values() for text in part.texts]
        ids = {piece for windows in windows_of(plain, drawn) for window in windows for piece in window}
        session, graph = cut_table(plain, checkpoint, ids, threads)
        told["pruned"] = {}
        for name, one in (("whole", onnx.load(str(checkpoint.folder / "model.onnx"))), ("cut", graph)):
            packed, unpacked = table_bytes(one)
            told["pruned"][name] = {"file_mb": round(packed / 1e6, 2), "memory_mb": round(unpacked / 1e6, 2)}
        told["pruned"] |= {"pieces": int(checkpoint.config["encoder"]["vocab_size"]), "kept": len(ids)}
        return with_session(plain, session)

    def fused() -> Engine:
        sizes = (int(checkpoint.config["encoder"][name]) for name in ("num_attention_heads", "hidden_size"))
        with tempfile.TemporaryDirectory() as scratch, contextlib.redirect_stdout(io.StringIO()):
            path = Path(scratch) / "float32.onnx"
            onnx.save(float_graph(checkpoint.folder / "model.onnx"), str(path))
            told["fused"] = {"found_by_the_optimiser": optimiser_finds(str(path), *sizes)}
        return with_session(plain, fused_session(checkpoint, threads))

    def pinned() -> Engine:
        if choice.name == PORTABLE:
            return with_session(plain, Pinned(checkpoint, threads))
        return with_session(plain, PinnedOpenVino(choice, checkpoint.folder / "model.onnx", threads))

    makers: dict[str, Callable[[], Engine]] = {
        "in-order": lambda: InOrder(checkpoint, threads=threads, runtime=choice.name),
        "sorted": lambda: Sorted(checkpoint, threads=threads, runtime=choice.name),
        "one-by-one": lambda: one_by_one(plain),
        "pinned": pinned,
    }
    if choice.name == PORTABLE:  # these change the ONNX graph
        makers |= {"packed": lambda: Packed(checkpoint, threads=threads), "pruned": pruned, "fused": fused}
    for name, make in makers.items():
        try:
            engines[name] = make()
        except (GraphError, OSError) as error:
            told[name] = {"skipped": str(error)}
            print(f"{name} on {choice.title}: skipped, {error}", file=sys.stderr)
    return engines, told


def tokenising_seconds(tokenizer: Any, texts: Sequence[str]) -> float:
    """Seconds of tokenising normalised texts, in the blocks in which the analyser gets them."""
    started = time.perf_counter()
    for block in blocks(texts, BLOCK):
        tokenizer.encode_batch(block, add_special_tokens=False)
    return time.perf_counter() - started


def job_seconds(runner: LocalRunner, source: Path, output: Path, rows: int) -> float:
    """Seconds of scoring a CSV into a CSV."""
    options = ScoreOptions(overwrite=True, block_rows=max(rows // BLOCKS, 1))
    started = time.perf_counter()
    table = open_tables([str(source)], ReadOptions(text_column="评论", id_column="编号"))
    score_with(table, runner, output, options)
    return time.perf_counter() - started


def window_blocks(engine: Engine, texts: Sequence[str]) -> list[list[list[int]]]:
    """The windows that the engine gets together, block by block."""
    return [[window for windows in windows_of(engine, block) for window in windows] for block in blocks(texts, BLOCK)]


def padding(engine: Engine, together: Sequence[Sequence[Sequence[int]]]) -> float:
    """Which share of the tokens that the encoder reads is padding."""
    extra = len(engine._prefix) + len(engine._suffix)
    real = read = 0  # rows are padded as the runtime wants them
    for windows in together:
        real += sum(len(window) + extra for window in windows)
        if isinstance(engine, Packed):
            read += sum(len(rows) * rows[0].tokens for rows in engine.grouped(windows))
            continue
        order = sorted(range(len(windows)), key=lambda i: (len(windows[i]), i))
        for batch in engine._batches(order, windows):
            read += len(batch) * max(engine._length(windows[i]) for i in batch)
    return round(1 - real / read, 4) if read else 0.0


def differences(checkpoint: Checkpoint, first: Engine, second: Engine, texts: Sequence[str]) -> dict[str, Any]:
    """How far the records of two engines are apart."""
    windows = [found for found in windows_of(first, texts) if found]
    apart = np.abs(probabilities(checkpoint, first, windows) - probabilities(checkpoint, second, windows)).max()
    pairs = zip(*(labels(Analyzer(checkpoint, engine), texts) for engine in (first, second)), strict=True)
    changed = sum(a != b for a, b in pairs)
    return {
        "texts": len(texts),
        "changed_labels": changed,
        "largest_difference": float(f"{apart:.3g}"),
        "equal": changed == 0 and bool(apart <= TOLERANCE),
    }


def compared(pulled: Sequence[float], released: Sequence[float]) -> dict[str, Any]:
    """The rate with the lever pulled over that with it released: of medians, least and greatest of a round."""
    ratios = [without / with_ for with_, without in zip(pulled, released, strict=True)]
    return {
        "ratio": round(statistics.median(released) / statistics.median(pulled), 3),
        "low": round(min(ratios), 3),
        "high": round(max(ratios), 3),
        "seconds": {"pulled": [round(v, 4) for v in pulled], "released": [round(v, 4) for v in released]},
    }


def verdict(parts: Sequence[Mapping[str, Any]]) -> str:
    """`gains`, `loses`: in every round of a set; `mixed`: one set does this and one that; `even`: none does either."""
    gains, loses = any(part["low"] > 1 + NOISE for part in parts), any(part["high"] < 1 - NOISE for part in parts)
    if gains and loses:
        return "mixed"
    return "gains" if gains else "loses" if loses else "even"


def write_csvs(texts: Texts, folder: Path) -> None:
    """The texts as the CSVs that jobs read, one for each part."""
    for part, drawn in texts.items():
        with (folder / f"{part}.csv").open("w", encoding="utf-8", newline="", errors="replace") as handle:
            csv.writer(handle).writerows([("编号", "评论"), *((str(i), t) for i, t in enumerate(drawn.texts))])


def output(folder: Path, side: str, part: str, choice: Choice) -> Path:
    """What a job writes."""
    return folder / f"{side}-{part}-{choice.name}.csv"


def tasks_on(
    choice: Choice, checkpoint: Checkpoint, engines: Mapping[str, Engine], texts: Texts, folder: Path
) -> Tasks:
    """Every side of scoring and of jobs on this runtime, warm."""
    tasks: Tasks = {}
    for name, engine in engines.items():
        analyzer = Analyzer(checkpoint, engine)
        for part, drawn in texts.items():
            scoring_seconds(analyzer, drawn.subsample(100).texts)
            tasks[task(name, part, choice)] = partial(scoring_seconds, analyzer, drawn.texts)
    for part, drawn in texts.items():
        for name, runner in RUNNERS.items():
            arguments = (folder / f"{part}.csv", output(folder, name, part, choice), len(drawn.texts))
            job = partial(job_seconds, runner(Analyzer(checkpoint, engines[PACKAGED])), *arguments)
            tasks[task(name, part, choice)] = job
    return tasks


def pieces(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """The pieces of each text."""
    return [encoding.ids for encoding in tokenizer.encode_batch(texts, add_special_tokens=False)]


def records(checkpoint: Checkpoint, engines: Mapping[str, Engine], texts: Sequence[str]) -> Told:
    """Side → `records`, how far its are from those of the packaged way."""
    plain = engines[PACKAGED]
    found = {
        name: {"records": differences(checkpoint, plain, engine, texts)}
        for name, engine in engines.items()
        if name != PACKAGED
    }
    same = pieces(engines["one-by-one"].tokenizer, texts) == pieces(plain.tokenizer, texts)
    found["one-by-one"]["records"]["equal"] &= same
    return found


def measure(
    checkpoint: Checkpoint, texts: Texts, options: argparse.Namespace, threads: int, journal: Journal,
    choices: Sequence[Choice],
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:  # fmt: skip
    """An entry for each lever, with its figures on each of the runtimes, the portable one first, and for each depth;
    rounds that the journal has are not run again."""
    portable = choices[0]
    some = [text for drawn in texts.values() for text in drawn.subsample(options.compared // 2).texts]
    made: dict[str, tuple[dict[str, Engine], Told]] = {}
    tasks: Tasks = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_csvs(texts, folder)
        for choice in choices:
            engines, told = engines_of(checkpoint, texts, threads, choice)
            for name, found in records(checkpoint, engines, some).items():
                told[name] = told.get(name, {}) | found
            tasks |= tasks_on(choice, checkpoint, engines, texts, folder)
            made[choice.name] = engines, told
        plain = made[portable.name][0]
        together = {part: window_blocks(plain[PACKAGED], drawn.texts) for part, drawn in texts.items()}
        for part, drawn in texts.items():
            normalised = [normalise(text).text for text in drawn.texts]
            for name in (PACKAGED, "one-by-one"):
                tasks[f"tokenising alone, {name} on {part}"] = partial(
                    tokenising_seconds, plain[name].tokenizer, normalised
                )
        depths = depths_beside(checkpoint)
        for layers in depths:
            engine = random_engine(checkpoint, layers, threads, folder / f"{layers}-layers")
            for part, windows in together.items():
                inference_seconds(engine, windows[:1])  # warm
                tasks[f"{layers} layers on {part}"] = partial(inference_seconds, engine, windows)
        values = interleaved(tasks, options.rounds, journal)
        for choice in choices:
            for part in texts:
                for name in RUNNERS:
                    if not output(folder, name, part, choice).is_file():  # its rounds were run in an earlier sitting
                        tasks[task(name, part, choice)]()
            same = all(
                output(folder, "serial", part, choice).read_bytes()
                == output(folder, "overlapped", part, choice).read_bytes()
                for part in texts
            )
            made[choice.name][1]["overlapped"] = {"records": {"equal": same}}

    entries = []
    for lever in LEVERS:
        entry: dict[str, Any] = asdict(lever)
        entry["runtimes"] = {
            choice.name: figures(lever, choice, values, *made[choice.name], together)
            for choice in choices
            if choice == portable or not lever.graph
        }
        if lever.name == "tokenising":
            names = {
                part: [f"tokenising alone, {side} on {part}" for side in (PACKAGED, "one-by-one")] for part in texts
            }
            entry["alone"] = {part: compared(*(values[name] for name in names[part])) for part in texts}
        entries.append(entry)
    return entries, [_depth(layers, own_depth(checkpoint), values, list(texts)) for layers in depths]


def figures(
    lever: Lever, choice: Choice, values: Mapping[str, Sequence[float]], engines: Mapping[str, Engine], told: Told,
    together: Mapping[str, Sequence[Sequence[Sequence[int]]]],
) -> dict[str, Any]:  # fmt: skip
    """What a lever brings on a runtime, or why it was skipped there."""
    found: dict[str, Any] = {"records": None} | told.get(lever.released if lever.used else lever.pulled, {})
    if "skipped" in found:
        return found
    sides = {"pulled": lever.pulled, "released": lever.released}
    for part, windows in together.items():
        found[part] = compared(*(values[task(name, part, choice)] for name in sides.values()))
        if lever.scope == "scoring":
            found[part]["padding"] = {side: padding(engines[name], windows) for side, name in sides.items()}
    if lever.name == "packing":
        # A token costs nearly the same wherever it stands, so nothing that only removes padding gains more.
        found["bound"] = {part: round(1 / (1 - found[part]["padding"]["released"]), 3) for part in together}
    return found | {"verdict": verdict([found[part] for part in together])}


def _depth(layers: int, own: int, values: Mapping[str, Sequence[float]], parts: Sequence[str]) -> dict[str, Any]:
    """The entry of a depth: its rate over that of the checkpoint's own, both with random weights."""
    entry: dict[str, Any] = {"layers": layers, "used": layers == own}
    for part in parts:
        entry[part] = compared(*(values[f"{count} layers on {part}"] for count in (layers, own)))
    return entry | {"verdict": verdict([entry[part] for part in parts])}


def surprises(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Levers that gain on a runtime and are not used, or lose and are, or whose records are others: one line each."""
    lines = []
    for entry in entries:
        for runtime, found in entry["runtimes"].items():
            name = f"{entry['name']} on {runtime}"
            wrong = {"gains": not entry["used"], "loses": entry["used"]}.get(found.get("verdict", ""), False)
            if wrong:
                lines.append(f"{name}: {found['verdict']}, and is {'' if entry['used'] else 'not '}used")
            if found.get("records") and not found["records"]["equal"]:
                lines.append(f"{name}: its records are not those of the packaged way")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and writes."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.levers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--corpora", type=Path, metavar="DIR", help=f"folder of the public corpora: {', '.join(CORPORA)}"
    )
    parser.add_argument("--model", type=Path, metavar="DIR", help="checkpoint folder in place of the packaged one")
    numbers = {
        "texts": (TEXTS, "short texts, and a tenth as many long ones"),
        "rounds": (ROUNDS, "rounds"),
        "compared": (COMPARED, "texts whose records are compared"),
    }
    for name, (default, what) in numbers.items():
        parser.add_argument(f"--{name}", type=int, default=default, metavar="N", help=f"{what} (default: {default})")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: all cores)")
    add_busy(parser)
    parser.add_argument(
        "--work", type=Path, default=Path("runs/levers"), metavar="DIR", help="keeps the rounds that are done meanwhile"
    )
    parser.add_argument("--json", type=Path, default=RESULTS, metavar="OUT", help="where the results go")
    options = parser.parse_args(arguments)
    trial = any(getattr(options, name) < default for name, (default, _) in numbers.items())
    if trial and options.json == RESULTS:
        parser.error("expected --json FILE beside smaller numbers, found none; a trial is no result")
    if options.texts < 20 or options.compared < 4 or options.rounds < 1:
        parser.error("expected at least 20 --texts, 4 of --compared, 1 of --rounds, found less")
    threads = options.threads or os.cpu_count() or 1
    try:
        checkpoint = load_checkpoint(options.model)
        tokenizer = Engine(checkpoint, threads=threads).tokenizer
        texts = drawn_texts(options.corpora, lengths_by(tokenizer), options.texts, max(options.texts // 10, 4))
        circumstances = conditions(busy=options.busy)
    except (CheckpointError, DatasetError, MachineError) as error:
        parser.error(str(error))
    choices = installed()
    runtimes = {choice.name: str(choice) for choice in choices}
    facts = {
        "hash": checkpoint.hash, "threads": threads, "texts": {part: drawn.facts() for part, drawn in texts.items()},
        "runtimes": runtimes, "processor": machine()["processor"], "code": code_hash(MODULES),
    }  # fmt: skip
    journal = Journal(options.work / "rounds.jsonl", facts)
    journal.circumstances(circumstances)
    entries, depths = measure(checkpoint, texts, options, threads, journal, choices)
    results = {
        "kind": "levers", "model": checkpoint.name, "hash": checkpoint.hash, "trial": trial, "threads": threads,
        "runtimes": runtimes, "machine": machine(), "units": units(), "rounds": options.rounds,
        "sittings": journal.sittings, "circumstances": journal.circumstances(circumstances), "noise": NOISE,
        "texts": {
            "source": [f"{name}.jsonl.xz" for name in CORPORA] if options.corpora else [OWN.name],
            **{part: drawn.facts() for part, drawn in texts.items()},
        },
        "levers": entries, "depths": depths,
    }  # fmt: skip
    write_results(options.json, results)
    journal.close()
    print("\n".join([*surprises(entries), f"{options.json} written"]), file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
