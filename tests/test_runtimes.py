"""The runtimes that a processor has, beside one another: the same labels, several threads, and what loading tells."""

from __future__ import annotations

import json
import os
import platform
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sentiment import onnx_session
from sentiment.analyzer import Analyzer
from sentiment.checkpoint import CheckpointError, load_checkpoint
from sentiment.engine import OUTPUTS, Engine, Logits
from sentiment.int8 import exact_products
from sentiment.onnx_session import ARENA_BYTES
from sentiment.records import Analysis
from sentiment.runtimes import choose_runtime, open_runtime

MAX_TOKENS = 64  # of the tiny checkpoint
AVAILABLE = ["onnxruntime", *(["onnxruntime-int8"] if exact_products() else [])]


def labels(analysis: Analysis) -> tuple[Any, ...]:
    found = sorted((mention.dimension, mention.sentiment) for mention in analysis.dimensions)
    return analysis.status, analysis.overall, analysis.intent, analysis.escalation, found


def probabilities(analysis: Analysis) -> list[float]:
    heads = (analysis.overall_confidence, analysis.intent_confidence, analysis.escalation_confidence)
    return [value or 0.0 for value in heads] + [p for shares in analysis.probabilities.values() for p in shares]


def largest(some: Sequence[Logits], others: Sequence[Logits]) -> float:
    """The largest difference between two runs' answers."""
    return max(
        float(np.abs(getattr(one, name) - getattr(other, name)).max())
        for one, other in zip(some, others, strict=True)
        for name in OUTPUTS
    )


@pytest.mark.skipif(not exact_products(), reason="the processor does not add products of int8 exactly")
def test_runtimes_give_the_same_labels() -> None:
    """With the packaged checkpoint, whose labels are not a matter of the last digit as the tiny one's are."""
    texts = ["座椅太硬，坐得腰疼", "前台小姐姐很热情，环境干净", "要求退款，否则投诉到消协", "请问学生票怎么买",
             "音响震撼，画面清晰，下次还来。" * 30, "", "Great seats!"]  # fmt: skip
    one, other = (Analyzer.load(runtime=name, threads=2).analyze_block(texts) for name in AVAILABLE)
    assert len({found.overall for found in one}) > 2
    assert list(map(labels, one)) == list(map(labels, other))
    scored = [(a, b) for a, b in zip(one, other, strict=True) if a.status == "ok"]
    differences = [np.abs(np.subtract(probabilities(a), probabilities(b))).max() for a, b in scored]
    assert len(scored) == 5 and 0 < max(differences) < 0.05


@pytest.mark.parametrize("runtime", AVAILABLE)
def test_runtimes_answer_several_threads(int8_checkpoint: Path, runtime: str) -> None:
    rng = random.Random(7)
    windows = [[rng.randrange(5, 400) for _ in range(rng.randint(1, MAX_TOKENS - 2))] for _ in range(90)]
    engine = Engine(load_checkpoint(int8_checkpoint), threads=2, runtime=runtime)
    parts = [windows[start::6] for start in range(6)]
    alone = [engine.run(part) for part in parts]
    with ThreadPoolExecutor(6) as pool:
        for _ in range(3):
            for before, answers in zip(alone, pool.map(engine.run, parts), strict=True):
                assert largest(before, answers) <= 1e-6


@pytest.mark.parametrize("runtime", AVAILABLE)
def test_runtimes_sessions_have_the_threads_that_are_asked_for(
    int8_checkpoint: Path, monkeypatch: pytest.MonkeyPatch, runtime: str
) -> None:
    monkeypatch.setattr("sentiment.engine.usable_cpus", lambda: 5)
    for threads, expected in ((1, 1), (3, 3), (None, 5)):
        session: Any = Analyzer.load(int8_checkpoint, threads=threads, runtime=runtime)._engine._session
        assert session.get_session_options().intra_op_num_threads == expected


@pytest.mark.parametrize("runtime", AVAILABLE)
def test_runtimes_sessions_share_one_arena_that_need_not_grow(int8_checkpoint: Path, runtime: str) -> None:
    """ONNX Runtime tells what it does with it in its log alone."""
    code = (
        "import sys\n"
        "import onnxruntime\n"
        "from sentiment import Analyzer\n"
        "onnxruntime.set_default_logger_severity(1)\n"
        "analyzers = [Analyzer.load(sys.argv[1], runtime=sys.argv[2]) for _ in range(2)]\n"
        "for analyzer in analyzers:\n"
        "    assert analyzer.analyze('座椅太硬').status == 'ok'\n"
    )
    command, root = [sys.executable, "-c", code, str(int8_checkpoint), runtime], Path(__file__).parent.parent
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    extended = [line for line in done.stderr.splitlines() if "Extended allocation by" in line]
    assert len(extended) == 1 and f"by {ARENA_BYTES} bytes" in extended[0], extended


