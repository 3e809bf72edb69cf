"""The report of the sample finds what benchmarks/visits.py planted in it (scored beforehand: visits.parquet)."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from benchmarks.visits import REPAIR, REPAIRED
from sentiment.report.build import build_report
from sentiment.report.model import Report
from sentiment.report.read import read_scored
from sentiment.report.sentences import sentences
from sentiment.report.work import ReportOptions
from sentiment.taxonomy import load_taxonomy

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


def test_visits_the_repair_of_the_seats_worked(report: Report) -> None:
    (comparison,) = report.changes.comparisons
    held = {(change.cinema, change.key) for change in comparison.cinemas if change.significant}
    assert held == {(REPAIRED, "seating")}
    assert report.changes.trend is not None
    found = [series for series in report.changes.trend.series if (series.cinema, series.key) == (REPAIRED, "seating")]
    assert [change.at for change in found[0].changes] == [REPAIR.isoformat()]


def test_visits_the_unanswered_and_the_new_topic_are_named(report: Report) -> None:
    assert report.action.repeats is not None
    # The list is cut at 100, and a text that the model reads otherwise costs its customer a place: most, not all.
    assert len({f"K9{person:03d}" for person in range(5)} & {row.customer for row in report.action.repeats}) >= 4
    assert "宠物" in {topic.words for topic in report.voices.topics if topic.kind == "new"}


def test_visits_the_first_screen_says_so(report: Report) -> None:
    said = sentences(report)
    assert len(said) == 3
    assert said[1].startswith("先改停车")
    assert "必备" in said[1]
    assert f"{REPAIRED}的座椅视野" in said[2]
