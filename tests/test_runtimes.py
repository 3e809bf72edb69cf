"""OpenVINO beside ONNX Runtime: the same labels, no neighbours, several threads, and who is chosen when."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sentiment.analyzer import Analyzer
from sentiment.checkpoint import CheckpointError, load_checkpoint
from sentiment.engine import OUTPUTS, TOKEN_BUDGET, Engine, Logits
from sentiment.int8 import exact_products, unpacked
from sentiment.records import Analysis
from sentiment.runtimes import (
    Choice,
    OnnxRuntime,
    choose_runtime,
    open_runtime,
    read_openvino,
)

pytest.importorskip("openvino", reason='OpenVINO is not installed: pip install "cinesent[fast]"')

MAX_TOKENS = 64  # of the tiny checkpoint
# Where the processor multiplies in fewer bits, answers are equal to the bit. Else OpenVINO runs in float32, whose
# kernels may round otherwise for another number of rows, as ONNX Runtime's do: compared as those are (test_engine.py).
FEWER_BITS = choose_runtime("openvino").precision != "float32"
ROUNDING = 0.0 if FEWER_BITS else 2e-4


@pytest.fixture(scope="module", params=["bfloat16", "int8"])
def folder(request: pytest.FixtureRequest, tiny_checkpoint: Path, int8_checkpoint: Path) -> Path:
    return int8_checkpoint if request.param == "int8" else tiny_checkpoint


@pytest.fixture(scope="module")
def engine(folder: Path) -> Engine:
    found = Engine(load_checkpoint(folder), threads=2, runtime="openvino")
    assert found.runtime == choose_runtime("openvino", folder)
    return found


@pytest.fixture(scope="module")
def windows() -> list[list[int]]:
    """Windows of all lengths from 1 to full, in no order."""
    rng = random.Random(7)
    sizes = [*range(1, MAX_TOKENS - 1), *(rng.randint(1, 40) for _ in range(60))]
    rng.shuffle(sizes)
    return [[rng.randrange(5, 400) for _ in range(size)] for size in sizes]


def largest(some: Sequence[Logits], others: Sequence[Logits]) -> float:
    """The largest difference between two runs' answers."""
    return max(
        float(np.abs(getattr(one, name) - getattr(other, name)).max())
        for one, other in zip(some, others, strict=True)
        for name in OUTPUTS
    )


def labels(analysis: Analysis) -> tuple[Any, ...]:
    found = sorted((mention.dimension, mention.sentiment) for mention in analysis.dimensions)
    return analysis.status, analysis.overall, analysis.intent, analysis.escalation, found


def available() -> list[str]:
    """The runtimes that run the packaged checkpoint here, the portable one first."""
    return ["onnxruntime", *(["onnxruntime-int8"] if exact_products() else []), "openvino"]


def probabilities(analysis: Analysis) -> list[float]:
    heads = (analysis.overall_confidence, analysis.intent_confidence, analysis.escalation_confidence)
    return [value or 0.0 for value in heads] + [p for shares in analysis.probabilities.values() for p in shares]


# --- answers


def test_runtimes_give_the_same_labels() -> None:
    """With the packaged checkpoint, whose labels are not a matter of the last digit as the tiny one's are."""
    texts = ["座椅太硬，坐得腰疼", "前台小姐姐很热情，环境干净", "要求退款，否则投诉到消协", "请问学生票怎么买",
             "音响震撼，画面清晰，下次还来。" * 30, "", "Great seats!"]  # fmt: skip
    one, *others = (Analyzer.load(runtime=name, threads=2).analyze_block(texts) for name in available())
    assert len(others) == 1 + exact_products() and len({found.overall for found in one}) > 2
    for other in others:
        assert list(map(labels, one)) == list(map(labels, other))
        scored = [(a, b) for a, b in zip(one, other, strict=True) if a.status == "ok"]
        differences = [np.abs(np.subtract(probabilities(a), probabilities(b))).max() for a, b in scored]
        assert len(scored) == 5 and max(differences) < 0.05


