"""The data set's card: its counts are those of the files, and it says when they are not."""

from __future__ import annotations

import shutil
from pathlib import Path

from training.datacard import main

DATA = Path(__file__).parents[2] / "data"


def test_the_card_of_this_project_is_up_to_date() -> None:
    assert main(["--data", str(DATA), "--check"]) == 0


def test_a_card_of_other_files_is_stale_until_written(tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(DATA / "cinema", data / "cinema")
    shutil.copytree(DATA / "standoff", data / "standoff")
    shutil.copy(DATA / "README.md", data)
    train = data / "cinema" / "train.jsonl"
    train.write_text("".join(train.read_text("utf-8").splitlines(keepends=True)[:-1]), "utf-8")
    assert main(["--data", str(data), "--check"]) == 1
    assert main(["--data", str(data)]) == 0
    assert main(["--data", str(data), "--check"]) == 0
    assert (data / "README.md").read_text("utf-8") != (DATA / "README.md").read_text("utf-8")
