"""Other ways to run the checkpoint's graph: static int8 on ONNX Runtime, and OpenVINO in float32, bfloat16 and int8.

Scales of activations are fixed, from calibration texts: with scales of the batch a record would depend on its
neighbours. Each session answers as ONNX Runtime's do, so that our engine runs on any of them.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from sentiment import runtimes
from sentiment.int8 import exact_products, quantise
from sentiment.onnx_session import open_session
from sentiment.runtimes import read_openvino
from training.int8 import PRODUCTS, Feed, find_scales, products_of


class Session(Protocol):
    """What `Engine` asks of its session: the named outputs for a batch, in that order."""

    def run(self, outputs: Sequence[str], feed: Feed) -> list[NDArray[np.float32]]: ...


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, feeds: Sequence[Feed]) -> None:
        self._feeds = iter(feeds)

    def get_next(self) -> Feed | None:
        return next(self._feeds, None)


def chosen_products(graph: onnx.ModelProto, keep: str | None) -> tuple[list[str], list[str]]:
    """The encoder's products whose weight's name has no part like the regular expression `keep`, and all others."""
    inner, rest = products_of(graph)
    weights = {node.name: node.input[1] for node in graph.graph.node if node.op_type in PRODUCTS}
    kept = [name for name in inner if keep is not None and re.search(keep, weights[name])]
    return [name for name in inner if name not in kept], [*kept, *rest]


def static_int8(
    graph: onnx.ModelProto, feeds: Sequence[Feed], threads: int, *, keep: str | None = None
) -> tuple[Session, dict[str, Any]]:
    """ONNX Runtime on QDQ int8: the encoder's products, a scale for each output channel of the weights.

    Args:
        keep: products whose weight's name has a part like this regular expression stay in float.

    Without units that add eight-bit products widely, weights have seven bits, as ONNX Runtime advises: sums of two
    products would saturate.
    """
    narrow = not exact_products()
    chosen, _ = chosen_products(graph, keep)
    with tempfile.TemporaryDirectory() as scratch:
        exact, packed = Path(scratch) / "float32.onnx", Path(scratch) / "int8.onnx"
        onnx.save(graph, str(exact))
        quantize_static(
            str(exact), str(packed), _Reader(feeds), quant_format=QuantFormat.QDQ, op_types_to_quantize=["MatMul"],
            per_channel=True, reduce_range=narrow, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
            nodes_to_quantize=chosen, extra_options={"MatMulConstBOnly": True},
        )  # fmt: skip
        session = open_session(str(packed), threads)
    return session, {"precision": "int8", "products": len(chosen), "weight_bits": 7 if narrow else 8}


class OpenVino:
    """An OpenVINO model, compiled for the CPU as the product compiles its own, as a session.

    `precision` is what it computes in, which is not what was asked for where the processor lacks the units.
    """

    multiple, padding, few_shapes = (
        runtimes.OpenVino.multiple, runtimes.OpenVino.padding, runtimes.OpenVino.few_shapes,
    )  # fmt: skip

    def __init__(self, model: Any, asked: str, threads: int) -> None:
        import openvino

        settings = runtimes.openvino_settings(asked, threads)
        compiled = openvino.Core().compile_model(model, "CPU", settings)
        self.precision = str(compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name())
        self._request = compiled.create_infer_request()

    def run(self, outputs: Sequence[str], feed: Feed) -> list[NDArray[np.float32]]:
        found = self._request.infer(dict(feed))
        return [found[name] for name in outputs]


def openvino_int8(
    graph: onnx.ModelProto, feeds: Sequence[Feed], threads: int, *, keep: str | None = None
) -> tuple[Session, dict[str, Any]]:
    """OpenVINO in int8 as the product has it, but for the products that `keep` names, as in `static_int8`."""
    chosen, rest = chosen_products(graph, keep)
    import openvino

    model = read_openvino(graph.SerializeToString())
    quantise(model, find_scales(graph, feeds, rest), openvino.opset13)
    session = OpenVino(model, "bf16", threads)
    return session, {"precision": "int8", "rest": session.precision, "products": len(chosen)}
