from __future__ import annotations

from pathlib import Path
from typing import Any

from scored_files import TAXONOMY, record, write_jsonl

from sentiment.report.build import build_report
from sentiment.report.model import Report
from sentiment.report.read import read_scored
from sentiment.report.work import ReportOptions


def _report(folder: Path, *files: list[tuple[str, dict[str, Any]]]) -> Report:
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
    return build_report(read_scored(paths, TAXONOMY), ReportOptions(replicates=50))


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
