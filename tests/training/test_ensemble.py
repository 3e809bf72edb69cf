"""Several trainings as one checkpoint: the mean of their logits, exported and scored, and no start of a training."""

from __future__ import annotations

import copy
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

import training.ensemble
import training.export
from sentiment.analyzer import Analyzer
from sentiment.checkpoint import INT8, CheckpointError, load_checkpoint
from sentiment.engine import OUTPUTS, Engine
from sentiment.int8 import exact_products, read_scales
from tests.wide_scales import give_scales
from training.card import card_text
from training.drift import ExportError
from training.ensemble import merged, own_name
from training.example import Example
from training.export import export, write_float
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


def test_ensemble_is_written_from_all_of_the_trainings(own_run: Any, own_examples: Make, tmp_path: Path) -> None:
    other = copy.deepcopy(own_run.model)
    with torch.no_grad():
        for parameter in other.head_parameters():
            parameter.mul_(0.5)
    engines = {}
    for name, model, others in (("one", own_run.model, []), ("other", other, []), ("both", own_run.model, [other])):
        write_float(model, own_run.tokenizer, tmp_path / name, others)
        engines[name] = Engine(load_checkpoint(tmp_path / name), threads=1)
    texts = [example.text for example in own_examples(8, 3)]
    windows = [engines["one"].tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
    for one, two, both in zip(*(engine.run(windows) for engine in engines.values()), strict=True):
        assert np.abs(one.mention - two.mention).max() > 0.1  # or nothing would have been averaged
        for head in OUTPUTS:
            mean = (getattr(one, head) + getattr(two, head)) / 2
            np.testing.assert_allclose(getattr(both, head), mean, atol=1e-4)


def test_ensemble_larger_than_a_graph_can_be_is_refused(
    graphs: list[onnx.ModelProto], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training.ensemble, "MOST_BYTES", 3 * graphs[0].ByteSize() - 1)
    with pytest.raises(ExportError, match=r"^expected members of at most .* GB together in float32, found .* in 3; "):
        merged(graphs)
    merged(graphs[:2])


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


@pytest.mark.skipif(not exact_products(), reason="the processor does not add products of int8 exactly")
def test_ensemble_with_scales_runs_in_int8(exported: Path, own_examples: Make) -> None:
    give_scales(exported)
    names = set(read_scales(exported / INT8))
    assert {name[:2] for name in names} == {"1/", "2/"}
    assert names == set(products_of(float_graph(exported / "model.onnx"))[0])
    texts = [example.text for example in own_examples(20, 7)]
    plain, fast = (Analyzer.load(exported, runtime=name, threads=1) for name in ("onnxruntime", "onnxruntime-int8"))
    for one, other in zip(plain.analyze_block(texts), fast.analyze_block(texts), strict=True):
        assert one.overall_confidence == pytest.approx(other.overall_confidence, abs=0.1)


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
    config = load_checkpoint(exported).config
    said = "; the checkpoint answers with the mean of their logits."
    recipe = {"epochs": 5, "seed": 13}
    for apart, told in (
        ("", {}),
        ("", {"recipe": recipe, "others": [{}]}),
        (" that differ in their seeds (13, 14)", {"recipe": recipe, "others": [{"recipe": {**recipe, "seed": 14}}]}),
        *(
            (
                ", of which some have another recipe, other texts or another start than the first",
                {"recipe": recipe, "others": [{"recipe": {"epochs": epochs, "seed": seed}}]},
            )
            for epochs, seed in ((3, 14), (5, 13))
        ),
    ):
        assert f"- Members: 2 trainings{apart}{said}" in card_text({**config, "training": told}, told, ())
    assert "Members" not in card_text(load_checkpoint(own_checkpoint).config, {}, ())


def test_ensemble_is_no_start_of_a_training(exported: Path) -> None:
    with pytest.raises(
        CheckpointError, match=r"^expected a checkpoint of one training .* found one of 2 in .*two; start"
    ):
        load_packaged(exported)
