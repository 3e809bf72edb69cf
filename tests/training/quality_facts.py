"""What the tests of the card and of the tables of quality share."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).parents[2]
METRICS = {
    "texts": {"fitted": 5200, "held_out": 608, "weak": 0},
    "sources": {"film_maoyan": 2000, "complaints": 170},
    "start": {"base": "offline", "warm_start": None},
    "held_out": {"eval_joint": 0.81, "eval_overall": 0.86, "eval_loss": 1.0},
    "hours": 1.5,
    "machine": "2 cores",
}


def script(name: str) -> ModuleType:
    """A file of benchmarks/ as a module; the folder is no package."""
    spec = importlib.util.spec_from_file_location(f"benchmarks_{name}", ROOT / "benchmarks" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def rate(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.04, "high": value + 0.03}


def report(rules: str, base: float, mentions: int) -> dict[str, Any]:
    f1s = {name: rate(base) for name in ("precision", "recall", "f1")}
    return {
        "rules": rules,
        "texts": 400,
        "service": {"support": 90, "called": 88, "mention": f1s, "joint": {**f1s, "f1": rate(base - 0.1)},
                    "macro_joint": {**rate(base - 0.2), "dimensions": ["seating"], "least_mentions": 30}},
        "dimensions": {
            "seating": {"texts": 400, "support": mentions, "called": 40, "mention": f1s, "joint": f1s},
            "parking": {"texts": 400, "support": 0, "called": 0, "mention": {}, "joint": {}},
        },
        "overall": {"texts": 400, "accuracy": rate(base + 0.05)},
        "intent": {"accuracy": rate(0.9), "macro_f1": rate(0.8), "labels": ["review", "complaint", "suggestion"],
                   "confusion": [[350, 2, 0], [3, 45, 0], [0, 0, 0]]},
        "escalation": {"support": 5, "f1": rate(0.6)},
        "calibration": {"estimator": "…", "overall": {"labels": 400, "ece": 0.0312, "plain": 0.0401}},
        "risk_coverage": {"texts": 60, "errors": 70, "caught": rate(0.5), "accuracy_of_the_rest": rate(0.9)},
        "evidence": {"mentions": 60, "f1": rate(0.7)},
    }  # fmt: skip


def facts(texts: int, sha256: str, split: str = "development") -> dict[str, Any]:
    return {"texts": texts, "split": split, "file": f"{sha256}.jsonl", "sha256": sha256 * 8}
