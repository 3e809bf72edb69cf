"""Gathering training texts: weights by file, and what may not be fitted on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
from click.testing import CliRunner

from sentiment.cli import main
from sentiment.cli.train import _weighted
from sentiment.taxonomy import Taxonomy
from training.bases import BaseError
from training.example import DatasetError
from training.export import Exported
from training.folders import load_run
from training.run import Sources, Start, export_run, gather, prepare
from training.steps import newest_step
from training.train import PARTLY, Recipe


def write(path: Path, *texts: str) -> Path:
    rows = ({"text": text, "overall": "negative"} for text in texts)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def test_gather_weighs_each_file_as_told(tmp_path: Path, taxonomy: Taxonomy) -> None:
    own, other = write(tmp_path / "own.jsonl", "座椅太硬"), write(tmp_path / "other.jsonl", "这家馆子上菜太慢")
    labelled = gather(Sources(data=(own, other), weights={other: 0.6}), taxonomy)
    assert [(example.text, example.weight) for example in labelled] == [("座椅太硬", 1.0), ("这家馆子上菜太慢", 0.6)]


def test_gather_leaves_out_what_nearly_repeats_a_development_text(tmp_path: Path, taxonomy: Taxonomy) -> None:
    data = write(tmp_path / "own.jsonl", "三号厅的空调冷得像冰窖一样", "爆米花太甜了")
    dev = write(tmp_path / "dev.jsonl", "三号厅的空调冷得像冰窖一样！！")
    labelled = gather(Sources(data=(data,), dev=(dev,)), taxonomy)
    assert [example.text for example in labelled] == ["爆米花太甜了"]


def test_gather_reads_development_tables_by_the_codings_of_the_data(tmp_path: Path, taxonomy: Taxonomy) -> None:
    data, dev = tmp_path / "data.csv", tmp_path / "dev.csv"
    data.write_text("text,seating\n座椅太硬,-1\n三号厅的空调冷得像冰窖一样,-2\n", "utf-8")
    dev.write_text("text,seating\n三号厅的空调冷得像冰窖一样！！,-2\n", "utf-8")
    codings = {"-1": "negative", "-2": "none"}
    labelled = gather(Sources(data=(data,), dev=(dev,), mapping=codings), taxonomy)
    assert [(example.text, example.labels["seating"][0]) for example in labelled] == [("座椅太硬", "negative")]


def test_train_option_gives_a_file_its_weight(tmp_path: Path) -> None:
    assert _weighted("other.csv=0.6") == (Path("other.csv"), 0.6)
    assert _weighted("other.csv") == (Path("other.csv"), 1.0)
    assert _weighted("a=b.csv") == (Path("a=b.csv"), 1.0)
    odd = write(tmp_path / "x=2", "座椅太硬")
    assert _weighted(str(odd)) == (odd, 1.0)  # a file of that name is meant
    for item in ("other.csv=0", "other.csv=-1", "other.csv=inf", "other.csv=nan"):
        with pytest.raises(click.ClickException, match="expected FILE=WEIGHT with a weight above 0"):
            _weighted(item)


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    """What the verb asked to be trained; nothing is."""
    asked: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def spy(*arguments: Any, **options: Any) -> Any:
        asked.append((arguments, options))
        return SimpleNamespace(metrics={"held_out": {}})

    monkeypatch.setattr("training.run.run_training", spy)
    return asked


def test_train_command_hands_every_option_on(
    tmp_path: Path, trainings: list[tuple[tuple[Any, ...], dict[str, Any]]]
) -> None:
    arguments = ["train", "--data", "a.csv=0.6", "--data", "b.csv", "--dev", "c.csv", "--dev", "d.csv"]
    arguments += ["--standoff", "e.jsonl=0.5", "--corpora", "corpora"]
    arguments += ["--map", "1=positive,-2=none", "--blank", "none"]
    arguments += ["--base", "hub/base", "--warm-start", "ours", "--taxonomy", "own.yaml", "--layers", "7"]
    arguments += ["--epochs", "5", "--learning-rate", "1e-4", "--keep", "0.25", "--batch-size", "16"]
    arguments += ["--max-tokens", "99", "--patience", "4", "--seed", "21"]
    result = CliRunner().invoke(main, [*arguments, "-o", str(tmp_path / "out")])
    assert result.exit_code == 0, result.stderr
    ((sources, start, output, recipe), options) = trainings[0]
    assert sources == Sources(
        data=(Path("a.csv"), Path("b.csv")),
        dev=(Path("c.csv"), Path("d.csv")),
        standoff=(Path("e.jsonl"),),
        corpora=Path("corpora"),
        weights={Path("a.csv"): 0.6, Path("b.csv"): 1.0, Path("e.jsonl"): 0.5},
        mapping={"1": "positive", "-2": "none"},
        blank_none=True,
    )
    assert start == Start("hub/base", Path("ours"), Path("own.yaml"), 7)
    assert output == tmp_path / "out"
    given = {
        "epochs": 5.0, "learning_rate": 1e-4, "keep": 0.25, "batch_size": 16, "max_tokens": 99, "patience": 4,
        "seed": 21,
    }  # fmt: skip
    assert recipe == replace(Recipe(), **given)
    assert options == {"partly": replace(PARTLY, **given), "resume": False}


@pytest.mark.parametrize(("flag", "name"), [("--folds", "over_folds"), ("--seeds", "over_seeds")])
def test_train_command_hands_repeated_trainings_what_one_gets(
    flag: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Any, ...]] = []

    def spy(*arguments: Any) -> Any:
        asked.append(arguments)
        return {"mean": {"joint": 0.5}, "deviation": {"joint": 0.01}, "runs": [{}] * 4}

    monkeypatch.setattr(f"training.repeat.{name}", spy)
    arguments = ["train", "--data", "a.csv=0.6", "--dev", "c.csv", "--map", "1=positive", "--blank", "none"]
    arguments += ["--base", "hub/base", "--layers", "7", "--epochs", "5", "--keep", "0.25", "--seed", "21", flag, "4"]
    result = CliRunner().invoke(main, [*arguments, "-o", str(tmp_path / "out")])
    assert result.exit_code == 0, result.stderr
    assert "joint 0.500 ± 0.010 over 4 trainings" in result.stderr
    sources = Sources(
        data=(Path("a.csv"),), dev=(Path("c.csv"),), weights={Path("a.csv"): 0.6}, mapping={"1": "positive"},
        blank_none=True,
    )  # fmt: skip
    given = {"epochs": 5.0, "keep": 0.25, "seed": 21}
    recipes = (replace(Recipe(), **given), 4, replace(PARTLY, **given))
    assert asked == [(sources, Start("hub/base", layers=7), tmp_path / "out", *recipes)]


def test_train_command_by_default_trains_by_the_recipes(
    tmp_path: Path, trainings: list[tuple[tuple[Any, ...], dict[str, Any]]]
) -> None:
    result = CliRunner().invoke(main, ["train", "--data", "a.csv", "-o", str(tmp_path / "out")])
    assert result.exit_code == 0, result.stderr
    ((sources, start, _, recipe), options) = trainings[0]
    assert sources == Sources(data=(Path("a.csv"),), weights={Path("a.csv"): 1.0})
    assert (start, recipe, options["partly"]) == (Start(), Recipe(), PARTLY)


def test_export_command_hands_every_option_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def spy(*arguments: Any, **options: Any) -> Exported:
        asked.append((arguments, options))
        return Exported(tmp_path, {}, {})

    monkeypatch.setattr("training.run.export_run", spy)
    arguments = ["export", "run", "--dev", "real=a.csv", "--dev", "b.csv", "-o", "out"]
    more = ["--map", "1=positive,-2=none", "--blank", "none", "--name", "mine", "--int8", "c.csv", "--int8", "d.csv"]
    for options in (["run2", "run3", *more], []):
        assert CliRunner().invoke(main, [*arguments, *options]).exit_code == 0
    told = (Path("run"), Path("out"), {"real": Path("a.csv"), "b": Path("b.csv")})
    assert asked == [
        (
            told,
            {
                "name": "mine",
                "mapping": {"1": "positive", "-2": "none"},
                "blank_none": True,
                "int8": (Path("c.csv"), Path("d.csv")),
                "others": (Path("run2"), Path("run3")),
            },
        ),
        (told, {"name": "cinesent-zh", "mapping": {}, "blank_none": False, "int8": (), "others": ()}),
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["export", "nowhere", "--dev", "{dev}", "-o", "out"], "expected a run folder with model.safetensors"),
        (["export", "nowhere", "--dev", "{dev}", "--dev", "{dev}", "-o", "out"], "expected a different name for each"),
        (["train", "--data", "{dev}", "--warm-start", "nowhere", "-o", "out"], "expected a run folder with model"),
        (["train", "--data", "{dev}", "--layers", "2", "-o", "out"], "expected --layers with a base whose heads are"),
    ],
)
def test_commands_end_wrong_folders_with_one_line(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    dev = write(tmp_path / "dev.jsonl", "座椅太硬")
    run: Callable[..., Any] = CliRunner().invoke
    result = run(main, [part.format(dev=dev) for part in arguments])
    assert result.exit_code == 2, result.stderr
    assert result.stderr.startswith(f"cinesent: {message}") and result.stderr.count("\n") == 1


def test_gather_refuses_texts_that_teach_nothing(tmp_path: Path, taxonomy: Taxonomy) -> None:
    data = tmp_path / "mine.csv"
    data.write_text("text,label\n座椅太硬,negative\n爆米花太甜了,positive\n", "utf-8")
    with pytest.raises(DatasetError, match="expected at least one label, found none in 2 texts"):
        gather(Sources(data=(data,)), taxonomy)
    own = write(tmp_path / "own.jsonl", "座椅太硬", "爆米花太甜了")
    with pytest.raises(DatasetError, match="expected texts that are not in --dev, found all 2 there"):
        gather(Sources(data=(own,), dev=(own,)), taxonomy)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_train_command_replaces_a_training_only_when_told(
    tiny_run: Any, tmp_path: Path, sample_texts: list[str]
) -> None:
    data = write(tmp_path / "data.jsonl", *[text for text in dict.fromkeys(sample_texts) if text.strip()][:12])
    folder = tmp_path / "run"
    invoke: Callable[..., Any] = CliRunner().invoke

    def train(*more: str, start: Path = tiny_run.folder, texts: Path = data) -> Any:
        options = ["--warm-start", str(start), "--epochs", "1", "--max-tokens", "48", "-o", str(folder), *more]
        return invoke(main, ["train", "--data", str(texts), *options])

    assert train().exit_code == 0
    before = tree(folder)
    for more, message in (
        ((), f"expected a new run folder, found a training in {folder}; --resume goes on"),
        (("--folds", "2"), "expected a new run folder"),
        (("--resume", "--overwrite"), "expected --resume or --overwrite, found both"),
    ):
        result = train(*more)
        assert result.exit_code == 2 and message in result.stderr and result.stderr.count("\n") == 1
    result = train("--overwrite", start=folder)
    assert result.exit_code == 2 and "expected to start from another folder" in result.stderr
    assert train("--overwrite", texts=tmp_path / "nowhere.jsonl").exit_code == 2
    assert tree(folder) == before  # nothing is removed for a training that cannot begin
    stale = folder / "checkpoints" / "checkpoint-99999"
    shutil.copytree(newest_step(folder) or folder, stale)
    assert train("--overwrite").exit_code == 0 and not stale.exists()
    (folder / "model.onnx").write_bytes(b"")
    assert "found a packaged checkpoint" in train("--overwrite").stderr


def test_export_into_a_run_folder_is_refused(tiny_run: Any, tmp_path: Path) -> None:
    dev = write(tmp_path / "dev.jsonl", "座椅太硬")
    before = tree(tiny_run.folder)
    invoke: Callable[..., Any] = CliRunner().invoke
    result = invoke(main, ["export", str(tiny_run.folder), "--dev", str(dev), "-o", str(tiny_run.folder)])
    assert result.exit_code == 2 and "expected a folder for a checkpoint, found a run in" in result.stderr
    assert tree(tiny_run.folder) == before


def test_export_reads_texts_for_scales_as_it_reads_development_files(
    tiny_run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[list[str]] = []

    def spy(*_: Any, int8: list[str], **__: Any) -> Exported:
        taken.append(int8)
        raise BaseError("enough")

    monkeypatch.setattr("training.run.export", spy)
    monkeypatch.setattr("training.run.missing", lambda: None)
    own = tmp_path / "own.csv"
    own.write_text("text,seating\n座椅太硬,-1\n爆米花太甜了,-2\n", "utf-8")
    codings = {"-1": "negative", "-2": "none"}
    with pytest.raises(BaseError, match="enough"):
        export_run(tiny_run.folder, tmp_path / "out", {"dev": own}, mapping=codings, int8=[own])
    assert taken == [["座椅太硬", "爆米花太甜了"]]
    with pytest.raises(DatasetError, match="-1"):
        export_run(tiny_run.folder, tmp_path / "out", {"dev": own}, int8=[own])


def test_prepare_is_gentle_where_a_checkpoint_goes_on_with_partly_labelled_texts(
    tiny_checkpoint: Path, tmp_path: Path, taxonomy: Taxonomy
) -> None:
    dev = write(tmp_path / "dev.jsonl", "爆米花太甜了")
    texts = ("座椅太硬", "三号厅的空调冷得像冰窖一样", "检票员一直笑着")
    known = {"labels": [], "overall": "neutral", "intent": "review", "escalation": False}
    whole = tmp_path / "whole.jsonl"
    whole.write_text("".join(json.dumps({"text": text, **known}, ensure_ascii=False) + "\n" for text in texts), "utf-8")
    partly, own, start = write(tmp_path / "partly.jsonl", *texts), Recipe(), Start(warm_start=tiny_checkpoint)

    def prepared(data: Path, begin: Start = start, gentle: Recipe | None = PARTLY) -> Any:
        return prepare(Sources(data=(data,), dev=(dev,)), begin, taxonomy, own, gentle)

    found = prepared(partly)
    assert found.recipe is PARTLY and [e.text for e in found.development] == ["爆米花太甜了"]
    assert all(example.soft is not None for example in found.labelled)
    for other in (prepared(whole), prepared(partly, Start(base="offline")), prepared(partly, gentle=None)):
        assert other.recipe is own and other.development == []


def test_prepare_refuses_to_keep_a_start_of_other_heads(tmp_path: Path, taxonomy: Taxonomy) -> None:
    data = write(tmp_path / "own.jsonl", "座椅太硬")
    with pytest.raises(BaseError, match="expected --keep with a checkpoint of the same label space"):
        prepare(Sources(data=(data,)), Start(base="offline"), taxonomy, Recipe(keep=0.5))


def test_train_command_keeps_half_of_the_start_unless_told(
    tiny_run: Any, tmp_path: Path, sample_texts: list[str]
) -> None:
    data = write(tmp_path / "data.jsonl", *[text for text in dict.fromkeys(sample_texts) if text.strip()][:12])
    options = [
        "train",
        "--data",
        str(data),
        "--warm-start",
        str(tiny_run.folder),
        "--epochs",
        "1",
        "--max-tokens",
        "48",
    ]
    invoke: Callable[..., Any] = CliRunner().invoke
    for more, share in (([], 0.5), (["--keep", "0"], None)):
        folder = tmp_path / f"run-{share}"
        result = invoke(main, [*options, "--max-tokens", "48", "-o", str(folder), *more])
        assert result.exit_code == 0, result.stderr
        metrics = json.loads((folder / "metrics.json").read_text("utf-8"))
        assert metrics.get("kept") == (None if share is None else {"share": share})
        assert ("share of the start's weights in the result: 0.5" in result.stderr) is (share is not None)
        assert metrics["recipe"]["epochs"] == 1 and metrics["recipe"]["learning_rate"] == PARTLY.learning_rate


def test_train_command_takes_any_bert_folder_as_base(
    make_encoder: Callable[..., Any], wordpiece: Any, own_examples: Callable[[int, int], list[Any]], tmp_path: Path
) -> None:
    """Another size, another tokeniser, heads that are new."""
    base = tmp_path / "base"
    make_encoder(wordpiece, hidden_size=48, num_attention_heads=3, num_hidden_layers=3).save_pretrained(base)
    wordpiece.save_pretrained(base)
    data = write(tmp_path / "data.jsonl", *dict.fromkeys(example.text for example in own_examples(30, 0)))
    folder = tmp_path / "run"
    options = ["train", "--data", str(data), "--base", str(base), "--epochs", "1", "--max-tokens", "32"]
    invoke: Callable[..., Any] = CliRunner().invoke
    result = invoke(main, [*options, "-o", str(folder)])
    assert result.exit_code == 0, result.stderr
    model, tokenizer = load_run(folder)
    encoder = model.config.encoder
    assert (encoder["hidden_size"], encoder["num_hidden_layers"]) == (48, 3)
    assert tokenizer.get_vocab() == wordpiece.get_vocab()
    # Nothing of a start is to be kept: the rates are those of new heads.
    metrics = json.loads((folder / "metrics.json").read_text("utf-8"))
    assert metrics["recipe"]["learning_rate"] == Recipe.learning_rate and "kept" not in metrics
