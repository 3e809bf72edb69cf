"""Every complaint can be founded: made-up rates, and the command run small."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import batching
from benchmarks.batching import SIZES, complaints

# Seconds of three rounds; the middle one is the median.
SECONDS = {
    "one by one": [9.0, 10.0, 12.0], "default": [3.0, 10 / 3, 4.0], "1 dimension": [3.0, 10 / 3, 4.0],
    "long text alone": [5.0, 5.0, 5.0], "default and a long text": [8.0, 25 / 3, 9.0],
    **{f"batch {size}": [value - 0.5, value, value + 0.5]
       for size, value in zip(SIZES, (10.0, 6.0, 4.0, 3.4, 3.6), strict=True)},
}  # fmt: skip


def slower(factor: float) -> list[float]:
    return [value * factor for value in SECONDS["default"]]


def test_batching_complaints_are_unfounded() -> None:
    found = complaints(SECONDS, "ONNX Runtime 1.0, float32")
    assert [entry["name"] for entry in found] == ["effect", "default", "never-slower", "dimensions", "long-text"]
    assert all(entry["met"] and entry["runtime"] == "ONNX Runtime 1.0, float32" for entry in found)
    assert [entry["value"] for entry in found] == [3.0, 1.02, 1.0, 1.0, 1.0]
    # The default against one text a batch: 9.5/3, 10/(10/3) and 10.5/4 in the rounds.
    assert (found[0]["low"], found[0]["high"]) == (2.625, 3.167)
    assert all(entry["low"] <= entry["value"] <= entry["high"] for entry in found)


@pytest.mark.parametrize(
    ("founded", "seconds"),
    [
        ({"effect"}, {"batch 1": slower(1.1)}),
        ({"default"}, {"batch 16": slower(0.9)}),
        ({"never-slower"}, {"batch 4": [11.0, 11.0, 11.0]}),
        ({"dimensions"}, {"1 dimension": slower(0.3)}),
        ({"long-text"}, {"default and a long text": [9.5, 9.5, 9.5]}),
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


def test_batching_command_writes_what_it_judges(tiny_checkpoint: Path, tmp_path: Path) -> None:
    output = tmp_path / "batching.json"
    command = ["--model", str(tiny_checkpoint), "--texts", "40", "--rounds", "2", "--long", "400", "--threads", "1"]
    code = batching.main([*command, "--busy", "--json", str(output)])
    found = json.loads(output.read_text("utf-8"))
    short = {name for name in SECONDS if "long text" not in name}
    assert found["trial"] and set(found["texts_per_second"]) == short and set(found["seconds"]) == set(SECONDS)
    assert all(len(seconds) == 2 for seconds in found["seconds"].values())
    assert set(found["default_over"]) == short - {"default"} and found["runtime"].startswith("ONNX Runtime ")
    assert code == (0 if all(entry["met"] for entry in found["complaints"]) else 1)


def test_batching_command_keeps_trials_apart(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        batching.main(["--rounds", "1"])
    assert "a trial is no result" in capsys.readouterr().err
