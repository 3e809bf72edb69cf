"""What runs the checkpoint's graph: ONNX Runtime, in int8 where a processor can and else in float32, or OpenVINO.

Both answer the same call. They differ in what a row may be batched with, so that its answer depends on the row alone:

- ONNX Runtime adds integers, which is exact, and what it does in float32 another padded length moves by rounding only,
  far less than the record's bound.
- OpenVINO chooses its kernels by the padded length, and in fewer bits that would show. There a row's padded length
  depends on its own length only, and a batch holds one padded length.
"""

from __future__ import annotations

import os
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sentiment.checkpoint import INT8, INT8_GRAPH, CheckpointError, embedded_folder
from sentiment.int8 import exact_products, quantise, read_graph, read_scales, scales_of, stored_weight, unpacked
from sentiment.onnx_session import load_onnxruntime, open_session

Feed = Mapping[str, NDArray[np.int64]]

RUNTIMES = ("auto", "onnxruntime", "onnxruntime-int8", "openvino")
VARIABLE = "CINESENT_RUNTIME"


class RuntimeChoiceError(ValueError):
    """A runtime that is not there; the message says what was expected, what was found, what to do."""


class Runtime(Protocol):
    """A loaded graph. Safe to use from several threads.

    `multiple`: tokens to whose multiples rows are padded. `padding`: most tokens by which a batch's rows may be padded
    beyond that, together. `few_shapes`: whether a batch of a new shape costs much more than one of a known shape.
    """

    multiple: int
    padding: int
    few_shapes: bool

    def run(self, outputs: Sequence[str], feed: Feed) -> list[NDArray[np.float32]]:
        """The named outputs for a batch, in that order; `feed`: input_ids and attention_mask, [rows, tokens]."""


@dataclass(frozen=True)
class Choice:
    """A runtime that is installed: its name among `RUNTIMES`, its version, and what it multiplies in; of int8, with
    which scales."""

    name: str
    version: str
    precision: str
    scales: str = ""

    @property
    def title(self) -> str:
        return "OpenVINO" if self.name == "openvino" else "ONNX Runtime"

    @property
    def numbers(self) -> str:
        """What decides the records' digits beside the checkpoint, as far as we know beforehand."""
        scales = f" with the scales {self.scales}" if self.scales else ""
        return f"{self.name} {self.version}, {self.precision}{scales}"

    def __str__(self) -> str:
        return f"{self.title} {self.version}, {self.precision}"


def choose_runtime(wanted: str | None = None, model: str | Path | None = None) -> Choice:
    """The runtime that is meant here; without a name, that of the variable CINESENT_RUNTIME, else `auto`.

    `onnxruntime` multiplies in float32, alike on every processor; `onnxruntime-int8` in int8, where the checkpoint has
    a graph for it and the processor adds its products exactly. `auto` is OpenVINO where it is installed and finds that
    the processor multiplies bfloat16 (avx512_bf16, amx_bf16, avx2_vnni_2), else ONNX Runtime in int8 where that can be
    had, else in float32. Processors for bfloat16 multiply int8 as well: OpenVINO does where the checkpoint has scales.

    Args:
        model: the checkpoint's folder; by default the one inside the package.

    Raises:
        RuntimeChoiceError: an unknown name, or what is wanted cannot be had.
    """
    folder = embedded_folder() if model is None else Path(model)
    name = wanted or os.environ.get(VARIABLE) or "auto"
    if name not in RUNTIMES:
        raise RuntimeChoiceError(f"expected a runtime of {', '.join(RUNTIMES)}, found {name!r}")
    openvino = _openvino() if name in ("auto", "openvino") else None
    if name == "openvino" and openvino is None:
        raise RuntimeChoiceError(
            "expected OpenVINO for the runtime openvino, found none that can be imported; "
            'pip install "cinesent[fast]", or choose auto or onnxruntime'
        )
    if openvino is not None:
        bfloat16 = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if bfloat16 or name == "openvino":
            version = openvino.__version__.partition("-")[0]
            if not bfloat16:
                return Choice("openvino", version, "float32")
            scales = scales_of(folder)
            return Choice("openvino", version, "int8" if scales else "bfloat16", scales)
    if name == "onnxruntime-int8" and (lacking := _without_int8(folder)) is not None:
        raise RuntimeChoiceError(lacking)
    return plain_runtime(folder, portable=name == "onnxruntime")


