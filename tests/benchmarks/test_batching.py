"""Every complaint can be founded: made-up rates, and the command run small."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from benchmarks import batching
from benchmarks.batching import BUDGETS, SIZES, cases_of, complaints, first
from benchmarks.journal import BESIDE, Journal
from benchmarks.own_rows import rows
from sentiment.analyzer import BLOCK, Analyzer
from sentiment.engine import TOKEN_BUDGET, Engine
from sentiment.runtimes import choose_runtime

# Seconds of three rounds; the middle one is the median.
SECONDS = {
    "one by one": [9.0, 10.0, 12.0], "default": [3.0, 10 / 3, 4.0],
    "all dimensions": [3.0, 10 / 3, 4.0], "1 dimension": [3.0, 10 / 3, 4.0],
    "long text alone": [5.0, 5.0, 5.0], "default and a long text": [8.0, 25 / 3, 9.0],
    "first 100 of default": [3.0, 3.5, 4.0], "first 100 before a long text": [8.5, 8.5, 8.5],
    **{f"batch {size}": [value - 0.5, value, value + 0.5]
       for size, value in zip(SIZES, (10.0, 6.0, 4.0, 3.4), strict=True)},
    **{f"{budget} tokens": [value - 0.5, value, value + 0.5]
       for budget, value in zip(BUDGETS, (5.0, 4.5, 3.6, 3.8), strict=True)},
}  # fmt: skip


def slower(factor: float) -> list[float]:
    return [value * factor for value in SECONDS["default"]]


def test_batching_complaints_are_unfounded() -> None:
    found = complaints(SECONDS, "ONNX Runtime 1.0, float32")
    names = ["effect", "default", "never-slower", "dimensions", "long-text", "long-text-wait"]
    assert [entry["name"] for entry in found] == names
    assert all(entry["met"] and entry["runtime"] == "ONNX Runtime 1.0, float32" for entry in found)
    assert [entry["value"] for entry in found] == [3.0, 1.02, 1.0, 1.0, 1.0, 1.0]
    # The default against one text a batch: 9.5/3, 10/(10/3) and 10.5/4 in the rounds.
    assert (found[0]["low"], found[0]["high"]) == (2.625, 3.167)
    # The long text of 5 s adds 5.5, 5 and 4.5 s to the wait of those before it.
    assert (found[-1]["low"], found[-1]["high"], found[-1]["bound"]) == (0.9, 1.1, 1.1)
    assert all(entry["low"] <= entry["value"] <= entry["high"] for entry in found)


@pytest.mark.parametrize(
    ("founded", "seconds"),
    [
        ({"effect"}, {"batch 1": slower(1.1)}),
        ({"default"}, {"batch 16": slower(0.9)}),
        ({"default"}, {f"{BUDGETS[-1]} tokens": slower(0.9)}),
        ({"never-slower"}, {"batch 4": [11.0, 11.0, 11.0]}),
        ({"dimensions"}, {"1 dimension": slower(0.3)}),
        ({"long-text"}, {"default and a long text": [9.5, 9.5, 9.5]}),
        ({"long-text-wait"}, {"first 100 before a long text": [9.1, 9.1, 9.1]}),
    ],
)
def test_batching_complaints_can_be_founded(founded: set[str], seconds: dict[str, list[float]]) -> None:
    found = complaints(SECONDS | seconds, "x")
    assert {entry["name"] for entry in found if not entry["met"]} == founded


def test_batching_judges_by_medians_and_not_by_the_best_round() -> None:
    """One quick round of a size, or one slow one of the default, is noise and shows as such."""
    found = complaints(SECONDS | {"batch 16": [1.0, 4.0, 4.5]}, "x")[1]
    assert found["met"] and found["value"] == 1.02
    found = complaints(SECONDS | {"batch 64": [1.0, 3.4, 3.9]}, "x")[1]
    assert found["met"] and (found["value"], found["low"]) == (1.02, 0.3333)


def test_batching_waits_for_as_many_records_as_come_before(tiny_checkpoint: Path) -> None:
    """As a reader of the stream does: for the whole block that they are in, and for none after it."""
    read: list[str] = []

    def texts() -> Iterator[str]:
        for number in range(2 * BLOCK):
            read.append(f"座椅有点硬 {number}")
            yield read[-1]

    first(Analyzer.load(tiny_checkpoint, threads=1, runtime="onnxruntime"), texts(), 100)
    assert len(read) == BLOCK


def test_batching_command_writes_what_it_judges(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "SIZES", (1, 64))
    monkeypatch.setattr(batching, "BUDGETS", BUDGETS[-1:])
    output = tmp_path / "batching.json"
    command = ["--model", str(tiny_checkpoint), "--texts", "40", "--rounds", "2", "--long", "400", "--threads", "1"]
    code = batching.main([*command, "--busy", "--json", str(output)])
    found = json.loads(output.read_text("utf-8"))
    cases = {name for name in SECONDS if name not in ("batch 4", "batch 16", *(f"{n} tokens" for n in BUDGETS[:-1]))}
    short = {name for name in cases if "long text" not in name and "first" not in name}
    runtime = str(choose_runtime("onnxruntime"))
    assert found["trial"] and list(found["runtimes"]) == [runtime]
    own = found["runtimes"][runtime]
    assert set(own["texts_per_second"]) == short and set(own["seconds"]) == cases
    assert all(len(seconds) == 2 for seconds in own["seconds"].values())
    assert set(own["default_over"]) == short - {"default"}
    assert [entry["runtime"] for entry in found["complaints"]] == [runtime] * 6
    assert code == (0 if all(entry["met"] for entry in found["complaints"]) else 1)


def test_batching_command_fails_by_a_complaint(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made_up(tasks: Mapping[str, object], rounds: int, journal: Journal) -> dict[str, list[float]]:
        """Rounds of the cases as above, but that a long text stalls."""
        journal.once(f"{BESIDE}round 1, default", lambda: 0.5)
        return {**SECONDS, "first 100 before a long text": [99.0, 99.0, 99.0]}

    monkeypatch.setattr(batching, "cases_of", lambda *arguments: dict.fromkeys(SECONDS, lambda: None))
    monkeypatch.setattr(batching, "interleaved", made_up)
    output = tmp_path / "batching.json"
    command = ["--model", str(tiny_checkpoint), "--rounds", "3", "--busy", "--json", str(output)]
    assert batching.main(command) == 1
    found = json.loads(output.read_text("utf-8"))
    rows, during = found["complaints"], found["circumstances"][-1]
    assert during == {"during": "round 1, default", "other_load": 0.5, "busy": True}
    assert [entry["name"] for entry in rows if not entry["met"]] == ["long-text-wait"]


def test_batching_command_keeps_trials_apart(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        batching.main(["--rounds", "1"])
    assert "a trial is no result" in capsys.readouterr().err


def test_batching_one_and_all_dimensions_run_on_one_engine_alone(
    tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise what one engine has in memory and the other has not would be taken for the cost of dimensions."""
    ran: set[int] = set()
    real = Engine.run

    def run(engine: Engine, windows: Any) -> Any:
        ran.add(id(engine))
        return real(engine, windows)

    monkeypatch.setattr(Engine, "run", run)
    cases = cases_of(choose_runtime("onnxruntime"), tiny_checkpoint, 1, ["座椅太硬", "音响震撼"], "座椅太硬。" * 20)
    engines: dict[str, set[int]] = {}
    for name, case in cases.items():
        ran.clear()
        case()
        engines[name] = set(ran)
    assert engines["all dimensions"] == engines["1 dimension"] and len(engines["1 dimension"]) == 1
    others = set().union(*(found for name, found in engines.items() if "dimension" not in name))
    assert others.isdisjoint(engines["1 dimension"]) and len(others) == 3 + len(SIZES) + len(BUDGETS)


def test_batching_budgets_make_larger_and_smaller_batches_than_the_default(
    tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[tuple[int, int]] = []
    real = Engine._infer

    def infer(engine: Engine, windows: Any) -> Any:
        batches.append((len(windows), max(map(engine._length, windows))))
        return real(engine, windows)

    monkeypatch.setattr(Engine, "_infer", infer)
    texts = [text for _, _, text in rows(1000)]
    cases = cases_of(choose_runtime("onnxruntime"), tiny_checkpoint, 1, texts, "座椅太硬。" * 20)
    counts = []
    for budget in sorted((*BUDGETS, TOKEN_BUDGET)):
        batches.clear()
        cases["default" if budget == TOKEN_BUDGET else f"{budget} tokens"]()
        assert all(count * tokens <= budget for count, tokens in batches)
        counts.append(len(batches))
    assert all(more > 1.3 * fewer for more, fewer in pairwise(counts)), counts
