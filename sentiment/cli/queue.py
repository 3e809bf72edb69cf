"""`cinesent queue`: from scored files to what a person should label next."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from sentiment.cli import Failure, LocalPath, say

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command("queue", short_help="Choose what to label next, as Label Studio tasks.")
@click.argument("scored", metavar="SCORED...", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("-n", "--count", metavar="N", type=click.IntRange(min=1), default=200, show_default=True,
              help="How many texts.")  # fmt: skip
@click.option("-o", "--output", metavar="OUT", required=True, type=LocalPath(path_type=Path, dir_okay=False),
              help="The tasks, as JSON that Label Studio imports.")  # fmt: skip
@click.option("--config", metavar="OUT", type=LocalPath(path_type=Path, dir_okay=False),
              help="Also write the labelling configuration (XML) to this file.")  # fmt: skip
@click.option(
    "--known",
    metavar="FILE",
    multiple=True,
    type=_FILE,
    help="Labelled JSONL: its texts, and what nearly repeats them, are not chosen. May be given several times.",
)
@click.option("--lang", type=click.Choice(["en", "zh"]), default="en", show_default=True,
              help="Language of the labels that annotators see.")  # fmt: skip
@click.option("--text-col", metavar="COLUMN", help="The column with the texts. Default: found by name and content.")
@click.option(
    "--taxonomy",
    metavar="FILE",
    type=_FILE,
    help="The label space (YAML) of the scored files. Default: the packaged one.",
)
@click.option(
    "--offsets",
    type=click.Choice(["codepoints", "utf16"]),
    default="codepoints",
    show_default=True,
    help="How Label Studio counts characters: utf16 for versions of 2021 and before, where spans after an emoji shift.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Another one chooses other clusters.")
@click.option("--overwrite", is_flag=True, help="Replace the files that are there. Default: refuse.")
def command(
    scored: tuple[Path, ...],
    count: int,
    output: Path,
    config: Path | None,
    known: tuple[Path, ...],
    lang: Any,
    text_col: str | None,
    taxonomy: Path | None,
    offsets: Any,
    seed: int,
    overwrite: bool,
) -> int:
    """Chooses from scored files the texts whose labels would teach the model most: those about which it is unsure, and
    of them such as differ; near-duplicates once.

    SCORED: what `cinesent score` wrote, in any format, layout and language. With --probabilities (always in Parquet)
    also mentions count that the model almost called.

    \b
    Examples:
      cinesent queue scored.parquet -n 200 -o tasks.json --config labelling.xml
      cinesent queue scored.csv -o tasks.json --known train.jsonl --known dev.jsonl
      cinesent queue scored.xlsx --lang zh -o tasks.json

    Every task comes with what the model says as pre-annotation: annotators correct it. `cinesent data import` reads
    what Label Studio exports (JSON, not JSON-MIN).

    \b
    Exit codes:
      0  done
      2  wrong usage, unreadable input or unwritable output
    """
    from sentiment.tables.scored import ScoredFiles
    from sentiment.taxonomy import load_taxonomy
    from training.example import DatasetError
    from training.labelled_files import read_jsonl
    from training.labelstudio import labelling_config, task
    from training.queue import choose

    for path in (output, config):
        if path is not None and path.exists() and not overwrite:
            raise Failure(f"expected a new file, found {path} there already; --overwrite replaces it")
    space = load_taxonomy(taxonomy)
    files = ScoredFiles(scored, space, text_col)
    for note in files.notes:
        say(note)
    texts = [row["text"] for path in known for _, row in read_jsonl(path) if isinstance(row.get("text"), str)]
    if known and not texts:
        raise DatasetError("expected labelled texts in --known, found none; give JSONL with a member text")
    chosen = choose(files, count, texts, seed)
    if not chosen.texts:
        raise Failure(
            f"expected texts to choose from, found none: {chosen.read} rows, {chosen.unscored} of them without a "
            f"score, {chosen.repeated + chosen.near} known or repeated"
        )
    tasks = [task(one, space, lang, offsets) for one in chosen.texts]
    output.write_text(json.dumps(tasks, ensure_ascii=False, indent=1) + "\n", "utf-8")
    say(
        f"{output} written: {len(tasks)} of {chosen.read:,} texts; left out: {chosen.unscored:,} without a score, "
        f"{chosen.repeated:,} repeated or known, {chosen.near:,} near-duplicates of what was looked at"
    )
    if chosen.rejected:
        say(f"{chosen.rejected:,} rows could not be read")
    if config is not None:
        config.write_text(labelling_config(space, lang), "utf-8")
        say(f"{config} written: paste it into the project's Labeling Interface, Code")
    return 0
