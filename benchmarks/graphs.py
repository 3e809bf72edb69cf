"""The checkpoint's graph cut up and put together otherwise: attention fused, encoder and heads apart, fewer pieces.

Weights are found by the names that `training.onnx_graph` gives them, everything else by how nodes follow one another:
tensors without names depend on the exporter.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

LAYER = "encoder.encoder.layer"
PIECES = "encoder.embeddings.word_embeddings.weight"
POSITIONS = "encoder.embeddings.position_embeddings.weight"
MICROSOFT = "com.microsoft"
MASKED = -1e4  # added to a score: its exponential is nothing in float32


class GraphError(ValueError):
    """A graph that is not of the form that `training.onnx_graph` writes; the message says what was looked for."""


class Nodes:
    """Who makes a tensor and who reads it."""

    def __init__(self, graph: onnx.ModelProto) -> None:
        self.all = list(graph.graph.node)
        self.tensors = {tensor.name: tensor for tensor in graph.graph.initializer}
        self.maker = {name: node for node in self.all for name in node.output}
        self.readers: dict[str, list[Any]] = {}
        for node in self.all:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)

    def only(self, what: str, found: Collection[Any]) -> Any:
        """The one that was found.

        Raises:
            GraphError: none, or several.
        """
        if len(found) != 1:
            raise GraphError(f"expected one {what} in the graph, found {len(found)}; export it with this version")
        return next(iter(found))

    def product(self, weight: str) -> Any:
        """The product with a weight."""
        return self.only(f"product with {weight}", [n for n in self.readers.get(weight, ()) if n.op_type == "MatMul"])

    def bias(self, product: Any, size: int) -> NDArray[np.float32]:
        """What is added to a product; the exporter leaves out a bias of nothing but zeros."""
        for node in self.readers.get(product.output[0], ()):
            known = [name for name in node.input if name in self.tensors]
            if node.op_type == "Add" and known:
                found: NDArray[np.float32] = numpy_helper.to_array(self.tensors[known[0]])
                return found
        return np.zeros(size, dtype=np.float32)

    def norm_after(self, product: Any) -> Any:
        """The layer norm that a product's result runs into, over its bias and the residual."""
        node = product
        while node.op_type != "LayerNormalization":
            node = self.only(f"reader of {node.output[0]}", self.readers.get(node.output[0], ()))
        return node

    def attention_bias(self) -> str:
        """What every layer adds to its scores before their softmax: the mask.

        Scores are a product of tokens, or one that is scaled: the factor is on either side of the product.
        """
        added = set()
        for node in self.all:
            if node.op_type == "Softmax" and (total := self.maker.get(node.input[0])) is not None:
                scores = {name for name in total.input if self._is_product(name)}
                if total.op_type == "Add" and len(scores) == 1:
                    added |= set(total.input) - scores
        return str(self.only("mask of the attention", added))

    def _is_product(self, name: str) -> bool:
        made = self.maker.get(name)
        if made is not None and made.op_type == "Mul":
            made = next((self.maker[part] for part in made.input if part in self.maker), None)
        return made is not None and made.op_type == "MatMul"

    def layers(self) -> int:
        """How many layers the encoder has."""
        names = (name.removeprefix(f"{LAYER}.").split(".") for name in self.tensors if name.startswith(LAYER))
        return 1 + max((int(parts[0]) for parts in names), default=-1)


def part(
    graph: onnx.ModelProto, inputs: Sequence[Any], outputs: Sequence[Any], replaced: Sequence[Any] = ()
) -> onnx.ModelProto:
    """The nodes between these inputs and outputs, value infos all.

    Args:
        replaced: nodes that make what others made in the graph.
    """
    made = {name for node in replaced for name in node.output}
    nodes = [node for node in graph.graph.node if made.isdisjoint(node.output)]
    maker = {name: node for node in [*nodes, *replaced] for name in node.output}
    given = {value.name for value in inputs}
    ordered: list[Any] = []
    seen: set[str] = set(given)
    stack: list[tuple[str, bool]] = [(value.name, False) for value in reversed(outputs)]
    while stack:  # depth first: a node comes after what makes its inputs
        name, done = stack.pop()
        if done:
            ordered.append(maker[name])
            continue
        if name in seen or name not in maker:
            continue
        seen |= set(maker[name].output)
        stack.append((name, True))
        stack += [(before, False) for before in maker[name].input]
    read = {name for node in ordered for name in node.input}
    kept = [tensor for tensor in graph.graph.initializer if tensor.name in read and tensor.name not in given]
    opsets = [*graph.opset_import, helper.make_opsetid(MICROSOFT, 1)]
    found = helper.make_model(helper.make_graph(ordered, "part", list(inputs), list(outputs), kept),
                              opset_imports=opsets)  # fmt: skip
    found.ir_version = graph.ir_version
    return found


