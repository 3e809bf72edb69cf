"""The report as a workbook: a summary, one sheet a question with native charts, and every scored row."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import xlsxwriter
from xlsxwriter.exceptions import FileCreateError

from sentiment.report.files import appearing
from sentiment.report.labels import label, number
from sentiment.report.model import Cell, Figure, Report, RowColumn, Rows
from sentiment.report.sentences import sentences
from sentiment.report.view_parts import Column, LinkedFigure, Quotes, View
from sentiment.report.views import views
from sentiment.report.views_changes import trend_order
from sentiment.tables.xlsx_writer import MAX_ROWS, cell_text

_QUESTIONS = ("performance", "priorities", "changes", "action", "lenses", "voices", "input")
# Tables with a chart of their first figure by name beside them.
_CHARTS = ("dimensions", "fix", "league", "failures", "ledger")
_COLOURS = {"accent": "#1F5C87", "negative": "#B2432A", "positive": "#23756A", "soft": "#565D66"}
MOST_LINES = 6  # of a line chart
_FIRST_DAY = dt.date(1900, 3, 1)  # before it Excel's calendar is off by one


def write_workbook(report: Report, output: Path, *, rows: Rows) -> None:
    """Writes the workbook to `output`. Texts are strings, never formulas; sheets of rows go on past 1,048,576.

    Raises:
        OSError: the file cannot be written.
    """
    with appearing(output) as stream:
        options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
        book = xlsxwriter.Workbook(stream, options)
        book.use_zip64()
        maker = _Workbook(book, report)
        maker.summary()
        for question in _QUESTIONS:
            maker.question(question)
        maker.rows(rows)
        try:
            book.close()
        except FileCreateError as error:
            cause = error.args[0] if error.args else None
            raise (cause if isinstance(cause, OSError) else OSError(str(error))) from None


class _Workbook:
    """In constant memory, as a million rows need: every sheet is written row by row, downwards."""

    def __init__(self, book: Any, report: Report) -> None:
        self.book, self.report, self.lang = book, report, report.meta.lang
        self.views = views(report)
        self.plain = book.add_format({"valign": "top"})
        self.wrap = book.add_format({"text_wrap": True, "valign": "top"})
        self.title = book.add_format({"bold": True, "font_size": 14})
        self.heading = book.add_format({"bold": True, "font_size": 12, "font_color": _COLOURS["accent"]})
        self.head = book.add_format({"bold": True, "bottom": 1, "text_wrap": True, "valign": "bottom"})
        self.day = book.add_format({"num_format": "yyyy-mm-dd", "valign": "top"})
        self._numbers: dict[str, Any] = {}

    def t(self, key: str, **values: object) -> str:
        return label(key, self.lang, **values)

    def number_format(self, digits: int, sign: bool = False) -> Any:
        pattern = "#,##0" + ("." + "0" * digits if digits else "")
        pattern = f"+{pattern};-{pattern};{pattern}" if sign else pattern
        if pattern not in self._numbers:
            self._numbers[pattern] = self.book.add_format({"num_format": pattern, "valign": "top"})
        return self._numbers[pattern]

    def text(self, sheet: Any, row: int, column: int, value: str, form: Any = None) -> None:
        sheet.write_string(row, column, cell_text(value)[0], form or self.plain)

    def summary(self) -> None:
        """The three sentences, the index and all notes."""
        sheet = self.book.add_worksheet(self.t("sheet_notes"))
        sheet.hide_gridlines(2)
        sheet.set_column(0, 0, 22)
        sheet.set_column(1, 1, 100)
        self.text(sheet, 0, 0, self.t("title"), self.title)
        meta, at = self.report.meta, 2
        about = [self.t("texts_n", n=number(meta.texts, 0))]
        if meta.first and meta.last:
            about.insert(0, self.t("period", first=meta.first, last=meta.last))
        if meta.cinemas:
            about.append(self.t("cinemas_n", n=number(meta.cinemas, 0)))
        self.text(sheet, 1, 0, " · ".join(about))
        for sentence in sentences(self.report):
            self.text(sheet, at, 1, sentence, self.wrap)
            at += 1
        facts = [
            ("basis", self.t(f"basis_{meta.basis}")),
            ("unit", self.t(f"unit_{meta.interval_unit}", n=number(meta.replicates, 0), seed=meta.seed)),
            ("model", ", ".join(meta.models)),
            ("index", self.t("index_hint")),
        ]
        for key, value in facts:
            at += 1
            self.text(sheet, at, 0, self.t(key))
            self.text(sheet, at, 1, value, self.wrap)
        at += 2
        for note in self.report.notes:
            self.text(sheet, at, 0, f"{self.t(note.question)} · {self.t(note.level)}", self.wrap)
            self.text(sheet, at, 1, note.zh if self.lang == "zh" else note.en, self.wrap)
            at += 1

    def question(self, question: str) -> None:
        """All tables of one question below one another, charts at their right."""
        found = [view for view in self.views.values() if view.question == question]
        ordinal = _QUESTIONS.index(question) + 1
        sheet = self.book.add_worksheet(f"{ordinal} {self.t(question).rstrip('?')}"[:31])
        sheet.hide_gridlines(2)
        sheet.set_column(0, 0, 26)
        sheet.set_column(1, 30, 12)
        self.text(sheet, 0, 0, self.t(question), self.title)
        at = 1
        for note in self.report.notes:
            if note.question == question:
                self.text(sheet, at, 0, f"{self.t(note.level)}: {note.zh if self.lang == 'zh' else note.en}")
                at += 1
        if not found:
            self.text(sheet, at + 1, 0, self.t("nothing"))
        for view in found:
            at = self._table(sheet, view, at + 1)

    def _table(self, sheet: Any, view: View, at: int) -> int:
        """Writes `view` from row `at` on; the row after it and its chart."""
        self.text(sheet, at, 0, view.title, self.heading)
        spans = [_width(column) for column in view.columns]
        starts = [sum(spans[:i]) for i in range(len(spans))]
        for start, column in zip(starts, view.columns, strict=True):
            if column.kind == "figure":
                for offset, name in enumerate((column.header, self.t("low"), self.t("high"), "n")):
                    self.text(sheet, at + 1, start + offset, name, self.head)
            elif column.kind != "quotes":
                self.text(sheet, at + 1, start, column.header, self.head)
        first = at + 2
        for offset, row in enumerate(view.rows):
            for start, column, value in zip(starts, view.columns, row, strict=True):
                self._cell(sheet, first + offset, start, column, value)
        end = first + len(view.rows)
        if view.id == "trend":
            self._trend(sheet, view, starts, first, sum(spans) + 1)
        elif view.id in _CHARTS or view.id.startswith("lens-"):
            self._bars(sheet, view, starts, first, end - 1, sum(spans) + 1)
        else:
            return end + 1
        return max(end + 1, at + 2 + max(12, len(view.rows) + 3))

    def _cell(self, sheet: Any, row: int, at: int, column: Column, value: object) -> None:
        if value is None or isinstance(value, Quotes):
            return
        if isinstance(value, LinkedFigure):
            value = value.figure
        if isinstance(value, Figure):
            form = self.number_format(column.digits, column.sign)
            for offset, part in enumerate((value.value, value.low, value.high)):
                if part is not None:
                    sheet.write_number(row, at + offset, part, form)
            sheet.write_number(row, at + 3, value.n, self.number_format(0))
        elif isinstance(value, bool):
            self.text(sheet, row, at, self.t("yes" if value else "no"))
        elif isinstance(value, (int, float)):
            digits = 4 if column.kind == "probability" else column.digits
            sheet.write_number(row, at, value, self.number_format(digits, column.sign))
        else:
            self.text(sheet, row, at, str(value))

    def _bars(self, sheet: Any, view: View, starts: list[int], first: int, last: int, at: int) -> None:
        """Bars of the first figure with its interval as error bars."""
        figure = next(i for i, column in enumerate(view.columns) if column.kind == "figure")
        name = next(i for i, column in enumerate(view.columns) if column.kind == "text")
        where, column = sheet.get_name(), starts[figure]
        cells = [row[figure] for row in view.rows]
        figures = [cell if isinstance(cell, Figure) else Figure(None) for cell in cells]
        plus = [(f.high - f.value) if f.high is not None and f.value is not None else 0.0 for f in figures]
        minus = [(f.value - f.low) if f.low is not None and f.value is not None else 0.0 for f in figures]
        chart = self.book.add_chart({"type": "bar"})
        chart.add_series(
            {
                "name": view.columns[figure].header,
                "categories": [where, first, starts[name], last, starts[name]],
                "values": [where, first, column, last, column],
                "fill": {"color": _COLOURS["accent"], "transparency": 35},
                "gap": 60,
                "x_error_bars": {"type": "custom", "plus_values": plus, "minus_values": minus},
            }
        )
        chart.set_title({"name": f"{view.title}: {view.columns[figure].header}", "name_font": {"size": 11}})
        chart.set_legend({"none": True})
        chart.set_y_axis({"reverse": True, "major_gridlines": {"visible": False}, "label_position": "low"})
        chart.set_x_axis({"major_gridlines": {"visible": True, "line": {"color": "#DDDDDD"}}})
        chart.set_size({"width": 560, "height": 20 * max(12, len(view.rows) + 3)})
        sheet.insert_chart(first - 1, at, chart, {"description": view.title})

    def _trend(self, sheet: Any, view: View, starts: list[int], first: int, at: int) -> None:
        """Lines of the service and of series that changed, at most six, the title saying of how many. The series stand
        below one another in the table."""
        trend = self.report.changes.trend
        if trend is None:
            return
        where, size, series = sheet.get_name(), len(trend.starts), trend_order(trend)
        shown = [i for i, one in enumerate(series) if (one.key == "service" and not one.cinema) or one.changes] or [0]
        chart = self.book.add_chart({"type": "line"})
        for i in shown[:MOST_LINES]:
            top, last = first + i * size, first + (i + 1) * size - 1
            chart.add_series(
                {
                    "name": f"{view.rows[i * size][0]} · {view.rows[i * size][1]}",
                    "categories": [where, top, starts[2], last, starts[2]],
                    "values": [where, top, starts[4], last, starts[4]],
                    "marker": {"type": "circle", "size": 4},
                }
            )
        cut = self.t("shown_of", k=MOST_LINES, n=len(shown)) if len(shown) > MOST_LINES else ""
        chart.set_title({"name": view.title + cut, "name_font": {"size": 11}})
        chart.set_legend({"position": "bottom"})
        chart.set_y_axis({"min": 0, "max": 100, "major_gridlines": {"visible": True, "line": {"color": "#DDDDDD"}}})
        chart.show_blanks_as("gap")
        chart.set_size({"width": 760, "height": 400})
        sheet.insert_chart(first - 1, at, chart, {"description": view.title})

    def rows(self, rows: Rows) -> None:
        """Every scored row, with a filter over the columns."""
        sheet, at, sheets = None, 0, 0
        for row in rows:
            if sheet is None or at == MAX_ROWS:
                if sheet is not None:
                    sheet.autofilter(0, 0, at - 1, len(rows.columns) - 1)
                sheets += 1
                sheet, at = self._rows_sheet(rows, sheets), 1
            for column, (described, value) in enumerate(zip(rows.columns, row, strict=True)):
                self._row_cell(sheet, at, column, described, value)
            at += 1
        if sheet is None:
            sheet, at = self._rows_sheet(rows, 1), 1
        sheet.autofilter(0, 0, max(at - 1, 0), max(len(rows.columns) - 1, 0))

    def _rows_sheet(self, rows: Rows, count: int) -> Any:
        name = self.t("sheet_rows")
        sheet = self.book.add_worksheet(name if count == 1 else f"{name} {count}")
        sheet.freeze_panes(1, 0)
        for at, column in enumerate(rows.columns):
            sheet.set_column(at, at, 60 if column.key == "text" else 14)
            self.text(sheet, 0, at, column.zh if self.lang == "zh" else column.en, self.head)
        return sheet

    def _row_cell(self, sheet: Any, row: int, at: int, column: RowColumn, value: Cell) -> None:
        if value is None or value == "":
            return
        if isinstance(value, bool):
            self.text(sheet, row, at, self.t("yes" if value else "no"))
        elif isinstance(value, (int, float)) and abs(value) < 10**15:
            sheet.write_number(row, at, value)
        elif column.kind == "date" and (day := _day(str(value))) is not None:
            sheet.write_datetime(row, at, day, self.day)
        elif column.kind == "label":
            self.text(sheet, row, at, self._label(str(value)))
        else:
            self.text(sheet, row, at, str(value))

    def _label(self, value: str) -> str:
        known = ("positive", "neutral", "negative", "review", "complaint", "suggestion", "inquiry")
        return self.t(value) if value in known else value


def _width(column: Column) -> int:
    """Cells that a column takes: a figure has value, low, high and n; texts behind it stay on the page."""
    return {"figure": 4, "quotes": 0}.get(column.kind, 1)


def _day(value: str) -> dt.date | None:
    try:
        day = dt.date.fromisoformat(value[:10])
    except ValueError:
        return None
    return day if day >= _FIRST_DAY else None
