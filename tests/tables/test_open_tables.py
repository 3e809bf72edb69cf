"""open_tables: files, folders, standard input, several at once, and everything that is no table."""

from __future__ import annotations

import datetime as dt
import io
import os
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sentiment.tables import ReadOptions, Row, Table, TableError, open_tables

CSV = "id,评论\n1,座位很舒服\n2,太贵了\n"


def _write(path: Path, data: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def _cells(table: Table) -> list[dict[str, Any]]:
    return [item.cells for item in table if isinstance(item, Row)]


def test_open_folder_sorted_and_recursive(tmp_path: Path) -> None:
    _write(tmp_path / "d/b.csv", CSV)
    _write(tmp_path / "d/a/z.tsv", CSV.replace(",", "\t"))
    _write(tmp_path / "d/c.jsonl", '{"id": 3, "评论": "好"}')
    for other in ("d/readme.txt", "d/.hidden.csv", "d/~$b.xlsx", "d/out.partial/p.csv", "d/out.rejects.jsonl"):
        _write(tmp_path / other, "x")
    table = open_tables([tmp_path / "d"], ReadOptions())
    assert table.columns == ["id", "评论", "cs_source"]
    assert [cells["cs_source"] for cells in _cells(table)] == ["a/z.tsv"] * 2 + ["b.csv"] * 2 + ["c.jsonl"]
    assert any(
        "2 files without a table's suffix skipped: out.rejects.jsonl, readme.txt" in note for note in table.notes
    )
    assert [(item.source, item.number) for item in table] == [
        ("a/z.tsv", 1), ("a/z.tsv", 2), ("b.csv", 1), ("b.csv", 2), ("c.jsonl", 1),
    ]  # fmt: skip


def test_open_folder_that_holds_one_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(tmp_path / "a.csv", CSV)
    _write(tmp_path / "closed/b.csv", CSV)
    scandir = os.scandir

    def refuse(path: Any) -> Any:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(TableError, match=r"expected a readable folder, found .*closed: Permission denied; check"):
        open_tables([tmp_path], ReadOptions())


def test_open_folder_without_tables(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="found none"):
        open_tables([tmp_path], ReadOptions())


def test_open_several_files_by_column_name(tmp_path: Path) -> None:
    one = _write(tmp_path / "a.csv", "评论,分\n好,5\n")
    two = _write(tmp_path / "b.csv", "影院;评论\n万达;坏\n金逸;差,a\n")
    table = open_tables([str(one), str(two)], ReadOptions())
    assert table.columns == ["评论", "分", "影院", "cs_source"]
    assert _cells(table) == [
        {"评论": "好", "分": "5", "影院": None, "cs_source": str(one)},
        {"评论": "坏", "分": None, "影院": "万达", "cs_source": str(two)},
        {"评论": "差,a", "分": None, "影院": "金逸", "cs_source": str(two)},
    ]
    assert list(_cells(table)[1]) == table.columns
    assert [len(list(open_tables([one, two], ReadOptions(limit=n)))) for n in (0, 1, 2, 9)] == [0, 1, 2, 3]


def test_open_several_files_keeps_an_earlier_source(tmp_path: Path) -> None:
    one = _write(tmp_path / "a.csv", "评论,cs_source\n好,早先.csv\n坏,\n")
    two = _write(tmp_path / "b.csv", "评论\n坏\n")
    table = open_tables([one, two], ReadOptions())
    assert table.columns == ["评论", "cs_source"]
    assert [cells["cs_source"] for cells in _cells(table)] == ["早先.csv", str(one), str(two)]


def test_open_same_names_and_same_files(tmp_path: Path) -> None:
    for folder in "ab":
        _write(tmp_path / folder / "x.csv", CSV)
    table = open_tables([tmp_path / "a", tmp_path / "b", tmp_path / "a/x.csv"], ReadOptions())
    assert {item.source for item in table} == {"x.csv", (tmp_path / "b/x.csv").as_posix()}
    assert len(_cells(table)) == 4
    assert any("read once" in note for note in table.notes)


def test_open_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(CSV.encode("gbk"))))
    table = open_tables(["-"], ReadOptions())
    assert len(_cells(table)) == len(_cells(table)) == 2
    assert {item.source for item in table} == {"-"}
    assert table.fingerprint()["files"][0]["size"] == len(CSV.encode("gbk"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_open_pipe() -> None:
    read, write = os.pipe()
    os.write(write, CSV.encode())
    os.close(write)
    table = open_tables([f"/dev/fd/{read}"], ReadOptions())
    os.close(read)
    assert len(_cells(table)) == len(_cells(table)) == 2


def test_open_fingerprint_follows_content(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.csv", CSV)
    table = open_tables([path], ReadOptions())
    before = table.fingerprint()
    assert before == open_tables([path], ReadOptions()).fingerprint()
    assert set(before["files"][0]) == {"name", "size", "sha256"}
    _write(path, CSV.replace("1", "9"))
    assert table.fingerprint() != before


def test_open_position(tmp_path: Path) -> None:
    paths = [_write(tmp_path / f"{n}.csv", CSV * 1) for n in "ab"]
    table = open_tables(paths, ReadOptions())
    positions = [table.position() for _ in table]
    assert positions == sorted(positions)
    assert table.position() == table.bytes_total == 2 * len(CSV.encode())


def test_open_parquet_schemas_are_joined(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["好"], "n": pa.array([1], pa.int32())}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"text": ["坏"], "n": pa.array([1], pa.int64()), "x": [True]}), tmp_path / "b.parquet")
    pq.write_table(pa.table({"text": ["坏"], "n": ["one"]}), tmp_path / "c.parquet")
    table = open_tables([tmp_path / "a.parquet", tmp_path / "b.parquet"], ReadOptions())
    assert table.schema == pa.schema({"text": pa.string(), "n": pa.int64(), "x": pa.bool_(), "cs_source": pa.string()})
    assert table.schema.names == table.columns and table.size == 2
    assert open_tables([tmp_path / "a.parquet", tmp_path / "c.parquet"], ReadOptions()).schema is None
    mixed = open_tables([tmp_path / "a.parquet", _write(tmp_path / "d.jsonl", '{"text": "好"}')], ReadOptions())
    assert mixed.schema is None and mixed.size is None


