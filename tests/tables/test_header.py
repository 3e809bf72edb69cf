"""The header is found below titles, and its columns get usable names."""

from __future__ import annotations

from typing import Any

import pytest

from sentiment.tables.columns import KNOWN_NAMES
from sentiment.tables.csv_dialect import declared_delimiter, find_delimiter
from sentiment.tables.csv_records import NO_DELIMITER
from sentiment.tables.header import find_header, looks_like_data, name_columns, trimmed_width
from sentiment.tables.lines import Line

ROWS: list[list[Any]] = [["1", "好看", "x"], ["2", "难看", "y"], ["3", "一般", ""]]


@pytest.mark.parametrize(
    ("above", "header"),
    [
        ([], ["a", "b", "c"]),
        ([["影评导出", "", ""]], ["a", "b", "c"]),
        ([["影评导出"], ["导出时间", "2024-01-01"]], ["编号", "评论", "影院"]),
        ([["影评导出", None, None], [None, None, None]], ["a", "b", "c"]),
        ([["评论导出 2024"]], ["序号", "感想", "影院"]),
        ([], ["", "评论", "影院"]),
        ([], ["", "b", "c"]),
    ],
)
def test_header_below_titles(above: list[list[Any]], header: list[Any]) -> None:
    assert find_header([*above, header, *ROWS], KNOWN_NAMES) == len(above)


@pytest.mark.parametrize("cell", ["no", "意见", "Review"])
def test_header_is_no_data_row_with_a_cell_like_a_name(cell: str) -> None:
    rows = [["姓名", "说法", "同意"], ["张", "座椅太硬", "yes"], ["李", "很好看", cell], *ROWS]
    assert find_header(rows, KNOWN_NAMES) == 0
    assert find_header([["导出时间", "2024", "共 3 条"], ["编号", "评论", "影院"], *ROWS], KNOWN_NAMES) == 1


def test_header_of_sparse_rows() -> None:
    rows = [["a", "b", "c", "d"], *[["1", "", "好看", ""]] * 40]
    assert find_header(rows, frozenset()) == 0


def test_header_alone() -> None:
    assert find_header([["a", "b"]], frozenset()) == 0
    assert find_header([["title"], ["a", "b"]], frozenset()) == 1


@pytest.mark.parametrize(
    ("cells", "names", "noted"),
    [
        (["a", "b"], ["a", "b"], False),
        (["a", "a", "a"], ["a", "a_2", "a_3"], True),
        (["a", "", None, " "], ["a", "column_2", "column_3", "column_4"], True),
        (["a", "a", "a_2"], ["a", "a_3", "a_2"], True),
        (["column_2", ""], ["column_2", "column_2_2"], True),
        ([1, 2.5], ["1", "2.5"], False),
    ],
)
def test_header_names(cells: list[Any], names: list[str], noted: bool) -> None:
    notes: list[str] = []
    assert name_columns(cells, "f", notes) == names
    assert bool(notes) == noted


def test_header_trims_empty_columns_at_the_end() -> None:
    assert trimmed_width(["a", "b", "", ""], [["1", "2", "", ""], ["1"]]) == 2
    assert trimmed_width(["a", "b", "", ""], [["1", "2", "3", ""]]) == 3


def test_header_that_looks_like_data() -> None:
    assert looks_like_data(["1", "好看"]) and looks_like_data(["好" * 31]) and looks_like_data([5])
    assert not looks_like_data(["编号", "评论", None])


def _delimiter(text: str) -> str:
    lines = text.splitlines(keepends=True)
    return find_delimiter(
        [Line(number, line, None) for number, line in enumerate(lines, 1)],
        frozenset({"评论"}),
        frozenset({"评论", "id"}),
    )


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
def test_csv_dialect_every_delimiter(delimiter: str) -> None:
    rows = [["id", "text", "x"], ["1", "好，看；一|般"[: 3 if delimiter == "|" else None], ""], ["2", "行", "y"]]
    assert _delimiter("".join(delimiter.join(row) + "\n" for row in rows)) == delimiter


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("评论\n好,看\n一般,般\n", NO_DELIMITER),
        ("感想\n好\n一般,般\n差,a,b\n行\n", NO_DELIMITER),
        ("感想\n", NO_DELIMITER),
        ('a,b\n"x;y;z",1\n"p;q;r",2\n', ","),
        ("a;b\n1,5;x\n2,5;y\n", ";"),
        ("标题\na,b,c\n1,2,3\n4,5,6\n", ","),
        ("标题\n时间,2024\na,b,c\n1,2,3\n4,5,6\n", ","),
        ("a,b,c\n1,2,3\n4,5\n6,7,8\n", ","),
        ("id,评论;a\n1,好;x;y\n2,坏,x\n", ","),
        ('a,b\n1,"x\ny\nz\nw"\n', ","),
    ],
)
def test_csv_dialect_by_evenness(text: str, delimiter: str) -> None:
    assert _delimiter(text) == delimiter


def test_csv_dialect_declared() -> None:
    assert declared_delimiter("sep=;\r\n") == ";"
    assert declared_delimiter("sep=x") is None and declared_delimiter("a;b") is None
