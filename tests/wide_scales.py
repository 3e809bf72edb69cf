"""Scales for int8 that no text has been looked at for, and rules that were fitted to nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from sentiment.checkpoint import INT8, INT8_GRAPH, load_checkpoint
from sentiment.int8 import Scales, _read, read_scales, write_scales
from sentiment.scaling import Scaling
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


def keep_rules(folder: Path, threshold: float) -> None:
    """Other rules beside the scales of a checkpoint: every threshold alike, and mentions twice as sure."""
    metadata, _ = _read(folder / INT8)
    checkpoint = load_checkpoint(folder)
    rules = {
        **Scaling({"mention": 0.5}).to_config(),
        "thresholds": dict.fromkeys((*checkpoint.taxonomy.keys, "escalation"), threshold),
        "uncertain": {**checkpoint.uncertain, "overall": 0.25},
    }
    places = json.loads(metadata["weights"])
    write_scales(folder / INT8, read_scales(folder / INT8), metadata["model.onnx"], metadata[INT8_GRAPH], places, rules)
