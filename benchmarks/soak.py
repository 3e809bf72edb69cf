"""What the service stands: twice the load that it can take, a hundred thousand texts of mixed length, swaps under load.

`python -m benchmarks.soak` writes benchmarks/results/soak.json and exits with 1 if something was lost, answered
wrongly, or grew. Linux only (resident memory is read from /proc).
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import random
import shutil
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.load import ROOT, Answers, client, load, percentile, texts
from benchmarks.process import resident_mb, service
from sentiment.checkpoint import embedded_folder

DEADLINE = 10.0
# Growth of resident memory that is allowed over the mixed requests, after the first tenth of them.
GROWTH = 0.03


def until(seconds: float, sample: list[str]) -> Iterator[tuple[str, str]]:
    """Texts with their numbers, until the time is over."""
    end = time.monotonic() + seconds
    for number, text in enumerate(itertools.cycle(sample)):
        if time.monotonic() > end:
            return
        yield str(number), text


def overload(folder: Path, seconds: float) -> tuple[dict[str, Any], list[str]]:
    """Twice as many texts at once as queue and batch hold, sent again as soon as refused: nothing accepted is lost,
    every refusal says when to come back, and what is accepted is answered before the deadline."""
    with service(folder, "--queue-size", "64", "--max-batch-items", "64", "--log-level", "warning") as (_, port):
        answers = asyncio.run(load(port, 256, until(seconds, texts()), wait=False))
    p99 = percentile(answers.seconds, 0.99)
    found = {
        "seconds": seconds,
        "statuses": {str(status): count for status, count in sorted(answers.statuses.items())},
        "p50_s": percentile(answers.seconds, 0.5),
        "p99_s": p99,
        "worst_s": max(answers.seconds, default=None),
    }
    wrong = [f"overload: {what}" for what in answers.wrong]
    if set(answers.statuses) != {200, 429}:
        wrong.append(f"overload: expected 200 and 429, found {found['statuses']}")
    if not p99 < DEADLINE:
        wrong.append(f"overload: expected a p99 under the deadline, found {p99:.1f} s")
    return found, wrong


def mixed(folder: Path, requests: int) -> tuple[dict[str, Any], list[str]]:
    """Texts from one character to 20,000, mostly short; resident memory after a tenth, and in the end."""
    rng, sample = random.Random(3), texts()

    def sending(count: int) -> Iterator[tuple[str, str]]:
        for number in range(count):
            kind = rng.random()
            text = rng.choice(sample)
            if kind < 0.001:
                text = "".join(rng.choices(sample, k=600))[:20_000]
            elif kind < 0.01:
                text = "".join(rng.choices(sample, k=30))
            elif kind < 0.05:
                text = rng.choice(("", "好", "👍", "good"))
            yield str(number), text

    tenth = requests // 10
    with service(folder, "--log-level", "warning", "--deadline", "60") as (process, port):
        parts = [asyncio.run(load(port, 16, sending(tenth)))]
        before = resident_mb(process.pid)
        parts.append(asyncio.run(load(port, 16, sending(requests - tenth))))
        after = resident_mb(process.pid)
    statuses = sum((part.statuses for part in parts), parts[0].statuses.__class__())
    found = {
        "requests": requests,
        "statuses": {str(status): count for status, count in sorted(statuses.items())},
        "resident_mb_after_a_tenth": round(before, 1),
        "resident_mb_in_the_end": round(after, 1),
        "growth": round(after / before - 1, 4),
    }
    wrong = [f"mixed: {what}" for part in parts for what in part.wrong]
    if set(statuses) != {200}:
        wrong.append(f"mixed: expected 200 only, found {found['statuses']}")
    if after / before - 1 >= GROWTH:
        wrong.append(f"mixed: expected memory to grow by less than {GROWTH:.0%}, found {after / before - 1:.1%}")
    return found, wrong


def swaps(folder: Path, seconds: float, workers: int) -> tuple[dict[str, Any], list[str]]:
    """Two swaps of the checkpoint under load: the first to another name, the second back. No answer but 200."""
    model = folder / "model"
    names = (_checkpoint(model, None), _checkpoint(folder / "other", "swapped"))
    options = ("--model", str(folder / "link"), "--workers", str(workers), "--log-level", "warning", "--deadline", "60")
    link = folder / "link"
    link.symlink_to(model)
    answers, reloads = Answers(), []

    async def run(port: int) -> None:
        sending = until(seconds, texts())
        clients = [asyncio.create_task(client(port, sending, answers)) for _ in range(32)]
        for target in (folder / "other", model):
            await asyncio.sleep(seconds / 4)
            (folder / "next").symlink_to(target)
            (folder / "next").replace(link)
            reloads.append(await asyncio.to_thread(_reload, port))
        await asyncio.gather(*clients)

    with service(folder, *options) as (_, port):
        asyncio.run(run(port))
    found = {
        "seconds": seconds,
        "workers": workers,
        "statuses": {str(status): count for status, count in sorted(answers.statuses.items())},
        "models": dict(answers.models),
        "reloads": reloads,
    }
    wrong = [f"swaps: {what}" for what in answers.wrong]
    if set(answers.statuses) != {200}:
        wrong.append(f"swaps: expected 200 only, found {found['statuses']}")
    if [entry["model"].split("@")[0] for entry in reloads] != ["swapped", names[0]]:
        wrong.append("swaps: expected both reloads to change the checkpoint, found another")
    if {name.split("@")[0] for name in answers.models} != set(names):
        wrong.append("swaps: expected answers of both checkpoints, found those of one")
    return found, wrong


def _checkpoint(folder: Path, name: str | None) -> str:
    """A copy of the packaged checkpoint under another name; its name."""
    shutil.copytree(embedded_folder(), folder)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    if name is not None:
        config["name"] = name
        (folder / "config.json").write_text(json.dumps(config, ensure_ascii=False, indent=2) + "\n", "utf-8")
    return str(config["name"])


def _reload(port: int) -> dict[str, Any]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/admin/reload", b"", method="POST")
    started = time.monotonic()
    with urllib.request.urlopen(request, timeout=300) as response:
        found: dict[str, Any] = json.load(response)
    return {**found, "seconds": round(time.monotonic() - started, 1)}


def main() -> None:
    """Runs all three and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--overload", type=float, default=300, help="seconds")
    parser.add_argument("--mixed", type=int, default=100_000, help="requests")
    parser.add_argument("--swaps", type=float, default=60, help="seconds")
    parser.add_argument("--workers", type=int, default=2, help="of the service whose checkpoint is swapped")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "soak.json")
    options = parser.parse_args()
    results: dict[str, Any] = {"cores": os.cpu_count()}
    wrong: list[str] = []
    for name, run in (
        ("overload", lambda folder: overload(folder, options.overload)),
        ("mixed", lambda folder: mixed(folder, options.mixed)),
        ("swaps", lambda folder: swaps(folder, options.swaps, options.workers)),
    ):
        with tempfile.TemporaryDirectory() as folder:
            results[name], more = run(Path(folder))
        wrong += more
    results["wrong"] = wrong
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", "utf-8")
    print(json.dumps(results, indent=2, ensure_ascii=False))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
