"""The graph that ONNX Runtime multiplies in int8, kept as int8.onnx: that of model.onnx with quantised activations.

Activations are rescaled and cut off by the scales that `training.int8` has found, then quantised by fixed steps (QDQ,
standard operators alone); weights, rescaled the other way, have one step an output channel. Steps of a batch would make
a record depend on its neighbours. The file holds no weights: those are read from model.onnx beside it, and rescaled
once, when ONNX Runtime folds constants at load.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import set_external_data

from sentiment.int8 import STEPS, Place, Scales
from training.drift import ExportError

LEVELS = 255  # of an activation, above the least
NEW = "int8/"  # before the names of what is added
LARGE = 1024  # bytes from which a tensor of model.onnx is left there
REMEDY = "make no scales (leave --int8 out)"


def int8_graph(path: Path, scales: Mapping[str, Scales]) -> tuple[onnx.ModelProto, dict[str, Place]]:
    """A graph with the same inputs and outputs, to be saved beside `path`, a model.onnx; and where in that its weights
    are, by their names.

    Args:
        scales: by the names of the products that are to be in int8.

    Raises:
        ExportError: a product is not there, or has no weight of its own.
    """
    packed = onnx.load(str(path))
    made = _Graph(packed)
    left = dict(scales)
    for node in packed.graph.node:
        found = left.pop(node.name, None) if node.op_type == "MatMul" else None
        if found is not None:
            made.product(node, found)
        elif node.op_type == "Gather" and not any(found.i for found in node.attribute) and made.is_table(node.input[0]):
            made.rows(node)
        elif not made.is_stored(node):
            made.nodes.append(node)
    if left:
        raise ExportError(f"expected a product {next(iter(left))} in {path.name}, found none; {REMEDY}")
    nodes = [*made.weights(), *made.nodes]
    read = {name for node in nodes for name in node.input}
    whole = onnx.ModelProto()
    whole.CopyFrom(packed)
    del whole.graph.node[:], whole.graph.initializer[:], whole.graph.value_info[:]
    whole.graph.node.extend(nodes)
    content = path.read_bytes()
    places: dict[str, Place] = {}
    for tensor in packed.graph.initializer:
        if tensor.name not in read:
            continue
        at = content.find(tensor.raw_data) if _is_large(tensor) else -1
        if at >= 0:
            places[tensor.name] = (at, tensor.dims[0], tensor.dims[1])
            tensor = _elsewhere(tensor, path.name, at)
        whole.graph.initializer.append(tensor)
    whole.graph.initializer.extend(made.tensors)
    return whole, places


def product_graph() -> onnx.ModelProto:
    """sentiment/int8_product.onnx, one product of eight bits, by which `sentiment.int8` tries a processor."""
    kinds = {"left": (TensorProto.UINT8, "mk"), "right": (TensorProto.INT8, "kn"), "sums": (TensorProto.INT32, "mn")}
    left, right, sums = (helper.make_tensor_value_info(name, kind, [*axes]) for name, (kind, axes) in kinds.items())
    product = helper.make_node("MatMulInteger", ["left", "right"], ["sums"])
    graph = helper.make_graph([product], "int8_product", [left, right], [sums])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def _is_large(tensor: TensorProto) -> bool:
    """A matrix of bytes, which need no alignment, that is worth leaving where it is."""
    return tensor.data_type == TensorProto.INT8 and len(tensor.dims) == 2 and len(tensor.raw_data) >= LARGE


def _elsewhere(tensor: TensorProto, location: str, at: int) -> TensorProto:
    """The tensor without its values, which are in a file from a byte on."""
    found = TensorProto()
    found.CopyFrom(tensor)
    set_external_data(found, location, at, len(tensor.raw_data))
    found.ClearField("raw_data")
    return found


class _Graph:
    """Nodes in order, and the tensors that they need beside those of model.onnx."""

    def __init__(self, packed: onnx.ModelProto) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: list[TensorProto] = []
        self._known = {tensor.name: tensor for tensor in packed.graph.initializer}
        # Weights in int8 by the name of the float one, and what else than a look-up reads that.
        self._stored = {
            node.output[0]: node for node in packed.graph.node
            if node.op_type == "DequantizeLinear" and all(name in self._known for name in node.input)
        }  # fmt: skip
        self._read = {name for node in packed.graph.node if node.op_type != "Gather" for name in node.input}
        self._activations: dict[tuple[str, bytes, float, float], str] = {}

    def is_stored(self, node: onnx.NodeProto) -> bool:
        """Whether the node only unpacks a weight."""
        return bool(node.output) and self._stored.get(node.output[0]) is node

    def is_table(self, name: str) -> bool:
        """Whether a weight in int8, a step a row, has its rows looked up and is not read otherwise."""
        return name in self._stored and name not in self._read and self._axis(name) == 0

    def weights(self) -> list[onnx.NodeProto]:
        """What makes floats of the weights in int8 that are read as such; constant, so that it is done at load alone.

        Not DequantizeLinear: ONNX Runtime would take that for a sign of int8 arithmetic, and do it in every run.
        """
        read = {name for node in self.nodes for name in node.input}
        found = []
        for name, node in self._stored.items():
            if name in read:
                integers, size = node.input[:2]
                shape = (-1, 1) if self._axis(name) == 0 else (1, -1)
                sizes = self._tensor(f"{NEW}{name}/size", self._value(size).reshape(shape))
                found.append(_node("Cast", [integers], f"{NEW}{name}/cast", to=TensorProto.FLOAT))
                found.append(_node("Mul", [found[-1].output[0], sizes], name))
        return found

    def product(self, node: onnx.NodeProto, scales: Scales) -> None:
        """A product of a quantised activation and a quantised weight."""
        weight = node.input[1]
        if weight not in self._stored and weight not in self._known:
            raise ExportError(f"expected a weight in {node.name}, found none; {REMEDY}")
        name = f"{NEW}{node.name}"
        values, size = self._parts(weight)
        step = np.maximum(np.abs(values * size / scales.smooth[:, None]).max(0) / STEPS, np.finfo(np.float32).tiny)
        # Few operations on whole weights: the first record waits for them.
        inward = self._tensor(f"{name}/inward", (1 / scales.smooth).reshape(-1, 1))
        outward = self._tensor(f"{name}/outward", (size / step).astype(np.float32))
        steps = self._tensor(f"{name}/steps", step.astype(np.float32))
        zeros = self._tensor(f"{name}/zeros", np.zeros(step.size, np.int8))
        source = self._activation(node.input[0], scales)
        if weight in self._stored:
            weight = self._add("Cast", [self._stored[weight].input[0]], f"{name}/floats", to=TensorProto.FLOAT)
        rescaled = self._add("Mul", [weight, inward], f"{name}/rescaled")
        rounded = self._add("Round", [self._add("Mul", [rescaled, outward], f"{name}/exact")], f"{name}/rounded")
        integers = self._add("Cast", [rounded], f"{name}/integers", to=TensorProto.INT8)
        quantised = self._add("DequantizeLinear", [integers, steps, zeros], f"{name}/weight", axis=1)
        made = onnx.NodeProto()
        made.CopyFrom(node)
        made.input[:] = [source, quantised]
        self.nodes.append(made)

    def rows(self, node: onnx.NodeProto) -> None:
        """A look-up in a table of int8, whose rows alone become floats: the same as those of the float table."""
        integers, size = self._stored[node.input[0]].input[:2]
        name = f"{NEW}{node.output[0]}"
        sizes = f"{NEW}{node.input[0]}/size"
        if all(tensor.name != sizes for tensor in self.tensors):
            self._tensor(sizes, self._value(size).reshape(-1, 1))
        rows = self._add("Gather", [integers, node.input[1]], f"{name}/rows")
        floats = self._add("Cast", [rows], f"{name}/floats", to=TensorProto.FLOAT)
        self._add("Mul", [floats, self._add("Gather", [sizes, node.input[1]], f"{name}/sizes")], node.output[0])

    def _activation(self, source: str, scales: Scales) -> str:
        """What products read in place of `source`: rescaled, and rounded to a step; once for all that read it so."""
        key = (source, scales.smooth.tobytes(), scales.low, scales.high)
        if key not in self._activations:
            name = f"{NEW}{len(self._activations)}"
            low, high = min(scales.low, 0.0), max(scales.high, 0.0)  # nought is a step of its own
            step = np.maximum(np.float32((high - low) / LEVELS), np.finfo(np.float32).tiny)
            zero = np.uint8(np.rint(-low / step))
            steps = [self._tensor(f"{name}/step", np.asarray(step)), self._tensor(f"{name}/zero", np.asarray(zero))]
            rescaled = self._add("Mul", [source, self._tensor(f"{name}/smooth", scales.smooth)], f"{name}/rescaled")
            rounded = self._add("QuantizeLinear", [rescaled, *steps], f"{name}/rounded")
            self._activations[key] = self._add("DequantizeLinear", [rounded, *steps], f"{name}/values")
        return self._activations[key]

    def _axis(self, name: str) -> int:
        return next((found.i for found in self._stored[name].attribute if found.name == "axis"), 1)

    def _value(self, name: str) -> NDArray[np.float32]:
        return numpy_helper.to_array(self._known[name])

    def _parts(self, name: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """A weight as a matrix and what its columns are multiplied with."""
        if name not in self._stored:
            return self._value(name), np.ones(1, np.float32)
        if self._axis(name) != 1:
            raise ExportError(f"expected a step a column of {name}, found one a row; {REMEDY}")
        integers, size = (self._value(part) for part in self._stored[name].input[:2])
        return integers.astype(np.float32), size

    def _add(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        self.nodes.append(_node(kind, inputs, output, **attributes))
        return output

    def _tensor(self, name: str, value: NDArray[np.generic]) -> str:
        self.tensors.append(numpy_helper.from_array(value, name))
        return name


def _node(kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(kind, inputs, [output], name=f"{output}/{kind}", **attributes)
