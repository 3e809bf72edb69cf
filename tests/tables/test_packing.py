"""Packed files: .gz .xz .zip of one file, damage, passwords, and archives that would fill the disk."""

from __future__ import annotations

import gc
import gzip
import io
import lzma
import struct
import tempfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xlsxwriter

from sentiment.tables import ReadOptions, Row, Table, TableError, open_tables, packing

CSV = "id,评论\n" + "".join(f"{n},座位很舒服{n}\n" for n in range(5000))


def _zip(*members: tuple[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return stream.getvalue()


def _open(folder: Path, name: str, data: bytes) -> Table:
    (folder / name).write_bytes(data)
    return open_tables([folder / name], ReadOptions())


def _xlsx() -> bytes:
    stream = io.BytesIO()
    with xlsxwriter.Workbook(stream) as book:
        book.add_worksheet().write_column(0, 0, ["评论", "好看", "难看"])
    return stream.getvalue()


def _parquet() -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.table({"text": ["好看", "难看"]}), stream)
    return stream.getvalue()


@pytest.mark.parametrize(
    "pack",
    [gzip.compress, lzma.compress, lambda data: _zip(("d/f.csv", data), ("__MACOSX/._f.csv", b"x"), ("d/", b""))],
)
@pytest.mark.parametrize(
    ("plain", "rows"), [(CSV.encode(), 5000), (CSV.encode("gbk"), 5000), (_xlsx(), 2), (_parquet(), 2)]
)
def test_packing_of_every_format(tmp_path: Path, pack: object, plain: bytes, rows: int) -> None:
    table = _open(tmp_path, "f.bin", pack(plain))  # type: ignore[operator]
    for _ in range(2):
        assert sum(isinstance(item, Row) for item in table) == rows
        assert table.position() == table.bytes_total == (tmp_path / "f.bin").stat().st_size


def test_packing_position_grows(tmp_path: Path) -> None:
    table = _open(tmp_path, "f.csv.gz", gzip.compress(CSV.encode()))
    positions = [table.position() for _ in table]
    assert positions == sorted(positions)


def test_packing_temporary_copies_go_with_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "t"))
    (tmp_path / "t").mkdir()
    table = _open(tmp_path, "f.parquet.gz", gzip.compress(_parquet()))
    assert len(list((tmp_path / "t").iterdir())) == 1
    assert len(list(table)) == 2
    del table
    gc.collect()
    assert not list((tmp_path / "t").iterdir())


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
def test_packing_cut_short(tmp_path: Path, pack: object) -> None:
    data = pack(CSV.encode())  # type: ignore[operator]
    for length in (8, len(data) // 2, len(data) - 6):
        with pytest.raises(TableError, match="damaged") as error:
            list(_open(tmp_path, "f.csv.gz", data[:length]))
        assert "\n" not in str(error.value)


def test_packing_wrong_checksum(tmp_path: Path) -> None:
    data = bytearray(_zip(("f.csv", CSV.encode())))
    data[len(data) // 3] ^= 0xFF
    with pytest.raises(TableError, match="damaged"):
        list(_open(tmp_path, "f.zip", bytes(data)))


def test_packing_empty_inside(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="is empty"):
        _open(tmp_path, "f.csv.gz", gzip.compress(b""))


@pytest.mark.parametrize("members", [[], [("a.csv", b"x"), ("b.csv", b"y")]])
def test_packing_zip_of_none_or_several(tmp_path: Path, members: list[tuple[str, bytes]]) -> None:
    with pytest.raises(TableError, match=f"expected one file in .* found {len(members)}"):
        _open(tmp_path, "f.zip", _zip(*members))


@pytest.mark.parametrize(
    ("member", "found"),
    [
        ("word/document.xml", "Word"),
        ("content.xml", "OpenDocument"),
        ("xl/workbook.bin", "xlsb"),
        ("ppt/presentation.xml", "presentation"),
    ],
)
def test_packing_other_office_files(tmp_path: Path, member: str, found: str) -> None:
    with pytest.raises(TableError, match=found):
        _open(tmp_path, "f.docx", _zip((member, b"x"), ("y", b"z")))


def test_packing_twice(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="unpack it"):
        _open(tmp_path, "f.gz", gzip.compress(gzip.compress(CSV.encode())))
    with pytest.raises(TableError, match="unpack it"):
        _open(tmp_path, "f.gz", gzip.compress(_zip(("a", b"x"))))


def test_packing_password(tmp_path: Path) -> None:
    data = bytearray(_zip(("f.csv", b"x")))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(TableError, match="password"):
        _open(tmp_path, "f.zip", bytes(data))


@pytest.mark.parametrize("name", ["f.zip", "f.xlsx"])
def test_packing_bomb_in_zip(tmp_path: Path, name: str) -> None:
    zeros = bytes(260_000_000)
    member = "f.csv" if name == "f.zip" else "xl/workbook.xml"
    data = _zip((member, zeros))
    del zeros
    with pytest.raises(TableError, match="100 times its size"):
        _open(tmp_path, name, data)


def test_packing_bomb_in_gz_is_not_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing.Packed, "most", lambda self: 1000)
    with pytest.raises(TableError, match="found more"):
        _open(tmp_path, "f.gz", gzip.compress(_parquet() + bytes(2000)))


def _crowded(folders: int, *, zip64: bool = False) -> bytes:
    """A zip with a list of so many folders, in 47 bytes each."""
    entry = struct.pack("<4s4B4H3L5H2L", b"PK\1\2", 20, 3, 20, *[0] * 8, 1, *[0] * 4, 0x10, 0) + b"/"
    begin, size = b"PK\3\4" + bytes(27), folders * len(entry)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, folders, folders, size, len(begin), 0)
    if zip64:
        end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
        locator = struct.pack("<4sLQL", b"PK\6\7", 0, len(begin) + size, 1)
        end = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, folders, folders, size, len(begin)) + locator + end
    return begin + folders * entry + end


@pytest.mark.parametrize("zip64", [False, True])
@pytest.mark.parametrize(
    ("folders", "found"), [(100, "found 0"), (23_000, r"found .*f\.zip with a list of more than 1 MiB")]
)
def test_packing_zip_of_many_members_is_refused_before_they_are_read(
    tmp_path: Path, folders: int, found: str, zip64: bool
) -> None:
    """Each would take half a kilobyte of memory."""
    with pytest.raises(TableError, match=found) as error:
        _open(tmp_path, "f.zip", _crowded(folders, zip64=zip64))
    assert "\n" not in str(error.value)
