"""Development texts that a run was trained on: what the run keeps of its texts, and what export leaves out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import training.run
from sentiment.cli import main
from training.drift import ExportError
from training.example import Example
from training.export import Exported
from training.seen import LEAST_TEXTS, SEEN, keep_seen, read_seen, text_hash, without_seen

invoke: Callable[..., Result] = CliRunner().invoke


def write(path: Path, texts: Sequence[str]) -> Path:
    rows = ({"text": text, "overall": "negative"} for text in texts)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def test_seen_hash_is_of_the_words_whatever_the_typing() -> None:
    assert text_hash("座椅太硬，坐得腰疼") == text_hash("座椅太硬!! 坐得腰疼。")
    assert text_hash("IMAX厅不错") == text_hash("imax厅不错")
    assert text_hash("座椅太硬") != text_hash("座椅太软")
    assert text_hash("👍👍") != text_hash("👎👎")


def test_seen_file_holds_hashes_in_their_own_order(tmp_path: Path, phrases: tuple[str, ...]) -> None:
    hashes = [text_hash(text) for text in phrases]
    keep_seen(tmp_path, [*hashes, hashes[0]])
    assert (tmp_path / SEEN).read_text("utf-8").splitlines() == sorted(hashes)
    assert read_seen(tmp_path) == set(hashes)
    assert read_seen(tmp_path / "nowhere") is None


def test_without_seen_leaves_out_the_texts_and_what_nearly_repeats_them(phrases: tuple[str, ...]) -> None:
    known, other = phrases[0], phrases[1 : 1 + LEAST_TEXTS]
    sets = {"first": [Example(known), *map(Example, other)], "second": [Example(f"{known}啊"), Example(phrases[-1])]}
    kept, left = without_seen(sets, frozenset({text_hash(known)}))
    assert {name: [example.text for example in part] for name, part in kept.items()} == {
        "first": list(other), "second": [phrases[-1]],
    }  # fmt: skip
    assert left == 2
    assert without_seen(sets, frozenset({text_hash("别的")})) == (sets, 0)


def test_without_seen_wants_enough_different_texts_only_where_some_were_seen(phrases: tuple[str, ...]) -> None:
    few = [Example(text) for text in phrases[:LEAST_TEXTS]]
    repeated = [*few, Example(f"{phrases[1]}！")]
    assert without_seen({"dev": few[:2]}, frozenset()) == ({"dev": few[:2]}, 0)
    with pytest.raises(ExportError, match=r"expected at least 10 different development texts .* found 9: 1 of 11 were"):
        without_seen({"dev": repeated}, frozenset({text_hash(phrases[0])}))
    enough = [*few, Example(phrases[LEAST_TEXTS])]
    assert without_seen({"dev": enough}, frozenset({text_hash(phrases[0])})) == ({"dev": enough[1:]}, 1)


@pytest.fixture
def calibrated(monkeypatch: pytest.MonkeyPatch, tiny_checkpoint: Path) -> list[list[str]]:
    """The development texts of each export, which packs nothing."""
    found: list[list[str]] = []

    def export(_: Any, __: Any, folder: Path, sets: Mapping[str, Sequence[Example]], **options: Any) -> Exported:
        found.append([example.text for part in sets.values() for example in part])
        shutil.copytree(tiny_checkpoint, folder)
        return Exported(folder, {}, {})

    monkeypatch.setattr(training.run, "export", export)
    return found


def said_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the export says; torch, which trains here too, traces much."""
    return [record.message for record in caplog.records if record.name == "training.run"]


def test_export_leaves_out_what_train_learnt_from_and_says_so(
    tiny_run: Any, tmp_path: Path, phrases: tuple[str, ...], calibrated: list[list[str]],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    run, later = tmp_path / "run", tmp_path / "later"
    begun = Path(shutil.copytree(tiny_run.folder, tmp_path / "begun"))
    keep_seen(begun, ())
    first, second, fresh = phrases[:8], phrases[8:14], phrases[14:]
    for folder, start, texts in ((run, begun, first), (later, run, second)):
        data = write(tmp_path / "data.jsonl", texts)
        options = ["--warm-start", str(start), "--epochs", "1", "--max-tokens", "48", "-o", str(folder)]
        assert invoke(main, ["train", "--data", str(data), *options]).exit_code == 0
    assert read_seen(run) == {text_hash(text) for text in first}
    assert read_seen(later) == {text_hash(text) for text in (*first, *second)}  # what its weights began with, too

    dev = write(tmp_path / "dev.jsonl", [*first[:3], second[0], *fresh])
    command = ["export", str(later), "--dev", str(dev), "-o"]
    assert invoke(main, [*command, str(tmp_path / "new")]).exit_code == 0
    assert calibrated == [list(fresh)]
    assert said_of(caplog) == ["4 of 20 development texts were seen in training: left out of calibration"]

    write(dev, [*second, *fresh[:3]])
    refused = invoke(main, [*command, str(tmp_path / "other")])
    assert refused.exit_code == 3 and refused.stderr.count("\n") == 1
    assert "export refused: expected at least 10 different development texts" in refused.stderr
    assert len(calibrated) == 1 and not (tmp_path / "other").exists()


def test_export_says_when_a_run_keeps_no_hashes_and_nothing_when_no_text_was_seen(
    tiny_run: Any, tmp_path: Path, phrases: tuple[str, ...], calibrated: list[list[str]],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    run = Path(shutil.copytree(tiny_run.folder, tmp_path / "run"))
    dev = write(tmp_path / "dev.jsonl", phrases[:3])
    command = ["export", str(run), "--dev", str(dev), "-o"]
    assert invoke(main, [*command, str(tmp_path / "first")]).exit_code == 0
    assert said_of(caplog) == [f"{run} does not say what it was trained on: development texts may be among it"]
    caplog.clear()
    keep_seen(run, [text_hash(phrases[9])])
    assert invoke(main, [*command, str(tmp_path / "second")]).exit_code == 0
    assert said_of(caplog) == [] and calibrated == 2 * [list(phrases[:3])]


def test_export_says_when_the_start_does_not_tell_what_it_had_learnt(
    tiny_checkpoint: Path, tmp_path: Path, phrases: tuple[str, ...], calibrated: list[list[str]],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """A packaged checkpoint keeps no hashes, nor can what goes on from a run that began with it."""
    run, later = tmp_path / "run", tmp_path / "later"
    dev = write(tmp_path / "dev.jsonl", phrases[14:])
    for folder, start, texts in ((run, tiny_checkpoint, phrases[:8]), (later, run, phrases[8:14])):
        data = write(tmp_path / "data.jsonl", texts)
        options = ["--warm-start", str(start), "--epochs", "1", "--max-tokens", "48", "-o", str(folder)]
        assert invoke(main, ["train", "--data", str(data), *options]).exit_code == 0
        caplog.clear()
        command = ["export", str(folder), "--dev", str(dev), "-o", str(tmp_path / f"{folder.name}-out")]
        assert invoke(main, command).exit_code == 0
        told = "began with a checkpoint that does not say what it was trained on: development texts may be among that"
        assert said_of(caplog) == [f"{folder} {told}"]
    assert calibrated == 2 * [list(phrases[14:])]
