"""`cinesent data`: labelled files, checked before anything is trained on them."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sentiment.cli import say

if TYPE_CHECKING:
    from sentiment.taxonomy import Taxonomy


@click.group("data")
def command() -> None:
    """Looks after labelled files.

    \b
    Examples:
      cinesent data check data/cinema
      cinesent data check train.jsonl dev.jsonl --json counts.json
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
@click.option("--json", "as_json", metavar="OUT", type=click.Path(path_type=Path, dir_okay=False),
              help="Write counts and errors to this JSON file.")  # fmt: skip
def check_command(paths: tuple[Path, ...], require: Path | None, taxonomy: Path | None, as_json: Path | None) -> int:
    """Checks labelled JSONL files and prints their counts.

    PATH: files, each a split named by its file name (train.jsonl, dev.jsonl, test.jsonl), or folders of such.

    \b
    Errors in every set:
      a row that does not fit the schema, evidence that is not in the text, an id
      twice; near-duplicates (Jaccard similarity of character 5-grams over 0.5),
      within a split and across; an author who wrote for dev or test and for
      another split
    Errors where requirements.yaml asks for it:
      too few texts, mentions of a dimension (in all, of each sentiment, in dev and
      test), intents, escalations, kinds, Traditional texts, annotators a row; texts
      too short or too long

    \b
    Examples:
      cinesent data check data/cinema
      cinesent data check train.jsonl dev.jsonl --require least.yaml

    \b
    Exit codes:
      0  nothing is wrong
      2  wrong usage, or a file that cannot be read or does not fit the schema
      3  something is wrong; every finding is a line on standard error
    """
    from sentiment.taxonomy import load_taxonomy
    from training.check import REQUIREMENTS, Requirements, check, read_requirements, read_splits

    space = load_taxonomy(taxonomy)
    beside = (paths[0] if paths[0].is_dir() else paths[0].parent) / REQUIREMENTS
    source = require or (beside if beside.is_file() else None)
    required = Requirements() if source is None else read_requirements(source)
    checked = check(read_splits(paths, space), space, required)
    _print_counts(checked.counts, space)
    if as_json is not None:
        found = {"counts": checked.counts, "errors": checked.errors}
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
