"""The table of the comparison: every figure in its place, and where benchmarks/tables.py puts it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import tables
from sentiment.taxonomy import Taxonomy
from training.comparison_table import comparison_block

ROOT = Path(__file__).parent.parent.parent
LIMITS = "\n## Limits\n\nsome\n"


def rate(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.02, "high": value + 0.02}


def own(overall: float, joint: float | None) -> dict[str, Any]:
    return {"overall": {"accuracy": rate(overall)}, "joint": None if joint is None else rate(joint)}


def public(accuracy: float, texts: int, **more: Any) -> dict[str, Any]:
    return {"texts": texts, "accuracy": rate(accuracy), "macro_f1": rate(accuracy - 0.01), **more}


@pytest.fixture
def found() -> dict[str, Any]:
    """Results of two programs and of one that was not there."""
    change = {"real": {"after": {"differences": {"joint": rate(-0.05), "overall": rate(0.01)}}}}
    entries = [
        ("packaged", "ours", "checkpoint", own(0.8, 0.7), public(0.9, 480)),
        ("fine-tuned", "ours, fitted", "checkpoint", None, public(0.95, 480, development=change, fitted=1350)),
        ("snownlp", "SnowNLP", "peer", own(0.5, None), public(0.75, 200)),
        ("setfit", "SetFit", "peer", None, None),
    ]
    return {
        "model": "tiny@00000000",
        "sets": {"real": {"split": "development", "texts": 400}},
        "public": {"waimai_10k": {"held_out": 480, "learnt_from": 1080}},
        "contestants": [
            {"name": name, "title": title, "zh": f"{title}（中）", "kind": kind, "own": {"real": mine}, "public": {
                "waimai_10k": theirs}, **({"skipped": "found no setfit"} if name == "setfit" else {})}
            for name, title, kind, mine, theirs in entries
        ],
    }  # fmt: skip


def test_every_figure_has_its_cell(found: dict[str, Any]) -> None:
    block = comparison_block(found)
    assert "| **ours** | 80.0 [78.0–82.0] | 70.0 [68.0–72.0] | 90.0 [88.0–92.0]; 89.0 |" in block
    assert "| **ours, fitted** | – | – | 95.0 [93.0–97.0]; 94.0; n 1,350 |" in block
    assert "| SnowNLP | 50.0 [48.0–52.0] | – | 75.0 [73.0–77.0]; 74.0 (of 200) |" in block
    assert "| SetFit | – | – | – |" in block and "Not measured: SetFit." in block
    assert "other* rows of the public sets (waimai_10k 1,080), never" in block
    assert "waimai_10k, 480 rows" in block and "not wholly zero-shot" in block
    assert "| waimai_10k, that set alone | – | -5.0 [-7.0, -3.0] | +1.0 [-1.0, +3.0] |" in block


def test_the_table_in_chinese(found: dict[str, Any]) -> None:
    block = comparison_block(found, "zh")
    assert "| SnowNLP（中） |" in block and "74.0（200 行）" in block and "waimai_10k，480 行" in block
    assert "未评测：SetFit（中）。" in block


def test_nothing_measured() -> None:
    assert "Not measured yet: `python -m benchmarks.comparison`." in comparison_block(None)
    assert "尚未评测" in comparison_block(None, "zh")


def test_without_a_fine_tuning_there_is_no_second_table(found: dict[str, Any]) -> None:
    del found["contestants"][1]
    assert "cinesent train" not in comparison_block(found)


def test_tables_puts_it_into_the_card_and_where_its_markers_are(
    found: dict[str, Any], tmp_path: Path, taxonomy: Taxonomy
) -> None:
    marked = "".join(f"<!-- {name}:begin -->\n<!-- {name}:end -->\n" for name in ("quality", "targets", "memory"))
    card = f"<!-- quality:begin -->\n<!-- quality:end -->\n<!-- dimensions:begin -->\n<!-- dimensions:end -->\n{LIMITS}"

    def renewed(text: str, path: Path) -> str:
        return str(tables.renewed(text, path, "en", [], tmp_path, taxonomy))

    assert "comparison" not in renewed(card, tables.CARD)  # not measured: no section
    (tmp_path / "comparison.json").write_text(json.dumps(found), "utf-8")
    first = renewed(card, tables.CARD)
    assert first.count("## Beside other programs") == 1 and "| **ours, fitted** |" in first
    assert renewed(first, tables.CARD) == first
    assert "ours, fitted" not in renewed(marked, Path("README.md"))
    both = f"{marked}<!-- comparison:begin -->\n<!-- comparison:end -->\n"
    assert "| **ours, fitted** |" in renewed(both, Path("README.md"))
