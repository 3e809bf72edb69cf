"""`cinesent evaluate`: how good a checkpoint is on labelled files, as a text or as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from sentiment.cli import Failure, LocalPath, one_line, say
from sentiment.cli.train import parse_mapping

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


def _keys(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    parts = (key.strip() for item in value for key in item.replace("，", ",").split(","))
    return tuple(dict.fromkeys(key for key in parts if key))


@click.command("evaluate", short_help="Measure a checkpoint on labelled files.")
@click.argument("more", metavar="[FILE]...", nargs=-1, type=_FILE)
@click.option(
    "--data",
    metavar="FILE",
    multiple=True,
    required=True,
    type=_FILE,
    help="Labelled file: .jsonl, .csv or .parquet. Several files follow one another or repeat the option; they are "
    "measured together.",
)
@click.option(
    "--model",
    metavar="DIR",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A checkpoint folder. Default: the packaged one.",
)
@click.option(
    "--compare",
    metavar="OLD NEW",
    nargs=2,
    type=click.Path(path_type=Path, file_okay=False),
    help="Two checkpoint folders: may the second take the place of the first? `embedded` is the packaged one.",
)
@click.option(
    "--margin",
    metavar="POINTS",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    help="--compare: how much worse overall and escalation may certainly be, in points of a hundred.",
)
@click.option(
    "--taxonomy",
    metavar="FILE",
    type=_FILE,
    help="Names and lenses of the dimensions (YAML); the keys must be the checkpoint's. Default: its own.",
)
@click.option(
    "--exclude",
    metavar="KEY,...",
    multiple=True,
    callback=_keys,
    help="Dimensions to leave out, e.g. film. Default: none.",
)
@click.option(
    "--map",
    "mapping",
    metavar="CODE=VALUE,...",
    help="Codings of a table's cells, e.g. 1=positive,0=neutral,-1=negative,-2=none. Default: the labels themselves.",
)
@click.option(
    "--blank",
    type=click.Choice(["unknown", "none"]),
    default="unknown",
    show_default=True,
    help="What a blank cell of a table means: not judged, or not mentioned.",
)
@click.option(
    "--cross-fit",
    is_flag=True,
    help="For the development files that the checkpoint's thresholds were fitted on: refit thresholds and scaling "
    "for each of five folds without its texts. Default: the checkpoint's own.",
)
@click.option(
    "--runtime",
    type=click.Choice(["onnxruntime", "onnxruntime-int8"]),
    default="onnxruntime",
    show_default=True,
    help="What runs the model: in float32, which is comparable from processor to processor, or in int8, as score does "
    "where it can.",
)
@click.option("--threads", metavar="N", type=click.IntRange(min=1), help="Threads. Default: one for each core.")
@click.option("--json", "as_json", metavar="OUT", type=LocalPath(path_type=Path, dir_okay=False),
              help="Write every number by name to this JSON file.")  # fmt: skip
@click.option("-o", "--output", metavar="OUT", type=LocalPath(path_type=Path, dir_okay=False),
              help="Write the report to this file: as HTML with plots if it ends in .html, else as text. Default: "
                   "text to standard output.")  # fmt: skip
@click.option("--show-texts", is_flag=True, help="Quote the texts of the surest mistakes. Default: name them by id.")
def command(
    more: tuple[Path, ...],
    data: tuple[Path, ...],
    model: Path | None,
    compare: tuple[Path, Path] | None,
    margin: float,
    taxonomy: Path | None,
    exclude: tuple[str, ...],
    mapping: str | None,
    blank: str,
    cross_fit: bool,
    runtime: str,
    threads: int | None,
    as_json: Path | None,
    output: Path | None,
    show_texts: bool,
) -> int:
    """Compares what a checkpoint says with what people said, and reports how often it is right, with 95% intervals
    (bootstrap over texts).

    \b
    Examples:
      cinesent evaluate --data labelled.csv --blank none
      cinesent evaluate --data dev.jsonl --cross-fit --json dev.json
      cinesent evaluate --data a.csv b.csv --map 1=positive,0=neutral,-1=negative
      cinesent evaluate --data test.jsonl --model mine --exclude film -o report.txt
      cinesent evaluate --data test.jsonl --show-texts -o report.html
      cinesent evaluate --compare old-checkpoint new-checkpoint --data test.jsonl

    A JSONL row is {"text", "labels": [{"dimension", "sentiment", "evidence"}], "overall", "intent", "escalation"}. A
    table has a column text and one for each dimension: positive, neutral, negative, none (not mentioned). What a row
    lacks nobody has judged: it counts neither for nor against, and a head without labels is left out of the report.

    \b
    What the report says:
      mention       the dimension was found; joint: and with the right sentiment
      precision     of what was called, the share that is right
      recall        of what is there, the share that was found
      service       all dimensions but the film itself, counted together
      macro-F1      the mean over the classes that occur
      ECE           how far confidence is from the share of right labels, in ten
                    bins of equal size, less the bias that few labels bring
                    (Kumar et al. 2019, Roelofs et al. 2022)
      least certain how many errors in `overall` are among the 15% of the texts
                    about which the model is least sure
      evidence      characters shared by the words shown and labelled, as F1
      mistakes      the wrong labels with the highest confidence: often it is
                    the file that is wrong

    Thresholds fitted on the same texts flatter a model. For files that were given to `cinesent export` as --dev use
    --cross-fit; for all other files leave it out.

    --compare says whether NEW may replace OLD, by a paired bootstrap over the texts. It may not (exit 3) if the whole
    95% interval of the difference in joint F1 lies below 0, or that in overall accuracy or escalation F1 below -1 point
    (--margin). What the texts have no labels for, or labels of one class only (no escalation, say), cannot be compared
    and does not count; few texts show a large loss only, and the intervals say how large. Both are measured on the same
    --runtime: a checkpoint that is used in int8 has thresholds for that, and is better compared in both.

    \b
    Exit codes:
      0  done
      2  wrong usage, unreadable input or unwritable output
      3  --compare: the new checkpoint may not replace the old one
      4  stopped midway (disk full, internal error)
    """
    files = [*data, *more]
    options: dict[str, Any]
    if compare is not None:
        if any(value is not None for value in (model, taxonomy, output, show_texts or None)):
            raise Failure(
                "expected --compare without --model, --taxonomy, -o and --show-texts, found them together; leave those "
                "out"
            )
        reading = {"mapping": parse_mapping(mapping), "blank_none": blank == "none"}
        options = {"cross_fit": cross_fit, "exclude": exclude, "margin": margin / 100, "threads": threads}
        options["runtime"] = runtime
        return _compare(compare, files, reading, options, as_json)
    from sentiment.checkpoint import load_checkpoint
    from sentiment.runtimes import choose_runtime
    from sentiment.taxonomy import load_taxonomy
    from training.evaluate import EvaluationError, evaluate_checkpoint
    from training.evaluation_html import html_report
    from training.evaluation_text import write_report
    from training.labelled_files import read_labelled

    checkpoint = load_checkpoint(model)
    chosen = choose_runtime(runtime, checkpoint.folder)  # before anything takes long
    space = checkpoint.taxonomy if taxonomy is None else checkpoint.taxonomy.with_names_of(load_taxonomy(taxonomy))
    for key in exclude:
        space[key]  # raises TaxonomyError, which lists the keys
    examples = read_labelled(files, space, mapping=parse_mapping(mapping), blank_none=blank == "none")
    options = {"exclude": exclude, "show_texts": show_texts, "runtime": runtime}
    try:
        (report,) = evaluate_checkpoint(
            checkpoint, {"data": examples}, cross_fit=cross_fit, taxonomy=space, threads=threads, **options
        ).values()
    except EvaluationError as error:
        raise Failure(one_line(error)) from None
    names = [file.name for file in files]
    facts: dict[str, Any] = {"model": checkpoint.name, "hash": checkpoint.hash, "runtime": str(chosen)}
    facts |= {"files": names, "excluded": list(exclude)}
    if as_json is not None:
        as_json.write_text(json.dumps(facts | report, ensure_ascii=False, indent=1, allow_nan=False) + "\n", "utf-8")
        say(f"{as_json} written")
    heading = [("checkpoint", checkpoint.name), ("runtime", str(chosen)), ("files", ", ".join(names))]
    if exclude:
        heading.append(("left out", ", ".join(exclude)))
    if output is not None and output.suffix.lower() in (".html", ".htm"):
        output.write_text(html_report(report, space, heading), "utf-8")
        say(f"{output} written")
    elif output is None:
        write_report(report, space, sys.stdout, heading)
    else:
        with output.open("w", encoding="utf-8") as file:
            write_report(report, space, file, heading)
        say(f"{output} written")
    return 0


def _compare(
    folders: tuple[Path, Path], files: list[Path], reading: dict[str, Any], options: dict[str, Any],
    as_json: Path | None,
) -> int:  # fmt: skip
    """Prints the table and the verdict of `--compare`; 3 if the new checkpoint may not replace the old one."""
    from sentiment.checkpoint import load_checkpoint
    from sentiment.runtimes import choose_runtime
    from training.compare import DECIDING, compare_checkpoints
    from training.labelled_files import read_labelled

    old, new = (load_checkpoint(None if str(path) == "embedded" else path) for path in folders)
    chosen, _ = (choose_runtime(options["runtime"], one.folder) for one in (old, new))  # before anything takes long
    for key in options["exclude"]:
        old.taxonomy[key]  # raises TaxonomyError, which lists the keys
    verdict = compare_checkpoints(old, new, read_labelled(files, old.taxonomy, **reading), **options)
    names = ", ".join(file.name for file in files)
    click.echo(f"old {old.name}, new {new.name}; {verdict.texts} texts of {names}; on {chosen}")
    click.echo(f"{'':<12}{'old':>8}{'new':>8}{'change':>9}  95% interval")
    for key, row in verdict.rows.items():
        before, after, change, low, high = (100 * row[name] for name in ("old", "new", "difference", "low", "high"))
        click.echo(f"{key:<12}{before:8.1f}{after:8.1f}{change:+9.1f}  [{low:+.1f}, {high:+.1f}]")
    missing = [key for key in DECIDING if key not in verdict.rows]
    if missing:
        say(f"{', '.join(missing)} cannot be compared: the texts have no such labels, or only ones of one class")
    if as_json is not None:
        facts = {"old": old.name, "new": new.name, "runtime": str(chosen), "texts": verdict.texts}
        facts["margin"] = options["margin"]
        report = facts | {"figures": verdict.rows, "reasons": verdict.reasons, "may_replace": verdict.may_replace}
        as_json.write_text(json.dumps(report, ensure_ascii=False, indent=1, allow_nan=False) + "\n", "utf-8")
        say(f"{as_json} written")
    for reason in verdict.reasons:
        say(reason)
    if verdict.may_replace:
        loss = max(0.0, -min(100 * row["low"] for row in verdict.rows.values()))
        click.echo(f"{new.name} may replace {old.name}; a loss of up to {loss:.1f} points cannot be excluded")
        return 0
    click.echo(f"{new.name} may not replace {old.name}")
    return 3
