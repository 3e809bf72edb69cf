"""The tables of levers and of checkpoints, and the picture: every figure in its place."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks import tables
from sentiment.taxonomy import Taxonomy
from training.lever_table import levers_block, with_depth_quality
from training.speed_table import speed_block
from training.tradeoff_plot import ticks, tradeoff_plot
from training.tradeoff_table import PICTURES, tradeoff_block

SVG = "{http://www.w3.org/2000/svg}"
MARKED = "".join(f"<!-- {name}:begin -->\n<!-- {name}:end -->\n" for name in ("quality", "targets", "memory"))
SPEED: dict[str, Any] = {"model": "tiny@00000000", "targets": []}


def lever(name: str, used: bool, verdict: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name, "title": f"the {name}", "zh": f"{name}（中）", "scope": "scoring", "used": used, "reason": "why",
        "reason_zh": "理由", "graph": False, **more,
        "runtimes": {"onnxruntime": measured(verdict), **more.get("runtimes", {})},
    }  # fmt: skip


def measured(verdict: str, ratio: float = 1.456, **more: Any) -> dict[str, Any]:
    part = {"ratio": ratio, "low": 1.4, "high": 1.5, "padding": {"pulled": 0.0012, "released": 0.25}}
    return {
        "records": {"equal": True}, "short": part, "long": {**part, "ratio": 0.9}, "verdict": verdict, **more,
    }  # fmt: skip


@pytest.fixture
def levers() -> dict[str, Any]:
    size = {"file_mb": 8.7, "memory_mb": 34.7}
    entries = [
        lever("order", True, "gains"),
        lever("packing", False, "even", graph=True),
        lever("vocabulary", False, "gains", graph=True),
        lever("attention", False, "loses", graph=True),
        lever("overlap", True, "loses", scope="job"),
        lever("tokenising", True, "mixed", alone={"short": one(1.8), "long": one(1.7)}),
        lever("pinning", False, "even"),
        lever("fibres", False, "undecided"),
    ]
    _, packing, vocabulary, attention, overlap, _, pinning, _ = (entry["runtimes"]["onnxruntime"] for entry in entries)
    packing["bound"] = {"short": 1.333, "long": 1.1}
    vocabulary |= {"whole": size, "cut": {**size, "memory_mb": 9.1}, "pieces": 22579, "kept": 6000}
    attention["found_by_the_optimiser"] = {"Attention": 0, "BiasGelu": 9}
    overlap["records"] = {"equal": False}
    pinning |= {"records": None, "skipped": "expected two CPUs"}
    part = {"ratio": 1.3, "low": 1.25, "high": 1.35}
    depths = [
        {"layers": layers, "used": layers == 8, "verdict": verdict, "short": part, "long": part}
        for layers, verdict in ((12, "loses"), (8, "even"), (6, "gains"))
    ]
    head = {
        "model": "tiny@00000000", "runtimes": {"onnxruntime": "ONNX Runtime 1.0, float32"}, "rounds": 5, "noise": 0.02,
    }  # fmt: skip
    return {**head, "levers": entries, "depths": depths}


@pytest.fixture
def both(levers: dict[str, Any]) -> dict[str, Any]:
    """The same, with figures of int8 where the graph is as it was."""
    for entry in levers["levers"]:
        if not entry["graph"]:
            entry["runtimes"] = {"onnxruntime-int8": measured("loses" if entry["name"] == "order" else "gains", 0.777)}
    return {**levers, "runtimes": {**levers["runtimes"], "onnxruntime-int8": "ONNX Runtime 1.0, int8"}}


def one(ratio: float) -> dict[str, float]:
    return {"ratio": ratio, "low": ratio - 0.1, "high": ratio + 0.1}


def rate(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.02, "high": value + 0.02}


@pytest.fixture
def tradeoff() -> dict[str, Any]:
    def entry(name: str, members: int, speed: float, joint: float) -> dict[str, Any]:
        figures = {"figures": {"joint": rate(joint), "overall": rate(0.7)}}
        return {
            "name": name, "members": members, "layers": 8, "mb": 25.4, "short": {"texts_per_second": speed},
            "long": {"texts_per_second": speed / 10}, "sets": {"real": figures, "written": figures},
        }  # fmt: skip

    small, large = entry("packaged", 1, 1000.0, 0.8), entry("large", 3, 680.0, 0.83)
    large["sets"]["real"] = {**large["sets"]["real"], "differences": {"joint": rate(0.03), "overall": rate(0.0)}}
    sets = {"real": {"texts": 400}, "written": {"texts": 600}}
    head = {"model": "tiny@00000000", "runtime": "ONNX Runtime 1.0, float32"}
    return {**head, "sets": sets, "checkpoints": [small, large]}


def test_lever_table_has_every_figure(levers: dict[str, Any]) -> None:
    block = levers_block(levers)
    assert "| the order | 1.46 [1.40–1.50] | 0.90 [1.40–1.50] | faster | yes | why |" in block
    assert "| the packing |" in block and "| no difference | no | why |" in block
    assert "| the fibres | 1.46 [1.40–1.50] | 0.90 [1.40–1.50] | not decided | no | why |" in block
    assert "| **faster** | no | why |" in block  # a lever that gains and is not used stands out
    assert "| the overlap (a whole CSV) |" in block and "| **slower**, other records | yes | why |" in block
    assert "| slower | no | why |" in block
    assert "in batches 1.80 [1.70–1.90] × the rate on short comments, 1.70 [1.60–1.80] × on long texts" in block
    assert "what changes the ONNX graph" not in block
    assert "| the tokenising |" in block and "| faster on one kind, slower on the other |" in block
    assert "| the pinning | – | – | not measured | no | why |" in block
    assert "On ONNX Runtime 1.0, float32." in block
    assert "medians of 5 interleaved rounds" in block and "more than 2% in every round" in block
    assert "逐轮计算，5 轮" in levers_block(levers, "zh") and "其余未定" in levers_block(levers, "zh")
    assert "0.1% of padding on short comments, the packaged batches 25.0%" in block and "gives 1.33 × the rate" in block
    assert "22,579 pieces (8.7 MB in the file, 34.7 MB in memory), these texts use 6,000 (9.1 MB in memory)" in block
    assert "finds no attention" in block
    levers["levers"][3]["runtimes"]["onnxruntime"]["found_by_the_optimiser"]["MultiHeadAttention"] = 8
    assert "finds no attention" not in levers_block(levers)


def test_lever_table_has_each_lever_in_the_precision_in_which_it_was_measured(both: dict[str, Any]) -> None:
    block = levers_block(both)
    assert block.splitlines()[0] == "| lever | short comments, × | long texts, × | found | used | why or why not |"
    assert "| the order | 0.78 [1.40–1.50] | 0.90 [1.40–1.50] | **slower** | yes | why |" in block
    assert "| the packing | 1.46 [1.40–1.50] | 0.90 [1.40–1.50] | no difference | no | why |" in block
    assert "On ONNX Runtime 1.0, int8. The rate" in block
    graphs = "what changes the ONNX graph (the packing; the vocabulary; the attention), and depths"
    assert f"Measured on ONNX Runtime 1.0, float32: {graphs}." in block
    assert "以及层数，在 ONNX Runtime 1.0, float32 上测量。" in levers_block(both, "zh")


def test_lever_table_has_depths_with_what_they_are_worth(levers: dict[str, Any]) -> None:
    small = "1.30 [1.25–1.35] | 1.30 [1.25–1.35]"
    random = "(inference alone, random weights)"
    block = levers_block(levers)
    assert f"| 12 layers in place of 8 {random} | {small} | slower | no | quality: not measured |" in block
    assert "small trainings" not in block

    def variant(name: str, layers: int, gained: float, **more: Any) -> dict[str, Any]:
        differences = {"joint": rate(gained), "overall": rate(0.0)}
        return {"name": name, "group": "depth", "layers": layers, "seeds": 3, "differences": differences, **more}

    plain = {"name": "plain", "group": "both", "layers": 8, "seeds": 3}
    variants = [
        plain,
        variant("8 spread", 8, 0.07, seeds=1),
        variant("6 spread", 6, 0.05, seeds=1),
        variant("6 first", 6, -0.03),
        variant("6 distilled", 6, -0.01),
        variant("weak stage", 8, 0.09, group="part"),
        {"name": "one threshold", "group": "part", "seeds": 3},
    ]
    joined = with_depth_quality(levers, {"variants": variants})
    block = levers_block(joined)
    assert (
        f"| 8 layers, as packaged {random} | {small} |  | yes | what the others are held against in quality |" in block
    )
    worth = "with sentiment -3.0 [-5.0, -1.0], overall +0.0 [-2.0, +2.0] points; distilled: with sentiment -1.0"
    assert f"| 6 layers in place of 8 {random} | {small} | faster | no | {worth} [-3.0, +1.0], overall" in block
    assert "| slower | no | quality: not measured |" in block and "small trainings" in block
    assert "；蒸馏：提及且情感正确 -1.0" in levers_block(joined, "zh")
    assert with_depth_quality(levers, None)["levers"] == levers["levers"]


@pytest.mark.parametrize("name", ["levers", "both"])
def test_lever_table_in_chinese_has_the_same_rows(name: str, request: pytest.FixtureRequest) -> None:
    found = request.getfixturevalue(name)
    english, chinese = levers_block(found), levers_block(found, "zh")
    rows = [[line.count("|") for line in block.splitlines()] for block in (english, chinese)]
    assert rows[0] == rows[1]
    ratio, slower = ("0.78", "**更慢**") if name == "both" else ("1.46", "**更慢**，结果不同")
    assert f"| order（中） | {ratio} [1.40–1.50] |" in chinese and f"| {slower} |" in chinese
    assert "| 是 | 理由 |" in chinese
    figures = [sorted(re.findall(r"\d[\d,.]*\d", block)) for block in (english, chinese)]
    assert figures[0] == figures[1]


def test_tradeoff_table_has_every_figure(tradeoff: dict[str, Any]) -> None:
    block = tradeoff_block(tradeoff)
    assert "| packaged | 8 | 25 | 1,000 | 100 | 80.0 [78.0–82.0] | 70.0 [68.0–72.0] |" in block
    assert "| large | 3 × 8 | 25 | 680 | 68 | +3.0 [+1.0, +5.0] | +0.0 [-2.0, +2.0] | 83.0 [81.0–85.0] |" in block
    assert "all on ONNX Runtime 1.0, float32." in block
    assert "](docs/tradeoff.svg)" in block and "--members 3 -o runs/large" in block
    chinese = tradeoff_block(tradeoff, "zh")
    assert "| 大模型 | 3 × 8 |" in chinese and "](docs/tradeoff.zh.svg)" in chinese
    assert [line.count("|") for line in block.splitlines()] == [line.count("|") for line in chinese.splitlines()]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 1000, [0, 200, 400, 600, 800, 1000]), (61.3, 88.8, [60, 70, 80, 90]), (0.5, 0.5, [0.5, 0.500001])],
)
def test_tradeoff_ticks_enclose_the_range(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(expected)


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_tradeoff_picture_has_a_mark_for_every_figure(tradeoff: dict[str, Any], lang: tables.Language) -> None:
    root = ElementTree.fromstring(tradeoff_plot(tradeoff, lang))
    background = root.find(f"{SVG}rect")
    assert background is not None and background.get("fill") == "#ffffff"
    assert root.find(f"{SVG}title") is not None
    panels = root.findall(f"{SVG}g")
    assert len(panels) == 2
    for panel in panels:
        discs = [(float(one.get("cx", 0)), float(one.get("cy", 0))) for one in panel.findall(f"{SVG}circle")][1:]
        assert len(discs) == 2 and len(panel.findall(f"{SVG}rect")) == 3  # the legend has one of each
        (fast, low), (slow, high) = discs
        assert slow < fast and high < low  # to the right is faster, upwards is better
        words = [text.text for text in panel.findall(f"{SVG}text")]
        assert any(word and "3 × 8" in word and ("large" in word or "大模型" in word) for word in words)


def test_tables_has_levers_and_checkpoints_once_they_are_measured(
    levers: dict[str, Any], tradeoff: dict[str, Any], tmp_path: Path, taxonomy: Taxonomy
) -> None:
    readme = f"{MARKED}\n## Limits\n\nx\n"

    def renewed() -> str:
        return tables.renewed(readme, Path("README.md"), "en", [], tmp_path, taxonomy)

    (tmp_path / "levers.json").write_text(json.dumps(levers), "utf-8")
    assert "the order" not in renewed() and tables.pictures(tmp_path) == {}
    (tmp_path / "speed.json").write_text(json.dumps(SPEED), "utf-8")
    assert (
        "| the order |" in renewed()
        and "quality: not measured" in renewed()
        and "tradeoff" not in renewed()
        and tables.pictures(tmp_path) == {}
    )
    (tmp_path / "tradeoff.json").write_text(json.dumps(tradeoff), "utf-8")
    assert "](docs/tradeoff.svg)" in renewed()
    drawn = tables.pictures(tmp_path)
    assert set(drawn) == {Path("docs") / name for name in PICTURES.values()}
    assert drawn[Path("docs/tradeoff.svg")] != drawn[Path("docs/tradeoff.zh.svg")]
    assert speed_block(SPEED, levers=levers, tradeoff=tradeoff).endswith(tradeoff_block(tradeoff))
    variants = [{"name": "12 layers", "group": "depth", "layers": 12, "seeds": 3,
                 "differences": {"joint": rate(0.011), "overall": rate(0.0)}}]  # fmt: skip
    assert "not idle" not in renewed()
    busy = {"circumstances": [{"other_load": 0.05, "busy": False}, {"other_load": 0.61, "busy": True}]}
    for block in (levers_block, tradeoff_block):
        found = levers if block is levers_block else tradeoff
        assert block(found | busy).endswith("**The machine was not idle: other processes were busy on 0.61 cores.**")
        assert block(found | busy, "zh").endswith("**测量时机器并不空闲：其他进程占用 0.61 核。**")
    (tmp_path / "ablation.json").write_text(json.dumps({"variants": variants}), "utf-8")
    assert "with sentiment +1.1" in renewed()


def test_tables_has_the_complaints_of_batching_and_of_memory(tmp_path: Path) -> None:
    assert tables.complaints(tmp_path) == []
    for name in ("memory", "batching"):
        (tmp_path / f"{name}.json").write_text(json.dumps({"complaints": [{"name": name}]}), "utf-8")
    assert [entry["name"] for entry in tables.complaints(tmp_path)] == ["batching", "memory"]
    beside = [{"other_load": 0.61, "busy": True}]
    said = {"complaints": [{"name": "batching"}], "circumstances": beside}
    (tmp_path / "batching.json").write_text(json.dumps(said), "utf-8")
    assert [entry["circumstances"] for entry in tables.complaints(tmp_path)] == [beside, []]


@pytest.mark.parametrize("name", ["levers", "tradeoff", "memory"])
def test_tables_says_when_levers_are_of_another_checkpoint(name: str, levers: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / f"{name}.json").write_text(json.dumps(levers), "utf-8")
    said = tables.other_checkpoint([], tmp_path, tables.ROOT / tables.CARD.parent)
    assert said is not None and said.startswith(f"{name}.json: expected results of cinesent-zh@")
