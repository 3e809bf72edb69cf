"""What runs the checkpoint's graph: ONNX Runtime, in int8 where the processor can and else in float32.

A row's answer depends on the row alone: integers are added exactly, and what is done in float32 another padded length
moves by rounding only, far less than the record's bound.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sentiment.checkpoint import INT8, INT8_GRAPH, Checkpoint, CheckpointError, embedded_folder
from sentiment.int8 import decided_in_int8, exact_products, read_graph, scales_of
from sentiment.memory import give_back
from sentiment.onnx_session import load_onnxruntime, open_session

Feed = Mapping[str, NDArray[np.int64]]

RUNTIMES = ("auto", "onnxruntime", "onnxruntime-int8")
VARIABLE = "CINESENT_RUNTIME"
TITLE = "ONNX Runtime"


class RuntimeChoiceError(ValueError):
    """A runtime that is not there; the message says what was expected, what was found, what to do."""


class Runtime(Protocol):
    """A loaded graph. Safe to use from several threads."""

    def run(self, outputs: Sequence[str], feed: Feed) -> list[NDArray[np.float32]]:
        """The named outputs for a batch, in that order; `feed`: input_ids and attention_mask, [rows, tokens]."""


@dataclass(frozen=True)
class Choice:
    """What runs a model: its name among `RUNTIMES`, its version, and what it multiplies in; of int8, with which
    scales."""

    name: str
    version: str
    precision: str
    scales: str = ""

    @property
    def numbers(self) -> str:
        """What decides the records' digits beside the checkpoint, as far as we know beforehand."""
        scales = f" with the scales {self.scales}" if self.scales else ""
        return f"{self.name} {self.version}, {self.precision}{scales}"

    def __str__(self) -> str:
        return f"{TITLE} {self.version}, {self.precision}"


def choose_runtime(wanted: str | None = None, model: str | Path | None = None) -> Choice:
    """The runtime that is meant here; without a name, that of the variable CINESENT_RUNTIME, else `auto`.

    `onnxruntime` multiplies in float32, on every processor alike to the third decimal; `onnxruntime-int8` in int8,
    where the checkpoint has a graph for it and the processor adds its products exactly. `auto` is int8 where that can
    be had, else float32.

    Args:
        model: the checkpoint's folder; by default the one inside the package.

    Raises:
        RuntimeChoiceError: an unknown name, or what is wanted cannot be had.
    """
    folder = embedded_folder() if model is None else Path(model)
    name = wanted or os.environ.get(VARIABLE) or "auto"
    if name not in RUNTIMES:
        raise RuntimeChoiceError(f"expected a runtime of {', '.join(RUNTIMES)}, found {name!r}")
    lacking = None if name == "onnxruntime" else _without_int8(folder)
    if name == "onnxruntime-int8" and lacking is not None:
        raise RuntimeChoiceError(lacking)
    version = load_onnxruntime().__version__
    if name == "onnxruntime" or lacking is not None:
        return Choice("onnxruntime", version, "float32")
    return Choice("onnxruntime-int8", version, "int8", scales_of(folder))


def _without_int8(folder: Path) -> str | None:
    """Why ONNX Runtime does not multiply in int8 here, in a line; None where it does."""
    if not (folder / "model.onnx").is_file():
        return f"expected a checkpoint folder, found {folder}; write one with `cinesent export`"
    if not all((folder / name).is_file() for name in (INT8, INT8_GRAPH)):
        return (
            f"expected {INT8} and {INT8_GRAPH} for the runtime onnxruntime-int8, found not both in {folder}; "
            "make them with `python -m training.int8`, or choose onnxruntime"
        )
    if not exact_products():
        return (
            "expected a processor that adds products of int8 exactly for the runtime onnxruntime-int8, found one that "
            "does not; choose onnxruntime"
        )
    return None


def decided_by(choice: Choice, checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint with the thresholds, scaling and bounds of doubt that were fitted to this runtime's answers.

    Raises:
        CheckpointError: what int8 needs is damaged, or was replaced since the runtime was chosen.
    """
    if choice.precision != "int8":
        return checkpoint
    decided = decided_in_int8(checkpoint)
    if (found := scales_of(checkpoint.folder)) != choice.scales:
        raise CheckpointError(
            f"expected the scales {choice.scales} in {checkpoint.folder / INT8}, found {found}, written meanwhile; "
            "load the checkpoint again"
        )
    return decided


def open_runtime(choice: Choice, graph: Path, threads: int) -> Runtime:
    """Loads a graph; `threads`: CPU threads of one call.

    Raises:
        CheckpointError: it does not open.
    """
    try:
        runtime: Runtime = session_of(choice, graph, threads)
    except CheckpointError:
        raise
    except Exception as error:  # it has no one class for it
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        what = f"an {INT8_GRAPH}" if choice.name == "onnxruntime-int8" else f"a {graph.name}"
        raise CheckpointError(f"expected {what} that {TITLE} opens in {graph.parent}, found: {reason}") from None
    give_back()  # weights before they were unpacked and laid out are more than what the session keeps
    return runtime


def session_of(choice: Choice, graph: Path, threads: int, **settings: Any) -> Any:
    """ONNX Runtime's session of a checkpoint, in float32 or int8; `settings` as `open_session` takes them.

    Args:
        graph: its model.onnx.

    Raises:
        CheckpointError: what int8 needs is damaged.
    """
    if choice.precision == "int8":
        model, weights = read_graph(graph.parent)
        return open_session(model, threads, weights=weights, **settings)
    # Weights are stored as int8 and multiplied as floats: unpack them once, at load.
    entries = {"session.disable_quant_qdq": "1", **settings.pop("entries", {})}
    return open_session(str(graph), threads, entries=entries, **settings)