def plain_runtime(model: str | Path | None = None, *, portable: bool = False) -> Choice:
    """ONNX Runtime as `auto` takes it where OpenVINO is not installed; `portable`: in float32 in any case."""
    version = load_onnxruntime().__version__
    folder = embedded_folder() if model is None else Path(model)
    if portable or _without_int8(folder) is not None:
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


def open_runtime(choice: Choice, graph: Path, threads: int) -> Runtime:
    """Loads a graph; `threads`: CPU threads of one call.

    Raises:
        CheckpointError: it does not open.
    """
    kind = OpenVino if choice.name == "openvino" else OnnxRuntime
    try:
        return kind(choice, graph, threads)
    except CheckpointError:
        raise
    except Exception as error:  # neither has one class for it
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        what = f"an {INT8_GRAPH}" if choice.name == "onnxruntime-int8" else f"a {graph.name}"
        raise CheckpointError(f"expected {what} that {choice.title} opens in {graph.parent}, found: {reason}") from None


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


class OnnxRuntime:
    """The graph in float32, or the one that was made of it in int8."""

    multiple = 1
    # A few times what one more run costs, so that batches fill and carry little of it.
    padding = 48
    few_shapes = False

    def __init__(self, choice: Choice, graph: Path, threads: int) -> None:
        self.session = session_of(choice, graph, threads)

    def run(self, outputs: Sequence[str], feed: Feed) -> list[NDArray[np.float32]]:
        answers: list[NDArray[np.float32]] = self.session.run(outputs, feed)
        return answers


def openvino_settings(precision: str, threads: int, *, pinned: bool = False) -> dict[str, Any]:
    """How OpenVINO compiles a graph for us; `precision` is bf16 or f32, `pinned` ties threads to CPUs."""
    return {
        "INFERENCE_PRECISION_HINT": precision,
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0,
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads,
        # Compiled kernels that are kept; with the default, memory goes on growing with the shapes that were seen, and
        # with fewer those of the commonest shapes are compiled again and again.
        "CPU_RUNTIME_CACHE_CAPACITY": 512,
        "ENABLE_CPU_PINNING": pinned,
    }


def read_openvino(graph: Path | bytes, packed: Container[str] = ()) -> Any:
    """An ONNX graph, or a file of one, as an OpenVINO model with float weights.

    Args:
        packed: names of products whose weights stay in int8, for `quantise`, unless one is stored in another form.
    """
    import openvino
    from openvino import passes

    model = openvino.Core().read_model(graph)
    nodes = model.get_ordered_ops()
    products = [node for node in nodes if node.get_friendly_name() in packed]
    if any(stored_weight(node.input_value(1).get_node()) is None for node in products):
        packed = ()
    # Unpack the int8 weights: else OpenVINO keeps them and quantises what is multiplied with them as well. The pass
    # does it too, but is slower, which delays the first record.
    for node in nodes:
        readers = [reader for output in node.outputs() for reader in output.get_target_inputs()]
        if all(reader.get_node().get_friendly_name() in packed for reader in readers):
            continue
        if (weight := unpacked(node)) is not None:
            constant = openvino.opset13.constant(weight, shared_memory=True)
            for reader in readers:
                reader.replace_source_output(constant.output(0))
    if not packed:  # which it would unpack as well
        manager = passes.Manager()
        manager.register_pass(passes.ConstantFolding())
        manager.run_passes(model)
    return model


class OpenVino:
    """The graph in int8 and bfloat16, in bfloat16 alone, or in float32 where the processor has no units for either."""

    multiple = 8
    padding = 0
    few_shapes = True  # kernels are compiled for each, which costs more than rows that fill up
    pinning = False  # several processes would share the first cores

    def __init__(self, choice: Choice, graph: Path, threads: int) -> None:
        import openvino

        scales = read_scales(graph.parent / INT8) if choice.precision == "int8" else {}
        model = read_openvino(graph, scales)
        quantise(model, scales, openvino.opset13)
        settings = openvino_settings("f32" if choice.precision == "float32" else "bf16", threads, pinned=self.pinning)
        self._compiled = openvino.Core().compile_model(model, "CPU", settings)
        self._idle: list[Any] = []

    def run(self, outputs: Sequence[str], feed: Feed) -> list[NDArray[np.float32]]:
        try:
            request = self._idle.pop()  # one caller's alone while it is used
        except IndexError:
            request = self._compiled.create_infer_request()
        try:
            found = request.infer(dict(feed))  # copies: the request is used again
            return [found[name] for name in outputs]
        finally:
            self._idle.append(request)


def _openvino() -> Any:
    """The module, or None where it is not installed or cannot be loaded."""
    try:
        import openvino
    except ImportError:
        return None
    return openvino
