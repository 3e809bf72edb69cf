"""The job on Ray beside the local engine: the same bytes, rates with one and two workers, workers and driver killed.

`python -m benchmarks.distributed` writes benchmarks/results/distributed.json. Every job scores one CSV into Parquet,
one thread a worker, on the runtime that --runtime names. Rates are medians of interleaved rounds, without the start of
workers and models, which the seconds to the first block have on either side. How fast a driver can be is measured on a
larger CSV: reading alone, and a job whose worker is always ready. Workers and driver are killed in jobs over a smaller
CSV. Whether others are at work is looked at before Ray starts, and not beside the jobs: its own processes, at work
under all of them, cannot be told from others. An interrupted run goes on with the job that it was at. Exit code 1 says
that some output differed from the local engine's, or that a killed job did not go on as it should. Linux only.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.jobs import Bench, summarised
from benchmarks.journal import Journal, code_hash, identity
from benchmarks.kills import driver_faults, kill_driver, kill_worker, worker_faults
from benchmarks.machine import MachineError, add_busy, conditions, machine, processor
from benchmarks.memory import write
from benchmarks.own_rows import mean_characters
from benchmarks.rounds import interleaved, spread
from benchmarks.runtimes import add_runtime, runtime_of
from sentiment.checkpoint import Checkpoint, CheckpointError, load_checkpoint
from sentiment.distributed import RayOptions, connected
from sentiment.runtimes import Choice, RuntimeChoiceError
from sentiment.tables import ReadOptions, open_tables
from training.results import write_results

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "distributed.json"
ROWS, ROUNDS, KILL_ROWS, KILLS = 8_192, 3, 6_144, 10
DRIVER_ROWS, READINGS = 262_144, 7
DRIVER_BLOCKS = 64  # of 4,096 rows, as the product's are
BLOCKS, KILL_BLOCKS = 8, 12  # of 1,024 rows, which are scored as in larger blocks, and of 512: moments to kill at
WORKERS = (1, 2)
MODULES = ("distributed", "jobs", "kills", "own_rows")  # whose code the rates depend on


def timed_jobs(bench: Bench, rounds: int, journal: Journal) -> dict[str, Any]:
    """The local engine, and Ray with one and two workers, run in turn."""
    tasks: dict[str, Callable[[], Any]] = {"local": partial(bench.timed, bench.local)}
    tasks |= {f"workers_{count}": partial(_on_ray, bench, count) for count in WORKERS}
    runs = interleaved(tasks, rounds, journal, unwatched=list(tasks))
    expected = runs["local"][0]["sha256"]
    return {name: summarised(found, expected) for name, found in runs.items()}


def _on_ray(bench: Bench, workers: int) -> dict[str, Any]:
    return bench.timed(partial(bench.ray, workers), workers)


def driver_rates(bench: Bench, rounds: int, journal: Journal) -> dict[str, Any]:
    """What one driver can do: rows a second that it reads, that it reads, hands out and keeps; how long it assembles.

    Each a median with the least and the greatest.
    """
    tasks: dict[str, Callable[[], Any]] = {"reading": bench.reading_rate, "driver": bench.driven}
    found = interleaved(tasks, rounds, journal, unwatched=list(tasks))
    return {
        "rows": found["driver"][0]["rows"],
        "block_rows": bench.block_rows,
        "rounds": rounds,
        "reading_rows_per_second": spread(found["reading"], 1),
        "keeping_rows_per_second": spread([job["rows_per_second"] for job in found["driver"]], 1),
        "assembling_seconds": spread([job["assembling_seconds"] for job in found["driver"]], 2),
    }


def faults(results: Mapping[str, Any]) -> list[str]:
    """What went otherwise than it should, a line each."""
    lines = [
        f"{name}: expected the bytes of the local engine's first run, found others"
        for name in ("local", *(f"workers_{count}" for count in WORKERS))
        if not results[name]["bytes_equal"]
    ]
    for number, found in enumerate(results["worker_kills"], 1):
        lines += [f"kill {number}: {fault}" for fault in worker_faults(found)]
    return [*lines, *(f"driver: {fault}" for fault in driver_faults(results["driver_kill"]))]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and writes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.distributed", description=__doc__)
    numbers = {
        "rows": (ROWS, "rows of the CSV that rates are measured on"),
        "rounds": (ROUNDS, "jobs of a kind"),
        "driver-rows": (DRIVER_ROWS, "rows of the CSV that a driver is measured on"),
        "readings": (READINGS, "measurements of a driver"),
        "kill-rows": (KILL_ROWS, "rows of the CSV in whose jobs something is killed"),
        "kills": (KILLS, "jobs that lose a worker"),
    }
    for name, (default, what) in numbers.items():
        parser.add_argument(f"--{name}", type=int, default=default, metavar="N", help=f"{what} (default: {default})")
    add_runtime(parser)
    add_busy(parser)
    parser.add_argument("--model", type=Path, metavar="DIR", help="checkpoint folder (default: the packaged one)")
    parser.add_argument(
        "--work", type=Path, default=Path("runs/distributed"), metavar="DIR", help="keeps what is measured meanwhile"
    )
    parser.add_argument("--json", type=Path, default=RESULTS, metavar="OUT", help="where the results go")
    options = parser.parse_args(arguments)
    given = {name: getattr(options, name.replace("-", "_")) for name in numbers}
    trial = any(given[name] < default for name, (default, _) in numbers.items())
    if trial and options.json == RESULTS:
        parser.error("expected --json FILE beside smaller numbers, found none; a trial is no result")
    least = {"rows": BLOCKS, "driver-rows": DRIVER_BLOCKS, "kill-rows": KILL_BLOCKS}
    for name in numbers:
        if given[name] < least.get(name, 1):
            parser.error(f"expected {least.get(name, 1)} --{name} at least, found {given[name]}")
    try:
        checkpoint = load_checkpoint(options.model)
        runtime = runtime_of(options.runtime, checkpoint.folder)
        circumstances = conditions(busy=options.busy)
    except (CheckpointError, MachineError, RuntimeChoiceError) as error:
        parser.error(str(error))
    results: dict[str, Any] = {
        "kind": "distributed",
        "model": checkpoint.name,
        "hash": checkpoint.hash,
        "trial": trial,
        "runtime": str(runtime),
        "machine": machine(),
        "versions": {"ray": importlib.metadata.version("ray")},
        "rows": options.rows,
        "mean_characters": mean_characters(options.rows),
        "block_rows": -(-options.rows // BLOCKS),
        "rounds": options.rounds,
        "driver_rows": options.driver_rows,
        "driver_block_rows": -(-options.driver_rows // DRIVER_BLOCKS),
        "kill_rows": options.kill_rows,
        "kill_block_rows": -(-options.kill_rows // KILL_BLOCKS),
    }
    parts = [f"{part}{name}" for part in ("", "driver_", "kill_") for name in ("rows", "block_rows")]
    same = ("runtime", "versions", *parts)
    facts = {name: results[name] for name in same}
    facts |= {**identity(checkpoint), "processor": processor(), "code": code_hash(MODULES)}
    journal = Journal(options.work / "jobs.jsonl", facts)
    journal.circumstances(circumstances)  # of this sitting, should it be cut off
    with tempfile.TemporaryDirectory() as scratch:
        bench, driving, killing = (
            _bench(Path(scratch) / name, rows, blocks, checkpoint, runtime)
            for name, rows, blocks in (
                ("timed", options.rows, results["block_rows"]),
                ("driven", options.driver_rows, results["driver_block_rows"]),
                ("killed", options.kill_rows, results["kill_block_rows"]),
            )
        )
        began = time.monotonic()
        with connected(RayOptions(workers=2)):
            results["ray_start_seconds"] = round(time.monotonic() - began, 2)
            results |= timed_jobs(bench, options.rounds, journal)
            results["driver"] = driver_rates(driving, options.readings, journal)
            expected = journal.once("unharmed", partial(killing.timed, killing.local))["sha256"]
            results["worker_kills"] = [
                journal.once(f"kill {number + 1}", partial(kill_worker, killing, number, expected))
                for number in range(options.kills)
            ]
        source = killing.folder / "in.csv"
        results["driver_kill"] = journal.once("driver", partial(kill_driver, killing, source, expected))
    results |= {"sittings": journal.sittings, "circumstances": journal.circumstances(circumstances)}
    results["faults"] = faults(results)
    write_results(options.json, results)
    journal.close()
    print(json.dumps(results, indent=2, ensure_ascii=False))
    print("\n".join([*results["faults"], f"{options.json} written"]), file=sys.stderr)
    return 1 if results["faults"] else 0


def _bench(folder: Path, rows: int, block_rows: int, checkpoint: Checkpoint, runtime: Choice) -> Bench:
    folder.mkdir()
    source = folder / "in.csv"
    write(source, rows)
    return Bench(open_tables([source], ReadOptions()), checkpoint, runtime, folder, block_rows)


if __name__ == "__main__":
    sys.exit(main())
