"""What holds in question 3 holds over everything that its sentence chooses from."""

from __future__ import annotations

import datetime as dt
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scored_files import TAXONOMY, record, write_jsonl
from statsmodels.stats.multitest import multipletests

from sentiment.report.build import build_report
from sentiment.report.discoveries import corrected
from sentiment.report.intervals import adjusted_together
from sentiment.report.model import Comparison, ComparisonRow, Figure, Label, Report
from sentiment.report.read import read_scored
from sentiment.report.sentences import sentences
from sentiment.report.work import ReportOptions

GROUPS = 12


def _report(folder: Path, *, dated: bool, **options: Any) -> Report:
    """Texts of twelve towns that differ by nothing but chance."""
    rng = random.Random(3)
    records = [
        record(
            number, f"第{number}条",
            {key: rng.choice(("negative", "positive")) for key in ("seating", "parking", "staff", "price")},
            城市=f"城{rng.randrange(GROUPS)}",
            **({"日期": str(dt.date(2026, 1, 1) + dt.timedelta(days=rng.randrange(300)))} if dated else {}),
        )
        for number in range(900)
    ]  # fmt: skip
    path = write_jsonl(folder / "scored.jsonl", records)
    return build_report(read_scored([path], TAXONOMY, by="城市"), ReportOptions(replicates=200, by="城市", **options))


def _tested(report: Report) -> list[ComparisonRow]:
    return [row for c in report.changes.comparisons for row in c.rows if row.p is not None]


def test_discoveries_among_groups_are_corrected_over_all_their_tables(tmp_path: Path) -> None:
    report = _report(tmp_path, dated=False)
    assert len(report.changes.comparisons) == GROUPS
    rows = _tested(report)
    assert len(rows) == GROUPS * 5  # four dimensions and all service
    q = multipletests([row.p for row in rows], method="fdr_bh")[1]
    assert [row.q for row in rows] == pytest.approx(q)
    assert [row.significant for row in rows] == (q <= 0.05).tolist()
    assert min(row.p or 1 for row in rows) < 0.05  # somewhere by chance, as among sixty it must
    assert "No group stands apart" in sentences(replace(report, meta=replace(report.meta, lang="en")))[2]


def test_discoveries_of_all_kinds_are_corrected_together(tmp_path: Path) -> None:
    """With dates the trend is tested, too, so that each q is no less than among the tables alone."""
    report = _report(tmp_path, dated=True, since=dt.date(2026, 6, 1))
    assert [c.kind for c in report.changes.comparisons] == ["since"] + ["by"] * GROUPS
    rows = _tested(report)
    by = np.array([row.p for row in rows[5:]])
    alone = adjusted_together([by])[0]
    assert (np.array([row.q for row in rows[5:]]) >= alone - 1e-12).all()
    since = adjusted_together([[row.p or 1 for row in rows[:5]], by])
    assert all((row.q or 0) >= q - 1e-12 for row, q in zip(rows[:5], since[0], strict=True))


def test_discoveries_keep_rows_in_place_and_leave_out_what_was_not_tested() -> None:
    def rows(*p: float | None) -> list[ComparisonRow]:
        made = Figure(5.0, 1.0, 9.0, 40.0)
        return [ComparisonRow(f"d{i}", *[made] * 5, p=one, q=None, significant=False) for i, one in enumerate(p)]

    def comparison(kind: Any, *p: float | None) -> Comparison:
        return Comparison(kind, None, Label("前", "before"), Label("后", "after"), 40, 40, rows(*p), [])

    made = [comparison("by", 0.5, 0.002), comparison("since", None, 0.02), comparison("by", 0.7, 0.9)]
    found, trends = corrected(made, ([1e-6], []))
    expected = adjusted_together([[0.02], [0.5, 0.002, 0.7, 0.9], [], [1e-6], []])
    assert [row.q for row in found[1].rows] == [None, pytest.approx(expected[0][0])]
    assert [row.q for row in (*found[0].rows, *found[2].rows)] == pytest.approx(expected[1])
    assert trends == pytest.approx(expected[3])
    assert [[row.significant for row in c.rows] for c in found] == [[False, True], [False, True], [False, False]]
    assert [[row.key for row in c.rows] for c in found] == [["d0", "d1"]] * 3
