from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import training.export
from sentiment.analyzer import Analyzer
from sentiment.checkpoint import load_checkpoint
from sentiment.taxonomy import Taxonomy
from training.drift import ExportError
from training.example import Example
from training.export import export
from training.onnx_graph import write_onnx
from training.packaged import load_packaged
from training.quantise import quantise

Make = Callable[[int, int], list[Example]]


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
