"""The engines small: a random checkpoint, few texts; OpenVINO's have tests of their own."""

from __future__ import annotations

import copy
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from benchmarks import engines
from benchmarks.engines import engine_on, made, makers, neighbours, quality, within_a_point
from benchmarks.sessions import static_int8
from sentiment.checkpoint import Checkpoint, load_checkpoint
from sentiment.engine import Engine
from sentiment.int8 import exact_products
from tests.benchmarks.sides import LONG, largest
from tests.wide_scales import keep_rules
from training.example import Example
from training.int8 import calibration_feeds, float_graph, products_of, windows_of


def test_sessions_float_graph_is_the_packaged_one(
    checkpoint: Checkpoint, engine: Engine, sample_texts: list[str], tmp_path: Path
) -> None:
    import onnxruntime

    graph = float_graph(checkpoint.folder / "model.onnx")
    onnx.checker.check_model(graph)
    assert not any(node.op_type == "DequantizeLinear" for node in graph.graph.node)
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    assert largest(engine, engine_on(checkpoint, session, 1), sample_texts[:20]) < 1e-4


def test_sessions_calibrate_on_windows_without_padding(engine: Engine, sample_texts: list[str]) -> None:
    feeds = calibration_feeds(engine, [*sample_texts[:30], LONG, "", "Great!"], 33)
    assert all(feed["input_ids"].shape[0] == 1 and feed["attention_mask"].all() for feed in feeds)
    assert max(feed["input_ids"].shape[1] for feed in feeds) <= engine.window + 2
    assert len(feeds) == sum(map(len, windows_of(engine, [*sample_texts[:30], LONG])))


