"""int8.onnx: the same function as its scales say, and no weights of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from sentiment.checkpoint import INT8, INT8_GRAPH, embedded_folder
from sentiment.engine import OUTPUTS
from sentiment.int8 import Scales, read_graph, read_scales
from training.drift import ExportError
from training.int8 import float_graph
from training.int8_graph import int8_graph

FEED = {"input_ids": np.array([[0, 7, 9, 30, 2, 1]]), "attention_mask": np.array([[1, 1, 1, 1, 1, 0]])}


@pytest.fixture
def folder(tmp_path: Path, int8_checkpoint: Path) -> Path:
    return Path(shutil.copytree(int8_checkpoint, tmp_path / "copy"))


def answers(graph: Path | onnx.ModelProto) -> list[NDArray[np.float32]]:
    """What the graph says, operation by operation: nothing is fused."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    model = graph.SerializeToString() if isinstance(graph, onnx.ModelProto) else str(graph)
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return list(session.run(OUTPUTS, FEED))


def test_int8_graph_is_valid_and_near_the_float_one(folder: Path) -> None:
    onnx.checker.check_model(str(folder / INT8_GRAPH), full_check=True)
    exact, found = answers(float_graph(folder / "model.onnx")), answers(folder / INT8_GRAPH)
    for one, other in zip(exact, found, strict=True):
        assert one.shape == other.shape
        assert 0 < np.abs(one - other).max() < 0.3


