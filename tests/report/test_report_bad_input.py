"""Whatever the data lack, the report says so: never a NaN, never a traceback."""

from __future__ import annotations

import datetime as dt
import html
import json
import math
import random
import re
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from example import ExampleRows
from scored_files import TAXONOMY, record, write_jsonl

from sentiment.report.build import build_report
from sentiment.report.model import Report, to_plain
from sentiment.report.page import render
from sentiment.report.read import read_scored
from sentiment.report.schema import json_schema
from sentiment.report.work import ReportOptions
from sentiment.report.workbook import write_workbook

KEYS = TAXONOMY.service_keys
SENTIMENTS = ("negative", "neutral", "positive")
Record = dict[str, Any]


def _texts(count: int, *, only: str | None = None, probabilities: bool = True, **own: Any) -> list[Record]:
    rng = random.Random(7)
    found = []
    for number in range(count):
        said = {key: only or rng.choice(SENTIMENTS) for key in rng.sample(KEYS, rng.randrange(3))}
        cells = {name: value(number) if callable(value) else value for name, value in own.items()}
        overall = only or rng.choice(SENTIMENTS)
        intent, alarm = ("complaint", number % 10 == 0) if number % 5 == 0 else ("review", False)
        text = f"第{number}条：" + "，".join(f"{TAXONOMY[key].zh}{sentiment}" for key, sentiment in said.items())
        found.append(
            record(
                number,
                text,
                said,
                overall=overall,
                intent=intent,
                escalation=alarm,
                probabilities=probabilities,
                **cells,
            )
        )
    return found


def _day(number: int) -> str:
    return str(dt.date(2026, 1, 1) + dt.timedelta(days=number % 300))


def _cinema(number: int) -> str:
    return f"{number % 6}号店"


def _report(folder: Path, records: list[Record], **options: Any) -> Report:
    path = folder / "scored.jsonl"
    write_jsonl(path, records)
    read = read_scored([path], TAXONOMY, by=options.get("by"))
    return build_report(read, ReportOptions(replicates=100, **options))


def _check(report: Report) -> set[str]:
    """Obeys the schema, holds no NaN, explains every missing value, on the page too, and can be written as a workbook;
    the codes of its notes."""
    plain = json.loads(json.dumps(to_plain(report), allow_nan=False))
    jsonschema.Draft202012Validator(json_schema()).validate(plain)
    codes = {note.code for note in report.notes}

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            if {"value", "low", "high"} <= set(value):
                if value["value"] is None or value["low"] is None:
                    assert value["reason"] in codes, value
                else:
                    assert value["low"] <= value["value"] <= value["high"], value
                    assert all(math.isfinite(value[end]) for end in ("low", "value", "high"))
            for item in value.values():
                walk(item)
        elif isinstance(value, list):
            for item in value:
                walk(item)

    walk(plain)
    for lang in ("zh", "en"):
        page = render(replace(report, meta=replace(report.meta, lang=lang))).decode("utf-8")
        shown = html.unescape(page.split('<script type="application/json"')[0])
        assert not re.search(r"\b(NaN|nan|None|inf)\b", shown.split("</style>")[1])
        assert [note.code for note in report.notes if getattr(note, lang) not in shown] == []
    with tempfile.TemporaryDirectory() as folder:
        write_workbook(report, Path(folder) / "report.xlsx", rows=ExampleRows())
    return codes


def test_no_rows(tmp_path: Path) -> None:
    codes = _check(_report(tmp_path, []))
    assert {"no_rows", "no_service", "no_outcome", "no_dates", "no_cinemas", "no_customer"} <= codes


def test_five_rows(tmp_path: Path) -> None:
    report = _report(tmp_path, _texts(5, 日期=_day, 影院=_cinema, 评分=3))
    assert {"few_rows", "no_outcome", "few_ratings"} <= _check(report)
    assert report.meta.texts == 5


def test_nothing_but_texts(tmp_path: Path) -> None:
    report = _report(tmp_path, _texts(200))
    assert {"exploratory", "no_dates", "no_cinemas", "no_customer", "no_reply", "halved"} <= _check(report)
    assert report.priorities.outcome == "overall"
    assert report.priorities.exploratory
    assert report.changes.league is None
    assert report.changes.trend is None
    assert report.action.repeats is None
    assert report.action.owners[0].oldest_days is None


def test_one_cinema_one_day(tmp_path: Path) -> None:
    report = _report(tmp_path, _texts(200, 日期="2026-03-01", 影院="甲店", 评分=lambda n: n % 5 + 1))
    assert {"one_cinema", "one_period", "halved"} <= _check(report)
    assert report.priorities.benchmark == "halved"
    assert report.priorities.fix_first


def test_all_positive(tmp_path: Path) -> None:
    report = _report(tmp_path, _texts(300, only="positive", 日期=_day, 影院=_cinema, 评分=5))
    assert {"no_negatives", "constant_rating", "no_outcome", "none_dissatisfied"} <= _check(report)
    index = report.performance.overall.index
    assert index.value == pytest.approx(100)
    assert index.low is not None and index.low < 100  # what was not seen may yet exist
    assert report.priorities.fix_first == []


