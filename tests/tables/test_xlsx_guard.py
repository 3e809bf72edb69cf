"""Workbooks made to fill the memory: refused while they are read, and sound ones are not."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pytest
import xlsxwriter

from sentiment.tables import ReadOptions, TableError, open_tables, xlsx_guard

SHEET, STYLES = "xl/worksheets/sheet1.xml", "xl/styles.xml"
STRINGS = "xl/sharedStrings.xml"


def _book() -> bytes:
    stream = io.BytesIO()
    with xlsxwriter.Workbook(stream) as book:
        sheet = book.add_worksheet()
        sheet.write_column(0, 0, ["评论", "座椅太硬", "音响震撼"])
    return stream.getvalue()


@pytest.fixture
def changed(tmp_path: Path) -> Callable[..., Path]:
    """A sound workbook in which some parts are others: {part: (what, instead)}."""

    def make(**parts: tuple[bytes, bytes]) -> Path:
        path = tmp_path / "film.xlsx"
        with zipfile.ZipFile(io.BytesIO(_book())) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
            for name in old.namelist():
                content = old.read(name)
                if name in parts:
                    what, instead = parts[name]
                    assert content.count(what) >= 1
                    content = content.replace(what, instead, 1)
                new.writestr(name, content)
        return path

    return make


def _rows(path: Path) -> int:
    return sum(1 for _ in open_tables([path], ReadOptions()))


@pytest.fixture
def low(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lower bounds, so that the tests are quick."""
    bounds = {"MAX_ROWS": 5_000, "_KEPT_ELEMENTS": 2_000, "_UNIT_ELEMENTS": 1_000, "_KEPT_BYTES": 2_000_000}
    for name, bound in (bounds | {"_TAG_BYTES": 200_000, "_MAX_CELLS": 1_000_000}).items():
        monkeypatch.setattr(xlsx_guard, name, bound)


@pytest.mark.usefixtures("low")
@pytest.mark.parametrize(
    ("part", "what", "instead", "found"),
    [
        (SHEET, b"</row>", b"<c/>" * 1_001 + b"</row>", "1,000 elements in one row"),
        (SHEET, b"</row>", b"<v>" * 1_001 + b"</v>" * 1_001 + b"</row>", "1,000 elements in one row"),
        (SHEET, b"</sheetData>", b"<row/>" * 5_001 + b"</sheetData>", "5,000 rows in a sheet"),
        (SHEET, b"</sheetData>", b'<row r="4000000000"><c/></row></sheetData>', "beyond row 5,000"),
        (SHEET, b"</sheetData>", b'<row r="9"><c r="ZZZ9"><v>1</v></c></row></sheetData>', "column 16,384"),
        (SHEET, b"</sheetData>", b'<row><c r="XFD1"><v>1</v></c></row>' * 100 + b"</sheetData>", "1,000,000 cells"),
        (SHEET, b"<sheetData>", b"<x/>" * 2_001 + b"<sheetData>", "2,000 elements that are no cells"),
        (SHEET, b"<sheetData>", b'<x xmlns="other">' + b"<row/>" * 2_001 + b"</x><sheetData>", "2,000 elements"),
        (SHEET, b"<row ", b"<row " + b"".join(b'a%d="" ' % n for n in range(30_000)), "tag of more than 1 MB"),
        (SHEET, b"<sheetData>", b"<!--" + b"x" * 300_000 + b"--><sheetData>", "tag of more than 1 MB"),
        (SHEET, b"<sheetData>", b"<x>" + b"a" * 3_000_000 + b"</x><sheetData>", "2 MB in one piece"),
        (SHEET, b"</row>", b"<c><v>" + b"a" * 3_000_000 + b"</v></c></row>", "2 MB in one piece"),
        (STYLES, b"<fonts", b"<x>" + b"<y/>" * 2_001 + b"</x><fonts", "2,000 elements that are no cells"),
        (STRINGS, b"</sst>", b"<si/>" * 7_000 + b"</sst>", "rows in a sheet, or texts"),
        (STRINGS, b"<si>", b"<row/>" * 2_001 + b"<si>", "2,000 elements that are no cells"),
        (STRINGS, b"<si>", b"<si>" + b"<r/>" * 1_001, "1,000 elements in one row or text"),
        (STRINGS, b"<si>", b"<si><t>" + b"a" * 3_000_000 + b"</t></si><si>", "50 times their size"),
    ],
)
def test_xlsx_guard_refuses_what_excel_does_not_write(
    changed: Callable[..., Path], part: str, what: bytes, instead: bytes, found: str
) -> None:
    path = changed(**{part: (what, instead)})
    with pytest.raises(TableError, match=r"^expected a workbook as Excel writes it, found .*film") as refused:
        _rows(path)
    assert found in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("part", [SHEET, STRINGS, STYLES])
