"""The tables of speed: every figure in its place, and where benchmarks/tables.py puts it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import tables
from sentiment.checkpoint import load_checkpoint
from sentiment.taxonomy import Taxonomy
from training.speed_table import engines_block, speed_block, verdict

MARKED = "".join(f"<!-- {name}:begin -->\n<!-- {name}:end -->\n" for name in ("quality", "targets", "memory"))
FACTS = {"texts": 100, "distinct": 100, "mean_tokens": 25.0, "mean_characters": 280.4, "cycled": False}


def rate(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.02, "high": value + 0.02}


def contestant(name: str, short: float | None, long: float | None, **more: Any) -> dict[str, Any]:
    sides = {
        part: None if value is None else {
            "texts_per_second": value, "least": 0.9 * value, "greatest": 1.1 * value, "texts": count,
        }
        for part, value, count in (("short", short, 10_000), ("long", long, 1_000))
    }  # fmt: skip
    return {
        "name": name, "title": f"the {name}", "zh": f"{name}（中）", "kind": "peer", "threads": 2,
        "how": f"how {name} is run", "how_zh": f"{name} 的运行方式", **sides, **more,
    }  # fmt: skip


def spread(value: float) -> dict[str, float]:
    return {"median": value, "least": 0.9 * value, "greatest": 1.1 * value}


@pytest.fixture
def found() -> dict[str, Any]:
    """Results of ours, two rivals, and one that was not there."""
    shares = {"reading": 0.01, "normalising": 0.02, "tokenising": 0.03, "inference": 0.85, "decoding": 0.04}
    stages = {name: spread(share) for name, share in {**shares, "writing": 0.04, "other": 0.01}.items()}
    aspects = contestant("bert-aspects", 5.0, 0.2)
    aspects["long"] |= {"texts": 300, "once": "one round, as it takes more than 20 minutes"}
    return {
        "model": "tiny@00000000",
        "threads": 2,
        "rounds": 3,
        "texts": {"source": ["a.jsonl.xz"], "short": FACTS, "long": FACTS},
        "measured": {"machine": {"processor": "Some CPU"}, "units": ["avx2"]},
        "contestants": [
            contestant("ours", 1234.0, 56.0, kind="checkpoint"),
            contestant("bert-1", 12.34, 0.5),
            contestant("bert-32", 12.34, 0.5, threads=1, how="how bert-1 is run", how_zh="bert-1 的运行方式"),
            aspects,
            contestant("snownlp", None, None, skipped="found no snownlp"),
        ],
        "ceiling": {"kinds": {"float32": {
            "gflops": {"all": spread(99.6)}, "texts_per_second": {"short": spread(2468.0), "long": spread(100.0)},
        }}},
        "stages": {"ours": {part: {"shares": stages} for part in ("short", "long")}},
        "cold_start": {"ours": spread(0.5), "pipeline": spread(5.0)},
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
    """Three engines: the packaged one, one whose neighbours show, one that is as good; and one that is missing."""
    rates = {
        "short": {"texts_per_second": 1000.0, "least": 990.0, "greatest": 1010.0},
        "long": {"texts_per_second": 99.6, "least": 90.0, "greatest": 99.9},
    }
    own = {"real": {"figures": {"joint": rate(0.8), "overall": rate(0.7)}}}
    other = {"real": {**own["real"], "differences": {"joint": rate(-0.03), "overall": rate(0.01)}}}
    fine = {"changed_labels": 0, "largest_difference": 2e-8}
    names = ("onnxruntime", "openvino-int8", "plain", "openvino-mixed")
    entries = [{"name": name, "title": name, "zh": f"{name}（中）", "settings": {"precision": "f32"}} for name in names]
    for entry, sets in zip(entries[:3], (own, other, other), strict=True):
        entry.update(rates, sets=sets, neighbours=fine)
    entries[1]["neighbours"] = {"changed_labels": 3, "largest_difference": 0.02}
    entries[2]["packaged"] = {
        "real": {"differences": {"mention": rate(0.002), "joint": rate(-0.004), "overall": rate(0.0)}}
    }
    entries[3]["skipped"] = "expected nncf"
    texts = {"source": ["a.jsonl.xz"], "short": FACTS, "long": FACTS}
    return {"model": "tiny@00000000", "sets": {"real": {"texts": 400}}, "engines": entries, "texts": texts}


def test_speed_table_has_every_figure(found: dict[str, Any]) -> None:
    block = speed_block(found)
    assert "100 short comments (25 tokens on average) and 100 long texts (280 characters)" in block
    assert "2 threads of Some CPU (avx2); 3 interleaved rounds" in block and "our own" not in block
    assert "The texts are real comments, from a.jsonl.xz." in block and "cycled" not in block and "idle" not in block
    plain = block.replace("**", "")
    assert "| the ours | 2 | 10,000 + 1,000 | 1,234 [1,111–1,357] | 1.00 | 56.0 [50.4–61.6] | 1.00 |" in plain
    assert "| the bert-1 | 2 | 10,000 + 1,000 | 12.3 [11.1–13.6] | 100 | 0.50 [0.45–0.55] | 112 |" in block
    assert "| the bert-32 | 1 | 10,000 + 1,000 |" in block and "| program | threads | texts, short + long |" in block
    assert "| the bert-aspects | 2 | 10,000 + 300 (1 round) |" in block
    hows = ["the ours: how ours is run", "the bert-1; the bert-32: how bert-1 is run"]
    hows += ["the bert-aspects: how bert-aspects is run", "ceiling: "]
    assert "\n\n" + "\n".join(f"- {how}" for how in hows) in block
    assert "how snownlp is run" not in block  # it was not
    assert "the bert-aspects, long texts: one round, as it takes more than 20 minutes." in block
    assert "| short comments, texts/s | ours on 2 threads is × as fast | long texts, texts/s | ours on 2" in block
    assert "| the snownlp | – | – | – | – | – | – |" in block
    assert "Not measured: the snownlp (found no snownlp)." in block
    assert "| *ceiling: bare float32 products, 99.6 [89.6–110] GFLOP/s* | 2 | – | 2,468 [2,221–2,715] | 0.50 |" in block
    for name in ("short comments", "long texts"):
        assert f"| {name} | 1.0% [0.9–1.1] | 2.0% [1.8–2.2] | 3.0% [2.7–3.3] | 85.0% [" in block
    assert "| cinesent | 0.50 [0.45–0.55] |" in plain
    assert "| BERT-base, transformers pipeline | 5.00 [4.50–5.50] |" in block
    assert "| target | measured | on long texts | target |  |" in block
    assert "| times | 100 | 112 | ≥ 15 | met |" in block
    assert "| cold | 0.31 | – | ≤ 0.2 | **not met** |" in block
    assert "| SnowNLP | – | – | ≥ 1 | not measured |" in block


@pytest.mark.parametrize(
    ("value", "met", "said", "zh"),
    [
        (1, True, "met", "达到"),
        (1, False, "not met", "未达到"),
        (1, None, "not decided", "未定（区间跨过界限）"),
        (None, None, "not measured", "未测"),
    ],
)
def test_speed_table_says_whether_a_target_is_met(value: float | None, met: bool | None, said: str, zh: str) -> None:
    entry = {"value": value, "met": met}
    assert (verdict(entry), verdict(entry, "zh")) == (said, zh)


def test_speed_table_says_that_texts_come_again_and_that_the_machine_was_busy(found: dict[str, Any]) -> None:
    found["texts"]["short"] = FACTS | {"cycled": True, "distinct": 60}
    found["measured"]["sittings"] = [{"busy": False, "other_load": 0.1}, {"busy": True, "other_load": 1.5}]
    block = speed_block(found)
    assert "There are 60 different short comments; they are cycled." in block and "different long texts" not in block
    assert "**The machine was not idle: other processes were busy on 1.50 cores.**" in block
    chinese = speed_block(found, lang="zh")
    assert "短评仅 60 条，循环使用。" in chinese and "其他进程占用 1.50 核" in chinese


def test_speed_table_of_the_large_file(found: dict[str, Any]) -> None:
    job = {
        "rows": 1_000_000, "sittings": 1, "judged_rows": 990_000, "rows_per_second": 123.4, "threads": 2,
        "runtime": "ONNX Runtime 1, float32", "texts": {"mean_tokens": 25.1}, "circumstances": [{"busy": False}],
        "seconds": 8100.0, "peak_mb": 640.6,
        "disk_mb": {"input": 95.4, "output": 730.2, "meanwhile": 901.0},
    }  # fmt: skip
    fast = job | {"runtime": "ONNX Runtime 1, int8", "threads": 1, "rows_per_second": 234.5}
    found["jobs"] = {"onnxruntime-int8": fast}
    assert "| 1 | 234 | 2.25 |" in speed_block(found) and "float32, a CSV" not in speed_block(found)
    found["jobs"]["onnxruntime"] = job
    block = speed_block(found)
    said = "a CSV of 1,000,000 rows, none twice, 25.1 tokens on average"
    rows = [
        f"| `cinesent score` on ONNX Runtime 1, float32, {said} | 2 | 123 | 2.25 | 672 | 95 | 730 | 901 |",
        f"| `cinesent score` on ONNX Runtime 1, int8, {said} | 1 | 234 | 2.25 | 672 | 95 | 730 | 901 |",
    ]
    assert "\n".join(rows) in block
    assert "sittings" not in block and "idle" not in block
    job["circumstances"] = [{"busy": True, "other_load": 0.5}, {"busy": False, "other_load": 0.1}]
    block = speed_block(found)
    assert "\n\n- ONNX Runtime 1, float32: **The machine was not idle" in block and "busy on 0.50 cores" in block
    job["circumstances"] += [{"during": "the job", "other_load": None, "busy": None}]
    said = "0.50 cores.** For a part of the measurement it is not known whether other processes were busy."
    assert said in speed_block(found) and "not known" not in block
    assert "0.50 核。**部分测量期间其他进程是否繁忙未知。" in speed_block(found, lang="zh")
    fast |= {"machine": {"processor": "Some CPU"}, "units": ["avx_vnni", "avx2"]}  # of another than the rounds
    assert "- ONNX Runtime 1, int8: On Some CPU (avx_vnni, avx2): the rows below may be of another." in speed_block(
        found
    )
    assert "- ONNX Runtime 1, int8：Some CPU（avx_vnni、avx2）；下面" in speed_block(found, lang="zh")
    del fast["units"]
    fast |= {"sittings": 2, "judged_rows": 600_000}
    block = speed_block(found)
    assert "- ONNX Runtime 1, int8: Measured in 2 sittings" in block and "the longest, 600,000 rows" in block
    assert block.count("Measured in") == 1 and "- ONNX Runtime 1, int8：分 2 次运行" in speed_block(found, lang="zh")


def test_speed_table_has_other_targets_and_complaints(found: dict[str, Any]) -> None:
    row = {"at_least": False, "bound": 1e-5, "value": 2e-8, "long": None, "met": True}
    beside = [row | {"name": "independent", "title": "neighbours", "zh": "相邻"}]
    growth = {"name": "growth", "title": "grows", "zh": "增长", "bound": 3, "value": 3.4, "met": False}
    complaints = [row | growth | {"runtime": "ONNX Runtime 1"}]
    block = speed_block(found, beside=beside, complaints=complaints)
    assert "\n\nOn ONNX Runtime 1.\n\n" in block
    assert "| neighbours | 2e-08 | – | ≤ 1e-05 | met |" in block and "Points lost" not in block
    assert "| grows | 3.40 | ≤ 3 | **not met** |" in block and "of a round." not in block
    chinese = speed_block(found, lang="zh", beside=beside, complaints=complaints)
    assert "| 增长 | 3.40 | ≤ 3 | **未达到** |" in chinese
    busy = [complaints[0] | {"circumstances": [{"other_load": 0.61, "busy": True}]}]
    said = "| ≤ 3 | **not met** |\n\nOn ONNX Runtime 1. **The machine was not idle: other processes were busy on 0.61"
    assert said in speed_block(found, complaints=busy) and "idle" not in block
    complaints[0] |= {"value": 0.97, "low": 0.95, "high": 1.0}  # a ratio comes with its noise
    block = speed_block(found, complaints=complaints)
    assert "| grows | 0.97 [0.95–1.00] |" in block
    assert "the least and the greatest of a round." in block
    assert "not idle" not in block
    complaints[0]["circumstances"] = [{"other_load": 0.61, "busy": True}]
    assert "of a round. **The machine was not idle: other processes were busy on 0.61 cores.**" in speed_block(
        found, complaints=complaints
    )
    judged = row | {"name": "x", "title": "lost", "zh": "损失", "bound": 1, "value": 1.2} | {
        "interval": [-0.3, 2.7], "met": None,
    }  # fmt: skip
    block = speed_block(found, beside=[judged], complaints=complaints)
    assert "| lost | 1.20 [-0.30, 2.70] | – | ≤ 1 | not decided |" in block
    assert "judged by its paired 95% interval" in block


def test_speed_table_says_that_texts_are_our_own(found: dict[str, Any]) -> None:
    found["texts"]["source"] = ["train.jsonl"]
    assert "The texts are our own, not real comments: train.jsonl." in speed_block(found)
    assert "并非真实评论" in speed_block(found, lang="zh")


def test_speed_table_in_chinese(found: dict[str, Any], engines: dict[str, Any]) -> None:
    block = speed_block(found, engines, "zh")
    assert "| bert-1（中） | 2 | 10,000 + 1,000 | 12.3 [11.1–13.6] | 100 |" in block
    assert "| 冷启动 | 0.31 | – | ≤ 0.2 | **未达到** |" in block and "短评" in block
    assert "真实评论：整体情感" in block
    assert "- bert-1（中）；bert-32（中）：bert-1 的运行方式" in block


def test_speed_table_of_a_large_file_alone(found: dict[str, Any]) -> None:
    block = speed_block({"targets": found["targets"]})
    assert block.startswith("| target |") and "ceiling" not in block


def test_speed_table_of_engines(found: dict[str, Any], engines: dict[str, Any]) -> None:
    block = engines_block(engines)
    rates = "1,000 [990–1,010] | 99.6 [90.0–99.9]"
    assert f"| onnxruntime | {rates} | 80.0 [78.0–82.0] | 70.0 [68.0–72.0] | 2e-08 |" in block
    assert f"| openvino-int8 | {rates} | -3.0 [-5.0, -1.0] | +1.0 [-1.0, +3.0] | 2e-02, 3 records |" in block
    assert f"| plain | {rates} |" in block
    assert (
        "| openvino-mixed | – | – | – | – | – |" in block and "Not measured: openvino-mixed (expected nncf)." in block
    )
    assert "100 short comments, 100 long texts. The texts are real comments, from a.jsonl.xz. Texts/s: median" in block
    own = (
        "By the thresholds that each has in the package, fitted to these texts, plain differs in points: real "
        "comments: mention F1 +0.2 [-1.8, +2.2], joint F1 -0.4 [-2.4, +1.6], overall +0.0 [-2.0, +2.0]."
    )
    assert own in block and "plain（中）" in engines_block(engines, "zh").rpartition("按各自随附的阈值")[2]
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
        assert "| 12.3 [11.1–13.6] | 100 |" in first
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