def test_constant_rating_falls_back_to_the_overall_sentiment(tmp_path: Path) -> None:
    report = _report(tmp_path, _texts(300, 评分=4))
    assert {"constant_rating", "exploratory"} <= _check(report)


def test_half_the_rows_empty(tmp_path: Path) -> None:
    empty = [record(n, "", {}, status="empty", 日期=None) for n in range(150)]
    report = _report(tmp_path, _texts(150, 日期=_day) + empty)
    assert "many_unread" in _check(report)
    assert (report.meta.rows, report.meta.texts, report.meta.empty) == (300, 150, 150)


def test_counts_instead_of_probabilities(tmp_path: Path) -> None:
    report = _report(tmp_path, _texts(200, probabilities=False))
    assert "counts" in _check(report)
    assert report.meta.basis == "counts"


def test_unreadable_dates_and_ratings(tmp_path: Path) -> None:
    report = _report(tmp_path, _texts(150, 日期="去年", 评分="好"))
    assert {"unread_date", "unread_rating", "no_dates"} <= _check(report)


def test_columns_with_nothing_in_them(tmp_path: Path) -> None:
    report = _report(tmp_path, _texts(200, 日期=None, 影院="", 评分=None, 客户="", 回复=None))
    assert {"no_customer", "no_dates", "one_cinema", "exploratory"} <= _check(report)
    assert report.action.repeats is None  # nobody can be told from anybody


def test_notes_on_few_rows_say_what_is_so(tmp_path: Path) -> None:
    report = _report(tmp_path, _texts(40, 日期=_day, 影院=_cinema, 评分=lambda n: n % 5 + 1))
    _check(report)
    said = {note.code: note.en for note in report.notes}
    assert "50" in said["no_outcome"]  # there are ratings, and they vary
    assert "30 texts" in said["halved"]  # there are six cinemas
    assert report.meta.cinemas == 6
    few = [record(n, key, {key: "negative"}, overall="negative") for n, key in enumerate(KEYS[:6])]
    assert "no_negatives" not in _check(_report(tmp_path, few))  # there are six, one of each


@pytest.mark.filterwarnings("error")
def test_one_text_a_thousand_times(tmp_path: Path) -> None:
    records = [
        record(n, "爆米花", {"concessions": sentiment}, overall=sentiment, 评分="1e39" if n == 3 else n % 5 + 1)
        for n in range(120)
        for sentiment in (("positive", "negative")[n % 2],)
    ]
    assert "unread_rating" in _check(_report(tmp_path, records))


def test_nobody_mentions_a_service(tmp_path: Path) -> None:
    report = _report(
        tmp_path, [record(n, "还行", {}, 日期=_day(n), 影院=_cinema(n), 评分=n % 5 + 1) for n in range(120)]
    )
    assert {"no_service", "no_negatives"} <= _check(report)
    assert report.performance.overall.index.value is None


def test_comparisons_with_an_empty_side(tmp_path: Path) -> None:
    report = _report(tmp_path, _texts(150, 日期=_day), since=dt.date(2030, 1, 1))
    assert "empty_side" in _check(report)
    assert report.changes.comparisons == []


def test_compared_files_of_other_kinds_are_counted_alike(tmp_path: Path) -> None:
    sides = []
    for name, probabilities in (("before", False), ("after", True)):
        write_jsonl(tmp_path / f"{name}.jsonl", _texts(150, probabilities=probabilities))
        sides.append(read_scored([tmp_path / f"{name}.jsonl"], TAXONOMY))
    before = replace(sides[0], scored=replace(sides[0].scored, models=["other@1"]))
    report = build_report(sides[1], ReportOptions(replicates=100), before)
    assert {"compared_counts", "compared_models"} <= _check(report)
    for row in report.changes.comparisons[0].rows:  # the same labels on both sides
        assert (row.before.value, row.before.n) == (row.after.value, row.after.n)
    alike = {note.code for note in build_report(sides[1], ReportOptions(replicates=100), sides[1]).notes}
    assert not alike & {"compared_counts", "compared_models"}


def test_everything_there(tmp_path: Path) -> None:
    records = _texts(
        900, 日期=_day, 影院=_cinema, 评分=lambda n: n % 5 + 1, 客户=lambda n: f"K{n % 200}",
        回复=lambda n: "谢谢" if n % 3 == 0 else "", 城市=lambda n: f"城{n % 3}",
    )  # fmt: skip
    report = _report(tmp_path, records, since=dt.date(2026, 5, 1), by="城市")
    codes = _check(report)
    assert not codes & {"no_dates", "no_cinemas", "no_customer", "no_reply", "no_outcome", "exploratory", "no_text"}
    assert [c.kind for c in report.changes.comparisons] == ["since", "by", "by", "by"]
    assert report.changes.league is not None
    assert {row.name for row in report.changes.league.rows} == {"城0", "城1", "城2"}
    assert report.action.repeats
    assert report.action.urgent == "urgent"
    for name, found in report.voices.quotes.items():
        assert len(found.texts) <= (200 if name == "urgent" else 20)
        assert len(found.texts) <= found.total
        assert all(0 <= place < len(report.voices.texts) for place in found.texts)
    assert to_plain(report) == to_plain(_report(tmp_path, records, since=dt.date(2026, 5, 1), by="城市"))
