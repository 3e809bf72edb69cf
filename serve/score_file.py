"""Scores one uploaded file in a process of its own: `python -m serve.score_file`, started by `serve.jobs`.

What a hostile file can do ends with the process: it has a bound on memory and file sizes, and a lower priority than the
service. It reads one line of JSON from standard input, a `Task`, and ends when standard input does, so that it never
outlives the service. To standard output go JSON lines: `{"progress", "rows", "total"}` now and then, and last either
`{"done": {"rows", "rejected"}}` or `{"failed": REASON}`, for the person who sent the file. `{"scored": {…}}` comes
before the report is made: from then on the result is there, whatever becomes of this process.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import sys
import tempfile
import threading
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serve.queue import where

RESULT, REPORT = "result", "report.html"
# The texts on which somebody should act, for the webhook: a line of JSON each, `{"text", "record"}`.
ESCALATIONS = "escalations.jsonl"
# Progress is told after each block, and an interrupted job goes on behind the last one.
_BLOCK_ROWS = 512
# Of the progress, what is left for writing the result.
_WRITING = 0.05


@dataclass(frozen=True)
class Task:
    """`input` lies in `folder`, and so will the result; `options` are those of `serve.job_shapes.FileOptions`.

    `memory` is in bytes, `file_size` bounds every file that is written. `escalations`: whether they are wanted.
    `runtime`: what the service was told to score with.
    """

    folder: str
    input: str
    options: dict[str, Any]
    model: str | None
    taxonomy: str | None
    threads: int | None
    max_rows: int
    memory: int
    file_size: int
    escalations: bool = False
    runtime: str = "auto"


def main() -> None:
    task = Task(**json.loads(sys.stdin.buffer.readline()))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        tell({"done": run(task)})
    except MemoryError:
        _fail("expected a file that can be scored in the memory that the operator allows, found one that needs more")
    except Exception as error:
        _fail(_reason(error))
    sys.stdout.flush()
    os._exit(0)  # the thread that waits for the parent holds standard input


def run(task: Task) -> dict[str, int]:
    """The numbers of rows, and of those that the file breaks.

    Raises:
        TableError, StoppedError: the file cannot be scored.
    """
    from sentiment.analyzer import Analyzer
    from sentiment.batch import ScoreOptions, Tick, score
    from sentiment.parts import PartStore, partial_folder
    from sentiment.runtimes import choose_runtime
    from sentiment.tables import ReadOptions, TableError, open_tables

    os.chdir(task.folder)  # so that no message names a folder of this machine
    tempfile.tempdir = "."
    _restrict(task)
    wanted = task.options
    reading = ReadOptions(wanted.get("text_col"), wanted.get("id_col"), wanted.get("sheet"))
    table = open_tables([task.input], reading)
    _check_rows(table.size or 0, task)
    runtime = choose_runtime(task.runtime, task.model)
    analyzer = Analyzer.load(task.model, taxonomy=task.taxonomy, threads=task.threads, runtime=runtime.name)

    def progress(tick: Tick) -> None:
        _check_rows(tick.rows, task)
        if task.escalations and tick.phase == "write":  # the part that was just written
            number = tick.position - 1
            _keep_escalations(PartStore(partial_folder(output)).read(number)[0], table.text_column, first=not number)
        share = tick.position / max(tick.size, 1)
        done = (1 - _WRITING) * share if tick.phase == "score" else 1 - _WRITING + _WRITING * share
        tell({"progress": min(done, 1.0), "rows": tick.rows, "total": table.size})

    output = Path(f"{RESULT}.{wanted['format']}")
    output.unlink(missing_ok=True)  # of a run that ended before it could say so
    options = ScoreOptions(
        layout=wanted["layout"],
        lang=wanted["lang"],
        resume=True,
        overwrite=wanted["overwrite"],
        settings={"sheet": wanted.get("sheet"), "runtime": runtime.numbers},
        block_rows=_BLOCK_ROWS,
    )
    try:
        summary = score(table, analyzer, output, options, progress)
    except TableError as error:
        if "start again with --overwrite" not in str(error):
            raise
        # The checkpoint is another one than before the interruption, or that came before the manifest was there.
        shutil.rmtree(partial_folder(output))
        summary = score(table, analyzer, output, options, progress)
    numbers = {"rows": summary.rows, "rejected": summary.rejected}
    tell({"scored": numbers})
    _report(output, task, table.text_column, table.id_column)
    return numbers


def _check_rows(rows: int, task: Task) -> None:
    from sentiment.tables import TableError

    if rows > task.max_rows:
        raise TableError(f"expected at most {task.max_rows:,} rows, found more; split the file")


def _keep_escalations(block: Any, text_column: str, *, first: bool) -> None:
    """Adds those of a block to the file, which the first one begins anew."""
    from sentiment.blocks import row_text
    from sentiment.tables.base import Row
    from sentiment.tables.jsonl_writer import dump_line
    from sentiment.tables.parquet_writer import block_rows

    with Path(ESCALATIONS).open("wb" if first else "ab") as handle:
        for record, cells in block_rows(block):
            if record["escalation"] and record["escalation"]["label"]:
                handle.write(dump_line({"text": row_text(Row("", 0, cells), text_column), "record": record}))


def _report(scored: Path, task: Task, text_column: str, id_column: str | None) -> None:
    """The report beside the result, in its language, of the column that was scored, with the service's own dimensions;
    where this installation has that verb. The result is good without it."""
    if importlib.util.find_spec("sentiment.cli.report") is None:
        return
    from sentiment.cli import main as cinesent

    arguments = ["report", str(scored), "-o", REPORT, "--overwrite", "--lang", task.options["lang"]]
    given = {"--text-col": text_column, "--id-col": id_column, "--model": task.model, "--taxonomy": task.taxonomy}
    for option, value in given.items():
        arguments += [option, value] if value else []
    try:
        with redirect_stdout(sys.stderr):
            cinesent(arguments, standalone_mode=False)
    except Exception:
        Path(REPORT).unlink(missing_ok=True)  # half of it, where there was no more room


def tell(message: dict[str, Any]) -> None:
    with suppress(BrokenPipeError):
        print(json.dumps(message), flush=True)


def _fail(reason: str) -> None:
    tell({"failed": reason})


def _reason(error: Exception) -> str:
    """One line in the words of the API: a flag of the command line is a field of the form."""
    from sentiment.parts import StoppedError
    from sentiment.tables import TableError

    if isinstance(error.__cause__, MemoryError):
        return "expected a file that can be scored in the memory that the operator allows, found one that needs more"
    if isinstance(error, StoppedError):
        reason = str(error).partition(";")[0]
    elif isinstance(error, TableError):
        reason = " ".join(str(error).split())
    else:  # its message is for the operator, or for nobody
        reason = f"internal error, {where(error)}"
    reason = re.sub("[\\0\ud800-\udfff]", "\ufffd", reason)  # of a column's name, say; no database keeps them
    return re.sub(r"--([a-z]+(?:-[a-z]+)*)", lambda match: match[1].replace("-", "_"), reason)


def _restrict(task: Task) -> None:
    if hasattr(os, "nice"):
        os.nice(5)
    try:
        import resource
    except ImportError:
        return
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a file that grows too large is then an error of writing
    for kind, bound in ((resource.RLIMIT_DATA, task.memory), (resource.RLIMIT_FSIZE, task.file_size)):
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (bound if hard == resource.RLIM_INFINITY else min(bound, hard), hard))


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    main()
