"""OUT.partial: how a job begins in it, and what becomes of a part that is damaged."""

from __future__ import annotations

import errno
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_table import FakeAnalyzer, make_table, many, options

from sentiment.batch import score
from sentiment.blocks import Shard
from sentiment.parts import PartStore, StoppedError, packed_part, partial_folder
from sentiment.tables.base import TableError


def _full(*args: Any, **options: Any) -> Any:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("place", ["sentiment.parts.sync", "tempfile.TemporaryFile"])
@pytest.mark.parametrize("change", [{}, {"resume": True}, {"shard": Shard(1, 1)}])
def test_parts_full_disk_at_the_start_stops_the_job_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, change: dict[str, Any]
) -> None:
    output, table = tmp_path / "out.csv", make_table(tmp_path, many(7))
    with monkeypatch.context() as patch:
        patch.setattr(place, _full)
        with pytest.raises(StoppedError, match=r"^stopped: the disk is full \(.*out\.csv.*\); nothing was scored"):
            score(table, FakeAnalyzer(), output, options(**change))
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]
    assert score(table, FakeAnalyzer(), output, options(**change)).scored == 7


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_parts_folder_is_there_with_its_manifest_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    def ended(handle: Any) -> None:
        assert not (tmp_path / "out.csv.partial").exists()
        raise error

    monkeypatch.setattr("sentiment.parts.sync", ended)
    for begin in (PartStore(tmp_path / "out.csv.partial").begin, PartStore(tmp_path / "out.csv.partial").join):
        with pytest.raises(error):
            begin({"job": "first"})
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "left"),
    [
        ({}, []),
        ({}, ["writing-0.tmp"]),
        ({"resume": True}, []),
        ({"resume": True}, ["writing-0.tmp"]),
        ({"shard": Shard(1, 1)}, []),
    ],
)
def test_parts_folder_of_a_job_that_ended_before_its_manifest_is_new(
    tmp_path: Path, change: dict[str, Any], left: list[str]
) -> None:
    output = tmp_path / "out.csv"
    partial_folder(output).mkdir()
    for name in left:
        (partial_folder(output) / name).write_bytes(b'{"job')
    assert score(make_table(tmp_path, many(7)), FakeAnalyzer(), output, options(**change)).scored == 7


def test_parts_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    output, table = tmp_path / "out.csv", make_table(tmp_path, many(7))
    partial_folder(output).mkdir()
    (partial_folder(output) / "mine.txt").write_text("mine")
    for change, told in (({}, "an unfinished job is in"), ({"resume": True}, "found none that can be read")):
        with pytest.raises(TableError, match=told):
            score(table, FakeAnalyzer(), output, options(**change))
    assert (partial_folder(output) / "mine.txt").read_text() == "mine"


def _damage(part: Path, everything: bool) -> None:
    """The pages of the input's column, or the last byte of them; the footer is as it was."""
    group = pq.read_metadata(part).row_group(0)
    (column,) = (group.column(i) for i in range(group.num_columns) if group.column(i).path_in_schema == "input")
    start = column.dictionary_page_offset if column.has_dictionary_page else column.data_page_offset
    size = column.total_compressed_size
    data = bytearray(part.read_bytes())
    if everything:
        data[start : start + size] = b"\xff" * size
    else:
        data[start + size - 1] ^= 0xFF
    part.write_bytes(data)


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
@pytest.mark.parametrize("everything", [True, False])
def test_parts_damaged_part_is_named_removed_and_scored_again(tmp_path: Path, suffix: str, everything: bool) -> None:
    whole, output, table = tmp_path / f"whole{suffix}", tmp_path / f"out{suffix}", make_table(tmp_path, many(12))
    score(table, FakeAnalyzer(), whole, options())
    with pytest.raises(StoppedError):
        score(table, FakeAnalyzer(fail_at=2), output, options())
    store = PartStore(partial_folder(output))
    part = store.path(0)
    _damage(part, everything)
    assert store.rows(0) == 5
    told = rf"found {re.escape(str(part))} damaged and removed it, .*; finished blocks are kept in .*--resume goes on$"
    with pytest.raises(StoppedError, match=told):
        score(table, FakeAnalyzer(), output, options(resume=True))
    assert store.rows(0) is None
    assert score(table, FakeAnalyzer(), output, options(resume=True)).scored == 5
    assert output.read_bytes() == whole.read_bytes()


def test_parts_damaged_part_of_a_shard_is_scored_again(tmp_path: Path) -> None:
    output, table, change = tmp_path / "out.csv", make_table(tmp_path, many(12)), {"shard": Shard(1, 1)}
    score(table, FakeAnalyzer(), output, options(**change))
    _damage(PartStore(partial_folder(output)).path(1), everything=True)
    with pytest.raises(StoppedError, match=r"part-000001-.* damaged and removed it, .*the same command goes on$"):
        score(table, FakeAnalyzer(), output, options(**change))
    assert score(table, FakeAnalyzer(), output, options(**change)).scored == 5


def test_parts_part_that_cannot_be_opened_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *args: Any, **options: Any) -> Any:
        raise OSError(errno.EMFILE, "Too many open files", str(path))

    store = PartStore(tmp_path / "out.csv.partial")
    store.begin({"job": "first"})
    store.write(0, packed_part(pa.table({"row": [1, 2]}), 2), [], sources=False)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        with pytest.raises(OSError, match="Too many open files"):
            store.read(0)
    block, distinct = store.read(0)
    assert (block.num_rows, distinct) == (2, 2)
