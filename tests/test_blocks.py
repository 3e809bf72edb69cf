from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from made_table import FakeAnalyzer, FakeReader, make_table, many

from sentiment.batch import ScoreOptions, score
from sentiment.blocks import Shard, blocks_of, parse_shard
from sentiment.parts import PartStore, StoppedError, partial_folder, rejects_file
from sentiment.tables import ReadOptions, open_tables
from sentiment.tables.base import Reject, Table, TableError

REJECTS = (3, 12, 13)
SCHEMA = pa.schema([("text", pa.string()), ("film", pa.string())])


def options(**values: Any) -> ScoreOptions:
    return ScoreOptions(block_rows=5, probabilities=True, **values)


@pytest.mark.parametrize(("text", "shard"), [("1/1", Shard(1, 1)), (" 3/8", Shard(3, 8))])
def test_blocks_shard_is_read(text: str, shard: Shard) -> None:
    assert parse_shard(text) == shard
    assert str(shard) == text.strip()


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "a/b", "-1/3", "1/0", "1/2/3", ""])
def test_blocks_shard_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(TableError, match="expected --shard i/n"):
        parse_shard(text)


def test_blocks_every_block_is_in_one_shard() -> None:
    for count in (1, 2, 7):
        shards = [Shard(number, count) for number in range(1, count + 1)]
        assert all(sum(shard.has(block) for shard in shards) == 1 for block in range(20))


def test_blocks_a_reject_belongs_to_the_block_being_filled(tmp_path: Path) -> None:
    found = [
        (block.number, len(block.rows), len(block.rejects))
        for block in blocks_of(make_table(tmp_path, many(11), [6]), 5)
    ]
    assert found == [(0, 5, 0), (1, 5, 1), (2, 1, 0)]


def _broken(tmp_path: Path, **options: Any) -> Table:
    """Six rows, eleven that are rejected, three rows."""
    table = make_table(tmp_path, many(9), **options)
    (reader,) = table.readers
    assert isinstance(reader, FakeReader)
    reader.items[6:6] = [Reject("in.csv", 7 + i, "ragged", f"raw {i}") for i in range(11)]
    return table


@pytest.mark.parametrize(
    ("bound", "value", "found"),
    [
        ("_MOST_REJECTS", 4, [(5, 0), (1, 4), (0, 4), (3, 3)]),
        ("_MOST_CHARACTERS", 10, [(5, 0), (1, 2), (0, 2), (0, 2), (0, 2), (0, 2), (3, 1)]),
    ],
)
def test_blocks_many_or_long_rejects_end_a_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str, value: int, found: list[tuple[int, int]]
) -> None:
    monkeypatch.setattr(f"sentiment.blocks.{bound}", value)
    blocks = list(blocks_of(_broken(tmp_path), 5))
    assert [(len(block.rows), len(block.rejects)) for block in blocks] == found
    assert [block.number for block in blocks] == list(range(len(found)))


def test_blocks_hold_a_bounded_number_of_rejects(tmp_path: Path) -> None:
    table = make_table(tmp_path, [])
    table.readers[0].items += [Reject("in.csv", 1, "ragged", "raw")] * 9000  # type: ignore[attr-defined]
    assert [len(block.rejects) for block in blocks_of(table)] == [4096, 4096, 808]


@pytest.mark.parametrize(
    ("suffix", "schema"), [(".csv", None), (".jsonl", None), (".parquet", None), (".parquet", SCHEMA)]
)
def test_blocks_without_a_data_row_are_kept_and_read_as_others_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, schema: pa.Schema | None
) -> None:
    monkeypatch.setattr("sentiment.blocks._MOST_REJECTS", 4)
    table = _broken(tmp_path, schema=schema)
    whole, shared, stopped = (tmp_path / name / f"out{suffix}" for name in ("whole", "shared", "stopped"))
    for path in (whole, shared, stopped):
        path.parent.mkdir()
    single = score(table, FakeAnalyzer(), whole, options())
    assert (single.rows, single.rejected) == (9, 11)
    for number in (2, 1):
        score(table, FakeAnalyzer(), shared, options(shard=Shard(number, 2)))
    assert score(table, FakeAnalyzer(), shared, options(resume=True)).scored == 0
    with pytest.raises(StoppedError):
        score(table, FakeAnalyzer(fail_at=2), stopped, options())
    assert PartStore(partial_folder(stopped)).rows(2) == 0
    assert score(table, FakeAnalyzer(), stopped, options(resume=True)).scored == 3
    for output in (shared, stopped):
        assert output.read_bytes() == whole.read_bytes()
        assert rejects_file(output).read_bytes() == rejects_file(whole).read_bytes()
    assert [json.loads(line)["row"] for line in rejects_file(whole).read_bytes().splitlines()] == list(range(7, 18))


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet", ".tsv.gz"])
@pytest.mark.parametrize("count", [2, 3, 9])
def test_blocks_merged_shards_equal_the_single_run(tmp_path: Path, suffix: str, count: int) -> None:
    whole, output = tmp_path / "one" / f"out{suffix}", tmp_path / "many" / f"out{suffix}"
    for path in (whole, output):
        path.parent.mkdir()
    table = make_table(tmp_path, many(23), REJECTS)
    single = score(table, FakeAnalyzer(), whole, options())
    rows = rejected = 0
    for number in reversed(range(1, count + 1)):
        summary = score(table, FakeAnalyzer(), output, options(shard=Shard(number, count)))
        rows += summary.rows
        rejected += summary.rejected
    assert not output.exists()
    merging = FakeAnalyzer()
    merged = score(table, merging, output, options(resume=True))
    assert merging.blocks == []
    assert (rows, rejected) == (single.rows, single.rejected) == (23, len(REJECTS))
    assert (merged.rows, merged.texts, merged.overall) == (single.rows, single.texts, single.overall)
    assert output.read_bytes() == whole.read_bytes()
    assert rejects_file(output).read_bytes() == rejects_file(whole).read_bytes()
    assert len(list(output.parent.iterdir())) == 2


