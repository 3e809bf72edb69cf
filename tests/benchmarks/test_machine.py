"""Whether a benchmark has the machine to itself: in what it refuses to start, and what it records otherwise."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

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
def test_machine_counts_its_ended_children_as_its_own_and_stolen_time_as_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    lines = iter([f"cpu  {100 * ticks} 0 0 999 0 0 0 0 0 0\n", f"cpu  {102 * ticks} 0 {ticks} 999 0 0 0 {ticks} 0 0\n"])
    monkeypatch.setattr(
        machine, "Path", lambda name: SimpleNamespace(is_file=lambda: True, read_text=lambda _: next(lines))
    )
    clock = iter([0.0, 2.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    spent = iter([(1.0, 0.0, 4.0, 0.0), (1.5, 0.5, 5.0, 0.5)])  # own, and of children that have ended
    monkeypatch.setattr("os.times", lambda: os.times_result((*next(spent), 0.0)))
    assert machine.Others().load() == pytest.approx((4 - 2.5) / 2)


@linux
def test_machine_says_nothing_of_a_moment() -> None:
    assert machine.Others().load() is None


@linux
def test_machine_notices_a_busy_process() -> None:
    code = "print('busy', flush=True)\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout is not None and other.stdout.readline() == b"busy\n"
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


@linux
def test_machine_tokenises_on_one_core_meanwhile() -> None:
    """In a process of its own, where the library has no other threads yet."""
    code = """
from pathlib import Path
from tokenizers import Tokenizer, models
from benchmarks.machine import tokenising_on_one_core

def threads_more():
    before = len(list(Path("/proc/self/task").iterdir()))
    tokenizer.encode_batch(["a"] * 400)
    return len(list(Path("/proc/self/task").iterdir())) - before

tokenizer = Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
with tokenising_on_one_core():
    meanwhile = threads_more()
print(meanwhile, threads_more() > 0)
"""
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "0 True\n"), done.stderr


def test_machine_tokenising_on_one_core_leaves_the_variable_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    with tokenising_on_one_core():
        assert os.environ[machine.TOKENIZERS] == "false"
    assert machine.TOKENIZERS not in os.environ
    monkeypatch.setenv(machine.TOKENIZERS, "true")
    with tokenising_on_one_core():
        assert os.environ[machine.TOKENIZERS] == "false"
    assert os.environ[machine.TOKENIZERS] == "true"


@linux
def test_machine_tells_processors_of_one_name_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    told = "processor : 0\ncpu family : 25\nmodel : {}\nmodel name : Some CPU\nstepping : 1\n"
    found = []
    for model in (17, 160):
        text = told.format(model)
        monkeypatch.setattr(Path, "read_text", lambda *_, text=text: text)
        found.append((machine.machine()["processor"], machine.processor()))
    assert found == [("Some CPU", "Some CPU 25/17/1"), ("Some CPU", "Some CPU 25/160/1")]
