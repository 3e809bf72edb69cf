"""The stages: skipped when done, run again when not; the distances they print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import training.reproduce
from training.drift import ExportError
from training.reproduce import COMMITTED, LAYERS, RECIPE, Stages, check_depth, distances, main, run_stages
from training.run import Sources, Start
from training.train import Recipe


def test_run_stages_skips_what_is_done_and_runs_again_what_failed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[str] = []

    def second() -> None:
        calls.append("second")
        if len(calls) == 2:
            raise OSError("disk full")

    stages = {"first": lambda: calls.append("first"), "second": second}
    with pytest.raises(OSError, match="disk full"):
        run_stages(stages, tmp_path)
    assert run_stages(stages, tmp_path) == ["second"]
    assert run_stages(stages, tmp_path) == []
    assert calls == ["first", "second", "second"]
    assert capsys.readouterr().out.count("done before") == 3


def test_stages_train_on_all_labels_and_on_no_text_that_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[tuple[str, Sources, Start, Recipe, bool]] = []

    def train(sources: Sources, start: Start, folder: Path, recipe: Recipe, *, resume: bool = False) -> None:
        trained.append((folder.name, sources, start, recipe, resume))

    monkeypatch.setattr(training.reproduce, "run_training", train)
    stages = Stages(tmp_path / "annotations", tmp_path / "corpora", tmp_path / "work")
    stages.fit()
    (tmp_path / "work" / "fit" / "checkpoints" / "checkpoint-3").mkdir(parents=True)
    stages.fit()
    (name, then, begin, recipe, fresh), (_, _, _, _, resumed) = trained
    assert name == "fit" and not fresh and resumed and recipe == RECIPE
    assert begin == Start(base=str(tmp_path / "work" / "base"), layers=LAYERS)
    # What measures a model fits none.
    data = training.reproduce.ROOT / "data"
    measured = {data / "cinema" / "test.jsonl", *(data / "pairs").glob("*.jsonl")}
    held = {*stages.development.values(), *measured}
    assert len(measured) == 3
    assert set(then.dev) == held and not held & {*then.data, *then.standoff}
    assert {path.name for path in then.weights} == {"other_trades.jsonl", "trades.jsonl"}
    assert all(path in {*then.data, *then.standoff} for path in then.weights)


def test_stages_keep_as_many_layers_as_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Path, int | None]] = []

    def train(sources: Sources, start: Start, folder: Path, recipe: Recipe, *, resume: bool = False) -> None:
        asked.append((folder, start.layers))
        raise OSError("stopped here")

    monkeypatch.setattr(training.reproduce, "run_training", train)
    command = ["--annotations", str(tmp_path), "--corpora", str(tmp_path)]
    for name, options, layers in (("own", [], LAYERS), ("large", ["--layers", "12"], 12)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "base.done").write_text("", "utf-8")
        assert main([*command, "-o", str(tmp_path / name), *options]) == 2
        assert asked[-1] == (tmp_path / name / "fit", layers)


def test_stages_of_several_members_fit_those_that_are_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted: list[tuple[str, int]] = []
    exported: list[tuple[Path, Path, list[Path]]] = []

    def train(sources: Sources, start: Start, folder: Path, recipe: Recipe, *, resume: bool = False) -> None:
        fitted.append((folder.name, recipe.seed))

    def export(run: Path, folder: Path, *_: Any, int8: tuple[Path, ...], others: list[Path]) -> None:
        exported.append((run, folder, others))

    monkeypatch.setattr(training.reproduce, "run_training", train)
    monkeypatch.setattr(training.reproduce, "export_run", export)
    one, three, two = (Stages(tmp_path, tmp_path, tmp_path, members=members) for members in (1, 3, 2))
    assert list(one.steps()) == ["base", "fit", "export", "measure"]
    assert list(three.steps()) == ["base", "fit", "fit-2", "fit-3", "ensemble-3", "measure-ensemble-3"]
    for stages, names in ((one, ("base", "measure")), (three, ("measure-ensemble-3",))):
        for name in names:
            (tmp_path / f"{name}.done").write_text("", "utf-8")
        run_stages(stages.steps(), tmp_path)
    seed = RECIPE.seed
    assert fitted == [("fit", seed), ("fit-2", seed + 1), ("fit-3", seed + 2)]
    first, *others = (tmp_path / name for name in ("fit", "fit-2", "fit-3"))
    assert exported == [(first, tmp_path / "export", []), (first, tmp_path / "ensemble-3", others)]
    # Another number of members is another checkpoint, of members that are there.
    (tmp_path / "measure-ensemble-2.done").write_text("", "utf-8")
    assert run_stages(two.steps(), tmp_path) == ["ensemble-2"]
    assert exported[-1] == (first, tmp_path / "ensemble-2", others[:1]) and len(fitted) == 3


@pytest.mark.parametrize("lacking", [None, "expected nncf, found none"])
def test_stages_export_makes_scales_where_it_can(
    lacking: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[Path, ...]] = []
    monkeypatch.setattr(training.reproduce, "missing", lambda: lacking)
    monkeypatch.setattr(training.reproduce, "export_run", lambda *_, int8, others: asked.append(int8))
    Stages(tmp_path, tmp_path, tmp_path).export()
    own = training.reproduce.ROOT / "data" / "cinema" / "train.jsonl"
    assert asked == [(own,) if lacking is None else ()]
    assert capsys.readouterr().err == ("" if lacking is None else f"without scales for int8, {lacking}\n")


@pytest.mark.parametrize("of_scales", [True, False])
def test_stages_export_without_scales_where_those_are_refused(
    of_scales: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made: list[tuple[Path, ...]] = []

    def export(*_: Any, int8: tuple[Path, ...], others: list[Path]) -> None:
        if int8 or not of_scales:
            raise ExportError("too far from float32")
        made.append(int8)

    monkeypatch.setattr(training.reproduce, "missing", lambda: None)
    monkeypatch.setattr(training.reproduce, "export_run", export)
    if of_scales:
        Stages(tmp_path, tmp_path, tmp_path).export()
        assert made == [()] and capsys.readouterr().err == "without scales for int8: too far from float32\n"
    else:
        with pytest.raises(ExportError, match="too far"):
            Stages(tmp_path, tmp_path, tmp_path).export()


@pytest.mark.parametrize("where", ["fit", "fit/checkpoints/checkpoint-3"])
def test_reproduce_takes_no_training_of_another_depth_for_its_own(
    where: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / where).mkdir(parents=True)
    config = {"encoder": {"num_hidden_layers": 8}}
    (tmp_path / where / "config.json").write_text(json.dumps(config), "utf-8")
    check_depth(tmp_path, 8)
    command = ["--annotations", str(tmp_path), "--corpora", str(tmp_path), "-o", str(tmp_path), "--layers", "12"]
    assert main(command) == 2
    error = capsys.readouterr().err
    assert "expected a training of 12 layers" in error and "found one of 8; give --layers 8" in error
    assert not list(tmp_path.glob("*.done"))


@pytest.mark.parametrize("layers", ["0", "13"])
def test_reproduce_refuses_more_layers_than_the_base_has(layers: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--annotations", "x", "--corpora", "x", "--layers", layers])
    assert f"expected --layers between 1 and 12, found {layers}" in capsys.readouterr().err


def test_distances_of_the_committed_figures_to_themselves_are_zero() -> None:
    committed = json.loads(COMMITTED.read_text("utf-8"))
    (model,) = (m for m in committed["models"] if m["kind"] == "checkpoint")
    lines = distances(model["sets"], committed)
    assert len(lines) >= 8 and all(line.endswith(", +0.0") for line in lines)
    better: dict[str, Any] = {"real": {"overall": {"accuracy": {"value": 0.99}}}, "unknown": {}}
    (line,) = distances(better, committed)
    assert line.startswith("real, overall, accuracy: 99.0, committed ") and ", +" in line


def test_reproduce_says_in_one_line_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "base.done").write_text("", "utf-8")
    options = ["--annotations", str(tmp_path), "--corpora", str(tmp_path), "-o", str(work)]
    assert main(options) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "expected" in error
