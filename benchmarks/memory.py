"""Peak memory of reading and scoring, by number of rows: flat but for XLSX, which costs its shared strings.

`python -m benchmarks.memory` writes benchmarks/results/memory.json. Every measurement is a process of its own. Reading
is measured with all rows; scoring with `--scored` rows, since a checkpoint's speed and not its memory limits those, on
the runtime that --runtime names. How much a process has once it has loaded the checkpoint is measured on that runtime
and in float32. `--mixed 100000` measures how the resident memory of one process grows, after a
warm-up of a tenth, over that many texts of a few to some thousand characters, on that runtime.
With `--rows 0` nothing is read, and what was read before stays; what was scored before stays where it is of this
checkpoint, on this runtime. Linux only.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import xlsxwriter

from benchmarks.machine import machine
from benchmarks.own_rows import rows
from benchmarks.runtimes import PORTABLE, add_runtime, runtime_of
from benchmarks.speed_targets import target
from sentiment.checkpoint import CheckpointError, load_checkpoint
from sentiment.runtimes import Choice, RuntimeChoiceError
from training.results import write_results

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "memory.json"
ROWS, SCORED, MIXED_TEXTS = 600_000, (5_000, 15_000), 100_000
GROWTH = 3  # percent of the resident memory that a process may grow by
READ = """
import sys
from sentiment.tables import ReadOptions, open_tables
print(sum(1 for _ in open_tables([sys.argv[1]], ReadOptions())))
"""
SCORE = """
import sys
from sentiment.cli import main
source, output, runtime, *model = sys.argv[1:]
main(["score", source, "-o", output, "--overwrite", "--runtime", runtime, *(("--model", *model) if model else ())])
"""
MIXED = """
import json, random, sys
from sentiment import Analyzer
from benchmarks.own_rows import rows

def resident():
    with open("/proc/self/status") as status:
        return int(next(line.split()[1] for line in status if line.startswith("VmRSS")))

count, rng = int(sys.argv[1]), random.Random(3)
runtime, model = sys.argv[2], sys.argv[3] or None
def texts(count):
    found = (text for _, _, text in rows(40 * count))
    for _ in range(count):
        yield "\\n".join(next(found) for _ in range(rng.choices((1, 2, 5, 40), (80, 15, 4, 1))[0]))
