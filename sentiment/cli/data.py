"""`cinesent data`: labelled files, checked before anything is trained on them."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sentiment.cli import Failure, LocalPath, say
from sentiment.cli.train import parse_mapping

if TYPE_CHECKING:
    from sentiment.taxonomy import Taxonomy
    from training.importing import Imported
    from training.merging import Merged


@click.group("data")
def command() -> None:
    """Looks after labelled files.

    \b
    Examples:
      cinesent data check data/cinema
      cinesent data check train.jsonl dev.jsonl --json counts.json
      cinesent data import export.json -o labels.jsonl
    """


@command.command("check")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option(
    "--require",
    metavar="FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Least counts that the set is held to (YAML). Default: requirements.yaml beside the files, if there is one.",
)
@click.option(
    "--taxonomy",
    metavar="FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The label space (YAML). Default: the packaged one.",
)
@click.option("--json", "as_json", metavar="OUT", type=LocalPath(path_type=Path, dir_okay=False),
              help="Write counts and errors to this JSON file.")  # fmt: skip
def check_command(paths: tuple[Path, ...], require: Path | None, taxonomy: Path | None, as_json: Path | None) -> int:
    """Checks labelled JSONL files and prints their counts.

    PATH: files, each a split named by its file name (train.jsonl, dev.jsonl, test.jsonl), or folders of such.

    \b
    Errors in every set:
      an id twice; near-duplicates (Jaccard similarity of character 5-grams over
      0.5), within a split and across; an author who wrote for dev or test and for
      another split
    Errors where requirements.yaml asks for it:
      too few texts, mentions of a dimension (in all, of each sentiment, in dev and
      test), intents, escalations, kinds, Traditional texts, annotators a row; texts
      too short or too long; a kind that the labels contradict; annotators of one
      name, or whose labels are copies; beside the set: too few stand-off rows, too
      few of them labelled twice, too few pairs of wordings, a pair that a text to
      learn from nearly repeats

    \b
    Examples:
      cinesent data check data/cinema
      cinesent data check train.jsonl dev.jsonl --require least.yaml

    \b
    Exit codes:
      0  nothing is wrong
      2  wrong usage, a file that cannot be read, or a row that does not fit the
         schema (evidence that is not in the text does not); it stops at the first
      3  something is wrong; every finding is a line on standard error
    """
    from sentiment.taxonomy import load_taxonomy
    from training.check import check, read_splits
    from training.companions import read_companions
    from training.requirements import REQUIREMENTS, Requirements, read_requirements

    space = load_taxonomy(taxonomy)
    beside = (paths[0] if paths[0].is_dir() else paths[0].parent) / REQUIREMENTS
    source = require or (beside if beside.is_file() else None)
    required = Requirements() if source is None else read_requirements(source)
    beside_set = None if source is None else read_companions(required, space)
    checked = check(read_splits(paths, space), space, required, beside_set)
    _print_counts(checked.counts, space)
    if any(checked.beside.values()):
        click.echo("\n" + ", ".join(f"{name}: {number}" for name, number in checked.beside.items()))
    if as_json is not None:
        found = {"counts": checked.counts, "beside": checked.beside, "errors": checked.errors}
        as_json.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", "utf-8")
        say(f"{as_json} written")
    for error in checked.errors:
        say(error)
    held = "the schema only" if source is None else str(source)
    say(f"held to {held}: {len(checked.errors)} errors" if checked.errors else f"held to {held}: nothing is wrong")
    return 3 if checked.errors else 0


def _print_counts(counts: Mapping[str, Mapping[str, Any]], space: Taxonomy) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(file=sys.stdout, markup=False, highlight=False, width=None if sys.stdout.isatty() else 120)

    def table(first: str, rows: Mapping[str, list[str]]) -> None:
        shown = Table(box=None, pad_edge=False)
        shown.add_column(first, no_wrap=True)
        for name in counts:
            shown.add_column(name, justify="right")
        for title, cells in rows.items():
            shown.add_row(title, *cells)
        console.print(shown)

    def each(pick: Any) -> list[str]:
        return [str(pick(part)) for part in counts.values()]

    rows = {name: each(lambda part, n=name: part[n]) for name in ("texts", "authors", "traditional", "escalations")}
    for head, values in (
        ("intents", space.intents), ("overall", space.overall), ("kinds", sorted(counts["all"]["kinds"])),
    ):  # fmt: skip
        for value in values:
            rows[f"{head}: {value}"] = each(lambda part, h=head, v=value: part[h].get(v, 0))
    table("", rows)
    console.print()
    table(
        "mentions: " + " / ".join(space.sentiments),
        {key: each(lambda part, k=key: " / ".join(map(str, part["mentions"][k].values()))) for key in space.keys},
    )


def _dimensions(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    return None if value is None else tuple(key.strip() for key in value.replace("，", ",").split(",") if key.strip())


@command.command("import")
@click.argument("paths", metavar="[IN]...", nargs=-1, type=click.Path(path_type=Path, exists=True))
@click.option("-o", "--output", metavar="OUT", required=True, type=LocalPath(path_type=Path, dir_okay=False),
              help="The labelled records, as JSON Lines.")  # fmt: skip
@click.option(
    "--feedback",
    metavar="URL",
    help="Also the corrections in a service's database: a URL as `serve --database` takes it, or an SQLite file.",
)
@click.option(
    "--confirmed",
    is_flag=True,
    help="Labels that a correction left as they were count as judged. Default: only what it changed is known; one that "
    "changed nothing confirms all.",
)
@click.option(
    "--texts",
    metavar="FILE",
    multiple=True,
    type=click.Path(path_type=Path, exists=True),
    help="A table with the texts of rows that only have their sha256. May be given several times.",
)
@click.option(
    "--checked",
    metavar="COLUMN",
    help="Scored files: the column in which whoever checked a row signed; rows without are left out. Default: every "
    "row counts as checked.",
)
@click.option("--dimensions", metavar="KEY,...", callback=_dimensions,
              help="Scored files: only these were judged. Default: all that the file shows.")  # fmt: skip
@click.option("--text-col", metavar="COLUMN", help="Where the texts are. Default: text; in scored files found out.")
@click.option("--map", "mapping", help="Codings of a table's cells: 1=positive,0=neutral,-1=negative,-2=none")
@click.option("--blank", type=click.Choice(["unknown", "none"]), default="unknown", show_default=True,
              help="What a blank cell of a labelled table means: not judged, or not mentioned.")  # fmt: skip
@click.option(
    "--taxonomy",
    metavar="FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The label space (YAML). Default: the packaged one.",
)
@click.option("--json", "as_json", metavar="OUT", type=LocalPath(path_type=Path, dir_okay=False),
              help="Write counts and the agreement of annotators to this JSON file.")  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace OUT. Default: refuse.")
def import_command(
    paths: tuple[Path, ...],
    output: Path,
    feedback: str | None,
    confirmed: bool,
    texts: tuple[Path, ...],
    checked: str | None,
    dimensions: tuple[str, ...] | None,
    text_col: str | None,
    mapping: str | None,
    blank: str,
    taxonomy: Path | None,
    as_json: Path | None,
    overwrite: bool,
) -> int:
    """Reads what people labelled into one file to train on.

    \b
    IN, told apart by content, files or folders:
      Label Studio's export (JSON, not JSON-MIN), with any number of annotators
      labelled files (JSONL, CSV, TSV, XLSX, Parquet)
      files that `cinesent score` wrote and that somebody corrected
      corrections of the service, one JSON object a line

    \b
    Examples:
      cinesent data import export.json -o labels.jsonl
      cinesent data import corrected.xlsx --checked 复核人 -o labels.jsonl
      cinesent data import --feedback cinesent.sqlite --texts reviews.csv -o labels.jsonl
      cinesent train --data labels.jsonl --warm-start my-checkpoint -o runs/new

    One record a text. Where several people judged a label the majority holds; on a tie it stays unknown. Of one person
    the latest judgement counts, of corrections label by label. How far they agree is printed; everybody's labels are
    kept under `annotators`.

    Rows that do not fit go to OUT.rejects.jsonl with row and reason. Then the file is looked over as `data check` does.

    \b
    Exit codes:
      0  done
      1  done, some rows were rejected
      2  wrong usage, unreadable input or unwritable output
    """
    from sentiment.parts import reject_line, rejects_file
    from sentiment.tables import ReadOptions, open_tables
    from sentiment.taxonomy import load_taxonomy
    from training.agreement import agreement
    from training.check import Split, check
    from training.example import parse_record
    from training.importing import Importer, ImportOptions, texts_of
    from training.merging import merge
    from training.requirements import Requirements

    if not paths and feedback is None:
        raise Failure("expected files to import, or --feedback, found neither; name what people labelled")
    if output.exists() and not overwrite:
        raise Failure(f"expected a new file, found {output} there already; --overwrite replaces it")
    space = load_taxonomy(taxonomy)
    for key in dimensions or ():
        space[key]  # raises TaxonomyError, which lists the keys
    known: dict[str, str] = {}
    for path in texts:
        table = open_tables([path], ReadOptions(text_col))
        known |= texts_of(iter(table), table.text_column)
    options = ImportOptions(text_col, checked, dimensions, confirmed, parse_mapping(mapping), blank == "none")
    importer = Importer(space, options, known)
    if paths:
        importer.read(paths)
    if feedback is not None:
        from serve.store import StoreError, read_feedback

        try:
            importer.feedback(read_feedback(feedback), "feedback")
        except StoreError as error:
            raise Failure(str(error)) from None
    found = importer.found
    merged = merge(found.judgements, space)
    found.rejects += merged.rejects
    with output.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in merged.records)
    rejects = rejects_file(output)
    if found.rejects:
        rejects.write_bytes(b"".join(reject_line(reject, sources=True) for reject in found.rejects))
    else:
        rejects.unlink(missing_ok=True)
    agreed = agreement(merged.examples, space)
    examples = [parse_record(record, space, "") for record in merged.records]
    checks = check({output.stem: Split(merged.records, examples)}, space, Requirements())
    _tell_import(found, merged, agreed, checks.errors, output, rejects)
    if as_json is not None:
        report = {
            "rows": dict(found.rows), "texts": len(merged.records), "rejected": len(found.rejects),
            "silent": found.silent, "open": merged.open, "agreement": agreed, "findings": checks.errors,
        }  # fmt: skip
        as_json.write_text(json.dumps(report, ensure_ascii=False, indent=1) + "\n", "utf-8")
        say(f"{as_json} written")
    return 1 if found.rejects else 0


_SHOWN = 20


def _tell_import(
    found: Imported, merged: Merged, agreed: Mapping[str, Any], findings: list[str], output: Path, rejects: Path
) -> None:
    for note in found.notes:
        say(note)
    read = ", ".join(f"{count:,} {kind}" for kind, count in found.rows.items()) or "nothing"
    say(f"{output} written: {len(merged.records):,} texts, from rows: {read}")
    for count, what in (
        (found.silent, "rows in which nobody had labelled anything left out"),
        (merged.repeated, "judgements repeated or replaced by a later one of the same person"),
        (merged.open, "labels on which annotators disagree evenly left unknown"),
    ):
        if count:
            say(f"{count:,} {what}")
    if agreed["pairs"]:
        figures = {"mention": "mention F1", "joint": "joint F1"} | {
            head: f"{head} κ" for head in ("overall", "intent", "escalation")
        }
        shown = ", ".join(f"{title} {agreed[name]:.3f}" for name, title in figures.items() if name in agreed)
        say(f"agreement over {agreed['pairs']:,} pairs on {agreed['texts']:,} texts: {shown or 'no label in common'}")
    for finding in findings:
        say(finding)
    for reject in found.rejects[:_SHOWN]:
        say(f"{reject.source}, row {reject.number} rejected: {reject.reason}")
    if found.rejects:
        say(f"{len(found.rejects):,} rows rejected: {rejects}")
