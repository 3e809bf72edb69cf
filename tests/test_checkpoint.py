from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sentiment.checkpoint import FILES, SCHEMA_VERSION, CheckpointError, load_checkpoint
from sentiment.taxonomy import Taxonomy


@pytest.fixture
def folder(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """A copy that may be damaged."""
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "copy"))


def change(folder: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    config = json.loads((folder / "config.json").read_text("utf-8"))
    edit(config)
    (folder / "config.json").write_text(json.dumps(config), "utf-8")


def message(folder: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(folder)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("expected") and "found" in str(caught.value)
    return str(caught.value)


def test_checkpoint_loads_what_the_export_wrote(tiny_checkpoint: Path, taxonomy: Taxonomy) -> None:
    checkpoint = load_checkpoint(tiny_checkpoint)
    assert checkpoint.folder == tiny_checkpoint and checkpoint.taxonomy == taxonomy
    assert checkpoint.thresholds == {**dict.fromkeys(taxonomy.keys, 0.6), "escalation": 0.5}
    assert (
        checkpoint.scaling.temperatures == {} and checkpoint.uncertain["overall"] == 0.5 and checkpoint.max_tokens == 64
    )
    assert load_checkpoint(str(tiny_checkpoint)) == checkpoint


def test_checkpoint_name_carries_the_hash_of_all_files(folder: Path) -> None:
    before = load_checkpoint(folder)
    digest = hashlib.sha256(b"".join((folder / name).read_bytes() for name in FILES)).hexdigest()
    assert before.hash == digest and before.name == f"tiny@{digest[:8]}"
    change(folder, lambda config: config["thresholds"].update(seating=0.61))
    after = load_checkpoint(folder)
    assert after.hash != before.hash and after.name != before.name and after.name.startswith("tiny@")


@pytest.mark.parametrize("name", FILES)
def test_checkpoint_without_a_file_names_it(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert f"without {name};" in message(folder) and "`cinesent export`" in message(folder)


def test_checkpoint_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert f"{tmp_path / 'nothing'} without config.json, tokenizer.json, model.onnx" in message(tmp_path / "nothing")


@pytest.mark.parametrize("name", ["tokenizer.json", "model.onnx"])
@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_checkpoint_damaged_file_is_found(folder: Path, name: str, damage: str) -> None:
    content = bytearray((folder / name).read_bytes())
    if damage == "cut":
        del content[-100:]
    else:
        content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    assert f"expected {name} with sha256" in message(folder) and "damaged" in message(folder)


@pytest.mark.parametrize("version", [0, SCHEMA_VERSION + 1, None, str(SCHEMA_VERSION)])
def test_checkpoint_of_another_schema_version_is_refused(folder: Path, version: object) -> None:
    change(folder, lambda config: config.update(schema_version=version))
    assert f"schema version {SCHEMA_VERSION}, found {version}" in message(folder)


def test_checkpoint_of_a_later_version_is_told_by_its_version_whatever_else_it_holds(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"schema_version": SCHEMA_VERSION + 1, "rules": {}}))
    assert f"found {SCHEMA_VERSION + 1};" in message(folder)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"{}", b'{"schema_version": 1}', b"\xff\xfe{", b"\0" * 9]
)
def test_checkpoint_corrupt_config_is_one_clear_line(folder: Path, content: bytes) -> None:
    (folder / "config.json").write_bytes(content)
    assert "expected a config.json written by `cinesent export`" in message(folder)


@pytest.mark.parametrize(
    "edit",
    [
        lambda config: config.pop("max_tokens"),
        lambda config: config["thresholds"].pop("seating"),
        lambda config: config["thresholds"].update(seating="high"),
        lambda config: config.update(max_tokens="many"),
        lambda config: config.update(sha256={}),
        lambda config: config.update(uncertain=3),
        lambda config: config["taxonomy"].update(dimensions=[]),
    ],
)
def test_checkpoint_config_that_lacks_something_is_one_clear_line(folder: Path, edit: Callable[[Any], object]) -> None:
    change(folder, edit)
    assert "expected a config.json written by `cinesent export`" in message(folder)
