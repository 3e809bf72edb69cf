"""`cinesent taxonomy`: the label space, for people or as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from sentiment.taxonomy import Taxonomy


@click.command("taxonomy", short_help="Print the label space with its lenses.")
@click.option(
    "--lang", type=click.Choice(["en", "zh"]), default="en", show_default=True, help="Language of headings and names."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON: every dimension with both names and all lenses.")
@click.option(
    "--model",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Print the label space of this checkpoint folder. Default: the packaged one.",
)
def command(lang: str, as_json: bool, model: Path | None) -> None:
    """Prints the label space: the dimensions, the lenses by which reports group them, and the labels of a text.

    \b
    Examples:
      cinesent taxonomy
      cinesent taxonomy --lang zh
      cinesent taxonomy --json > taxonomy.json
    """
    if model is None:
        from sentiment.taxonomy import load_taxonomy

        taxonomy = load_taxonomy()
    else:
        from sentiment.analyzer import Analyzer

        taxonomy = Analyzer.load(model).taxonomy
    if as_json:
        data = taxonomy.to_dict() | {"escalation": [False, True]}
        sys.stdout.buffer.write((json.dumps(data, ensure_ascii=False, indent=2) + "\n").encode())
    else:
        _print(taxonomy, lang)


def _print(taxonomy: Taxonomy, lang: str) -> None:
    from rich.console import Console
    from rich.table import Table

    from sentiment.tables.flat import VALUES
    from sentiment.taxonomy import HEADINGS, LENS_VALUES, LENSES

    zh = lang == "zh"
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 140, markup=False, highlight=False)
    table = Table(box=None, pad_edge=False)
    for name in ("key", "name", *LENSES):
        table.add_column(HEADINGS[name] if zh else name, no_wrap=True)
    for dimension in taxonomy.dimensions:
        lenses = [getattr(dimension, lens) for lens in LENSES]
        shown = [LENS_VALUES.get(value, value) for value in lenses] if zh else lenses
        table.add_row(dimension.key, dimension.zh if zh else dimension.en, *shown)
    console.print(table)
    labels = {
        "维度情感" if zh else "sentiments": taxonomy.sentiments,
        "整体情感" if zh else "overall": taxonomy.overall,
        "诉求类型" if zh else "intents": taxonomy.intents,
        "需升级处理" if zh else "escalation": ("false", "true"),
    }
    console.print()
    for heading, values in labels.items():
        console.print(f"{heading}: {', '.join(VALUES.get(value, value) if zh else value for value in values)}")
