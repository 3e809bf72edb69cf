"""OpenVINO, which engines are compared with: the same answers, whatever the neighbours are."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.engines import engine_on, made, makers, neighbours
from benchmarks.openvino_engine import OpenVino, OpenVinoEngine, openvino_int8, quantise, read_openvino
from sentiment.checkpoint import INT8, Checkpoint, load_checkpoint
from sentiment.engine import TOKEN_BUDGET, Engine
from sentiment.int8 import Scales, exact_products, read_scales
from sentiment.runtimes import RuntimeChoiceError
from tests.benchmarks.sides import largest
from training.int8 import float_graph

pytest.importorskip("openvino", reason='OpenVINO is not installed: pip install "cinesent[int8]"')
needs_exact = pytest.mark.skipif(not exact_products(), reason="the processor does not add products of int8 exactly")

MAX_TOKENS = 64  # of the tiny checkpoint


@pytest.fixture(scope="module")
def exchanged(checkpoint: Checkpoint) -> OpenVinoEngine:
    """The engine on OpenVINO, in float32."""
    session = OpenVino(read_openvino(float_graph(checkpoint.folder / "model.onnx")), "f32", 1)
    found = engine_on(checkpoint, session, 1)
    assert isinstance(found, OpenVinoEngine)
    return found


def test_openvino_engine_answers_as_the_packaged_engine(
    checkpoint: Checkpoint, engine: Engine, exchanged: OpenVinoEngine, sample_texts: list[str]
) -> None:
    texts = [text for text in sample_texts if text.strip()][:30]
    assert neighbours(checkpoint, exchanged, texts)["largest_difference"] < 1e-6  # padded alike
    assert largest(engine, exchanged, sample_texts[:20]) < 1e-3


def test_openvino_engine_batches_hold_one_padded_length_and_few_numbers_of_rows(
    exchanged: OpenVinoEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(7)
    sizes = [*range(1, MAX_TOKENS - 1), *(rng.randint(1, 40) for _ in range(60))]
    windows = [[rng.randrange(5, 400) for _ in range(size)] for size in sizes]
    fed: list[Any] = []
    real = exchanged._session.run

    def run(outputs: Any, feed: Any) -> Any:
        fed.append(feed["attention_mask"])
        return real(outputs, feed)

    monkeypatch.setattr(exchanged._session, "run", run)
    answers = exchanged.run(windows)
    assert sorted({mask.shape[1] for mask in fed}) == list(range(8, MAX_TOKENS + 1, 8))
    assert all(mask.size <= TOKEN_BUDGET and (mask.sum(1) > mask.shape[1] - 8).all() for mask in fed)
    assert {len(mask) for mask in fed} <= {1, 2, 3, 4, 6, 8, 12, 16, 24, 32}
    alone = [exchanged.run([window])[0] for window in windows]
    for one, other in zip(answers, alone, strict=True):
        np.testing.assert_allclose(one.mention, other.mention, atol=2e-4)
    assert [exchanged.rows(count, 8) for count in (1, 5, 7, 13, 129, 200)] == [1, 6, 8, 16, 192, 256]
    assert exchanged.rows(84, 24) == 85  # no more than fill a batch
    monkeypatch.setattr(exchanged, "_max_tokens", 61)
    assert [exchanged._length([7] * size) for size in (1, 6, 7, 54, 55, 59)] == [8, 8, 16, 56, 61, 61]


@needs_exact
def test_openvino_engine_in_int8_is_near_and_not_the_same(int8_checkpoint: Path, sample_texts: list[str]) -> None:
    checkpoint = load_checkpoint(int8_checkpoint)
    found = made(makers(checkpoint, [], 1)["openvino-int8"])
    assert not isinstance(found, str), found
    other, settings = found
    assert settings["precision"] == "int8" and settings["products"] == len(read_scales(int8_checkpoint / INT8)) > 3
    exact = Engine(checkpoint, threads=1)
    windows = [[7, 9, 30, 41, 100], [55, 6], list(range(20, 60))]
    one, two = exact.run(windows), other.run(windows)
    apart = max(float(np.abs(a.mention - b.mention).max()) for a, b in zip(one, two, strict=True))
    spread = float(np.ptp([answer.mention for answer in one], axis=0).max())
    assert 0 < apart < spread / 4


@needs_exact
def test_openvino_engine_in_int8_needs_every_product(int8_checkpoint: Path) -> None:
    scales = {**read_scales(int8_checkpoint / INT8), "no such product": Scales(np.ones(3, np.float32), 0.0, 1.0)}
    with pytest.raises(ValueError, match="expected a product no such product, found none"):
        quantise(read_openvino(float_graph(int8_checkpoint / "model.onnx")), scales)


def test_openvino_engine_in_int8_needs_a_processor_that_does_not_saturate(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.openvino_engine.exact_products", lambda: False)
    with pytest.raises(RuntimeChoiceError, match="expected a processor that adds products of int8 exactly"):
        openvino_int8(float_graph(checkpoint.folder / "model.onnx"), {}, 1)
