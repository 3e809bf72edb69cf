from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

from scored_files import TAXONOMY, record, write_jsonl

from sentiment.report.build import build_report
from sentiment.report.model import Report
from sentiment.report.read import read_scored
from sentiment.report.work import ReportOptions


def _report(folder: Path, *files: list[tuple[str, dict[str, Any]]], as_of: dt.date | None = None) -> Report:
    """Of files of complaints, each the customer and its other cells."""
    paths = [
        write_jsonl(
            folder / f"{at}.jsonl",
            [
                record(n, "座椅太硬", {"seating": "negative"}, intent="complaint", 客户=customer, **cells)
                for n, (customer, cells) in enumerate(texts)
            ],
        )
        for at, texts in enumerate(files)
    ]
    return build_report(read_scored(paths, TAXONOMY), ReportOptions(replicates=50, as_of=as_of))


def test_repeats_are_not_texts_of_files_without_a_reply_column(tmp_path: Path) -> None:
    with_replies = [("K1", {"回复": ""}), ("K2", {"回复": ""}), ("K2", {"回复": ""}), ("K3", {"回复": "谢谢"})]
    without: list[tuple[str, dict[str, Any]]] = [(name, {}) for name in ("K1", "K2", "K3", "K3", "K4", "K4")]
    repeats = _report(tmp_path, with_replies, without).action.repeats
    assert repeats is not None
    assert [(row.customer, row.texts) for row in repeats] == [("K2", 2)]


def test_repeats_are_not_of_anonymous_customers(tmp_path: Path) -> None:
    names = ("匿名用户", "匿名用户", "未知", "未知", "K1", "K1")
    repeats = _report(tmp_path, [(name, {"回复": "暂无回复"}) for name in names]).action.repeats
    assert repeats is not None
    assert [row.customer for row in repeats] == ["K1"]


def test_action_texts_after_as_of_have_no_days(tmp_path: Path) -> None:
    days = ("2026-03-01", "2026-03-20"), ("2026-03-12", "2026-03-20"), ("2026-03-04", "2026-03-10")
    texts = [(f"K{k}", {"回复": "", "日期": day}) for k, both in enumerate(days) for day in both]
    report = _report(tmp_path, texts, as_of=dt.date(2026, 3, 10))
    (owner,) = report.action.owners
    assert (owner.complaints, owner.median_days, owner.oldest_days) == (6, 6, 9)
    assert report.action.repeats is not None
    assert {row.customer: row.days for row in report.action.repeats} == {"K0": 9, "K1": None, "K2": 6}
    assert "3 texts are later" in next(note.en for note in report.notes if note.code == "after_as_of")
    before = _report(tmp_path, texts, as_of=dt.date(2026, 3, 20))
    assert "after_as_of" not in {note.code for note in before.notes}
