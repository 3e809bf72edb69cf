"""Static int8 on ONNX Runtime by its own calibration; `benchmarks.openvino_engine` has the sessions of OpenVINO.

Scales of activations are fixed, from calibration texts: with scales of the batch a record would depend on its
neighbours. Each session answers as ONNX Runtime's do, so that our engine runs on any of them.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from sentiment.int8 import exact_products
from sentiment.onnx_session import open_session
from sentiment.runtimes import Runtime
from training.int8 import PRODUCTS, Feed, products_of


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
) -> tuple[Runtime, dict[str, Any]]:
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
