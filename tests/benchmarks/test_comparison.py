"""The comparison run small: a tiny checkpoint, made-up corpora, peers that are a few lines of Python."""

from __future__ import annotations

import importlib.util
import json
import lzma
import random
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from training.comparison_table import comparison_block
from training.public_sets import PUBLIC

ROOT = Path(__file__).parent.parent.parent
MARKS = "一二三四五六七八九十甲乙丙丁天地人东南西北"
GOOD, BAD = ("很好", "舒服", "热情", "震撼"), ("很差", "太硬", "恶劣", "难吃")
# Answers as benchmarks/peers/runner.py does: one program is there, one is missing, one learns.
FAKE = """
import json, sys
peer, rest = sys.argv[1], sys.argv[2:]
if peer == "cnsenti":
    print("warming up", file=sys.stderr)
    print("expected cnsenti in this environment, found no cnsenti", file=sys.stderr)
    sys.exit(3)
if rest == ["--versions"]:
    print(json.dumps({peer: "1.0"}))
    sys.exit()
rows = [json.loads(line) for line in sys.stdin.buffer]
training = {row["label"] for row in rows if "label" in row}
for row in rows:
    if "label" in row:
        continue
    good = any(word in row["text"] for word in GOOD)
    if peer == "setfit":
        assert "--base" in rest and {"positive", "negative"} <= training
        print(json.dumps({"label": "positive" if good else "negative"}))
    else:
        print(json.dumps({"score": 0.9 if good else 0.2}))
"""


@pytest.fixture(scope="module")
def comparison() -> ModuleType:
    """benchmarks/comparison.py as a module; the folder is no package."""
    spec = importlib.util.spec_from_file_location("benchmarks_comparison", ROOT / "benchmarks" / "comparison.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


@pytest.fixture
def bench(
    comparison: ModuleType, tmp_path: Path, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, Any]]:
    """Runs the command on made-up files and returns its results; options may be added or replaced."""
    rng = random.Random(3)
    runner = tmp_path / "runner.py"
    runner.write_text(f"GOOD = {GOOD!r}\n{FAKE}", "utf-8")
    monkeypatch.setattr(comparison, "RUNNER", runner)
    corpora = tmp_path / "corpora"
    corpora.mkdir()
    for name in PUBLIC.values():
        rows = [
            {"text": f"{(BAD, GOOD)[n % 2][n % 4]}{''.join(rng.choices(MARKS, k=12))}", "label": n % 2}
            for n in range(60)
        ]
        with lzma.open(corpora / f"{name}.jsonl.xz", "wt", encoding="utf-8") as lines:
            lines.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    seats = [{"dimension": "seating", "sentiment": "negative", "evidence": "座椅"}]

    def own(start: int) -> list[dict[str, Any]]:
        return [
            {
                "text": f"座椅{(BAD, GOOD)[n % 2][n % 4]}，{''.join(rng.choices(MARKS, k=12))}",
                "labels": [] if n % 2 else seats,
                "overall": ("negative", "positive")[n % 2] if n % 5 else "neutral",
                "intent": "review",
                "escalation": False,
            }
            for n in range(start, start + 24)
        ]

    files = {name: write(tmp_path / f"{name}.jsonl", own(k * 100)) for k, name in enumerate(("dev", "test", "train"))}
    basis = {
        "--dev": f"real={files['dev']}", "--test": f"real-test={files['test']}", "--data": files["train"],
        "--corpora": corpora, "--peers-python": sys.executable, "--model": tiny_checkpoint, "--public": "waimai_10k",
        "--work": tmp_path / "work", "--json": tmp_path / "out.json", "--cut-texts": 20, "--peer-texts": 5,
        "--rows": 20, "--epochs": 1, "--max-tokens": 32, "--threads": 1,
    }  # fmt: skip

    def run(**changed: Any) -> dict[str, Any]:
        options = basis | {f"--{name.replace('_', '-')}": value for name, value in changed.items()}
        arguments: list[str] = []
        for flag, value in options.items():
            if value is not None:
                arguments += [flag, *(map(str, value) if isinstance(value, list) else [str(value)])]
        assert comparison.main(arguments) == 0
        return dict(json.loads((tmp_path / "out.json").read_text("utf-8")))

    return run


def by_name(found: dict[str, Any]) -> dict[str, Any]:
    return {entry["name"]: entry for entry in found["contestants"]}


