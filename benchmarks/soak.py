"""What the service stands: twice the load that it can take, a hundred thousand texts of mixed length, swaps under load.

`python -m benchmarks.soak` writes benchmarks/results/soak.json after each of the three, leaves there what `--only` does
not run, and exits with 1 if something was lost, answered wrongly, or grew. Linux only (resident memory is read from
/proc). On two idle cores the three take some 6, 25 and 2 minutes.
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
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.load import ROOT, Answers, client, load, offer, percentile, texts
from benchmarks.process import resident_mb, service
from sentiment.checkpoint import embedded_folder

DEADLINE = 10.0
# Growth of resident memory that is allowed over the mixed requests, after a tenth as many to warm up.
GROWTH = 0.03
OVERLOAD = 2.0
# Texts that may wait while it is overloaded; as many may be in the block at work.
QUEUE = 64

Found = tuple[dict[str, Any], list[str]]


def until(seconds: float, sample: list[str]) -> Iterator[tuple[str, str]]:
    """Texts with their numbers, until the time is over."""
    end = time.monotonic() + seconds
    for number, text in enumerate(itertools.cycle(sample)):
        if time.monotonic() > end:
            return
        yield str(number), text


def counts(statuses: Counter[int]) -> dict[str, int]:
    return {str(status): count for status, count in sorted(statuses.items())}


def overload(folder: Path, seconds: float) -> Found:
    """First what it can take, by as many clients as may wait; then twice that, each text once, whether it keeps up or
    not. `judged` says what has to hold."""
    queue = ("--queue-size", str(QUEUE), "--max-batch-items", str(QUEUE))
    with service(folder, *queue, "--log-level", "warning") as (_, port):
        begun = time.monotonic()
        alone = asyncio.run(load(port, QUEUE, until(max(seconds / 10, 1.0), texts())))
        capacity = alone.statuses[200] / (time.monotonic() - begun)
        answers, sent, took = asyncio.run(offer(port, OVERLOAD * capacity, until(seconds, texts())))
        scored = _scored(port) - alone.statuses[200]
    found = {
        "seconds": round(took, 1),
        "texts_per_second_it_can_take": round(capacity, 1),
        "texts_per_second_offered": round(sent / took, 1),
        "texts_per_second_accepted": round(answers.statuses[200] / took, 1),
        "sent": sent,
        "scored": scored,
        "statuses": counts(answers.statuses),
        "p50_s": percentile(answers.seconds, 0.5),
        "p99_s": percentile(answers.seconds, 0.99),
        "p99_bound_s": p99_bound(capacity),
        "worst_s": max(answers.seconds, default=None),
    }
    wrong = [f"before the overload: {what}" for what in alone.wrong]
    return found, wrong + judged(found, answers)


def p99_bound(capacity: float) -> float:
    """Twice the time that a full queue and a block as large take at that rate; at least a second."""
    return max(1.0, 2 * (QUEUE + QUEUE) / capacity)


def judged(found: dict[str, Any], answers: Answers) -> list[str]:
    """What is wrong with the answers to an overload: every text has one, 200 or 429; what was scored is what was
    answered with 200, so nothing accepted was lost; refusing costs no more than half of what it can take; the wait of
    what is accepted is bounded by the queue, not by the deadline."""
    wrong = [f"overload: {what}" for what in answers.wrong]
    if set(answers.statuses) != {200, 429}:
        wrong.append(f"overload: expected 200 and 429, found {found['statuses']}")
    if (answered := sum(answers.statuses.values())) != found["sent"]:
        wrong.append(f"overload: expected {found['sent']} answers, found {answered}")
    if found["scored"] != answers.statuses[200]:
        wrong.append(f"overload: expected every scored text to be answered, found {found['scored']} scored")
    capacity = found["texts_per_second_it_can_take"]
    if found["texts_per_second_offered"] < 0.9 * OVERLOAD * capacity:
        wrong.append("overload: expected twice the load that it can take, found that the generator was too slow")
    if found["texts_per_second_accepted"] < 0.5 * capacity:
        wrong.append("overload: expected half of what it can take to be accepted, found less")
    bound = min(found["p99_bound_s"], DEADLINE)
    if not found["p99_s"] <= bound:
        wrong.append(f"overload: expected a p99 of at most {bound:.1f} s, found {found['p99_s']:.1f} s")
    return wrong


def _scored(port: int) -> int:
    """Texts that the service has scored, as it says itself."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as response:
        lines = response.read().decode().splitlines()
    return int(sum(float(line.split()[-1]) for line in lines if line.startswith("cinesent_texts_total{")))


