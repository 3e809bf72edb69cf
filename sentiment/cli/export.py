"""`cinesent export`: trained model folders → a checkpoint that scores."""

from __future__ import annotations

from pathlib import Path

import click

from sentiment.cli import Failure, LocalPath, say
from sentiment.cli.train import parse_mapping


@click.command("export", short_help="Turn a trained model into a checkpoint that scores.")
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=LocalPath(path_type=Path), help="Checkpoint folder to write.")
@click.option("--dev", multiple=True, required=True, metavar="[NAME=]FILE",
              help="Labelled development file, on which thresholds and scaling are fitted; may be given several "
                   "times, with a name for the card.")  # fmt: skip
@click.option(
    "--map", "mapping", help="Codings of a table's cells, as in train: 1=positive,0=neutral,-1=negative,-2=none"
)
@click.option("--blank", type=click.Choice(["unknown", "none"]), default="unknown", show_default=True,
              help="What a blank cell of a table means: not judged, or not mentioned.")  # fmt: skip
@click.option(
    "--int8", multiple=True, type=click.Path(path_type=Path), metavar="FILE",
    help="Labelled training texts from which scales for int8 are taken, with which scoring is faster; needs the extra "
         "int8, may be given several times.",
)  # fmt: skip
@click.option("--name", default="cinesent-zh", show_default=True, help="Name of the checkpoint; its hash is added.")
def command(
    runs: tuple[Path, ...],
    output: Path,
    dev: tuple[str, ...],
    mapping: str | None,
    blank: str,
    int8: tuple[Path, ...],
    name: str,
) -> None:
    """Writes model.onnx (int8 weights), tokenizer.json, config.json and the model card README.md; with --int8 also
    int8.onnx and int8.safetensors, without which texts are scored in float32.

    \b
    Examples:
      cinesent export runs/mine --dev dev.jsonl -o my-checkpoint
      cinesent export runs/mine --dev real=dev.jsonl --dev written=more.jsonl -o my-checkpoint
      cinesent export runs/mine --dev dev.jsonl --int8 train.jsonl -o my-checkpoint
      cinesent export runs/mine/seed-1 runs/mine/seed-2 runs/mine/seed-3 --dev dev.jsonl -o large

    Several runs, as `cinesent train --seeds 3` leaves them, become one checkpoint, which answers with the mean of their
    logits, and is as large and as slow as all of them together.

    Development texts that the run was trained on are left out, and their number is said: thresholds fitted on them
    would flatter the model. They are recognised by their words, whatever the punctuation; for those that were slightly
    reworded give `train` the same --dev, which learns from no near-duplicate of it.

    Refuses (exit 3) when the packed model answers too differently from the trained one on the development texts, or
    when fewer than 10 different ones are left of those that it was not trained on; the output folder is then left as
    it was.
    """
    from training.drift import ExportError
    from training.run import export_run

    parts: dict[str, Path] = {}
    for item in dev:
        label, equals, path = item.rpartition("=")
        label = label if equals else Path(path).stem
        if label in parts:
            raise Failure(f"expected a different name for each --dev, found {label} twice; write NAME=FILE")
        parts[label] = Path(path)
    try:
        exported = export_run(
            runs[0],
            output,
            parts,
            name=name,
            mapping=parse_mapping(mapping),
            blank_none=blank == "none",
            int8=int8,
            others=runs[1:],
        )
    except ExportError as error:
        raise Failure(f"export refused: {error}", 3) from None
    drift = ", ".join(f"{key} {value:.2%}" for key, value in exported.drift.items())
    say(f"{output} written; int8 weights against float32: {drift}")
    if exported.int8 is not None:
        drift = ", ".join(f"{key} {value:.2%}" for key, value in exported.int8.items())
        say(f"int8 products against float32: {drift}")
    for key, value in exported.development.items():
        say(f"development, cross-fitted: {key} {value:.3f}")
