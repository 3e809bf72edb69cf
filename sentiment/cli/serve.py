"""`cinesent serve`: its options; the service is in `serve`."""

from __future__ import annotations

import logging
import math
import sys
from pathlib import Path
from typing import Any

import click

from sentiment.cli import Failure


class _Port(click.IntRange):
    """A port. In Kubernetes, a service named cinesent sets CINESENT_PORT=tcp://…, which is not meant for us."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, str) and value.startswith("tcp://") and param is not None and ctx is not None:
            return param.get_default(ctx)
        return super().convert(value, param, ctx)


_POSITIVE = click.IntRange(min=1)


@click.command(
    "serve",
    short_help="Score over HTTP.",
    context_settings={"auto_envvar_prefix": "CINESENT", "show_default": True},
)
@click.option(
    "--host", metavar="ADDRESS", default="127.0.0.1", show_envvar=True, help="Where to listen; 0.0.0.0 is everywhere."
)
@click.option("--port", metavar="N", type=_Port(0, 65535), default=8000, show_envvar=True, help="0 is any free port.")
@click.option(
    "--model",
    metavar="DIR",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    show_envvar=True,
    help="A checkpoint folder. Default: the packaged one.",
)
@click.option(
    "--taxonomy",
    metavar="FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    show_envvar=True,
    help="Names, owners and lenses of the dimensions (YAML); the keys must be the checkpoint's. Default: its own.",
)
@click.option("--threads", metavar="N", type=_POSITIVE, show_envvar=True, help="Threads. Default: one for each core.")
@click.option(
    "--max-batch-items",
    metavar="N",
    type=click.IntRange(1, 10_000),
    default=256,
    show_envvar=True,
    help="Items of a batch.",
)
@click.option(
    "--max-body", metavar="BYTES", type=_POSITIVE, default=1024 * 1024, show_envvar=True, help="Size of a request."
)
@click.option(
    "--max-characters", metavar="N", type=_POSITIVE, default=20_000, show_envvar=True, help="Characters of a text."
)
@click.option(
    "--deadline",
    metavar="SECONDS",
    type=click.FloatRange(min=0, min_open=True),
    default=10.0,
    show_envvar=True,
    help="What is not scored by then is answered with 504, or as a failed item.",
)
@click.option(
    "--queue-size",
    metavar="N",
    type=_POSITIVE,
    default=1024,
    show_envvar=True,
    help="Texts that may wait; what does not fit is answered with 429.",
)
@click.option(
    "--block-characters",
    metavar="N",
    type=_POSITIVE,
    default=16_384,
    show_envvar=True,
    help="Characters scored at once. More: more texts a second; less: shorter waits.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_envvar=True,
    help="What goes to standard error; warning leaves out the accesses. Texts never do.",
)
def command(**options: Any) -> None:
    """Answers HTTP requests with records: POST /v1/analyze and /v1/analyze/batch. /docs describes it all.

    Nothing is fetched from elsewhere, and texts are neither stored nor logged. There is no access control: listen on
    127.0.0.1, or behind something that has it.

    \b
    Examples:
      cinesent serve
      cinesent serve --host 0.0.0.0 --port 8080 --threads 4
      CINESENT_DEADLINE=5 cinesent serve
      curl -H 'Content-Type: application/json' -d '{"text": "座椅太硬，坐得腰疼"}' localhost:8000/v1/analyze

    SIGTERM and Ctrl-C stop it once what it accepted is answered.

    \b
    Exit codes:
      2        wrong usage, or a checkpoint that cannot be used
      4        internal error
      130/143  stopped by Ctrl-C or SIGTERM
    """
    import uvicorn

    from serve.app import create_app
    from serve.settings import Settings, SettingsError

    try:
        settings = Settings(**options)
    except SettingsError as error:
        raise click.UsageError(str(error)) from None
    logging.basicConfig(
        stream=sys.stderr, level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )

    def give_up() -> None:
        server.should_exit = True

    app = create_app(settings, on_failure=give_up)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            log_config=None,
            log_level=settings.log_level,
            access_log=False,
            server_header=False,
            lifespan="on",
            ws="none",
            timeout_graceful_shutdown=math.ceil(settings.deadline) + 5,
        )
    )
    try:
        server.run()
    except SystemExit:  # uvicorn has said why
        raise Failure(f"cannot listen on {settings.host}, port {settings.port}") from None
    if app.state.worker.error is not None:
        raise app.state.worker.error
