"""The options of `cinesent score`, and how their values are read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sentiment.cli import LocalPath

if TYPE_CHECKING:
    from sentiment.blocks import Shard


def _keys(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    if value is None:
        return None
    keys = tuple(dict.fromkeys(key.strip() for key in value.replace("，", ",").split(",") if key.strip()))
    if not keys:
        raise click.BadParameter("expected dimension keys such as seating,price; `cinesent taxonomy` lists them")
    return keys


def _thresholds(ctx: click.Context, param: click.Parameter, value: str | None) -> float | dict[str, float] | None:
    if value is None:
        return None
    found: dict[str, float] = {}
    parts = value.replace("，", ",").split(",")
    for part in parts:
        key, equals, number = part.rpartition("=")
        try:
            probability = float(number)
        except ValueError:
            probability = -1.0
        if not 0 < probability < 1 or (equals and not key.strip()) or (not equals and len(parts) > 1):
            raise click.BadParameter(f"expected P or key=P,key=P with P between 0 and 1, found {value!r}")
        if not equals:
            return probability
        found[key.strip()] = probability
    return found


def _shard(ctx: click.Context, param: click.Parameter, value: str | None) -> Shard | None:
    if value is None:
        return None
    from sentiment.blocks import parse_shard
    from sentiment.tables import TableError

    try:
        return parse_shard(value)
    except TableError as error:
        raise click.BadParameter(str(error)) from None


_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.argument("inputs", metavar="IN...", nargs=-1, required=True, type=click.Path(allow_dash=True)),
    click.option(
        "-o",
        "--output",
        metavar="OUT",
        type=LocalPath(allow_dash=True),
        help="The local file for the result; its suffix names the format: .csv .tsv .xlsx .jsonl .parquet, and "
        ".csv.gz .tsv.gz .jsonl.gz. `-` writes JSON Lines to standard output. Required, except with --dry-run.",
    ),
    click.option("--text-col", metavar="COLUMN", help="The column with the texts. Default: found by name and content."),
    click.option(
        "--id-col",
        metavar="COLUMN",
        help="The column with the identifiers. Default: found by name, else the row number.",
    ),
    click.option(
        "--sheet", metavar="NAME", help="XLSX: the sheet to read, by name or number. Default: all that have the texts."
    ),
    click.option("--no-header", is_flag=True, help="The first row is data. Default: it names the columns."),
    click.option(
        "--encoding", metavar="NAME", help="CSV, TSV, JSONL: utf-8, gb18030, big5, utf-16, … Default: found out."
    ),
    click.option(
        "--input-format",
        type=click.Choice(["csv", "tsv", "xlsx", "jsonl", "parquet"]),
        help="The format of the input. Default: by its content.",
    ),
    click.option(
        "--layout",
        type=click.Choice(["wide", "long"]),
        default="wide",
        show_default=True,
        help="CSV, TSV, XLSX. wide: one line a text, three columns a dimension. long: one line a mention, and one "
        "with an empty dimension for a text that mentions none.",
    ),
    click.option(
        "--lang",
        type=click.Choice(["en", "zh"]),
        default="en",
        show_default=True,
        help="Language of the headers and values in CSV, TSV and XLSX, and of the summary.",
    ),
    click.option(
        "--dimensions",
        metavar="KEY,...",
        callback=_keys,
        help="Only these dimensions, e.g. seating,price. Default: all; `cinesent taxonomy` lists them.",
    ),
    click.option(
        "--threshold",
        metavar="P|KEY=P,...",
        callback=_thresholds,
        help="How probable a mention has to be: one number for all dimensions, or seating=0.6,price=0.4. Default: the "
        "thresholds kept in the checkpoint.",
    ),
    click.option(
        "--probabilities",
        is_flag=True,
        help="Add for every dimension the probabilities of negative, neutral and positive. Always there in Parquet.",
    ),
    click.option(
        "--model",
        metavar="DIR",
        type=click.Path(path_type=Path, exists=True, file_okay=False),
        help="A checkpoint folder. Default: the packaged one.",
    ),
    click.option(
        "--taxonomy",
        metavar="FILE",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        help="Names, owners and lenses of the dimensions (YAML); the keys must be the checkpoint's. Default: its own.",
    ),
    click.option(
        "--batch-size",
        metavar="N",
        type=click.IntRange(min=1),
        help="Most texts at once. Default, and bound: as many as 2,048 tokens hold.",
    ),
    click.option(
        "--threads",
        metavar="N",
        type=click.IntRange(min=1),
        help="Threads. Default: one for each CPU that the process may use; with --engine ray 1 a worker.",
    ),
    click.option(
        "--max-memory",
        metavar="MB",
        type=click.IntRange(min=1),
        help="Bounds the texts at once by the memory that the model needs for them, in megabytes, beside its own: 12 "
        "to 131, which is the default.",
    ),
    click.option(
        "--runtime",
        type=click.Choice(["auto", "onnxruntime", "onnxruntime-int8"]),
        default="auto",
        show_default=True,
        envvar="CINESENT_RUNTIME",
        show_envvar=True,
        help="What runs the model. onnxruntime: in float32, alike on every processor to the third decimal. "
        "auto: onnxruntime-int8 where processor and model allow it, else onnxruntime.",
    ),
    click.option(
        "--engine",
        type=click.Choice(["local", "ray"]),
        default="local",
        show_default=True,
        help="Where to score. local: in this process. ray: in workers, here or on a Ray cluster; the same result.",
    ),
    click.option(
        "--workers",
        metavar="N",
        type=click.IntRange(min=1),
        help="--engine ray: workers, one model each. Default: as many as there are CPUs for.",
    ),
    click.option(
        "--ray-address",
        metavar="ADDRESS",
        envvar="RAY_ADDRESS",
        help="--engine ray: the running cluster to join from one of its nodes, auto or HOST:PORT. Default: "
        "$RAY_ADDRESS, else Ray is started here and stopped at the end.",
    ),
    click.option(
        "--shard",
        metavar="I/N",
        callback=_shard,
        help="Score only the I-th of N parts, into OUT.partial, which all shards share. When all are done, the same "
        "command with --resume in place of --shard writes OUT.",
    ),
    click.option(
        "--resume", is_flag=True, help="Go on with the interrupted job in OUT.partial. Default: start a new one."
    ),
    click.option(
        "--overwrite",
        is_flag=True,
        help="Replace OUT, an unfinished job that is not resumed, and columns of ours in the input. Default: refuse.",
    ),
    click.option("--limit", metavar="N", type=click.IntRange(min=1), help="Only the first N rows. Default: all."),
    click.option(
        "--dry-run",
        is_flag=True,
        help="Say how the input would be read and what would be written, from the first 1,000 rows; write nothing.",
    ),
)


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a function all of them, in this order."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
