"""XLSX: sheets, titles, types, and what is broken."""

from __future__ import annotations

import datetime as dt
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pytest
import xlsxwriter

from sentiment.tables import ReadOptions, Reject, Row, Table, TableError, open_tables

HEADER = ["编号", "评论", "影院"]


def _book(path: Path, sheets: dict[str, list[list[Any]]]) -> Path:
    with xlsxwriter.Workbook(path, {"strings_to_formulas": False, "strings_to_urls": False}) as book:
        date = book.add_format({"num_format": "yyyy-mm-dd hh:mm"})
        for title, rows in sheets.items():
            sheet = book.add_worksheet(title)
            for y, row in enumerate(rows):
                for x, cell in enumerate(row):
                    sheet.write(y, x, cell, date) if isinstance(cell, dt.datetime) else sheet.write(y, x, cell)
    return path


def _open(path: Path, **options: Any) -> Table:
    return open_tables([path], ReadOptions(**options))


def _cells(table: Table) -> list[list[Any]]:
    return [list(item.cells.values()) for item in table if isinstance(item, Row)]


def test_xlsx_reader_types(tmp_path: Path) -> None:
    when = dt.datetime(2024, 5, 1, 12, 30)
    rows = [
        ["编号", "评论", "分", "买票", "时间", "空"],
        [1, "好看", 4.5, True, when, None],
        [2**40, "难\n看", 3, False, when, "x"],
    ]
    table = _open(_book(tmp_path / "a.xlsx", {"Sheet1": rows}))
    assert _cells(table) == rows[1:]
    assert _cells(table) == rows[1:]
    assert (table.text_column, table.id_column) == ("评论", "编号")
    assert [type(cell) for cell in _cells(table)[0]] == [int, str, float, bool, dt.datetime, type(None)]


