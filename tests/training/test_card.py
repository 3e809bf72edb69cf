from __future__ import annotations

import copy
import importlib.util
import json
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from sentiment.analyzer import Analyzer
from sentiment.checkpoint import load_checkpoint
from sentiment.taxonomy import Taxonomy
from training.card import BASE_MODEL, card_text, write_card
from training.quality_tables import (
    TablesError,
    checklist_block,
    dimension_block,
    insert,
    memory_block,
    percent,
    quality_block,
)

ROOT = Path(__file__).parents[2]


def rate(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.04, "high": value + 0.03}


def report(rules: str, base: float, mentions: int) -> dict[str, Any]:
    f1s = {name: rate(base) for name in ("precision", "recall", "f1")}
    return {
        "rules": rules,
        "service": {"support": 90, "called": 88, "mention": f1s, "joint": {**f1s, "f1": rate(base - 0.1)},
                    "macro_joint": {**rate(base - 0.2), "dimensions": ["seating"], "least_mentions": 30}},
        "dimensions": {
            "seating": {"texts": 400, "support": mentions, "called": 40, "mention": f1s, "joint": f1s},
            "parking": {"texts": 400, "support": 0, "called": 0, "mention": {}, "joint": {}},
        },
        "overall": {"accuracy": rate(base + 0.05)},
        "intent": {"accuracy": rate(0.9)},
        "escalation": {"f1": rate(0.6)},
        "calibration": {"estimator": "…", "overall": {"labels": 400, "ece": 0.0312}},
        "risk_coverage": {"caught": rate(0.5)},
        "evidence": {"mentions": 60, "f1": rate(0.7)},
    }  # fmt: skip


def facts(texts: int, sha256: str, split: str = "development") -> dict[str, Any]:
    return {"texts": texts, "split": split, "file": f"{sha256}.jsonl", "sha256": sha256 * 8}


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
        "sets": {"real": facts(400, "aaaa"), "written": facts(300, "bbbb")},
        "models": [
            {"name": "snownlp", "title": "SnowNLP, two cut points", "zh": "SnowNLP（两个切分点）", "kind": "baseline",
             "sets": {"real": only_overall, "written": only_overall}}
        ],
    }  # fmt: skip
    return [quality, baselines]


def test_percent_by_hand() -> None:
    assert percent({"value": 0.7714, "low": 0.7321, "high": 0.80549}) == "77.1 [73.2–80.5]"
    assert percent(None) == "–"


def test_insert_replaces_what_is_between_the_markers_and_nothing_else() -> None:
    text = "a\n<!-- quality:begin -->\nold\n<!-- quality:end -->\nb\n<!-- dimensions:begin -->x<!-- dimensions:end -->"
    new = insert(text, "quality", "new\ntable\n")
    assert new == text.replace("old", "new\ntable")
    assert insert(new, "quality", "new\ntable") == new
    for broken in ("no markers", text + text, "<!-- quality:end --><!-- quality:begin -->"):
        with pytest.raises(TablesError, match="once each and in this order"):
            insert(broken, "quality", "new")


def test_one_table_a_set_with_a_row_for_each_model(results: list[dict[str, Any]]) -> None:
    lines = quality_block(results).splitlines()
    titles = [line for line in lines if line.startswith("**")]
    assert titles == [
        "**Real comments, development, 400 texts** (thresholds fitted on the other folds of the development texts)",
        "**Written texts, development, 300 texts** (thresholds fitted on the other folds of the development texts)",
        "**Written texts, test, 250 texts** (thresholds fitted on the development texts)",
    ]
    real = lines[2:6]
    assert real[0] == (
        "| model | service mentions, F1 | with sentiment, F1 | overall, accuracy | intent, accuracy | escalation, F1 |"
    )
    assert real[2] == (
        "| **cinesent-zh@12345678** | 77.0 [73.0–80.0] | 67.0 [63.0–70.0] | 82.0 [78.0–85.0] | 90.0 [86.0–93.0] "
        "| 60.0 [56.0–63.0] |"
    )
    assert real[3] == "| SnowNLP, two cut points | – | – | 50.0 [46.0–53.0] | – | – |"
    widths = {line.count("|") for line in lines if line.startswith("|")}
    assert widths == {7}
    assert "Kumar" not in quality_block(results)
    detailed = quality_block(results, detailed=True)
    assert detailed.startswith(quality_block(results))
    assert "| calibration error of overall (labels) | 3.1 (400) | 3.1 (400) | 3.1 (400) |" in detailed
    assert "| calibration error of intent (labels) | – | – | – |" in detailed