def test_runtimes_openvino_unpacks_the_weights(tiny_checkpoint: Path, windows: list[list[int]]) -> None:
    """Multiplied as integers, with what they are multiplied with quantised too, answers would be further away."""
    exact = Engine(load_checkpoint(tiny_checkpoint), threads=1)
    choice = Choice("openvino", "", "float32")
    single = open_runtime(choice, tiny_checkpoint / "model.onnx", 1)
    feed = {"input_ids": np.array([[0, *windows[0], 2]]), "attention_mask": np.ones((1, len(windows[0]) + 2), int)}
    for one, other in zip(single.run(OUTPUTS, feed), exact._session.run(OUTPUTS, feed), strict=True):
        np.testing.assert_allclose(one, other, atol=2e-4)


def test_runtimes_openvino_weights_are_those_that_its_own_folding_makes(tiny_checkpoint: Path) -> None:
    from openvino import Core, passes

    def weights(model: Any) -> list[NDArray[Any]]:
        nodes = [node for node in model.get_ordered_ops() if node.get_type_name() in ("MatMul", "Gather")]
        inputs = [node.input_value(at).get_node() for node in nodes for at in (0, 1)]
        return [node.get_data() for node in inputs if node.get_type_name() == "Constant" and node.get_data().ndim == 2]

    folded = Core().read_model(tiny_checkpoint / "model.onnx")
    nodes = folded.get_ordered_ops()
    packed = [node for node in nodes if node.get_type_name() == "Constant" and node.get_data().dtype == np.int8]
    found = [unpacked(node) for node in nodes]
    assert len([weight for weight in found if weight is not None]) == len(packed) > 3
    manager = passes.Manager()
    manager.register_pass(passes.ConstantFolding())
    manager.run_passes(folded)
    ours, theirs = weights(read_openvino(tiny_checkpoint / "model.onnx")), weights(folded)
    assert len(ours) == len(theirs) > len(packed)  # small weights are floats from the start
    for one, other in zip(ours, theirs, strict=True):
        assert one.dtype == np.float32
        np.testing.assert_array_equal(one, other)


def test_runtimes_a_record_does_not_depend_on_its_neighbours(
    engine: Engine, folder: Path, windows: list[list[int]]
) -> None:
    alone = [answer for window in windows for answer in engine.run([window])]
    assert max(float(np.ptp([answer.mention for answer in alone], axis=0).max()), 0) > 0.1  # or nothing could be seen
    assert largest(alone, engine.run(windows)) <= ROUNDING
    for size in (1, 3, 16):
        checkpoint = load_checkpoint(folder)
        small = Engine(checkpoint, threads=2, batch_size=size, runtime="openvino")
        assert largest(alone, small.run(windows)) <= ROUNDING
    some = windows[::3]
    assert largest(alone[::3], engine.run(some)) <= ROUNDING


