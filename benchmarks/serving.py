"""Speed of the service beside the bare engine, on the same machine: many clients with single texts, and one client.

`python -m benchmarks.serving` writes benchmarks/results/serving.json, and exits with 1 if a target is missed. Engine,
service and load generator share two cores, also where there are more (Linux). The bare rate is that of `analyze_block`
on all texts at once; the bare call is `analyze` on one text. Bare and served measurements alternate, so that a machine
that slows down slows both. Some five minutes on two idle cores. With `--workers` or `--threads` it answers another
question, what several workers bring on this machine, and writes nothing unless told where.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.load import ROOT, load, percentile, texts
from benchmarks.process import service
from sentiment import Analyzer

CLIENTS = 32
CORES = 2
LEAST_SHARE = 0.6  # of the bare engine's rate, with CLIENTS
MOST_MILLISECONDS = 3.0  # of one client's median over that of the bare call


def bare(analyzer: Analyzer, sample: list[str], singles: int) -> dict[str, Any]:
    """Texts a second of the engine, and the median milliseconds of one call."""
    started = time.perf_counter()
    analyzer.analyze_block(sample)
    rate = len(sample) / (time.perf_counter() - started)
    times = []
    for text in itertools.islice(itertools.cycle(sample), singles):
        begun = time.perf_counter()
        analyzer.analyze(text)
        times.append(time.perf_counter() - begun)
    return {"texts_per_second": rate, "p50_ms": 1000 * statistics.median(times)}


def served(port: int, sample: list[str], singles: int) -> dict[str, Any]:
    """The same over HTTP: `CLIENTS` at once, and one."""
    started = time.perf_counter()
    many = asyncio.run(load(port, CLIENTS, ((str(n), text) for n, text in enumerate(sample))))
    rate = len(sample) / (time.perf_counter() - started)
    sending = itertools.islice(itertools.cycle(sample), singles)
    one = asyncio.run(load(port, 1, ((str(n), text) for n, text in enumerate(sending))))
    for answers in (many, one):
        if set(answers.statuses) != {200} or answers.wrong:
            raise RuntimeError(f"expected 200 only, found {dict(answers.statuses)}, {dict(answers.wrong)}")
    return {
        "texts_per_second": rate,
        "p50_of_32_ms": 1000 * percentile(many.seconds, 0.5),
        "p99_of_32_ms": 1000 * percentile(many.seconds, 0.99),
        "p50_ms": 1000 * percentile(one.seconds, 0.5),
    }


def two_cores() -> int:
    """Keeps this process and those that it starts to two cores, where the system can; on how many it runs."""
    if not hasattr(os, "sched_setaffinity"):
        return os.cpu_count() or 1
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    return len(os.sched_getaffinity(0))


def summary(rounds: list[tuple[dict[str, Any], dict[str, Any]]]) -> dict[str, Any]:
    """The medians over the rounds, bare and served, and the targets that they miss."""
    share = statistics.median(other["texts_per_second"] / one["texts_per_second"] for one, other in rounds)
    over = statistics.median(other["p50_ms"] - one["p50_ms"] for one, other in rounds)
    missed = []
    if share < LEAST_SHARE:
        missed.append(f"expected {LEAST_SHARE:.0%} of the bare rate with {CLIENTS} clients, found {share:.1%}")
    if over > MOST_MILLISECONDS:
        missed.append(f"expected a p50 of at most {MOST_MILLISECONDS:g} ms over the bare call, found {over:.1f} ms")
    return {"share_of_the_bare_rate": share, "p50_over_the_bare_call_ms": over, "missed": missed}


def main() -> None:
    """Measures and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=2000)
    parser.add_argument("--singles", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, help="of the service; default: one")
    parser.add_argument("--threads", type=int, help="of each worker; default: one for each core")
    parser.add_argument("--output", type=Path, help="default: benchmarks/results/serving.json")
    options = parser.parse_args()
    usual = options.workers is None and options.threads is None
    output = options.output or (ROOT / "benchmarks" / "results" / "serving.json" if usual else None)
    cores = two_cores()
    threads = options.threads or cores
    sample = list(itertools.islice(itertools.cycle(texts()), options.texts))
    analyzer = Analyzer.load(threads=cores)
    analyzer.warm_up()
    rounds = []
    patient = ("--log-level", "warning", "--deadline", "60", "--threads", str(threads))
    workers = ("--workers", str(options.workers or 1))
    with tempfile.TemporaryDirectory() as folder, service(Path(folder), *patient, *workers) as (_, port):
        served(port, sample[:64], 8)
        for _ in range(options.rounds):
            rounds.append((bare(analyzer, sample, options.singles), served(port, sample, options.singles)))
            print(json.dumps(rounds[-1]), file=sys.stderr, flush=True)
    results = {
        "model": analyzer.name,
        "machine": {"cores": cores, "processor": platform.processor() or platform.machine()},
        "texts": options.texts,
        "singles": options.singles,
        "clients": CLIENTS,
        "workers": options.workers or 1,
        "threads": threads,
        "rounds": [{"bare": one, "served": other} for one, other in rounds],
        **summary(rounds),
    }
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(results, indent=2) + "\n", "utf-8")
    print(json.dumps(results, indent=2))
    sys.exit(1 if results["missed"] else 0)


if __name__ == "__main__":
    main()
