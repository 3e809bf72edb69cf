"""Batch size, dimensions asked and very long texts: what each costs; writes benchmarks/results/batching.json.

`python -m benchmarks.batching`

Every figure is a median of interleaved runs over the same short texts: one by one, in batches of several sizes and of
the default; with one dimension and with all; with one text of 20,000 characters among them. `complaints` says of each
complaint whether it is unfounded here. Exit code 1 says that one is not.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from benchmarks.memory import rows
from benchmarks.speed_targets import target
from sentiment.analyzer import Analyzer
from sentiment.checkpoint import load_checkpoint
from sentiment.engine import TOKEN_BUDGET

RESULTS = Path(__file__).parent / "results" / "batching.json"
SIZES = (1, 4, 16, 64, 256)
LONG = "座椅太硬，坐得腰疼。音响震撼，画面清晰！"  # twenty characters


def one_by_one(analyzer: Analyzer, texts: Sequence[str]) -> None:
    """As a caller does who does not know of batches."""
    for text in texts:
        analyzer.analyze(text)


def interleaved(cases: dict[str, Callable[[], object]], runs: int) -> dict[str, list[float]]:
    """Seconds of every case, run in turn, after one turn that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for turn in range(runs + 1):
        for name, case in cases.items():
            started = time.perf_counter()
            case()
            if turn:
                seconds[name].append(time.perf_counter() - started)
    return seconds


def complaints(rates: dict[str, float], seconds: dict[str, float]) -> list[dict[str, Any]]:
    """A row for each complaint: the ratio that shows it, and `met` where it is unfounded."""
    sizes = [rates[f"batch {size}"] for size in SIZES]
    apart = seconds["default"] + seconds["long text alone"]
    return [
        target(
            "effect", "the batch size has no effect: best size over one text at a time",
            "批大小不起作用：最佳批大小与逐条成批之比", True, 1.2, max(sizes) / rates["batch 1"],
        ),
        target(
            "default", "the default is chosen badly: default over the best size",
            "默认值不当：默认与最佳批大小之比", True, 0.95, rates["default"] / max(sizes),
        ),
        target(
            "never-slower", "a batch is slower: slowest size over one by one",
            "成批反而更慢：最慢批大小与逐条调用之比", True, 0.95, min(*sizes, rates["default"]) / rates["one by one"],
        ),
        target(
            "dimensions", "every dimension costs: rate of 18 over that of 1",
            "维度越多越慢：18 个维度与 1 个维度的速率之比", True, 0.95, rates["default"] / rates["1 dimension"],
        ),
        target(
            "long-text", "a very long text stalls the rest: time together over apart",
            "一条超长文本拖住其余：合并与分开处理的时间之比", False, 1.1, seconds["default and a long text"] / apart,
        ),
    ]  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and writes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.batching", description=__doc__)
    parser.add_argument("--texts", type=int, default=1000, metavar="N", help="short texts a run (default: 1000)")
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="runs of each case (default: 5)")
    parser.add_argument("--long", type=int, default=20_000, metavar="N", help="characters of the long text (20000)")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: all cores)")
    parser.add_argument("--model", type=Path, metavar="DIR", help="checkpoint folder (default: the packaged one)")
    parser.add_argument("--json", type=Path, default=RESULTS, metavar="OUT", help="where the results go")
    options = parser.parse_args(arguments)
    trial = options.texts < 1000 or options.runs < 5 or options.long < 20_000
    if trial and options.json == RESULTS:
        parser.error("expected --json FILE beside fewer texts or runs, found none; a trial is no result")
    long = LONG * (options.long // len(LONG))
    texts = [text for _, _, text in rows(options.texts)]

    def load(**choice: Any) -> Analyzer:
        return Analyzer.load(options.model, threads=options.threads, **choice)

    default, single = load(), load(dimensions=["seating"])
    cases: dict[str, Callable[[], object]] = {
        "one by one": lambda: one_by_one(default, texts),
        "default": lambda: list(default.analyze_many(texts)),
        "1 dimension": lambda: list(single.analyze_many(texts)),
        "long text alone": lambda: default.analyze(long),
        "default and a long text": lambda: list(default.analyze_many([*texts[:100], long, *texts[100:]])),
    }
    for size in SIZES:
        sized = load(batch_size=size)
        cases[f"batch {size}"] = lambda sized=sized: list(sized.analyze_many(texts))  # type: ignore[misc]
    seconds = {name: statistics.median(found) for name, found in interleaved(cases, options.runs).items()}
    rates = {name: round(len(texts) / value, 1) for name, value in seconds.items() if "long" not in name}
    checkpoint = load_checkpoint(options.model)
    results: dict[str, Any] = {
        "kind": "batching",
        "model": checkpoint.name,
        "hash": checkpoint.hash,
        "trial": trial,
        "machine": machine(),
        "threads": options.threads,
        "texts": len(texts),
        "mean_characters": round(statistics.mean(map(len, texts)), 1),
        "runs": options.runs,
        "default_token_budget": TOKEN_BUDGET,
        "texts_per_second": rates,
        "seconds": {name: round(value, 4) for name, value in seconds.items()},
        "complaints": complaints(rates, seconds),
    }
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", "utf-8")
    print(json.dumps(results, indent=2, ensure_ascii=False))
    return 0 if all(entry["met"] for entry in results["complaints"]) else 1


if __name__ == "__main__":
    sys.exit(main())