def test_int8_graph_of_finer_steps_is_the_float_one(folder: Path) -> None:
    """Rescaling alone changes nothing: what is left of the difference is what steps round."""
    scales = {name: _rescaled(found) for name, found in read_scales(folder / INT8).items()}
    graph, _ = int8_graph(folder / "model.onnx", scales)
    for node in graph.graph.node:  # without steps: what would be rounded passes as it is
        if node.op_type == "DequantizeLinear" and node.output[0].endswith("/weight"):
            node.op_type = "Mul"
            del node.input[2:], node.attribute[:]
        elif node.op_type in ("QuantizeLinear", "DequantizeLinear", "Round") or node.name.endswith("/integers/Cast"):
            node.op_type = "Identity"
            del node.input[1:], node.attribute[:]
    path = folder / "exact.onnx"
    path.write_bytes(graph.SerializeToString())
    for one, other in zip(answers(float_graph(folder / "model.onnx")), answers(path), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_int8_graph_products_that_read_the_same_may_have_scales_of_their_own(folder: Path) -> None:
    """Query, key and value read one activation; what one is divided by, another is not multiplied with."""
    own = {}
    for at, (name, found) in enumerate(sorted(read_scales(folder / INT8).items())):
        factor = 2.0 ** (at % 3 - 1)
        own[name] = Scales(found.smooth * factor, found.low * factor, found.high * factor)
    (folder / "own.onnx").write_bytes(int8_graph(folder / "model.onnx", own)[0].SerializeToString())
    exact = answers(float_graph(folder / "model.onnx"))
    for one, other in zip(exact, answers(folder / "own.onnx"), strict=True):
        assert 0 < np.abs(one - other).max() < 0.3


def _rescaled(found: Scales) -> Scales:
    factors = np.geomspace(0.25, 4, len(found.smooth)).astype(np.float32)
    return Scales(found.smooth * factors, found.low, found.high)


def test_int8_graph_reads_its_weights_from_model_onnx(folder: Path) -> None:
    graph = onnx.load(str(folder / INT8_GRAPH), load_external_data=False)
    packed = {tensor.name: tensor for tensor in onnx.load(str(folder / "model.onnx")).graph.initializer}
    content = (folder / "model.onnx").read_bytes()
    elsewhere = [tensor for tensor in graph.graph.initializer if tensor.external_data]
    assert len(elsewhere) > 3
    for tensor in elsewhere:
        at = {entry.key: entry.value for entry in tensor.external_data}
        assert at["location"] == "model.onnx" and not tensor.raw_data
        start = int(at["offset"])
        assert content[start : start + int(at["length"])] == packed[tensor.name].raw_data


def test_int8_graph_of_the_packaged_checkpoint_is_what_its_scales_make_and_small() -> None:
    folder = embedded_folder()
    graph, places = int8_graph(folder / "model.onnx", read_scales(folder / INT8))
    content, weights = read_graph(folder)
    assert graph.SerializeToString() == content and len(content) < 1_000_000
    assert {name: (rows, columns) for name, (_, rows, columns) in places.items()} == {
        name: weight.shape for name, weight in weights.items()
    }


def test_int8_graph_looks_up_rows_of_int8(folder: Path) -> None:
    graph = onnx.load(str(folder / INT8_GRAPH)).graph
    kinds = {tensor.name: tensor.data_type for tensor in graph.initializer}
    ids = [node for node in graph.node if node.op_type == "Gather" and node.input[1] == "input_ids"]
    assert sorted(kinds[node.input[0]] for node in ids) == [onnx.TensorProto.FLOAT, onnx.TensorProto.INT8]


def test_int8_graph_refuses_a_product_that_is_not_there(folder: Path) -> None:
    scales = read_scales(folder / INT8)
    with pytest.raises(ExportError, match=r"^expected a product no such in model\.onnx, found none; make no scales"):
        int8_graph(folder / "model.onnx", {**scales, "no such": next(iter(scales.values()))})


def test_int8_graph_refuses_a_product_without_a_weight(folder: Path) -> None:
    graph = onnx.load(str(folder / "model.onnx"))
    name = next(iter(read_scales(folder / INT8)))
    (node,) = (node for node in graph.graph.node if node.name == name)
    node.input[1] = node.input[0]
    onnx.save(graph, str(folder / "model.onnx"))
    with pytest.raises(ExportError, match=r"^expected a weight in .*, found none; make no scales"):
        int8_graph(folder / "model.onnx", read_scales(folder / INT8))


def test_int8_graph_takes_weights_that_are_floats(folder: Path) -> None:
    """As a small one is kept."""
    graph, scales = float_graph(folder / "model.onnx"), read_scales(folder / INT8)
    onnx.save(graph, str(folder / "model.onnx"))
    found, _ = int8_graph(folder / "model.onnx", scales)
    (folder / "other.onnx").write_bytes(found.SerializeToString())
    for one, other in zip(answers(graph), answers(folder / "other.onnx"), strict=True):
        assert 0 < np.abs(one - other).max() < 0.3


def test_int8_graph_quantises_once_what_several_products_read(folder: Path) -> None:
    graph = onnx.load(str(folder / INT8_GRAPH)).graph
    quantised = [node for node in graph.node if node.op_type == "QuantizeLinear"]
    products = read_scales(folder / INT8)
    assert len(quantised) == len(products) * 4 // 6  # query, key and value read the same
    steps = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    assert all(steps[node.input[1]] == np.float32(8 / 255) for node in quantised)


@pytest.mark.parametrize(("low", "high"), [(-1.0, 3.0), (0.5, 2.0), (-3.0, -1.0), (0.0, 0.0)])
def test_int8_graph_has_a_step_for_nought_whatever_the_range(folder: Path, low: float, high: float) -> None:
    scales = {name: Scales(found.smooth, low, high) for name, found in read_scales(folder / INT8).items()}
    graph, _ = int8_graph(folder / "model.onnx", scales)
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.graph.initializer if tensor.raw_data}
    node = next(node for node in graph.graph.node if node.op_type == "QuantizeLinear")
    step, zero = float(tensors[node.input[1]]), int(tensors[node.input[2]])
    least, most = ((end - zero) * step for end in (0, 255))
    assert step > 0
    assert abs(least - min(low, 0)) <= step + 1e-30 and abs(most - max(high, 0)) <= step + 1e-30