def mixed(folder: Path, requests: int) -> Found:
    """Texts from one character to 20,000, mostly short: a tenth as many to warm up, and then resident memory after
    every tenth of them."""
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

    statuses: Counter[int] = Counter()
    wrong: list[str] = []
    resident = []
    tenths = [requests * (number + 1) // 10 - requests * number // 10 for number in range(10)]
    with service(folder, "--log-level", "warning", "--deadline", "60") as (process, port):
        for count in (tenths[0], *tenths):
            part = asyncio.run(load(port, 16, sending(count)))
            resident.append(round(resident_mb(process.pid), 1))
            wrong += [f"mixed: {what}" for what in part.wrong]
            statuses += part.statuses
            print(f"mixed: {sum(statuses.values())} requests, {resident[-1]} MB", file=sys.stderr, flush=True)
    growth = resident[-1] / resident[0] - 1
    found = {
        "requests": requests,
        "statuses": counts(statuses),
        "resident_mb_before": resident[0],
        "resident_mb_after_each_tenth": resident[1:],
        "growth": round(growth, 4),
    }
    if set(statuses) != {200} or statuses[200] != requests + tenths[0]:
        wrong.append(f"mixed: expected {requests + tenths[0]} times 200, found {found['statuses']}")
    if growth >= GROWTH:
        wrong.append(f"mixed: expected memory to grow by less than {GROWTH:.0%}, found {growth:.1%}")
    return found, wrong


def swaps(folder: Path, seconds: float, workers: int) -> Found:
    """Two swaps of the checkpoint under load: the first to another name, the second back; a third of `seconds` before
    each and after the last, and load for as long as they take. No answer but 200."""
    model = folder / "model"
    names = (_checkpoint(model, None), _checkpoint(folder / "other", "swapped"))
    options = ("--model", str(folder / "link"), "--workers", str(workers), "--log-level", "warning", "--deadline", "60")
    link = folder / "link"
    link.symlink_to(model)
    answers, reloads = Answers(), []
    over = False

    def sending() -> Iterator[tuple[str, str]]:
        for number, text in enumerate(itertools.cycle(texts())):
            if over:
                return
            yield str(number), text

    async def run(port: int) -> None:
        nonlocal over
        source = sending()
        clients = [asyncio.create_task(client(port, source, answers)) for _ in range(32)]
        try:
            for target in (folder / "other", model):
                await asyncio.sleep(seconds / 3)
                (folder / "next").symlink_to(target)
                (folder / "next").replace(link)
                reloads.append(await asyncio.to_thread(_reload, port))
            await asyncio.sleep(seconds / 3)
        finally:
            over = True
            await asyncio.gather(*clients)

    begun = time.monotonic()
    with service(folder, *options) as (_, port):
        asyncio.run(run(port))
    found = {
        "seconds": round(time.monotonic() - begun, 1),
        "workers": workers,
        "statuses": counts(answers.statuses),
        "models": dict(answers.models),
        "reloads": reloads,
    }
    wrong = [f"swaps: {what}" for what in answers.wrong]
    if set(answers.statuses) != {200}:
        wrong.append(f"swaps: expected 200 only, found {found['statuses']}")
    if [entry.get("model", "").split("@")[0] for entry in reloads] != ["swapped", names[0]]:
        wrong.append("swaps: expected both reloads to change the checkpoint, found another")
    if [entry.get("workers") for entry in reloads] != [workers, workers]:
        wrong.append(f"swaps: expected both reloads to reach {workers} workers, found another number")
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
    """What the service answers to a reload, good or bad, and how long it took."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/admin/reload", b"", method="POST")
    started = time.monotonic()
    try:
        with urllib.request.urlopen(request, timeout=600) as response:
            found: dict[str, Any] = json.load(response)
    except urllib.error.HTTPError as error:
        found = json.load(error)
    return {**found, "seconds": round(time.monotonic() - started, 1)}


def main() -> None:
    """Runs them and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--overload", type=float, default=300, help="seconds")
    parser.add_argument("--mixed", type=int, default=100_000, help="requests")
    parser.add_argument("--swaps", type=float, default=60, help="seconds")
    parser.add_argument("--workers", type=int, default=2, help="of the service whose checkpoint is swapped")
    parser.add_argument("--only", choices=["overload", "mixed", "swaps"], help="default: all three")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "soak.json")
    options = parser.parse_args()
    parts: dict[str, Callable[[Path], Found]] = {
        "overload": lambda folder: overload(folder, options.overload),
        "mixed": lambda folder: mixed(folder, options.mixed),
        "swaps": lambda folder: swaps(folder, options.swaps, options.workers),
    }
    results: dict[str, Any] = json.loads(options.output.read_text("utf-8")) if options.output.exists() else {}
    failed = False
    for name in parts if options.only is None else [options.only]:
        with tempfile.TemporaryDirectory() as folder:
            found, wrong = parts[name](Path(folder))
        results |= {"cores": os.cpu_count(), name: {**found, "wrong": wrong}}
        failed = failed or bool(wrong)
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", "utf-8")
        print(json.dumps({name: results[name]}, indent=2, ensure_ascii=False), flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
