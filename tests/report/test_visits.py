"""The report of the sample finds what benchmarks/visits.py planted in it (scored beforehand: visits.parquet)."""

from __future__ import annotations

import datetime as dt
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pytest

from benchmarks.visits import REPAIR, REPAIRED
from sentiment.report.build import build_report
from sentiment.report.model import Comparison, Report, to_plain
from sentiment.report.read import read_scored
from sentiment.report.schema import write_json
from sentiment.report.sentences import sentences
from sentiment.report.views import views
from sentiment.report.work import ReportOptions
from sentiment.report.workbook import write_workbook
from sentiment.taxonomy import load_taxonomy
from tests.report.example import ExampleRows

SCORED = Path(__file__).parent / "visits.parquet"


@pytest.fixture(scope="module")
def report() -> Report:
    return build_report(read_scored([SCORED], load_taxonomy()), ReportOptions(since=dt.date(2026, 3, 1)))


def test_visits_parking_is_basic_and_first_to_fix(report: Report) -> None:
    impact = {row.key: row for row in report.priorities.impact}
    assert impact["parking"].kano == "basic"
    assert (impact["parking"].penalty.value or 0) > 1.0
    assert (impact["parking"].reward.value or 0) < 0.3
    assert impact["concessions"].kano == "excitement"
    assert impact["seating"].kano == impact["staff"].kano == "performance"
    assert report.priorities.outcome == "rating"
    first = report.priorities.fix_first[0]
    assert first.key == "parking"
    assert first.gain.low is not None
    assert first.gain.low > 0
    for row in report.priorities.fix_first:
        for part in (row.target, row.avoided):
            assert part.low is not None and part.high is not None and part.value is not None
            assert 0 <= part.low <= part.value <= part.high
        assert (row.target.value or 0) < (row.rate.value or 0)


def test_visits_the_repair_of_the_seats_worked(report: Report) -> None:
    (comparison,) = report.changes.comparisons
    held = {(change.cinema, change.key) for change in comparison.cinemas if change.significant}
    assert held == {(REPAIRED, "seating")}
    assert (comparison.before.zh, comparison.before.en) == ("2026-03-01 之前", "before 2026-03-01")
    assert (comparison.after.zh, comparison.after.en) == ("2026-03-01 起", "since 2026-03-01")
    holds_the_rise(comparison)
    assert report.changes.trend is not None
    found = [series for series in report.changes.trend.series if (series.cinema, series.key) == (REPAIRED, "seating")]
    assert [change.at for change in found[0].changes] == [REPAIR.isoformat()]


def holds_the_rise(comparison: Comparison) -> None:
    """The repaired seats got better, not worse, and every difference is after less before."""
    (seats,) = [change for change in comparison.cinemas if change.significant]
    assert seats.after.value is not None and seats.before.value is not None
    assert seats.after.value > seats.before.value + 20
    assert (seats.effect.value or 0) > 0
    row = next(row for row in comparison.rows if row.key == "seating")
    assert (row.difference.value or 0) > 0 and (row.effect.value or 0) > 0
    assert (row.negative_difference.value or 0) < 0
    for found in (*comparison.rows, *comparison.cinemas):
        if found.difference.value is not None:
            assert found.after.value is not None and found.before.value is not None
            assert found.difference.value == pytest.approx(found.after.value - found.before.value)


def test_visits_the_unanswered_and_the_new_topic_are_named(report: Report) -> None:
    assert report.action.repeats is not None
    planted = {f"K9{person:03d}" for person in range(5)}
    found = {row.customer: row for row in report.action.repeats if row.customer in planted}
    assert set(found) == planted
    assert all(row.texts in (2, 3) and row.quotes in report.voices.quotes for row in found.values())
    assert "宠物" in {topic.words for topic in report.voices.topics if topic.kind == "new"}


def test_visits_every_repeat_is_in_json_and_workbook(report: Report, tmp_path: Path) -> None:
    assert report.action.repeats is not None
    customers = [row.customer for row in report.action.repeats]
    assert len(customers) > 100
    write_json(report, tmp_path / "r.json")
    assert [
        r["customer"] for r in json.loads((tmp_path / "r.json").read_text("utf-8"))["action"]["repeats"]
    ] == customers
    write_workbook(report, tmp_path / "r.xlsx", rows=ExampleRows())
    sheet = openpyxl.load_workbook(tmp_path / "r.xlsx", read_only=True).worksheets[4]
    assert set(customers) <= {row[0] for row in sheet.iter_rows(values_only=True) if row}


