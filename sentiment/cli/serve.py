"""`cinesent serve`: its options; the service is in `serve`."""

from __future__ import annotations

import logging
import math
import sys
from typing import Any

import click

from sentiment.cli import Failure
from sentiment.cli.serve_options import options


@click.command(
    "serve",
    short_help="Score over HTTP.",
    context_settings={"auto_envvar_prefix": "CINESENT", "show_default": True},
)
@options
def command(**values: Any) -> None:
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
        settings = Settings(**values)
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
