"""The scales of int8: kept and read, refused where they are not the graph's, and what they make of the graph."""

from __future__ import annotations

import json
import random
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

import sentiment.int8
from sentiment.analyzer import Analyzer
from sentiment.checkpoint import FILES, INT8, INT8_GRAPH, CheckpointError, embedded_folder, load_checkpoint
from sentiment.engine import Engine
from sentiment.int8 import Scales, decided_in_int8, digest, exact_products, read_scales, write_scales
from tests.wide_scales import keep_rules
from training.int8_graph import product_graph

needs_exact = pytest.mark.skipif(not exact_products(), reason="the processor does not add products of int8 exactly")


@pytest.fixture
def folder(tmp_path: Path, int8_checkpoint: Path) -> Path:
    return Path(shutil.copytree(int8_checkpoint, tmp_path / "copy"))


def test_int8_scales_are_read_as_they_were_written(folder: Path) -> None:
    graph = load_checkpoint(folder).config["sha256"]["model.onnx"]
    smooth = np.array([0.5, 2.0, 1.25], dtype=np.float32)
    write_scales(folder / INT8, {"one": Scales(smooth, -1.5, 2.5), "other": Scales(smooth * 2, 0.0, 1.0)}, graph)
    found = read_scales(folder / INT8)
    assert sorted(found) == ["one", "other"]
    assert found["one"].smooth.tolist() == [0.5, 2.0, 1.25] and found["other"].smooth.tolist() == [1.0, 4.0, 2.5]
    assert (found["one"].low, found["one"].high) == (-1.5, 2.5)


def test_int8_digest_is_of_names_and_values() -> None:
    one, two = np.ones(2, np.float32), np.zeros(2, np.float32)
    assert digest({"a": one, "b": two}, {"m": "1", "n": "2"}) == digest({"b": two, "a": one}, {"n": "2", "m": "1"})
    others = ({"a": one, "b": two}, {"a": two, "b": one}, {"a": one}, {"c": one})
    assert len({digest(tensors, {}) for tensors in others} | {digest(others[0], {"m": "1"})}) == 5