def test_visits_every_number_has_texts_behind_it(report: Report) -> None:
    """Of all rows that have texts, none is without its list, and every list is of this report's texts."""

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            quoting = {name: key for name, key in value.items() if name == "quotes" or name.endswith("_quotes")}
            for name, key in quoting.items():
                for one in key.values() if isinstance(key, dict) else key if isinstance(key, list) else [key]:
                    assert one is None or one in report.voices.quotes, (name, one)
            for item in value.values():
                walk(item)
        elif isinstance(value, list):
            for item in value:
                walk(item)

    plain = to_plain(report)
    lists = plain["voices"].pop("quotes")
    walk(plain)
    part = report.performance
    rows = [part.overall, *part.groups, *part.dimensions, *(row for lens in report.lenses.lenses for row in lens.rows)]
    assert all(row.quotes for row in rows)
    assert all(row.quotes for row in (*report.priorities.impact, *report.priorities.fix_first))
    assert all(row.before_quotes and row.after_quotes for row in report.changes.comparisons[0].rows)
    assert all(row.before_quotes or row.after_quotes for row in report.changes.comparisons[0].cinemas)
    assert all(row.quotes for row in report.action.failures)
    assert report.action.silent is not None
    assert all(row.quotes for row in (*report.action.silent.dimensions, *report.action.silent.cinemas))
    assert all(phrase.quotes for found in report.voices.phrases for phrase in (*found.negative, *found.positive))
    assert report.changes.trend is not None and all(report.changes.trend.quotes)
    for series in report.changes.trend.series:
        behind = zip(series.values, series.period_quotes, strict=True)
        assert all(quotes for value, quotes in behind if value.value is not None), (series.key, series.cinema)
    assert all(0 < len(found["texts"]) <= (200 if key == "urgent" else 20) for key, found in lists.items())
    assert all(len(found["texts"]) <= found["total"] for found in lists.values())


def test_visits_in_english_has_no_chinese_but_the_inputs(report: Report) -> None:
    english = replace(report, meta=replace(report.meta, lang="en"))
    own = {*(row.name for row in report.changes.league.rows), "影院"} if report.changes.league else set()
    for view in views(english).values():
        if view.id in ("phrases", "topics", "columns"):
            continue
        words = [
            view.title,
            *(c.header for c in view.columns),
            *(c for row in view.rows for c in row if isinstance(c, str)),
        ]
        left = {word for word in words if re.search("[\u4e00-\u9fff]", re.sub("|".join(own), "", word))}
        assert left == set(), view.id
    assert {owner.owner for owner in report.action.owners} <= set(report.labels)


def test_visits_notes_name_the_figures_they_speak_of(report: Report) -> None:
    unstable = next(note for note in report.notes if note.code == "unstable")
    rows = [row.key for row in report.priorities.impact if row.reason == "unstable"]
    names = {d.key: d for d in report.dimensions}
    assert names[rows[0]].zh in unstable.zh
    assert names[rows[0]].en in unstable.en
    few = [note for note in report.notes if note.code == "few_mentions"]
    assert [note.question for note in few] == ["changes"]
    assert f"{REPAIRED} · seating (" in few[0].en


def test_visits_compared_with_other_files_shows_each_cinema() -> None:
    """The sample's two halves as files: the repair must show as it does with --since."""
    read = read_scored([SCORED], load_taxonomy())
    early = read.scored.date < np.datetime64(REPAIR)
    before, after = (replace(read, scored=read.scored.only(side)) for side in (early, ~early))
    report = build_report(after, ReportOptions(replicates=200), before)
    (comparison,) = report.changes.comparisons
    assert comparison.kind == "compare"
    assert {(c.cinema, c.key) for c in comparison.cinemas if c.significant} == {(REPAIRED, "seating")}
    holds_the_rise(comparison)
    assert (comparison.before_texts, comparison.after_texts) == (
        int((before.scored.status == 0).sum()), report.meta.texts,
    )  # fmt: skip
    change = comparison.cinemas[0]
    assert change.before_quotes and change.after_quotes
    dates = [
        {report.voices.texts[at].date for at in report.voices.quotes[key].texts}
        for key in (change.before_quotes, change.after_quotes)
    ]
    assert max(d or "" for d in dates[0]) < REPAIR.isoformat() <= min(d or "" for d in dates[1])


def test_visits_the_first_screen_says_so(report: Report) -> None:
    said = sentences(report)
    assert len(said) == 3
    assert said[1].startswith("先改停车")
    assert "必备" in said[1]
    assert f"{REPAIRED}的座椅视野" in said[2]
