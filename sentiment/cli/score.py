"""`cinesent score`: its options, its messages and its exit codes; the work is in `sentiment.batch`."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from sentiment.cli import Failure, one_line, say
from sentiment.cli.score_messages import show_progress, tell_dry_run, tell_summary
from sentiment.cli.score_options import options as score_options

if TYPE_CHECKING:
    from sentiment.analyzer import Analyzer
    from sentiment.batch import ScoreOptions, Tick
    from sentiment.blocks import Labels, Shard
    from sentiment.distributed import RayRunner
    from sentiment.parts import Summary
    from sentiment.tables import Reject, Table
    from sentiment.taxonomy import Taxonomy

_SHOWN_REJECTS = 20


class Terminated(BaseException):
    """SIGTERM arrived."""


@click.command("score", short_help="Score a dump of reviews: CSV, TSV, XLSX, JSONL or Parquet.")
@score_options
def command(
    inputs: tuple[str, ...],
    output: str | None,
    text_col: str | None,
    id_col: str | None,
    sheet: str | None,
    no_header: bool,
    encoding: str | None,
    input_format: str | None,
    layout: Any,
    lang: Any,
    dimensions: tuple[str, ...] | None,
    threshold: float | dict[str, float] | None,
    probabilities: bool,
    model: Path | None,
    taxonomy: Path | None,
    batch_size: int | None,
    threads: int | None,
    max_memory: int | None,
    runtime: str,
    engine: str,
    workers: int | None,
    ray_address: str | None,
    shard: Shard | None,
    resume: bool,
    overwrite: bool,
    limit: int | None,
    dry_run: bool,
) -> int:
    """Scores every row of a dump of reviews and writes it back with what it says: overall sentiment, intent,
    escalation, and for each service dimension that it mentions the sentiment and the words that say so.

    IN: files, folders, addresses such as s3://bucket/folder, or `-` for standard input; CSV, TSV, XLSX, JSONL or
    Parquet, also as .gz, .xz or .zip of one file. Of several files the columns are matched by name, and cs_source
    names the file.

    \b
    Examples:
      cinesent score reviews.csv -o scored.csv
      cinesent score reviews.xlsx --text-col 评论内容 --lang zh -o scored.xlsx
      cinesent score dump/ --layout long --dimensions seating,price -o mentions.csv
      cinesent score reviews.csv --dry-run
      cat reviews.jsonl | cinesent score - -o - --probabilities > scored.jsonl
      cinesent score big.parquet -o scored.parquet --resume
      cinesent score s3://bucket/dump/ -o scored.parquet --engine ray
      cinesent score big.csv -o scored.csv --shard 3/8

    CSV, TSV and XLSX get columns that begin with cs_ (Chinese headers with --lang zh) after the input's own. JSONL and
    Parquet hold the record, and the input's own columns under `input`. No row disappears: blank texts have the status
    empty, texts in another language not_chinese. Rows that the file itself breaks go to OUT.rejects.jsonl.

    A job writes finished blocks of 4,096 rows to OUT.partial, and OUT at the end. Interrupted, by a full disk or a lost
    connection too, it goes on where it was with the same command and --resume. --threads, --batch-size, --max-memory
    and --engine may then change; the runtime may not. A shard goes on with the same command as it is.

    \b
    Exit codes:
      0        done, whatever the statuses
      1        done, some rows were rejected
      2        wrong usage, unreadable input or unwritable output
      4        stopped midway (full disk, lost connection, no memory, Ray's workers
               lost, internal error); --resume goes on
      130/143  interrupted; --resume goes on
    """
    from sentiment.batch import LocalRunner, ScoreOptions, plan_flat, score_with
    from sentiment.parts import StoppedError, check_output, partial_folder
    from sentiment.runtimes import choose_runtime
    from sentiment.tables import ReadOptions, open_tables
    from sentiment.taxonomy import load_taxonomy

    if output is None and not dry_run:
        raise click.UsageError("expected -o OUT, found none; --dry-run needs none")
    if output == "-" and resume:
        raise click.UsageError("expected a file as output with --resume, found `-`; a stream cannot be resumed")
    if output == "-" and (shard is not None or engine == "ray"):
        raise click.UsageError("expected a file as output with --shard or --engine ray, found `-`; name one with -o")
    # $RAY_ADDRESS may be there for other programs.
    address_given = click.get_current_context().get_parameter_source("ray_address") is ParameterSource.COMMANDLINE
    for flag, given in (("--workers", workers is not None), ("--ray-address", address_given)):
        if given and engine != "ray":
            raise click.UsageError(f"expected {flag} with --engine ray, found it without; add that or leave it out")
    path = None if output in (None, "-") else Path(str(output))
    if path is not None and path.is_symlink():
        path = path.resolve()  # as the job does: OUT.partial is beside the file that is written
    chosen = choose_runtime(runtime, model)
    options = ScoreOptions(
        layout=layout,
        lang=lang,
        dimensions=dimensions,
        probabilities=probabilities,
        resume=resume,
        overwrite=overwrite,
        shard=shard,
        settings={
            "sheet": sheet,
            "no_header": no_header,
            "encoding": encoding,
            "input_format": input_format,
            "threshold": threshold,
            "runtime": chosen.numbers,
        },
    )
    kept, before = "", _file_of(path)
    try:
        with _terminable():
            if path is not None:
                check_output(path, resume=resume or shard is not None, overwrite=overwrite, probe=not dry_run)
            reading = ReadOptions(text_col, id_col, sheet, no_header, encoding, input_format, limit)
            table = open_tables(inputs, reading)
            for note in table.notes:
                say(note)
            if path is not None and path.exists() and any(reader.path.samefile(path) for reader in table.readers):
                raise Failure(f"expected another file as output, found the input {path}")
            names = None if taxonomy is None else load_taxonomy(taxonomy)
            load = {
                "batch_size": batch_size,
                "dimensions": dimensions,
                "thresholds": threshold,
                "max_memory": max_memory,
                "runtime": chosen.name,
            }
            labels: Labels
            if engine == "ray":
                labels = runner = _ray_runner(model, names, threads, workers, ray_address, load)
            else:
                labels = analyzer = _load(model, names, threads, load)
            _check_keys(labels.taxonomy, dimensions, threshold)
            if path is not None:
                plan_flat(table, table.columns, labels.taxonomy, options, path)
            if dry_run:
                tell_dry_run(table, labels.name, str(chosen), output)
                return 0
            again = "the same command" if shard is not None else "the same command with --resume"
            if path is not None:
                kept = f"; finished blocks are kept in {partial_folder(path)}, {again} goes on"
            with show_progress(table) as progress:
                if path is None:
                    summary = _to_stdout(table, analyzer, options, progress)
                elif engine == "ray":
                    summary = _on_ray(table, runner, path, options, progress)
                else:
                    summary = score_with(table, LocalRunner(analyzer), path, options, progress)
    except StoppedError as error:
        raise Failure(str(error), 4) from error
    except KeyboardInterrupt:
        raise Failure(f"interrupted{_kept(path, kept, before)}", 130) from None
    except Terminated:
        raise Failure(f"terminated{_kept(path, kept, before)}", 143) from None
    tell_summary(summary, labels.taxonomy, str(chosen), lang)
    if shard is not None:
        say(f"shard {shard} is done; when all are, the same command with --resume in place of --shard writes {output}")
    return 1 if summary.rejected else 0


def _file_of(path: Path | None) -> tuple[int, int] | None:
    """Which file is there, if one is: another one in its place is another."""
    if path is None or not path.exists():
        return None
    found = path.stat()
    return found.st_ino, found.st_mtime_ns


def _kept(path: Path | None, kept: str, before: tuple[int, int] | None) -> str:
    """What an ended job tells of what it leaves: `kept`, or that its output is there, so that nothing is to go on."""
    now = _file_of(path)
    return f"; {path} is written and whole" if kept and now is not None and now != before else kept


def _load(model: Path | None, taxonomy: Taxonomy | None, threads: int | None, load: dict[str, Any]) -> Analyzer:
    from sentiment.analyzer import Analyzer

    try:
        return Analyzer.load(model, taxonomy=taxonomy, threads=threads, **load)
    except ValueError as error:  # a checkpoint, a key or a number that cannot be used; no text was read by it
        raise Failure(one_line(error)) from error


def _ray_runner(
    model: Path | None,
    taxonomy: Taxonomy | None,
    threads: int | None,
    workers: int | None,
    address: str | None,
    load: dict[str, Any],
) -> RayRunner:
    from sentiment.checkpoint import load_checkpoint
    from sentiment.distributed import RayOptions, RayRunner

    try:
        options = RayOptions(address or None, workers, threads or 1)
        return RayRunner(load_checkpoint(model), options, taxonomy=taxonomy, load=load, tell=say)
    except ValueError as error:
        raise Failure(one_line(error)) from error


def _on_ray(
    table: Table, runner: RayRunner, output: Path, options: ScoreOptions, progress: Callable[[Tick], None] | None
) -> Summary:
    from sentiment.batch import score_with
    from sentiment.distributed import connected

    with connected(runner.options):
        try:
            runner.node_cpus()
        except ValueError as error:  # wrong usage, before anything is begun
            raise Failure(one_line(error)) from error
        return score_with(table, runner, output, options, progress)


def _check_keys(
    taxonomy: Taxonomy, dimensions: tuple[str, ...] | None, threshold: float | dict[str, float] | None
) -> None:
    for key in (*(dimensions or ()), *(threshold if isinstance(threshold, dict) else ())):
        taxonomy[key]  # raises TaxonomyError, which lists the keys


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM raises Terminated, where the system and the thread let us."""

    def stop(number: int, frame: object) -> None:
        raise Terminated

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except (AttributeError, ValueError):  # no such signal, or not the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _to_stdout(
    table: Table, analyzer: Analyzer, options: ScoreOptions, progress: Callable[[Tick], None] | None
) -> Summary:
    from sentiment.batch import stream

    rejected = 0

    def tell(reject: Reject) -> None:
        nonlocal rejected
        rejected += 1
        if rejected <= _SHOWN_REJECTS:
            say(f"{reject.source}, row {reject.number} rejected: {reject.reason}")
        elif rejected == _SHOWN_REJECTS + 1:
            say("more rows are rejected; -o FILE lists them all in FILE.rejects.jsonl")

    return stream(table, analyzer, sys.stdout.buffer, options, progress, tell)
