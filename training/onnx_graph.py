"""The model as an ONNX graph: standard operators alone, plain attention, weights under their PyTorch names."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

from sentiment.engine import OUTPUTS
from training.model import CinesentModel


class _Graph(nn.Module):
    """The model with plain tensors in and out, as the exporter wants it."""

    def __init__(self, model: CinesentModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor | None, ...]:
        output = self.model(input_ids, attention_mask)
        return tuple(getattr(output, name) for name in OUTPUTS)


def write_onnx(model: CinesentModel, path: Path) -> None:
    """Writes the float32 graph with free batch and token axes; its weights keep the names of the PyTorch model."""
    model = model.eval().cpu()  # type: ignore[no-untyped-call]
    ids = torch.ones(3, 11, dtype=torch.int64)
    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens")}
    attention = model.encoder.config._attn_implementation
    # Of torch's fused attention the exporter also writes the guard against rows of nothing but padding, which looks at
    # every weight in every layer: long texts pay for it. Eager attention is two products, a mask and a softmax.
    model.encoder.set_attn_implementation("eager")
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                _Graph(model), (ids, torch.ones_like(ids)), str(path),
                input_names=["input_ids", "attention_mask"], output_names=list(OUTPUTS),
                dynamic_shapes={"input_ids": axes, "attention_mask": axes}, dynamo=True, external_data=False,
                verbose=False,
            )  # fmt: skip
    finally:
        model.encoder.set_attn_implementation(attention)
    graph = onnx.load(str(path))
    _name_weights(graph, {name: tensor.numpy() for name, tensor in model.state_dict().items()})
    _strip(graph)
    onnx.save(graph, str(path))


def _strip(graph: onnx.ModelProto) -> None:
    """Removes what the exporter notes about its own run: stack traces, with the paths of the machine."""
    inner = graph.graph
    for part in (graph, inner, *inner.node, *inner.value_info, *inner.initializer, *inner.input, *inner.output,
                 *graph.functions, *(node for function in graph.functions for node in function.node)):  # fmt: skip
        part.ClearField("doc_string")
        part.ClearField("metadata_props")


def _name_weights(graph: onnx.ModelProto, state: dict[str, NDArray[Any]]) -> None:
    """Names every weight after the parameter it holds (`.T` where transposed), so that it can be read back."""
    digests = {}
    for name, value in state.items():
        digests[_digest(value)] = name
        if value.ndim == 2:
            digests.setdefault(_digest(value.T), f"{name}.T")
    renamed = {}
    for tensor in graph.graph.initializer:
        found = digests.get(_digest(numpy_helper.to_array(tensor)))
        plain = tensor.name.removeprefix("model.")
        new = found or (plain if plain in state else None)
        if new and new != tensor.name:
            renamed[tensor.name] = new
            tensor.name = new
    for node in graph.graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
    for info in list(graph.graph.value_info):
        if info.name in renamed:
            graph.graph.value_info.remove(info)


def _digest(value: NDArray[Any]) -> bytes:
    return hashlib.sha1(np.ascontiguousarray(value).tobytes() + repr(value.shape).encode()).digest()
