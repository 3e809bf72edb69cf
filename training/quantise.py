"""Weights of a graph as int8, with one scale an output channel, and back to those of the PyTorch model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor

INTEGERS, SCALE = "_int8", "_scale"


def quantise(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Stores every matrix as int8 with one scale an output channel; arithmetic stays in float.

    Activations are not quantised, so nothing can depend on a batch: ONNX Runtime's plain dynamic quantisation takes
    its scales from whatever texts happen to be together.
    """
    quantised = onnx.ModelProto()
    quantised.CopyFrom(graph)
    keep, added = [], []
    for tensor in quantised.graph.initializer:
        value = numpy_helper.to_array(tensor)
        if value.ndim != 2 or value.size < 4096 or value.dtype != np.float32:
            keep.append(tensor)
            continue
        axis = 1 if tensor.name.endswith(".T") else 0
        scale = np.abs(value).max(1 - axis, keepdims=True) / 127
        scale[scale == 0] = 1
        integers = np.clip(np.rint(value / scale), -127, 127).astype(np.int8)
        keep.append(numpy_helper.from_array(integers, f"{tensor.name}{INTEGERS}"))
        keep.append(numpy_helper.from_array(scale.reshape(-1).astype(np.float32), f"{tensor.name}{SCALE}"))
        inputs = [f"{tensor.name}{INTEGERS}", f"{tensor.name}{SCALE}"]
        added.append(onnx.helper.make_node("DequantizeLinear", inputs, [tensor.name], axis=axis))
    del quantised.graph.initializer[:]
    quantised.graph.initializer.extend(keep)
    nodes = list(quantised.graph.node)
    del quantised.graph.node[:]
    quantised.graph.node.extend([*added, *nodes])
    return quantised


def read_back(folder: Path) -> dict[str, Tensor]:
    """The weights of a packaged checkpoint, by the names of the PyTorch model."""
    graph = onnx.load(str(folder / "model.onnx")).graph
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    state = {}
    for name, value in tensors.items():
        if name.endswith(SCALE) or value.dtype == np.int64:
            continue
        if name.endswith(INTEGERS):
            name = name.removesuffix(INTEGERS)
            scale = tensors[f"{name}{SCALE}"]
            value = value.astype(np.float32) * (scale[None, :] if name.endswith(".T") else scale[:, None])
        plain = name.removesuffix(".T")
        state[plain] = torch.from_numpy(np.array(value.T if name.endswith(".T") else value))
    return state
