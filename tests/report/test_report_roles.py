from __future__ import annotations

import datetime as dt
import math
from typing import Any

import pytest

from sentiment.report.dates import both_ways, parse_date
from sentiment.report.roles import find_roles, parse_customer, parse_name, parse_rating, parse_reply


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
     dt.datetime(2026, 3, 1, 9), dt.date(2026, 3, 1), "2026.03.01", "2026-03-01T08:00:00+08:00", "20260301123000",
     20260301123000, "202603011230", "２０２６－０３－０１", "２０２６年３月１日", "1772323200"],
)  # fmt: skip
def test_dates_are_read_in_every_usual_form(value: Any) -> None:
    assert parse_date(value) == dt.date(2026, 3, 1)


@pytest.mark.parametrize(
    "value",
    ["May 4, 2026", "May 4 2026", "4 May 2026", "04-May-2026", "4th of May, 2026", "Mon, 04 May 2026 09:30:00 +0800",
     "may 4th, 2026 10:00", "04.05.2026", "4. May 2026"],
)  # fmt: skip
def test_dates_of_other_countries_are_read(value: str) -> None:
    assert parse_date(value) == dt.date(2026, 5, 4)


UTC, NEW_YORK = dt.timezone.utc, dt.timezone(dt.timedelta(hours=-5))


@pytest.mark.parametrize(
    "value",
    ["2026-02-28T16:30:00Z", "2026-02-28T16:30Z", "2026-02-28 16:30:00.123+00:00", "2026-02-28 16:30:00 UTC",
     "2026-02-28T11:30-05:00", "2026-02-28 11:30:00-0500", "2026-03-01T05:00:00+13:00", "20260228T163000Z",
     "20260228163000Z", "Sat, 28 Feb 2026 16:30:00 GMT", "28 Feb 2026 16:30:00 +0000", "2/28/2026 4:30:00 PM +00:00",
     "Sun Mar 01 2026 00:30:00 GMT+0800", "2026-02-28 16:30 GMT+0", 1772296200, "1772296200000",
     dt.datetime(2026, 2, 28, 16, 30, tzinfo=UTC), dt.datetime(2026, 2, 28, 11, 30, tzinfo=NEW_YORK)],
)  # fmt: skip
def test_dates_of_moments_are_days_in_china(value: Any) -> None:
    assert parse_date(value) == dt.date(2026, 3, 1)


@pytest.mark.parametrize(
    "value",
    ["2026-02-28 16:30", "2026-02-28T16:30:00", "2026-02-28 20:00-10:00", "2026-02-28 20:00:00-10:00:00",
     "2026-02-28 16:30 Zoe", "2026-02-28Z", "2026-02-28 16:99Z", dt.datetime(2026, 2, 28, 23), 46081.9,
     "2026-02-28T15:59:59Z", "2026-02-28T23:30:00+08:00"],
)  # fmt: skip
def test_dates_without_a_zone_are_the_days_they_say(value: Any) -> None:
    assert parse_date(value) == dt.date(2026, 2, 28)


def test_dates_in_either_order_are_moved_to_china_alike() -> None:
    assert both_ways("03/01/2026 16:30:00Z") == (dt.date(2026, 1, 4), dt.date(2026, 3, 2))


def test_dates_at_the_end_of_time_are_none() -> None:
    assert parse_date(dt.datetime.max.replace(tzinfo=UTC)) is None


def test_dates_that_may_begin_with_day_or_month_are_not_guessed() -> None:
    january, march = dt.date(2026, 1, 3), dt.date(2026, 3, 1)
    for value in ("03/01/2026", "3-1-2026 18:30", "０３/０１/２０２６"):
        assert both_ways(value) == (january, march)
        assert parse_date(value) is None
        assert (parse_date(value, "day"), parse_date(value, "month")) == (january, march)
    assert parse_date("25/01/2026") == parse_date("01/25/2026") == dt.date(2026, 1, 25)
    assert parse_date("03/03/2026") == dt.date(2026, 3, 3)
    assert [both_ways(value) for value in ("2026-03-01", "31/31/2026", 46082, "03/01/0026")] == [
        None, (None, None), None, (None, None),
    ]  # fmt: skip
    assert [parse_date(value) for value in ("Mayhem 4, 2026", "May 32, 2026", "Smarch 1, 2026")] == [None] * 3


