"""Whether a benchmark has the machine to itself: in what it refuses to start, and what it records otherwise."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from benchmarks import machine
from benchmarks.machine import MachineError, conditions, fresh_environment, others_load, tokenising_on_one_core

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


@pytest.fixture(autouse=True)
def no_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (machine.TOKENIZERS, *machine.LIMITS, *machine.THREADS):
        monkeypatch.delenv(name, raising=False)


@linux
def test_machine_counts_what_others_do_and_not_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    seen = iter([100 * ticks, 103 * ticks])  # three seconds of all processes' work

    class Stat:
        def is_file(self) -> bool:
            return True

        def read_text(self, encoding: str) -> str:
            return f"cpu  {next(seen)} 0 0 999 0 0 0 0 0 0\ncpu0 1 2 3 4\n"

    clock = iter([0.0, 2.0])
    own = iter([10.0, 12.0])  # of which two were this one's
    monkeypatch.setattr(machine, "Path", lambda name: Stat())
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.setattr("os.times", lambda: os.times_result((next(own), 0.0, 0.0, 0.0, 0.0)))
    assert others_load() == 0.5


@linux
def test_machine_notices_a_busy_process() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as other:
        try:
            time.sleep(0.3)
            load = others_load(1.0)
        finally:
            other.kill()
    assert load is not None and load > 0.2


def test_machine_refuses_to_measure_beside_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "others_load", lambda: 0.35)
    with pytest.raises(
        MachineError, match=r"expected the machine to itself, found others busy on 0\.35 cores .*--busy"
    ):
        conditions()
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    found = conditions(busy=True)
    assert found["busy"] and found["other_load"] == 0.35 and found["environment"]["OMP_NUM_THREADS"] == "1"
    for load in (0.2, None):
        monkeypatch.setattr(machine, "others_load", lambda load=load: load)
        assert not conditions()["busy"] and not conditions(busy=True)["busy"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TOKENIZERS_PARALLELISM", "false"),
        ("TOKENIZERS_PARALLELISM", "0"),
        ("RAYON_NUM_THREADS", "1"),
        ("OMP_THREAD_LIMIT", "1"),
    ],
)
def test_machine_refuses_limits_on_threads(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "others_load", lambda: 0.0)
    monkeypatch.setenv(name, value)
    with pytest.raises(MachineError, match=f"found {name}={value}; unset it"):
        conditions(busy=True)
    assert name not in fresh_environment()
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "true")
    for limit in machine.LIMITS:
        monkeypatch.delenv(limit, raising=False)
    assert conditions()["environment"]["TOKENIZERS_PARALLELISM"] == "true"


def test_machine_tokenises_on_one_core_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = Tokenizer(models.WordLevel({"a": 0, "?": 1}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    texts = ["a b " * 200] * 400

    def in_this_thread() -> float:
        everywhere, here = time.process_time(), time.thread_time()
        tokenizer.encode_batch(texts)
        return (time.thread_time() - here) / (time.process_time() - everywhere)

    with tokenising_on_one_core():
        assert in_this_thread() > 0.9
    assert machine.TOKENIZERS not in os.environ
    if (os.cpu_count() or 1) > 1:
        assert in_this_thread() < 0.6
    monkeypatch.setenv(machine.TOKENIZERS, "true")
    with tokenising_on_one_core():
        assert os.environ[machine.TOKENIZERS] == "false"
    assert os.environ[machine.TOKENIZERS] == "true"
