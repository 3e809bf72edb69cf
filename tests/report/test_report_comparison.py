"""Before and after: what is counted, by how many degrees of freedom, and each cinema with itself."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from scored_files import TAXONOMY, record, write_jsonl

from sentiment.report.build import build_report
from sentiment.report.cells import Cells
from sentiment.report.comparison import cinema_changes
from sentiment.report.model import ComparisonRow, Report
from sentiment.report.read import ReadScored, read_scored
from sentiment.report.work import ReportOptions

BORDER = dt.date(2026, 6, 1)
Records = list[dict[str, Any]]


def _read(path: Path, records: Records) -> ReadScored:
    return read_scored([write_jsonl(path, records)], TAXONOMY)


def _both_ways(folder: Path, before: Records, after: Records, replicates: int) -> list[Report]:
    """With `--since` on one file, and with `--compare` on the two."""
    whole = _read(folder / "whole.jsonl", before + after)
    first, second = _read(folder / "before.jsonl", before), _read(folder / "after.jsonl", after)
    options = ReportOptions(replicates=replicates)
    return [
        build_report(whole, ReportOptions(replicates=replicates, since=BORDER)),
        build_report(second, options, first),
    ]


def _row(report: Report, key: str) -> ComparisonRow:
    (comparison,) = report.changes.comparisons
    return next(row for row in comparison.rows if row.key == key)


def test_comparison_blame_of_the_service_is_the_share_of_texts(tmp_path: Path) -> None:
    praise = {"seating": "positive"}
    blame = {"seating": "negative", "parking": "negative", "staff": "negative"}
    before, after = (
        [record(n, f"第{n}条", said, probabilities=False, 日期=day) for n in range(100)]
        for said, day in ((praise, "2026-03-01"), (blame, "2026-09-01"))
    )
    for report in _both_ways(tmp_path, before, after, 50):
        for key in ("service", "parking"):
            found = _row(report, key).negative_difference
            assert found.value == pytest.approx(100)
            assert found.low is not None and found.high is not None
            assert 90 < found.low <= found.high <= 100


def test_comparison_within_a_cinema_is_welchs_test() -> None:
    def cells(index: float, mentions: float, variance: float) -> Cells:
        return Cells(*(np.array([[x]]) for x in (index, mentions, variance, 40.0)), np.array([mentions]))

    (found,) = cinema_changes(cells(50, 12, 110), cells(72, 1000, 1.5), ["甲"], ["service"])
    expected = stats.ttest_ind_from_stats(72, (1.5 * 1000) ** 0.5, 1000, 50, (110 * 12) ** 0.5, 12, equal_var=False)
    assert found.p == pytest.approx(expected.pvalue)
    half = stats.t.ppf(0.975, 111.5**2 / (110**2 / 11 + 1.5**2 / 999)) * 111.5**0.5
    assert (found.difference.low, found.difference.high) == pytest.approx((22 - half, 22 + half))


def test_comparison_of_files_has_each_cinema_beside_itself(tmp_path: Path) -> None:
    """25 very different cinemas, each some points better: between them lies more than within any."""
    before, after = (
        [
            record(n, f"第{n}条", {"seating": "positive" if n < good else "negative"}, 影院=f"{c}号店", 日期=day)
            for c in range(25)
            for good in (1 + c // 3 + late * (1 + c % 3),)
            for n in range(12)
        ]
        for late, day in enumerate(("2026-03-01", "2026-09-01"))
    )
    since, compared = (_row(report, "seating") for report in _both_ways(tmp_path, before, after[::-1], 400))
    assert since.difference.value == pytest.approx(compared.difference.value)
    widths = []
    for figure in (since.difference, compared.difference, since.negative_difference, compared.negative_difference):
        assert figure.low is not None and figure.high is not None
        widths.append(figure.high - figure.low)
    assert widths[1] == pytest.approx(widths[0], rel=0.2)
    assert widths[3] == pytest.approx(widths[2], rel=0.2)
    assert since.significant and compared.significant
