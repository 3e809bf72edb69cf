from __future__ import annotations

import datetime as dt
import math
from typing import Any

import pytest

from sentiment.report.roles import find_roles, parse_date, parse_name, parse_rating, parse_reply


@pytest.mark.parametrize(
    ("column", "role"),
    [("日期", "date"), ("评论_时间", "date"), ("created_at", "date"), ("影院名称", "cinema"),
     ("門店", "cinema"),
     ("Store Name", "cinema"), ("星级", "rating"), ("rating", "rating"), ("会员卡号", "customer"),
     ("user_id", "customer"),
     ("商家回复", "reply"), ("是否回覆", "reply")],
)  # fmt: skip
def test_columns_are_found_by_name(column: str, role: str) -> None:
    assert find_roles(["评论", column], {}) == {role: column}


def test_a_column_has_one_role() -> None:
    assert find_roles(["评分", "时间", "日期"], {"date": "时间"}) == {"date": "时间", "rating": "评分"}


@pytest.mark.parametrize(
    "value",
    ["2026-03-01", "2026/3/1 12:30", "2026年3月1日", "20260301", 20260301, 46082, 1772323200, "1772323200000",
     dt.datetime(2026, 3, 1, 9), dt.date(2026, 3, 1), "2026.03.01", "2026-03-01T08:00:00+08:00"],
)  # fmt: skip
def test_dates_are_read_in_every_usual_form(value: Any) -> None:
    assert parse_date(value) == dt.date(2026, 3, 1)


@pytest.mark.parametrize("value", [None, "", "昨天", "2026-13-01", 3, True, [1], float("nan"), "1/3/26", "0001-01-01"])
def test_what_is_no_date_is_none(value: Any) -> None:
    assert parse_date(value) is None


@pytest.mark.parametrize(
    ("value", "number"), [(4, 4), ("4.5", 4.5), ("4星", 4), ("★★★☆☆", 3), ("四星", 4), ("8/10", 8), ("评分：2", 2)]
)
def test_ratings_are_numbers(value: Any, number: float) -> None:
    assert parse_rating(value) == number


@pytest.mark.parametrize("value", [None, "", "好", True, float("inf"), []])
def test_what_is_no_rating_is_nan(value: Any) -> None:
    assert math.isnan(parse_rating(value))


def test_replies_and_names() -> None:
    assert [parse_reply(v) for v in ("谢谢", "是", 1, True)] == [True] * 4
    assert [parse_reply(v) for v in (None, "", " ", "否", "未回复", 0, False, "No", float("nan"))] == [False] * 9
    assert [parse_name(v) for v in (" 甲  店 ", 12.0, None, "", float("nan"))] == ["甲 店", "12", None, None, None]
