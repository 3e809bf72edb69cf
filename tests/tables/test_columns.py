"""The text and id columns: asked for, by name, by content, and always said."""

from __future__ import annotations

from typing import Any

import pytest

from sentiment.tables.base import TableError
from sentiment.tables.columns import choose_id_column, choose_text_column
from sentiment.tables.reader import Sample


def _sample(columns: dict[str, list[Any]], file: str = "f.csv") -> Sample:
    rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    return Sample(file, file, list(columns), rows)


def _text(*samples: Sample, wanted: str | None = None, no_header: bool = False) -> tuple[str, str]:
    return choose_text_column(samples, wanted, no_header=no_header)


@pytest.mark.parametrize(
    "name",
    [
        "评论",
        "评论内容",
        "内容",
        "評論內容",
        "留言",
        "投诉内容",
        "Review",
        "review_text",
        " Comment ",
        "TEXT",
        "评论内容：",
    ],
)
def test_columns_text_by_exact_name(name: str) -> None:
    chosen, note = _text(_sample({"影片介绍": ["很长很长的介绍文字在这里"], name: ["好看"]}))
    assert chosen == name
    assert "by its name" in note and "--text-col" in note


@pytest.mark.parametrize("name", ["用户评论内容", "观众意见", "customer_feedback_zh", "您的反馈"])
def test_columns_text_by_part_of_a_name(name: str) -> None:
    chosen, note = _text(_sample({"评论时间": ["二〇二四年一月"], "影院": ["万达影城朝阳大悦城店"], name: ["好看"]}))
    assert chosen == name
    assert "a part of its name" in note


def test_columns_text_name_without_words_is_passed_over() -> None:
    assert _text(_sample({"评论": [12, 7, 3], "感想": ["好看", "难看", ""]}))[0] == "感想"
    assert _text(_sample({"评论": ["666"], "影院": ["万达"]}))[0] == "评论"
    assert _text(_sample({"评论": [1, 2, 3], "分": [1, 2, 3]}))[0] == "评论"
    assert _text(_sample({"评论": ["", ""], "内容": ["好看", "难看"]}))[0] == "内容"
    assert _text(_sample({"评论": ["", ""], "影院": ["万达", "金逸"]}))[0] == "评论"


def test_columns_text_by_content() -> None:
    chosen, note = _text(_sample({"a": ["万达"], "b": ["座位很舒服但是太贵"], "c": [1]}))
    assert chosen == "b"
    assert "by its content" in note


def test_columns_text_ties_go_to_the_first_and_are_said() -> None:
    chosen, note = _text(_sample({"a": ["好看"], "b": ["难看"]}))
    assert chosen == "a"
    assert "also possible: b" in note
    assert "also possible: 内容" in _text(_sample({"内容": ["好"], "评论": ["好"]}))[1]


def test_columns_text_of_an_empty_table_by_name() -> None:
    assert _text(Sample("f", "f", ["id", "用户评论"], []))[0] == "用户评论"


def test_columns_text_cannot_be_told() -> None:
    with pytest.raises(TableError, match=r"the columns a, b; name it with --text-col") as error:
        _text(_sample({"a": [1], "b": ["good"]}))
    assert "\n" not in str(error.value)


def test_columns_text_as_wanted() -> None:
    sample = _sample({"a": ["x"], "Comment": ["好"], "column_3": ["1"]})
    assert _text(sample, wanted="a") == ("a", "")
    assert _text(sample, wanted="comment")[0] == "Comment"
    assert _text(sample, wanted="3", no_header=True)[0] == "column_3"
    with pytest.raises(TableError, match=r"'3' \(--text-col\) in f.csv, found the columns a, Comment, column_3"):
        _text(sample, wanted="3")
    with pytest.raises(TableError, match="did you mean 'Comment'"):
        _text(sample, wanted="Coment")


def test_columns_of_several_files() -> None:
    one, two = _sample({"评论": ["好"], "内容": ["好看"]}), _sample({"内容": ["难看"], "x": [1]}, "g.csv")
    assert _text(one, two)[0] == "内容"
    with pytest.raises(TableError, match=r"'评论' .* in g\.csv"):
        _text(one, two, wanted="评论")
    with pytest.raises(TableError, match="under one name"):
        _text(_sample({"评论": ["好"]}), _sample({"留言": ["好"]}, "g.csv"))


def test_columns_of_several_sheets() -> None:
    notes, data = _sample({"说明": ["这张表是怎么来的"]}), _sample({"评论": ["好"]})
    assert _text(notes, data)[0] == "评论"


@pytest.mark.parametrize("name", ["id", "ID", "编号", "序号", "评论id", "review_id", "comment_id", "編號"])
def test_columns_id_by_name(name: str) -> None:
    chosen, note = choose_id_column([_sample({"评论": ["好"], name: [1]})], None, "评论", no_header=False)
    assert chosen == name
    assert "--id-col" in note


def test_columns_id_none_or_wanted() -> None:
    sample = _sample({"评论": ["好"], "票": [1]})
    assert choose_id_column([sample], None, "评论", no_header=False)[0] is None
    assert choose_id_column([sample], "票", "评论", no_header=False)[0] == "票"
    with pytest.raises(TableError, match="--id-col"):
        choose_id_column([sample], "单号", "评论", no_header=False)
