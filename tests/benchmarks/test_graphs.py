"""Changed graphs answer as the exported one does."""

from __future__ import annotations

import onnx
import pytest

from benchmarks import variants
from benchmarks.engines import engine_on
from benchmarks.graphs import PIECES, GraphError, fused, halves, pruned
from benchmarks.variants import (
    fused_session,
)
from sentiment.checkpoint import Checkpoint
from sentiment.engine import OUTPUTS, Engine
from tests.benchmarks.sides import largest
from training.int8 import float_graph


def test_graphs_fused_attention_takes_the_place_of_every_layers(
    checkpoint: Checkpoint, engine: Engine, texts: list[str]
) -> None:
    graph = float_graph(checkpoint.folder / "model.onnx")
    found = fused(graph, int(checkpoint.config["encoder"]["num_attention_heads"]))
    kinds = [node.op_type for node in found.graph.node]
    assert kinds.count("Attention") == 2 and "Softmax" not in kinds
    assert [value.name for value in found.graph.output] == list(OUTPUTS)
    assert largest(engine, engine_on(checkpoint, fused_session(checkpoint, 1), 1), texts) < 1e-4
    # With other heads it is another model: the comparison can fail.
    other = engine_on(checkpoint, variants.float_session(fused(graph, 1), 1), 1)
    assert largest(engine, other, texts) > 1e-4


def test_graphs_halves_are_the_whole_together(checkpoint: Checkpoint) -> None:
    encoder, heads = halves(float_graph(checkpoint.folder / "model.onnx"))
    names = [[value.name for value in graph.graph.input] for graph in (encoder, heads)]
    assert names == [["input_ids", "attention_mask", "positions", "attention_bias"], ["hidden", "attention_mask"]]
    weights = [{tensor.name for tensor in graph.graph.initializer} for graph in (encoder, heads)]
    assert PIECES in weights[0] and "mention_weight" in weights[1]
    assert not any(name.startswith("encoder.encoder.") and name.endswith(".T") for name in weights[1])


def test_graphs_refuse_what_the_exporter_does_not_write() -> None:
    empty = onnx.helper.make_model(onnx.helper.make_graph([], "none", [], []))
    for make in (lambda: pruned(empty, [1]), lambda: halves(float_like(empty))):
        with pytest.raises(GraphError, match=r"expected .* found"):
            make()


def float_like(graph: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with inputs of the right names, and nothing between."""
    ints = onnx.TensorProto.INT64
    for name in ("input_ids", "attention_mask"):
        graph.graph.input.append(onnx.helper.make_tensor_value_info(name, ints, ["batch", "tokens"]))
    return graph
