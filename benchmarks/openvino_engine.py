"""The checkpoint on OpenVINO, which the product does not use: models, the session, and the engine with its batches.

OpenVINO chooses its kernels by the padded length, which in fewer bits shows in the answers. So that a record does not
depend on its neighbours, a row's padded length depends on its own length only, and a batch holds one padded length.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from sentiment.checkpoint import Checkpoint
from sentiment.engine import Engine, Floats
from sentiment.int8 import STEPS, Scales, exact_products
from sentiment.runtimes import Runtime, RuntimeChoiceError
from training.int8 import Feed


def read_openvino(graph: onnx.ModelProto) -> Any:
    """A graph as a model of OpenVINO's."""
    import openvino

    return openvino.Core().read_model(graph.SerializeToString())


class OpenVino:
    """A model, compiled for the CPU, as a session.

    `precision` is what it computes in, which is not what was asked for (bf16 or f32) where the processor lacks the
    units.
    """

    def __init__(self, model: Any, asked: str, threads: int) -> None:
        import openvino

        settings = {
            "INFERENCE_PRECISION_HINT": asked,
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0,
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": threads,
            # Compiled kernels that are kept; with fewer those of the commonest shapes are compiled again and again.
            "CPU_RUNTIME_CACHE_CAPACITY": 512,
            "ENABLE_CPU_PINNING": False,
        }
        compiled = openvino.Core().compile_model(model, "CPU", settings)
        self.precision = str(compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name())
        self._request = compiled.create_infer_request()

    def run(self, outputs: Sequence[str], feed: Feed) -> list[NDArray[np.float32]]:
        found = self._request.infer(dict(feed))
        return [found[name] for name in outputs]


class OpenVinoEngine(Engine):
    """The engine on such a session: rows padded to multiples of 8 tokens, batches of one padded length and of few
    numbers of rows, as kernels are compiled for each shape."""

    def __init__(self, checkpoint: Checkpoint, session: OpenVino, threads: int) -> None:
        super().__init__(checkpoint, threads=threads)
        self._session = session
        self._padding = 0

    def _length(self, window: Sequence[int]) -> int:
        return min(-(-super()._length(window) // 8) * 8, self._max_tokens)

    def rows(self, count: int, length: int) -> int:
        """Rows in which to run `count` windows of one padded length: 1, 2, 3, 4, 6, 8, 12, 16, 24, … and as many as
        fill a batch."""
        step = 1 << max(count.bit_length() - 2, 0)
        return max(count, min(-(-count // step) * step, self._budget // length))

    def _infer(self, windows: Sequence[Sequence[int]]) -> list[Floats]:
        more = self.rows(len(windows), self._length(windows[-1])) - len(windows)
        return super()._infer([*windows, *[windows[-1]] * more])  # nobody reads the answers to rows that fill up


def openvino_int8(graph: onnx.ModelProto, scales: Mapping[str, Scales], threads: int) -> tuple[Runtime, dict[str, Any]]:
    """OpenVINO in int8, where products have scales, and in bfloat16.

    Args:
        graph: with weights in float32.

    Raises:
        RuntimeChoiceError: the processor would saturate.
    """
    if not exact_products():
        raise RuntimeChoiceError("expected a processor that adds products of int8 exactly, found one that does not")
    model = read_openvino(graph)
    quantise(model, scales)
    session = OpenVino(model, "bf16", threads)
    return session, {"precision": "int8", "rest": session.precision, "products": len(scales)}


def quantise(model: Any, scales: Mapping[str, Scales]) -> None:
    """Puts the products that have scales into int8, in place.

    Raises:
        ValueError: a product is not there.
    """
    import openvino

    ops = openvino.opset13
    rescaled: dict[tuple[Any, ...], Any] = {}  # once for all products that read it so
    left = dict(scales)
    for node in model.get_ordered_ops():
        if node.get_type_name() != "MatMul" or (found := left.pop(node.get_friendly_name(), None)) is None:
            continue
        source = node.input_value(0)
        at = (source.get_node().get_friendly_name(), source.get_index(), found.smooth.tobytes(), found.low, found.high)
        if at not in rescaled:
            smooth = ops.multiply(source, ops.constant(found.smooth.reshape(1, 1, -1)))
            ends = [ops.constant(np.float32(end)) for end in (found.low, found.high)]
            rescaled[at] = ops.fake_quantize(smooth, *ends, *ends, 256)
        weight = node.input_value(1).get_node().get_data() / found.smooth[:, None]
        step = np.maximum(np.abs(weight).max(0, keepdims=True) / STEPS, np.finfo(np.float32).tiny)
        integers = np.rint(weight / step).astype(np.int8)
        packed = ops.multiply(ops.convert(ops.constant(integers), "f32"), ops.constant(step.astype(np.float32)))
        node.input(0).replace_source_output(rescaled[at].output(0))
        node.input(1).replace_source_output(packed.output(0))
    if left:
        raise ValueError(f"expected a product {next(iter(left))}, found none")