def test_runtimes_openvino_batches_hold_one_padded_length(
    engine: Engine, windows: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    fed: list[Any] = []
    real = engine._session.run

    def run(outputs: Any, feed: Any) -> Any:
        fed.append(feed["attention_mask"])
        return real(outputs, feed)

    monkeypatch.setattr(engine._session, "run", run)
    engine.run(windows)
    assert sorted({mask.shape[1] for mask in fed}) == list(range(8, MAX_TOKENS + 1, 8))
    assert all(mask.size <= TOKEN_BUDGET and (mask.sum(1) > mask.shape[1] - 8).all() for mask in fed)
    batches = list(engine._batches(sorted(range(len(windows)), key=lambda i: len(windows[i])), windows))
    assert sorted(i for batch in batches for i in batch) == list(range(len(windows)))
    assert [len(mask) for mask in fed] == [
        engine._rows(len(batch), mask.shape[1]) for batch, mask in zip(batches, fed, strict=True)
    ]


def test_runtimes_openvino_batches_are_filled_up_to_few_numbers_of_rows(
    engine: Engine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each number of rows is a shape of its own, for which kernels are compiled."""
    assert [engine._rows(count, 8) for count in (1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 17, 25, 127, 129, 200, 256)] == [
        1, 2, 3, 4, 6, 6, 8, 8, 12, 12, 16, 24, 32, 128, 192, 256, 256,
    ]  # fmt: skip
    assert len({engine._rows(count, 16) for count in range(1, 129)}) == 14
    assert [engine._rows(count, 24) for count in (84, 85)] == [85, 85]  # no more than fill a batch
    small = Engine(load_checkpoint(folder), threads=1, batch_size=5, runtime="openvino")
    assert [small._rows(count, 16) for count in (3, 5)] == [3, 5]  # nor more than were asked for
    portable = Engine(load_checkpoint(folder), threads=1)
    assert [portable._rows(count, 16) for count in (5, 77)] == [5, 77]
    fed: list[Any] = []
    real = engine._session.run

    def run(outputs: Any, feed: Any) -> Any:
        fed.append(feed)
        return real(outputs, feed)

    monkeypatch.setattr(engine._session, "run", run)
    answers = engine.run([[7, 8, 9]] * 4 + [[30, 41, 100]])
    assert fed[0]["input_ids"].shape == (6, 8) and (fed[0]["input_ids"][5] == fed[0]["input_ids"][4]).all()
    assert (fed[0]["attention_mask"].sum(1) == 5).all()
    assert (
        len(answers) == 5 and largest(answers, [*engine.run([[7, 8, 9]]) * 4, *engine.run([[30, 41, 100]])]) <= ROUNDING
    )


def test_runtimes_padding_stays_within_the_positions(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_max_tokens", 61)
    assert [engine._length([7] * size) for size in (1, 6, 7, 54, 55, 59)] == [8, 8, 16, 56, 61, 61]


def test_runtimes_openvino_answers_several_threads(engine: Engine, windows: list[list[int]]) -> None:
    alone = engine.run(windows)
    with ThreadPoolExecutor(6) as pool:
        parts = [windows[start::6] for start in range(6)]
        for _ in range(3):
            for start, answers in enumerate(pool.map(engine.run, parts)):
                assert largest(alone[start::6], answers) <= ROUNDING


def test_runtimes_sessions_have_the_threads_that_are_asked_for(
    tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import openvino

    compile_model = openvino.Core.compile_model
    asked: list[int] = []  # the compiled model itself would say no more than the cores that this process may use

    def spy(core: Any, model: Any, device: str, settings: dict[str, Any]) -> Any:
        asked.append(settings["INFERENCE_NUM_THREADS"])
        return compile_model(core, model, device, settings)

    monkeypatch.setattr(openvino.Core, "compile_model", spy)
    monkeypatch.setattr("sentiment.engine.usable_cpus", lambda: 5)
    for threads, expected in ((1, 1), (3, 3), (None, 5)):
        session = Analyzer.load(tiny_checkpoint, threads=threads, runtime="onnxruntime")._engine._session
        assert isinstance(session, OnnxRuntime)
        assert session.session.get_session_options().intra_op_num_threads == expected
        Analyzer.load(tiny_checkpoint, threads=threads, runtime="openvino")
    assert asked == [1, 3, 5]


# --- loading


def test_runtimes_openvino_says_in_one_line_that_a_graph_is_none(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"not a graph")
    with pytest.raises(CheckpointError, match=r"expected a model\.onnx that OpenVINO opens in .*, found: \w") as caught:
        open_runtime(choose_runtime("openvino"), tmp_path / "model.onnx", 1)
    assert "\n" not in str(caught.value)


def test_runtimes_openvino_opens_no_socket_and_warns_of_nothing(folder: Path) -> None:
    code = (
        "import socket, sys\n"
        "class Refused(socket.socket):\n"
        "    def __init__(self, *args, **kwargs):\n"
        "        raise AssertionError('expected no socket, found one')\n"
        "socket.socket = socket.create_connection = socket.getaddrinfo = Refused\n"
        "from sentiment import Analyzer\n"
        "analyzer = Analyzer.load(sys.argv[1], runtime='openvino')\n"
        "assert analyzer.analyze('座椅太硬').status == 'ok'\n"
        "print(analyzer.runtime)\n"
    )
    command = [sys.executable, "-W", "error", "-c", code, str(folder)]
    root = Path(__file__).parent.parent
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{choose_runtime('openvino', folder)}\n" and done.stderr == ""
