from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest

from benchmarks.journal import BESIDE, Journal
from benchmarks.machine import Others
from benchmarks.rounds import Reordered, Seconds, interleaved, probed, rate_of, spread
from benchmarks.texts import Drawn

TEXTS = [f"第{i}条" + "好" * (i % 7) for i in range(1000)]
DRAWN = Drawn("short", TEXTS, [len(text) for text in TEXTS], False)


def at(rate: float, asked: list[int]) -> Seconds:
    def seconds(texts: Sequence[str]) -> float:
        asked.append(len(texts))
        return len(texts) / rate

    return seconds


def test_rounds_run_every_task_once_and_begin_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    order: list[str] = []

    def task(name: str) -> Callable[[], float]:
        return lambda: order.append(name) or float(len(order))  # type: ignore[func-returns-value]

    found = interleaved({name: task(name) for name in "abcd"}, 2)
    assert order == [*"abcd", *"cdab"]
    assert found == {"a": [1, 7], "b": [2, 8], "c": [3, 5], "d": [4, 6]}
    assert "round 2, c: " in capsys.readouterr().err
    order.clear()
    found = interleaved({name: task(name) for name in "abcd"}, 2, once={"c"})
    assert order == [*"abcd", *"dab"] and found["c"] == [3] and found["a"] == [1, 6]


def test_rounds_of_an_earlier_sitting_are_not_run_again(tmp_path: Path) -> None:
    asked: list[str] = []

    def task(name: str, stops: bool = False) -> float:
        if stops:
            raise KeyboardInterrupt
        asked.append(name)
        return float(len(asked))

    path = tmp_path / "rounds.jsonl"
    with pytest.raises(KeyboardInterrupt):
        interleaved({"a": lambda: task("a"), "b": lambda: task("b", stops=True)}, 2, Journal(path, {}))
    found = interleaved({name: partial(task, name) for name in "ab"}, 2, Journal(path, {}))
    assert asked == ["a", "b", "b", "a"]  # of the second sitting all but the first
    assert found == {"a": [1, 4], "b": [2, 3]}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_rounds_watch_what_others_do_meanwhile(tmp_path: Path) -> None:
    code = "print('busy', flush=True)\nwhile True: pass"

    def beside() -> float:
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as other:
            assert other.stdout is not None and other.stdout.readline() == b"busy\n"
            time.sleep(1)
            alone = Others()  # it has not ended yet: its work counts as another's
            time.sleep(1)
            load = alone.load()
            other.kill()
        assert load is not None
        return load

    journal = Journal(tmp_path / "rounds.jsonl", {})
    found = interleaved({"a": beside}, 1, journal)
    assert found["a"][0] > 0.2
    assert isinstance(journal.get(f"{BESIDE}round 1, a"), float)
    before = journal.get(f"{BESIDE}round 1, a")
    interleaved({"a": beside}, 1, journal)  # known: nothing runs
    assert journal.get(f"{BESIDE}round 1, a") == before
    interleaved({"b": beside}, 1, journal, unwatched=["b"])
    assert journal.get(f"{BESIDE}round 1, b") is None


def test_rounds_reorder_the_texts_alike_for_every_task(tmp_path: Path) -> None:
    def of(rounds: int, journal: Journal) -> dict[str, list[list[str]]]:
        return interleaved({name: Reordered(list, TEXTS) for name in "ab"}, rounds, journal)

    found = of(2, Journal(tmp_path / "whole.jsonl", {}))
    first, second = found["a"]
    assert found["b"] == [first, second]
    assert first != second and first != TEXTS and sorted(first) == sorted(second) == sorted(TEXTS)
    for rounds in (1, 2):  # another sitting gives a round what it would have got
        again = of(rounds, Journal(tmp_path / "parts.jsonl", {}))
    assert again == found


@pytest.mark.parametrize(("rate", "given"), [(0.5, 300), (1.0, 300), (49.0, 300), (50.0, 1000), (5000.0, 1000)])
def test_rounds_give_slow_contestants_fewer_texts(rate: float, given: int) -> None:
    asked: list[int] = []
    found, drawn = probed(at(rate, asked), DRAWN)
    assert found == pytest.approx(rate) and len(drawn.texts) == given
    assert asked[:2] == [1, 4] and sum(asked) < 3 + 2.5 * rate + 340  # a slow one is not asked long
    assert len(probed(at(rate, asked), DRAWN, everything=True)[1].texts) == 1000
    again: list[int] = []
    assert probed(at(rate, again), DRAWN, known=rate + 7)[0] == rate + 7
    assert again * 2 == asked  # warmed as much as each of the two before
    assert len(probed(at(7.0, asked), DRAWN, known=rate)[1].texts) == given


def test_rounds_rate_is_the_median() -> None:
    entry = rate_of([2.0, 10.0, 4.0], DRAWN, 123.456)
    assert entry == {
        "texts": 1000,
        "probe_texts_per_second": 123.46,
        "seconds": [2.0, 10.0, 4.0],
        "texts_per_second": 250.0,
        "least": 100.0,
        "greatest": 500.0,
    }
    assert spread([0.5, 0.123, 0.25], 2) == {"median": 0.25, "least": 0.12, "greatest": 0.5}
