"""CSV and TSV files as they come, from end to end."""

from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentiment.tables import ReadOptions, Reject, Row, Table, TableError, open_tables

CHARACTERS = "好看很的座位a1 ,;\t|\"'\n\r。，"


def _open(folder: Path, data: bytes | str, name: str = "f.csv", **options: object) -> Table:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return open_tables([path], ReadOptions(**options))  # type: ignore[arg-type]


def _rows(table: Table) -> list[list[object]]:
    return [list(item.cells.values()) for item in table if isinstance(item, Row)]


def _rejects(table: Table) -> list[Reject]:
    return [item for item in table if isinstance(item, Reject)]


@given(
    st.lists(st.lists(st.text(CHARACTERS, max_size=12), min_size=3, max_size=3), min_size=1, max_size=12),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "gb18030"]),
    st.sampled_from([",", "\t", ";", "|"]),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_csv_reader_round_trip(rows: list[list[str]], codec: str, delimiter: str, end: str, quoting: int) -> None:
    if end != "\r\n":  # before Python 3.13, csv.writer quotes only the line break that it writes itself
        quoting = csv.QUOTE_ALL
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, delimiter=delimiter, lineterminator=end, quoting=quoting)  # type: ignore[arg-type]
    writer.writerow(["编号", "评论内容", "影院名称"])
    writer.writerows(rows)
    with tempfile.TemporaryDirectory() as folder:
        table = _open(Path(folder), stream.getvalue().encode(codec))
        assert table.columns == ["编号", "评论内容", "影院名称"]
        assert _rows(table) == rows
        assert _rows(table) == rows
        assert not _rejects(table)


LINES = ["1,好,x", "2,坏", "3,a,b,c", '4,"开', '5,"全",y', '6,"a"b,z', "", "7,行,,,"]


def _items(lines: list[str]) -> list[Row | Reject]:
    with tempfile.TemporaryDirectory() as folder:
        items = list(_open(Path(folder), "\n".join(["id,评论,影院", *lines])))
    assert [item.number for item in items] == list(range(1, len(items) + 1))
    return items


@given(st.lists(st.sampled_from(LINES), max_size=25))
def test_csv_reader_accounts_for_every_line(lines: list[str]) -> None:
    items = _items(lines)  # no line closes the quote that another leaves open: it costs that line alone
    found = sum(
        1 + (item.cells["评论"].count("\n") if isinstance(item, Row) else item.raw.count("\n")) for item in items
    )
    assert found == sum(bool(line) for line in lines)
    ids = [item.cells["id"] if isinstance(item, Row) else item.raw[0] for item in items]
    assert ids == [line[0] for line in lines if line]


def _words(text: str) -> list[str]:
    """Line by line, without quotes and without the empty cells at the end."""
    return [line.replace('"', "").rstrip(",") for line in text.split("\n") if line]


@given(st.lists(st.sampled_from([*LINES, '8,末",z', '9,尾"']), max_size=25))
def test_csv_reader_loses_no_words_to_an_open_quote(lines: list[str]) -> None:
    shown = [",".join(item.cells.values()) if isinstance(item, Row) else item.raw for item in _items(lines)]
    assert _words("\n".join(shown)) == _words("\n".join(lines))


def test_csv_reader_ragged_rows() -> None:
    with tempfile.TemporaryDirectory() as folder:
        table = _open(Path(folder), "id,评论,影院\n1,好,x\n2,坏\n3,a,b,c\n4,行,y,,\n")
        assert _rows(table) == [["1", "好", "x"], ["4", "行", "y"]]
        assert [(r.number, r.raw) for r in _rejects(table)] == [(2, "2,坏"), (3, "3,a,b,c")]
        assert [r.reason for r in _rejects(table)] == [
            "expected 3 cells, found 2 (line 3)",
            "expected 3 cells, found 4 (line 4)",
        ]


def test_csv_reader_undecodable_line(tmp_path: Path) -> None:
    data = "id,评论\n1,座位很舒服\n".encode("gbk") + b"2,\xff\n" + "3,电影很好看\n".encode("gbk")
    _, bad, last = _open(tmp_path, data)
    assert isinstance(bad, Reject) and isinstance(last, Row)
    assert bad.reason == "not valid GB18030 at byte 3 of the line (line 3)"
    assert bad.raw == "2,\\xff"
    assert last.cells == {"id": "3", "评论": "电影很好看"}


def test_csv_reader_titles_are_skipped_and_said(tmp_path: Path) -> None:
    table = _open(tmp_path, "影评导出,,\n导出时间,2024,\nid,评论,影院\n1,好,x\n")
    assert _rows(table) == [["1", "好", "x"]]
    assert any("2 title rows above the header skipped; the header is line 3" in note for note in table.notes)


