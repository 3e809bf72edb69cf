"""Workers and drivers of a job on Ray, killed midway: what is lost, doubled, kept, and scored again. Linux only."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from benchmarks.jobs import Bench, sha256
from sentiment.batch import Tick
from sentiment.parts import partial_folder

SETTLE = 5.0  # seconds after which workers of a killed driver count as left behind
DEADLINE = 600.0  # seconds, for the first blocks of a driver and for the whole of its resumed job
# The command itself; what it would show of its progress on a terminal is written down: rows done and rows scored.
CLI = """
import contextlib, sys
import sentiment.blocks
sentiment.blocks.BLOCK_ROWS = int(sys.argv.pop(1))
import sentiment.cli.score as verb
from sentiment.cli import main
progress = sys.argv.pop(1)

@contextlib.contextmanager
def written_down(table):
    def watch(tick):
        if tick.phase == "score":
            with open(progress, "w") as handle:
                print(tick.rows, tick.scored, file=handle)
    yield watch

verb.show_progress = written_down
main()
"""


def kill_worker(bench: Bench, number: int, expected: str) -> dict[str, Any]:
    """A job in which a worker is killed at a moment drawn by lot."""
    rng = random.Random(11 + number)
    rows = bench.rows()  # of the input: the job would not count what it lost
    blocks = -(-rows // bench.block_rows)
    after = rng.randint(0, max(0, blocks - 3)) * bench.block_rows
    killed: list[int] = []

    def watch(tick: Tick) -> None:
        if not killed and tick.scored > after:
            victim = rng.choice(workers_below(os.getpid()))
            os.kill(victim, signal.SIGKILL)
            killed.append(victim)

    output = bench.folder / f"kill-{number}" / "out.parquet"
    result = bench.job(output, partial(bench.ray, 2), 2, watch)
    ids = pq.read_table(output, columns=["id"])["id"].to_pylist()
    print(f"kill {number + 1}: {result['seconds']} s", file=sys.stderr)
    return {
        "killed_after_rows": after,
        "killed": len(killed),
        "rows": len(ids),
        "lost": rows - len(set(ids)),
        "doubled": len(ids) - len(set(ids)),
        "bytes_equal": result["sha256"] == expected,
    }


def kill_driver(bench: Bench, source: Path, expected: str, deadline: float = DEADLINE) -> dict[str, Any]:
    """`cinesent score --engine ray`, killed with SIGKILL when some blocks are there, and resumed.

    A driver that ended by itself, had no block in time, or whose blocks are scored again shows in what is returned:
    `driver_faults` reads it.
    """
    output, progress = bench.folder / "driver" / "out.parquet", bench.folder / "driver" / "progress"
    output.parent.mkdir()
    arguments = ["score", source, "-o", output, "--model", bench.checkpoint.folder, "--runtime", bench.runtime.name]
    arguments += ["--engine", "ray", "--workers", "2"]
    command = [sys.executable, "-c", CLI, str(bench.block_rows), str(progress), *map(str, arguments)]
    driver = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    latest = time.monotonic() + deadline
    while driver.poll() is None and len(_parts(output)) < 2 and time.monotonic() < latest:
        time.sleep(0.02)
    below = workers_below(driver.pid)
    driver.kill()
    code = driver.wait()
    kept = [pq.read_metadata(part).num_rows for part in _parts(output)]
    time.sleep(SETTLE)
    left = [pid for pid in below if Path(f"/proc/{pid}").is_dir()]
    progress.unlink(missing_ok=True)
    resumed: int | None = None
    with contextlib.suppress(subprocess.TimeoutExpired):
        done = subprocess.run([*command, "--resume"], stderr=subprocess.DEVNULL, check=False, timeout=deadline)
        resumed = done.returncode
    rows, scored = map(int, progress.read_text().split()) if progress.is_file() else (0, 0)
    return {
        "exit_code": code,
        "blocks_kept": len(kept),
        "rows_kept": sum(kept),
        "workers_left_behind": len(left),
        "exit_code_of_resume": resumed,
        "rows": rows,
        "rows_scored_by_resume": scored,
        "bytes_equal": output.is_file() and sha256(output) == expected,
    }


def worker_faults(found: Mapping[str, Any]) -> list[str]:
    """What a job with a killed worker should have done otherwise, if anything."""
    faults = []
    if found["killed"] != 1:
        faults.append(f"expected one worker killed, found {found['killed']}")
    if found["lost"] or found["doubled"]:
        faults.append(f"expected every row once, found {found['lost']} lost and {found['doubled']} doubled")
    if not found["bytes_equal"]:
        faults.append("expected the local engine's bytes, found others")
    return faults


def driver_faults(found: Mapping[str, Any]) -> list[str]:
    """What the killed and resumed driver should have done otherwise, if anything."""
    faults = []
    if found["exit_code"] != -signal.SIGKILL:
        faults.append(f"expected a driver killed midway, found exit code {found['exit_code']}")
    if found["blocks_kept"] < 1:
        faults.append("expected at least one block kept, found none")
    if found["exit_code_of_resume"] != 0:
        faults.append(f"expected exit code 0 of the resumed job, found {found['exit_code_of_resume'] or 'no end'}")
    again = found["rows_scored_by_resume"] - (found["rows"] - found["rows_kept"])
    if again:
        faults.append(f"expected no kept row scored again, found {again} more than were missing")
    if not found["bytes_equal"]:
        faults.append("expected the local engine's bytes, found others")
    return faults


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


def _parts(output: Path) -> list[Path]:
    return list(partial_folder(output).glob("part-*.parquet"))
