"""The trade-off small: two checkpoints of the tests."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks import tradeoff
from benchmarks.tradeoff import checkpoints_of, size
from sentiment.checkpoint import CheckpointError, load_checkpoint
from training.tradeoff_plot import tradeoff_plot
from training.tradeoff_table import tradeoff_block

if TYPE_CHECKING:
    from sentiment.taxonomy import Taxonomy
    from training.model import CinesentModel


@pytest.fixture(scope="module")
def other(
    tmp_path_factory: pytest.TempPathFactory, tiny_run: Any, loud_model: Callable[..., CinesentModel],
    taxonomy: Taxonomy, package: Callable[..., Path],
) -> Path:  # fmt: skip
    """The tiny checkpoint with other weights."""
    thresholds = {**dict.fromkeys(taxonomy.keys, 0.6), "escalation": 0.5}
    folder = tmp_path_factory.mktemp("tradeoff") / "other"
    return package(loud_model(tiny_run.tokenizer, taxonomy, seed=9), tiny_run.tokenizer, folder, thresholds)


def test_tradeoff_size_counts_weights(tiny_checkpoint: Path, tiny_run: Any) -> None:
    found = size(load_checkpoint(tiny_checkpoint))
    assert (found["members"], found["layers"], found["hidden"]) == (1, 2, 32) and found["mb"] > 0
    # The exporter leaves out what nothing reads, and equal tensors but one; it adds a few constants.
    expected = sum(parameter.numel() for parameter in tiny_run.model.parameters())
    assert found["parameters"] == pytest.approx(expected, rel=0.05)


def test_tradeoff_checkpoints_by_name(tiny_checkpoint: Path, other: Path) -> None:
    assert list(checkpoints_of([f"other={other}"], tiny_checkpoint)) == ["packaged", "other"]


@pytest.mark.parametrize("item", ["{other}", "={other}", "packaged={other}", "other={other}/none"])
def test_tradeoff_refuses_what_names_no_checkpoint(item: str, tiny_checkpoint: Path, other: Path) -> None:
    with pytest.raises(CheckpointError, match="expected"):
        checkpoints_of([item.format(other=other)], tiny_checkpoint)


def test_tradeoff_refuses_another_label_space(tiny_checkpoint: Path, own_checkpoint: Path) -> None:
    with pytest.raises(CheckpointError, match="expected one label space"):
        checkpoints_of([f"bakery={own_checkpoint}"], tiny_checkpoint)


def test_tradeoff_command_measures_side_by_side(
    tiny_checkpoint: Path, other: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "train.jsonl"
    lines = tradeoff.OWN.read_text("utf-8").splitlines(keepends=True)
    own.write_text("".join(lines[:400]), "utf-8")
    monkeypatch.setattr("benchmarks.texts.OWN", own)
    output = tmp_path / "tradeoff.json"
    command = [f"other={other}", "--model", str(tiny_checkpoint), "--texts", "20", "--rounds", "1", "--limit", "40"]
    command += ["--busy", "--threads", "1", "--work", str(tmp_path / "work"), "--json", str(output)]
    assert tradeoff.main(command) == 0
    assert not list((tmp_path / "work").iterdir())
    found = json.loads(output.read_text("utf-8"))
    assert [entry["name"] for entry in found["checkpoints"]] == ["packaged", "other"] and found["trial"]
    assert found["runtime"].startswith("ONNX Runtime ")
    assert found["model"] == load_checkpoint(tiny_checkpoint).name and found["texts"]["short"]["texts"] == 20
    for entry in found["checkpoints"]:
        assert entry["short"]["texts_per_second"] > 0 and len(entry["long"]["seconds"]) == 1
        assert ("differences" in entry["sets"]["written"]) == (entry["name"] == "other")
    # What it writes is what the table and the picture read.
    assert "| other | 2 |" in tradeoff_block(found) and "other, 2 layers" in tradeoff_plot(found)


def test_tradeoff_command_keeps_trials_apart(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--rounds", "1"], ["--limit", "5"], ["--texts", "5", "--json", "x"]):
        with pytest.raises(SystemExit):
            tradeoff.main(["other=x", *arguments])
        assert "expected" in capsys.readouterr().err
