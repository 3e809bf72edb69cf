"""Other ways to run the checkpoint's graph: static int8 on ONNX Runtime, and OpenVINO in float32, bfloat16 and int8.

Scales of activations are fixed, from calibration texts: with scales of the batch a record would depend on its
neighbours. Each session answers as ONNX Runtime's do, so that our engine runs on any of them.
"""

from __future__ import annotations

import os
import random
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from benchmarks.ceiling import units
from sentiment import runtimes
from sentiment.engine import Engine
from sentiment.text import normalise
from sentiment.windows import split_windows

Feed = Mapping[str, NDArray[np.int64]]
PRODUCTS = ("MatMul", "Gemm")
WIDE = ("amx_int8", "avx512_vnni", "avx_vnni")  # units that add products of eight bits without saturating


class Session(Protocol):
    """What `Engine` asks of its session: the named outputs for a batch, in that order."""

    def run(self, outputs: Sequence[str], feed: Feed) -> list[NDArray[np.float32]]: ...


def float_graph(path: Path) -> onnx.ModelProto:
    """The packaged graph with its int8 weights unpacked to float32, as ONNX Runtime unpacks them at load."""
    model = onnx.load(str(path))
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes = []
    for node in model.graph.node:
        if node.op_type != "DequantizeLinear" or not all(name in tensors for name in node.input):
            nodes.append(node)
            continue
        integers, scale = (numpy_helper.to_array(tensors.pop(name)) for name in node.input[:2])
        axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)
        shape = [-1 if position == axis else 1 for position in range(integers.ndim)]
        value = integers.astype(np.float32) * scale.reshape(shape)
        tensors[node.output[0]] = numpy_helper.from_array(value, node.output[0])
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(tensors.values())
    return model


def windows_of(engine: Engine, texts: Sequence[str]) -> list[list[list[int]]]:
    """The windows of every text, as the analyser makes them; none for a text that is not scored."""
    found = []
    for norm in map(normalise, texts):
        encoding = engine.tokenizer.encode(norm.text, add_special_tokens=False)
        ranges = split_windows(norm.text, encoding.offsets, engine.window) if norm.status == "ok" else []
        found.append([encoding.ids[start:end] for start, end in ranges])
    return found


def calibration_feeds(engine: Engine, texts: Sequence[str], count: int, seed: int = 5) -> list[Feed]:
    """Windows of `count` of the texts, one a batch: padding must not take part in the scales."""
    chosen = random.Random(seed).sample(list(texts), min(count, len(texts)))
    feeds: list[Feed] = []
    for window in (window for windows in windows_of(engine, chosen) for window in windows):
        ids = np.array([[*engine._prefix, *window, *engine._suffix]], dtype=np.int64)
        feeds.append({"input_ids": ids, "attention_mask": np.ones_like(ids)})
    return feeds


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, feeds: Sequence[Feed]) -> None:
        self._feeds = iter(feeds)

    def get_next(self) -> Feed | None:
        return next(self._feeds, None)


def products_of(graph: onnx.ModelProto) -> tuple[list[str], list[str]]:
    """Names of the products with a weight of the encoder, which may be in int8, and of all others.

    Those are the products between tokens and the heads: a few percent of the operations, and with them in int8 joint
    F1 lost tens of points.
    """
    weights = {tensor.name for tensor in graph.graph.initializer if tensor.name.startswith("encoder.encoder.")}
    named = [(node.name, not weights.isdisjoint(node.input)) for node in graph.graph.node
             if node.op_type in PRODUCTS]  # fmt: skip
    return [name for name, inner in named if inner], [name for name, inner in named if not inner]


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
    narrow = not set(WIDE) & set(units())
    chosen, _ = chosen_products(graph, keep)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory() as scratch:
        exact, packed = Path(scratch) / "float32.onnx", Path(scratch) / "int8.onnx"
        onnx.save(graph, str(exact))
        quantize_static(
            str(exact), str(packed), _Reader(feeds), quant_format=QuantFormat.QDQ, op_types_to_quantize=["MatMul"],
            per_channel=True, reduce_range=narrow, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
            nodes_to_quantize=chosen, extra_options={"MatMulConstBOnly": True},
        )  # fmt: skip
        session = onnxruntime.InferenceSession(str(packed), options, providers=["CPUExecutionProvider"])
    return session, {"precision": "int8", "products": len(chosen), "weight_bits": 7 if narrow else 8}


class OpenVino:
    """An OpenVINO model, compiled for the CPU as the product compiles its own, as a session.

    `precision` is what it computes in, which is not what was asked for where the processor lacks the units.
    """

    multiple, padding = runtimes.OpenVino.multiple, runtimes.OpenVino.padding

    def __init__(self, model: Any, asked: str, threads: int) -> None:
        import openvino

        settings = runtimes.openvino_settings(asked, threads)
        compiled = openvino.Core().compile_model(model, "CPU", settings)
        self.precision = str(compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name())
        self._request = compiled.create_infer_request()

    def run(self, outputs: Sequence[str], feed: Feed) -> list[NDArray[np.float32]]:
        found = self._request.infer(dict(feed))
        return [found[name] for name in outputs]


def read_openvino(graph: onnx.ModelProto) -> Any:
    """The graph as an OpenVINO model."""
    import openvino

    return openvino.Core().read_model(graph.SerializeToString())


def openvino_int8(
    graph: onnx.ModelProto, feeds: Sequence[Feed], threads: int, *, keep: str | None = None
) -> tuple[Session, dict[str, Any]]:
    """OpenVINO in int8 by NNCF's quantisation for transformers, with scales from the calibration texts.

    The encoder's products, as in `static_int8`, `keep` too, and weights of seven bits where that has them. All else is
    in bfloat16 where the processor has units for it.
    """
    os.environ.setdefault("NNCF_CI", "1")  # otherwise it reports its use over the network
    import nncf
    from nncf.quantization.advanced_parameters import (
        AdvancedQuantizationParameters,
        OverflowFix,
    )

    nncf.set_log_level("ERROR")
    narrow = not set(WIDE) & set(units())
    chosen, rest = chosen_products(graph, keep)
    quantised = nncf.quantize(
        read_openvino(graph),
        nncf.Dataset(list(feeds)),
        model_type=nncf.ModelType.TRANSFORMER,
        target_device=nncf.TargetDevice.CPU,
        subset_size=len(feeds),
        # OpenVINO splits a Gemm into a product and a sum.
        ignored_scope=nncf.IgnoredScope([*rest, *(f"{name}/WithoutBiases" for name in rest)], validate=False),
        advanced_parameters=AdvancedQuantizationParameters(
            overflow_fix=OverflowFix.ENABLE if narrow else OverflowFix.DISABLE
        ),
    )
    session = OpenVino(quantised, "bf16", threads)
    settings = {"precision": "int8", "rest": session.precision, "products": len(chosen)}
    return session, settings | {"weight_bits": 7 if narrow else 8}
