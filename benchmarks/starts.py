"""What needs processes of its own: the cold start to a first record, and `cinesent score` over a large CSV."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from benchmarks.journal import code_hash
from benchmarks.machine import QUIET, fresh_environment
from benchmarks.memory import measure
from benchmarks.texts import lengths_by, row_facts, unique_rows, write_rows
from sentiment.blocks import BLOCK_ROWS
from sentiment.checkpoint import load_checkpoint
from sentiment.parts import partial_folder
from sentiment.runtimes import choose_runtime

ROOT = Path(__file__).parent.parent
MODULES = ("starts", "texts", "process", "machine")
PACE_TEXTS = 192  # some 4% of a block
TEXT = "座椅太硬，坐得腰疼，音响倒是很震撼。"
OURS = """
import sys
from sentiment import Analyzer
print(Analyzer.load(sys.argv[2] or None, runtime=sys.argv[3]).analyze(sys.argv[1]).overall, flush=True)
"""
PLAIN = """
import sys
from transformers import pipeline
print(pipeline("text-classification", model=sys.argv[2], device="cpu")(sys.argv[1])[0]["label"], flush=True)
"""
# A process that scores the same few texts whenever it is asked to, and tells the seconds: how fast the machine is now.
PACE = """
import csv, itertools, sys, time
from sentiment import Analyzer
source, model, runtime, threads, texts = sys.argv[1:]
with open(source, encoding="utf-8-sig", newline="") as handle:
    texts = [row["评论"] for row in itertools.islice(csv.DictReader(handle), int(texts))]
analyzer = Analyzer.load(model or None, runtime=runtime, threads=int(threads))
analyzer.analyze_block(texts)
for _ in sys.stdin:
    started = time.perf_counter()
    analyzer.analyze_block(texts)
    print(time.perf_counter() - started, time.process_time(), flush=True)
