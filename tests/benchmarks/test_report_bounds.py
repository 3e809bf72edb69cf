"""The committed measurement of the report on a million rows is within its bounds, from every format to both."""

from __future__ import annotations

import json
from typing import Any

from benchmarks.report import ROOT

MEASURED: dict[str, Any] = json.loads((ROOT / "benchmarks" / "results" / "report.json").read_text("utf-8"))
RUNS = [f"{source} to {target}" for source in ("parquet", "jsonl", "csv") for target in ("json", "html")]


def test_report_of_a_million_rows_takes_under_3_minutes_and_2_gb() -> None:
    assert MEASURED["rows"] >= 1_000_000
    assert [run for run in RUNS if not MEASURED[run]["seconds"] < 180] == []
    assert [run for run in RUNS if not MEASURED[run]["peak_mb"] < 2000] == []
