"""The same checkpoint on several engines side by side: rates, quality, and whether a record depends on its neighbours.

`python -m benchmarks.engines --corpora DIR --dev real=FILE` writes benchmarks/results/engines.json. Rates are medians
of interleaved rounds over texts drawn as those of `benchmarks.speed`; quality is that of data/cinema/dev.jsonl and of
what --dev names, with paired differences to ONNX Runtime in float32: by thresholds cross-fitted for every engine, and
by those that users of the engine have: of the product's int8 its own, else the packaged ones, which were fitted to
float32. These decide. Two engines are
the product's own; the others show what they might be replaced with. OpenVINO and NNCF (extra `int8`) are no
dependencies of scoring; an engine that cannot be made is left out, with the reason.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import random
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.ceiling import units
from benchmarks.journal import Journal, code_hash, identity
from benchmarks.machine import MachineError, add_busy, conditions, machine, processor
from benchmarks.openvino_engine import OpenVino, OpenVinoEngine, openvino_int8, read_openvino
from benchmarks.rounds import Reordered, interleaved, rate_of, scoring_seconds
from benchmarks.runtimes import runtime_of
from benchmarks.sessions import chosen_products, static_int8
from benchmarks.texts import CORPORA, OWN, drawn_texts, lengths_by
from sentiment.analyzer import Analyzer
from sentiment.checkpoint import INT8, Checkpoint, CheckpointError, load_checkpoint
from sentiment.decode import join
from sentiment.engine import Engine
from sentiment.int8 import read_scales
from sentiment.runtimes import Runtime, RuntimeChoiceError, decided_by
from training.compare import compare
from training.evaluate import packaged_rules
from training.example import DatasetError, Example
from training.int8 import CALIBRATION, Feed, calibration_feeds, find_scales, float_graph, windows_of
from training.labelled_files import read_labelled
from training.results import named_sets, set_facts, write_results
from training.scores import score_examples

RESULTS = Path(__file__).parent / "results" / "engines.json"
DEV = OWN.parent / "dev.jsonl"
TEXTS, ROUNDS, NEIGHBOURS = 3_000, 3, 120
TOGETHER = 8  # texts of any length in one batch, where neighbours are tried
TOLERANCE = 0.002  # of a probability, alone or among others: the record's bound
# Follows GELU, whose few large values leave a scale of minimum and maximum little to tell the rest apart with.
AFTER_GELU = r"\.[0-9]+\.output\.dense"
POINT = 0.01  # the most that joint and overall may lose
# Whose code the rates depend on.
MODULES = ("engines", "openvino_engine", "sessions", "texts", "ceiling", "training/int8")

# `onnxruntime` and `plain` are the product's own runtimes.
ENGINES = {
    "onnxruntime": (
        "ONNX Runtime, float32 (where the processor has no units for int8)",
        "ONNX Runtime，float32（处理器没有 int8 单元时）",
    ),
    "plain": (
        "ONNX Runtime, int8 (as `pip install` gives it)",
        "ONNX Runtime，int8（即 `pip install` 所得）",
    ),
    "onnxruntime-minmax": (
        "ONNX Runtime, int8 by its own calibration, without rescaling",
        "ONNX Runtime，int8，自带校准，不作缩放",
    ),
    "onnxruntime-mixed": (
        "ONNX Runtime, the same, second half of each feed-forward part in float32",
        "ONNX Runtime，同上，前馈层后半保留 float32",
    ),
    "openvino-f32": ("OpenVINO, float32", "OpenVINO，float32"),
    "openvino-bf16": ("OpenVINO, bfloat16", "OpenVINO，bfloat16"),
    "openvino-int8": (
        "OpenVINO, int8 by the packaged scales, else bfloat16",
        "OpenVINO，int8，随包尺度，其余 bfloat16",
    ),
    "openvino-mixed": (
        "OpenVINO, int8, second half of each feed-forward part in bfloat16",
        "OpenVINO，int8，前馈层后半保留 bfloat16",
    ),
}
REFERENCE = "onnxruntime"
Made = tuple[Engine, dict[str, Any]]  # an engine, and its settings


class EnginesError(RuntimeError):
    """The engine that all others are compared with is not there."""


def makers(checkpoint: Checkpoint, feeds: Sequence[Feed], threads: int) -> dict[str, Callable[[], Made]]:
    """Name → what makes the engine and tells its settings."""
    graph = float_graph(checkpoint.folder / "model.onnx")

    def product(runtime: str) -> Made:
        engine = Engine(checkpoint, threads=threads, runtime=runtime)
        return engine, {"runtime": str(engine.runtime), "precision": engine.runtime.precision}

    def on(make: Callable[[], tuple[Runtime, dict[str, Any]]]) -> Made:
        session, settings = make()
        return engine_on(checkpoint, session, threads), settings

    def openvino(asked: str) -> tuple[Runtime, dict[str, Any]]:
        session = OpenVino(read_openvino(graph), asked, threads)
        return session, {"precision": session.precision}

    def packaged_scales() -> tuple[Runtime, dict[str, Any]]:
        path = checkpoint.folder / INT8
        if not path.is_file():
            raise CheckpointError(f"expected {INT8} in {checkpoint.folder}, found none; see `python -m training.int8`")
        return openvino_int8(graph, read_scales(path), threads)

    def mixed() -> tuple[Runtime, dict[str, Any]]:
        return openvino_int8(graph, find_scales(graph, feeds, chosen_products(graph, AFTER_GELU)[1]), threads)

    return {
        "onnxruntime": partial(product, "onnxruntime"),
        "plain": partial(product, "onnxruntime-int8"),
        "onnxruntime-minmax": partial(on, partial(static_int8, graph, feeds, threads)),
        "onnxruntime-mixed": partial(on, partial(static_int8, graph, feeds, threads, keep=AFTER_GELU)),
        "openvino-f32": partial(on, partial(openvino, "f32")),
        "openvino-bf16": partial(on, partial(openvino, "bf16")),
        "openvino-int8": partial(on, packaged_scales),
        "openvino-mixed": partial(on, mixed),
    }


def engine_on(checkpoint: Checkpoint, session: Runtime | None, threads: int) -> Engine:
    """Our engine, with its tokeniser, on another session, with the batches that it needs."""
    if isinstance(session, OpenVino):
        return OpenVinoEngine(checkpoint, session, threads)
    engine = Engine(checkpoint, threads=threads)
    if session is not None:
        engine._session = session
    return engine


def made(make: Callable[[], Made]) -> Made | str:
    """The engine once it has run a text; or, in one line, why it cannot be had."""
    try:
        engine, settings = make()
        engine.run([[engine._pad]])
    except ImportError as error:
        package = error.name or str(error)
        return f"expected {package}, found none; pip install {package}"
    except (CheckpointError, RuntimeChoiceError) as error:
        return str(error)
    except Exception as error:  # the libraries have no class of error in common
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), "no reason given")
        return f"expected an engine, found {type(error).__name__}: {reason[:300]}"
    return engine, settings


def probabilities(checkpoint: Checkpoint, engine: Engine, texts: Sequence[Sequence[Sequence[int]]]) -> NDArray[Any]:
    """[N, P]: every calibrated probability of every text, given as windows, run together."""
    scaling = decided_by(engine.runtime, checkpoint).scaling
    answers = iter(engine.run([window for windows in texts for window in windows]))
    rows = []
    for windows in texts:
        decoded = join([next(answers) for _ in windows], scaling)
        shares = decoded.polarity * decoded.mention[:, None]
        rows.append(np.concatenate([decoded.mention, shares.ravel(), decoded.overall, decoded.intent,
                                    [decoded.escalation]]))  # fmt: skip
    return np.stack(rows)


def labels(analyzer: Analyzer, texts: Sequence[str]) -> list[tuple[Any, ...]]:
    """What a reader of the records acts on."""
    return [
        (found.overall, found.intent, found.escalation, *sorted((m.dimension, m.sentiment) for m in found.dimensions))
        for found in analyzer.analyze_block(texts)
    ]


def neighbours(checkpoint: Checkpoint, engine: Engine, texts: Sequence[str], seed: int = 3) -> dict[str, Any]:
    """The same texts alone and in batches of eight of any length."""
    kept = [text for text, windows in zip(texts, windows_of(engine, texts), strict=True) if windows]
    random.Random(seed).shuffle(kept)
    analyzer = Analyzer(checkpoint, engine)
    largest, changed = 0.0, 0
    for start in range(0, len(kept), TOGETHER):
        part = kept[start : start + TOGETHER]
        windows = windows_of(engine, part)
        alone = np.concatenate([probabilities(checkpoint, engine, [one]) for one in windows])
        largest = max(largest, float(np.abs(probabilities(checkpoint, engine, windows) - alone).max()))
        single = [labels(analyzer, [text])[0] for text in part]
        changed += sum(a != b for a, b in zip(single, labels(analyzer, part), strict=True))
    return {
        "texts": len(kept),
        "changed_labels": changed,
        "largest_difference": float(f"{largest:.3g}"),
        "independent": changed == 0 and largest <= TOLERANCE,
    }


def quality(
    checkpoint: Checkpoint, engines: Mapping[str, Engine], sets: Mapping[str, Sequence[Example]]
) -> dict[str, dict[str, Any]]:
    """Engine → `sets` and `packaged`: set → figures, and differences to ONNX Runtime in float32, by rules cross-fitted
    for each engine and by those that its users have."""
    examples = [example for part in sets.values() for example in part]
    used = {name: decided_by(engine.runtime, checkpoint) for name, engine in engines.items()}
    scores = {name: score_examples(used[name], engine, examples) for name, engine in engines.items()}
    rules = {name: packaged_rules(one) for name, one in used.items()}
    fitted = compare(scores, sets, checkpoint.taxonomy)
    packaged = compare(scores, sets, checkpoint.taxonomy, rules=rules)
    # Figures by these rules are left out: they were fitted on these texts.
    return {
        name: {
            "sets": {part: fitted[part][name] for part in sets},
            "packaged": {part: {"differences": packaged[part][name].get("differences", {})} for part in sets},
        }
        for name in engines
    }


def within_a_point(figures: Mapping[str, Any]) -> bool | None:
    """Whether joint and overall lost at most a point on every set, by the paired interval of the difference: None where
    an interval spans a point of loss."""
    differences = [
        entry["differences"][figure]
        for entry in figures.values()
        for figure in ("joint", "overall")
        if figure in entry.get("differences", {})
    ]
    if any(difference["high"] < -POINT for difference in differences):
        return False
    return True if all(difference["low"] >= -POINT for difference in differences) else None


def measure(
    checkpoint: Checkpoint, options: argparse.Namespace, sets: Mapping[str, Sequence[Example]], threads: int,
    circumstances: Mapping[str, Any],
) -> tuple[dict[str, Any], Journal]:  # fmt: skip
    """Every engine's entry, and the texts; the journal has done its work once they are written."""
    plain = Engine(checkpoint, threads=threads, runtime="onnxruntime")
    feeds = calibration_feeds(plain, [e.text for e in read_labelled([OWN], checkpoint.taxonomy)], options.calibration)

    drawn = drawn_texts(options.corpora, lengths_by(plain.tokenizer), options.texts, max(options.texts // 10, 4))
    engines: dict[str, Engine] = {}
    entries: dict[str, dict[str, Any]] = {}
    for name, make in makers(checkpoint, feeds, threads).items():
        entry: dict[str, Any] = {"name": name, "title": ENGINES[name][0], "zh": ENGINES[name][1]}
        entries[name] = entry
        if options.only and name not in (*options.only, REFERENCE):
            entry["skipped"] = "left out by --only"
            continue
        if name == "plain" and runtime_of(None, checkpoint.folder).precision == "float32":
            entry |= {"skipped": f"here it is {REFERENCE}, in the first row", "same_as": REFERENCE}
            continue
        started = time.perf_counter()
        found = made(make)
        if isinstance(found, str):
            if name == REFERENCE:
                raise EnginesError(f"{name}: {found}")
            entry["skipped"] = found
            print(f"{name}: skipped, {found}", file=sys.stderr)
            continue
        engines[name], settings = found
        entry |= {"settings": settings, "made_in_seconds": round(time.perf_counter() - started, 1)}
        print(f"{name}: made in {entry['made_in_seconds']} s", file=sys.stderr)

    tasks: dict[str, Callable[[], float]] = {}
    for name, engine in engines.items():
        analyzer = Analyzer(checkpoint, engine)
        for part, texts in drawn.items():
            scoring_seconds(analyzer, texts.subsample(100).texts)  # warm
            tasks[f"{name} on {part}"] = Reordered(partial(scoring_seconds, analyzer), texts.texts)
    facts = {
        **identity(checkpoint), "threads": threads, "versions": versions(), "calibration": options.calibration,
        "texts": {part: texts.facts() for part, texts in drawn.items()}, "processor": processor(),
        "code": code_hash(MODULES),
    }  # fmt: skip
    journal = Journal(options.work / "rounds.jsonl", facts)
    journal.circumstances(circumstances)
    values = interleaved(tasks, options.rounds, journal)
    judged = quality(checkpoint, engines, sets)
    mixed = [text for texts in drawn.values() for text in texts.subsample(options.neighbours // 2).texts]
    for name, engine in engines.items():
        for part, texts in drawn.items():
            rates = rate_of(values[f"{name} on {part}"], texts, 0.0)
            del rates["probe_texts_per_second"]
            entries[name][part] = rates
        entries[name] |= judged[name]
        entries[name]["within_a_point"] = within_a_point(judged[name]["packaged"])
        entries[name]["neighbours"] = neighbours(checkpoint, engine, mixed)
    return {
        "texts": {
            "source": [f"{name}.jsonl.xz" for name in CORPORA] if options.corpora else [OWN.name],
            **{part: texts.facts() for part, texts in drawn.items()},
        },
        "calibration": {"file": OWN.name, "texts": options.calibration, "windows": len(feeds)},
        "sittings": journal.sittings,
        "circumstances": journal.circumstances(circumstances),
        "engines": list(entries.values()),
    }, journal


def versions() -> dict[str, str | None]:
    """Of what the engines are made with; None where it is not installed."""
    found: dict[str, str | None] = {}
    for name in ("onnxruntime", "openvino", "nncf"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and writes."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.engines", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--corpora", type=Path, metavar="DIR", help=f"folder of the public corpora: {', '.join(CORPORA)}"
    )
    parser.add_argument("--dev", nargs="+", default=[], metavar="NAME=FILE", help="development sets beside our own")
    parser.add_argument("--model", type=Path, metavar="DIR", help="checkpoint folder in place of the packaged one")
    parser.add_argument(
        "--only", nargs="+", choices=ENGINES, metavar="NAME", help=f"beside the first: {', '.join(ENGINES)}"
    )
    numbers = {
        "texts": (TEXTS, "short texts, and a tenth as many long ones"),
        "rounds": (ROUNDS, "rounds"),
        "calibration": (CALIBRATION, "training texts that scales are taken from"),
        "neighbours": (NEIGHBOURS, "texts tried alone and among others"),
    }
    for name, (default, what) in numbers.items():
        parser.add_argument(f"--{name}", type=int, default=default, metavar="N", help=f"{what} (default: {default})")
    parser.add_argument("--limit", type=int, metavar="N", help="a trial on the first N texts of each development set")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: all cores)")
    add_busy(parser)
    parser.add_argument(
        "--work",
        type=Path,
        default=Path("runs/engines"),
        metavar="DIR",
        help="keeps the rounds that are done meanwhile",
    )
    parser.add_argument("--json", type=Path, default=RESULTS, metavar="OUT", help="where the results go")
    options = parser.parse_args(arguments)
    trial = options.limit is not None or any(getattr(options, name) < default for name, (default, _) in numbers.items())
    if trial and options.json == RESULTS:
        parser.error("expected --json FILE beside --limit or smaller numbers, found none; a trial is no result")
    if options.texts < 20 or options.neighbours < 4 or min(options.rounds, options.calibration) < 1:
        parser.error("expected at least 20 --texts, 4 --neighbours, 1 of --rounds and --calibration, found less")
    threads = options.threads or os.cpu_count() or 1
    items = [f"written={DEV}", *options.dev]
    try:
        checkpoint = load_checkpoint(options.model)
        sets = named_sets(items, checkpoint.taxonomy)
        facts = set_facts(items, sets, "development")
        sets = {name: part[: options.limit] for name, part in sets.items()}
        circumstances = conditions(busy=options.busy)
        measured, journal = measure(checkpoint, options, sets, threads, circumstances)
    except (CheckpointError, DatasetError, EnginesError, MachineError) as error:
        parser.error(str(error))
    results = {
        "kind": "engines", "model": checkpoint.name, "hash": checkpoint.hash, "trial": trial, "threads": threads,
        "machine": machine(), "units": units(), "versions": versions(), "rounds": options.rounds, "sets": facts,
        **measured,
    }  # fmt: skip
    write_results(options.json, results)
    journal.close()
    print(f"{options.json} written", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
