"""Which results of memory stay, and of which checkpoint and runtime they are; the command run small."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import memory
from benchmarks.memory import growth_complaints, kept
from sentiment.checkpoint import load_checkpoint
from sentiment.runtimes import choose_runtime

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
SAME = {"model": "tiny@00000000", "hash": "00", "runtime": "ONNX Runtime 1.0, float32"}
BEFORE: dict[str, Any] = {
    **SAME, "rows": 600, "read csv 60": {"peak_mb": 30.0}, "read csv 600": {"peak_mb": 30.0},
    "score csv 50": {"peak_mb": 300.0}, "growth": [{"growth_percent": 1.0}], "complaints": [{"value": 1.0}],
}  # fmt: skip
READ = {"rows", "read csv 60", "read csv 600"}
SCORED = {"score csv 50", "growth", "complaints"}


@pytest.mark.parametrize(
    ("reading", "change", "stays"),
    [
        (False, {}, READ | SCORED),
        (True, {}, SCORED),
        (False, {"hash": "11"}, READ),
        (False, {"runtime": "ONNX Runtime 1, int8"}, READ),
        (True, {"hash": "11"}, set()),
    ],
)
def test_memory_of_another_checkpoint_or_runtime_does_not_stay(
    reading: bool, change: dict[str, str], stays: set[str], tmp_path: Path
) -> None:
    path = tmp_path / "memory.json"
    assert kept(path, reading, SAME) == {}
    path.write_text(json.dumps(BEFORE | change), "utf-8")
    assert set(kept(path, reading, SAME)) == stays


def test_memory_scored_before_hashes_were_kept_does_not_stay(tmp_path: Path) -> None:
    path = tmp_path / "memory.json"
    path.write_text(json.dumps({name: value for name, value in BEFORE.items() if name not in SAME}), "utf-8")
    assert set(kept(path, False, SAME)) == READ


def test_memory_growth_is_a_complaint() -> None:
    found = growth_complaints([
        {"texts": 100_000, "runtime": "ONNX Runtime 1.0, float32", "growth_percent": 2.9},
        {"texts": 100_000, "runtime": "ONNX Runtime 1.0, int8", "growth_percent": 3.4},
    ])  # fmt: skip
    assert [(entry["runtime"], entry["value"], entry["met"]) for entry in found] == [
        ("ONNX Runtime 1.0, float32", 2.9, True), ("ONNX Runtime 1.0, int8", 3.4, False)
    ]  # fmt: skip
    assert all("100,000" in entry["title"] and "100,000" in entry["zh"] for entry in found)


def test_memory_command_keeps_trials_apart(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--rows", "10"], ["--scored", "10"], ["--mixed", "10"]):
        with pytest.raises(SystemExit):
            memory.main(arguments)
        assert "a trial is no result" in capsys.readouterr().err


@linux
def test_memory_command_names_checkpoint_and_runtime(tiny_checkpoint: Path, tmp_path: Path) -> None:
    output = tmp_path / "memory.json"
    output.write_text(json.dumps(BEFORE), "utf-8")
    command = ["--rows", "0", "--scored", "30", "--mixed", "40", "--model", str(tiny_checkpoint)]
    memory.main([*command, "--json", str(output)])
    found = json.loads(output.read_text("utf-8"))
    checkpoint = load_checkpoint(tiny_checkpoint)
    assert (found["model"], found["hash"], found["trial"]) == (checkpoint.name, checkpoint.hash, True)
    assert found["runtime"] == str(choose_runtime("onnxruntime")) and found["read csv 60"] == BEFORE["read csv 60"]
    assert found["score csv 30"]["peak_mb"] > 10 and "score csv 50" not in found
    assert [entry["runtime"] for entry in found["loaded"]] == [found["runtime"]]
    assert found["loaded"][0]["resident_mb"] > 10
    (grown,) = found["growth"]
    assert (grown["texts"], grown["runtime"], len(grown["resident_mb"])) == (40, found["runtime"], 10)
    assert [entry["value"] for entry in found["complaints"]] == [grown["growth_percent"]]
