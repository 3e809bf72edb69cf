"""The command `cinesent`: one file a verb, loaded when the verb is called."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn, TextIO

import click

from sentiment import __version__

# The verbs in the order in which they are listed; only those whose module is there are.
VERBS = {
    "score": "Score a dump of reviews: CSV, TSV, XLSX, JSONL or Parquet.",
    "report": "Turn scored files into the analyst's report.",
    "serve": "Score over HTTP.",
    "train": "Train on labelled files; export makes a checkpoint of it.",
    "evaluate": "Measure a checkpoint on labelled files.",
    "export": "Turn a trained model into a checkpoint that scores.",
    "taxonomy": "Print the label space with its lenses.",
    "data": "Check labelled files, and import what people labelled.",
    "queue": "Choose what to label next, as Label Studio tasks.",
}

EXTRAS = {
    "report": ("jieba", "scipy"),
    "train": (
        *("accelerate", "cleanlab", "datasets", "jieba", "onnx", "onnxscript"),
        *("safetensors", "sklearn", "snownlp", "torch", "transformers"),
    ),
    "int8": ("nncf", "openvino"),
    "ray": ("ray",),
    "serve": (
        *("alembic", "anyio", "fastapi", "platformdirs", "psycopg", "pydantic", "sqlalchemy"),
        *("prometheus_client", "starlette", "uvicorn"),
    ),
}

# Errors whose message is written for the user; looked up where they are loaded, so that --help need not load them.
_USER_ERRORS = (
    ("sentiment.taxonomy", "TaxonomyError"),
    ("sentiment.tables.base", "TableError"),
    ("sentiment.checkpoint", "CheckpointError"),
    ("sentiment.analyzer", "CheckpointError"),
    ("sentiment.runtimes", "RuntimeChoiceError"),
    ("serve.store", "StoreError"),
    ("training.example", "DatasetError"),
    ("training.bases", "BaseError"),
)


class Failure(click.ClickException):
    """Ends the command with one line on standard error and an exit code of the command line's contract."""

    def __init__(self, message: str, code: int = 2) -> None:
        super().__init__(message)
        self.code = code


class LocalPath(click.Path):
    """A place to write to. An address, which may be read from, would be taken for a folder of that name."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from sentiment.tables.remote import is_address, shown

        if is_address(value):
            self.fail(f"expected a local path, found the address {shown(value)}; write it here and copy it", param, ctx)
        return super().convert(value, param, ctx)


def say(message: str) -> None:
    """One line for the user, on standard error."""
    with unheard():
        click.echo(f"cinesent: {message}", err=True)


@contextmanager
def unheard() -> Iterator[None]:
    """What is told within, where nobody reads standard error any more, is lost and ends nothing."""
    try:
        yield
    except OSError:
        _let_go(sys.stderr)


def one_line(error: BaseException) -> str:
    """The error's message in one line."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def _user_errors() -> tuple[type[BaseException], ...]:
    found = (getattr(sys.modules.get(module), name, None) for module, name in _USER_ERRORS)
    return (*(error for error in found if isinstance(error, type)), OSError)


def _missing_extra(error: ImportError) -> str | None:
    root = (error.name or "").partition(".")[0]
    extra = next((extra for extra, modules in EXTRAS.items() if root in modules), None)
    if extra is not None:
        return f'this needs an extra: pip install "cinesent[{extra}]"'
    if root and root not in ("sentiment", "serve", "training"):
        return f"the module {root} is missing or broken: pip install --force-reinstall cinesent"
    return None


class Verbs(click.Group):
    """A group that imports a verb when it is called, and ends every failure with one line and the right exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [verb for verb in VERBS if importlib.util.find_spec(f"{__name__}.{verb}") is not None]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(f"{__name__}.{cmd_name}")
        for name in ("command", cmd_name):
            command = getattr(module, name, None)
            if isinstance(command, click.Command):
                return command
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(verb, VERBS[verb]) for verb in self.list_commands(ctx)])

    def main(  # type: ignore[override]
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        _tolerant_console()
        if not standalone_mode:
            return super().main(args, prog_name or "cinesent", standalone_mode=False, **extra)
        try:
            code = super().main(args, prog_name or "cinesent", standalone_mode=False, **extra)
            if sys.stdout is not None:
                sys.stdout.flush()
        except click.exceptions.NoArgsIsHelpError as error:
            with unheard():
                error.show()
            sys.exit(2)
        except click.ClickException as error:
            say(" ".join(error.format_message().split()))
            sys.exit(error.code if isinstance(error, Failure) else error.exit_code)
        except (click.Abort, KeyboardInterrupt):
            say("interrupted")
            sys.exit(130)
        except ImportError as error:
            message = _missing_extra(error)
            if message is None:
                _internal(error)
            say(message)
            sys.exit(2)
        except _user_errors() as error:
            say(one_line(error))
            sys.exit(2)
        except Exception as error:
            _internal(error)
        finally:  # what is still held for a stream that failed would fail again as Python ends
            _let_go(sys.stdout)
            _let_go(sys.stderr)
        sys.exit(code if isinstance(code, int) else 0)


def _internal(error: Exception) -> NoReturn:
    """Names the place, not the message, which may hold a review; CINESENT_DEBUG=1 shows everything."""
    if os.environ.get("CINESENT_DEBUG"):
        raise error
    frame = traceback.extract_tb(error.__traceback__)[-1]
    say(
        f"internal error, {type(error).__name__} in {Path(frame.filename).name}, line {frame.lineno}; "
        "CINESENT_DEBUG=1 shows the traceback (it may quote a text)"
    )
    sys.exit(4)


def _let_go(stream: TextIO | None) -> None:
    """Writes what a standard stream still holds, into nothing where that fails: else Python itself exits with 120."""
    if stream is None:
        return
    try:
        stream.flush()
    except OSError:
        with suppress(OSError):  # a stand-in has no descriptor
            number, nothing = stream.fileno(), os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, number)
            os.close(nothing)


def _tolerant_console() -> None:
    """A console in cp936 or ASCII shows ? for what it lacks instead of raising; a closed standard error takes all."""
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")


@click.group("cinesent", cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="cinesent")
def main() -> None:
    """Reads Chinese cinema reviews and complaints: 18 dimensions (the film, and 17 of the service), each with
    sentiment, confidence and the words that say so; intent; and whether somebody should act. Offline, on a CPU.

    \b
    Examples:
      cinesent score reviews.csv -o scored.xlsx
      cinesent score reviews.csv --dry-run
      cinesent taxonomy --lang zh

    Every verb explains itself: cinesent VERB --help

    \b
    Exit codes:
      0        done
      1        done, some rows were rejected because the file is broken there
      2        wrong usage, unreadable input or unwritable output
      3        the answer is no (export refused, data check failed, new model worse)
      4        stopped midway (disk full, internal error)
      130/143  interrupted; score --resume goes on after 4, 130 and 143
    """
