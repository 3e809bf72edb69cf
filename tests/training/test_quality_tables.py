"""The tables of quality in the documents: from results, and written and checked by their script."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from quality_facts import METRICS, script

from sentiment.checkpoint import load_checkpoint
from sentiment.taxonomy import Taxonomy
from training.capability_tables import checklist_block
from training.card import write_card
from training.evaluation_text import rate_text
from training.partial_table import partial_block
from training.quality_tables import (
    TablesError,
    dimension_block,
    insert,
    memory_block,
    percent,
    quality_block,
)
from training.rates import f1


def test_percent_by_hand() -> None:
    assert percent({"value": 0.7714, "low": 0.7321, "high": 0.80549}) == "77.1 [73.2–80.5]"
    assert percent(None) == "–"


def test_percent_shows_no_interval_where_every_resample_gave_the_same() -> None:
    """Two mentions, both found: the bootstrap cannot say otherwise, which is no certainty."""
    for value, shown in ((1.0, "100.0 [–]"), (0.0, "0.0 [–]")):
        few = f1(*(np.full(1001, count) for count in (2.0, 2.0, 2.0 * value)))["f1"]
        assert percent(few) == shown and rate_text(few) == f"{value:.3f} [-]"
    assert percent({"value": 1.0, "low": 0.9996, "high": 1.0}) == "100.0 [100.0–100.0]"


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
        "| model | texts fitted to | service mentions, F1 | with sentiment, F1 | overall, accuracy | intent, accuracy "
        "| escalation, F1 |"
    )
    assert real[2] == (
        "| **cinesent-zh@12345678** | – | 77.0 [73.0–80.0] | 67.0 [63.0–70.0] | 82.0 [78.0–85.0] | 90.0 [86.0–93.0] "
        "| 60.0 [56.0–63.0] |"
    )
    assert real[3] == "| SnowNLP, two cut points | 500 | – | – | 50.0 [46.0–53.0] | – | – |"
    widths = {line.count("|") for line in lines if line.startswith("|")}
    assert widths == {8}
    assert "Kumar" not in quality_block(results)
    detailed = quality_block(results, detailed=True)
    assert detailed.startswith(quality_block(results))
    cells = " | ".join(["3.1; 4.0 (400)"] * 3)
    assert f"| calibration error of overall: debiased; plain (labels) | {cells} |" in detailed
    assert "| calibration error of intent: debiased; plain (labels) | – | – | – |" in detailed
    assert f"(how many) | {' | '.join(f'{value} (1)' for value in _macros())} |" in detailed


def _macros() -> list[str]:
    return [percent({"value": v, "low": v - 0.04, "high": v + 0.03}) for v in (0.57, 0.63, 0.62)]


def test_tables_say_how_many_texts_each_model_was_fitted_to(results: list[dict[str, Any]]) -> None:
    linear = {**results[1]["models"][0], "name": "tfidf", "title": "TF-IDF", "settings": {"features": 9}}
    results[1]["models"].insert(0, linear)
    # 200 of the 5,400 are weakly labelled, which no baseline takes, and 608 are held out: 5,808 as the baselines had.
    equal = {"fitted": 5400, "held_out": 608, "weak": 200}
    block = quality_block(results, texts=equal)
    for shown in ("| **cinesent-zh@12345678** | 5,400 |", "| TF-IDF | 5,808 |", "| SnowNLP, two cut points | 500 |"):
        assert block.count(shown) == 3, shown
    assert "equal terms" not in block
    for other in ({"fitted": 43365, "held_out": 885, "weak": 0}, {**equal, "weak": 0}):
        unequal = quality_block(results, texts=other)
        assert "**Not on equal terms**: the baselines were given 5,808 training texts, the checkpoint" in unequal
    assert "条件不等" in quality_block(results, "zh", texts={"fitted": 9, "held_out": 1})
    assert "equal terms" not in quality_block(results[:1], texts={"fitted": 9, "held_out": 1})


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
    assert "| read CSV | 60 | 33 | 600 | 33 |" in memory_block(found)  # MB of 10⁶ bytes, as everywhere else
    assert "| 打分 CSV | 500 | 315 |" in memory_block(found, "zh")
    assert "Not measured yet" in memory_block(None)
    assert "Scored on" not in memory_block(found)
    found["runtime"] = "ONNX Runtime 1.0, float32"
    assert memory_block(found).endswith("\n\nScored on ONNX Runtime 1.0, float32.")
    found["loaded"] = [{"runtime": "R 1, int8", "resident_mb": 107.0}, {"runtime": "R 1, float32", "resident_mb": 166}]
    said = "A process that has loaded the model and read no text yet: 112 MB on R 1, int8; 174 MB on R 1, float32."
    assert memory_block(found).endswith(f"float32. {said}")
    del found["score csv 500"]
    assert memory_block(found).endswith(f"\n\n{said}")  # where nothing was scored, on nothing
    assert "尚未读文本时：R 1, int8 上 112 MB；" in memory_block(found, "zh")


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
MARKERS = "".join(f"<!-- {name}:begin -->\n<!-- {name}:end -->\n\n" for name in ("quality", "targets", "memory"))


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
    for name in ("scale.md", "scale.zh.md"):  # as they are while nothing of it is measured
        (root / "docs" / name).write_text("# 标题\n", "utf-8")
    config = json.loads((tiny_checkpoint / "config.json").read_text("utf-8"))
    write_card(root / "sentiment" / "model", config, METRICS)
    results[0]["models"][0]["hash"] = load_checkpoint(tiny_checkpoint).hash
    folder = root / "benchmarks" / "results"
    folder.mkdir(parents=True)
    for name, result in zip(("quality", "baselines"), results, strict=True):
        (folder / f"{name}.json").write_text(json.dumps(result, ensure_ascii=False), "utf-8")
    name = load_checkpoint(tiny_checkpoint).name
    (folder / "memory.json").write_text(json.dumps({"model": name, "read csv 60": {"peak_mb": 31.6}}), "utf-8")
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
    assert "| read CSV | 60 | 33 |" in english and "| 读取 CSV | 60 | 33 |" in chinese
    assert "| irony | irony | **40%** | – |" in card
    # Sections that only the packaged checkpoint's card has, each once, before the limits.
    assert card.count("## Robustness") == card.count("## Capabilities") == 1
    assert card.index("## Robustness") < card.index("## Capabilities") < card.index("## Limits")
    assert "| difference, paired | 2.0 [0.0–4.0] | 1.0 [-1.0–3.0] | 0.0 [-2.0–2.0] |" in card
    tutorial = (project / "docs" / "tutorial.md").read_text("utf-8")
    assert "| 谜题 `puzzles` | 8 | 90.0 [88.0–92.0] | 80.0 [78.0–82.0] |" in tutorial
    assert "Overall accuracy 70.0 [68.0–72.0]" in tutorial
    assert "21 get a false service label: 25.0 [23.0–27.0]%." in card
    assert card.count("## Targets") == 1 and card.index("## Targets") < card.index("## Robustness")
    assert (
        "| film alone, yet a service label | talk of the film | ≤ 3 | 25.0 [23.0–27.0] | 84 texts | **missed** |"
        in card
    )
    assert "Missed: service mentions (real comments, written texts, written texts (test))" in english
    assert "未达到：服务维度提及（真实评论、自撰文本、自撰文本（测试集））" in chinese
    assert "calibration error of overall" in card and "| 座椅视野 `seating` | 40 |" in card
    (project / "README.md").write_text(english.replace("77.0", "97.0"), "utf-8")
    assert tables.main([*root, "--check"]) == 1
    assert "README.md: stale" in capsys.readouterr().err


PARTIAL: dict[str, Any] = {
    "kind": "partial",
    "sets": {"real": {"texts": 400, "judged": 201}, "written": {"texts": 620, "judged": 309}},
    "seen": 14_500,
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
    assert "one half is judged: 201 of 400 real comments, 309 of 620 written texts. The start's share" in shown
    assert "14,500 texts of others that the checkpoint had been trained on" in shown
    unlearnt = {**PARTIAL["trainings"]["overall"], "kept": {"share": 1.0, "tried": []}}
    block = partial_block({**PARTIAL, "model": name, "trainings": {"overall": unlearnt}})
    assert "| hotels: overall sentiment only | 1,800 | 1: nothing learnt |" in block
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


def test_the_tables_of_this_project_are_up_to_date() -> None:
    tables = script("tables")
    assert tables.main(["--check"]) == 0
