"""What needs processes of its own: the cold start to a first record, and `cinesent score` over a large CSV."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.memory import measure, write
from sentiment.blocks import BLOCK_ROWS
from sentiment.checkpoint import load_checkpoint
from sentiment.parts import partial_folder

ROOT = Path(__file__).parent.parent
TEXT = "座椅太硬，坐得腰疼，音响倒是很震撼。"
OURS = """
import sys
from sentiment import Analyzer
print(Analyzer.load(sys.argv[2] or None).analyze(sys.argv[1]).overall, flush=True)
"""
PLAIN = """
import sys
from transformers import pipeline
print(pipeline("text-classification", model=sys.argv[2], device="cpu")(sys.argv[1])[0]["label"], flush=True)
"""
# The command itself; only what it would show on a terminal is written down: (sitting, seconds, rows, resident MB), then
# what is on the disk when the last block is there, before OUT.partial goes.
JOB = """
import contextlib, json, os, sys, time
began = time.monotonic()
import sentiment.blocks
sentiment.blocks.BLOCK_ROWS = int(sys.argv.pop())
import sentiment.cli.score as verb
from pathlib import Path
from benchmarks.process import resident_mb
from sentiment.cli import main
from sentiment.parts import partial_folder
source, output, ticks, model = sys.argv[1:]
notes = open(ticks, "a")

def note(rows, **more):
    found = {"sitting": began, "at": time.monotonic(), "rows": rows, "mb": resident_mb(os.getpid()), **more}
    print(json.dumps(found), file=notes, flush=True)

def watch(tick):
    if tick.phase == "score" and tick.scored:
        note(tick.rows)
    elif tick.phase == "write" and tick.position == tick.size:
        note(tick.rows, disk=sum(path.stat().st_size for path in partial_folder(Path(output)).rglob("*")))

@contextlib.contextmanager
def written_down(table):
    note(0)
    yield watch

verb.show_progress = written_down
again = "--resume" if partial_folder(Path(output)).is_dir() else "--overwrite"
main(["score", source, "-o", output, again, *(["--model", model] if model else [])])
"""


def cold_start(code: str, *arguments: str) -> float:
    """Seconds from the start of a Python process that runs `code` until its first line.

    Raises:
        RuntimeError: it ended without one.
    """
    environment = os.environ | {
        "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error",
    }  # fmt: skip
    started = time.perf_counter()
    command = [sys.executable, "-c", code, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        taken = time.perf_counter() - started
        process.stdout.read()
    if not line.strip() or process.returncode:
        raise RuntimeError(f"expected a record of a fresh process, found exit code {process.returncode}")
    return taken


def starts(model: Path | None, plain: Path) -> dict[str, Callable[[], float]]:
    """Ours and the plain pipeline's, both with loading their model from disk."""
    return {
        "ours": lambda: cold_start(OURS, TEXT, str(model or "")),
        "pipeline": lambda: cold_start(PLAIN, TEXT, str(plain)),
    }


def large_job(rows: int, model: Path | None, work: Path) -> dict[str, Any]:
    """`cinesent score` over a CSV of so many rows: rates of the first and the last tenth, peak memory, time, disk.

    The clock of the first tenth begins with the first finished block, so that loading the model is not in it. Fewer
    rows than 20 blocks are cut into smaller blocks. What is in `work` of an interrupted job is gone on with; its files
    are removed at the end. Linux only.
    """
    block_rows = min(BLOCK_ROWS, rows // 21)
    name = f"job-{rows}-{load_checkpoint(model).hash[:8]}"
    source, output, notes = (work / f"{name}{suffix}" for suffix in (".csv", "-out.csv", "-notes.jsonl"))
    work.mkdir(parents=True, exist_ok=True)
    if not partial_folder(output).is_dir():
        write(source, rows)
        notes.unlink(missing_ok=True)
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{JOB}"
    peak = measure(code, str(source), str(output), str(notes), str(model or ""), str(block_rows))["peak_mb"]
    seen = [json.loads(line) for line in notes.read_text("utf-8").splitlines()]
    disk = {"input": source.stat().st_size, "output": output.stat().st_size, "meanwhile": seen[-1]["disk"]}
    scored = [note for note in seen if note["rows"] and "disk" not in note]
    found = {
        "rows": rows,
        "block_rows": block_rows,
        **sittings(seen, peak),
        "disk_mb": {name: round(size / 1e6, 2) for name, size in disk.items()},
        **tenths([(note["sitting"], note["at"], note["rows"], note["mb"]) for note in scored]),
    }
    for path in (source, output, notes):
        path.unlink()
    return found


def sittings(seen: list[dict[str, Any]], peak: float) -> dict[str, Any]:
    """How many processes took part, their seconds together, and the most memory that one of them had, in MB.

    The peak is that of the last process; of one that was interrupted only what it had after its blocks is known.
    """
    by_sitting: dict[float, list[float]] = {}
    for note in seen:
        by_sitting.setdefault(note["sitting"], []).append(note["at"])
    return {
        "sittings": len(by_sitting),
        "seconds": round(sum(max(times) - began for began, times in by_sitting.items()), 1),
        "peak_mb": max(peak, *(round(note["mb"], 1) for note in seen)),
    }


def tenths(seen: list[tuple[float, float, int, float]]) -> dict[str, Any]:
    """Rates and resident memory of the first and the last tenth of (sitting, seconds, rows done, resident MB), block by
    block; what passes between two sittings counts neither as rows nor as time.

    Raises:
        ValueError: fewer than twenty blocks: a tenth would be one block, or none.
    """
    if len(seen) < 21:
        raise ValueError(f"expected at least 21 blocks to compare tenths, found {len(seen)}; take more --rows")
    size, end = (len(seen) - 1) // 10, len(seen) - 1
    steps = [
        (later[2] - sooner[2], later[1] - sooner[1]) if sooner[0] == later[0] else (0, 0.0)
        for sooner, later in pairwise(seen)
    ]

    def rate(first: int, last: int) -> float:
        return sum(rows for rows, _ in steps[first:last]) / sum(seconds for _, seconds in steps[first:last])

    first, last = rate(0, size), rate(end - size, end)
    return {
        "rows_per_second": round(rate(0, end), 1),
        "first_tenth_rows_per_second": round(first, 1),
        "last_tenth_rows_per_second": round(last, 1),
        "last_over_first": round(last / first, 4),
        "resident_mb": [round(seen[i][3], 1) for i in range(size, len(seen), size)],
    }
