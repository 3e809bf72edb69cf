"""The options of `cinesent serve`, one for each field of `serve.settings.Settings` and in that order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from sentiment.cli import LocalPath


class _Port(click.IntRange):
    """A port. In Kubernetes, a service named cinesent sets CINESENT_PORT=tcp://…, which is not meant for us."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, str) and value.startswith("tcp://") and param is not None and ctx is not None:
            return param.get_default(ctx)
        return super().convert(value, param, ctx)


_POSITIVE = click.IntRange(min=1)

_OPTIONS = (
    click.option(
        "--host",
        metavar="ADDRESS",
        default="127.0.0.1",
        show_envvar=True,
        help="Where to listen; 0.0.0.0 is everywhere.",
    ),
    click.option(
        "--port", metavar="N", type=_Port(0, 65535), default=8000, show_envvar=True, help="0 is any free port."
    ),
    click.option(
        "--workers",
        metavar="N",
        type=_POSITIVE,
        default=1,
        show_envvar=True,
        help="Processes behind the port; each has the checkpoint in memory, and its share of the cores.",
    ),
    click.option(
        "--model",
        metavar="DIR",
        type=click.Path(path_type=Path, exists=True, file_okay=False),
        show_envvar=True,
        help="A checkpoint folder. Default: the packaged one.",
    ),
    click.option(
        "--taxonomy",
        metavar="FILE",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        show_envvar=True,
        help="Names, owners and lenses of the dimensions (YAML); the keys must be the checkpoint's. Default: its own.",
    ),
    click.option(
        "--threads",
        metavar="N",
        type=_POSITIVE,
        show_envvar=True,
        help="Threads of each worker. Default: the cores divided by --workers, at least 1.",
    ),
    click.option(
        "--runtime",
        type=click.Choice(["auto", "onnxruntime", "onnxruntime-int8"]),
        default="auto",
        show_envvar=True,
        help="What runs the model. onnxruntime: in float32, alike on every processor to the third decimal. "
        "auto: onnxruntime-int8 where processor and model allow it, else onnxruntime.",
    ),
    click.option(
        "--keys",
        metavar="FILE",
        type=click.Path(path_type=Path, dir_okay=False),
        show_envvar=True,
        help="API keys (`cinesent serve keys add`); who has none is refused. Default: no keys, and only this machine.",
    ),
    click.option(
        "--rate-limit",
        metavar="N",
        type=_POSITIVE,
        show_envvar=True,
        help="Texts a minute for each key and worker, unless the key has a limit of its own. Default: none.",
    ),
    click.option(
        "--allowed-hosts",
        metavar="NAME",
        multiple=True,
        default=(),
        show_envvar=True,
        help="Names by which clients may call it. Default: any; without keys those of this machine.",
    ),
    click.option(
        "--cors-origins",
        metavar="ORIGIN",
        multiple=True,
        default=(),
        show_envvar=True,
        help="Origins whose pages may call it, as https://desk.example. Default: none.",
    ),
    click.option(
        "--max-batch-items",
        metavar="N",
        type=click.IntRange(1, 10_000),
        default=256,
        show_envvar=True,
        help="Items of a batch.",
    ),
    click.option(
        "--max-body", metavar="BYTES", type=_POSITIVE, default=1024 * 1024, show_envvar=True, help="Size of a request."
    ),
    click.option(
        "--max-upload",
        metavar="BYTES",
        type=_POSITIVE,
        default=64 * 1024 * 1024,
        show_envvar=True,
        help="Size of an uploaded file.",
    ),
    click.option(
        "--max-characters", metavar="N", type=_POSITIVE, default=20_000, show_envvar=True, help="Characters of a text."
    ),
    click.option(
        "--deadline",
        metavar="SECONDS",
        type=click.FloatRange(min=0, min_open=True),
        default=10.0,
        show_envvar=True,
        help="What is not scored by then is answered with 504, or as a failed item.",
    ),
    click.option(
        "--body-timeout",
        metavar="SECONDS",
        type=click.FloatRange(min=0, min_open=True),
        default=30.0,
        show_envvar=True,
        help="A request of whose body nothing more comes for so long is answered with 408.",
    ),
    click.option(
        "--drain",
        metavar="SECONDS",
        type=click.FloatRange(min=0),
        default=0.0,
        show_envvar=True,
        help="After SIGTERM it goes on answering for so long, while /ready is 503; then it ends.",
    ),
    click.option(
        "--queue-size",
        metavar="N",
        type=_POSITIVE,
        default=1024,
        show_envvar=True,
        help="Texts that may wait; what does not fit is answered with 429.",
    ),
    click.option(
        "--block-characters",
        metavar="N",
        type=_POSITIVE,
        default=16_384,
        show_envvar=True,
        help="Characters scored at once. More: more texts a second; less: shorter waits.",
    ),
    click.option(
        "--data-dir",
        metavar="DIR",
        type=LocalPath(path_type=Path, file_okay=False),
        show_envvar=True,
        help="Where the database and uploaded files are kept. Default: cinesent in the user's data directory.",
    ),
    click.option(
        "--database",
        metavar="URL",
        show_envvar=True,
        help="postgresql://USER:PASSWORD@HOST/NAME, or sqlite:///FILE. Default: SQLite in --data-dir.",
    ),
    click.option(
        "--store-texts/--no-store-texts",
        default=False,
        show_envvar=True,
        help="Keep the text of a correction where the caller sends it.",
    ),
    click.option(
        "--retention",
        metavar="DAYS",
        type=_POSITIVE,
        show_envvar=True,
        help="Corrections are removed after that. Default: never.",
    ),
    click.option(
        "--file-retention",
        metavar="DAYS",
        type=_POSITIVE,
        default=7,
        show_envvar=True,
        help="Uploaded files and their results are removed after that.",
    ),
    click.option(
        "--max-rows", metavar="N", type=_POSITIVE, default=1_000_000, show_envvar=True, help="Rows of an uploaded file."
    ),
    click.option(
        "--max-jobs",
        metavar="N",
        type=_POSITIVE,
        default=20,
        show_envvar=True,
        help="Uploaded files that may wait or be scored; each worker scores one at a time.",
    ),
    click.option(
        "--job-memory",
        metavar="MB",
        type=_POSITIVE,
        default=2048,
        show_envvar=True,
        help="Memory for scoring an uploaded file; one that needs more fails (Linux only).",
    ),
    click.option(
        "--job-time",
        metavar="SECONDS",
        type=click.FloatRange(min=0, min_open=True),
        default=14_400.0,
        show_envvar=True,
        help="For scoring an uploaded file; one that takes longer fails.",
    ),
    click.option(
        "--webhook-url",
        metavar="URL",
        show_envvar=True,
        help="Where analyses with escalation are posted, signed. Default: nowhere.",
    ),
    click.option(
        "--webhook-secret",
        metavar="SECRET",
        show_envvar=True,
        help="What they are signed with: whsec_ and base64. Flags are seen by other users: use the variable.",
    ),
    click.option(
        "--webhook-texts/--no-webhook-texts",
        default=False,
        show_envvar=True,
        help="Post the text and the evidence too.",
    ),
    click.option(
        "--log-level",
        type=click.Choice(["debug", "info", "warning", "error"]),
        default="info",
        show_envvar=True,
        help="What goes to standard error; warning leaves out the accesses. Texts never do.",
    ),
)


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator that adds them all."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
