"""The job on Ray beside the local engine: the same bytes, rates with one and two workers, workers and driver killed.

`python -m benchmarks.distributed` writes benchmarks/results/distributed.json. Every job scores one CSV into Parquet,
one thread a worker. An interrupted run goes on with the job that it was at. Exit code 1 says that some output differed
from the local engine's. Linux only.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from benchmarks.journal import Journal
from benchmarks.machine import machine
from benchmarks.memory import write
from sentiment.analyzer import Analyzer
from sentiment.batch import LocalRunner, Runner, ScoreOptions, Tick, score_with
from sentiment.blocks import BLOCK_ROWS, blocks_of
from sentiment.checkpoint import Checkpoint, load_checkpoint
from sentiment.distributed import RayOptions, RayRunner, connected
from sentiment.parts import partial_folder
from sentiment.tables import ReadOptions, Table, open_tables

RESULTS = Path(__file__).parent / "results" / "distributed.json"
ROWS, KILLS = 50_000, 10
CLI = """
import sys
import sentiment.blocks
sentiment.blocks.BLOCK_ROWS = int(sys.argv.pop(1))
from sentiment.cli import main
main()
"""


@dataclass
class Clock:
    """When the job began to score, had its first block, and had its last."""

    started: float = field(default_factory=time.monotonic)
    first: float = 0.0
    last: float = 0.0
    watch: Callable[[Tick], None] = lambda tick: None

    def __call__(self, tick: Tick) -> None:
        if tick.phase == "score":
            self.last = time.monotonic()
            self.first = self.first or self.last
            self.watch(tick)


@dataclass(frozen=True)
class Bench:
    """What all jobs have in common."""

    table: Table
    checkpoint: Checkpoint
    folder: Path
    block_rows: int

    def job(self, name: str, runner: Runner, watch: Callable[[Tick], None] | None = None) -> dict[str, Any]:
        """Runs a job; its rate counts reading, scoring and keeping the parts, the start of the workers too."""
        output = self.folder / name / "out.parquet"
        output.parent.mkdir()
        clock = Clock()
        clock.watch = watch or clock.watch
        began = time.monotonic()
        summary = score_with(self.table, runner, output, ScoreOptions(block_rows=self.block_rows), clock)
        ended = time.monotonic()
        return {
            "rows": summary.rows,
            "rows_per_second": round(summary.rows / (clock.last - began), 1),
            "first_block_seconds": round(clock.first - began, 2),
            "assembling_seconds": round(ended - clock.last, 2),
            "seconds": round(ended - began, 2),
            "sha256": _sha256(output),
        }

    def ray(self, workers: int) -> RayRunner:
        return RayRunner(self.checkpoint, RayOptions(workers=workers))


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def reading_rate(bench: Bench) -> float:
    """Rows that the driver reads in a second, and cuts into blocks."""
    started = time.monotonic()
    rows = sum(len(block.rows) for block in blocks_of(bench.table, bench.block_rows))
    return round(rows / (time.monotonic() - started), 1)


def kill_worker(bench: Bench, number: int, expected: str) -> dict[str, Any]:
    """A job in which a worker is killed at a moment drawn by lot."""
    rng = random.Random(11 + number)
    blocks = -(-(bench.table.size or _rows(bench)) // bench.block_rows)
    after, killed = rng.randint(0, max(0, blocks - 3)) * bench.block_rows, []

    def watch(tick: Tick) -> None:
        if not killed and tick.scored > after:
            victim = rng.choice(workers_below(os.getpid()))
            os.kill(victim, signal.SIGKILL)
            killed.append(victim)

    result = bench.job(f"kill-{number}", bench.ray(2), watch)
    ids = pq.read_table(bench.folder / f"kill-{number}" / "out.parquet", columns=["id"])["id"].to_pylist()
    print(f"kill {number + 1}: {result['seconds']} s", file=sys.stderr)
    return {
        "killed_after_rows": after,
        "killed": len(killed),
        "rows": len(ids),
        "lost": result["rows"] - len(set(ids)),
        "doubled": len(ids) - len(set(ids)),
        "bytes_equal": result["sha256"] == expected,
    }


def _rows(bench: Bench) -> int:
    return sum(len(block.rows) for block in blocks_of(bench.table, bench.block_rows))


def kill_driver(bench: Bench, source: Path, expected: str) -> dict[str, Any]:
    """`cinesent score --engine ray`, killed with SIGKILL when some blocks are there, and resumed."""
    output = bench.folder / "driver" / "out.parquet"
    output.parent.mkdir()
    arguments = ["score", source, "-o", output, "--model", bench.checkpoint.folder, "--engine", "ray", "--workers", "2"]
    command = [sys.executable, "-c", CLI, str(bench.block_rows), *map(str, arguments)]
    driver = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while driver.poll() is None and len(_parts(output)) < 2:
        time.sleep(0.02)
    below = workers_below(driver.pid)
    driver.kill()
    driver.wait()
    kept = len(_parts(output))
    time.sleep(5)
    left = [pid for pid in below if Path(f"/proc/{pid}").is_dir()]
    resumed = subprocess.run([*command, "--resume"], stderr=subprocess.DEVNULL, check=False)
    return {
        "blocks_kept": kept,
        "workers_left_behind": len(left),
        "exit_code_of_resume": resumed.returncode,
        "bytes_equal": output.is_file() and _sha256(output) == expected,
    }


def _parts(output: Path) -> list[Path]:
    return list(partial_folder(output).glob("part-*.parquet"))


def workers_below(parent: int) -> list[int]:
    """The workers that a process started, itself or through others."""
    parents: dict[int, int] = {}
    workers = []
    for path in Path("/proc").iterdir():
        if path.name.isdecimal():
            try:
                pid, line = int(path.name), (path / "cmdline").read_bytes()
                parents[pid] = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if line.startswith(b"ray::Worker"):
                workers.append(pid)
    return [pid for pid in workers if parent in _ancestors(pid, parents)]


def _ancestors(pid: int, parents: dict[int, int]) -> set[int]:
    found = set()
    while (pid := parents.get(pid, 0)) > 1:
        found.add(pid)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and writes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.distributed", description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS, metavar="N", help=f"rows of the CSV (default: {ROWS})")
    parser.add_argument(
        "--kills", type=int, default=KILLS, metavar="N", help=f"jobs that lose a worker (default: {KILLS})"
    )
    parser.add_argument("--block-rows", type=int, default=BLOCK_ROWS, metavar="N", help="smaller for a trial")
    parser.add_argument("--model", type=Path, metavar="DIR", help="checkpoint folder (default: the packaged one)")
    parser.add_argument(
        "--work", type=Path, default=Path("runs/distributed"), metavar="DIR", help="keeps what is measured meanwhile"
    )
    parser.add_argument("--json", type=Path, default=RESULTS, metavar="OUT", help="where the results go")
    options = parser.parse_args(arguments)
    trial = options.rows < ROWS or options.kills < KILLS or options.block_rows != BLOCK_ROWS
    if trial and options.json == RESULTS:
        parser.error(
            "expected --json FILE beside fewer rows or kills or smaller blocks, found none; a trial is no result"
        )
    checkpoint = load_checkpoint(options.model)
    results: dict[str, Any] = {
        "kind": "distributed",
        "model": checkpoint.name,
        "hash": checkpoint.hash,
        "trial": trial,
        "machine": machine(),
        "versions": {"ray": importlib.metadata.version("ray")},
        "rows": options.rows,
        "block_rows": options.block_rows,
    }
    facts = {name: results[name] for name in ("hash", "versions", "rows", "block_rows")}
    facts["processor"] = results["machine"]["processor"]
    journal = Journal(options.work / "jobs.jsonl", facts)
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "in.csv"
        write(source, options.rows)
        bench = Bench(open_tables([source], ReadOptions()), checkpoint, Path(scratch), options.block_rows)
        results["reading_rows_per_second"] = journal.once("reading", partial(reading_rate, bench))
        results["local"] = journal.once(
            "local", lambda: bench.job("local", LocalRunner(Analyzer.load(options.model, threads=1)))
        )
        expected = results["local"]["sha256"]
        began = time.monotonic()
        with connected(RayOptions(workers=2)):
            results["ray_start_seconds"] = round(time.monotonic() - began, 2)
            for workers in (1, 2):
                name = f"workers_{workers}"
                results[name] = journal.once(name, partial(bench.job, f"ray-{workers}", bench.ray(workers)))
            results["worker_kills"] = [
                journal.once(f"kill {number}", partial(kill_worker, bench, number, expected))
                for number in range(options.kills)
            ]
        results["driver_kill"] = journal.once("driver", partial(kill_driver, bench, source, expected))
    results["sittings"] = journal.sittings
    outcomes = [results["workers_1"]["sha256"], results["workers_2"]["sha256"]]
    results["bytes_equal"] = (
        all(outcome == expected for outcome in outcomes)
        and all(item["bytes_equal"] and item["killed"] for item in results["worker_kills"])
        and results["driver_kill"]["bytes_equal"]
    )
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", "utf-8")
    journal.close()
    print(json.dumps(results, indent=2, ensure_ascii=False))
    return 0 if results["bytes_equal"] else 1


if __name__ == "__main__":
    sys.exit(main())