def test_sessions_static_int8_is_near_and_partly_integer(
    checkpoint: Checkpoint, engine: Engine, sample_texts: list[str]
) -> None:
    graph, feeds = float_graph(checkpoint.folder / "model.onnx"), calibration_feeds(engine, sample_texts, 20)
    inner, rest = products_of(graph)
    assert len(inner) == 6 * checkpoint.config["encoder"]["num_hidden_layers"] and len(rest) >= 4
    found = {}
    for keep, products in ((None, len(inner)), (engines.AFTER_GELU, len(inner) * 5 // 6)):
        session, settings = static_int8(graph, feeds, 1, keep=keep)
        assert settings["products"] == products and settings["weight_bits"] in (7, 8)
        found[keep] = largest(engine, engine_on(checkpoint, session, 1), sample_texts[:20])
        assert found[keep] > 1e-4  # it really computes otherwise
    windows = [window for windows in windows_of(engine, sample_texts[:20]) for window in windows]
    spread = np.std([answer.overall for answer in engine.run(windows)])
    assert max(found.values()) < 20 * spread


class Leaky:
    """A session whose answers depend on how many texts there are together, as scales of the batch would."""

    def __init__(self, session: Any, leak: float) -> None:
        self._session, self._leak = session, leak

    def run(self, outputs: Sequence[str], feed: dict[str, Any]) -> list[Any]:
        return [value + self._leak * len(feed["input_ids"]) for value in self._session.run(outputs, feed)]


def test_engines_neighbours_are_found_out(checkpoint: Checkpoint, engine: Engine, sample_texts: list[str]) -> None:
    texts = [*sample_texts[:30], LONG, "", "Great seats!"]
    found = neighbours(checkpoint, engine, texts)
    assert found["independent"] and found["changed_labels"] == 0 and found["largest_difference"] <= 1e-5
    assert found["texts"] == 31  # what is not scored does not count
    slight = neighbours(checkpoint, engine_on(checkpoint, Leaky(engine._session, 3e-2), 1), texts)
    assert not slight["independent"] and slight["largest_difference"] > 2e-3  # what a record allows
    within = neighbours(checkpoint, engine_on(checkpoint, Leaky(engine._session, 3e-4), 1), texts)
    assert 1e-5 < within["largest_difference"] < 2e-3
    assert within["independent"] == (within["changed_labels"] == 0)
    loud = neighbours(checkpoint, engine_on(checkpoint, Leaky(engine._session, 0.5), 1), texts)
    assert loud["changed_labels"] > 0 and not loud["independent"]


@pytest.mark.skipif(not exact_products(), reason="the processor does not add products of int8 exactly")
def test_engines_quality_is_by_the_rules_that_their_users_have(
    int8_checkpoint: Path, tmp_path: Path, sample_texts: list[str]
) -> None:
    folder = Path(shutil.copytree(int8_checkpoint, tmp_path / "deaf"))
    keep_rules(folder, 1.1)
    checkpoint = load_checkpoint(folder)
    known = frozenset(checkpoint.taxonomy.keys)
    examples = [
        Example(text, dict.fromkeys(known, ("negative", -1, -1)) if at % 2 else {}, known)
        for at, text in enumerate(dict.fromkeys(sample_texts))
    ][:60]  # fmt: skip
    both = {name: Engine(checkpoint, threads=1, runtime=name) for name in ("onnxruntime", "onnxruntime-int8")}
    found = quality(checkpoint, both, {"own": examples})["onnxruntime-int8"]
    assert found["packaged"]["own"]["differences"]["mention"]["value"] < -0.1
    assert found["sets"]["own"]["figures"]["mention"]["value"] > 0.1  # fitted anew, it hears


def test_engines_within_a_point_by_the_paired_interval() -> None:
    def figures(joint: tuple[float, float], overall: tuple[float, float]) -> dict[str, Any]:
        intervals = zip(("joint", "overall"), (joint, overall), strict=True)
        return {"real": {"differences": {name: {"low": low, "high": high} for name, (low, high) in intervals}}, "x": {}}

    assert within_a_point(figures((-0.01, 0.0), (0.1, 0.2))) is True and within_a_point({"real": {}}) is True
    assert within_a_point(figures((0.1, 0.2), (-0.03, -0.011))) is False
    assert within_a_point(figures((-0.02, -0.005), (0.0, 0.1))) is None  # noise says neither
    assert within_a_point(figures((-0.02, -0.005), (-0.03, -0.011))) is False


def test_engines_product_rows_are_the_product(checkpoint: Checkpoint, engine: Engine) -> None:
    made_here, settings = makers(checkpoint, [], 1)["onnxruntime"]()
    assert type(made_here) is Engine and made_here.runtime == engine.runtime
    assert settings == {"runtime": str(engine.runtime), "precision": "float32"}


def test_engines_that_cannot_be_made_are_left_out_with_the_reason(engine: Engine) -> None:
    def fails(error: Exception) -> Any:
        def make() -> Any:
            raise error

        return make

    assert made(fails(ImportError("No module named 'nncf'", name="nncf"))) == (
        "expected nncf, found none; pip install nncf"
    )
    assert made(fails(RuntimeError("\n\n  no such units\nat line 5"))) == (
        "expected an engine, found RuntimeError: no such units"
    )
    assert made(fails(ValueError())) == "expected an engine, found ValueError: no reason given"
    assert made(lambda: (engine, {"precision": "float32"})) == (engine, {"precision": "float32"})
    broken = copy.copy(engine)
    broken._session = Leaky(None, 0.0)  # it is made, and does not run
    assert "found AttributeError" in str(made(lambda: (broken, {})))


@pytest.fixture
def command(tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    own = tmp_path / "train.jsonl"
    lines = engines.OWN.read_text("utf-8").splitlines(keepends=True)
    own.write_text("".join(lines[:400]), "utf-8")
    monkeypatch.setattr(engines, "OWN", own)
    monkeypatch.setattr("benchmarks.texts.OWN", own)
    return [
        "--model", str(tiny_checkpoint), "--texts", "20", "--rounds", "1", "--calibration", "5", "--neighbours", "8",
        "--limit", "40", "--threads", "1", "--busy", "--json", str(tmp_path / "engines.json"), "--work",
        str(tmp_path / "work"),
    ]  # fmt: skip


def test_engines_command_measures_and_says_what_is_missing(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("openvino", "nncf"):
        monkeypatch.setitem(sys.modules, name, None)
    assert engines.main(command) == 0
    assert not list((tmp_path / "work").iterdir())
    found = json.loads((tmp_path / "engines.json").read_text("utf-8"))
    entries = {entry["name"]: entry for entry in found["engines"]}
    assert list(entries) == list(engines.ENGINES) and found["trial"]
    assert found["texts"]["short"]["texts"] == 20 and found["sets"]["written"]["split"] == "development"
    for name in ("onnxruntime", "onnxruntime-minmax", "onnxruntime-mixed"):
        assert entries[name]["short"]["texts_per_second"] > 0 and len(entries[name]["long"]["seconds"]) == 1
        assert entries[name]["neighbours"]["texts"] > 0
        assert ("differences" in entries[name]["sets"]["written"]) == (name != "onnxruntime")
        assert bool(entries[name]["packaged"]["written"]["differences"]) == (name != "onnxruntime")
        assert entries[name]["short"]["least"] <= entries[name]["short"]["greatest"]
    assert entries["onnxruntime"]["within_a_point"] and entries["onnxruntime"]["neighbours"]["independent"]
    assert "other_load" in found["circumstances"][0]
    assert entries["plain"]["same_as"] == "onnxruntime" and "first row" in entries["plain"]["skipped"]
    for name in ("openvino-f32", "openvino-bf16", "openvino-int8", "openvino-mixed"):
        assert "expected" in entries[name]["skipped"] and "short" not in entries[name]
    said = capsys.readouterr().err
    assert "openvino-f32: skipped, expected openvino, found none; pip install openvino" in said
    assert "openvino-mixed: skipped, expected nncf, openvino for scales of int8, found none; pip install" in said
    assert "openvino-int8: skipped, expected int8.safetensors in" in said


def test_engines_command_keeps_off_a_busy_machine(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("benchmarks.machine.others_load", lambda: 0.5)
    with pytest.raises(SystemExit):
        engines.main([argument for argument in command if argument != "--busy"])
    assert "expected the machine to itself, found others busy on 0.50 cores" in capsys.readouterr().err


def test_engines_command_keeps_trials_apart(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--rounds", "1"], ["--limit", "5"], ["--texts", "10", "--json", "x"]):
        with pytest.raises(SystemExit):
            engines.main(arguments)
        assert "expected" in capsys.readouterr().err