def test_xlsx_guard_refuses_entities(changed: Callable[..., Path], part: str) -> None:
    """A billion laughs: ten names, each ten times the one before."""
    names = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10 if n else "哈"}">' for n in range(10))
    declared = b"?>" + f"<!DOCTYPE x [{names}]>".encode()
    with pytest.raises(TableError, match="a document type"):
        _rows(changed(**{part: (b"?>", declared)}))


@pytest.mark.usefixtures("low")
def test_xlsx_guard_believes_no_table_of_strings_that_is_called_a_sheet(changed: Callable[..., Path]) -> None:
    """Rows are let go of where a sheet is read, and not where strings are."""
    content = _strings().replace(b"<sst", b"<worksheet").replace(b"</sst>", b"<row/>" * 2_001 + b"</worksheet>")
    with pytest.raises(TableError, match="2,000 elements that are no cells"):
        _rows(changed(**{STRINGS: (_strings(), content)}))


def _strings() -> bytes:
    with zipfile.ZipFile(io.BytesIO(_book())) as archive:
        return archive.read(STRINGS)


def test_xlsx_guard_is_not_deceived_by_a_size_that_is_a_lie(changed: Callable[..., Path]) -> None:
    """The archive's list says 1,000 bytes; the part has millions."""
    path = changed(**{SHEET: (b"</sheetData>", b"<row/>" * 900_000 + b"</sheetData>")})
    data = bytearray(path.read_bytes())
    place = data.rindex(b"PK\x01\x02", 0, data.rindex(SHEET.encode()))
    assert struct.unpack_from("<I", data, place + 24)[0] > 5_000_000
    struct.pack_into("<I", data, place + 24, 1000)
    path.write_bytes(data)
    with pytest.raises(TableError, match="expected a sound XLSX workbook"):
        _rows(path)


def test_xlsx_guard_lets_large_and_odd_but_sound_workbooks_pass(tmp_path: Path) -> None:
    path = tmp_path / "sound.xlsx"
    with xlsxwriter.Workbook(path, {"constant_memory": True}) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ["评论", *(f"列{n}" for n in range(300))])
        for row in range(1, 60):
            sheet.write_row(row, 0, ["座椅" * 16_000, *range(300)])
        rich = [part for _ in range(500) for part in (book.add_format({"bold": True}), "太硬", "座椅")]
        sheet.write_rich_string(60, 0, *rich)
        for row in range(2_000):
            sheet.merge_range(100 + row, 1, 100 + row, 2, "合")
    assert _rows(path) == 60 + 2_000
    book = openpyxl.Workbook()
    for n in range(3_000):
        book.active.append([f"评论{n}" if n else "评论", n])
    book.save(path)
    assert _rows(path) == 2_999


@pytest.mark.skipif(sys.platform != "linux", reason="bounds of memory as Linux has them")
def test_xlsx_guard_score_needs_little_memory_to_refuse(changed: Callable[..., Path], tmp_path: Path) -> None:
    """Without the guard this file of 60 kB needs five gigabytes."""
    path = changed(**{SHEET: (b"</row>", b"<c/>" * 15_000_000 + b"</row>")})
    assert path.stat().st_size < 100_000
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_DATA, (500 << 20, 500 << 20))\n"
        "from sentiment.cli import main; main()"
    )
    command = [sys.executable, "-c", code, "score", str(path), "-o", str(tmp_path / "out.csv")]
    done = subprocess.run(
        command, capture_output=True, text=True, encoding="utf-8", timeout=300, cwd=Path(__file__).parents[2]
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.splitlines()[-1].startswith("cinesent: expected a workbook as Excel writes it, found ")
    assert not (tmp_path / "out.csv").exists()
