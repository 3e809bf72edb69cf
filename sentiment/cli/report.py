"""`cinesent report`: its options and messages; the work is in `sentiment.report`."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sentiment.cli import Failure, LocalPath, one_line, say

if TYPE_CHECKING:
    from sentiment.report.model import Report
    from sentiment.report.read import ReadScored
    from sentiment.taxonomy import Taxonomy

_SUFFIXES = (".html", ".htm", ".xlsx", ".json")


def _date(ctx: click.Context, param: click.Parameter, value: str | None) -> dt.date | None:
    if value is None:
        return None
    from sentiment.report.dates import parse_date

    found = parse_date(value)
    if found is None:
        raise click.BadParameter(f"expected a date such as 2026-03-01, found {value!r}")
    return found


@click.command("report", short_help="Turn scored files into the analyst's report: HTML, XLSX or JSON.")
@click.argument("inputs", metavar="SCORED...", nargs=-1, required=True, type=click.Path(allow_dash=True))
@click.option(
    "-o",
    "--output",
    metavar="OUT",
    required=True,
    type=LocalPath(path_type=Path, dir_okay=False),
    help="Where the report goes; the suffix names the format: .html (one page, works from disk), .xlsx (one sheet a "
    "question, and all rows), .json (every number).",
)
@click.option(
    "--compare",
    metavar="FILE",
    multiple=True,
    type=click.Path(),
    help="Scored files of before: SCORED is compared with them. May be given several times.",
)
@click.option(
    "--by",
    metavar="COLUMN",
    help="Compare the groups of this column, each with all others, and rank them; `cinema`: the cinema column.",
)
@click.option("--since", metavar="DATE", callback=_date, help="Compare before this date with from it on.")
@click.option(
    "--period",
    type=click.Choice(["week", "month"]),
    help="Of the trend. Default: weeks up to half a year, months beyond.",
)
@click.option(
    "--lang",
    type=click.Choice(["zh", "en"]),
    default="zh",
    show_default=True,
    help="Language of page and workbook. JSON holds both.",
)
@click.option(
    "--rows", is_flag=True, help="HTML: write all rows to OUT.rows.csv beside the page. XLSX always has them."
)
@click.option("--seed", metavar="N", type=int, default=1, show_default=True, help="Of the resampling.")
@click.option(
    "--as-of", metavar="DATE", callback=_date, help="Count days since from here. Default: the last date found."
)
@click.option(
    "--date-col", metavar="COLUMN",
    help="Default for all columns: found by name. A moment with a zone, or Unix time, is the day that it is in China.",
)  # fmt: skip
@click.option(
    "--date-order",
    type=click.Choice(["day", "month"]),
    help="What comes first in dates such as 03/01/2026. Default: told by a day above 12 in the same file.",
)
@click.option("--cinema-col", metavar="COLUMN", help="The cinema or shop.")
@click.option("--rating-col", metavar="COLUMN", help="The customer's own rating: numbers, or such as 4星 and ★★★.")
@click.option(
    "--customer-col", metavar="COLUMN", help="Who wrote it; with the next: complaints repeated and unanswered."
)
@click.option("--reply-col", metavar="COLUMN", help="What was answered, or whether.")
@click.option("--text-col", metavar="COLUMN", help="The texts, for quotations.")
@click.option("--id-col", metavar="COLUMN", help="The identifiers.")
@click.option("--sheet", metavar="NAME", help="XLSX input: the sheet to read. Default: all that fit.")
@click.option("--encoding", metavar="NAME", help="CSV, TSV, JSONL input. Default: found out.")
@click.option(
    "--model",
    metavar="DIR",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="The checkpoint whose dimensions the files have, and which scores files that are not scored yet. Default: the "
    "packaged one.",
)
@click.option(
    "--taxonomy",
    metavar="FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Names, owners and lenses of the dimensions (YAML); the keys must be the checkpoint's.",
)
@click.option("--overwrite", is_flag=True, help="Replace OUT. Default: refuse.")
def command(
    inputs: tuple[str, ...],
    output: Path,
    compare: tuple[str, ...],
    by: str | None,
    since: dt.date | None,
    period: Any,
    lang: Any,
    rows: bool,
    seed: int,
    as_of: dt.date | None,
    date_order: Any,
    text_col: str | None,
    id_col: str | None,
    sheet: str | None,
    encoding: str | None,
    model: Path | None,
    taxonomy: Path | None,
    overwrite: bool,
    **columns: str | None,
) -> int:
    """Answers six questions about scored reviews: how are we doing, what to fix first, did it work, who must act,
    through whose eyes, and what do they say. Every figure has its n and a 95% interval.

    SCORED: what `cinesent score` wrote, in any layout and language; several files or folders. Parquet, or
    --probabilities, makes better figures than labels alone. A table that is not scored yet is scored first.

    \b
    Examples:
      cinesent report scored.parquet -o report.html
      cinesent report scored.csv --since 2026-03-01 --by cinema -o report.html
      cinesent report march.parquet --compare february.parquet --lang en -o report.xlsx
      cinesent report scored.jsonl -o report.json

    Columns for date, cinema, rating, customer and reply are found by name (日期, 影院, 门店, 评分, 客户, 回复, …) or
    given. What is missing leaves its question open, and the report says so.

    \b
    Exit codes:
      0    done
      1    done, some rows were broken in their file
      2    wrong usage, unreadable input or unwritable output
      4    stopped midway (disk full, internal error)
      130  interrupted
    """
    suffix = output.suffix.lower()
    if suffix not in _SUFFIXES:
        raise Failure(f"expected OUT to end in {', '.join(_SUFFIXES)}, found {output.name}; name it so")
    if not output.parent.is_dir():
        raise Failure(f"expected a folder to write to, found none at {output.parent}; make it first")
    beside = output.with_suffix(".rows.csv")
    for path in (output, beside) if rows and suffix in (".html", ".htm") else (output,):
        if path.exists() and not overwrite:
            raise Failure(f"expected no file at {path}, found one; --overwrite replaces it")
        if path.exists() and any(Path(name).exists() and path.samefile(name) for name in (*inputs, *compare)):
            raise Failure(f"expected another file as output, found the input {path}; name a new one")
    from sentiment.parts import DISK_FULL
    from sentiment.report.build import build_report
    from sentiment.report.work import ReportOptions
    from sentiment.tables import ReadOptions

    names = _taxonomy(model, taxonomy)
    options = ReadOptions(text_col, id_col, sheet, encoding=encoding)
    given = {role: columns[f"{role}_col"] for role in ("date", "cinema", "rating", "customer", "reply")}
    read = _read(inputs, names, given, by, options, model, date_order)
    earlier = None
    if compare:
        earlier = _read(compare, names, given, None, options, model, date_order)
    _tell(read)
    asked = ReportOptions(lang=lang, seed=seed, since=since, by=by, as_of=as_of, period=period)
    report = build_report(read, asked, earlier)
    for note in report.notes:
        if note.question == "input":
            say(note.en)
    try:
        _write(report, output, read, rows)
    except OSError as error:
        if error.errno in DISK_FULL:
            raise Failure(f"stopped: the disk is full ({output}); what was there before is as it was", 4) from error
        raise
    say(f"{report.meta.texts:,} texts of {report.meta.rows:,} rows → {output}")
    files = [*read.files, *(earlier.files if earlier is not None else [])]
    return 1 if any(rejected for _, _, rejected, _ in files) else 0


def _write(report: Report, output: Path, read: ReadScored, rows: bool) -> None:
    from sentiment.report.rows import ScoredRows

    suffix = output.suffix.lower()
    if suffix == ".json":
        from sentiment.report.schema import write_json

        write_json(report, output)
    elif suffix == ".xlsx":
        from sentiment.report.workbook import write_workbook

        write_workbook(report, output, rows=ScoredRows(read.scored))
    else:
        from sentiment.report.page import write_page

        write_page(report, output, rows=ScoredRows(read.scored) if rows else None)


def _taxonomy(model: Path | None, file: Path | None) -> Taxonomy:
    from sentiment.taxonomy import load_taxonomy

    if model is None:
        own = load_taxonomy()
    else:
        from sentiment.checkpoint import load_checkpoint

        own = load_checkpoint(model).taxonomy
    return own if file is None else own.with_names_of(load_taxonomy(file))


def _read(
    paths: tuple[str, ...],
    taxonomy: Taxonomy,
    given: dict[str, str | None],
    by: str | None,
    options: Any,
    model: Path | None,
    date_order: Any,
) -> ReadScored:
    from sentiment.report.read import read_scored

    def load() -> Any:
        from sentiment.analyzer import Analyzer

        try:
            return Analyzer.load(model, taxonomy=taxonomy)
        except ValueError as error:
            raise Failure(one_line(error)) from error

    return read_scored(paths, taxonomy, given=given, by=by, options=options, load=load, date_order=date_order)


def _tell(read: ReadScored) -> None:
    for note in read.notes:
        say(note)
    used = ", ".join(f"{role}: {column or '–'}" for role, column in read.roles.items())
    say(f"columns: {used} (others: --date-col, --cinema-col, …)")
