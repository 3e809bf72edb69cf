"""Every complaint can be founded: made-up rates, and the command run small."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import batching
from benchmarks.batching import SIZES, complaints

RATES = {
    "one by one": 100.0, "default": 300.0, "1 dimension": 300.0,
    **dict(zip((f"batch {size}" for size in SIZES), (100.0, 150.0, 250.0, 300.0, 280.0), strict=True)),
}  # fmt: skip
SECONDS = {"default": 10.0, "long text alone": 5.0, "default and a long text": 15.0}


def test_batching_complaints_are_unfounded() -> None:
    found = complaints(RATES, SECONDS)
    assert [entry["name"] for entry in found] == ["effect", "default", "never-slower", "dimensions", "long-text"]
    assert all(entry["met"] for entry in found)
    assert [entry["value"] for entry in found] == [3.0, 1.0, 1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("founded", "rates", "seconds"),
    [
        ({"effect"}, dict.fromkeys(RATES, 100.0), {}),
        ({"default"}, {"default": 280.0, "1 dimension": 280.0}, {}),
        ({"never-slower"}, {"batch 4": 90.0}, {}),
        ({"dimensions"}, {"1 dimension": 900.0}, {}),
        ({"long-text"}, {}, {"default and a long text": 17.0}),
    ],
)
def test_batching_complaints_can_be_founded(
    founded: set[str], rates: dict[str, float], seconds: dict[str, float]
) -> None:
    found = complaints(RATES | rates, SECONDS | seconds)
    assert {entry["name"] for entry in found if not entry["met"]} == founded


def test_batching_command_writes_what_it_judges(tiny_checkpoint: Path, tmp_path: Path) -> None:
    output = tmp_path / "batching.json"
    command = ["--model", str(tiny_checkpoint), "--texts", "40", "--runs", "1", "--long", "400", "--threads", "1"]
    code = batching.main([*command, "--json", str(output)])
    found = json.loads(output.read_text("utf-8"))
    assert found["trial"] and set(found["texts_per_second"]) == set(RATES)
    assert code == (0 if all(entry["met"] for entry in found["complaints"]) else 1)


def test_batching_command_keeps_trials_apart(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        batching.main(["--runs", "1"])
    assert "a trial is no result" in capsys.readouterr().err