def test_tables_in_chinese(results: list[dict[str, Any]]) -> None:
    block = quality_block(results, "zh", detailed=True)
    for told in ("**真实评论，开发集，400 条**", "| 模型 |", "SnowNLP（两个切分点）", "95% 区间", "校准误差"):
        assert told in block
    assert "accuracy" not in block


def test_results_on_other_texts_are_refused(results: list[dict[str, Any]]) -> None:
    results[1]["sets"]["real"]["sha256"] = "f" * 32
    with pytest.raises(TablesError, match="the same real texts"):
        quality_block(results)


def test_dimensions_of_the_checkpoint(results: list[dict[str, Any]], taxonomy: Taxonomy) -> None:
    lines = dimension_block(results, taxonomy).splitlines()
    assert len(lines) == 2 + len(taxonomy.keys)
    assert "real comments, mentions" in lines[0] and "written texts (test), joint F1" in lines[0]
    (seating,) = [line for line in lines if "`seating`" in line]
    assert seating.startswith("| 座椅视野 `seating` | 40 | 77.0 [73.0–80.0] | 77.0 [73.0–80.0] | 20 | 83.0")
    (parking,) = [line for line in lines if "`parking`" in line]
    assert parking == "| 停车 `parking` | 0 | – | – | 0 | – | – | 0 | – | – |"
    (price,) = [line for line in lines if "`price`" in line]  # not judged
    assert price.count("–") == 9
    assert {line.count("|") for line in lines} == {11}


def test_without_results_the_blocks_say_how_to_get_them(taxonomy: Taxonomy) -> None:
    assert "Not measured yet" in quality_block([])
    assert "尚未评测" in quality_block([], "zh")
    assert dimension_block([], taxonomy) == quality_block([])


@pytest.fixture
def config(taxonomy: Taxonomy) -> dict[str, Any]:
    return {
        "name": "cinesent-zh",
        "max_tokens": 192,
        "encoder": {"num_hidden_layers": 8, "hidden_size": 384, "vocab_size": 24841},
        "training": {"recipe": {"epochs": 7, "learning_rate": 2.5e-4}, "hours": 9.0},
        "taxonomy": taxonomy.to_dict(),
        "thresholds": {**dict.fromkeys(taxonomy.keys, 0.42), "escalation": 0.36},
        "temperatures": {"mention": 1.31},
        "uncertain": {"overall": 0.61},
    }


METRICS = {
    "texts": {"fitted": 5200, "held_out": 608, "weak": 0},
    "sources": {"film_maoyan": 2000, "complaints": 170},
    "start": {"base": "offline", "warm_start": None},
    "held_out": {"eval_joint": 0.81, "eval_overall": 0.86, "eval_loss": 1.0},
    "hours": 1.5,
    "machine": "2 cores",
}


def header(text: str) -> dict[str, Any]:
    _, front, _ = text.split("---\n", 2)
    found = yaml.safe_load(front)
    assert isinstance(found, dict)
    return found


def test_card_tells_what_the_run_and_the_checkpoint_hold(
    config: dict[str, Any], results: list[dict[str, Any]], taxonomy: Taxonomy
) -> None:
    text = card_text(config, METRICS, results)
    front = header(text)
    assert front["language"] == ["zh"]
    assert front["license"] == "apache-2.0"
    assert front["base_model"] == BASE_MODEL == "intfloat/multilingual-e5-small"
    assert "aspect-based-sentiment-analysis" in front["tags"]
    for told in (
        "# cinesent-zh", "| `seating` | 座椅视野 | seating | 观影效果 |", "8 layers, 384 hidden units, 24,841 pieces",
        "5,200 fitted, 608 held out for early stopping", "film_maoyan 2,000, complaints 170",
        "epochs 7, learning rate 0.00025", "joint 0.810, overall 0.860", "1.5 hours on 2 cores", "seating 0.42",
        "escalation 0.36", "mention 1.31", "overall 0.61", "192 tokens", "## Limits", "## Biases", "@software{cinesent",
    ):  # fmt: skip
        assert told in text, told
    assert "weak" not in text
    assert insert(text, "quality", quality_block(results, detailed=True)) == text
    assert insert(text, "dimensions", dimension_block(results, taxonomy)) == text
    rare = next(line for line in text.splitlines() if line.startswith("- Fewer than 30 mentions"))
    assert "parking" in rare and "seating" not in rare  # 40 of it in one set