CATEGORIES = pa.dictionary(pa.int8(), pa.string())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (pa.array([2**53 + 1]), pa.array([1.5])),
        (pa.array([[2**53 + 1]]), pa.array([[1.5]])),
        (pa.array([{"a": 2**53 + 1}]), pa.array([{"a": 1.5}])),
        (pa.array([2**64 - 1], pa.uint64()), pa.array([-1])),
        (pa.array([Decimal("0.1")]), pa.array([1.5])),
        (pa.array([dt.datetime(9999, 12, 31)], pa.timestamp("ms")), pa.array([1000], pa.timestamp("ns"))),
        (
            pa.array([f"a{i}" for i in range(100)]).cast(CATEGORIES),
            pa.array([f"b{i}" for i in range(100)]).cast(CATEGORIES),
        ),
    ],
)
def test_open_parquet_types_that_differ_lose_no_value(tmp_path: Path, one: Any, other: Any) -> None:
    for name, values in (("a", one), ("b", other)):
        pq.write_table(pa.table({"text": ["好"] * len(values), "x": values}), tmp_path / f"{name}.parquet")
    table = open_tables([tmp_path], ReadOptions())
    cells = _cells(table)
    assert len(cells) == len(one) + len(other)
    for field in table.schema or ():
        values = [row[field.name] for row in cells]
        array = pa.array(values, field.type)
        assert array.type == field.type and array.to_pylist() == values


@pytest.mark.parametrize(
    ("name", "data", "found"),
    [
        ("a.xlsx", CSV, "CSV by its content, not XLSX"),
        ("a.jsonl", CSV, "CSV by its content, not JSONL"),
        ("a.csv", '{"评论": "好"}\n', "JSONL by its content, not CSV"),
        ("a.parquet.gz", '{"评论": "好"}\n', "JSONL by its content, not PARQUET"),
    ],
)
def test_open_goes_by_content_and_says_so(tmp_path: Path, name: str, data: str, found: str) -> None:
    table = open_tables([_write(tmp_path / name, data)], ReadOptions())
    assert any(found in note for note in table.notes)
    assert _cells(table)


