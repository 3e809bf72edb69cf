"""The option `--runtime` of the benchmarks: rates are those of a runtime that was named, not of what is installed."""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path

from sentiment.runtimes import Choice, RuntimeChoiceError, choose_runtime

PORTABLE = "onnxruntime"  # runs wherever we do


def add_runtime(parser: argparse.ArgumentParser) -> None:
    """Adds `--runtime`, a name; one that is not there is wrong usage."""
    parser.add_argument(
        "--runtime", type=_named, default=PORTABLE, metavar="NAME",
        help=f"onnxruntime or openvino, which runs the model (default: {PORTABLE})",
    )  # fmt: skip


def installed(model: Path | None) -> list[Choice]:
    """The portable runtime, and OpenVINO where the extra `fast` is installed, as they run this checkpoint."""
    found = [choose_runtime(PORTABLE, model)]
    with contextlib.suppress(RuntimeChoiceError):
        found.append(choose_runtime("openvino", model))
    return found


def _named(name: str) -> str:
    if name == "auto":
        raise argparse.ArgumentTypeError("expected onnxruntime or openvino, found auto; name what is measured")
    try:
        return choose_runtime(name).name
    except RuntimeChoiceError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
