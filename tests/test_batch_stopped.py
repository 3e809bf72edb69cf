"""A scoring job that stops midway: what it says, and what it keeps."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from made_table import FakeAnalyzer, FakeReader, make_table, many, options

from sentiment.batch import score, stream
from sentiment.parts import PartStore, StoppedError, partial_folder
from sentiment.tables.base import Reject, Row, TableError


def test_batch_no_permission_is_found_before_scoring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*args: Any, **kwargs: Any) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", denied)
    analyzer = FakeAnalyzer()
    with pytest.raises(TableError, match=r"cannot write .*Permission denied"):
        score(make_table(tmp_path, many(3)), analyzer, tmp_path / "out.csv", options())
    assert analyzer.blocks == []


@pytest.mark.parametrize("module", ["sentiment.parts", "sentiment.batch"])
def test_batch_full_disk_stops_and_resumes(tmp_path: Path, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    output, table, calls = tmp_path / "out.csv", make_table(tmp_path, many(12)), 0

    def full(handle: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 3 or module == "sentiment.batch":  # of the parts: after the manifest and the first part
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(f"{module}.sync", full)
        with pytest.raises(StoppedError, match=r"the disk is full; .*--resume goes on"):
            score(table, FakeAnalyzer(), output, options())
    assert [path.name for path in tmp_path.iterdir() if path.name != "in.csv"] == ["out.csv.partial"]
    summary = score(table, FakeAnalyzer(), output, options(resume=True))
    assert summary.scored == (7 if module == "sentiment.parts" else 0)


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".xlsx", ".jsonl", ".parquet"])
def test_batch_full_disk_while_a_writer_writes(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    output, table = tmp_path / f"out{suffix}", make_table(tmp_path, many(12))
    error = OSError(errno.ENOSPC, "No space left on device")
    opened = Path.open

    class Full:
        """A file on a full disk."""

        def __init__(self, handle: Any) -> None:
            self._handle = handle

        def write(self, data: bytes) -> int:
            raise error

        def __getattr__(self, name: str) -> Any:
            return getattr(self._handle, name)

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *args: object) -> None:
            self._handle.close()

    def open_full(self: Path, *args: Any, **kwargs: Any) -> Any:
        handle = opened(self, *args, **kwargs)
        return Full(handle) if self.name.startswith(".out") else handle

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", open_full)
        with pytest.raises(StoppedError, match="the disk is full"):
            score(table, FakeAnalyzer(), output, options())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", f"out{suffix}.partial"]
    assert score(table, FakeAnalyzer(), output, options(resume=True)).scored == 0


def test_batch_internal_error_names_the_place_but_no_text(tmp_path: Path) -> None:
    with pytest.raises(StoppedError, match=r"internal error, RuntimeError in made_table\.py, line \d+") as caught:
        score(make_table(tmp_path, many(3)), FakeAnalyzer(fail_at=0), tmp_path / "out.csv", options())
    assert "座位" not in str(caught.value)


def test_batch_input_is_closed_when_a_job_stops_midway(tmp_path: Path) -> None:
    table = make_table(tmp_path, many(23))
    (reader,) = table.readers
    assert isinstance(reader, FakeReader)
    with pytest.raises(StoppedError) as stopped:  # holds the frames of what was being read
        score(table, FakeAnalyzer(fail_at=1), tmp_path / "out.csv", options())
    assert (stopped.value.__traceback__ is not None, reader.reading) == (True, False)
    with pytest.raises(StoppedError) as stopped, (tmp_path / "out.jsonl").open("wb") as handle:
        stream(table, FakeAnalyzer(fail_at=1), handle, options())
    assert (stopped.value.__traceback__ is not None, reader.reading) == (True, False)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit()])
def test_batch_interrupt_keeps_finished_parts(tmp_path: Path, error: BaseException) -> None:
    output = tmp_path / "out.csv"
    with pytest.raises(type(error)):
        score(make_table(tmp_path, many(12)), FakeAnalyzer(1, error), output, options())
    assert PartStore(partial_folder(output)).rows(0) == 5
    assert not output.exists()


def test_batch_input_that_breaks_midway_is_an_input_error(tmp_path: Path) -> None:
    table = make_table(tmp_path, many(12))

    def rows() -> Iterator[Row | Reject]:
        yield from table.readers[0].items[:7]  # type: ignore[attr-defined]
        raise TableError("expected the rest of the archive, found its end")

    table.readers[0].rows = rows  # type: ignore[method-assign]
    with pytest.raises(TableError, match="rest of the archive"):
        score(table, FakeAnalyzer(), tmp_path / "out.csv", options())