def test_int8_a_file_cut_short_is_found(folder: Path) -> None:
    content = (folder / INT8).read_bytes()
    for size in (0, 5, len(content) // 2, len(content) - 1):
        (folder / INT8).write_bytes(content[:size])
        with pytest.raises(CheckpointError, match=r"found a damaged file .* make it again .* or remove int8") as caught:
            read_scales(folder / INT8)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("at", [20, -3])
def test_int8_damage_is_found(folder: Path, at: int) -> None:
    content = bytearray((folder / INT8).read_bytes())
    content[at] ^= 0x41
    (folder / INT8).write_bytes(content)
    with pytest.raises(
        CheckpointError, match=r"expected scales .* found .*; make it again .* or remove int8"
    ) as caught:
        read_scales(folder / INT8)
    assert "\n" not in str(caught.value)


def test_int8_scales_of_another_graph_are_refused(folder: Path) -> None:
    write_scales(folder / INT8, read_scales(folder / INT8), "0" * 64)
    with pytest.raises(CheckpointError, match=r"expected scales of the model\.onnx beside .*, found those of another"):
        read_scales(folder / INT8)


def test_int8_is_one_of_the_checkpoints_files_and_not_of_its_hash(folder: Path, tiny_checkpoint: Path) -> None:
    plain, packed = load_checkpoint(tiny_checkpoint), load_checkpoint(folder)
    assert (plain.hash, plain.name) == (packed.hash, packed.name)
    assert plain.files == FILES and packed.files == (*FILES, INT8, INT8_GRAPH)
    (folder / INT8).unlink()  # the graph alone is not used
    assert load_checkpoint(folder).files == FILES


def test_int8_decides_by_the_rules_beside_its_scales(folder: Path) -> None:
    checkpoint = load_checkpoint(folder)
    keep_rules(folder, 0.125)
    found = decided_in_int8(checkpoint)
    assert set(found.thresholds.values()) == {0.125} and found.uncertain["overall"] == 0.25
    assert found.scaling == replace(checkpoint.scaling, temperatures={"mention": 0.5}, factors={}, biases={})
    assert found == replace(
        checkpoint, thresholds=found.thresholds, uncertain=found.uncertain, scaling=found.scaling
    )  # all else is the same


def change_config(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    config = json.loads((folder / "config.json").read_text("utf-8"))
    change(config)
    (folder / "config.json").write_text(json.dumps(config), "utf-8")


@pytest.mark.parametrize(
    "change",
    [
        lambda config: config["thresholds"].update(escalation=0.0625),
        lambda config: config["uncertain"].update(overall=0.0625),
        lambda config: config["temperatures"].update(overall=0.0625),
    ],
)
def test_int8_rules_do_not_outlive_those_that_they_lay_beside(
    folder: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    keep_rules(folder, 0.125)
    change_config(folder, change)
    checkpoint = load_checkpoint(folder)
    assert decided_in_int8(checkpoint) == checkpoint and "0.0625" in f"{checkpoint.config}"


def test_int8_rules_stay_where_something_else_is_changed(folder: Path) -> None:
    keep_rules(folder, 0.125)
    change_config(folder, lambda config: config.update(name="another"))
    found = decided_in_int8(load_checkpoint(folder))
    assert found.name.startswith("another@") and set(found.thresholds.values()) == {0.125}


def test_int8_rules_are_held_against_the_checkpoint_that_was_loaded(folder: Path) -> None:
    """And not against a config.json that was written since."""
    keep_rules(folder, 0.125)
    checkpoint = load_checkpoint(folder)
    change_config(folder, lambda config: config["thresholds"].update(escalation=0.0625))
    assert set(decided_in_int8(checkpoint).thresholds.values()) == {0.125}


@needs_exact
def test_int8_scales_that_were_replaced_or_removed_meanwhile_are_found(folder: Path) -> None:
    checkpoint = load_checkpoint(folder)
    engine = Engine(checkpoint, threads=1, runtime="onnxruntime-int8")
    keep_rules(folder, 0.125)
    with pytest.raises(
        CheckpointError, match=r"^expected the scales \w{8} in .*, found \w{8}, written meanwhile; load"
    ):
        Analyzer(checkpoint, engine)
    (folder / INT8).unlink()
    with pytest.raises(CheckpointError, match=r"^expected scales in .*, found no such file any more; load the"):
        Analyzer(checkpoint, engine)


def test_int8_rules_are_under_the_files_checksum(folder: Path) -> None:
    keep_rules(folder, 0.125)
    content = (folder / INT8).read_bytes()
    assert content.count(b"0.125") > 5
    (folder / INT8).write_bytes(content.replace(b"0.125", b"0.625", 1))
    with pytest.raises(CheckpointError, match=r"^expected scales as they were written in"):
        decided_in_int8(load_checkpoint(folder))


@needs_exact
def test_int8_rules_are_those_of_int8_alone(folder: Path) -> None:
    text = "座椅太硬，坐得腰疼"
    before = Analyzer.load(folder, runtime="onnxruntime").analyze(text)
    keep_rules(folder, 0.0)
    everything = Analyzer.load(folder, runtime="onnxruntime-int8").analyze(text)
    assert len(everything.dimensions) == len(load_checkpoint(folder).taxonomy.keys)
    keep_rules(folder, 1.0)
    assert not Analyzer.load(folder, runtime="onnxruntime-int8").analyze(text).dimensions
    assert Analyzer.load(folder, runtime="onnxruntime").analyze(text) == before


@needs_exact
def test_int8_on_onnxruntime_is_near_float32_and_not_the_same(int8_checkpoint: Path) -> None:
    checkpoint = load_checkpoint(int8_checkpoint)
    windows = [[7, 9, 30, 41, 100], [55, 6], list(range(20, 60))]
    exact = Engine(checkpoint, threads=1).run(windows)
    found = Engine(checkpoint, threads=1, runtime="onnxruntime-int8").run(windows)
    apart = max(float(np.abs(a.mention - b.mention).max()) for a, b in zip(exact, found, strict=True))
    assert 0 < apart < float(np.ptp([answer.mention for answer in exact], axis=0).max()) / 4


@needs_exact
def test_int8_on_onnxruntime_a_record_does_not_depend_on_its_neighbours(int8_checkpoint: Path) -> None:
    """By the record's bound: 0.002 of a probability, as much of a logit at most."""
    engine = Engine(load_checkpoint(int8_checkpoint), threads=2, runtime="onnxruntime-int8")
    rng = random.Random(3)
    windows = [[rng.randrange(5, 400) for _ in range(rng.randint(1, 62))] for _ in range(150)]
    alone = [engine.run([window])[0] for window in windows]
    assert float(np.ptp([answer.mention for answer in alone], axis=0).max()) > 0.1  # or nothing could be seen
    small = Engine(load_checkpoint(int8_checkpoint), threads=1, batch_size=5, runtime="onnxruntime-int8")
    for together in (engine.run(windows), small.run(windows)):
        for one, other in zip(alone, together, strict=True):
            np.testing.assert_allclose(one.mention, other.mention, atol=0.002)
            np.testing.assert_allclose(one.evidence, other.evidence, atol=0.002)


@needs_exact
def test_int8_on_onnxruntime_damage_of_its_graph_is_found(folder: Path) -> None:
    content = bytearray((folder / INT8_GRAPH).read_bytes())
    content[len(content) // 2] ^= 0x41
    (folder / INT8_GRAPH).write_bytes(content)
    with pytest.raises(
        CheckpointError, match=r"^expected int8\.onnx with sha256 .*; it is damaged: make it again"
    ) as caught:
        Analyzer.load(folder, runtime="onnxruntime-int8")
    assert "\n" not in str(caught.value)


@needs_exact
def test_int8_on_onnxruntime_a_graph_that_the_scales_do_not_name_is_refused(folder: Path) -> None:
    write_scales(folder / INT8, read_scales(folder / INT8), load_checkpoint(folder).config["sha256"]["model.onnx"])
    with pytest.raises(
        CheckpointError, match=r"^expected scales of int8\.onnx in .*, found those of no graph; make it"
    ):
        Analyzer.load(folder, runtime="onnxruntime-int8")


@needs_exact
def test_int8_on_onnxruntime_scales_of_another_graph_are_refused(folder: Path) -> None:
    write_scales(folder / INT8, read_scales(folder / INT8), "0" * 64, "1" * 64)
    with pytest.raises(CheckpointError, match=r"^expected scales of the model\.onnx beside"):
        Analyzer.load(folder, runtime="onnxruntime-int8")


@needs_exact
def test_int8_on_onnxruntime_what_opens_no_session_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sentiment.runtimes.read_graph", lambda _: (b"not a graph", {}))
    with pytest.raises(CheckpointError, match=r"^expected an int8\.onnx that ONNX Runtime opens in"):
        Analyzer.load(folder, runtime="onnxruntime-int8")


@needs_exact
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_int8_on_onnxruntime_keeps_no_file_that_may_be_replaced(folder: Path) -> None:
    """A mapped one that is cut short would end the process."""
    windows = [[7, 9, 30, 41, 100]]
    engine = Engine(load_checkpoint(folder), threads=1, runtime="onnxruntime-int8")
    before = engine.run(windows)
    assert str(folder) not in Path("/proc/self/maps").read_text("utf-8")
    for name in ("model.onnx", INT8_GRAPH):
        (folder / name).write_bytes(b"")
    np.testing.assert_array_equal(engine.run(windows)[0].mention, before[0].mention)


@needs_exact
def test_int8_on_onnxruntime_is_int8_indeed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Products that were not fused would give the right answers, and slowly."""

    class Kept(onnxruntime.SessionOptions):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.optimized_model_filepath = str(tmp_path / "optimised.onnx")

    monkeypatch.setattr(onnxruntime, "SessionOptions", Kept)
    Engine(load_checkpoint(), threads=1, runtime="onnxruntime-int8")
    kinds = Counter(node.op_type for node in onnx.load(str(tmp_path / "optimised.onnx")).graph.node)
    assert kinds["MatMulIntegerToFloat"] == len(read_scales(embedded_folder() / INT8)) == 48
    assert kinds["DequantizeLinear"] == kinds["Round"] == kinds["SkipLayerNormalization"] == 0


@needs_exact
def test_int8_on_onnxruntime_a_place_that_was_changed_is_found(folder: Path) -> None:
    """An offset by one would give other weights, and nothing else would tell."""
    content = (folder / INT8).read_bytes()
    start = content.index(b"[", content.index(b'"weights"')) + 1
    digit = content[start : start + 1]
    (folder / INT8).write_bytes(content[:start] + (b"1" if digit != b"1" else b"2") + content[start + 1 :])
    with pytest.raises(CheckpointError, match=r"^expected scales as they were written"):
        Analyzer.load(folder, runtime="onnxruntime-int8")


@pytest.mark.parametrize(("most", "exact"), [(2**31, True), (2**15 - 1, False)])
def test_int8_sums_that_saturate_are_found_out(monkeypatch: pytest.MonkeyPatch, most: int, exact: bool) -> None:
    class Session:
        def __init__(self, *_: object, **__: object) -> None: ...

        def run(self, _: None, feed: dict[str, np.ndarray[Any, Any]]) -> list[np.ndarray[Any, Any]]:
            products = feed["left"].astype(np.int64)[:, :, None] * feed["right"].astype(np.int64)
            return [np.minimum(products[:, ::2] + products[:, 1::2], most).sum(1)]

    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    assert exact_products.__wrapped__() is exact
    monkeypatch.setattr(onnxruntime, "InferenceSession", None)
    assert exact_products.__wrapped__() is False  # what cannot be tried is not relied on


def test_int8_the_product_that_is_tried_is_the_one_that_training_makes() -> None:
    path = Path(sentiment.int8.__file__).with_name("int8_product.onnx")
    assert onnx.load(str(path)) == product_graph()


def test_int8_of_the_packaged_checkpoint_is_that_of_its_graph() -> None:
    folder = load_checkpoint().folder
    scales = read_scales(folder / INT8)
    layers = load_checkpoint().config["encoder"]["num_hidden_layers"]
    assert len(scales) == 6 * layers  # query, key, value, attention's output, both of the feed-forward part
    assert all(found.low < 0 < found.high and (found.smooth > 0).all() for found in scales.values())
