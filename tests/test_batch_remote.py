"""A scoring job whose input is at an address, when the way to it fails; and when the file itself is damaged."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lost_store import ADDRESS, REASON, LostStore
from made_table import FakeAnalyzer, options

from sentiment.batch import ScoreOptions, score, stream
from sentiment.parts import PartStore, StoppedError, partial_folder
from sentiment.tables import ReadOptions, Table, TableError, open_tables

ROWS = 12  # of each of two files, in blocks of 5


def _texts(count: int) -> list[str]:
    return [f"座位太挤{number % 7}" for number in range(count)]


def _csv(path: Path) -> None:
    path.write_text("text\n" + "\n".join(_texts(ROWS)) + "\n", "utf-8")


def _gz(path: Path) -> None:
    path.write_bytes(gzip.compress(("text\n" + "\n".join(_texts(ROWS)) + "\n").encode()))


def _parquet(path: Path, rows: int = ROWS, group: int = ROWS) -> None:
    pq.write_table(pa.table({"text": _texts(rows)}), path, row_group_size=group)


@pytest.fixture
def far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LostStore:
    (tmp_path / "far").mkdir()
    store = LostStore(tmp_path / "far")
    monkeypatch.setattr("sentiment.tables.files.find_remote", store.find)
    return store


@pytest.fixture(params=[("csv", _csv), ("csv.gz", _gz), ("parquet", _parquet)], ids=lambda param: param[0])
def store(request: pytest.FixtureRequest, far: LostStore, tmp_path: Path) -> LostStore:
    """A store of two files, of each format that is read from afar in its own way."""
    suffix: str
    write: Callable[[Path], None]
    suffix, write = request.param
    for name in ("a", "b"):
        write(tmp_path / "far" / f"{name}.{suffix}")
    return far


def _open() -> Table:
    return open_tables([ADDRESS], ReadOptions())


@pytest.mark.parametrize("where", ["opening", "first byte", "last byte"])
def test_batch_connection_lost_midway_stops_the_job_which_goes_on(store: LostStore, tmp_path: Path, where: str) -> None:
    whole, output = tmp_path / "whole.jsonl", tmp_path / "out.jsonl"
    assert score(_open(), FakeAnalyzer(), whole, options()).rows == 2 * ROWS
    store.lose({"opening": -1, "first byte": 0, "last byte": store.read[-1] - 1}[where])
    told = (
        rf"^stopped: reading failed: {REASON} \({ADDRESS}/b\.[a-z.]+\); "
        r"finished blocks are kept in .*out\.jsonl\.partial, the same command with --resume goes on$"
    )
    with pytest.raises(StoppedError, match=told):
        score(_open(), FakeAnalyzer(), output, options())
    assert [PartStore(partial_folder(output)).rows(number) for number in range(3)] == [5, 5, None]
    assert score(_open(), FakeAnalyzer(), output, options(resume=True)).scored == 2 * ROWS - 10
    assert output.read_bytes() == whole.read_bytes()


def test_batch_connection_lost_while_a_stream_is_written(store: LostStore, tmp_path: Path) -> None:
    with (tmp_path / "whole.jsonl").open("wb") as handle:
        stream(_open(), FakeAnalyzer(), handle, options())
    store.lose(after=0)
    with (tmp_path / "out.jsonl").open("wb") as handle, pytest.raises(StoppedError, match="reading failed: AWS Error"):
        stream(_open(), FakeAnalyzer(), handle, options())
    assert (tmp_path / "out.jsonl").read_bytes().count(b"\n") == 10


def test_batch_connection_lost_while_the_input_is_hashed(store: LostStore, tmp_path: Path) -> None:
    table, output = _open(), tmp_path / "out.jsonl"
    store.lost_at = len(store.read)
    with pytest.raises(StoppedError, match=r"reading failed: .*; nothing was scored in this run, repeat the same"):
        score(table, FakeAnalyzer(), output, options())
    assert not partial_folder(output).exists()
    assert score(table, FakeAnalyzer(), output, options()).scored == 2 * ROWS


@pytest.mark.parametrize("opening", range(4))
def test_batch_connection_lost_at_the_first_look_is_an_input_error(store: LostStore, opening: int) -> None:
    store.lost_at = opening
    with pytest.raises(TableError, match=rf"^expected to read a\.[a-z.]+, found: reading failed: {REASON}; try again$"):
        _open()


def test_batch_damage_behind_an_address_is_still_an_input_error(far: LostStore, tmp_path: Path) -> None:
    """In the second row group, beyond what a first look decodes."""
    path = tmp_path / "far" / "a.parquet"
    _parquet(path, rows=4200, group=4100)
    column = pq.read_metadata(path).row_group(1).column(0)
    start = column.dictionary_page_offset if column.has_dictionary_page else column.data_page_offset
    data = bytearray(path.read_bytes())
    data[start : start + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    path.write_bytes(data)
    table, output = _open(), tmp_path / "out.jsonl"
    with pytest.raises(TableError, match=r"found a\.parquet damaged or cut short .*; write or copy it again"):
        score(table, FakeAnalyzer(), output, ScoreOptions(block_rows=4000))
    assert PartStore(partial_folder(output)).rows(0) == 4000
