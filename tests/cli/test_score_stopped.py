"""`cinesent score` that is interrupted or fails midway, and goes on."""

from __future__ import annotations

import errno
import os
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from lost_store import ADDRESS, REASON, LostStore
from score_runs import ROWS, one_line, run, start

from sentiment.batch import ScoreOptions


def test_score_unfinished_job_is_refused_then_resumed(fake: Any, dump: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.csv"
    fake.error = OSError(errno.ENOSPC, "No space left on device")
    one_line(run("score", dump, "-o", output), 4, "the disk is full; finished blocks are kept")
    fake.error = None
    one_line(run("score", dump, "-o", output), 2, "--resume goes on with it")
    one_line(run("score", dump, "-o", output, "--resume", "--layout", "long"), 2, "options.layout was wide, is long")
    assert run("score", dump, "-o", output, "--resume", "--threads", "1").exit_code == 0


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (ValueError("座位太挤了"), 4, "internal error, ValueError"),
        (MemoryError(), 4, "out of memory"),
        (KeyboardInterrupt(), 130, "interrupted; finished blocks are kept"),
    ],
)
def test_score_stopped_midway(
    fake: Any, dump: Path, tmp_path: Path, error: BaseException, code: int, told: str
) -> None:
    fake.error = error
    result = run("score", dump, "-o", tmp_path / "out.csv")
    one_line(result, code, told)
    assert "--resume" in result.stderr
    assert "太挤" not in result.stderr


@pytest.mark.skipif(os.name == "nt", reason="Windows ends a process without asking it")
@pytest.mark.parametrize(("number", "code"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_score_signals_keep_finished_parts(dump: Path, tmp_path: Path, number: str, code: int) -> None:
    with start(tmp_path, "score", dump, "-o", "out.csv", FAKE_WAIT="1") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"waiting\n"
        process.send_signal(getattr(signal, number))
        _, errors = process.communicate(timeout=20)
    assert process.returncode == code
    assert b"--resume goes on" in errors.splitlines()[-1]
    assert b"Traceback" not in errors
    assert (tmp_path / "out.csv.partial" / "manifest.json").exists()
    with start(tmp_path, "score", dump, "-o", "out.csv", "--resume") as process:
        process.communicate(timeout=20)
    assert process.returncode == 0


def test_score_interrupted_while_it_tidies_up_has_nothing_to_resume(
    fake: Any, dump: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(path: Path, ignore_errors: bool = False) -> None:
        raise KeyboardInterrupt

    output = tmp_path / "out.csv"
    with monkeypatch.context() as patch:
        patch.setattr("sentiment.parts.shutil.rmtree", interrupted)
        result = run("score", dump, "-o", output)
    one_line(result, 130, f"interrupted; {output} is written and whole")
    whole = output.read_bytes()
    assert run("score", dump, "-o", output, "--overwrite").exit_code == 0
    assert output.read_bytes() == whole


def test_score_interrupted_before_it_begins_calls_no_old_output_whole(
    fake: Any, dump: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(store: Any, manifest: Any) -> None:
        raise KeyboardInterrupt

    output = tmp_path / "out.csv"
    output.write_text("of an earlier run", "utf-8")
    monkeypatch.setattr("sentiment.parts.PartStore.begin", interrupted)
    result = run("score", dump, "-o", output, "--overwrite")
    assert (result.exit_code, "whole" in result.stderr) == (130, False)


def test_score_lost_connection_is_no_fault_of_the_file(
    fake: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    far, whole, output = (tmp_path / name for name in ("far", "whole.csv", "out.csv"))
    far.mkdir()
    for name in ("a.csv", "b.csv"):
        (far / name).write_text(ROWS, "utf-8")
    store = LostStore(far)
    monkeypatch.setattr("sentiment.tables.files.find_remote", store.find)
    monkeypatch.setattr("sentiment.batch.ScoreOptions", partial(ScoreOptions, block_rows=3))
    assert run("score", ADDRESS, "-o", whole).exit_code == 0
    store.lose(after=0)
    result = run("score", ADDRESS, "-o", output)
    one_line(result, 4, f"reading failed: {REASON} ({ADDRESS}/b.csv); finished blocks are kept in {output}.partial")
    assert result.stderr.endswith("the same command with --resume goes on\n")
    assert len(list((tmp_path / "out.csv.partial").glob("part-*.parquet"))) == 1
    assert run("score", ADDRESS, "-o", output, "--resume").exit_code == 0
    assert output.read_bytes() == whole.read_bytes()