@pytest.mark.parametrize("value", [None, "", "昨天", "2026-13-01", 3, True, [1], float("nan"), "1/3/26", "0001-01-01",
                                   "20261301", 20261301, "20261301.0", "13800138000", "1970-01-01 08:00:00",
                                   "1970年1月1日", "01/01/1970", 19700101, 25569, dt.datetime(1970, 1, 1, 8),
                                   478_800_000, "1989-12-31"])  # fmt: skip
def test_what_is_no_date_is_none(value: Any) -> None:
    assert parse_date(value) is None


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (4, 4),
        ("4.5", 4.5),
        ("4星", 4),
        ("★★★☆☆", 3),
        ("四星", 4),
        ("8/10", 8),
        ("评分：2", 2),
        ("4,5", 4.5),
        ("4,50 / 5", 4.5),
        ("1,200", 1200),
        ("12,345.5", 12345.5),
        ("1.200,5", 1200.5),
        ("0,125", 0.125),
        ("-1,5", -1.5),
        ("4.5，满意", 4.5),
        ("1,2,3", 1),
    ],
)
def test_ratings_are_numbers(value: Any, number: float) -> None:
    assert parse_rating(value) == number


@pytest.mark.parametrize("value", [None, "", "好", True, float("inf"), [], "1e39", 13800138000, "编号13800138000"])
def test_what_is_no_rating_is_nan(value: Any) -> None:
    assert math.isnan(parse_rating(value))


def test_replies_and_names() -> None:
    assert [parse_reply(v) for v in ("谢谢", "是", 1, True)] == [True] * 4
    assert [parse_reply(v) for v in (None, "", " ", "否", "未回复", 0, False, "No", float("nan"))] == [False] * 9
    assert [parse_name(v) for v in (" 甲  店 ", 12.0, None, "", float("nan"))] == ["甲 店", "12", None, None, None]


@pytest.mark.parametrize(
    "value",
    [
        "--",
        "——",
        "－",
        "N/A",
        "n/a",
        "暂无回复",
        "（暂无回复）",
        "暂未回复。",
        "暂时没有回复",
        "暫無回覆",
        "无回复",
        "無回復",
        "未答复",
        "未答覆",
        "尚未回复",
        "尚未處理",
        "还没回复",
        "待跟进",
        "待跟進",
        "等待商家回复",
        "商家未回复",
        "暂无",
        "没有处理",
    ],
)
def test_replies_are_not_cells_that_say_there_is_none(value: str) -> None:
    assert not parse_reply(value)


@pytest.mark.parametrize(
    "value",
    [
        "尚未回复您深表歉意",
        "您好，未处理好是我们的责任",
        "待处理完毕后与您联系",
        "--谢谢",
        "已回复",
        "已处理",
        "无需处理",
        "处理",
        "暂无回复权限，请致电",
        "N/A级座椅已更换",
    ],
)
def test_replies_may_have_words_for_none_in_them(value: str) -> None:
    assert parse_reply(value)


@pytest.mark.parametrize("value", ["null", "NULL", "nan", "None", "-", "--", "—", "\\N", "未知", " 未知 ", "N/A"])
def test_names_are_not_words_for_a_blank(value: str) -> None:
    assert parse_name(value) is None
    assert parse_customer(value) is None


def test_customers_who_are_anonymous_are_unknown() -> None:
    nobody = ("匿名", "匿名用户", "匿名 网友", "游客", "遊客", "Anonymous", "anonymous user", "***")
    assert [parse_customer(name) for name in nobody] == [None] * len(nobody)
    assert [parse_name(name) for name in nobody] == list(nobody)  # a cinema may be called so
    somebody = ("K1", "游客8231", "anonymous77", "不匿名", "未知数", "N", "张*三", "Nan Li")
    assert [parse_customer(name) for name in somebody] == list(somebody)
