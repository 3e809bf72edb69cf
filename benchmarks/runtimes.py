"""The option `--runtime` of the benchmarks: rates are those of a runtime that was named, not of what is installed."""

from __future__ import annotations

import argparse
from pathlib import Path

from sentiment.runtimes import RUNTIMES, Choice, choose_runtime

PORTABLE = "onnxruntime"  # runs wherever we do


def add_runtime(parser: argparse.ArgumentParser) -> None:
    """Adds `--runtime`, a name, for `runtime_of`."""
    parser.add_argument(
        "--runtime", choices=[name for name in RUNTIMES if name != "auto"],
        help="what runs the model (default: what a plain installation does, whatever the environment says)",
    )  # fmt: skip


def runtime_of(wanted: str | None, model: Path | None) -> Choice:
    """The runtime that was named, or a plain installation's, as it runs this checkpoint.

    Raises:
        RuntimeChoiceError: it cannot be had.
    """
    return choose_runtime(wanted or "auto", model)
