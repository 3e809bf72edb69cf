"""`cinesent train`: labelled files in, a trained model folder out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from sentiment.cli import Failure, LocalPath, say


@click.command("train", short_help="Train on labelled files; export makes a checkpoint of it.")
@click.option("--data", "data", multiple=True, metavar="FILE[=WEIGHT]",
              help="Labelled file (.jsonl, .csv, .parquet); may be given several times. WEIGHT in the loss, e.g. "
                   "other_trades.csv=0.6; default 1.")  # fmt: skip
@click.option("-o", "--output", required=True, type=LocalPath(path_type=Path), help="Run folder to write.")
@click.option("--base", default="embedded", show_default=True,
              help="Where training starts: embedded (the packaged checkpoint), offline, a model folder, or a hub id "
                   "such as hfl/chinese-macbert-base.")  # fmt: skip
@click.option("--warm-start", type=click.Path(path_type=Path),
              help="Go on from a checkpoint of ours: a run folder or a packaged one. Replaces --base.")  # fmt: skip
@click.option("--taxonomy", type=click.Path(path_type=Path), help="A label space of your own (YAML).")
@click.option("--layers", type=int,
              help="Keep only the first so many layers of the base. Not with embedded or --warm-start.")  # fmt: skip
@click.option("--epochs", type=float,
              help="Default: 8; 3 where a checkpoint goes on with texts of which more than half are partly "
                   "labelled.")  # fmt: skip
@click.option("--learning-rate", type=float,
              help="Peak rate of the encoder. Default: 2.5e-4, the heads 8 times as fast; where a checkpoint goes on "
                   "with texts of which more than half are partly labelled 5e-5 for all.")  # fmt: skip
@click.option("--keep", type=click.FloatRange(0, 1), metavar="SHARE",
              help="Share of the start's weights in the result. Default: 0; where a checkpoint goes on with texts of "
                   "which more than half are partly labelled, the share that does best on the held-out tenth and no "
                   "worse than the start on --dev, 0.5 without --dev.")  # fmt: skip
@click.option("--batch-size", type=int, default=32, show_default=True)
@click.option("--max-tokens", type=click.IntRange(min=8),
              help="Window of the model, in tokens, two special ones counted; two fewer than the base has positions at "
                   "most. Default: that of the checkpoint; 192 with a base whose heads are new.")  # fmt: skip
@click.option("--patience", type=int, default=3, show_default=True,
              help="Stop after so many epochs without a better score on the held-out tenth.")  # fmt: skip
@click.option("--seed", type=int, default=13, show_default=True)
@click.option("--dev", multiple=True, type=click.Path(path_type=Path),
              help="Development files: never fitted on; training texts that nearly repeat them go. --keep is chosen "
                   "by them.")  # fmt: skip
@click.option("--map", "mapping", help="Codings of a table's cells: 1=positive,0=neutral,-1=negative,-2=none")
@click.option("--blank", type=click.Choice(["unknown", "none"]), default="unknown", show_default=True,
              help="What a blank cell of a table means: not judged, or not mentioned.")  # fmt: skip
@click.option("--standoff", multiple=True, metavar="FILE[=WEIGHT]",
              help="Stand-off labels (hash and offsets); their texts are looked up in --corpora.")  # fmt: skip
@click.option("--corpora", type=click.Path(path_type=Path), help="Folder of the public corpora.")
@click.option(
    "--folds",
    metavar="K",
    type=click.IntRange(min=2),
    help="Cross-validate: K trainings, each measured on the texts that it left out; prints mean and deviation.",
)
@click.option(
    "--seeds",
    metavar="N",
    type=click.IntRange(min=2),
    help="N trainings with different seeds; prints mean and deviation on their held-out tenths.",
)
@click.option("--resume", is_flag=True,
              help="Go on from the newest saved step in the run folder, with the same texts and options; --epochs and "
                   "--patience may be others.")  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace the training in the run folder. Default: refuse.")
def command(
    data: tuple[str, ...],
    output: Path,
    base: str,
    warm_start: Path | None,
    taxonomy: Path | None,
    layers: int | None,
    epochs: float | None,
    learning_rate: float | None,
    keep: float | None,
    batch_size: int,
    max_tokens: int | None,
    patience: int,
    seed: int,
    dev: tuple[Path, ...],
    mapping: str | None,
    blank: str,
    standoff: tuple[str, ...],
    corpora: Path | None,
    folds: int | None,
    seeds: int | None,
    resume: bool,
    overwrite: bool,
) -> None:
    """Fine-tunes on labelled files. What a file does not say is unknown and costs nothing; it is never taken for "no".

    \b
    Examples:
      cinesent train --data my.csv -o runs/mine
      cinesent train --data my.csv --base hfl/chinese-macbert-base -o runs/mine
      cinesent train --data labels.jsonl --taxonomy shops.yaml -o runs/shops
      cinesent train --data my.csv --folds 5 -o runs/folds
      cinesent export runs/mine --dev dev.jsonl -o my-checkpoint

    A tenth of the texts (whole groups of near-duplicates) is held out for early stopping. The run folder gets the
    model, its tokeniser and metrics.json. Turn it into a checkpoint that scores with `cinesent export`.
    """
    from training.run import Sources, Start, run_training
    from training.steps import STEPS, newest_step
    from training.train import PARTLY, Recipe

    if standoff and corpora is None:
        raise Failure("expected --corpora DIR beside --standoff, found none; give the folder of the corpora")
    if resume and overwrite:
        raise Failure("expected --resume or --overwrite, found both; --resume goes on, --overwrite begins anew")
    if resume and newest_step(output) is None:
        raise Failure(f"expected saved steps in {output / STEPS} for --resume, found none; leave --resume out")
    labelled, apart = dict(map(_weighted, data)), dict(map(_weighted, standoff))
    sources = Sources(
        data=tuple(labelled),
        dev=dev,
        standoff=tuple(apart),
        weights=labelled | apart,
        corpora=corpora,
        mapping=parse_mapping(mapping),
        blank_none=blank == "none",
    )
    told = {"epochs": epochs, "learning_rate": learning_rate, "keep": keep}
    given: dict[str, Any] = {
        "batch_size": batch_size, "max_tokens": max_tokens, "patience": patience, "seed": seed,
        **{name: value for name, value in told.items() if value is not None},
    }  # fmt: skip
    recipe, partly = replace(Recipe(), **given), replace(PARTLY, **given)
    start = Start(base, warm_start, taxonomy, layers)
    if folds is not None or seeds is not None:
        if (folds is not None and seeds is not None) or resume:
            raise Failure("expected --folds or --seeds alone, found them together or with --resume; leave one out")
        _replaceable(output, (warm_start, Path(base)), overwrite)
        from training.repeat import over_folds, over_seeds

        output.mkdir(parents=True, exist_ok=True)
        if folds is not None:
            found = over_folds(sources, start, output, recipe, folds, partly)
        else:
            found = over_seeds(sources, start, output, recipe, int(seeds or 0), partly)
        for name, mean in found["mean"].items():
            say(f"{name} {mean:.3f} ± {found['deviation'][name]:.3f} over {len(found['runs'])} trainings")
        say(f"{output / 'averaged.json'} written")
        if seeds is not None:
            say(f"next: cinesent export {output / 'seed-1'} … {output / f'seed-{seeds}'} --dev FILE -o CHECKPOINT")
        return
    if not resume:
        _replaceable(output, (warm_start, Path(base)), overwrite)
    run = run_training(sources, start, output, recipe, partly=partly, resume=resume)
    held = run.metrics["held_out"]
    figures = ", ".join(
        f"{name} {held[f'eval_{name}']:.3f}" for name in ("mention", "joint", "overall") if f"eval_{name}" in held
    )
    say(f"{output} written; on the held-out tenth: {figures or 'nothing to measure'}")
    if kept := run.metrics.get("kept"):
        say(f"share of the start's weights in the result: {kept['share']:g}")
        if kept["share"] == 1:
            say("every step towards these texts lowered the score on --dev: the result is the start, unchanged")
    say(f"next: cinesent export {output} --dev FILE -o CHECKPOINT")


def _replaceable(output: Path, starts: tuple[Path | None, ...], overwrite: bool) -> None:
    """
    Raises:
        Failure: the folder holds what this training would replace and nobody allowed it to.
    """
    from training.steps import has_run

    if (output / "model.onnx").exists():
        raise Failure(f"expected a run folder, found a packaged checkpoint in {output}; name another with -o")
    if not has_run(output):
        return
    if not overwrite:
        raise Failure(
            f"expected a new run folder, found a training in {output}; --resume goes on with one that was interrupted, "
            "--overwrite replaces it"
        )
    if any(start is not None and start.resolve().is_relative_to(output.resolve()) for start in starts):
        raise Failure(f"expected to start from another folder than {output}, found it replaced; name another with -o")


def parse_mapping(mapping: str | None) -> dict[str, str]:
    """`1=positive,0=neutral` as a dictionary."""
    pairs = [item.partition("=") for item in (mapping or "").split(",") if item]
    for key, equals, value in pairs:
        if not equals or not value:
            raise Failure(f"expected --map as CODE=VALUE,…, found {key!r}; for example --map 1=positive,-2=none")
    return {key.strip(): value.strip() for key, _, value in pairs}


def _weighted(item: str) -> tuple[Path, float]:
    """`FILE=0.6`; a file whose own name ends like that is meant if it exists."""
    name, equals, number = item.rpartition("=")
    if not equals or Path(item).exists():
        return Path(item), 1.0
    try:
        weight = float(number)
    except ValueError:
        return Path(item), 1.0
    if not 0 < weight < float("inf"):
        raise Failure(f"expected FILE=WEIGHT with a weight above 0, found {item!r}; for example other.csv=0.6")
    return Path(name), weight
