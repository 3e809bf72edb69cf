"""Several trainings as one checkpoint: the mean of their logits, exported and scored, and no start of a training."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

import training.export
from sentiment.analyzer import Analyzer
from sentiment.checkpoint import CheckpointError, load_checkpoint
from sentiment.engine import OUTPUTS
from training.card import card_text
from training.ensemble import merged, own_name
from training.example import Example
from training.export import export
from training.int8 import float_graph, products_of
from training.packaged import load_packaged

Make = Callable[[int, int], list[Example]]


@pytest.fixture(scope="module")
def graphs(own_checkpoint: Path) -> list[onnx.ModelProto]:
    """Three that answer differently, two of them by other weights of the first."""
    found = [onnx.load(str(own_checkpoint / "model.onnx")) for _ in range(3)]
    for graph, factor in zip(found, (1.0, 0.6, -0.3), strict=True):
        for tensor in graph.graph.initializer:
            value = numpy_helper.to_array(tensor)
            if value.dtype == np.float32 and factor != 1.0:
                tensor.CopyFrom(numpy_helper.from_array(value * np.float32(factor), tensor.name))
    return found


def answers(graph: onnx.ModelProto) -> list[np.ndarray[Any, Any]]:
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    ids = np.array([[2, 9, 30, 41, 3], [2, 7, 3, 0, 0]], dtype=np.int64)
    feed = {"input_ids": ids, "attention_mask": (ids != 0).astype(np.int64)}
    found: list[np.ndarray[Any, Any]] = session.run(list(OUTPUTS), feed)
    return found


def test_ensemble_answers_with_the_mean(graphs: list[onnx.ModelProto]) -> None:
    whole = merged(graphs)
    onnx.checker.check_model(whole)
    assert [output.name for output in whole.graph.output] == [output.name for output in graphs[0].graph.output]
    assert [given.name for given in whole.graph.input] == ["input_ids", "attention_mask"]
    alone = [answers(graph) for graph in graphs]
    for name, found, *parts in zip(OUTPUTS, answers(whole), *alone, strict=True):
        first = np.s_[:, :3] if name == "evidence" else np.s_[:]  # tokens that are not padding in either row
        assert np.abs(parts[0][first] - parts[1][first]).max() > 1e-3  # or nothing would have been averaged
        np.testing.assert_allclose(found[first], np.mean(parts, 0)[first], atol=1e-5)


def test_ensemble_leaves_the_graphs_as_they_were(graphs: list[onnx.ModelProto]) -> None:
    before = [graph.SerializeToString() for graph in graphs]
    merged(graphs)
    assert [graph.SerializeToString() for graph in graphs] == before


def test_ensemble_products_of_every_member_may_be_in_int8(graphs: list[onnx.ModelProto], tmp_path: Path) -> None:
    found = []
    for name, graph in (("alone", graphs[0]), ("together", merged(graphs))):
        onnx.save(graph, str(tmp_path / name))
        found.append(products_of(float_graph(tmp_path / name)))
    alone, together = found
    assert alone[0] and [len(part) for part in together] == [3 * len(part) for part in alone]
    assert own_name("2/encoder.layer.0") == own_name("encoder.layer.0") == "encoder.layer.0"


@pytest.fixture
def exported(own_run: Any, own_examples: Make, own_checkpoint: Path, tmp_path: Path, monkeypatch: Any) -> Path:
    """Twice the same run, whose mean is that run."""
    graph = float_graph(own_checkpoint / "model.onnx")
    onnx.save(graph, str(tmp_path / "traced.onnx"))
    monkeypatch.setattr(
        training.export, "write_onnx", lambda _, target: shutil.copyfile(tmp_path / "traced.onnx", target)
    )
    sets = {"dev": own_examples(60, 1)}
    return export(own_run.model, own_run.tokenizer, tmp_path / "two", sets, others=[own_run.model]).folder


def test_ensemble_is_a_checkpoint_like_any_other(exported: Path, own_checkpoint: Path, own_examples: Make) -> None:
    texts = [example.text for example in own_examples(20, 7)]
    one, two = (Analyzer.load(folder).analyze_block(texts) for folder in (own_checkpoint, exported))
    assert [found.overall for found in one] == [found.overall for found in two]
    for single, double in zip(one, two, strict=True):
        assert single.overall_confidence == pytest.approx(double.overall_confidence, abs=1e-3)
    assert load_checkpoint(exported).config["members"] == 2
    assert "members" not in load_checkpoint(own_checkpoint).config
    assert (exported / "model.onnx").stat().st_size > 1.8 * (own_checkpoint / "model.onnx").stat().st_size


def test_ensemble_card_says_what_it_is(exported: Path, own_checkpoint: Path) -> None:
    said = "- Members: 2 trainings that differ in their seeds; the checkpoint answers with the mean of their logits."
    assert said in card_text(load_checkpoint(exported).config, {}, ())
    assert "Members" not in card_text(load_checkpoint(own_checkpoint).config, {}, ())


def test_ensemble_is_no_start_of_a_training(exported: Path) -> None:
    with pytest.raises(
        CheckpointError, match=r"^expected a checkpoint of one training .* found one of 2 in .*two; start"
    ):
        load_packaged(exported)
