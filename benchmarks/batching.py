"""Batch size, dimensions asked and very long texts: what each costs; writes benchmarks/results/batching.json.

`python -m benchmarks.batching`

Every case runs once a round over the same short texts, in another order each round, on the runtime that --runtime
names, each round beginning elsewhere in the order, after one turn that does not count: one by one, in batches of many
sizes, under several budgets of tokens and under the default's; with one dimension and with all; with one text of 20,000
characters among them. The default bounds a batch by its tokens, so smaller and larger budgets tell whether it is chosen
well, and sizes whether texts are put together at all. A figure is a ratio
of medians, with the least and the greatest round beside it: their distance is the noise. `complaints` says of each
complaint whether it is unfounded here. Exit code 1 says that one is not.

Records of one block of `Analyzer.analyze_many`, 1,024 texts, come together, when the last of them is scored. Somebody
who reads a stream thus does wait for a very long text before the records of its block come, also of those before it;
blocks before it have come by then. It shall hold them up by no more than its own cost: what it adds to the wait for the
100 texts before it, over its time alone, is to be at most 1.1, as much above 1 as for the total time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.journal import Journal
from benchmarks.machine import MachineError, add_busy, conditions, machine
from benchmarks.own_rows import rows
from benchmarks.rounds import Reordered, interleaved
from benchmarks.runtimes import add_runtime, runtime_of
from benchmarks.speed_targets import target
from sentiment.analyzer import Analyzer
from sentiment.checkpoint import CheckpointError, load_checkpoint
from sentiment.engine import TOKEN_BUDGET
from sentiment.runtimes import Choice, RuntimeChoiceError
from training.results import write_results

RESULTS = Path(__file__).parent / "results" / "batching.json"
TEXTS, ROUNDS, LONG_CHARACTERS = 1000, 15, 20_000
SIZES = (1, 4, 16, 64)
BUDGETS = tuple(
    TOKEN_BUDGET * numerator // 4 for numerator in (1, 2, 8, 16)
)  # tokens a batch; four times are the default
ALL_DIMENSIONS, ONE_DIMENSION = "all dimensions", "1 dimension"
LONG = "座椅太硬，坐得腰疼。音响震撼，画面清晰！"  # twenty characters
BEFORE = 100  # short texts before the long one
TOGETHER, ALONE = "default and a long text", "long text alone"
WAIT, LONG_WAIT = f"first {BEFORE} of default", f"first {BEFORE} before a long text"

Seconds = Mapping[str, Sequence[float]]


def one_by_one(analyzer: Analyzer, texts: Sequence[str]) -> None:
    """As a caller does who does not know of batches."""
    for text in texts:
        analyzer.analyze(text)


def first(analyzer: Analyzer, texts: Iterable[str], count: int) -> None:
    """Reads the stream until this many of its records have come."""
    deque(islice(analyzer.analyze_many(texts), count), maxlen=0)


def timed(case: Callable[[Sequence[str]], object], texts: Sequence[str]) -> float:
    """Seconds of a case."""
    started = time.perf_counter()
    case(texts)
    return time.perf_counter() - started


def rate_over(seconds: Seconds, one: str, other: str) -> dict[str, float]:
    """The rate of one case over that of another over the same texts: of medians, and the least and greatest round."""
    ratios = [b / a for a, b in zip(seconds[one], seconds[other], strict=True)]
    ratio = statistics.median(seconds[other]) / statistics.median(seconds[one])
    return {"ratio": ratio, "low": min(ratios), "high": max(ratios)}


def together_over_apart(seconds: Seconds) -> dict[str, float]:
    """The time with a long text among the others over that of both apart."""
    apart = [a + b for a, b in zip(seconds["default"], seconds[ALONE], strict=True)]
    return rate_over({"apart": apart, "together": seconds[TOGETHER]}, "apart", "together")


def added_wait(seconds: Seconds) -> dict[str, float]:
    """What the long text adds to the wait for those before it, over its time alone."""
    rounds = zip(seconds[LONG_WAIT], seconds[WAIT], seconds[ALONE], strict=True)
    ratios = [(with_it - without) / alone for with_it, without, alone in rounds]
    with_it, without, alone = (statistics.median(seconds[name]) for name in (LONG_WAIT, WAIT, ALONE))
    return {"ratio": (with_it - without) / alone, "low": min(ratios), "high": max(ratios)}


def complaints(seconds: Seconds, runtime: str) -> list[dict[str, Any]]:
    """A row for each complaint: the ratio that shows it with its noise, and `met` where it is unfounded.

    The default is held against each size and budget, and the one against which it does worst decides. The least of
    several medians is low by chance, if anything: that is against us, where the best of them in a denominator of ours
    would be.
    """
    sizes = [f"batch {size}" for size in SIZES]
    others = [*sizes, *(f"{budget} tokens" for budget in BUDGETS)]
    chosen = min((rate_over(seconds, "default", name) for name in others), key=lambda found: found["ratio"])
    slowest = min(
        (rate_over(seconds, size, "one by one") for size in (*sizes, "default")), key=lambda found: found["ratio"]
    )
    figures = (
        ("effect", "the batch size has no effect: default over one text a batch",
         "批大小不起作用：默认与每批一条之比", True, 1.2, rate_over(seconds, "default", "batch 1")),
        ("default", "the default is chosen badly: default over the size or token budget against which it does worst",
         "默认值不当：默认与对它最不利的批大小或词元上限之比", True, 0.95, chosen),
        ("never-slower", "a batch is slower: slowest size over one by one",
         "成批反而更慢：最慢批大小与逐条调用之比", True, 0.95, slowest),
        ("dimensions", "every dimension costs: rate of 18 over that of 1",
         "维度越多越慢：18 个维度与 1 个维度的速率之比", True, 0.95, rate_over(seconds, ALL_DIMENSIONS, ONE_DIMENSION)),
        ("long-text", "a very long text stalls the rest: time together over apart",
         "一条超长文本拖住其余：合并与分开处理的时间之比", False, 1.1, together_over_apart(seconds)),
        ("long-text-wait",
         "a very long text stalls those before it: what it adds to the wait for its block, whose records come "
         "together, over its time alone",
         "一条超长文本拖住它前面的文本：同一块的记录一并给出，它给这一块增加的等待与单独处理它的时间之比", False, 1.1,
         added_wait(seconds)),
    )  # fmt: skip
    return [
        {**target(name, en, zh, at_least, bound, found["ratio"]), "runtime": runtime,
         "low": float(f"{found['low']:.4g}"), "high": float(f"{found['high']:.4g}")}
        for name, en, zh, at_least, bound, found in figures
    ]  # fmt: skip


def cases_of(
    runtime: Choice, model: Path | None, threads: int | None, texts: Sequence[str], long: str
) -> dict[str, Callable[[], float]]:
    """The cases on one runtime, by name.

    So that no side has another's memory to carry, each has an engine of its own; one and all dimensions share one,
    whose batches are the same, and so do the cases with a long text.
    """

    def load(**choice: Any) -> Analyzer:
        return Analyzer.load(model, threads=threads, runtime=runtime.name, **choice)

    default, whole, single, beside, alone = load(), load(), load(dimensions=["seating"]), load(), load()
    single._engine = whole._engine
    count = min(BEFORE, len(texts))

    def among(texts: Sequence[str]) -> list[str]:
        return [*texts[:BEFORE], long, *texts[BEFORE:]]

    cases: dict[str, Callable[[Sequence[str]], object]] = {
        "one by one": lambda texts: one_by_one(alone, texts),
        "default": lambda texts: list(default.analyze_many(texts)),
        ALL_DIMENSIONS: lambda texts: list(whole.analyze_many(texts)),
        ONE_DIMENSION: lambda texts: list(single.analyze_many(texts)),
        ALONE: lambda texts: beside.analyze(long),
        TOGETHER: lambda texts: list(beside.analyze_many(among(texts))),
        WAIT: lambda texts: first(beside, texts, count),
        LONG_WAIT: lambda texts: first(beside, among(texts), count),
    }
    bounded = {f"batch {size}": load(batch_size=size) for size in SIZES}
    for budget in BUDGETS:
        bounded[f"{budget} tokens"] = other = load()
        other._engine._budget = budget  # no option raises it
        other._engine._padding = other._engine._padding * budget // TOKEN_BUDGET  # or that bounds a larger batch first
    for name, analyzer in bounded.items():
        cases[name] = lambda texts, analyzer=analyzer: list(analyzer.analyze_many(texts))  # type: ignore[misc]
    return {name: Reordered(partial(timed, case), texts) for name, case in cases.items()}


def results_of(seconds: Seconds, texts: int) -> dict[str, Any]:
    """Rates and seconds on one runtime."""
    short = [name for name in seconds if name not in (ALONE, TOGETHER, WAIT, LONG_WAIT)]
    return {
        "texts_per_second": {name: round(texts / statistics.median(seconds[name]), 1) for name in short},
        "default_over": {
            name: {what: round(value, 4) for what, value in rate_over(seconds, "default", name).items()}
            for name in short if name != "default"
        },
        "seconds": {name: [round(value, 4) for value in found] for name, found in seconds.items()},
    }  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and writes."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.batching", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    numbers = {
        "texts": (TEXTS, "short texts a run"),
        "rounds": (ROUNDS, "runs of each case"),
        "long": (LONG_CHARACTERS, "characters of the long text"),
    }
    for name, (default, what) in numbers.items():
        parser.add_argument(f"--{name}", type=int, default=default, metavar="N", help=f"{what} (default: {default})")
    add_runtime(parser)
    add_busy(parser)
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: all cores)")
    parser.add_argument("--model", type=Path, metavar="DIR", help="checkpoint folder (default: the packaged one)")
    parser.add_argument("--json", type=Path, default=RESULTS, metavar="OUT", help="where the results go")
    options = parser.parse_args(arguments)
    trial = any(getattr(options, name) < default for name, (default, _) in numbers.items())
    if trial and options.json == RESULTS:
        parser.error("expected --json FILE beside smaller numbers, found none; a trial is no result")
    if min(options.texts, options.rounds) < 1 or options.long < len(LONG):
        parser.error(f"expected 1 of --texts and --rounds and {len(LONG)} of --long at least, found less")
    long = LONG * (options.long // len(LONG))
    texts = [text for _, _, text in rows(options.texts)]
    try:
        checkpoint = load_checkpoint(options.model)
        runtime = runtime_of(options.runtime, options.model)
        circumstances = conditions(busy=options.busy)
    except (CheckpointError, MachineError, RuntimeChoiceError) as error:
        parser.error(str(error))
    cases = cases_of(runtime, options.model, options.threads, texts, long)
    for case in cases.values():
        case()  # warm
    journal = Journal(None, {})
    seconds = interleaved(cases, options.rounds, journal)
    results: dict[str, Any] = {
        "kind": "batching",
        "model": checkpoint.name,
        "hash": checkpoint.hash,
        "trial": trial,
        "machine": machine(),
        "circumstances": journal.circumstances(circumstances),
        "threads": options.threads,
        "texts": len(texts),
        "mean_characters": round(statistics.mean(map(len, texts)), 1),
        "rounds": options.rounds,
        "default_token_budget": TOKEN_BUDGET,
        "runtimes": {str(runtime): results_of(seconds, len(texts))},
        "complaints": complaints(seconds, str(runtime)),
    }
    write_results(options.json, results)
    print(json.dumps(results, indent=2, ensure_ascii=False))
    return 0 if all(entry["met"] for entry in results["complaints"]) else 1


if __name__ == "__main__":
    sys.exit(main())