"""
# The command itself; only what it would show on a terminal is written down: sitting, seconds without those in which it
# waited for the pace, rows, resident MB and its peak so far, how busy others were so far, the seconds of the pace after
# a block, then what is in OUT.partial beside the growing output before it goes, and at the end a note of no rows.
JOB = """
import atexit, contextlib, json, os, subprocess, sys, time
began = time.monotonic()
from benchmarks.machine import Others
others = Others()
import sentiment.blocks
sentiment.blocks.BLOCK_ROWS = int(sys.argv.pop())
import sentiment.cli.score as verb
from pathlib import Path
from benchmarks.process import resident_mb
from sentiment.cli import main
from sentiment.parts import partial_folder
source, output, ticks, model, runtime, threads, pace, texts = sys.argv[1:]
notes = open(ticks, "a")
beat = [sys.executable, "-c", pace, source, model, runtime, threads, texts]
beat = subprocess.Popen(beat, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
waited = spent = 0.0

def note(rows, **more):
    memory = {"mb": resident_mb(os.getpid()), "peak": resident_mb(os.getpid(), peak=True)}
    now, load = time.monotonic(), others.load()
    if load is not None:
        load = round(max(load - spent / (now - began), 0.0), 2)
    found = {"sitting": began, "at": now - waited, "rows": rows, "other_load": load, **memory, **more}
    print(json.dumps(found), file=notes, flush=True)

def keep_pace():
    global waited, spent
    started = time.monotonic()
    print(file=beat.stdin, flush=True)
    taken, spent = map(float, beat.stdout.readline().split())
    waited += time.monotonic() - started
    return taken

def beside():
    found = [path for path in partial_folder(Path(output)).rglob("*") if path.is_file()]
    return sum(path.stat().st_size for path in found if not path.name.startswith(".out-"))

def watch(tick):
    if tick.phase == "score" and tick.scored:
        note(tick.rows, pace=keep_pace())
    elif tick.phase == "write" and tick.position == tick.size:
        note(tick.rows, disk=beside())

@contextlib.contextmanager
def written_down(table):
    keep_pace()
    note(0)
    yield watch

verb.show_progress = written_down
atexit.register(note, 0)
again = "--resume" if partial_folder(Path(output)).is_dir() else "--overwrite"
asked = ["--runtime", runtime, "--threads", threads, *(["--model", model] if model else [])]
main(["score", source, "-o", output, again, *asked])
"""


def cold_start(code: str, *arguments: str) -> float:
    """Seconds from the start of a Python process that runs `code` until its first line.

    Raises:
        RuntimeError: it ended without one.
    """
    environment = fresh_environment() | {
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


def starts(model: Path | None, plain: Path, runtime: str) -> dict[str, Callable[[], float]]:
    """Ours on this runtime, and the plain pipeline's, both with loading their model from disk."""
    own = partial(cold_start, OURS, TEXT, str(model or ""), runtime)
    return {"ours": own, "pipeline": partial(cold_start, PLAIN, TEXT, str(plain))}


def large_job(
    rows: int, model: Path | None, work: Path, runtime: str = "onnxruntime", threads: int | None = None,
    circumstances: Mapping[str, Any] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """`cinesent score` over a CSV of so many rows of some 25 tokens, none twice: rates and memory of the first and the
    last tenth, peak memory, time, disk.

    The clock of the first tenth begins with the first finished block, so that loading the model is not in it. Fewer
    rows than 20 blocks are cut into smaller blocks. What is in `work` of a job that was interrupted is gone on with,
    if the code is the same, and one that went on to its end by itself is not run again; its files are removed at the
    end. `circumstances` (`benchmarks.machine.conditions`) are kept of every sitting, and how busy others were beside it
    up to its last note. Linux only.
    """
    checkpoint, block_rows = load_checkpoint(model), min(BLOCK_ROWS, rows // 21)
    choice, threads = choose_runtime(runtime, checkpoint.folder), threads or os.cpu_count() or 1
    of = "-".join(filter(None, (str(rows), choice.name, choice.version, choice.scales, str(threads))))
    name = f"job-{of}-{checkpoint.hash[:8]}-{code_hash(MODULES)[:8]}"
    source, output, notes = (work / f"{name}{suffix}" for suffix in (".csv", "-out.csv", "-notes.jsonl"))
    work.mkdir(parents=True, exist_ok=True)
    tokens = lengths_by(Tokenizer.from_file(str(checkpoint.folder / "tokenizer.json")))
    peak = 0.0
    if not finished(source, output, notes, rows):
        if not partial_folder(output).is_dir():
            for path in (output, notes):  # an output that is there is this job's, and whole
                path.unlink(missing_ok=True)
            write_rows(source, unique_rows(rows, tokens))
        _add(notes, circumstances)
        code, pace = (f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{script}" for script in (JOB, PACE))
        arguments = [*map(str, (source, output, notes)), str(model or ""), runtime, str(threads)]
        peak = measure(code, *arguments, pace, str(min(PACE_TEXTS, rows)), str(block_rows))["peak_mb"]
    seen, began_in = read_notes(notes)
    meanwhile = next(note["disk"] for note in reversed(seen) if "disk" in note)
    disk = {"input": source.stat().st_size, "output": output.stat().st_size, "meanwhile": meanwhile}
    found = {
        "rows": rows,
        "texts": row_facts(rows, tokens),
        "runtime": str(choice),
        "threads": threads,
        "circumstances": began_in,
        "block_rows": block_rows,
        **sittings(seen, peak),
        "disk_mb": {name: round(size / 1e6, 2) for name, size in disk.items()},
        **tenths(longest(seen)),
    }
    for path in (source, output, notes):
        path.unlink()
    return found


def _add(notes: Path, circumstances: Mapping[str, Any] | None) -> None:
    torn = notes.is_file() and not notes.read_bytes().endswith(b"\n")
    with notes.open("a", encoding="utf-8") as handle:
        handle.write("\n" * torn + json.dumps({"circumstances": circumstances}) + "\n")


def read_notes(notes: Path) -> tuple[list[dict[str, Any]], list[Any]]:
    """What the command wrote down, but for lines that are torn; and for each sitting the circumstances that it began
    in, and how busy others were beside it: null where it left no note of that."""
    seen: list[dict[str, Any]] = []
    told: list[Any] = []
    for line in notes.read_text("utf-8", errors="replace").splitlines():
        with contextlib.suppress(ValueError):
            entry = json.loads(line)
            if "circumstances" in entry:
                told += [one for one in (entry["circumstances"], _beside(None)) if one is not None]
            else:
                seen.append(entry)
                told[-1:] = [_beside(entry["other_load"])]  # so far
    return seen, told


def _beside(load: float | None) -> dict[str, Any]:
    return {"during": "the job", "other_load": load, "busy": None if load is None else load > QUIET}


def finished(source: Path, output: Path, notes: Path, rows: int) -> bool:
    """Whether the command went on to its end after the benchmark that had started it was gone.

    Notes that would not do are not taken: the job then begins anew.
    """
    if partial_folder(output).exists() or not all(path.is_file() for path in (source, output, notes)):
        return False
    try:
        seen, _ = read_notes(notes)
        tenths(longest(seen))
    except ValueError:  # no sitting, or too few blocks in any
        return False
    return seen[-1]["rows"] == 0 and any("disk" in note and note["rows"] == rows for note in seen)


def longest(seen: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The finished blocks of the sitting that scored most rows: only within a process do rates and memory compare."""
    by_sitting: dict[float, list[dict[str, Any]]] = {}
    for note in seen:
        if note["rows"] and "disk" not in note:
            by_sitting.setdefault(note["sitting"], []).append(note)
    return max(by_sitting.values(), key=lambda notes: notes[-1]["rows"] - notes[0]["rows"])


def sittings(seen: list[dict[str, Any]], peak: float) -> dict[str, Any]:
    """How many processes took part, their seconds together, and the most memory that one of them had, in MB.

    The peak is that of the last process, or of one that was interrupted, or whose end nobody saw, by its last note.
    """
    by_sitting: dict[float, list[float]] = {}
    for note in seen:
        by_sitting.setdefault(note["sitting"], []).append(note["at"])
    return {
        "sittings": len(by_sitting),
        "seconds": round(sum(max(times) - began for began, times in by_sitting.items()), 1),
        "peak_mb": max(peak, *(round(note["peak"], 1) for note in seen)),
    }


def tenths(seen: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Rates and resident memory of the first and the last tenth of one sitting's notes, block by block. `judged_rows`:
    how many rows are in that sitting, and no others' (`longest`).

    `pace_last_over_first` is how fast the process that scores the same texts over and over was meanwhile: what else the
    machine, or its host, had to do slows both. `last_over_first_at_one_pace` is the quotient of the two.

    Raises:
        ValueError: fewer than twenty blocks: a tenth would be one block, or none.
    """
    if len(seen) < 21:
        raise ValueError(f"expected at least 21 blocks to compare tenths, found {len(seen)}; take more --rows")
    size, end = (len(seen) - 1) // 10, len(seen) - 1

    def rate(first: int, last: int) -> float:
        return (seen[last]["rows"] - seen[first]["rows"]) / (seen[last]["at"] - seen[first]["at"])

    def pace(first: int, last: int) -> float:
        return (last - first) / sum(note["pace"] for note in seen[first + 1 : last + 1])

    first, last = rate(0, size), rate(end - size, end)
    steady = pace(end - size, end) / pace(0, size)
    return {
        "judged_rows": seen[end]["rows"] - seen[0]["rows"],
        "rows_per_second": round(rate(0, end), 1),
        "first_tenth_rows_per_second": round(first, 1),
        "last_tenth_rows_per_second": round(last, 1),
        "last_over_first": round(last / first, 4),
        "pace_last_over_first": round(steady, 4),
        "last_over_first_at_one_pace": round(last / first / steady, 4),
        "resident_mb": [round(seen[i]["mb"], 1) for i in range(size, len(seen), size)],
    }