def test_comparison_of_peers_and_the_packaged_model(
    bench: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    found = bench(only=["packaged", "setfit", "snownlp", "cnsenti"])
    log = capsys.readouterr().err
    entries = by_name(found)
    assert found["sets"]["real-test"]["split"] == "test"
    public = found["public"]["waimai_10k"]
    assert public["held_out"] + public["other"] + public["near_duplicates_removed"] == 60

    # What learns or is cut on other rows is right about made-up texts whose words say all.
    for name in ("setfit", "snownlp"):
        assert entries[name]["versions"] == {name: "1.0"}
        assert entries[name]["public"]["waimai_10k"]["accuracy"]["value"] == 1.0
        assert entries[name]["public"]["waimai_10k"]["macro_f1"]["low"] == 1.0
        assert entries[name]["own"]["real"]["joint"] is None  # it knows no dimensions
        assert entries[name]["own"]["real-test"]["overall"]["accuracy"]["value"] >= 0.75
    assert entries["setfit"]["public"]["waimai_10k"]["texts"] == public["held_out"]
    assert entries["snownlp"]["public"]["waimai_10k"]["texts"] == 5
    assert 0.2 < entries["snownlp"]["public"]["waimai_10k"]["settings"]["cut"] < 0.9
    assert entries["snownlp"]["public"]["waimai_10k"]["as_packaged"]["texts"] == 5

    # Missing is null with a reason, said aloud; so is what was not asked for.
    assert (
        entries["cnsenti"]["skipped"]
        == "cnsenti ended with exit code 3: expected cnsenti in this environment, found no cnsenti"
    )
    assert entries["cnsenti"]["public"] == {"waimai_10k": None}
    assert entries["cnsenti"]["own"] == {"real": None, "real-test": None}
    assert "cnsenti: skipped, " in log
    assert entries["tfidf"]["skipped"] == "left out by --only"

    ours = entries["packaged"]
    assert ours["own"]["real"]["rules"] == "cross-fitted" and ours["own"]["real-test"]["rules"] == "packaged"
    assert ours["own"]["real"]["joint"] is not None
    assert sum(map(sum, ours["public"]["waimai_10k"]["confusion"])) == public["held_out"]

    # No text leaves the run.
    whole = json.dumps(found, ensure_ascii=False) + log
    assert not any(word in whole for word in (*GOOD, *BAD))


@pytest.mark.slow
def test_comparison_fine_tunes_and_measures_what_that_does_to_development_figures(
    bench: Callable[..., dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments: dict[str, Any] = {
        "only": ["fine-tuned", "mixed", "tfidf", "tfidf-sample"],
        "test": None,
        "mix": [tmp_path / "train.jsonl"],
    }
    arguments["mix_rows"] = 10
    found = bench(**arguments)
    entries = by_name(found)
    alone, mixed = (entries[name]["public"]["waimai_10k"] for name in ("fine-tuned", "mixed"))
    assert 14 <= alone["fitted"] < 20 < mixed["fitted"] < 30  # a tenth is held out
    for report in (alone, mixed):
        change = report["development"]["real"]["after"]["differences"]
        assert set(change) >= {"mention", "joint", "overall"}
        assert all(entry["low"] <= entry["value"] <= entry["high"] for entry in change.values())
    assert entries["tfidf"]["public"]["waimai_10k"]["accuracy"]["value"] > 0.8
    assert entries["tfidf"]["own"]["real"]["mention"] is not None
    whole, sample = (entries[name]["public"]["waimai_10k"]["fitted"] for name in ("tfidf", "tfidf-sample"))
    assert sample == found["options"]["rows"] < whole == found["public"]["waimai_10k"]["other"]
    for lang in ("en", "zh"):
        block = comparison_block(found, lang)
        assert block.count("\n| waimai_10k") == 2
        assert block.count("| – |") >= 4
    assert not list((tmp_path / "work" / "runs").glob("*/checkpoints"))

    # The same command again takes every answer from --work.
    capsys.readouterr()
    again = bench(**arguments)
    assert again == found
    log = capsys.readouterr().err
    assert "tfidf.own:" not in log and "fine-tuned.waimai_10k:" not in log


def test_comparison_says_what_is_wrong(
    bench: Callable[..., dict[str, Any]], comparison: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(arguments: list[str]) -> str:
        with pytest.raises(SystemExit) as caught:
            comparison.main(arguments)
        assert caught.value.code == 2
        return capsys.readouterr().err.splitlines()[-1]

    dev = f"real={tmp_path / 'dev.jsonl'}"
    assert "expected labelled training files in --data" in refused(["--dev", dev])
    assert "expected --dev NAME=FILE, or --corpora DIR" in refused([])
    assert "a trial is no result" in refused(["--corpora", str(tmp_path), "--trial", "5"])
    assert "expected the corpus file" in refused(["--corpora", str(tmp_path), "--public", "waimai_10k"])
    assert "expected a labelled file in --mix" in refused(["--corpora", str(tmp_path), "--mix", str(tmp_path / "no")])


def test_comparison_without_a_peers_python(bench: Callable[..., dict[str, Any]]) -> None:
    entries = by_name(bench(only=["snownlp"], peers_python=None))
    assert "expected the Python of the peers' environment in --peers-python" in entries["snownlp"]["skipped"]
