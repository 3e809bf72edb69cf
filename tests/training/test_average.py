"""The mean of runs' weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from training.average import average, main
from training.bases import BaseError
from training.run import load_run
from training.seen import keep_seen, read_seen

if TYPE_CHECKING:
    from conftest import TinyRun


@pytest.fixture
def other_run(tiny_run: TinyRun, tmp_path: Path) -> Path:
    """`tiny_run` with every weight one higher."""
    folder = tmp_path / "other"
    model, tokenizer = load_run(tiny_run.folder)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 1.0
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_average_is_the_weighted_mean(tiny_run: TinyRun, other_run: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    shutil.copytree(tiny_run.folder, own)
    (own / "metrics.json").write_text(json.dumps({"recipe": {"epochs": 2}, "held_out": {"eval_joint": 0.9}}), "utf-8")
    assert main([str(own), f"{other_run}=3", "-o", str(tmp_path / "mean")]) == 0
    mean, tokenizer = load_run(tmp_path / "mean")
    for name, value in mean.state_dict().items():
        assert torch.allclose(value, tiny_run.model.state_dict()[name] + 0.75, atol=1e-5), name
    assert mean.config.label_space() == tiny_run.model.config.label_space()
    assert tokenizer("座椅太硬")["input_ids"] == tiny_run.tokenizer("座椅太硬")["input_ids"]
    metrics = json.loads((tmp_path / "mean" / "metrics.json").read_text("utf-8"))
    # Figures on one training's held-out texts are not the mean's.
    assert metrics == {"recipe": {"epochs": 2}, "averaged": {"own": 1.0, "other": 3.0}}


def test_average_has_seen_what_its_runs_have(tiny_run: TinyRun, other_run: Path, tmp_path: Path) -> None:
    own = Path(shutil.copytree(tiny_run.folder, tmp_path / "own"))
    keep_seen(own, ["a", "b"])
    average({own: 1.0, other_run: 1.0}, tmp_path / "unknown")
    assert read_seen(tmp_path / "unknown") is None
    keep_seen(other_run, ["b", "c"])
    average({own: 1.0, other_run: 1.0}, tmp_path / "known")
    assert read_seen(tmp_path / "known") == {"a", "b", "c"}


def test_average_wants_runs_of_one_shape(tiny_run: TinyRun, own_run: TinyRun, tmp_path: Path) -> None:
    with pytest.raises(BaseError, match="expected runs of one shape, found another in"):
        average({tiny_run.folder: 1, own_run.folder: 1}, tmp_path / "mean")
    assert not (tmp_path / "mean").exists()


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ([], "expected two runs or more"),
        (["{other}=0"], "with positive weights"),
        (["{other}=a"], "expected DIR or DIR=WEIGHT"),
        (["{own}"], "expected different runs"),
        (["nowhere"], "expected a run folder with model.safetensors"),
    ],
)
def test_average_says_what_it_wants(
    others: list[str],
    message: str,
    tiny_run: TinyRun,
    other_run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    runs = [name.format(own=tiny_run.folder, other=other_run) for name in ["{own}", *others]]
    assert main([*runs, "-o", str(tmp_path / "mean")]) == 2
    assert message in capsys.readouterr().err
