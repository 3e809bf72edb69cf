"""`cinesent taxonomy`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from score_runs import one_line, run, start

from sentiment.taxonomy import Taxonomy


def test_taxonomy_prints_names_and_lenses() -> None:
    english, chinese = run("taxonomy"), run("taxonomy", "--lang", "zh")
    assert english.exit_code == chinese.exit_code == 0
    assert "audience order" in english.stdout
    assert "servqual" in english.stdout
    assert "座椅视野" in chinese.stdout
    assert "首问部门" in chinese.stdout
    data = json.loads(run("taxonomy", "--json").stdout_bytes)
    assert len(data["dimensions"]) == 18
    assert data["dimensions"][0]["zh"] == "影片内容"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_taxonomy_that_cannot_be_written_ends_with_exit_code_2(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    with Path("/dev/full").open("wb") as full, start(tmp_path, "taxonomy", *arguments, stdout=full) as process:
        _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors.decode()) == (2, "cinesent: No space left on device\n")


def test_taxonomy_of_a_checkpoint(
    fake: Any, tmp_path: Path, own_taxonomy: Taxonomy, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_line(run("taxonomy", "--model", tmp_path), 2, "expected a checkpoint")
    (tmp_path / "config.json").write_text("{}")
    monkeypatch.setattr(fake, "load", {tmp_path: fake(own_taxonomy)}.__getitem__)
    table = run("taxonomy", "--model", tmp_path)
    assert table.exit_code == 0 and "opening_hours" in table.stdout and "seating" not in table.stdout
    data = json.loads(run("taxonomy", "--model", tmp_path, "--json").stdout_bytes)
    assert data == own_taxonomy.to_dict() | {"escalation": [False, True]}
