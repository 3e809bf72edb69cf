"""What a training begins with: heads of its seed, the window that was asked for, and nothing else when resumed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from sentiment.cli import main
from sentiment.taxonomy import Taxonomy
from training.folders import load_run
from training.run import Sources, Start, load_start, run_training
from training.train import Recipe


def write(path: Path, *texts: str) -> Path:
    rows = ({"text": text, "overall": "negative"} for text in texts)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


@pytest.fixture
def base(make_encoder: Callable[..., Any], wordpiece: Any, tmp_path: Path) -> Path:
    """A tiny base whose heads are to be made."""
    folder = tmp_path / "base"
    make_encoder(wordpiece).save_pretrained(folder)
    wordpiece.save_pretrained(folder)
    return folder


def test_run_training_gives_new_heads_the_weights_of_its_seed(
    base: Path, own_examples: Callable[[int, int], list[Any]], tmp_path: Path
) -> None:
    data = write(tmp_path / "data.jsonl", *dict.fromkeys(example.text for example in own_examples(30, 0)))
    recipe = Recipe(epochs=1, max_tokens=32)
    heads = []
    for number, seed in enumerate((13, 13, 14)):
        torch.manual_seed(number)  # of this process, of which nothing may depend
        folder = tmp_path / str(number)
        run_training(Sources(data=(data,)), Start(base=str(base)), folder, replace(recipe, seed=seed))
        heads.append(load_run(folder)[0].state_dict())
    first, same, other = heads
    assert all(torch.equal(value, same[name]) for name, value in first.items())
    assert not torch.allclose(first["mention_weight"], other["mention_weight"], atol=1e-3)


@pytest.mark.parametrize(("asked", "window"), [(None, 64), (32, 32), (600, 64)])
def test_load_start_gives_a_checkpoint_the_window_that_was_asked_for(
    tiny_checkpoint: Path, tiny_run: Any, asked: int | None, window: int
) -> None:
    """The encoder has 66 positions."""
    for folder in (tiny_checkpoint, tiny_run.folder):
        model, tokenizer, _ = load_start(Start(warm_start=folder), asked)
        assert model.config.max_tokens == window
        assert asked is None or tokenizer.model_max_length == window


def test_load_start_gives_new_heads_the_usual_window_at_most(base: Path) -> None:
    assert load_start(Start(base=str(base)))[0].config.max_tokens == 64
    assert load_start(Start(base=str(base)), 40)[0].config.max_tokens == 40


def test_train_command_reads_texts_in_the_window_of_the_model(
    tiny_run: Any, tmp_path: Path, phrases: tuple[str, ...]
) -> None:
    """Texts of more tokens than the encoder has positions for, and a window of more than these."""
    long = [f"{one}，{other}。" * 12 for one, other in zip(phrases[::2], phrases[1::2], strict=True)]
    data = write(tmp_path / "data.jsonl", *long)
    options = ["--warm-start", str(tiny_run.folder), "--epochs", "1", "--max-tokens", "600"]
    invoke: Callable[..., Any] = CliRunner().invoke
    result = invoke(main, ["train", "--data", str(data), *options, "-o", str(tmp_path / "run")])
    assert result.exit_code == 0, result.stderr
    assert load_run(tmp_path / "run")[0].config.max_tokens == 64
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text("utf-8"))
    assert metrics["recipe"]["max_tokens"] == 64


def test_load_start_names_the_dimensions_whose_heads_are_new(
    base: Path, tiny_run: Any, tmp_path: Path, taxonomy: Taxonomy
) -> None:
    more = taxonomy.to_dict()
    more["dimensions"] = [*more["dimensions"], {"key": "foyer", "zh": "前厅", "owner": "店长"}]
    path = tmp_path / "more.yaml"
    path.write_text(json.dumps(more, ensure_ascii=False), "utf-8")
    found = {
        name: load_start(start)[2]
        for name, start in {
            "own": Start(warm_start=tiny_run.folder),
            "more": Start(warm_start=tiny_run.folder, taxonomy=path),
            "base": Start(base=str(base)),
        }.items()
    }
    assert found == {"own": frozenset(), "more": {"foyer"}, "base": set(taxonomy.keys)}


def test_train_command_refuses_to_resume_from_another_start(
    tiny_run: Any, tmp_path: Path, sample_texts: list[str]
) -> None:
    data = write(tmp_path / "data.jsonl", *[text for text in dict.fromkeys(sample_texts) if text.strip()][:12])
    other = tmp_path / "other"
    model, tokenizer = load_run(tiny_run.folder)
    with torch.no_grad():
        next(model.encoder.parameters()).add_(1.0)
    model.save_pretrained(other)
    tokenizer.save_pretrained(other)
    moved = Path(shutil.copytree(tiny_run.folder, tmp_path / "moved"))
    invoke: Callable[..., Any] = CliRunner().invoke
    options = ["train", "--data", str(data), "--epochs", "1", "--max-tokens", "48", "-o", str(tmp_path / "run")]

    def train(start: Path, *more: str) -> Any:
        return invoke(main, [*options, "--warm-start", str(start), *more])

    assert train(tiny_run.folder).exit_code == 0
    for start, more, named in (
        (other, [], "start"),
        (tiny_run.folder, ["--learning-rate", "1e-3"], "learning rate"),
        (tiny_run.folder, ["--keep", "0.25"], "keep"),
    ):
        refused = train(start, "--resume", *more)
        assert refused.exit_code == 2
        assert refused.stderr.splitlines()[-1].startswith(f"cinesent: expected the {named} of the training in")
    assert train(moved, "--resume").exit_code == 0
