"""A scoring job that goes on where another one ended."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from made_table import FakeAnalyzer, make_table, many, options

from sentiment.batch import Tick, score
from sentiment.parts import PartStore, StoppedError, partial_folder, rejects_file
from sentiment.tables.base import TableError


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".xlsx", ".jsonl", ".parquet", ".csv.gz", ".tsv.gz", ".jsonl.gz"])
def test_batch_resumed_job_writes_the_same_bytes(tmp_path: Path, suffix: str) -> None:
    whole, broken = tmp_path / f"whole{suffix}", tmp_path / "b" / f"whole{suffix}"
    broken.parent.mkdir()
    table = make_table(tmp_path, many(23), rejects=[3, 12])
    score(table, FakeAnalyzer(), whole, options(probabilities=True))
    with pytest.raises(StoppedError, match="--resume"):
        score(table, FakeAnalyzer(fail_at=3), broken, options(probabilities=True))
    assert not broken.exists()
    assert partial_folder(broken).is_dir()
    analyzer = FakeAnalyzer()
    summary = score(table, analyzer, broken, options(probabilities=True, resume=True))
    assert len(analyzer.blocks) == 2
    assert (summary.rows, summary.scored, summary.rejected) == (23, 8, 2)
    if suffix == ".xlsx":
        one, other = (list(openpyxl.load_workbook(path).active.values) for path in (whole, broken))
        assert one == other
    else:
        assert whole.read_bytes() == broken.read_bytes()
    assert rejects_file(whole).read_bytes() == rejects_file(broken).read_bytes()
    assert sorted(path.name for path in broken.parent.iterdir()) == [broken.name, f"{broken.name}.rejects.jsonl"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"layout": "long"}, "options.layout was wide, is long"),
        ({"lang": "zh"}, "options.lang"),
        ({"settings": {"threshold": 0.5}}, "options.threshold"),
        ({"dimensions": ("price",)}, "options.dimensions"),
    ],
)
def test_batch_resume_refuses_other_options(tmp_path: Path, change: dict[str, Any], told: str) -> None:
    output, table = tmp_path / "out.csv", make_table(tmp_path, many(12))
    with pytest.raises(StoppedError):
        score(table, FakeAnalyzer(fail_at=1), output, options())
    with pytest.raises(TableError, match=told):
        score(table, FakeAnalyzer(), output, options(resume=True, **change))


def test_batch_resume_refuses_another_input_or_checkpoint(tmp_path: Path) -> None:
    output = tmp_path / "out.csv"
    with pytest.raises(StoppedError):
        score(make_table(tmp_path, many(12)), FakeAnalyzer(fail_at=1), output, options())
    other = FakeAnalyzer()
    other.hash = "11111111"
    with pytest.raises(TableError, match=r"checkpoint\.hash was 00000000, is 11111111"):
        score(make_table(tmp_path, many(12)), other, output, options(resume=True))
    with pytest.raises(TableError, match=r"input\.files\[0\]\.sha256"):
        score(make_table(tmp_path, many(13)), FakeAnalyzer(), output, options(resume=True))
    (partial_folder(output) / "manifest.json").unlink()
    with pytest.raises(TableError, match="found none that can be read"):
        score(make_table(tmp_path, many(12)), FakeAnalyzer(), output, options(resume=True))
    summary = score(make_table(tmp_path, many(13)), FakeAnalyzer(), output, options(overwrite=True))
    assert summary.scored == 13


@pytest.mark.parametrize(
    ("name", "before", "told"),
    [("__version__", "0.0.1", r"version was 0\.0\.1, is "), ("BLOCKS", 1, "blocks was 1, is ")],
)
def test_batch_resume_refuses_what_another_version_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, before: Any, told: str
) -> None:
    output, table = tmp_path / "out.csv", make_table(tmp_path, many(12))
    with monkeypatch.context() as patch:
        patch.setattr(f"sentiment.batch.{name}", before)
        with pytest.raises(StoppedError):
            score(table, FakeAnalyzer(fail_at=1), output, options())
    with pytest.raises(TableError, match=told):
        score(table, FakeAnalyzer(), output, options(resume=True))


def test_batch_two_that_resume_at_once_leave_a_whole_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output, table = tmp_path / "out.jsonl", make_table(tmp_path, many(40), rejects=[3])
    with pytest.raises(StoppedError):
        score(table, FakeAnalyzer(fail_at=7), output, options())

    def second(tick: Tick) -> None:  # while the first writes, and in its middle
        if tick.phase == "write" and tick.position == 3 and not output.exists():
            with monkeypatch.context() as patch:
                patch.setattr(PartStore, "remove", lambda store: None)  # it comes to that a moment later
                score(table, FakeAnalyzer(), output, options(resume=True))

    summary = score(table, FakeAnalyzer(), output, options(resume=True), second)
    lines = output.read_bytes().splitlines()
    assert [json.loads(line)["id"] for line in lines] == [str(number) for number in range(1, 41)]
    assert summary.rejected == len(rejects_file(output).read_bytes().splitlines()) == 1


def test_batch_takes_no_part_of_a_run_that_was_not_stopped(tmp_path: Path) -> None:
    output, table = tmp_path / "out.jsonl", make_table(tmp_path, many(23))
    other = options(overwrite=True, settings={"threshold": 0.9})

    def replaced(tick: Tick) -> None:  # somebody begins anew while the first still scores
        if tick.scored == 5:
            with pytest.raises(StoppedError):
                score(table, FakeAnalyzer(fail_at=1), output, other)

    with pytest.raises(StoppedError):
        score(table, FakeAnalyzer(), output, options(), replaced)
    assert not output.exists()
    summary = score(table, FakeAnalyzer(), output, options(resume=True, settings={"threshold": 0.9}))
    assert (summary.rows, summary.scored) == (23, 18)


def test_batch_leaves_the_folder_of_a_run_that_began_meanwhile(tmp_path: Path) -> None:
    output, table = tmp_path / "out.jsonl", make_table(tmp_path, many(12))
    store = PartStore(partial_folder(output))
    store.begin({"job": "first"})
    PartStore(partial_folder(output)).begin({"job": "second"})
    store.remove()
    assert partial_folder(output).is_dir()
    score(table, FakeAnalyzer(), output, options(overwrite=True))
    assert [path.name for path in tmp_path.glob("*.partial*")] + [path.name for path in tmp_path.glob(".*")] == []


def test_batch_resume_scores_a_damaged_part_again(tmp_path: Path) -> None:
    output, table = tmp_path / "out.jsonl", make_table(tmp_path, many(12))
    with pytest.raises(StoppedError):
        score(table, FakeAnalyzer(fail_at=2), output, options())
    PartStore(partial_folder(output)).path(0).write_bytes(b"")
    assert score(table, FakeAnalyzer(), output, options(resume=True)).scored == 7
    assert len(output.read_bytes().splitlines()) == 12


def test_batch_resume_without_an_unfinished_job_starts_one(tmp_path: Path) -> None:
    assert score(make_table(tmp_path, many(3)), FakeAnalyzer(), tmp_path / "out.csv", options(resume=True)).scored == 3
