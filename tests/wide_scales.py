"""Scales for int8 that no text has been looked at for."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sentiment.int8 import Scales
from training.int8 import float_graph, products_of, write_int8


def give_scales(folder: Path) -> None:
    """Gives a checkpoint scales that are wide enough for a tiny one."""
    graph = float_graph(folder / "model.onnx")
    shapes = {tensor.name: tensor.dims for tensor in graph.graph.initializer}
    inner = set(products_of(graph)[0])
    scales = {
        node.name: Scales(np.ones(shapes[node.input[1]][0], np.float32), -4.0, 4.0)
        for node in graph.graph.node if node.name in inner
    }  # fmt: skip
    write_int8(folder, scales)