def test_xlsx_reader_titles_blank_rows_and_merged_cells(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet()
        sheet.merge_range(0, 0, 0, 2, "二〇二四年影评导出")
        sheet.write_row(2, 0, HEADER)
        sheet.write_row(3, 0, [1, "好看", "万达"])
        sheet.write_row(6, 0, [2, "难看"])
        sheet.merge_range(7, 1, 7, 2, "都行")
    table = _open(path)
    assert _cells(table) == [[1, "好看", "万达"], [2, "难看", None], [None, "都行", None]]
    assert [item.number for item in table] == [1, 2, 3]
    assert any("the header is row 3" in note for note in table.notes)


def test_xlsx_reader_all_sheets_with_the_text_column(tmp_path: Path) -> None:
    sheets = {
        "说明": [["说明"], ["这张表的每一列是什么意思"]],
        "一月": [HEADER, [1, "好看", "万达"]],
        "空": [],
        "二月": [["评论", "分"], ["难看", 2]],
    }
    table = _open(_book(tmp_path / "a.xlsx", sheets))
    assert table.columns == ["编号", "评论", "影院", "分"]
    assert _cells(table) == [[1, "好看", "万达", None], [None, "难看", None, 2]]
    assert [item.number for item in table] == [1, 2]
    notes = "\n".join(table.notes)
    assert "one after the other: 一月, 二月" in notes
    assert "without a column 评论 skipped: 说明" in notes
    assert "empty sheets skipped: 空" in notes


@pytest.mark.parametrize("sheet", ["二月", "2"])
def test_xlsx_reader_sheet_by_name_or_number(tmp_path: Path, sheet: str) -> None:
    path = _book(tmp_path / "a.xlsx", {"一月": [HEADER, [1, "好", "x"]], "二月": [HEADER, [2, "坏", "y"]]})
    assert _cells(_open(path, sheet=sheet)) == [[2, "坏", "y"]]


def test_xlsx_reader_sheet_that_is_not_there(tmp_path: Path) -> None:
    path = _book(tmp_path / "a.xlsx", {"一月": [HEADER], "二月": [HEADER]})
    for sheet in ("三月", "3", "0"):
        with pytest.raises(TableError, match="1 一月, 2 二月"):
            _open(path, sheet=sheet)


def test_xlsx_reader_row_wider_than_the_header(tmp_path: Path) -> None:
    rows = [HEADER, *[[n, "好", "x"] for n in range(400)], [9, "坏", "y", None, "旁注"], [10, "行", "z"]]
    items = list(_open(_book(tmp_path / "a.xlsx", {"S": rows})))
    assert len(items) == 402
    assert isinstance(items[400], Reject) and items[400].reason == "expected 3 cells, found 5 (row 402 of sheet S)"
    assert items[400].raw == "9\t坏\ty\t\t旁注"


def test_xlsx_reader_unnamed_column_with_values(tmp_path: Path) -> None:
    table = _open(_book(tmp_path / "a.xlsx", {"S": [["评论", None], ["好", "旁注"]]}))
    assert table.columns == ["评论", "column_2"]
    assert _cells(table) == [["好", "旁注"]]


def test_xlsx_reader_formulas_and_errors(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, HEADER)
        sheet.write_formula(1, 0, "=1+1", value=2)
        sheet.write_string(1, 1, "=好看")
        sheet.write_formula(1, 2, "=A9!B1", value="#REF!")
    assert _cells(_open(path)) == [[2, "=好看", "#REF!"]]


def test_xlsx_reader_escaped_characters(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    book = openpyxl.Workbook()
    for row in (["评论"], ["好_x000D_\n看"], ["_x005F_x000D_"], ["a_x1_b"], ["_xD83D__xDE00_"]):
        book.active.append(row)
    book.save(path)
    assert [row[0] for row in _cells(_open(path))] == ["好\r\n看", "_x000D_", "a_x1_b", "😀"]


def test_xlsx_reader_wrong_dimension(tmp_path: Path) -> None:
    path = _book(tmp_path / "a.xlsx", {"S": [HEADER, [1, "好", "x"]]})
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["xl/worksheets/sheet1.xml"] = parts["xl/worksheets/sheet1.xml"].replace(b'ref="A1:C2"', b'ref="A1"')
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    assert _cells(_open(path)) == [[1, "好", "x"]]


def test_xlsx_reader_dates_out_of_range_do_not_warn(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, HEADER)
        sheet.write_number(1, 0, 1e12, book.add_format({"num_format": "yyyy-mm-dd"}))
        sheet.write_string(1, 1, "好")
        sheet.data_validation(5, 5, 6, 6, {"validate": "list", "source": ["a", "b"]})
    assert _cells(_open(path)) == [["#VALUE!", "好", None]]


def test_xlsx_reader_no_header(tmp_path: Path) -> None:
    table = _open(_book(tmp_path / "a.xlsx", {"S": [[1, "好看"], [2, "难看"]]}), no_header=True)
    assert (table.columns, table.text_column, len(_cells(table))) == (["column_1", "column_2"], "column_2", 2)


def test_xlsx_reader_empty_workbook(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="only empty sheets"):
        _open(_book(tmp_path / "a.xlsx", {"S": []}))


def test_xlsx_reader_truncated(tmp_path: Path) -> None:
    path = _book(tmp_path / "a.xlsx", {"S": [HEADER, *[[n, f"好{n}", "x"] for n in range(500)]]})
    data = path.read_bytes()
    for length in (100, len(data) // 2, len(data) - 10):
        path.write_bytes(data[:length])
        with pytest.raises(TableError, match="damaged") as error:
            _open(path)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "part", ["xl/workbook.xml", "xl/worksheets/sheet1.xml", "xl/sharedStrings.xml", "[Content_Types].xml"]
)
@pytest.mark.parametrize("how", ["cut", "gone", "other"])
def test_xlsx_reader_broken_part(tmp_path: Path, part: str, how: str) -> None:
    path = _book(tmp_path / "a.xlsx", {"S": [HEADER, *[[n, f"好{n}", "x"] for n in range(500)]]})
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            if name != part:
                archive.writestr(name, data)
            elif how != "gone":
                archive.writestr(name, data[: len(data) * 2 // 3] if how == "cut" else b"<html/>")
    try:
        items = list(_open(path))
    except TableError as error:
        assert str(error).startswith("expected ") and "\n" not in str(error)
    else:
        assert len(items) == 500


def test_xlsx_reader_damage_far_down_keeps_the_rows_before(tmp_path: Path) -> None:
    path = _book(tmp_path / "a.xlsx", {"S": [HEADER, *[[n, f"好{n}", "x"] for n in range(3000)]]})
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    sheet = parts["xl/worksheets/sheet1.xml"]
    parts["xl/worksheets/sheet1.xml"] = sheet[: sheet.index(b'<row r="2001"')]
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    seen = 0
    with pytest.raises(TableError, match="damaged in sheet S after row"):
        for _ in _open(path):
            seen += 1
    assert 1900 < seen <= 2000


def test_xlsx_reader_position_grows(tmp_path: Path) -> None:
    table = _open(_book(tmp_path / "a.xlsx", {"S": [HEADER, *[[n, f"好{n}", "x"] for n in range(3000)]]}))
    positions = [table.position() for _ in table]
    assert positions == sorted(positions) and table.position() == table.bytes_total > 0
