"""What to fix first: ratings far off their scale, and rates and targets of the same texts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scored_files import TAXONOMY, record, write_jsonl

from sentiment.report.advice import highest_rating
from sentiment.report.build import build_report
from sentiment.report.page import render
from sentiment.report.read import read_scored
from sentiment.report.sentences import sentences
from sentiment.report.work import ReportOptions


@pytest.mark.parametrize(
    ("ratings", "most"),
    [
        ([5.0] * 95 + [1.0] * 5, 10),
        ([1.0] * 96 + [5.0] * 4, 10),  # praise is rare among complaints, yet no slip
        ([100.0] * 97 + [10.0] * 3, 200),
        ([9.0] * 60 + [1000.0], 20),
        ([4.0, 5.0] * 40 + [45.0, 35.0, 1e6], 10),
        ([-1.0, 0.0, 1.0] * 30, 10),
        ([700.0, 800.0] * 30, 1600),
    ],
)
def test_advice_the_scale_is_that_of_nearly_all_ratings(ratings: list[float], most: float) -> None:
    assert highest_rating(np.array(ratings)) == most


def test_advice_a_rating_far_off_the_scale_takes_no_part(tmp_path: Path) -> None:
    records = []
    for n in range(300):
        said = {"seating": "negative" if n % 2 else "positive"} if n % 5 else {}
        said |= {"staff": "positive"} if n % 3 else {}
        records.append(record(n, f"第{n}条", said, 评分=1000 if n == 7 else n % 5 + 1))
    read = read_scored([write_jsonl(tmp_path / "s.jsonl", records)], TAXONOMY)
    report = build_report(read, ReportOptions(replicates=50))
    found = report.priorities
    assert (found.outcome, found.outcome_low, found.outcome_high, found.n) == ("rating", 1, 5, 299)
    assert report.action.failures
    assert report.action.failure_at_most == 2
    (note,) = [note for note in report.notes if note.code == "odd_ratings"]
    for said_so in (note.zh, note.en):
        assert "1 " in said_so and "10" in said_so


def test_advice_rate_and_target_are_of_the_same_texts(tmp_path: Path) -> None:
    """One large cinema does well, four small ones do not, and more blame comes from nobody knows where: the rate of all
    texts compared is lower than what the best quarter of the five reaches, which would be no aim."""
    sizes = {"大店": (600, 6), **{f"{c}号店": (60, 18) for c in range(4)}, "": (40, 40)}
    records = [
        record(
            n, f"{name}第{n}条", {"parking": "negative" if n < bad else "positive"}, probabilities=False, 影院=name,
        )
        for name, (size, bad) in sizes.items()
        for n in range(size)
    ]  # fmt: skip
    read = read_scored([write_jsonl(tmp_path / "s.jsonl", records)], TAXONOMY)
    report = build_report(read, ReportOptions(replicates=100))
    assert report.priorities.benchmark == "best_quarter"
    (fix,) = report.priorities.fix_first
    assert (fix.rate.value, fix.rate.n) == (pytest.approx(100 * 78 / 840), 840)
    assert (fix.target.value, fix.target.reason, fix.target.n) == (None, "no_target", 840)
    assert fix.gain.value is not None and fix.gain.value > 0.5
    assert "no_target" in {note.code for note in report.notes}
    english = replace(report, meta=replace(report.meta, lang="en"))
    for one, words in ((report, "差评率高于最好的四分之一的影院"), (english, "in the other cinemas down to")):
        said = sentences(one)[1]
        assert words in said
        assert "–" not in said and "9.3%" not in said
        assert words in render(one).decode("utf-8")