def test_card_of_a_run_in_stages_tells_no_figure_on_its_held_out_part(config: dict[str, Any]) -> None:
    metrics = {"held_out": {"eval_joint": 0.987}, "texts": {"fitted": 90, "held_out": 10}}
    assert "joint 0.987" in card_text(config, metrics, [])
    for start in ({"warm_start": "run"}, {"stages": ["one", "two"]}):
        assert "0.987" not in card_text(config, {**metrics, "start": start}, [])


def test_card_of_a_run_that_left_no_record(config: dict[str, Any]) -> None:
    config["training"] = {}
    text = card_text(config, {}, [])
    assert "The run left no record of its data and recipe." in text
    assert "Not measured yet" in text
    assert "None" not in text and "{}" not in text


def test_card_of_another_trade_says_nothing_of_cinemas(config: dict[str, Any], own_taxonomy: Taxonomy) -> None:
    config |= {"taxonomy": own_taxonomy.to_dict(), "thresholds": dict.fromkeys(own_taxonomy.keys, 0.5)}
    text = card_text(config, {"start": {"base": "hfl/chinese-macbert-base"}}, [])
    bare = text.replace("cinema reviews}", "")  # the title of the software
    assert not any(word in bare for word in ("cinema", "影院", "film", "guest", "e5"))
    assert "`opening_hours`" in text and "whose licence holds for it" in text


def test_card_names_another_base_from_a_hub(config: dict[str, Any]) -> None:
    text = card_text(config, {"start": {"base": "hfl/chinese-macbert-base"}}, [])
    assert header(text)["base_model"] == "hfl/chinese-macbert-base"
    for local in ("embedded", "./models/mine", "/models/mine", "offline"):
        assert header(card_text(config, {"start": {"base": local}}, []))["base_model"] == BASE_MODEL


def test_write_card_writes_the_card_of_a_packaged_checkpoint(tiny_checkpoint: Path, tmp_path: Path) -> None:
    config = json.loads((tiny_checkpoint / "config.json").read_text("utf-8"))
    before = copy.deepcopy(config)
    path = write_card(tmp_path, config, {})
    assert path == tmp_path / "README.md"
    assert path.read_text("utf-8") == card_text(config, {}, ())
    assert config == before


CHECKLIST = {
    "model": "m@2", "before": "m@1",
    "tests": [
        {"test": "negated fault", "capability": "negation", "cases": 25, "failures": 2, "rate": 0.08, "before": 0.2},
        {"test": "irony", "capability": "irony", "cases": 25, "failures": 10, "rate": 0.4, "before": None},
    ],
}  # fmt: skip


def test_checklist_block_names_what_fails_too_often() -> None:
    block = checklist_block(CHECKLIST)
    assert "2 tests of 25 cases or more" in block and "12 of 50 cases fail (24.0%)" in block and "1 tests fail" in block
    weak, fine = block.splitlines()[-2:]
    assert weak == "| irony | irony | **40%** | – |" and fine == "| negated fault | negation | 8% | 20% |"
    alone = {"model": "m@2", "tests": [{**test, "before": None} for test in CHECKLIST["tests"]]}  # type: ignore[dict-item]
    assert "before" not in checklist_block(alone)
    assert "Not run yet" in checklist_block(None)


def test_memory_block_puts_few_rows_beside_many() -> None:
    found = {
        "rows": 600, "read csv 60": {"seconds": 1, "peak_mb": 31.6}, "read csv 600": {"seconds": 9, "peak_mb": 31.8},
        "score csv 500": {"seconds": 5, "peak_mb": 300.2},
    }  # fmt: skip
    assert "| read CSV | 60 | 32 | 600 | 32 |" in memory_block(found)
    assert "| 打分 CSV | 500 | 300 |" in memory_block(found, "zh")
    assert "Not measured yet" in memory_block(None)


