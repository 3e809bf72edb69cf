"""The tables of speed: every figure in its place, and where benchmarks/tables.py puts it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import tables
from sentiment.checkpoint import load_checkpoint
from sentiment.taxonomy import Taxonomy
from training.speed_table import engines_block, speed_block

MARKED = "".join(f"<!-- {name}:begin -->\n<!-- {name}:end -->\n" for name in ("quality", "memory"))
FACTS = {"texts": 100, "distinct": 100, "mean_tokens": 25.0, "mean_characters": 280.4, "cycled": False}


def rate(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.02, "high": value + 0.02}


def contestant(name: str, short: float | None, long: float | None, **more: Any) -> dict[str, Any]:
    sides = {
        part: None if value is None else {"texts_per_second": value}
        for part, value in (("short", short), ("long", long))
    }
    return {"name": name, "title": f"the {name}", "zh": f"{name}（中）", "kind": "peer", **sides, **more}


@pytest.fixture
def found() -> dict[str, Any]:
    """Results of ours, one rival, and one that was not there."""
    shares = {"reading": 0.01, "normalising": 0.02, "tokenising": 0.03, "inference": 0.85, "decoding": 0.04}
    return {
        "model": "tiny@00000000",
        "threads": 2,
        "texts": {"source": ["a.jsonl.xz"], "short": FACTS, "long": FACTS},
        "measured": {"machine": {"processor": "Some CPU"}, "units": ["avx2"]},
        "contestants": [
            contestant("ours", 1234.0, 56.0, kind="checkpoint"),
            contestant("bert-1", 12.34, 0.5),
            contestant("snownlp", None, None, skipped="found no snownlp"),
        ],
        "ceiling": {"kinds": {"float32": {
            "gflops": {"all": 99.6}, "texts_per_second": {"short": 2468.0, "long": 100.0},
        }}},
        "stages": {part: {"shares": {**shares, "writing": 0.04, "other": 0.01}} for part in ("short", "long")},
        "targets": [
            {"name": "plain", "title": "times", "zh": "倍数", "at_least": True, "bound": 15, "value": 100.0,
             "long": 112.0, "met": True},
            {"name": "cold-start", "title": "cold", "zh": "冷启动", "at_least": False, "bound": 0.2, "value": 0.31,
             "long": None, "met": False},
            {"name": "snownlp", "title": "SnowNLP", "zh": "SnowNLP", "at_least": True, "bound": 1, "value": None,
             "long": None, "met": None},
        ],
    }  # fmt: skip


@pytest.fixture
def engines() -> dict[str, Any]:
    """Three engines: the packaged one, one that wins, one that ran in another precision; and one that is missing."""
    rates = {"short": {"texts_per_second": 1000.0}, "long": {"texts_per_second": 99.6}}
    own = {"real": {"figures": {"joint": rate(0.8), "overall": rate(0.7)}}}
    other = {"real": {**own["real"], "differences": {"joint": rate(-0.03), "overall": rate(0.01)}}}
    fine = {"changed_labels": 0, "largest_difference": 2e-8}
    names = ("onnxruntime", "onnxruntime-int8", "openvino-bf16", "openvino-int8")
    entries = [{"name": name, "title": name, "zh": f"{name}（中）", "settings": {"precision": "f32"}} for name in names]
    for entry, sets in zip(entries[:3], (own, other, other), strict=True):
        entry.update(rates, sets=sets, neighbours=fine)
    entries[1]["neighbours"] = {"changed_labels": 3, "largest_difference": 0.02}
    entries[3]["skipped"] = "expected nncf"
    return {"model": "tiny@00000000", "sets": {"real": {"texts": 400}}, "engines": entries}


def test_speed_table_has_every_figure(found: dict[str, Any]) -> None:
    block = speed_block(found)
    assert "100 short comments (25 tokens on average) and 100 long texts (280 characters)" in block
    assert "2 threads of Some CPU (avx2)" in block and "our own" not in block
    assert "| the ours | 1,234 | 1.00 | 56.0 | 1.00 |" in block.replace("**", "")
    assert "| the bert-1 | 12.3 | 100 | 0.50 | 112 |" in block
    assert "| the snownlp | – | – | – | – |" in block and "Not measured: the snownlp." in block
    assert "| *ceiling: bare float32 products, 100 GFLOP/s* | 2,468 | 0.50 | 100 | 0.56 |" in block
    assert "| short comments | 1.0% | 2.0% | 3.0% | 85.0% | 4.0% | 4.0% | 1.0% |" in block
    assert "| times | 100 | 112 | ≥ 15 | met |" in block
    assert "| cold | 0.31 | – | ≤ 0.2 | **not met** |" in block
    assert "| SnowNLP | – | – | ≥ 1 | not measured |" in block


def test_speed_table_of_the_large_file(found: dict[str, Any]) -> None:
    found["job"] = {
        "rows": 1_000_000, "sittings": 1, "rows_per_second": 123.4, "seconds": 8100.0, "peak_mb": 640.6,
        "disk_mb": {"input": 95.4, "output": 730.2, "meanwhile": 901.0},
    }  # fmt: skip
    block = speed_block(found)
    assert "| `cinesent score`, a CSV of 1,000,000 rows | 123 | 2.25 | 672 | 95 | 730 | 901 |" in block
    assert "sittings" not in block
    found["job"]["sittings"] = 2
    assert "Measured in 2 sittings" in speed_block(found) and "分 2 次运行" in speed_block(found, lang="zh")


def test_speed_table_has_other_targets_and_complaints(found: dict[str, Any]) -> None:
    row = {"at_least": False, "bound": 1e-5, "value": 2e-8, "long": None, "met": True}
    beside = [row | {"name": "independent", "title": "neighbours", "zh": "相邻"}]
    growth = {"name": "growth", "title": "grows", "zh": "增长", "bound": 3, "value": 3.4, "met": False}
    complaints = [row | growth | {"runtime": "OpenVINO 1"}]
    block = speed_block(found, beside=beside, complaints=complaints)
    assert "| neighbours | 2e-08 | – | ≤ 1e-05 | met |" in block
    assert "| grows | OpenVINO 1 | 3.40 | ≤ 3 | **not met** |" in block and "of a round." not in block
    chinese = speed_block(found, lang="zh", beside=beside, complaints=complaints)
    assert "| 增长 | OpenVINO 1 | 3.40 | ≤ 3 | **未达到** |" in chinese
    complaints[0] |= {"value": 0.97, "low": 0.95, "high": 1.0}  # a ratio comes with its noise
    block = speed_block(found, complaints=complaints)
    assert "| grows | OpenVINO 1 | 0.97 [0.95–1.00] |" in block and "the least and the greatest of a round." in block


def test_speed_table_says_that_texts_are_our_own(found: dict[str, Any]) -> None:
    found["texts"]["note"] = "ours"
    assert "The texts are our own, not real comments." in speed_block(found)
    assert "并非真实评论" in speed_block(found, lang="zh")


def test_speed_table_in_chinese(found: dict[str, Any], engines: dict[str, Any]) -> None:
    block = speed_block(found, engines, "zh")
    assert "| bert-1（中） | 12.3 | 100 | 0.50 | 112 |" in block and "**未达到**" in block and "短评" in block
    assert "真实评论：整体情感" in block


def test_speed_table_of_a_large_file_alone(found: dict[str, Any]) -> None:
    block = speed_block({"targets": found["targets"]})
    assert block.startswith("| target |") and "ceiling" not in block


def test_speed_table_of_engines(found: dict[str, Any], engines: dict[str, Any]) -> None:
    block = engines_block(engines)
    assert "| onnxruntime | 1,000 | 100 | 80.0 [78.0–82.0] | 70.0 [68.0–72.0] | 2e-08 |" in block
    assert "| onnxruntime-int8 | 1,000 | 100 | -3.0 [-5.0, -1.0] | +1.0 [-1.0, +3.0] | 2e-02, 3 records |" in block
    assert "| openvino-bf16 (no such units: ran in f32) |" in block
    assert "| openvino-int8 | – | – | – | – | – |" in block
    assert speed_block(found, engines).endswith(block)


def test_tables_makes_a_section_for_speed_once_it_is_measured(
    found: dict[str, Any], tmp_path: Path, taxonomy: Taxonomy
) -> None:
    def renewed(text: str, path: Path, lang: tables.Language) -> str:
        return tables.renewed(text, path, lang, [], tmp_path, taxonomy)

    readmes = {"README.md": ("en", f"{MARKED}\n## Limits\n\nx\n"), "README.zh.md": ("zh", f"{MARKED}\n## 局限\n\nx\n")}
    languages: dict[str, tables.Language] = {"README.md": "en", "README.zh.md": "zh"}
    for name, (_, text) in readmes.items():
        assert "speed" not in renewed(text, Path(name), languages[name])
    (tmp_path / "speed.json").write_text(json.dumps(found), "utf-8")
    for name, heading in (("README.md", "\n## Speed\n"), ("README.zh.md", "\n## 速度\n")):
        first = renewed(readmes[name][1], Path(name), languages[name])
        assert first.count(heading) == 1 and first.index(heading) < first.index("\n## ", first.index(heading) + 4)
        assert "| 12.3 | 100 |" in first
        assert renewed(first, Path(name), languages[name]) == first
    card = f"{MARKED.replace('memory', 'dimensions')}\n## Limits\n"
    assert "speed" not in renewed(card, tables.CARD, "en")


def test_tables_says_when_speed_is_of_another_checkpoint(found: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "speed.json").write_text(json.dumps(found), "utf-8")
    said = tables.other_checkpoint([], tmp_path, tables.ROOT / tables.CARD.parent)
    assert said is not None and said.startswith("speed.json: expected results of cinesent-zh@")


def test_tables_refuses_a_trial_of_speed(found: dict[str, Any], tmp_path: Path) -> None:
    model = tables.ROOT / tables.CARD.parent
    found |= {"model": load_checkpoint(model).name, "trial": True}
    (tmp_path / "speed.json").write_text(json.dumps(found), "utf-8")
    said = tables.other_checkpoint([], tmp_path, model)
    assert said == "speed.json: expected results of a full run, found those of a trial"