analyzer, seen = Analyzer.load(model, runtime=runtime), []
for turn in range(10):
    for _ in analyzer.analyze_many(texts(count // 10)):
        pass
    seen.append(round(resident() / 1024, 1))
print(json.dumps(seen))
"""
LOADED = """
import sys
from sentiment import Analyzer
analyzer = Analyzer.load(sys.argv[2] or None, runtime=sys.argv[1])
with open("/proc/self/status") as status:
    print(next(line.split()[1] for line in status if line.startswith("VmRSS")))
"""
# Not ru_maxrss: a process begins with that of the process that started it.
PEAK = """
import sys
with open("/proc/self/status") as status:
    print(next(line.split()[1] for line in status if line.startswith("VmHWM")), file=sys.stderr)
"""


def write(path: Path, count: int) -> None:
    """A table of `count` rows, by suffix."""
    header = ("编号", "影院", "评论")
    if path.suffix == ".csv":
        with path.open("w", encoding="gb18030", newline="", errors="replace") as handle:
            csv.writer(handle).writerows(_with_header(header, count))
        return
    if path.suffix == ".jsonl":
        with path.open("w", encoding="utf-8") as handle:
            handle.writelines(
                json.dumps(dict(zip(header, cells, strict=True)), ensure_ascii=False) + "\n" for cells in rows(count)
            )
        return
    if path.suffix == ".parquet":
        schema = pa.schema([(name, pa.string()) for name in header])
        with pq.ParquetWriter(path, schema) as parquet:
            found = rows(count)
            while block := list(islice(found, 10_000)):
                columns = [list(column) for column in zip(*block, strict=True)]
                parquet.write_table(pa.table(columns, schema=schema))
        return
    book = xlsxwriter.Workbook(
        str(path), {"constant_memory": False, "strings_to_formulas": False, "strings_to_urls": False}
    )
    sheet = book.add_worksheet()
    for line, cells in enumerate(_with_header(header, count)):
        sheet.write_row(line, 0, cells)
    book.close()


def _with_header(header: tuple[str, str, str], count: int) -> Iterator[tuple[str, str, str]]:
    yield header
    yield from rows(count)


def measure(code: str, *arguments: str) -> dict[str, float]:
    """Seconds and peak resident MB of a Python process that runs `code`."""
    started = time.monotonic()
    command = [sys.executable, "-c", f"import atexit; atexit.register(lambda: exec({PEAK!r}))\n{code}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"expected exit code 0, found {done.returncode}: {done.stderr.strip()[-500:]}")
    peak = int(done.stderr.strip().splitlines()[-1])
    return {"seconds": round(time.monotonic() - started, 1), "peak_mb": round(peak / 1024, 1)}


def loaded(runtime: Choice, model: Path | None) -> dict[str, Any]:
    """Resident MB of a process that has loaded a checkpoint and read no text; a median of five."""
    command = [sys.executable, "-c", LOADED, runtime.name, str(model or "")]
    seen = [int(subprocess.run(command, capture_output=True, check=True, cwd=ROOT).stdout) for _ in range(5)]
    return {"runtime": str(runtime), "resident_mb": round(statistics.median(seen) / 1024, 1)}


def growth(count: int, runtime: Choice, model: Path | None) -> dict[str, Any]:
    """Resident MB of one process after every tenth of `count` texts of mixed length, and the growth since the first."""
    started = time.monotonic()
    command = [sys.executable, "-c", MIXED, str(count), runtime.name, str(model or "")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        raise RuntimeError(f"expected exit code 0, found {done.returncode}: {done.stderr.strip()[-500:]}")
    seen = [float(value) for value in json.loads(done.stdout)]
    percent = round(100 * (seen[-1] / seen[0] - 1), 2)
    found = {"texts": count, "runtime": str(runtime), "seconds": round(time.monotonic() - started, 1)}
    return {**found, "resident_mb": seen, "growth_percent": percent}


def growth_complaints(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row for each runtime, as `benchmarks.batching` has them: memory that grows."""
    return [
        target(
            "growth", f"memory grows: percent over {entry['texts']:,} texts of mixed length, after a tenth to warm up",
            f"内存不断增长：预热十分之一后，{entry['texts']:,} 条长短不一的文本期间的增幅（%）", False, GROWTH,
            entry["growth_percent"],
        ) | {"runtime": entry["runtime"]}
        for entry in found
    ]  # fmt: skip


def kept(path: Path, reading: bool, same: Mapping[str, Any]) -> dict[str, Any]:
    """What stays of the results of before.

    Args:
        reading: is measured again. same: the checkpoint and the runtime that what was scored has to be of.
    """
    before = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    found = {} if reading else {name: value for name, value in before.items() if name.startswith("read ")}
    if found:
        found["rows"] = before["rows"]
    if all(before.get(name) == value for name, value in same.items()):
        found |= {name: value for name, value in before.items() if name.startswith("score ")}
        found |= {name: before[name] for name in ("growth", "complaints") if name in before}
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs all measurements and writes the results."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.memory", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=ROWS, metavar="N", help=f"rows to read (default: {ROWS}; 0: none)")
    parser.add_argument("--scored", type=int, nargs="*", default=SCORED, metavar="N", help="rows to score; none: none")
    parser.add_argument("--mixed", type=int, default=0, metavar="N", help="texts of mixed length in one process")
    add_runtime(parser)
    parser.add_argument("--model", type=Path, metavar="DIR", help="checkpoint folder (default: the packaged one)")
    parser.add_argument("--json", type=Path, default=RESULTS, metavar="OUT", help="where the results go")
    options = parser.parse_args(arguments)
    trial = (
        0 < options.rows < ROWS
        or any(count < min(SCORED) for count in options.scored)
        or 0 < options.mixed < MIXED_TEXTS
    )
    if trial and options.json == RESULTS:
        parser.error("expected --json FILE beside smaller numbers, found none; a trial is no result")
    try:
        checkpoint = load_checkpoint(options.model)
        runtime = runtime_of(options.runtime, options.model)
    except (CheckpointError, RuntimeChoiceError) as error:
        parser.error(str(error))
    same = {"model": checkpoint.name, "hash": checkpoint.hash, "runtime": str(runtime)}
    results: dict[str, Any] = {"kind": "memory", **same, "trial": trial, "machine": machine(), "rows": options.rows}
    results |= kept(options.json, options.rows > 0, same)
    choices = {choice.name: choice for choice in (runtime, runtime_of(PORTABLE, options.model))}
    results["loaded"] = [loaded(choice, options.model) for choice in choices.values()]
    with tempfile.TemporaryDirectory() as scratch:
        for suffix in (".csv", ".jsonl", ".parquet", ".xlsx"):
            for count in (options.rows // 10, options.rows) if options.rows else ():
                path = Path(scratch) / f"{count}{suffix}"
                write(path, count)
                results[f"read {suffix[1:]} {count}"] = measure(READ, str(path))
                path.unlink()
        for count in options.scored:
            path = Path(scratch) / f"{count}.csv"
            write(path, count)
            output, model = str(Path(scratch) / "out.csv"), [str(options.model)] if options.model else []
            results[f"score csv {count}"] = measure(SCORE, str(path), output, runtime.name, *model)
    if options.mixed:
        results["growth"] = [growth(options.mixed, runtime, options.model)]
        results["complaints"] = growth_complaints(results["growth"])
    write_results(options.json, results)
    print(json.dumps(results, indent=2, ensure_ascii=False))
    return 0 if all(entry["met"] for entry in results.get("complaints", ())) else 1


if __name__ == "__main__":
    sys.exit(main())
