"""Small versions of `benchmarks.crash`: the same checks after a kill or two, and that they find what is wrong."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.crash import check, crash
from benchmarks.crash_score import crash_score, differences
from serve.store import Store

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")


def test_crash_of_score_leaves_the_bytes_of_an_uninterrupted_run(tmp_path: Path, tiny_checkpoint: Path) -> None:
    """One kill after the first block, one while the output is written."""
    found = crash_score(tmp_path, 2, 2, tiny_checkpoint)
    assert found["wrong"] == []
    assert found["kills"] == 2 and found["killed_at"][-1] == "writing"
    assert (tmp_path / "killed" / "scored.csv.rejects.jsonl").stat().st_size > 0
    (tmp_path / "killed" / "scored.csv.partial").mkdir()
    with (tmp_path / "killed" / "scored.csv").open("ab") as output:
        output.write(b"\n")
    (tmp_path / "killed" / "scored.csv.rejects.jsonl").unlink()
    assert differences(tmp_path / "killed", tmp_path / "uninterrupted") == [
        "scored.csv.partial was left", "scored.csv has other bytes", "scored.csv.rejects.jsonl is missing",
    ]  # fmt: skip


def test_crash_of_feedback_loses_nothing_that_was_confirmed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'cinesent.sqlite'}"
    found = crash(url, 1)
    assert found["wrong"] == [] and found["confirmed"] > 0
    assert check(url, {"0-0": 10**6}) == [f"writer 0-0 confirmed 1000000, and {_count(url)} are there"]


def _count(url: str) -> int:
    store = Store(url)
    try:
        return sum(row["by"] == "0-0" for row in store.feedback())
    finally:
        store.close()
