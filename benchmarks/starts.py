"""What needs processes of its own: the cold start to a first record, and `cinesent score` over a large CSV."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.memory import measure, write
from sentiment.blocks import BLOCK_ROWS

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
# The command itself; only what it would show on a terminal is written down, with the time and the resident memory.
JOB = """
import contextlib, json, os, time
import sentiment.blocks
sentiment.blocks.BLOCK_ROWS = int(sys.argv.pop())
import sentiment.cli.score as verb
from benchmarks.process import resident_mb
from sentiment.cli import main
seen = []

@contextlib.contextmanager
def written_down(table):
    yield lambda tick: tick.phase == "score" and seen.append((time.monotonic(), tick.rows, resident_mb(os.getpid())))
    with open(sys.argv[3], "w") as handle:
        json.dump(seen, handle)

verb.show_progress = written_down
source, output, _, model = sys.argv[1:]
main(["score", source, "-o", output, "--overwrite", *(["--model", model] if model else [])])
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


def large_job(rows: int, model: Path | None) -> dict[str, Any]:
    """`cinesent score` over a CSV of so many rows: rates of the first and the last tenth, peak memory.

    The clock of the first tenth begins with the first finished block, so that loading the model is not in it. Fewer
    rows than 20 blocks are cut into smaller blocks. Linux only.
    """
    block_rows = min(BLOCK_ROWS, rows // 21)
    with tempfile.TemporaryDirectory() as scratch:
        source, ticks = Path(scratch) / "in.csv", Path(scratch) / "ticks.json"
        write(source, rows)
        code = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{JOB}"
        paths = (str(source), str(Path(scratch) / "out.csv"), str(ticks), str(model or ""))
        found = measure(code, *paths, str(block_rows))
        seen = json.loads(ticks.read_text("utf-8"))
    return {"rows": rows, "block_rows": block_rows, **found, **tenths(seen)}


def tenths(seen: list[tuple[float, int, float]]) -> dict[str, Any]:
    """Rates and resident memory of the first and the last tenth of (seconds, rows done, resident MB), block by block.

    Raises:
        ValueError: fewer than twenty blocks: a tenth would be one block, or none.
    """
    if len(seen) < 21:
        raise ValueError(f"expected at least 21 blocks to compare tenths, found {len(seen)}; take more --rows")
    size = (len(seen) - 1) // 10

    def rate(first: int, last: int) -> float:
        return (seen[last][1] - seen[first][1]) / (seen[last][0] - seen[first][0])

    end = len(seen) - 1
    first, last = rate(0, size), rate(end - size, end)
    return {
        "rows_per_second": round(rate(0, end), 1),
        "first_tenth_rows_per_second": round(first, 1),
        "last_tenth_rows_per_second": round(last, 1),
        "last_over_first": round(last / first, 4),
        "resident_mb": [round(seen[i][2], 1) for i in range(size, len(seen), size)],
    }