@pytest.mark.slow
@pytest.mark.parametrize("runtime", AVAILABLE)
def test_runtimes_the_packaged_model_finds_room_in_the_arena(runtime: str, phrases: tuple[str, ...]) -> None:
    """For batches of every shape: an arena that grew would double, whenever that is."""
    code = (
        "import json, random, sys\n"
        "import onnxruntime\n"
        "from sentiment import Analyzer\n"
        "phrases, rng = json.loads(sys.argv[2]), random.Random(4)\n"
        "onnxruntime.set_default_logger_severity(1)\n"
        "analyzer = Analyzer.load(runtime=sys.argv[1], threads=2)\n"
        "for _ in range(4):\n"
        "    texts = ['，'.join(rng.choices(phrases, k=rng.choice((1, 1, 2, 5, 15, 40)))) for _ in range(60)]\n"
        "    assert all(found.status == 'ok' for found in analyzer.analyze_block(texts))\n"
        "assert analyzer.analyze('，'.join(rng.choices(phrases, k=4000))).truncated\n"
    )
    command, root = [sys.executable, "-c", code, runtime, json.dumps(phrases)], Path(__file__).parent.parent
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stderr.count("Extended allocation by") == 1


def test_runtimes_threads_that_load_at_once_set_up_one_arena(
    int8_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def slow(module: Any) -> None:
        time.sleep(0.2)
        asked.append(module)

    monkeypatch.setattr(onnx_session, "_arena_set_up", False)
    monkeypatch.setattr(onnx_session, "_register_arena", slow)
    with ThreadPoolExecutor(2) as pool:
        loads = [pool.submit(Analyzer.load, int8_checkpoint, runtime="onnxruntime") for _ in range(2)]
    assert all(load.result().analyze("座椅太硬").status == "ok" for load in loads)
    assert len(asked) == 1


def test_runtimes_go_on_with_an_arena_that_was_there_before(
    int8_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Versions that take no second one say so with this error."""

    def refused(*_: Any) -> None:
        raise RuntimeError("Error when creating and registering allocator: already registered")

    monkeypatch.setattr(onnx_session, "_arena_set_up", False)
    monkeypatch.setattr("onnxruntime.create_and_register_allocator", refused)
    assert Analyzer.load(int8_checkpoint, runtime="onnxruntime").analyze("座椅太硬").status == "ok"


def test_runtimes_say_in_one_line_that_a_graph_is_none(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"not a graph")
    with pytest.raises(
        CheckpointError, match=r"^expected a model\.onnx that ONNX Runtime opens in .*, found: ."
    ) as caught:
        open_runtime(choose_runtime("onnxruntime"), tmp_path / "model.onnx", 1)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("runtime", AVAILABLE)
def test_runtimes_open_no_socket_and_warn_of_nothing(int8_checkpoint: Path, runtime: str) -> None:
    code = (
        "import socket, sys\n"
        "class Refused(socket.socket):\n"
        "    def __init__(self, *args, **kwargs):\n"
        "        raise AssertionError('expected no socket, found one')\n"
        "socket.socket = socket.create_connection = socket.getaddrinfo = Refused\n"
        "from sentiment import Analyzer\n"
        "analyzer = Analyzer.load(sys.argv[1], runtime=sys.argv[2])\n"
        "assert analyzer.analyze('座椅太硬').status == 'ok'\n"
        "print(analyzer.runtime)\n"
    )
    command = [sys.executable, "-W", "error", "-c", code, str(int8_checkpoint), runtime]
    root = Path(__file__).parent.parent
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{choose_runtime(runtime, int8_checkpoint)}\n" and done.stderr == ""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library keeps nothing that was freed")
@pytest.mark.parametrize("runtime", AVAILABLE)
def test_runtimes_keep_nothing_of_what_loading_freed(runtime: str) -> None:
    code = (
        "import ctypes, sys\n"
        "from sentiment import Analyzer\n"
        "def resident():\n"
        "    with open('/proc/self/status') as status:\n"
        "        return int(next(line.split()[1] for line in status if line.startswith('VmRSS')))\n"
        "analyzer = Analyzer.load(runtime=sys.argv[1])\n"
        "loaded = resident()\n"
        "ctypes.CDLL(None).malloc_trim(ctypes.c_size_t(0))\n"
        "print(loaded, resident())\n"
    )
    command, root = [sys.executable, "-c", code, runtime], Path(__file__).parent.parent
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    loaded, trimmed = map(int, done.stdout.split())
    assert trimmed > 0.95 * loaded