def test_open_csv_that_begins_with_a_brace(tmp_path: Path) -> None:
    table = open_tables([_write(tmp_path / "a.csv", "{id},评论\n1,好\n")], ReadOptions())
    assert table.columns == ["{id}", "评论"]
    table = open_tables([_write(tmp_path / "b.csv", "[id],评论\n1,好\n")], ReadOptions())
    assert table.columns == ["[id]", "评论"]


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", "is empty"),
        (b"%PDF-1.7\n...", "PDF"),
        (b"\x89PNG\r\n\x1a\n", "image"),
        (b"\xff\xd8\xff\xe0", "image"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), r"old .xls .* save it as .xlsx or CSV"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"), "password"),
        (b"<html><table>", "HTML"),
        (b"\xef\xbb\xbf<?xml version='1.0'?>", "XML"),
        (b"Rar!\x1a\x07", "RAR"),
        (b"ORC\x0a\x0b\x0a\x03\x00", "ORC"),
        (b"PARE\x15\x04\x15\x10", "encrypted Parquet"),
        (b"BZh91AY&SY\x0e\x8c\x01", "bzip2"),
        (b"SQLite format 3\x00", "SQLite"),
        (bytes(range(256)) * 40, "binary"),
        (bytes(1000), "binary"),
        (b"PK\x03\x04 nothing", "damaged"),
        (b"\x1f\x8b nothing", "damaged"),
    ],
)
def test_open_what_is_no_table(tmp_path: Path, data: bytes, found: str) -> None:
    with pytest.raises(TableError, match=found) as error:
        open_tables([_write(tmp_path / "a.csv", data)], ReadOptions())
    assert str(error.value).startswith("expected ") and "\n" not in str(error.value)


@pytest.mark.parametrize("column", ["PARENT_ID", "ORCID", "RIFF", "FEA1", "BZh", "GIF8"])
def test_open_column_that_begins_like_another_format(tmp_path: Path, column: str) -> None:
    table = open_tables([_write(tmp_path / "a.csv", f"{column},评论\n1,好\n")], ReadOptions())
    assert table.columns == [column, "评论"]


@pytest.mark.parametrize(
    ("form", "found"), [("xlsx", "XLSX"), ("parquet", "Parquet"), ("jsonl", "JSON object"), ("xls", "--input-format")]
)
def test_open_demanded_format_that_it_is_not(tmp_path: Path, form: str, found: str) -> None:
    with pytest.raises(TableError, match=found):
        open_tables([_write(tmp_path / "a.csv", CSV)], ReadOptions(input_format=form))


@pytest.mark.parametrize("form", ["csv", "tsv", "jsonl"])
def test_open_demanded_text_that_is_parquet(tmp_path: Path, form: str) -> None:
    pq.write_table(pa.table({"text": ["好"]}), tmp_path / "a.csv")
    with pytest.raises(TableError, match=f"found .*Parquet.*--input-format {form}"):
        open_tables([tmp_path / "a.csv"], ReadOptions(input_format=form))


def test_open_nothing_and_nowhere(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="at least one"):
        open_tables([], ReadOptions())
    with pytest.raises(TableError, match="check the path"):
        open_tables([tmp_path / "gone.csv"], ReadOptions())
    with pytest.raises(TableError, match="--limit"):
        open_tables([_write(tmp_path / "a.csv", CSV)], ReadOptions(limit=-1))


def test_open_file_that_vanishes(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.csv", CSV)
    table = open_tables([path], ReadOptions())
    path.unlink()
    with pytest.raises(TableError, match="check the file"):
        list(table)


def test_open_reads_lazily_and_lets_go(tmp_path: Path) -> None:
    table = open_tables([_write(tmp_path / "a.csv", CSV * 1000)], ReadOptions())
    assert isinstance(next(iter(table)), Row)
