"""What each lever on our speed brings: it pulled, it released, interleaved in one run; those used and those not.

`python -m benchmarks.levers --corpora DIR` writes benchmarks/results/levers.json. The texts are drawn as those of
`benchmarks.speed`, fewer of them; a ratio is the rate with the lever pulled over that with it released, of medians of
the rounds, with the least and the greatest of them. Levers that change the ONNX graph, and depths, are measured in
float32, all others as a plain installation runs the model. A set of more than one block of the analyser comes in
another order each round, so that every side meets other batch shapes; one of a single block, as the long texts are,
keeps its order: sorted, it would have the same shapes in any, and only the side that does not sort would meet others.
Depths have random weights of the checkpoint's width, inference alone; what they are worth comes from
`benchmarks.ablation`, and what engines bring from `benchmarks.engines`.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import onnx

from benchmarks.ceiling import units
from benchmarks.depths import blocks, depths_beside, inference_seconds, own_depth, random_engine, window_blocks
from benchmarks.graphs import GraphError, optimiser_finds, table_bytes
from benchmarks.journal import Journal, code_hash, identity
from benchmarks.lever_figures import (
    NOISE,
    Told,
    compared,
    depth,
    figures,
    records,
    surprises,
    task,
)
from benchmarks.lever_list import LEVERS, PACKAGED
from benchmarks.machine import MachineError, add_busy, conditions, machine, processor
from benchmarks.rounds import Reordered, in_round, interleaved, scoring_seconds
from benchmarks.runtimes import PORTABLE, runtime_of
from benchmarks.texts import CORPORA, OWN, Drawn, drawn_texts, lengths_by
from benchmarks.variants import (
    InOrder,
    Overlapped,
    Packed,
    Pinned,
    Sorted,
    cut_table,
    fused_session,
    normalising_session,
    one_by_one,
    with_session,
)
from sentiment.analyzer import BLOCK, Analyzer
from sentiment.batch import LocalRunner, ScoreOptions, score_with
from sentiment.checkpoint import Checkpoint, CheckpointError, load_checkpoint
from sentiment.engine import Engine
from sentiment.runtimes import Choice, choose_runtime
from sentiment.tables import ReadOptions, open_tables
from sentiment.text import normalise
from training.example import DatasetError
from training.int8 import float_graph, windows_of
from training.results import write_results

# Whose code the rates depend on.
MODULES = ("levers", "variants", "graphs", "depths", "sessions", "texts", "training/int8")
RESULTS = Path(__file__).parent / "results" / "levers.json"
TEXTS, ROUNDS, COMPARED = 3_000, 5, 200
BLOCKS = 10  # of a job; with fewer there is little to overlap
WARM = 100  # texts that a side runs before the rounds
RUNNERS = {"serial": LocalRunner, "overlapped": Overlapped}
Texts = Mapping[str, Drawn]
Tasks = dict[str, Callable[[], float]]


def choices_of(model: Path | None) -> list[Choice]:
    """The portable runtime first, for levers that change the graph; last what a plain installation runs the model with,
    for all others, which may be the same."""
    return list(dict.fromkeys([choose_runtime(PORTABLE, model), runtime_of(None, model)]))


def takes_part(graph: bool, choice: Choice, choices: Sequence[Choice]) -> bool:
    """Whether levers that change the graph, or all others, are measured on a runtime."""
    return choice == (choices[0] if graph else choices[-1])


def engines_of(
    checkpoint: Checkpoint, texts: Texts, threads: int, choice: Choice, *, graphs: bool = True, others: bool = True
) -> tuple[dict[str, Engine], Told]:
    """Side → engine on this runtime, and what is told of a side: `skipped`, where it could not be made.

    Args:
        graphs: with sides that change the ONNX graph. others: with all others.
    """
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
        return with_session(plain, Pinned(choice, checkpoint, threads))

    makers: dict[str, Callable[[], Engine]] = {}
    if others:
        makers |= {
            "in-order": lambda: InOrder(checkpoint, threads=threads, runtime=choice.name),
            "sorted": lambda: Sorted(checkpoint, threads=threads, runtime=choice.name),
            "one-by-one": lambda: one_by_one(Engine(checkpoint, threads=threads, runtime=choice.name)),
            "normalised": lambda: with_session(plain, normalising_session(choice, checkpoint, threads)),
            "pinned": pinned,
        }
    if graphs:
        makers |= {"packed": lambda: Packed(checkpoint, threads=threads), "pruned": pruned, "fused": fused}
    for name, make in makers.items():
        try:
            engines[name] = make()
        except (GraphError, OSError) as error:
            told[name] = {"skipped": str(error)}
            print(f"{name} on {choice}: skipped, {error}", file=sys.stderr)
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


def depth_seconds(engine: Engine, texts: Sequence[str]) -> float:
    """Seconds of inference alone."""
    return inference_seconds(engine, window_blocks(engine, texts))


def over(texts: Sequence[str], of: Callable[[list[str]], float]) -> Callable[[], float]:
    """A task over the texts; those of one block keep their order, which only the side that does not sort would feel."""
    return Reordered(of, texts) if len(texts) > BLOCK else partial(of, list(texts))


def orders(texts: Sequence[str], rounds: int) -> list[list[str]]:
    """The orders in which such a task gets the texts, of all rounds."""
    return [in_round(texts, number + 1) for number in range(rounds)] if len(texts) > BLOCK else [list(texts)]


def write_csvs(texts: Texts, folder: Path) -> None:
    """The texts as the CSVs that jobs read, one for each part, and a few of them to warm up with."""
    files = {f"{name}{part}": one for part, drawn in texts.items()
             for name, one in (("", drawn), ("warm-", drawn.subsample(WARM)))}  # fmt: skip
    for name, drawn in files.items():
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="", errors="replace") as handle:
            csv.writer(handle).writerows([("编号", "评论"), *((str(i), t) for i, t in enumerate(drawn.texts))])


def output(folder: Path, side: str, part: str, choice: Choice) -> Path:
    """What a job writes."""
    return folder / f"{side}-{part}-{choice.name}.csv"


def tasks_on(
    choice: Choice, checkpoint: Checkpoint, engines: Mapping[str, Engine], texts: Texts, folder: Path, jobs: bool = True
) -> Tasks:
    """Every side on this runtime, warm: of scoring, and of jobs, which keep the order of their file."""
    tasks: Tasks = {}
    for name, engine in engines.items():
        analyzer = Analyzer(checkpoint, engine)
        for part, drawn in texts.items():
            scoring_seconds(analyzer, drawn.subsample(WARM).texts)
            tasks[task(name, part, choice)] = over(drawn.texts, partial(scoring_seconds, analyzer))
    for part, drawn in texts.items() if jobs else ():
        for name, runner in RUNNERS.items():
            job = partial(job_seconds, runner(Analyzer(checkpoint, engines[PACKAGED])))
            few = len(drawn.subsample(WARM).texts)
            job(folder / f"warm-{part}.csv", folder / "warm-out.csv", few)
            arguments = (folder / f"{part}.csv", output(folder, name, part, choice), len(drawn.texts))
            tasks[task(name, part, choice)] = partial(job, *arguments)
    return tasks


def measure(
    checkpoint: Checkpoint, texts: Texts, options: argparse.Namespace, threads: int, journal: Journal,
    choices: Sequence[Choice],
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:  # fmt: skip
    """An entry for each lever, with its figures on the one of the runtimes that it is measured on, and for each depth;
    rounds that the journal has are not run again."""
    some = [text for drawn in texts.values() for text in drawn.subsample(options.compared // 2).texts]
    made: dict[str, tuple[dict[str, Engine], Told]] = {}
    tasks: Tasks = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_csvs(texts, folder)
        for choice in choices:
            graphs, others = (takes_part(graph, choice, choices) for graph in (True, False))
            engines, told = engines_of(checkpoint, texts, threads, choice, graphs=graphs, others=others)
            for name, found in records(checkpoint, engines, some).items():
                told[name] = told.get(name, {}) | found
            tasks |= tasks_on(choice, checkpoint, engines, texts, folder, jobs=others)
            made[choice.name] = engines, told
        packaged = choices[-1]
        plain = made[packaged.name][0]
        together = {
            part: [
                one for order in orders(drawn.texts, options.rounds) for one in window_blocks(plain[PACKAGED], order)
            ]
            for part, drawn in texts.items()
        }
        for part, drawn in texts.items():
            normalised = [normalise(text).text for text in drawn.texts]
            for name in (PACKAGED, "one-by-one"):
                tasks[f"tokenising alone, {name} on {part}"] = over(
                    normalised, partial(tokenising_seconds, plain[name].tokenizer)
                )
        depths = depths_beside(checkpoint)
        for layers in depths:
            engine = random_engine(checkpoint, layers, threads, folder / f"{layers}-layers")
            for part, drawn in texts.items():
                inference_seconds(engine, together[part][:1])  # warm
                tasks[f"{layers} layers on {part}"] = over(drawn.texts, partial(depth_seconds, engine))
        values = interleaved(tasks, options.rounds, journal)
        written: dict[str, list[bytes]] = {name: [] for name in RUNNERS}
        for part in texts:
            for name, contents in written.items():
                path = output(folder, name, part, packaged)
                if not path.is_file():  # its rounds were run in an earlier sitting
                    tasks[task(name, part, packaged)]()
                contents.append(path.read_bytes())
        same = written["serial"] == written["overlapped"]
        made[packaged.name][1]["overlapped"] = {"records": {"equal": same}}

    entries = []
    for lever in LEVERS:
        entry: dict[str, Any] = asdict(lever)
        entry["runtimes"] = {
            choice.name: figures(lever, choice, values, *made[choice.name], together)
            for choice in choices
            if takes_part(lever.graph, choice, choices)
        }
        if lever.name == "tokenising":
            names = {
                part: [f"tokenising alone, {side} on {part}" for side in (PACKAGED, "one-by-one")] for part in texts
            }
            entry["alone"] = {part: compared(*(values[name] for name in names[part])) for part in texts}
        entries.append(entry)
    return entries, [depth(layers, own_depth(checkpoint), values, list(texts)) for layers in depths]


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
    choices = choices_of(options.model)
    runtimes = {choice.name: str(choice) for choice in choices}
    facts = {
        **identity(checkpoint), "threads": threads, "texts": {part: drawn.facts() for part, drawn in texts.items()},
        "runtimes": runtimes, "processor": processor(), "code": code_hash(MODULES),
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