# The scripts that measure and write the tables.


def script(name: str) -> ModuleType:
    """A file of benchmarks/ as a module; the folder is no package."""
    spec = importlib.util.spec_from_file_location(f"benchmarks_{name}", ROOT / "benchmarks" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _rate(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.02, "high": value + 0.02}


ROBUSTNESS: dict[str, Any] = {
    "pairs": {
        "pairs": 305,
        "first": {"mention": _rate(0.8), "joint": _rate(0.7), "overall": _rate(0.9)},
        "second": {"mention": _rate(0.82), "joint": _rate(0.71), "overall": _rate(0.9)},
        "differences": {"mention": _rate(0.02), "joint": _rate(0.01), "overall": _rate(0.0)},
    },
    "film_talk": {"texts": 84, "labelled": 21, "rate": _rate(0.25)},
}
MARKERS = "<!-- quality:begin -->\n<!-- quality:end -->\n\n<!-- memory:begin -->\n<!-- memory:end -->\n"


@pytest.fixture
def project(tmp_path: Path, tiny_checkpoint: Path, results: list[dict[str, Any]]) -> Path:
    """A project with documents and the results of its checkpoint, but without tables."""
    root = tmp_path / "project"
    shutil.copytree(tiny_checkpoint, root / "sentiment" / "model")
    for name in ("README.md", "README.zh.md"):
        (root / name).write_text(f"# 标题\n\n{MARKERS}\nthe end\n", "utf-8")
    (root / "docs").mkdir()
    for name in ("tutorial.md", "tutorial.zh.md"):
        (root / "docs" / name).write_text("<!-- tutorial:begin -->\n<!-- tutorial:end -->\n", "utf-8")
    config = json.loads((tiny_checkpoint / "config.json").read_text("utf-8"))
    write_card(root / "sentiment" / "model", config, METRICS)
    results[0]["models"][0]["hash"] = load_checkpoint(tiny_checkpoint).hash
    folder = root / "benchmarks" / "results"
    folder.mkdir(parents=True)
    for name, result in zip(("quality", "baselines"), results, strict=True):
        (folder / f"{name}.json").write_text(json.dumps(result, ensure_ascii=False), "utf-8")
    (folder / "memory.json").write_text(json.dumps({"read csv 60": {"peak_mb": 31.6}}), "utf-8")
    name = load_checkpoint(tiny_checkpoint).name
    own = {"support": 8, "mention": {"f1": _rate(0.9)}, "joint": {"f1": _rate(0.8)}}
    report = {
        "texts": 80,
        "dimensions": {"puzzles": own},
        "all": own,
        "overall": {"accuracy": _rate(0.7)},
    }
    (folder / "tutorial.json").write_text(json.dumps(report), "utf-8")
    (folder / "checklist.json").write_text(json.dumps({**CHECKLIST, "model": name}), "utf-8")
    (folder / "robustness.json").write_text(json.dumps({**ROBUSTNESS, "model": name}), "utf-8")
    return root


def test_tables_are_written_once_and_checked(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tables = script("tables")
    root = ["--root", str(project)]
    assert tables.main([*root, "--check"]) == 1
    assert capsys.readouterr().err.count("stale") == 5
    assert "77.0" not in (project / "README.md").read_text("utf-8")
    assert tables.main(root) == 0
    assert tables.main([*root, "--check"]) == 0
    english, chinese = ((project / name).read_text("utf-8") for name in ("README.md", "README.zh.md"))
    assert "| SnowNLP, two cut points |" in english and english.endswith("the end\n")
    assert "| SnowNLP（两个切分点） |" in chinese
    card = (project / "sentiment" / "model" / "README.md").read_text("utf-8")
    assert "| read CSV | 60 | 32 |" in english and "| 读取 CSV | 60 | 32 |" in chinese
    assert "| irony | irony | **40%** | – |" in card
    # Sections that only the packaged checkpoint's card has, each once, before the limits.
    assert card.count("## Robustness") == card.count("## Capabilities") == 1
    assert card.index("## Robustness") < card.index("## Capabilities") < card.index("## Limits")
    assert "| difference, paired | 2.0 [0.0–4.0] | 1.0 [-1.0–3.0] | 0.0 [-2.0–2.0] |" in card
    tutorial = (project / "docs" / "tutorial.md").read_text("utf-8")
    assert "| 谜题 `puzzles` | 8 | 90.0 [88.0–92.0] | 80.0 [78.0–82.0] |" in tutorial
    assert "Overall accuracy 70.0 [68.0–72.0]" in tutorial
    assert "21 get a false service label: 25.0 [23.0–27.0]%." in card
    assert "calibration error of overall" in card and "| 座椅视野 `seating` | 40 |" in card
    (project / "README.md").write_text(english.replace("77.0", "97.0"), "utf-8")
    assert tables.main([*root, "--check"]) == 1
    assert "README.md: stale" in capsys.readouterr().err


PARTIAL: dict[str, Any] = {
    "kind": "partial",
    "sets": {"real": {"split": "development"}, "written": {"split": "development"}},
    "recipe": {"epochs": 3, "learning_rate": 5e-5, "keep": None},
    "trainings": {
        "overall": {
            "what": "hotels: overall sentiment only",
            "fitted": 1800,
            "kept": {"share": 0.4, "tried": []},
            "sets": {
                "own": {"differences": {"overall": _rate(0.031)}},
                "real": {"differences": {name: _rate(0.0) for name in ("mention", "joint", "overall")}},
                "written": {"differences": {name: _rate(0.004) for name in ("mention", "joint", "overall")}},
            },
        }
    },
}


def test_partly_labelled_trainings_go_into_the_card_once_measured(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tables, path = script("tables"), project / "benchmarks" / "results" / "partial.json"
    card = project / "sentiment" / "model" / "README.md"
    assert tables.main(["--root", str(project)]) == 0
    assert "partly labelled" not in card.read_text("utf-8")
    name = load_checkpoint(project / "sentiment" / "model").name
    path.write_text(json.dumps({**PARTIAL, "model": name}), "utf-8")
    assert tables.main(["--root", str(project)]) == 0
    shown = card.read_text("utf-8")
    assert shown.count("## Trained on with partly labelled texts") == 1 and "(3 epochs, rate 5e-05)" in shown
    unknown, same, more = "–", "+0.0 [-2.0, +2.0]", "+0.4 [-1.6, +2.4]"
    cells = ["1,800", "0.4", unknown, unknown, "+3.1 [+1.1, +5.1]", *[same] * 3, *[more] * 3]
    assert f"| hotels: overall sentiment only | {' | '.join(cells)} |" in shown
    capsys.readouterr()
    path.write_text(json.dumps({**PARTIAL, "model": "tiny@00000000"}), "utf-8")
    assert tables.main(["--root", str(project)]) == 1
    assert "partial.json: expected results of tiny@" in capsys.readouterr().err


def test_results_of_another_checkpoint_are_stale(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tables = script("tables")
    assert tables.main(["--root", str(project)]) == 0
    path = project / "benchmarks" / "results" / "quality.json"
    right = path.read_text("utf-8")
    path.write_text(right.replace('"hash": "', '"hash": "0'), "utf-8")
    assert tables.main(["--root", str(project), "--check"]) == 1
    assert "expected results of tiny@" in capsys.readouterr().err
    path.write_text(right, "utf-8")
    other = project / "benchmarks" / "results" / "robustness.json"
    other.write_text(json.dumps({**ROBUSTNESS, "model": "tiny@00000000"}), "utf-8")
    assert tables.main(["--root", str(project)]) == 1
    assert "robustness.json: expected results of tiny@" in capsys.readouterr().err


def test_a_measurement_that_is_missing_is_named(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "benchmarks" / "results" / "robustness.json").unlink()
    assert script("tables").main(["--root", str(project)]) == 1
    assert "robustness.json, found none" in capsys.readouterr().err


def test_a_document_without_markers_is_named(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tables = script("tables")
    (project / "README.zh.md").write_text("# 标题\n", "utf-8")
    assert tables.main(["--root", str(project)]) == 1
    assert "README.zh.md: expected <!-- quality:begin -->" in capsys.readouterr().err
    assert "77.0" in (project / "README.md").read_text("utf-8")  # the others are written all the same


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


def test_the_tables_of_this_project_are_up_to_date() -> None:
    tables = script("tables")
    assert tables.main(["--check"]) == 0
