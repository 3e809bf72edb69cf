"""Files behind addresses: an S3-compatible server on this machine, and `file://`, which needs none."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xlsxwriter

from sentiment.tables import ReadOptions, Row, TableError, open_tables
from sentiment.tables.remote import is_address, shown


def _csv(rows: list[tuple[str, str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([("编号", "评论"), *rows])
    return text.getvalue().encode()


def _xlsx(rows: list[tuple[str, str]]) -> bytes:
    stream = io.BytesIO()
    with xlsxwriter.Workbook(stream) as book:
        sheet = book.add_worksheet()
        for number, row in enumerate([("编号", "评论"), *rows]):
            sheet.write_row(number, 0, row)
    return stream.getvalue()


def _parquet(rows: list[tuple[str, str]]) -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.table({"编号": [row[0] for row in rows], "评论": [row[1] for row in rows]}), stream)
    return stream.getvalue()


FILES = {
    "dump/a.csv": _csv([("1", "座椅太硬"), ("2", "音响很好")]),
    "dump/b.jsonl": '{"编号": "3", "评论": "排队太久"}\n'.encode(),
    "dump/c/c.parquet": _parquet([("4", "票价太贵")]),
    "dump/d.csv.gz": gzip.compress(_csv([("5", "厕所很脏")])),
    "dump/e.xlsx": _xlsx([("6", "空调太冷")]),
    "dump/f.parquet.gz": gzip.compress(_parquet([("7", "停车方便")])),
    "dump/old.csv.partial/part-000000.parquet": b"PAR1",
    "dump/readme.md": b"# not a table",
}


@pytest.fixture(scope="module")
def bucket(s3_bucket: Callable[[str, Mapping[str, bytes]], str]) -> str:
    """The address of a bucket that holds `FILES`."""
    return s3_bucket("reviews", FILES)


def test_remote_folder_is_read_as_a_local_one_is(bucket: str, tmp_path: Path) -> None:
    for name, content in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    here, there = (open_tables([place], ReadOptions()) for place in (tmp_path / "dump", f"{bucket}/dump"))
    assert list(there) == list(here)
    assert [item.cells["编号"] for item in there if isinstance(item, Row)] == ["1", "2", "3", "4", "5", "6", "7"]
    assert there.fingerprint() == here.fingerprint()
    assert (there.columns, there.text_column, there.bytes_total) == (here.columns, here.text_column, here.bytes_total)
    assert there.position() == there.bytes_total
    assert any(note.startswith(f"{bucket}/dump: 1 files without") for note in there.notes)


@pytest.mark.parametrize("name", [name for name in FILES if name.count("/") == 1 and not name.endswith(".md")])
def test_remote_single_files_are_called_by_their_address(bucket: str, name: str) -> None:
    table = open_tables([f"{bucket}/{name}"], ReadOptions())
    rows = [item for item in table if isinstance(item, Row)]
    assert {row.source for row in rows} == {f"{bucket}/{name}"}
    (file,) = table.fingerprint()["files"]
    assert (file["size"], file["sha256"]) == (len(FILES[name]), hashlib.sha256(FILES[name]).hexdigest())


def test_remote_local_and_remote_files_make_one_table(bucket: str, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(_csv([("9", "画面清晰")]))
    table = open_tables([tmp_path / "x.csv", f"{bucket}/dump/a.csv", f"{bucket}/dump/a.csv"], ReadOptions())
    assert [item.cells["编号"] for item in table if isinstance(item, Row)] == ["9", "1", "2"]
    assert any("read once" in note for note in table.notes)


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("s3://reviews/nothing.csv", "found nothing at s3://reviews/nothing.csv"),
        ("s3://no-such-bucket/a.csv", "found nothing at|can be read"),
        ("nosuch://place/a.csv", "can be read, found nosuch://place/a.csv"),
    ],
)
def test_remote_address_without_a_file_is_one_clear_line(bucket: str, address: str, told: str) -> None:
    with pytest.raises(TableError, match=told) as caught:
        open_tables([address], ReadOptions())
    assert "\n" not in str(caught.value)


def test_remote_file_address(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(FILES["dump/a.csv"])
    table = open_tables([(tmp_path / "a.csv").as_uri()], ReadOptions())
    assert [item.cells["编号"] for item in table if isinstance(item, Row)] == ["1", "2"]


def test_remote_keys_and_settings_are_not_shown() -> None:
    assert shown("s3://KEY:SECRET@bucket/a/b.csv?endpoint_override=localhost:1") == "s3://bucket/a/b.csv"
    assert shown("s3://bucket") == "s3://bucket"


@pytest.mark.parametrize(
    ("given", "address"),
    [("s3://b/k", True), ("gs://b/k", True), ("C:\\dump", False), ("C://dump", False), ("a.csv", False), ("-", False)],
)
def test_remote_what_an_address_is(given: str, address: bool) -> None:
    assert is_address(given) is address
