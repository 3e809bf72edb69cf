"""`cinesent evaluate`, on a checkpoint that nobody has trained."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from made_scores import value

from sentiment.analyzer import Analyzer
from sentiment.checkpoint import load_checkpoint
from sentiment.cli import main
from sentiment.int8 import exact_products
from sentiment.taxonomy import Taxonomy
from tests.wide_scales import keep_rules

LABELS = {"座椅": ("seating", "negative"), "音响": ("sound", "positive"), "爆米花": ("concessions", "negative"),
          "停车": ("parking", "positive"), "剧情": ("film", "negative")}  # fmt: skip


def labelled(texts: list[str]) -> list[dict[str, Any]]:
    rows = []
    for i, text in enumerate(texts):
        found = [
            {"dimension": key, "sentiment": sentiment, "evidence": word}
            for word, (key, sentiment) in LABELS.items() if word in text
        ]  # fmt: skip
        negative = any(entry["sentiment"] == "negative" for entry in found)
        rows.append(
            {"text": text, "labels": found, "overall": "negative" if negative else "positive", "intent": "review",
             "escalation": "投诉" in text, "id": f"t{i}"}
        )  # fmt: skip
    return rows


@pytest.fixture(scope="module")
def texts(sample_texts: list[str]) -> list[str]:
    return [text for text in dict.fromkeys(sample_texts) if len(text) < 40][:80]


@pytest.fixture
def data(tmp_path: Path, texts: list[str]) -> Path:
    path = tmp_path / "labelled.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in labelled(texts)), "utf-8")
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["evaluate", *(str(argument) for argument in arguments)])


def test_command_prints_tables_and_writes_json(
    tiny_checkpoint: Path, data: Path, tmp_path: Path, texts: list[str]
) -> None:
    out = tmp_path / "report.json"
    result = run("--data", data, "--model", tiny_checkpoint, "--json", out)
    assert result.exit_code == 0, result.stderr
    report = json.loads(out.read_text("utf-8"))
    checkpoint = load_checkpoint(tiny_checkpoint)
    assert (report["model"], report["hash"]) == (checkpoint.name, checkpoint.hash)
    assert (report["texts"], report["rules"], report["files"]) == (80, "packaged", ["labelled.jsonl"])
    for told in (
        checkpoint.name,
        "texts: 80",
        "the checkpoint's own thresholds",
        "service dimensions",
        "seating (座椅视野)",
        "Confusions: truth → said",
        "Overall: accuracy",
        "Intent: accuracy",
        "Escalation",
        "Kumar et al. 2019",
        "Least certain 15%",
        "Evidence: character F1",
        "Surest mistakes",
    ):
        assert told in result.stdout
    assert not any(text.strip() in result.stdout for text in texts)
    assert "report.json written" in result.stderr


@pytest.mark.skipif(not exact_products(), reason="the processor does not add products of int8 exactly")
def test_command_measures_in_int8_where_it_is_told_to(
    int8_checkpoint: Path, tiny_checkpoint: Path, data: Path, tmp_path: Path
) -> None:
    reports = {}
    for runtime in ("onnxruntime", "onnxruntime-int8"):
        out = tmp_path / f"{runtime}.json"
        result = run("--data", data, "--model", int8_checkpoint, "--runtime", runtime, "--json", out)
        assert result.exit_code == 0, result.stderr
        reports[runtime] = json.loads(out.read_text("utf-8"))
        assert f"runtime: {reports[runtime]['runtime']}" in result.stdout
    exact, found = reports.values()
    assert exact.pop("runtime").endswith("float32") and found.pop("runtime").endswith("int8")
    assert exact != found  # a probability at least
    folder = Path(shutil.copytree(int8_checkpoint, tmp_path / "deaf"))
    keep_rules(folder, 1.1)
    out = tmp_path / "deaf.json"
    assert run("--data", data, "--model", folder, "--runtime", "onnxruntime-int8", "--json", out).exit_code == 0
    called = [json.dumps(report).count('"called": 0,') for report in (exact, json.loads(out.read_text("utf-8")))]
    assert called[0] < len(LABELS) < len(load_checkpoint(folder).taxonomy.keys) <= called[1]
    result = run("--data", data, "--model", tiny_checkpoint, "--runtime", "onnxruntime-int8")
    assert result.exit_code == 2 and "expected int8.safetensors and int8.onnx" in result.stderr


def test_command_writes_one_html_file_that_loads_nothing(
    tiny_checkpoint: Path, data: Path, tmp_path: Path, texts: list[str]
) -> None:
    out = tmp_path / "report.html"
    result = run("--data", data, "--model", tiny_checkpoint, "-o", out)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == ""
    page = out.read_text("utf-8")
    for told in ("seating 座椅视野", "Confusions", "Reliability of overall", "<svg", "Surest mistakes", "texts: 80"):
        assert told in page
    assert not any(word in page for word in ("http:", "https:", "<script", "src=", "@import", "url("))
    assert not any(text.strip() in page for text in texts)
    assert page.count("<table") == page.count("</table>") and page.count("<svg") == page.count("</svg>") == 4

    hostile = tmp_path / "hostile.jsonl"
    hostile.write_text(json.dumps({"text": "<script>座椅太硬</script>", "overall": "positive"}) + "\n", "utf-8")
    assert run("--data", hostile, "--model", tiny_checkpoint, "-o", out, "--show-texts").exit_code == 0
    assert "<script" not in out.read_text("utf-8")


def test_command_agrees_with_the_analyser(tiny_checkpoint: Path, data: Path, tmp_path: Path, texts: list[str]) -> None:
    out = tmp_path / "report.json"
    assert run("--data", data, "--model", tiny_checkpoint, "--json", out).exit_code == 0
    report = json.loads(out.read_text("utf-8"))
    records = Analyzer.load(tiny_checkpoint).analyze_block(texts)
    rows = labelled(texts)
    called = sum(len(record.dimensions) for record in records)
    agreed = sum(
        (entry["dimension"], entry["sentiment"]) in {(m.dimension, m.sentiment) for m in record.dimensions}
        for record, row in zip(records, rows, strict=True)
        for entry in row["labels"]
    )
    assert report["all"]["called"] == called > 0
    gold = sum(len(row["labels"]) for row in rows)
    assert value(report["all"], "joint", "f1") == pytest.approx(2 * agreed / (called + gold), abs=1e-4)
    right = sum(record.overall == row["overall"] for record, row in zip(records, rows, strict=True))
    assert value(report["overall"], "accuracy") == pytest.approx(right / 80, abs=1e-4)
    sure = {row["id"]: record for row, record in zip(rows, records, strict=True)}
    mistakes = [mistake for mistake in report["mistakes"] if mistake["head"] == "overall"]
    assert mistakes
    for mistake in mistakes:
        assert mistake["said"] == sure[mistake["id"]].overall
        assert mistake["confidence"] == pytest.approx(sure[mistake["id"]].overall_confidence, abs=1e-3)


def test_command_cross_fits_and_says_so(tiny_checkpoint: Path, data: Path, tmp_path: Path) -> None:
    out, text = tmp_path / "report.json", tmp_path / "report.txt"
    result = run("--data", data, "--model", tiny_checkpoint, "--cross-fit", "--json", out, "-o", text)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == ""
    assert json.loads(out.read_text("utf-8"))["rules"] == "cross-fitted"
    assert "refitted for each of five folds without its texts" in " ".join(text.read_text("utf-8").split())


def test_command_reads_tables_with_other_codings_and_several_files(
    tiny_checkpoint: Path, tmp_path: Path, texts: list[str]
) -> None:
    files = []
    for name, part in (("a.csv", texts[:20]), ("b.csv", texts[20:30])):
        files.append(tmp_path / name)
        with files[-1].open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["text", "seating", "price", "overall"])
            writer.writerows([text, "-1" if "座椅" in text else "-2", "", "1"] for text in part)
    out = tmp_path / "report.json"
    options = ("--model", tiny_checkpoint, "--json", out, "--map", "1=positive,-1=negative,-2=none")
    assert run("--data", *files, *options).exit_code == 0
    report = json.loads(out.read_text("utf-8"))
    assert report["texts"] == 30
    assert list(report["dimensions"]) == ["seating"]  # price is blank: not judged
    assert not {"intent", "escalation", "evidence"} & set(report)
    assert (
        run("--data", files[0], "--data", files[1], *options, "--blank", "none", "--exclude", "seating").exit_code == 0
    )
    report = json.loads(out.read_text("utf-8"))
    assert list(report["dimensions"]) == ["price"]
    assert report["excluded"] == ["seating"]


def test_command_shows_texts_only_when_asked(
    tiny_checkpoint: Path, data: Path, tmp_path: Path, texts: list[str]
) -> None:
    out = tmp_path / "report.json"
    assert run("--data", data, "--model", tiny_checkpoint, "--json", out).exit_code == 0
    silent = json.loads(out.read_text("utf-8"))
    assert silent["mistakes"] and not any("text" in mistake for mistake in silent["mistakes"])
    said = json.dumps(silent, ensure_ascii=False)
    assert not any(text.strip() in said for text in texts)
    assert run("--data", data, "--model", tiny_checkpoint, "--json", out, "--show-texts").exit_code == 0
    (first, *_) = json.loads(out.read_text("utf-8"))["mistakes"]
    assert first["text"]


def test_command_takes_names_from_a_taxonomy(
    tiny_checkpoint: Path, data: Path, tmp_path: Path, taxonomy: Taxonomy
) -> None:
    own = taxonomy.to_dict()
    own["dimensions"][taxonomy.index["seating"]]["zh"] = "坐得舒服吗"
    path = tmp_path / "names.yaml"
    path.write_text(json.dumps(own, ensure_ascii=False), "utf-8")
    result = run("--data", data, "--model", tiny_checkpoint, "--taxonomy", path)
    assert result.exit_code == 0, result.stderr
    assert "坐得舒服吗" in result.stdout


def test_command_fails_in_one_line(tiny_checkpoint: Path, data: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"text": "座椅太硬", "overall": "sad"}\n', "utf-8")
    bare = tmp_path / "bare.jsonl"
    bare.write_text('{"text": "座椅太硬"}\n', "utf-8")
    few = tmp_path / "few.jsonl"
    few.write_text('{"text": "座椅太硬", "overall": "negative"}\n', "utf-8")
    empty = tmp_path / "empty.jsonl"
    empty.write_text("", "utf-8")
    for arguments, told in (
        (("--data", broken), "broken.jsonl, row 1"),
        (("--data", bare), "at least one label"),
        (("--data", few, "--cross-fit"), "at least 10 different texts"),
        (("--data", empty), "expected labelled texts, found none"),
        (("--data", data, "--exclude", "cushion"), "expected a dimension of the taxonomy"),
        (("--data", data, "--map", "1"), "expected --map as CODE=VALUE"),
        (("--data", data, "--json", tmp_path / "no" / "folder.json"), "No such file"),
        (("--data", tmp_path / "missing.jsonl"), "does not exist"),
        ((), "--data"),
    ):
        result = run(*arguments, "--model", tiny_checkpoint)
        assert result.exit_code == 2, (arguments, result.output)
        assert told in result.stderr
        assert result.stderr.splitlines()[-1].startswith("cinesent: ")


def test_help_is_a_manual() -> None:
    result = run("--help")
    assert result.exit_code == 0
    for told in ("Examples:", "Exit codes:", "--cross-fit", "--show-texts", "Kumar et al. 2019"):
        assert told in result.stdout
