"""Folds and seeds: every text left out once, the figures averaged, the command that does both."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from sentiment.cli import main
from training.calibrate import fold_numbers
from training.example import DatasetError
from training.repeat import over_folds, over_seeds
from training.run import Sources, Start, load_start
from training.train import Recipe, Run

QUICK = Recipe(epochs=1, learning_rate=1e-3, head_factor=2, batch_size=8, max_tokens=48)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory, sample_texts: list[str]) -> Path:
    path = tmp_path_factory.mktemp("repeat") / "labelled.jsonl"
    texts = [text for text in dict.fromkeys(sample_texts) if len(text) < 40][:48]
    rows = [
        {
            "id": str(i), "text": text, "overall": ("positive", "negative")[i % 2], "intent": "review",
            "labels": [{"dimension": "seating", "sentiment": "negative"}] if "座椅" in text else [],
            "escalation": i % 9 == 0,
        }
        for i, text in enumerate(texts)
    ]  # fmt: skip
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def test_fold_numbers_deal_out_whole_groups() -> None:
    groups = [0, 0, 0, 1, 2, 2, 3, 4, 5, 6, 7, 7]
    fold = fold_numbers(groups, 3, seed=1)
    assert set(fold) == {0, 1, 2} and len(fold) == len(groups)
    dealt = [{group for group, number in zip(groups, fold, strict=True) if number == k} for k in range(3)]
    assert sum(map(len, dealt)) == len(set(groups))  # none in two folds
    assert max(map(len, dealt)) - min(map(len, dealt)) <= 1
    assert list(fold_numbers(groups, 3, seed=1)) == list(fold)


def test_over_folds_leaves_every_text_out_once(tiny_run: Any, labelled: Path, tmp_path: Path) -> None:
    found = over_folds(Sources(data=(labelled,)), Start(warm_start=tiny_run.folder), tmp_path, QUICK, 2)
    assert len(found["runs"]) == 2
    for name, mean in found["mean"].items():
        values = [run[name] for run in found["runs"]]
        assert mean == pytest.approx(np.mean(values), abs=1e-4)
        assert found["deviation"][name] == pytest.approx(np.std(values, ddof=1), abs=1e-4)
    assert json.loads((tmp_path / "averaged.json").read_text("utf-8")) == found
    kept = np.load(tmp_path / "out_of_fold.npz")
    assert list(kept["ids"]) == [str(i) for i in range(48)]
    assert kept["overall"].shape == (48, 3) and (kept["overall"] != 0).any(1).all()
    assert {path.name for path in tmp_path.iterdir()} >= {"fold-1", "fold-2"}
    metrics = json.loads((tmp_path / "fold-1" / "metrics.json").read_text("utf-8"))
    assert metrics["start"]["warm_start"] == tiny_run.folder.name


def test_over_folds_of_too_few_texts_is_refused(tiny_run: Any, labelled: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="expected at least 100 different texts for 50 folds, found 4"):
        over_folds(Sources(data=(labelled,)), Start(warm_start=tiny_run.folder), tmp_path, QUICK, 50)


def test_over_seeds_makes_new_heads_by_the_seed_of_each_training(
    tiny_run: Any, labelled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds: list[int] = []

    def spy(*arguments: Any) -> Any:
        seeds.append(torch.initial_seed())
        return load_start(*arguments)

    monkeypatch.setattr("training.repeat.load_start", spy)
    monkeypatch.setattr("training.repeat.fine_tune", lambda *_, **__: Run(tmp_path, {"held_out": {}}))
    monkeypatch.setattr("training.repeat.save_run", lambda *_: None)
    torch.manual_seed(99)
    over_seeds(Sources(data=(labelled,)), Start(warm_start=tiny_run.folder), tmp_path, QUICK, 2)
    assert seeds[1:] == [QUICK.seed, QUICK.seed + 1]  # the first only asks for the label space


def test_train_command_averages_seeds(tiny_run: Any, labelled: Path, tmp_path: Path) -> None:
    options = ["--warm-start", str(tiny_run.folder), "--epochs", "1", "--max-tokens", "48", "-o", str(tmp_path / "out")]
    run: Callable[..., Any] = CliRunner().invoke
    result = run(main, ["train", "--data", f"{labelled}=0.5", *options, "--seeds", "2"])
    assert result.exit_code == 0, result.stderr
    assert "over 2 trainings" in result.stderr and " ± " in result.stderr
    seeds = [
        json.loads((tmp_path / "out" / f"seed-{n}" / "metrics.json").read_text("utf-8"))["recipe"]["seed"]
        for n in (1, 2)
    ]
    assert seeds[1] == seeds[0] + 1
    refused = run(main, ["train", "--data", str(labelled), *options, "--seeds", "2", "--folds", "2"])
    assert refused.exit_code == 2 and "expected --folds or --seeds alone" in refused.stderr
