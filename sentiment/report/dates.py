"""Cells as days, in every usual form. Whether 03/01/2026 is in January or in March is told by the user, or by the rest
of its column."""

from __future__ import annotations

import datetime as dt
import math
import re
import unicodedata
from typing import Any, Literal

DateOrder = Literal["day", "month"]  # which comes first in 03/01/2026

_YEAR_FIRST = re.compile(r"\s*(\d{4})\s*[-/.年]\s*(\d{1,2})\s*[-/.月]\s*(\d{1,2})")
_COMPACT = re.compile(r"\s*(\d{4})(\d{2})(\d{2})(?:\d{4}(?:\d{2})?(?!\d)|(?!\d{3,}))")  # with a time of day or without
_YEAR_LAST = re.compile(r"\s*(\d{1,2})\s*([-/.])\s*(\d{1,2})\s*\2\s*(\d{4})(?!\d)")
_WEEKDAY = r"\s*(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*\.?,?\s+)?"
_MONTH_NAME = re.compile(
    _WEEKDAY + r"([a-z]{3,9})\.?[\s-]+(\d{1,2})(?:st|nd|rd|th)?(?:\s*,\s*|[\s-]+)(\d{4})(?!\d)", re.I
)
_DAY_NAME = re.compile(
    _WEEKDAY + r"(\d{1,2})(?:st|nd|rd|th|\.)?[\s-]*(?:of\s+)?([a-z]{3,9})\.?(?:\s*,\s*|[\s-]+)(\d{4})(?!\d)", re.I
)
_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
_EPOCH = dt.date(1899, 12, 30)  # day 0 of a spreadsheet
_FIRST, _LAST = 1990, 2100  # years; exports write an empty time as 1970-01-01, an empty date as 1899-12-30
_CHINA = dt.timezone(dt.timedelta(hours=8))
# What follows the day in a text that tells a moment: a time of day and its zone.
_MOMENT = re.compile(
    r"(?P<before>[^\d+-]*)(?P<hour>\d{1,2}):?(?P<minute>\d{2})(?P<second>:?\d{2}(?:[.,]\d+)?)?\s*(?P<half>[ap]m)?\s*"
    r"(?:(?:utc|gmt)?(?P<sign>[+-])(?P<hours>\d{1,2})(?::?(?P<minutes>\d{2}))?(?![\d:])|(?:z|utc|gmt)(?![a-z+-]))",
    re.I,
)


def parse_date(value: Any, order: DateOrder | None = None) -> dt.date | None:
    """A cell as a day: dates and times, ISO and Chinese notation, 20260301, 20260301123000, May 4, 2026 and 4 May 2026,
    full-width digits, a spreadsheet's day number, Unix seconds or milliseconds. A moment (Unix time, a time of day with
    its zone) is the day that it is in China, a time without a zone the day it says. None if it is none of these, or
    outside 1990–2100, or if only `order` could tell day from month."""
    found: dt.date | None = None
    if isinstance(value, str) and not value.isascii():
        value = _ascii(value)
    if isinstance(value, dt.datetime):
        moment = value.utcoffset() is not None and _FIRST - 1 <= value.year <= _LAST
        found = (value.astimezone(_CHINA) if moment else value).date()
    elif isinstance(value, dt.date):
        found = value
    elif isinstance(value, str) and (match := _YEAR_FIRST.match(value)):
        found = _in_china(_day(*match.groups()), match)
    elif isinstance(value, str) and (match := _COMPACT.match(value)) and (day := _day(*match.groups())):
        found = _in_china(day, match)
    elif isinstance(value, str) and (ways := both_ways(value)) is not None:
        found = _told(*ways, order)
    elif isinstance(value, str) and (day := _named(value)) is not None:
        found = day
    else:
        number = finite(value)
        if number is None:
            return None
        if number == int(number) and (19700101 <= number <= 21001231 or 1.97e13 <= number < 2.101e13):
            return None if isinstance(value, str) and value.isdecimal() else parse_date(str(int(number)))
        if 32874 <= number < 73415:  # 1990–2100 as a spreadsheet counts days
            found = _EPOCH + dt.timedelta(days=int(number))
        elif 1e8 <= number < 4.2e9 or 1e11 <= number < 4.2e12:
            seconds = number / 1000 if number >= 1e11 else number
            found = (dt.datetime(1970, 1, 1) + dt.timedelta(seconds=seconds, hours=8)).date()
    return found if found is not None and _FIRST <= found.year <= _LAST else None


def both_ways(value: Any) -> tuple[dt.date | None, dt.date | None] | None:
    """03/01/2026 with the day first and with the month first, each None where there is no such day; None for any other
    cell. With dots it is the day that comes first, everywhere."""
    if not isinstance(value, str):
        return None
    match = _YEAR_LAST.match(value if value.isascii() else _ascii(value))
    if match is None:
        return None
    first, dot, second, year = match.groups()
    by_day = _in_china(_day(year, second, first), match)
    return by_day, by_day if dot == "." else _in_china(_day(year, first, second), match)


def _told(by_day: dt.date | None, by_month: dt.date | None, order: DateOrder | None) -> dt.date | None:
    if by_day is None or by_month is None or by_day == by_month:
        return by_day or by_month
    return by_day if order == "day" else by_month if order == "month" else None


def _ascii(value: str) -> str:
    return unicodedata.normalize("NFKC", value).replace("−", "-")  # full-width digits


def _named(value: str) -> dt.date | None:
    if match := _MONTH_NAME.match(value):
        name, day, year = match.groups()
    elif match := _DAY_NAME.match(value):
        day, name, year = match.groups()
    else:
        return None
    short = "sep" if name.lower() == "sept" else name.lower()
    month = next((at for at, full in enumerate(_MONTHS, 1) if short in (full, full[:3])), None)
    return None if month is None else _in_china(_day(year, month, day), match)


def _in_china(day: dt.date | None, match: re.Match[str]) -> dt.date | None:
    """The day in China of the moment that a text tells; the day itself where what follows it is no time with a zone."""
    told = _MOMENT.match(match.string, match.end(match.lastindex or 0))
    if day is None or told is None:
        return day
    hour, minute, offset = int(told["hour"]), int(told["minute"]), 0
    if told["half"]:
        hour = hour % 12 + (12 if told["half"].lower() == "pm" else 0)
    if told["sign"]:
        offset = 60 * int(told["hours"]) + int(told["minutes"] or 0)
        offset = -offset if told["sign"] == "-" else offset
    # 08:00-10:00 is a span of time, not an offset
    span = told["sign"] == "-" and not told["second"] and told["before"].lower() != "t"
    if span or hour > 24 or minute > 59 or abs(offset) > 14 * 60:
        return day
    return day + dt.timedelta(days=(60 * hour + minute - offset + 8 * 60) // 1440)


def _day(year: str | int, month: str | int, day: str | int) -> dt.date | None:
    try:
        return dt.date(int(year), int(month), int(day)) if _FIRST <= int(year) <= _LAST else None
    except ValueError:
        return None


def finite(value: Any) -> float | None:
    """A cell as a finite number; None if it is none."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
