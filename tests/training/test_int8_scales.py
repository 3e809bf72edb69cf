"""Scales that NNCF finds: of the encoder's products alone, tried on development texts, refused where they cost much."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import training.int8
from sentiment.checkpoint import INT8, INT8_GRAPH, load_checkpoint
from sentiment.engine import Engine
from sentiment.int8 import Scales, decided_in_int8, exact_products, read_graph, read_scales
from sentiment.runtimes import RuntimeChoiceError, choose_runtime
from training.calibrate import calibrate
from training.drift import ExportError
from training.evaluate import packaged_rules
from training.example import DatasetError, Example
from training.export import export
from training.int8 import add_int8, calibration_feeds, find_scales, float_graph, main, products_of
from training.scores import gold_labels, score_examples

pytest.importorskip("nncf", reason='NNCF is not installed: pip install "cinesent[int8]"')
pytestmark = pytest.mark.skipif(not exact_products(), reason="the processor does not add products of int8 exactly")
Make = Callable[[int, int], list[Example]]


@pytest.fixture
def folder(tmp_path: Path, own_checkpoint: Path) -> Path:
    return Path(shutil.copytree(own_checkpoint, tmp_path / "checkpoint"))


@pytest.fixture(scope="module")
def scales(own_checkpoint: Path, own_examples: Make) -> dict[str, Scales]:
    """Of texts of the training's kind."""
    graph = float_graph(own_checkpoint / "model.onnx")
    engine = Engine(load_checkpoint(own_checkpoint))
    texts = [example.text for example in own_examples(60, 5)]
    return find_scales(graph, calibration_feeds(engine, texts), products_of(graph)[1])


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch, scales: dict[str, Scales]) -> None:
    """NNCF works once for all tests."""
    monkeypatch.setattr(training.int8, "find_scales", lambda *_: scales)


def texts(examples: list[Example]) -> list[str]:
    return [example.text for example in examples]


def test_int8_scales_are_of_the_encoders_products(scales: dict[str, Scales], own_checkpoint: Path) -> None:
    assert sorted(scales) == sorted(products_of(float_graph(own_checkpoint / "model.onnx"))[0])
    assert len(scales) == 12  # two layers, six products each
    assert all(one.low < one.high and (one.smooth > 0).all() for one in scales.values())
    assert any(np.ptp(one.smooth) > 0 for one in scales.values())  # or nothing would have been smoothed


def test_int8_scales_feeds_are_single_windows_and_the_same_each_time(own_checkpoint: Path, own_examples: Make) -> None:
    engine = Engine(load_checkpoint(own_checkpoint))
    given = texts(own_examples(40, 5))
    one, other = (calibration_feeds(engine, given, 10) for _ in range(2))
    assert len(one) >= 10
    assert all(feed["input_ids"].shape[0] == 1 and feed["attention_mask"].all() for feed in one)
    assert all((a["input_ids"] == b["input_ids"]).all() for a, b in zip(one, other, strict=True))


@pytest.mark.usefixtures("found")
def test_int8_scales_are_given_to_a_checkpoint_that_is_there(folder: Path, own_examples: Make) -> None:
    name = load_checkpoint(folder).name
    drift = add_int8(folder, texts(own_examples(60, 5)), own_examples(60, 1))
    assert set(drift) == {"changed_cells", "changed_overall", "joint_lost", "overall_lost"}
    assert load_checkpoint(folder).name == name
    assert choose_runtime("auto", folder).precision == "int8"
    again = add_int8(folder, texts(own_examples(60, 5)), own_examples(60, 1))  # over the file that is there
    assert again == drift


def test_int8_scales_that_answer_otherwise_is_refused_and_not_written(
    folder: Path, own_examples: Make, scales: dict[str, Scales], monkeypatch: pytest.MonkeyPatch
) -> None:
    narrow = {name: Scales(one.smooth, one.low / 50, one.high / 50) for name, one in scales.items()}
    monkeypatch.setattr(training.int8, "find_scales", lambda *_: narrow)
    with pytest.raises(
        ExportError, match=r"expected \w+ of at most .* between float32 and int8, found .*; make no scales"
    ):
        add_int8(folder, texts(own_examples(60, 5)), own_examples(60, 1))
    assert not (folder / INT8).exists() and not (folder / INT8_GRAPH).exists()