def fused(graph: onnx.ModelProto, heads: int) -> onnx.ModelProto:
    """A float32 graph with each layer's attention as the one operator that ONNX Runtime has for it.

    ONNX Runtime's own optimiser for transformers does not find attention in what the exporter writes
    (`optimiser_finds`), so it is put in here.
    """
    nodes = Nodes(graph)
    mask = helper.make_node("Cast", ["attention_mask"], ["fused_mask"], name="fused_mask", to=TensorProto.INT32)
    new, tensors = [mask], []
    for layer in range(nodes.layers()):
        own = f"{LAYER}.{layer}.attention"
        products = [nodes.product(f"{own}.self.{name}.weight.T") for name in ("query", "key", "value")]
        weights = [numpy_helper.to_array(nodes.tensors[product.input[1]]) for product in products]
        biases = [nodes.bias(product, weight.shape[1]) for product, weight in zip(products, weights, strict=True)]
        inputs = [f"fused_{layer}_weight", f"fused_{layer}_bias"]
        joined = (np.concatenate(weights, axis=1), np.concatenate(biases))
        tensors += [numpy_helper.from_array(value, name) for value, name in zip(joined, inputs, strict=True)]
        output = nodes.product(f"{own}.output.dense.weight.T").input[0]
        new.append(
            helper.make_node(
                "Attention", [products[0].input[0], *inputs, "fused_mask"], [output], name=f"fused_{layer}",
                domain=MICROSOFT, num_heads=heads, mask_filter_value=MASKED,
            )
        )  # fmt: skip
    whole = onnx.ModelProto()
    whole.CopyFrom(graph)
    whole.graph.initializer.extend(tensors)
    return part(whole, list(whole.graph.input), list(whole.graph.output), new)


def halves(graph: onnx.ModelProto) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """(encoder, heads) of a float32 graph.

    The encoder takes `positions` and `attention_bias`, which is added to all scores, from outside; of `attention_mask`
    only the shape counts. The heads take its output, `hidden`, and `attention_mask`.
    """
    nodes = Nodes(graph)
    ids, mask = graph.graph.input
    last = nodes.norm_after(nodes.product(f"{LAYER}.{nodes.layers() - 1}.output.dense.weight.T"))
    hidden = helper.make_tensor_value_info(last.output[0], TensorProto.FLOAT, ["batch", "tokens", None])
    lookup = nodes.only("position embedding", nodes.readers.get(POSITIONS, ()))
    bias = helper.make_tensor_value_info(nodes.attention_bias(), TensorProto.FLOAT, ["batch", 1, "tokens", "tokens"])
    positions = helper.make_tensor_value_info("positions", TensorProto.INT64, ["batch", "tokens"])
    placed = helper.make_node("Gather", [POSITIONS, "positions"], list(lookup.output), name="placed")
    encoder = part(graph, [ids, mask, positions, bias], [hidden], [placed])
    heads = part(graph, [hidden, mask], list(graph.graph.output))
    return _named(encoder, {bias.name: "attention_bias", hidden.name: "hidden"}), _named(heads, {hidden.name: "hidden"})


def _named(graph: onnx.ModelProto, names: dict[str, str]) -> onnx.ModelProto:
    for value in (*graph.graph.input, *graph.graph.output):
        value.name = names.get(value.name, value.name)
    for node in graph.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    return graph


def pruned(graph: onnx.ModelProto, kept: Sequence[int]) -> onnx.ModelProto:
    """A packed graph whose table of pieces has these rows alone, in this order."""
    found = onnx.ModelProto()
    found.CopyFrom(graph)
    names = [tensor.name for tensor in found.graph.initializer if tensor.name.startswith(PIECES)]
    if not names:
        raise GraphError(f"expected {PIECES} in the graph, found none; export it with this version")
    for tensor in found.graph.initializer:
        if tensor.name in names:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor)[list(kept)], tensor.name))
    return found


def table_bytes(graph: onnx.ModelProto) -> tuple[int, int]:
    """(in the file, unpacked to float32) of the table of pieces."""
    tensors = [tensor for tensor in graph.graph.initializer if tensor.name.startswith(PIECES)]
    arrays = [numpy_helper.to_array(tensor) for tensor in tensors]
    return sum(array.nbytes for array in arrays), max(
        (4 * array.size for array in arrays if array.ndim == 2), default=0
    )


def optimiser_finds(path: str, heads: int, hidden: int) -> dict[str, int]:
    """How many operators of each kind ONNX Runtime's optimiser for transformers fuses in a float32 graph."""
    from onnxruntime.transformers.optimizer import optimize_model

    optimise: Callable[..., Any] = optimize_model
    model = optimise(path, model_type="bert", num_heads=heads, hidden_size=hidden, opt_level=0)
    statistics = model.get_fused_operator_statistics()
    return {name: int(count) for name, count in statistics.items() if count or name.endswith("Attention")}
