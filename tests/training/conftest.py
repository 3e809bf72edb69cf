"""Labelled files and measured results for the tests of training."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from quality_facts import facts, rate, report

Write = Callable[..., Path]


@pytest.fixture
def jsonl(tmp_path: Path) -> Write:
    def write(*rows: Any, name: str = "data.jsonl") -> Path:
        path = tmp_path / name
        lines = (row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows)
        path.write_text("\n".join(lines) + "\n", "utf-8")
        return path

    return write


@pytest.fixture
def table(tmp_path: Path) -> Write:
    def write(*rows: dict[str, Any], name: str = "data.csv") -> Path:
        path = tmp_path / name
        with path.open("w", encoding="utf-8-sig", newline="") as lines:
            writer = csv.DictWriter(lines, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        return path

    return write


@pytest.fixture
def results() -> list[dict[str, Any]]:
    quality = {
        "schema": 1,
        "kind": "quality",
        "sets": {"real": facts(400, "aaaa"), "written": facts(300, "bbbb"), "written-test": facts(250, "cccc", "test")},
        "models": [
            {
                "name": "cinesent-zh@12345678", "title": "cinesent-zh@12345678", "hash": "12345678",
                "kind": "checkpoint",
                "sets": {
                    "real": report("cross-fitted", 0.77, 40),
                    "written": report("cross-fitted", 0.83, 20),
                    "written-test": report("packaged", 0.82, 10),
                },
            }
        ],
    }  # fmt: skip
    only_overall = {"rules": "cross-fitted", "overall": {"accuracy": rate(0.5)}, "calibration": {"estimator": "…"}}
    baselines = {
        "schema": 1,
        "kind": "baselines",
        "training": {"texts": 5808, "files": ["train.jsonl"]},
        "sets": {"real": facts(400, "aaaa"), "written": facts(300, "bbbb")},
        "models": [
            {"name": "snownlp", "title": "SnowNLP, two cut points", "zh": "SnowNLP（两个切分点）", "kind": "baseline",
             "settings": {"texts": 500},
             "sets": {"real": only_overall, "written": only_overall}}
        ],
    }  # fmt: skip
    return [quality, baselines]
