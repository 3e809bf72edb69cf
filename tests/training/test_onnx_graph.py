"""The written graph: its form, what int8 leaves of it, and the model that is read back from it."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper

from sentiment.checkpoint import CheckpointError, load_checkpoint
from sentiment.engine import OUTPUTS, Engine
from training.example import Example
from training.model import CinesentModel
from training.packaged import load_packaged

Make = Callable[[int, int], list[Example]]


def session(folder: Path) -> onnxruntime.InferenceSession:
    found: Any = Engine(load_checkpoint(folder), threads=1)._session
    return found


def feeds(tokenizer: Any, texts: list[str]) -> dict[str, torch.Tensor]:
    return dict(tokenizer(texts, padding=True, return_tensors="pt", return_token_type_ids=False))


def answers(folder: Path, inputs: dict[str, torch.Tensor]) -> dict[str, Any]:
    found = session(folder).run(list(OUTPUTS), {name: value.numpy() for name, value in inputs.items()})
    return dict(zip(OUTPUTS, found, strict=True))


def assert_close(
    model: CinesentModel, packed: dict[str, Any], inputs: dict[str, torch.Tensor], tolerance: float
) -> None:
    with torch.no_grad():
        output = model.eval()(**inputs)
    for name in OUTPUTS:
        first, second = output[name].numpy(), packed[name]
        if name == "evidence":  # padding's log attention is −1e4, give or take
            first, second = np.maximum(first, -50), np.maximum(second, -50)
        assert first.shape == second.shape
        np.testing.assert_allclose(first, second, atol=tolerance, err_msg=name)


def test_onnx_graph_says_nothing_of_the_machine_that_made_it(tiny_checkpoint: Path) -> None:
    assert b".py" not in (tiny_checkpoint / "model.onnx").read_bytes()


def test_onnx_graph_attention_is_standard_operators_without_guards(tiny_checkpoint: Path, tiny_run: Any) -> None:
    graph = onnx.load(str(tiny_checkpoint / "model.onnx"))
    assert [opset.domain for opset in graph.opset_import] == [""] and not graph.functions
    assert {node.domain for node in graph.graph.node} <= {"", "ai.onnx"}
    kinds = [node.op_type for node in graph.graph.node]
    assert "IsNaN" not in kinds and kinds.count("Where") <= 1  # the mask, once for all layers
    maker = {name: node for node in graph.graph.node for name in node.output}
    chains = []
    for node in graph.graph.node:
        if node.op_type == "Softmax":
            added = {maker[name].op_type for name in maker[node.input[0]].input}
            readers = [reader.op_type for reader in graph.graph.node if node.output[0] in reader.input]
            chains.append((maker[node.input[0]].op_type, added, readers))
    assert chains == [("Add", {"Mul", "Where"}, ["MatMul"])] * tiny_run.model.config.encoder["num_hidden_layers"]


def test_onnx_graph_answers_as_fused_attention_does_with_padding(
    tiny_checkpoint: Path, tiny_run: Any, sample_texts: list[str]
) -> None:
    model = load_packaged(tiny_checkpoint)[0]
    assert model.encoder.config._attn_implementation == "sdpa"
    inputs = {name: value[:, :64] for name, value in feeds(tiny_run.tokenizer, sample_texts[:20]).items()}
    assert inputs["attention_mask"].eq(0).any(1).sum() > 10
    assert_close(model, answers(tiny_checkpoint, inputs), inputs, 1e-5)


def test_onnx_graph_leaves_the_model_its_attention(tiny_checkpoint: Path, tiny_run: Any) -> None:
    assert (tiny_checkpoint / "model.onnx").is_file()  # `tiny_run`, exported
    assert tiny_run.model.encoder.config._attn_implementation == "sdpa"


@pytest.mark.parametrize(("batch", "tokens"), [(1, 3), (1, 64), (5, 7), (17, 31)])
def test_onnx_graph_has_free_batch_and_token_axes(
    tiny_checkpoint: Path, tiny_run: Any, batch: int, tokens: int
) -> None:
    generator = torch.Generator().manual_seed(batch)
    ids = torch.randint(5, 400, (batch, tokens), generator=generator)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    assert_close(load_packaged(tiny_checkpoint)[0], answers(tiny_checkpoint, inputs), inputs, 1e-3)


def test_onnx_graph_axes_are_named_not_numbered(tiny_checkpoint: Path) -> None:
    for entry in session(tiny_checkpoint).get_inputs():
        assert entry.name in ("input_ids", "attention_mask") and all(isinstance(size, str) for size in entry.shape)
    assert [entry.name for entry in session(tiny_checkpoint).get_outputs()] == list(OUTPUTS)


def test_quantise_read_back_finds_every_weight_near_its_original(tiny_checkpoint: Path, tiny_run: Any) -> None:
    """Also norms that nobody trained, of which the exporter keeps one for all."""
    packed = load_packaged(tiny_checkpoint)[0].state_dict()
    for name, value in tiny_run.model.state_dict().items():
        if name.startswith("rating."):
            continue
        steps = value.abs().amax(1, keepdim=True) / 127 if value.ndim == 2 and value.numel() >= 4096 else 0.0
        assert ((packed[name] - value).abs() <= 0.51 * torch.as_tensor(steps) + 1e-6).all(), name


def test_quantise_stores_large_matrices_as_int8(tiny_checkpoint: Path) -> None:
    tensors = {
        t.name: numpy_helper.to_array(t) for t in onnx.load(str(tiny_checkpoint / "model.onnx")).graph.initializer
    }
    integers = {name for name, value in tensors.items() if value.dtype == np.int8}
    assert any("word_embeddings" in name for name in integers) and len(integers) >= 5
    assert not [n for n, v in tensors.items() if v.ndim == 2 and v.size >= 4096 and v.dtype == np.float32]


def test_quantise_leaves_the_answers_near_the_models(own_checkpoint: Path, own_run: Any, own_examples: Make) -> None:
    inputs = feeds(own_run.tokenizer, [e.text for e in own_examples(20, 3)])
    assert_close(own_run.model, answers(own_checkpoint, inputs), inputs, 0.3)


def test_packaged_model_gives_the_packaged_answers(
    tiny_checkpoint: Path, tiny_run: Any, sample_texts: list[str]
) -> None:
    model, tokenizer = load_packaged(tiny_checkpoint)
    inputs = feeds(tiny_run.tokenizer, sample_texts[:20])
    inputs = {name: value[:, :64] for name, value in inputs.items()}
    assert_close(model, answers(tiny_checkpoint, inputs), inputs, 1e-3)
    assert model.config.label_space() == tiny_run.model.config.label_space() and model.config.max_tokens == 64
    for text in sample_texts[:20]:
        assert tokenizer(text)["input_ids"] == tiny_run.tokenizer(text)["input_ids"]
    for name in ("pad", "cls", "sep", "unk", "mask"):
        assert getattr(tokenizer, f"{name}_token_id") == getattr(tiny_run.tokenizer, f"{name}_token_id")


def test_packaged_folder_that_lacks_weights_is_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_checkpoint, tmp_path / "copy"))
    graph = onnx.load(str(folder / "model.onnx"))
    for tensor in graph.graph.initializer:
        if "mention_weight" in tensor.name:
            tensor.name = "other"
    onnx.save(graph, str(folder / "model.onnx"))
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config["sha256"]["model.onnx"] = hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    with pytest.raises(CheckpointError, match="found none of mention_weight; export it again"):
        load_packaged(folder)
