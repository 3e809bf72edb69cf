"""The workbook: one sheet a question, numbers as numbers, texts as texts, native charts, every row."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import openpyxl
import pytest

from sentiment.report.model import Cell, Lang
from sentiment.report.workbook import write_workbook
from tests.report.example import ExampleRows, example_report
from tests.report.test_report_page import empty


class HostileRows(ExampleRows):
    def __iter__(self) -> Iterator[tuple[Cell, ...]]:
        yield "=1+1", "2026-03-01", 3.0, '=HYPERLINK("http://x.invalid")', "negative", True
        yield "@x", None, None, "http://x.invalid\x00" + "长" * 40_000, None, False


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_workbook_has_a_sheet_a_question_with_charts(tmp_path: Path, lang: Lang) -> None:
    path = tmp_path / "report.xlsx"
    report = example_report()
    write_workbook(replace(report, meta=replace(report.meta, lang=lang)), path, rows=ExampleRows())
    book = openpyxl.load_workbook(path)
    assert len(book.sheetnames) == 9
    assert [name[0] for name in book.sheetnames[1:8]] == list("1234567")
    charts = [len(sheet._charts) for sheet in book]
    assert sum(charts[1:6]) >= 7
    assert book.worksheets[-1].max_row == 6
    first = next(row for row in book.worksheets[1].iter_rows(values_only=True) if row[1] == 61.4)
    assert first[1:5] == (61.4, 57.4, 65.4, 120)


def test_workbook_writes_every_value_of_every_table(tmp_path: Path) -> None:
    """In constant memory a cell written upwards would be lost without a word."""
    path = tmp_path / "report.xlsx"
    report = example_report()
    write_workbook(report, path, rows=ExampleRows())
    cells = {
        value for sheet in openpyxl.load_workbook(path) for row in sheet.iter_rows(values_only=True) for value in row
    }
    for wanted in (
        "星河影城·锦江店",
        "机器人",
        "没人",
        "影片（不计入服务指数）",
        "scored.parquet",
        "2–3 并列",
        2.1,
        64.3,
        0.003,
    ):
        assert wanted in cells, wanted
    assert {note.zh for note in report.notes} <= cells


def test_workbook_has_every_trend_of_a_cinema_and_its_lines_point_at_them(tmp_path: Path) -> None:
    path = tmp_path / "report.xlsx"
    report = example_report()
    trend = report.changes.trend
    assert trend is not None
    singles = [replace(trend.series[1], cinema=f"影院{n}") for n in range(120)]
    changes = replace(report.changes, trend=replace(trend, series=[trend.series[0], *singles]))
    write_workbook(replace(report, changes=changes), path, rows=ExampleRows())
    sheet = openpyxl.load_workbook(path).worksheets[3]
    rows = [
        row for row in sheet.iter_rows(values_only=True) if str(row[1]).startswith("影院") and row[2] in trend.starts
    ]
    assert [row[1:7] for row in rows[-2:]] == [
        ("影院119", "2026-03-01", None, 78, 74, 82),
        ("影院119", "2026-04-01", None, 81, 77, 85),
    ]
    assert len(rows) == 120 * (1 + len(trend.starts))  # a change point each, and every period
    (chart,) = [chart for chart in sheet._charts if chart.tagname == "lineChart"]
    assert "".join(run.t for part in chart.title.tx.rich.p for run in part.r or ()).endswith("（6 / 共 121）")
    assert [line.tx.v for line in chart.series] == [
        "服务总体 · 全部影院",
        *(f"座椅视野 · 影院{n}" for n in range(5)),
    ]
    for line, first, last in ((chart.series[0], 58, 64), (chart.series[5], 22, 81)):
        cells = line.val.numRef.f.rsplit("!", 1)[1].replace("$", "").split(":")
        assert [sheet[cell].value for cell in cells] == [first, last]


def test_workbook_never_writes_a_formula(tmp_path: Path) -> None:
    path = tmp_path / "report.xlsx"
    report = example_report()
    owners = [replace(report.action.owners[0], owner="=1+1")]
    write_workbook(replace(report, action=replace(report.action, owners=owners)), path, rows=HostileRows())
    with zipfile.ZipFile(path) as packed:
        sheets = [packed.read(name) for name in packed.namelist() if name.startswith("xl/worksheets/sheet")]
    assert all(b"<f>" not in sheet and b"<hyperlink" not in sheet for sheet in sheets)
    rows = list(openpyxl.load_workbook(path).worksheets[-1].iter_rows(values_only=True))
    assert rows[1][0] == "=1+1"
    assert rows[1][4] == "负面"
    assert len(str(rows[2][3])) == 32_767


def test_workbook_of_nothing_is_a_workbook(tmp_path: Path) -> None:
    path = tmp_path / "report.xlsx"
    write_workbook(empty(example_report()), path, rows=ExampleRows())
    assert len(openpyxl.load_workbook(path).sheetnames) == 9