@pytest.mark.usefixtures("found")
def test_int8_scales_without_texts_is_refused(folder: Path, own_examples: Make) -> None:
    for given, development in (([], own_examples(20, 1)), (["座椅太硬"], [])):
        with pytest.raises(
            DatasetError, match=r"expected texts for scales, .* and labelled ones to try int8 on, found"
        ):
            add_int8(folder, given, development)


def test_int8_scales_are_not_made_without_the_units(
    folder: Path, own_examples: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing is scored before that is said."""
    monkeypatch.setattr(training.int8, "exact_products", lambda: False)
    monkeypatch.setattr(training.int8, "Engine", None)
    expected = r"^expected a processor that adds products of int8 exactly, .* not; make them on another machine"
    with pytest.raises(RuntimeChoiceError, match=expected):
        add_int8(folder, texts(own_examples(60, 5)), own_examples(60, 1))
    assert training.int8.missing() is not None and not (folder / INT8).exists()


def test_int8_scales_are_of_no_text_that_they_are_tried_on(
    folder: Path, own_examples: Make, scales: dict[str, Scales], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []
    monkeypatch.setattr(training.int8, "find_scales", lambda _, feeds, __: taken.append(len(feeds)) or scales)
    development = own_examples(60, 1)
    with pytest.raises(DatasetError, match="expected texts for scales, which are not among those of --dev"):
        add_int8(folder, texts(development), development)
    add_int8(folder, [*texts(development), "座椅太硬"], development)
    assert taken == [1]


def test_int8_scales_of_an_encoder_that_is_not_known_are_refused(
    folder: Path, own_examples: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training.int8, "products_of", lambda _: ([], ["all"]))
    with pytest.raises(ExportError, match=r"^expected products with weights named encoder\.… .*leave --int8 out"):
        add_int8(folder, texts(own_examples(60, 5)), own_examples(60, 1))


def test_int8_scales_may_be_of_an_encoder_whose_layers_are_named_otherwise() -> None:
    names = {"encoder.transformer.layer.0.ffn.lin1": True, "encoder.layers.0.mlp.Wi": True,
             "encoder.embeddings.projection": False, "encoder.pooler.dense": False, "mention.0": False}  # fmt: skip
    weight = numpy_helper.from_array(np.ones((2, 2), np.float32))
    tensors, nodes = [], []
    for name in names:
        tensor = onnx.TensorProto()
        tensor.CopyFrom(weight)
        tensor.name = name
        tensors.append(tensor)
        nodes.append(onnx.helper.make_node("MatMul", ["x", name], [f"y {name}"], name=f"of {name}"))
    nodes.append(onnx.helper.make_node("MatMul", ["x", "y"], ["z"], name="of tokens"))
    graph = onnx.ModelProto(graph=onnx.helper.make_graph(nodes, "graph", [], [], tensors))
    inner, rest = products_of(graph)
    assert inner == [f"of {name}" for name, found in names.items() if found]
    assert rest == [*(f"of {name}" for name, found in names.items() if not found), "of tokens"]


def test_int8_scales_say_what_to_install(folder: Path, own_examples: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    find = training.int8.importlib.util.find_spec
    monkeypatch.setattr(training.int8.importlib.util, "find_spec", lambda name: None if name == "nncf" else find(name))
    with pytest.raises(RuntimeChoiceError, match=r'^expected nncf for scales .* pip install "cinesent\[int8\]"$'):
        add_int8(folder, texts(own_examples(10, 5)), own_examples(10, 1))


@pytest.mark.usefixtures("found")
def test_int8_scales_of_an_export_go_with_its_graph(own_run: Any, own_examples: Make, tmp_path: Path) -> None:
    """An export without scales leaves none of another graph behind."""
    sets, target = {"dev": own_examples(60, 1)}, tmp_path / "new"
    done = export(own_run.model, own_run.tokenizer, target, sets, int8=texts(own_examples(60, 5)))
    assert done.int8 is not None and done.int8["joint_lost"] <= 0.02
    assert len(read_scales(target / INT8)) == 12 and len(read_graph(target)[1]) > 3
    assert export(own_run.model, own_run.tokenizer, target, sets).int8 is None
    assert not (target / INT8).exists() and not (target / INT8_GRAPH).exists()


@pytest.mark.usefixtures("found")
def test_int8_scales_lie_beside_rules_fitted_to_what_int8_answers(folder: Path, own_examples: Make) -> None:
    development = own_examples(60, 1)
    add_int8(folder, texts(own_examples(60, 5)), development)
    checkpoint = load_checkpoint(folder)
    own, plain = packaged_rules(decided_in_int8(checkpoint)), packaged_rules(checkpoint)
    gold = gold_labels(development, checkpoint.taxonomy)
    scores = {
        name: score_examples(checkpoint, Engine(checkpoint, runtime=name), development)
        for name in ("onnxruntime", "onnxruntime-int8")
    }
    refitted = {name: calibrate(found, gold, checkpoint.taxonomy, plain) for name, found in scores.items()}
    assert own == refitted["onnxruntime-int8"] != refitted["onnxruntime"]


@pytest.mark.usefixtures("found")
def test_int8_scales_have_no_rules_of_texts_that_the_checkpoints_were_not_fitted_to(
    folder: Path, own_examples: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """Of a few, or of others, they would be the worse for it."""
    add_int8(folder, texts(own_examples(60, 5)), own_examples(60, 1)[:12])
    checkpoint = load_checkpoint(folder)
    assert decided_in_int8(checkpoint) == checkpoint
    assert "int8 has the thresholds of float32" in caplog.text


@pytest.mark.usefixtures("found")
def test_int8_scales_whose_own_rules_lose_too_much_are_refused(
    folder: Path, own_examples: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is checked is what is used."""
    real = training.int8._own_rules

    def deaf(*arguments: Any) -> Any:
        rules = real(*arguments)
        return replace(rules, thresholds=dict.fromkeys(rules.thresholds, 1.1))

    monkeypatch.setattr(training.int8, "_own_rules", deaf)
    with pytest.raises(ExportError, match="expected joint_lost of at most"):
        add_int8(folder, texts(own_examples(60, 5)), own_examples(60, 1))
    assert not (folder / INT8).exists()


@pytest.mark.usefixtures("found")
def test_int8_scales_are_written_by_a_command(
    folder: Path, own_examples: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def refuse(*_: Any) -> None:
        raise ExportError("expected less")

    files = {}
    for name, examples in (("train", own_examples(60, 5)), ("dev", own_examples(60, 1))):
        rows = [
            {"id": str(i), "text": one.text, "overall": one.overall, "intent": one.intent, "escalation": one.escalation}
            for i, one in enumerate(examples)
        ]
        files[name] = tmp_path / f"{name}.jsonl"
        files[name].write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    assert main([str(folder), "--texts", str(files["train"]), "--dev", f"dev={files['dev']}"]) == 0
    told = capsys.readouterr().err
    assert "int8 products against float32: changed_cells" in told
    assert (folder / INT8).is_file() and not list(folder.glob(".*"))
    monkeypatch.setattr(training.int8, "check_drift", refuse)
    assert main([str(folder), "--texts", str(files["train"]), "--dev", f"dev={files['dev']}"]) == 3
    assert capsys.readouterr().err == "python -m training.int8: expected less\n"
    with pytest.raises(SystemExit) as caught:
        main([str(tmp_path / "none"), "--texts", str(files["train"]), "--dev", f"dev={files['dev']}"])
    assert caught.value.code == 2 and "expected a checkpoint folder" in capsys.readouterr().err
