"""Speed of the service beside the bare engine, on the same machine: many clients with single texts, and one client.

`python -m benchmarks.serving` writes benchmarks/results/serving.json. The load generator runs on the same cores. The
bare rate is that of `analyze_block` on all texts at once; the bare call is `analyze` on one text. Bare and served
measurements alternate, so that a machine that slows down slows both.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.load import ROOT, load, percentile, texts
from benchmarks.process import service
from sentiment import Analyzer

CLIENTS = 32


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


def main() -> None:
    """Measures and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=2000)
    parser.add_argument("--singles", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "serving.json")
    options = parser.parse_args()
    sample = list(itertools.islice(itertools.cycle(texts()), options.texts))
    analyzer = Analyzer.load()
    analyzer.warm_up()
    rounds = []
    patient = ("--log-level", "warning", "--deadline", "60")
    with tempfile.TemporaryDirectory() as folder, service(Path(folder), *patient) as (_, port):
        served(port, sample[:64], 8)
        for _ in range(options.rounds):
            rounds.append((bare(analyzer, sample, options.singles), served(port, sample, options.singles)))
    results = {
        "model": analyzer.name,
        "machine": {"cores": os.cpu_count(), "processor": platform.processor() or platform.machine()},
        "texts": options.texts,
        "singles": options.singles,
        "clients": CLIENTS,
        "rounds": [{"bare": one, "served": other} for one, other in rounds],
        "share_of_the_bare_rate": statistics.median(
            other["texts_per_second"] / one["texts_per_second"] for one, other in rounds
        ),
        "p50_over_the_bare_call_ms": statistics.median(other["p50_ms"] - one["p50_ms"] for one, other in rounds),
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(results, indent=2) + "\n", "utf-8")
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