def test_csv_reader_no_header(tmp_path: Path) -> None:
    table = _open(tmp_path, "1,好看,x\n2,难看,y\n", no_header=True, text_column="2", id_column="1")
    assert (table.columns, table.text_column, table.id_column) == (
        ["column_1", "column_2", "column_3"],
        "column_2",
        "column_1",
    )
    assert len(_rows(table)) == 2


def test_csv_reader_header_that_looks_like_data_is_said(tmp_path: Path) -> None:
    table = _open(tmp_path, "1,座位很舒服\n2,难看\n")
    assert any("--no-header" in note for note in table.notes)


def test_csv_reader_header_only(tmp_path: Path) -> None:
    assert list(_open(tmp_path, "id,评论\n")) == []


@pytest.mark.parametrize("data", ["", "\n \n\r\n"])
def test_csv_reader_nothing_there(tmp_path: Path, data: str) -> None:
    with pytest.raises(TableError, match=r"is empty|no sound line"):
        _open(tmp_path, data)


def test_csv_reader_one_column(tmp_path: Path) -> None:
    assert _rows(_open(tmp_path, '评论\n好,看\n"引,号"\n\n一般\n')) == [["好,看"], ["引,号"], ["一般"]]


def test_csv_reader_declared_delimiter(tmp_path: Path) -> None:
    assert _rows(_open(tmp_path, "sep=;\r\nid;评论\r\n1;好,看\r\n")) == [["1", "好,看"]]


def test_csv_reader_tsv_as_demanded(tmp_path: Path) -> None:
    table = _open(tmp_path, "id\t评,论\n1\t好,看\n", input_format="tsv", text_column="评,论")
    assert _rows(table) == [["1", "好,看"]]


def test_csv_reader_drops_nul_and_says_how_many(tmp_path: Path) -> None:
    table = _open(tmp_path, "id,评论\n1,好\0看\0\n")
    assert _rows(table) == [["1", "好看"]]
    assert any("2 NUL bytes dropped" in note for note in table.notes)
    assert len(_rows(table)) == 1 and len([note for note in table.notes if "NUL bytes dropped" in note]) == 1


def test_csv_reader_large_cell(tmp_path: Path) -> None:
    cell = "好" * 700_000 + "\n" + "x" * 100
    assert _rows(_open(tmp_path, f'id,评论\n1,"{cell}"\n2,行\n')) == [["1", cell], ["2", "行"]]


def test_csv_reader_encoding_as_demanded(tmp_path: Path) -> None:
    data = "id,text\n1,naïve 电影".encode("gb18030")
    assert any("GB18030 (--encoding)" in note for note in _open(tmp_path, data, encoding="gbk").notes)


def test_csv_reader_notes_tell_every_choice(tmp_path: Path) -> None:
    notes = "\n".join(_open(tmp_path, "id;评论\n1;好\n").notes)
    for choice in (
        "encoding UTF-8",
        "delimiter semicolon",
        "2 columns: id, 评论",
        "text column: 评论",
        "id column: id",
    ):
        assert choice in notes


DATA = "1,座位很舒服,万达\n2,太贵了,金逸\n"


@pytest.mark.parametrize(
    ("header", "reason"),
    [('编号,"评"论,影院\n'.encode(), "bad quoting"), ("编号,评论,".encode() + b"\xff\n", "not valid")],
)
def test_csv_reader_broken_header_takes_no_row_of_the_data_for_one(tmp_path: Path, header: bytes, reason: str) -> None:
    with pytest.raises(
        TableError,
        match=rf"column names of .*f\.csv in line 1, found it broken \({reason}.* data in line 2; .*--encoding",
    ) as error:
        _open(tmp_path, header + DATA.encode(), encoding="utf-8")
    assert "座位" not in str(error.value) and "\n" not in str(error.value)
    table = _open(tmp_path, header + DATA.encode(), encoding="utf-8", no_header=True, text_column="2")
    assert _rows(table) == [["1", "座位很舒服", "万达"], ["2", "太贵了", "金逸"]]
    assert [reject.number for reject in _rejects(table)] == [1]


def test_csv_reader_header_of_no_known_name_below_a_broken_line_has_to_be_named(tmp_path: Path) -> None:
    data = '"影评"导出,\n用户,看法\n甲,很好看\n乙,太贵了\n'
    with pytest.raises(TableError, match="--text-col NAME if line 2 has them"):
        _open(tmp_path, data)
    table = _open(tmp_path, data, text_column="看法")
    assert (table.columns, _rows(table)) == (["用户", "看法"], [["甲", "很好看"], ["乙", "太贵了"]])


def test_csv_reader_header_of_known_names_below_a_broken_title_is_one(tmp_path: Path) -> None:
    table = _open(tmp_path, '"影评"导出,,\n编号,评论,影院\n' + DATA)
    assert table.columns == ["编号", "评论", "影院"] and len(_rows(table)) == 2
    assert [reject.raw for reject in _rejects(table)] == ['"影评"导出,,']
