"""Peak memory of reading and scoring, by number of rows: flat but for XLSX, which costs its shared strings.

`python benchmarks/memory.py` writes benchmarks/results/memory.json. Every measurement is a process of its own. Reading
is measured with all rows; scoring with `--scored` rows, since a checkpoint's speed and not its memory limits those.
`--mixed 100000` measures how the resident memory of one process grows, after a warm-up of a tenth, over that many texts
of a few to some thousand characters; `--rows 0 --scored --mixed 100000` only that. Linux only.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import xlsxwriter

ROOT = Path(__file__).parent.parent
TEXTS = ROOT / "data" / "cinema" / "train.jsonl"
READ = """
import sys
from sentiment.tables import ReadOptions, open_tables
print(sum(1 for _ in open_tables([sys.argv[1]], ReadOptions())))
"""
SCORE = """
import sys
from sentiment.cli import main
main(["score", sys.argv[1], "-o", sys.argv[2], "--overwrite"])
"""
MIXED = """
import json, random, sys
from sentiment import Analyzer
from benchmarks.memory import rows

def resident():
    with open("/proc/self/status") as status:
        return int(next(line.split()[1] for line in status if line.startswith("VmRSS")))

count, rng = int(sys.argv[1]), random.Random(3)
def texts(count):
    found = (text for _, _, text in rows(40 * count))
    for _ in range(count):
        yield "\\n".join(next(found) for _ in range(rng.choices((1, 2, 5, 40), (80, 15, 4, 1))[0]))
analyzer, seen = Analyzer.load(), []
for turn in range(10):
    for _ in analyzer.analyze_many(texts(count // 10)):
        pass
    seen.append(round(resident() / 1024, 1))
print(json.dumps(seen))
"""
# Not ru_maxrss: a process begins with that of the process that started it.
PEAK = """
import sys
with open("/proc/self/status") as status:
    print(next(line.split()[1] for line in status if line.startswith("VmHWM")), file=sys.stderr)
"""


def rows(count: int) -> Iterator[tuple[str, str, str]]:
    """Number, cinema and a text made unlike the others by its number: no deduplication, no shared strings saved."""
    rng = random.Random(5)
    texts = [json.loads(line)["text"] for line in TEXTS.read_text("utf-8").splitlines()]
    for number in range(count):
        yield str(number), f"星河影城{number % 37}号店", f"{rng.choice(texts)} {number}"


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


def growth(count: int) -> dict[str, object]:
    """Resident MB of one process after every tenth of `count` texts of mixed length, and the growth since the first."""
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", MIXED, str(count)], capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        raise RuntimeError(f"expected exit code 0, found {done.returncode}: {done.stderr.strip()[-500:]}")
    seen = [float(value) for value in json.loads(done.stdout)]
    percent = round(100 * (seen[-1] / seen[0] - 1), 2)
    return {"seconds": round(time.monotonic() - started, 1), "resident_mb": seen, "growth_percent": percent}


def main() -> None:
    """Runs all measurements and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=600_000)
    parser.add_argument("--scored", type=int, nargs="*", default=(5_000, 15_000), help="rows to score; none: only read")
    parser.add_argument("--mixed", type=int, default=0, metavar="N", help="texts of mixed length in one process")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "memory.json")
    options = parser.parse_args()
    results: dict[str, object] = {"rows": options.rows}
    if options.rows == 0 and options.output.is_file():  # what was read before stays
        results = json.loads(options.output.read_text("utf-8"))
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
            results[f"score csv {count}"] = measure(SCORE, str(path), str(Path(scratch) / "out.csv"))
    if options.mixed:
        results[f"mixed texts {options.mixed}"] = growth(options.mixed)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(results, indent=2) + "\n", "utf-8")
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