def test_blocks_a_shard_that_failed_goes_on_by_itself(tmp_path: Path) -> None:
    table, output, shard = make_table(tmp_path, many(40)), tmp_path / "out.csv", Shard(1, 2)
    with pytest.raises(StoppedError, match=r"out\.csv\.partial, the same command goes on"):
        score(table, FakeAnalyzer(fail_at=2), output, options(shard=shard))
    again = FakeAnalyzer()
    assert score(table, again, output, options(shard=shard)).scored == 10
    assert len(again.blocks) == 2


def test_blocks_the_merge_scores_what_a_lost_shard_left(tmp_path: Path) -> None:
    table, output = make_table(tmp_path, many(23)), tmp_path / "out.jsonl"
    score(table, FakeAnalyzer(), output, options(shard=Shard(2, 2)))
    merging = FakeAnalyzer()
    assert score(table, merging, output, options(resume=True)).scored == 13
    ids = [json.loads(line)["id"] for line in output.read_text("utf-8").splitlines()]
    assert ids == [str(number) for number in range(1, 24)]


def test_blocks_shards_of_other_jobs_do_not_mix(tmp_path: Path) -> None:
    output = tmp_path / "out.csv"
    score(make_table(tmp_path, many(23)), FakeAnalyzer(), output, options(shard=Shard(1, 2)))
    with pytest.raises(TableError, match=r"options\.layout was wide, is long.* or remove "):
        score(make_table(tmp_path, many(23)), FakeAnalyzer(), output, options(shard=Shard(2, 2), layout="long"))
    with pytest.raises(TableError, match=r"input\.files\[0\]"):
        score(make_table(tmp_path, many(24)), FakeAnalyzer(), output, options(shard=Shard(2, 2)))


def test_blocks_shards_may_run_at_once(tmp_path: Path) -> None:
    table, output, count = make_table(tmp_path, many(60), REJECTS), tmp_path / "out.jsonl", 6
    tables = [make_table(tmp_path, many(60), REJECTS) for _ in range(count)]
    problems: list[BaseException] = []

    def run(number: int) -> None:
        try:
            score(tables[number - 1], FakeAnalyzer(), output, options(shard=Shard(number, count)))
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(1, count + 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out.jsonl.partial"]
    store = PartStore(partial_folder(output))
    assert [store.rows(number) for number in range(12)] == [5] * 12
    assert score(table, FakeAnalyzer(), output, options(resume=True)).scored == 0
    assert len(output.read_bytes().splitlines()) == 60


def test_blocks_a_missing_value_is_no_text_and_no_identifier(tmp_path: Path) -> None:
    dump, output, analyzer = tmp_path / "dump.jsonl", tmp_path / "out.jsonl", FakeAnalyzer()
    dump.write_text('{"id": 7, "text": "票价贵"}\n{"id": NaN, "text": NaN}\n', "utf-8")  # as pandas writes them
    score(open_tables([dump], ReadOptions()), analyzer, output, options())
    assert analyzer.blocks == [["票价贵", ""]]
    assert [json.loads(line)["id"] for line in output.read_bytes().splitlines()] == ["7", "2"]


def test_blocks_bytes_that_identify_a_row_are_read_as_text(tmp_path: Path) -> None:
    output, schema = tmp_path / "out.jsonl", pa.schema([("text", pa.string()), ("no", pa.binary())])
    cells: list[dict[str, Any]] = [
        {"text": "好", "no": value} for value in (b"17", b"", None, "编号".encode(), b"\x80", b"\x81")
    ]
    score(make_table(tmp_path, cells, schema=schema, id_column="no"), FakeAnalyzer(), output, options())
    assert [json.loads(line)["id"] for line in output.read_bytes().splitlines()] == [
        *("17", "2", "3", "编号"),
        *("gA==", "gQ=="),  # no text: two that differ stay two
    ]
