"""Records: broken quoting costs a line, never the rest of the file, and never much time."""

from __future__ import annotations

import csv
import io
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentiment.tables.csv_records import MAX_LINES, NO_DELIMITER, Record, read_records
from sentiment.tables.lines import Line


def _read(text: str, delimiter: str = ",") -> list[Record]:
    lines = (
        text.splitlines(keepends=True)
        if "\r" not in text.replace("\r\n", "")
        else io.StringIO(text, newline="").readlines()
    )
    return list(read_records([Line(number, line, None) for number, line in enumerate(lines, 1)], delimiter))


def _cells(text: str) -> list[list[str] | None]:
    return [None if record.reason else record.cells for record in _read(text)]


def test_csv_records_quoted_line_breaks() -> None:
    assert _cells('1,"a\r\nb"\r\n2,"c""d,"\r\n') == [["1", "a\r\nb"], ["2", 'c"d,']]


def test_csv_records_unclosed_quote_costs_its_first_line() -> None:
    records = _read('1,a\n2,"b\n3,c\n4,"d"\n5,e\n')
    assert [record.raw for record in records if record.reason] == ['2,"b']
    assert [record.cells for record in records if not record.reason] == [["1", "a"], ["3", "c"], ["4", "d"], ["5", "e"]]


def test_csv_records_unclosed_to_the_end() -> None:
    records = _read('1,"a\n' + "".join(f"{n},x\n" for n in range(2, 50)))
    assert records[0].reason == "a quote is opened and never closed"
    assert len(records) == 49


def test_csv_records_unclosed_beyond_the_limit() -> None:
    text = '1,"a\n' + "x,y\n" * (MAX_LINES + 10) + '9,"z"\n'
    records = _read(text)
    assert [bool(record.reason) for record in records] == [True] + [False] * (MAX_LINES + 11)


def test_csv_records_long_cells_within_the_limit() -> None:
    cell = "好" * 1_000_000 + "\n" + "看," * 600_000
    assert _cells(f'1,"{cell}"\n') == [["1", cell]]
    assert _cells('1,"' + "x\n" * (MAX_LINES - 1) + '"\n2,y\n')[1] == ["2", "y"]


def test_csv_records_stray_quotes() -> None:
    assert _cells('a"b,c\n"a"b,c\n"",""\n') == [['a"b', "c"], None, ["", ""]]


def test_csv_records_blank_lines() -> None:
    assert _cells("a,b\n\n  \r\n\u3000\n,\nc,d") == [["a", "b"], ["", ""], ["c", "d"]]
    assert [r.cells for r in _read("a\n\n \nb", NO_DELIMITER)] == [["a"], [" "], ["b"]]


def test_csv_records_bad_line_inside_a_quoted_cell() -> None:
    lines = [Line(1, '1,"a\n', None), Line(2, "\\xff\n", "not valid"), Line(3, 'b"\n', None), Line(4, "2,c\n", None)]
    first, second = read_records(lines, ",")
    assert (first.reason, first.raw) == ("not valid", '1,"a\n\\xff\nb"')
    assert second.cells == ["2", "c"]


@pytest.mark.parametrize("line", ['a","b\n', '"a\n', 'x,"\n', '""",\n', 'a","b\nx\n', "a" * 300 + '","b\n'])
def test_csv_records_cost_stays_linear(line: str) -> None:
    few, many = line * 2_000, line * 20_000
    start = time.perf_counter()
    _read(few)
    between = time.perf_counter()
    _read(many)
    assert time.perf_counter() - between < 25 * (between - start) + 3


@given(st.lists(st.sampled_from(['"', "a", ",", "\n", "\r\n", '""', '","', "b,c\n", "好"]), max_size=60))
def test_csv_records_account_for_every_line(parts: list[str]) -> None:
    text = "".join(parts)
    records = _read(text)
    lines = text.replace("\r\n", "\n").split("\n")
    kept = "\n".join(record.raw.replace("\r\n", "\n") for record in records).split("\n")
    assert [line for line in kept if line.strip(" ")] == [line for line in lines if line.strip(" ")]


@given(
    st.lists(
        st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), min_size=2, max_size=4)
    )
)
def test_csv_records_agree_with_the_csv_module(rows: list[list[str]]) -> None:
    stream = io.StringIO(newline="")
    csv.writer(stream).writerows(rows)
    lines = io.StringIO(stream.getvalue(), newline="").readlines()
    records = list(read_records([Line(number, line, None) for number, line in enumerate(lines, 1)], ","))
    assert [record.cells for record in records if record.reason is None] == rows
