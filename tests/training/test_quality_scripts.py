"""The scripts that measure quality and robustness."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from quality_facts import script

from sentiment.analyzer import Analyzer
from sentiment.checkpoint import load_checkpoint
from sentiment.int8 import exact_products
from tests.wide_scales import keep_rules
from training.quality_tables import (
    dimension_block,
    quality_block,
)


def test_quality_measures_a_checkpoint_on_named_sets(
    tiny_checkpoint: Path, tmp_path: Path, sample_texts: list[str]
) -> None:
    quality = script("quality")
    texts = [text for text in dict.fromkeys(sample_texts) if len(text) < 40][:60]
    files = {}
    for name, part in (("real", texts[:25]), ("written", texts[25:45]), ("written-test", texts[45:])):
        files[name] = tmp_path / f"{name}.jsonl"
        rows = [
            {"text": text, "overall": "negative", "labels": [{"dimension": "seating", "sentiment": "negative"}]}
            for text in part
        ]  # fmt: skip
        files[name].write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    out = tmp_path / "results" / "quality.json"
    named = {name: f"{name}={path}" for name, path in files.items()}
    arguments = ["--dev", named["real"], named["written"], "--test", named["written-test"]]
    assert quality.main([*arguments, "--model", str(tiny_checkpoint), "--json", str(out)]) == 0
    found = json.loads(out.read_text("utf-8"))
    checkpoint = load_checkpoint(tiny_checkpoint)
    (model,) = found["models"]
    assert (model["name"], model["hash"]) == (checkpoint.name, checkpoint.hash)
    assert {name: report["rules"] for name, report in model["sets"].items()} == {
        "real": "cross-fitted", "written": "cross-fitted", "written-test": "packaged",
    }  # fmt: skip
    assert [entry["texts"] for entry in found["sets"].values()] == [25, 20, 15]
    assert [entry["split"] for entry in found["sets"].values()] == ["development", "development", "test"]
    block = quality_block([found], detailed=True)
    assert block.count(f"| **{checkpoint.name}** |") == 3
    dimension_block([found], checkpoint.taxonomy)


@pytest.mark.skipif(not exact_products(), reason="the processor does not add products of int8 exactly")
def test_quality_measures_int8_by_its_own_thresholds(
    int8_checkpoint: Path, tmp_path: Path, sample_texts: list[str]
) -> None:
    folder, test, out = (tmp_path / name for name in ("deaf", "test.jsonl", "quality.json"))
    shutil.copytree(int8_checkpoint, folder)
    keep_rules(folder, 1.1)
    labels = [{"dimension": "seating", "sentiment": "negative"}]
    rows = [{"text": text, "labels": labels} for text in dict.fromkeys(sample_texts)][:20]
    test.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    assert script("quality").main(["--test", f"own={test}", "--model", str(folder), "--json", str(out)]) == 0
    found = json.loads(out.read_text("utf-8"))
    plain, int8 = found["models"]
    assert (plain["kind"], int8["kind"]) == ("checkpoint", "checkpoint-int8") and plain["hash"] == int8["hash"]
    heard = [sum(d["called"] for d in model["sets"]["own"]["dimensions"].values()) for model in (plain, int8)]
    assert heard[0] > heard[1] == 0
    assert f"| {plain['name']} in int8 |" in quality_block([found], detailed=True)


def test_quality_wants_sets(tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        script("quality").main(["--model", str(tiny_checkpoint)])
    assert caught.value.code == 2
    assert "expected --dev or --test" in capsys.readouterr().err


def test_robustness_measures_pairs_and_film_talk(
    tiny_checkpoint: Path, tmp_path: Path, sample_texts: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    robustness = script("robustness")
    texts = [text for text in dict.fromkeys(sample_texts) if len(text) < 40][:40]
    seats = [{"dimension": "seating", "sentiment": "negative"}]
    pairs = [{"id": f"p{i}", "text": text, "overall": "negative", "labels": seats} for i, text in enumerate(texts)]
    decoys = [{"id": f"d{i}", "text": text, "labels": [], "kind": "decoy"} for i, text in enumerate(texts)]

    def write(name: str, rows: list[dict[str, Any]]) -> None:
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")

    write("pairs/traditional.jsonl", pairs)
    write("pairs/mainland.jsonl", pairs[::-1])
    write("cinema/dev.jsonl", [*decoys, *pairs])
    out = tmp_path / "robustness.json"
    arguments = ["--data", str(tmp_path / "data"), "--model", str(tiny_checkpoint), "--json", str(out)]
    assert robustness.main(arguments) == 0
    found = json.loads(out.read_text("utf-8"))
    assert found["pairs"]["pairs"] == 40 and found["pairs"]["first"] == found["pairs"]["second"]
    assert set(found["pairs"]["differences"]) >= {"mention", "joint", "overall"}
    assert all(rate == {"value": 0, "low": 0, "high": 0} for rate in found["pairs"]["differences"].values())
    analyzer = Analyzer.load(tiny_checkpoint)
    service = set(analyzer.taxonomy.service_keys)
    called = sum(any(m.dimension in service for m in a.dimensions) for a in analyzer.analyze_block(texts))
    assert (found["film_talk"]["texts"], found["film_talk"]["labelled"]) == (40, called)
    write("pairs/mainland.jsonl", pairs[1:])
    with pytest.raises(SystemExit):
        robustness.main(arguments)
    assert "expected the same ids on both sides" in capsys.readouterr().err
