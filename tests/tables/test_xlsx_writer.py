"""Workbooks: types, looks and the limits of a sheet."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from written import block, flat_plan, workbook, write

from sentiment.tables.base import TableError
from sentiment.tables.xlsx_writer import MAX_TEXT, cell_text


def test_xlsx_writer_strings_stay_strings() -> None:
    texts = ["=1+1", "http://a.cn", "mailto:x@y", "{=A1}", "00123", "-5", "internal:x", "#N/A", "  好 "]
    data = write(flat_plan("xlsx", ["text"]), block([{"text": text} for text in texts]))
    sheet = workbook(data).active
    cells = [sheet.cell(row, 1) for row in range(2, len(texts) + 2)]
    assert [cell.value for cell in cells] == texts
    assert all(cell.data_type == "s" and cell.hyperlink is None for cell in cells)


def test_xlsx_writer_values() -> None:
    cells = {
        "text": "a\x01b\r\nc\rd\ud800",
        "small": 999_999_999_999_999,
        "large": 1_000_000_000_000_000,
        "minus": -5,
        "float": 2.5,
        "nan": math.nan,
        "flag": False,
        "when": dt.datetime(2024, 5, 1, 20, 30),
        "day": dt.date(2024, 5, 1),
        "clock": dt.time(20, 30),
        "old": dt.datetime(1850, 1, 1),
        "price": Decimal("39.90"),
        "list": [1],
    }
    names = list(cells)
    sheet = workbook(write(flat_plan("xlsx", names), block([cells]))).active
    found = dict(zip(names, (cell.value for cell in sheet[2]), strict=False))
    assert found == cells | {
        "text": "a\ufffdb \nc\nd\ufffd",
        "large": "1000000000000000",
        "nan": "nan",
        "day": dt.datetime(2024, 5, 1),
        "old": "1850-01-01 00:00:00",
        "price": 39.9,
        "list": "[1]",
    }


def test_xlsx_writer_header_is_bold_frozen_and_filtered() -> None:
    sheet = workbook(write(flat_plan("xlsx", ["text"]), block([{"text": "好"}]))).active
    assert sheet.title == "scores"
    assert all(cell.font.bold for cell in sheet[1])
    assert sheet.freeze_panes == "A2"
    assert sheet.auto_filter.ref == f"A1:{sheet.cell(2, 63).coordinate}"
    assert 10 <= sheet.column_dimensions["A"].width <= 42


def test_xlsx_writer_cuts_and_counts_long_cells() -> None:
    cells = [{"text": "好" * MAX_TEXT}, {"text": "好" * (MAX_TEXT + 1)}, {"text": "😀" * 20_000}]
    sheet = workbook(write(flat_plan("xlsx", ["text"]), block(cells))).active
    assert [len(sheet.cell(row, 1).value) for row in (2, 3, 4)] == [MAX_TEXT, MAX_TEXT, MAX_TEXT // 2]
    assert write.cut == 2  # type: ignore[attr-defined]


@given(st.text())
def test_xlsx_writer_text_keeps_its_length(text: str) -> None:
    found, cut = cell_text(text.encode("utf-8", "replace").decode())
    assert (len(found), cut) == (len(text), False)


def test_xlsx_writer_next_sheet_when_one_is_full() -> None:
    data = write(flat_plan("xlsx", ["text"], xlsx_rows=4, lang="zh"), block([{"text": f"好{i}"} for i in range(7)]))
    book = workbook(data)
    assert book.sheetnames == ["评分结果", "评分结果 2", "评分结果 3"]
    values = [[row[0] for row in sheet.iter_rows(values_only=True)] for sheet in book]
    assert values == [["text", "好0", "好1", "好2"], ["text", "好3", "好4", "好5"], ["text", "好6"]]


def test_xlsx_writer_too_many_columns() -> None:
    with pytest.raises(TableError, match="at most 16384 columns"):
        write(flat_plan("xlsx", ["text", *(f"c{i}" for i in range(16_384))]))
