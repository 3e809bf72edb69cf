"""`cinesent serve`: how it is started, and its keys; the service is in `serve`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from sentiment.cli import Failure, LocalPath, say
from sentiment.cli.serve_options import options

_CONTEXT = {"auto_envvar_prefix": "CINESENT", "show_default": True}


@click.group("serve", short_help="Score over HTTP.", context_settings=_CONTEXT, invoke_without_command=True)
@options
@click.pass_context
def command(context: click.Context, /, **values: Any) -> None:
    """Answers HTTP requests with records: POST /v1/analyze and /v1/analyze/batch. /docs describes it all, / is a page
    for people.

    Nothing is fetched from elsewhere, and no text is logged. Without keys it listens on this machine only; for others,
    make keys first: cinesent serve keys add --help.

    \b
    Examples:
      cinesent serve
      cinesent serve --host 0.0.0.0 --port 8080 --keys keys.json --workers 2
      CINESENT_DEADLINE=5 cinesent serve
      curl -H 'Content-Type: application/json' -d '{"text": "座椅太硬，坐得腰疼"}' localhost:8000/v1/analyze

    SIGTERM and Ctrl-C stop it once what it accepted is answered. An option that may be given several times has its
    values in the variable separated by spaces.

    \b
    Exit codes:
      0        stopped by SIGTERM
      2        wrong usage, or a checkpoint that cannot be used
      4        internal error
      130      stopped by Ctrl-C
    """
    if context.invoked_subcommand is not None:
        return
    from serve.run import NotListeningError, WorkerError, run
    from serve.settings import Settings, SettingsError

    try:
        settings = Settings(**values)
        run(settings)
    except SettingsError as error:
        raise click.UsageError(str(error)) from None
    except NotListeningError:
        raise Failure(f"cannot listen on {values['host']}, port {values['port']}") from None
    except WorkerError as error:
        raise Failure(str(error)) from None


@command.command("migrate")
@click.option(
    "--data-dir",
    metavar="DIR",
    type=LocalPath(path_type=Path, file_okay=False),
    show_envvar=True,
    envvar="CINESENT_DATA_DIR",
    help="Where the database is kept. Default: cinesent in the user's data directory.",
)
@click.option(
    "--database",
    metavar="URL",
    envvar="CINESENT_DATABASE",
    show_envvar=True,
    help="postgresql://USER:PASSWORD@HOST/NAME, or sqlite:///FILE. Default: SQLite in --data-dir.",
)
def migrate(data_dir: Path | None, database: str | None) -> None:
    """Creates the database, or brings its tables to this version. The service does so itself when it starts.

    \b
    Examples:
      cinesent serve migrate
      cinesent serve migrate --database postgresql://cinesent@db.example/cinesent
    """
    from serve.settings import Settings
    from serve.store import VERSION
    from serve.store import migrate as run

    run(Settings(data_dir=data_dir, database=database).database_url)
    say(f"the database has version {VERSION}")


@command.group("keys", short_help="Add, list and revoke API keys.")
def keys() -> None:
    """API keys, kept hashed in a file. A running service sees a change within a second."""


_FILE = click.option(
    "--keys",
    "path",
    metavar="FILE",
    type=LocalPath(path_type=Path, dir_okay=False),
    required=True,
    envvar="CINESENT_KEYS",
    show_envvar=True,
    help="The file of keys.",
)


@keys.command("add")
@_FILE
@click.argument("name")
@click.option(
    "--role",
    "roles",
    type=click.Choice(["score", "feedback", "admin"]),
    multiple=True,
    default=("score",),
    help="What it may do; several times for several. admin may do everything.",
)
@click.option(
    "--rate-limit",
    metavar="N",
    type=click.IntRange(min=1),
    help="Texts a minute, for each worker. Default: what the service's --rate-limit says.",
)
def add(path: Path, name: str, roles: tuple[Any, ...], rate_limit: int | None) -> None:
    """Makes a key called NAME and prints it, once: only its hash is kept. The file is made if there is none.

    \b
    Examples:
      cinesent serve keys add --keys keys.json call-centre --role score --role feedback
      cinesent serve keys add --keys keys.json nightly-import --rate-limit 600
    """
    from serve.keys import KeysError, add_key

    try:
        plain = add_key(path, name, roles, rate_limit)
    except KeysError as error:
        raise Failure(str(error)) from None
    click.echo(plain)
    say(f"key {name} ({', '.join(dict.fromkeys(roles))}) is in {path}; it is shown only now")


@keys.command("list")
@_FILE
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
def list_keys(path: Path, as_json: bool) -> None:
    """Names, roles and dates. The keys themselves are kept nowhere."""
    from serve.keys import KeysError, read_keys

    try:
        kept = read_keys(path)
    except KeysError as error:
        raise Failure(str(error)) from None
    shown = [{name: value for name, value in key.to_dict().items() if name != "sha256"} for key in kept]
    if as_json:
        click.echo(json.dumps(shown, ensure_ascii=False))
        return
    for entry in shown:
        limit = f", {entry['rate_limit']} texts a minute" if "rate_limit" in entry else ""
        click.echo(f"{entry['name']}: {', '.join(entry['roles'])}{limit}, made {entry['created']}")


@keys.command("revoke")
@_FILE
@click.argument("name")
def revoke(path: Path, name: str) -> None:
    """The key called NAME stops working, in a running service within a second."""
    from serve.keys import KeysError, revoke_key

    try:
        revoke_key(path, name)
    except KeysError as error:
        raise Failure(str(error)) from None
    say(f"key {name} is revoked")
