from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper

import training.export
from sentiment.analyzer import Analyzer
from sentiment.checkpoint import CheckpointError, load_checkpoint
from sentiment.engine import OUTPUTS, Engine
from sentiment.taxonomy import Taxonomy
from training.dataset import Example
from training.export import ExportError, export, load_packaged, quantise, write_onnx
from training.model import CinesentModel

Make = Callable[[int, int], list[Example]]


def session(folder: Path) -> onnxruntime.InferenceSession:
    return Engine(load_checkpoint(folder), threads=1)._session


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


def test_export_int8_weights_read_back_give_the_packaged_answers(
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


def test_export_read_back_finds_every_weight_near_its_original(tiny_checkpoint: Path, tiny_run: Any) -> None:
    """Also norms that nobody trained, of which the exporter keeps one for all."""
    packed = load_packaged(tiny_checkpoint)[0].state_dict()
    for name, value in tiny_run.model.state_dict().items():
        if name.startswith("rating."):
            continue
        steps = value.abs().amax(1, keepdim=True) / 127 if value.ndim == 2 and value.numel() >= 4096 else 0.0
        assert ((packed[name] - value).abs() <= 0.51 * torch.as_tensor(steps) + 1e-6).all(), name


def test_export_graph_says_nothing_of_the_machine_that_made_it(tiny_checkpoint: Path) -> None:
    assert b".py" not in (tiny_checkpoint / "model.onnx").read_bytes()


def test_export_attention_is_standard_operators_without_guards(tiny_checkpoint: Path, tiny_run: Any) -> None:
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


def test_export_graph_answers_as_fused_attention_does_with_padding(
    tiny_checkpoint: Path, tiny_run: Any, sample_texts: list[str]
) -> None:
    model = load_packaged(tiny_checkpoint)[0]
    assert model.encoder.config._attn_implementation == "sdpa"
    inputs = {name: value[:, :64] for name, value in feeds(tiny_run.tokenizer, sample_texts[:20]).items()}
    assert inputs["attention_mask"].eq(0).any(1).sum() > 10
    assert_close(model, answers(tiny_checkpoint, inputs), inputs, 1e-5)


def test_export_leaves_the_model_its_attention(tiny_checkpoint: Path, tiny_run: Any) -> None:
    assert (tiny_checkpoint / "model.onnx").is_file()  # `tiny_run`, exported
    assert tiny_run.model.encoder.config._attn_implementation == "sdpa"


def test_export_large_matrices_are_stored_as_int8(tiny_checkpoint: Path) -> None:
    tensors = {
        t.name: numpy_helper.to_array(t) for t in onnx.load(str(tiny_checkpoint / "model.onnx")).graph.initializer
    }
    integers = {name for name, value in tensors.items() if value.dtype == np.int8}
    assert any("word_embeddings" in name for name in integers) and len(integers) >= 5
    assert not [n for n, v in tensors.items() if v.ndim == 2 and v.size >= 4096 and v.dtype == np.float32]


@pytest.mark.parametrize(("batch", "tokens"), [(1, 3), (1, 64), (5, 7), (17, 31)])
def test_export_graph_has_free_batch_and_token_axes(
    tiny_checkpoint: Path, tiny_run: Any, batch: int, tokens: int
) -> None:
    generator = torch.Generator().manual_seed(batch)
    ids = torch.randint(5, 400, (batch, tokens), generator=generator)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    assert_close(load_packaged(tiny_checkpoint)[0], answers(tiny_checkpoint, inputs), inputs, 1e-3)


def test_export_axes_are_named_not_numbered(tiny_checkpoint: Path) -> None:
    for entry in session(tiny_checkpoint).get_inputs():
        assert entry.name in ("input_ids", "attention_mask") and all(isinstance(size, str) for size in entry.shape)
    assert [entry.name for entry in session(tiny_checkpoint).get_outputs()] == list(OUTPUTS)


def test_export_answers_as_the_model_does(own_checkpoint: Path, own_run: Any, own_examples: Make) -> None:
    inputs = feeds(own_run.tokenizer, [e.text for e in own_examples(20, 3)])
    assert_close(own_run.model, answers(own_checkpoint, inputs), inputs, 0.3)


@pytest.fixture
def quick(own_run: Any, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Traces `own_run` once for all: what torch needs most of its time for."""
    path = tmp_path_factory.getbasetemp() / "own_run.onnx"
    if not path.exists():
        write_onnx(own_run.model, path)
    monkeypatch.setattr(training.export, "write_onnx", lambda _, target: shutil.copyfile(path, target))


@pytest.mark.usefixtures("quick")
def test_export_twice_gives_the_same_bytes(own_checkpoint: Path, own_run: Any, tmp_path: Path) -> None:
    training.export.write_onnx(own_run.model, tmp_path / "again.onnx")
    again = quantise(onnx.load(str(tmp_path / "again.onnx"))).SerializeToString()
    assert hashlib.sha256(again).digest() == hashlib.sha256((own_checkpoint / "model.onnx").read_bytes()).digest()


@pytest.mark.usefixtures("quick")
def test_export_config_tells_rules_and_training(
    own_run: Any, own_examples: Make, tmp_path: Path, own_taxonomy: Taxonomy
) -> None:
    sets = {"ours": own_examples(40, 1), "theirs": own_examples(20, 2)}
    done = export(own_run.model, own_run.tokenizer, tmp_path / "new", sets, name="bakery", details={"epochs": 3})
    assert done.folder == tmp_path / "new"
    assert {path.name for path in done.folder.iterdir()} == {"config.json", "tokenizer.json", "model.onnx"}
    checkpoint = load_checkpoint(done.folder)
    assert checkpoint.name.startswith("bakery@") and checkpoint.config["training"] == {"epochs": 3}
    assert set(checkpoint.thresholds) == {*own_taxonomy.keys, "escalation"}
    assert set(checkpoint.scaling.temperatures) == {"mention", "polarity", "overall", "intent", "escalation"}
    assert set(done.drift) == {"changed_cells", "changed_overall", "joint_lost", "overall_lost"}
    assert {name.split("/")[0] for name in done.development} == {"ours", "theirs"}
    assert done.development["ours/joint"] > 0.9 and done.development["theirs/mention"] > 0.9


@pytest.mark.usefixtures("quick")
def test_export_sets_are_scored_apart(own_run: Any, own_examples: Make, tmp_path: Path) -> None:
    """The second set's labels are wrong, so its score is bad and the first one's is not."""
    turned = {"positive": "negative", "negative": "neutral", "neutral": "positive"}
    wrong = [
        replace(e, labels={key: (turned[sentiment], -1, -1) for key, (sentiment, *_) in e.labels.items()})
        for e in own_examples(20, 2)
    ]
    done = export(own_run.model, own_run.tokenizer, tmp_path / "new", {"good": own_examples(60, 1), "bad": wrong})
    assert done.development["good/joint"] > 0.9 and done.development["bad/joint"] < 0.1


def damage(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Packs other weights than those given."""
    packed = quantise(graph)
    for tensor in packed.graph.initializer:
        value = numpy_helper.to_array(tensor)
        if value.dtype == np.int8:
            tensor.CopyFrom(numpy_helper.from_array(np.roll(value, 1, axis=0), tensor.name))
    return packed


@pytest.mark.usefixtures("quick")
def test_export_that_drifts_is_refused_and_leaves_the_folder(
    own_run: Any, own_checkpoint: Path, own_examples: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = Path(shutil.copytree(own_checkpoint, tmp_path / "target"))
    (target / "README.md").write_text("ours")
    before = {path.name: path.read_bytes() for path in target.iterdir()}
    monkeypatch.setattr(training.export, "quantise", damage)
    for folder in (target, tmp_path / "new"):
        with pytest.raises(ExportError) as caught:
            export(own_run.model, own_run.tokenizer, folder, {"dev": own_examples(40, 1)})
        assert "between float32 and int8, found" in str(caught.value) and "\n" not in str(caught.value)
        assert str(caught.value).startswith(("expected changed_cells of at most 3.0%", "expected changed_overall"))
    assert {path.name: path.read_bytes() for path in target.iterdir()} == before
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("name", "bound"),
    [("changed_cells", 0.03), ("changed_overall", 0.015), ("joint_lost", 0.01), ("overall_lost", 0.01)],
)
def test_export_bounds_are_exceeded_not_reached(name: str, bound: float) -> None:
    training.export._check({name: bound})
    training.export._check({"changed_cells": 0.0, "joint_lost": -0.5})
    with pytest.raises(ExportError, match=f"expected {name} of at most {bound:.1%}"):
        training.export._check({name: bound + 0.001})


def test_export_one_label_of_few_is_no_loss_and_two_are() -> None:
    training.export._check({"overall_lost": 1 / 80}, {"overall_lost": 80})
    training.export._check({"overall_lost": round(1 / 60, 5)}, {"overall_lost": 60})  # as drift is rounded
    with pytest.raises(ExportError, match=r"expected overall_lost of at most 1\.2%"):
        training.export._check({"overall_lost": 2 / 80}, {"overall_lost": 80})
    with pytest.raises(ExportError, match=r"expected joint_lost of at most 1\.0%"):
        training.export._check({"joint_lost": 0.0125}, {"joint_lost": 1000})


def test_export_two_changed_labels_of_few_are_no_damage_and_three_are() -> None:
    training.export._check({"changed_overall": 2 / 80}, {"changed_overall": 80})
    with pytest.raises(ExportError, match=r"expected changed_overall of at most 2\.5%"):
        training.export._check({"changed_overall": 3 / 80}, {"changed_overall": 80})
    with pytest.raises(ExportError, match=r"expected changed_overall of at most 1\.5%"):
        training.export._check({"changed_overall": 0.016}, {"changed_overall": 1000})


def test_export_without_development_texts_is_refused(own_run: Any, tmp_path: Path) -> None:
    for sets in ({}, {"dev": []}):
        with pytest.raises(ExportError, match="expected development texts to fit thresholds on, found none"):
            export(own_run.model, own_run.tokenizer, tmp_path / "new", sets)
    assert not (tmp_path / "new").exists()


@pytest.mark.usefixtures("quick")
def test_export_replaces_a_checkpoint(own_run: Any, own_examples: Make, tiny_checkpoint: Path, tmp_path: Path) -> None:
    target = Path(shutil.copytree(tiny_checkpoint, tmp_path / "target"))
    export(own_run.model, own_run.tokenizer, target, {"dev": own_examples(40, 1)}, name="new")
    record = Analyzer.load(target).analyze("河边7号：面包发酸。")
    assert record.model.startswith("new@") and [m.dimension for m in record.dimensions] == ["bread"]


def test_export_packaged_folder_that_lacks_weights_is_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
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


@pytest.mark.usefixtures("quick")
def test_export_keeps_the_rules_of_the_start_for_what_nobody_judged(
    own_checkpoint: Path, own_examples: Make, tmp_path: Path, own_taxonomy: Taxonomy
) -> None:
    before = load_checkpoint(own_checkpoint)
    model, tokenizer = load_packaged(own_checkpoint)
    whole = [replace(e, labels={}, annotated=frozenset()) for e in own_examples(40, 1)]
    export(model, tokenizer, tmp_path / "new", {"dev": whole})
    after = load_checkpoint(tmp_path / "new")
    assert {key: after.thresholds[key] for key in own_taxonomy.keys} == {
        key: before.thresholds[key] for key in own_taxonomy.keys
    }
    for head in ("mention", "polarity"):
        assert after.scaling.temperatures[head] == before.scaling.temperatures[head]
        assert after.scaling.biases[head] == before.scaling.biases[head]


@pytest.mark.usefixtures("quick")
def test_export_refuses_mentions_alone_unless_it_began_with_a_checkpoint(
    own_run: Any, own_checkpoint: Path, own_examples: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    alone = [replace(e, annotated=frozenset(e.labels)) for e in own_examples(40, 1)]
    with pytest.raises(ExportError, match=r"expected development texts that mention .* found mentions alone"):
        export(own_run.model, own_run.tokenizer, tmp_path / "new", {"dev": alone})
    assert not (tmp_path / "new").exists()
    model, tokenizer = load_packaged(own_checkpoint)
    export(model, tokenizer, tmp_path / "new", {"dev": alone})
    assert "mentions alone: the thresholds of before stay" in caplog.text
    old, new = load_checkpoint(own_checkpoint).thresholds, load_checkpoint(tmp_path / "new").thresholds
    assert {key: new[key] for key in new if key != "escalation"} == {
        key: old[key] for key in old if key != "escalation"
    }


def test_export_on_texts_without_a_label_is_refused(own_run: Any, own_examples: Make, tmp_path: Path) -> None:
    bare = [Example(example.text) for example in own_examples(12, 1)]
    with pytest.raises(ExportError, match="expected at least one label in the development texts, found none in 12"):
        export(own_run.model, own_run.tokenizer, tmp_path / "new", {"dev": bare})
    assert not (tmp_path / "new").exists()
