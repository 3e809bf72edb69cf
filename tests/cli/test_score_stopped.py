"""`cinesent score` that is interrupted or fails midway, and goes on."""

from __future__ import annotations

import errno
import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import IO, Any

import pytest
from lost_store import ADDRESS, REASON, LostStore
from score_runs import ROWS, one_line, records, run, start

from sentiment.batch import ScoreOptions
from sentiment.cli import main
from sentiment.cli.score import Terminated


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
def test_score_signals_keep_finished_parts(
    fake: Any, dump: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: str, code: int
) -> None:
    with start(tmp_path, "score", dump, "-o", "out.csv", block_rows=1, FAKE_WAIT="2") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"waiting\n"
        process.send_signal(getattr(signal, number))
        _, errors = process.communicate(timeout=20)
    assert process.returncode == code
    assert b"--resume goes on" in errors.splitlines()[-1]
    assert b"Traceback" not in errors
    assert (tmp_path / "out.csv.partial" / "manifest.json").exists()
    assert [path.name[:11] for path in (tmp_path / "out.csv.partial").glob("part-*.parquet")] == ["part-000000"]
    monkeypatch.setattr("sentiment.batch.ScoreOptions", partial(ScoreOptions, block_rows=1))
    assert run("score", dump, "-o", tmp_path / "out.csv", "--resume").exit_code == 0
    assert fake.blocks == 3  # of four
    assert run("score", dump, "-o", tmp_path / "whole.csv").exit_code == 0
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


@pytest.mark.skipif(os.name == "nt", reason="Windows lets few make links")
@pytest.mark.parametrize("error", [KeyboardInterrupt(), Terminated()])
def test_score_interrupted_names_the_folder_beside_what_a_link_leads_to(
    fake: Any, dump: Path, tmp_path: Path, error: BaseException
) -> None:
    target, link = tmp_path.resolve() / "far" / "scored.csv", tmp_path / "out.csv"
    target.parent.mkdir()
    link.symlink_to(target)
    fake.error = error
    result = run("score", dump, "-o", link)
    assert f"; finished blocks are kept in {target}.partial, the same command with --resume" in result.stderr
    assert (tmp_path / "far" / "scored.csv.partial" / "manifest.json").exists()
    fake.error = None
    one_line(run("score", dump, "-o", link), 2, f"an unfinished job is in {target}.partial")
    assert run("score", dump, "-o", link, "--resume").exit_code == 0
    assert link.is_symlink() and target.is_file()


def _unwritable(place: str) -> IO[bytes]:
    """A device that is full, or a pipe from which nobody reads."""
    if place == "/dev/full":
        return Path(place).open("wb")
    reading, writing = os.pipe()
    os.close(reading)
    return os.fdopen(writing, "wb")


@pytest.mark.skipif(os.name == "nt", reason="Windows has other errors for it")
@pytest.mark.parametrize(("place", "reason"), [("/dev/full", "the disk is full"), ("pipe", "Broken pipe")])
def test_score_stream_that_cannot_be_written_ends_with_exit_code_4(
    dump: Path, tmp_path: Path, place: str, reason: str
) -> None:
    if place == "/dev/full" and not Path(place).exists():
        pytest.skip("there is no /dev/full")
    with _unwritable(place) as opened, start(tmp_path, "score", dump, "-o", "-", stdout=opened) as process:
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 4
    told = f"cinesent: stopped: {reason}; what was written so far is not the whole"
    assert errors.decode().splitlines()[-1] == told and "Exception ignored" not in errors.decode()


@pytest.mark.skipif(os.name == "nt", reason="Windows has other errors for it")
@pytest.mark.parametrize("broken", [1, 0])
def test_score_goes_on_though_nobody_reads_standard_error(dump: Path, tmp_path: Path, broken: int) -> None:
    dump.write_text(ROWS + "座位太挤了，看完腰疼,万达,多了,一列\n环境还可以吧，下次再来,万达\n" * broken, "utf-8")
    with _unwritable("pipe") as unread:  # a note on the second name of the input comes before anything is scored
        with start(tmp_path, "score", dump, dump, "-o", "out.csv", stderr=unread) as process:
            process.communicate(timeout=20)
        assert process.returncode == broken
        assert len(records(tmp_path / "out.csv")) == 4 + broken
        with start(tmp_path, "score", dump, "-o", "-", stderr=unread) as process:
            shown, _ = process.communicate(timeout=20)
    assert process.returncode == broken
    assert len(shown.splitlines()) == 4 + broken


def test_score_goes_on_without_a_standard_error(
    fake: Any, dump: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", None)  # as Python has it where 2 is closed
    with pytest.raises(SystemExit) as ended:
        main(["score", str(dump), str(dump), "-o", str(tmp_path / "out.csv")])
    sys.stderr.close()
    assert ended.value.code == 0
    assert len(records(tmp_path / "out.csv")) == 4


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
