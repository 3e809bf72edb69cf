"""The ablation run small: a tiny base, made-up corpora, every start and every kind of soft label."""

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

import numpy as np
import pytest
from transformers import BertModel, PreTrainedModel, PreTrainedTokenizerFast

from sentiment.taxonomy import Taxonomy
from training.ablation_table import ablation_block
from training.bases import BaseError, keep_layers
from training.corpora import HELD_OUT_FILES
from training.example import Example, parse_record
from training.near_duplicates import near_duplicate_groups
from training.scores import Scores

ROOT = Path(__file__).parent.parent.parent
MARKS = "一二三四五六七八九十甲乙丙丁天地人东南西北"


@pytest.fixture(scope="module")
def ablation() -> ModuleType:
    """benchmarks/ablation.py as a module."""
    sys.path.insert(0, str(ROOT))
    spec = importlib.util.spec_from_file_location("benchmarks_ablation", ROOT / "benchmarks" / "ablation.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    sys.path.remove(str(ROOT))
    return module


@pytest.fixture(scope="module")
def tiny_encoder(
    make_encoder: Callable[..., PreTrainedModel],
    tiny_tokenizer: PreTrainedTokenizerFast,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A random base of two layers as a folder."""
    folder = tmp_path_factory.mktemp("base")
    make_encoder(tiny_tokenizer).save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    return folder


def texts(count: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    return [f"{''.join(rng.sample(MARKS, 9))}座椅{rng.choice(('太硬', '很软'))}" for _ in range(count)]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def corpus(folder: Path, name: str, rows: list[dict[str, Any]]) -> None:
    with lzma.open(folder / f"{name}.jsonl.xz", "wt", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def made_up_answers(taxonomy: Taxonomy) -> Callable[..., Scores]:
    def answers(folder: Path, examples: list[Example]) -> Scores:
        rng = np.random.default_rng(len(folder.name))
        n, k = len(examples), len(taxonomy.keys)
        shapes = ((n, k), (n, k, 3), (n, 3), (n, len(taxonomy.intents)), (n,))
        return Scores(*(rng.normal(size=shape) for shape in shapes), evidence=np.zeros((n, k, 2), dtype=int))

    return answers


def test_halves_keep_groups_whole_and_are_apart(ablation: ModuleType, taxonomy: Taxonomy) -> None:
    rows = texts(40, 1)
    rows += [f"{text}。" for text in rows[:10]]  # nearly the same
    examples = [parse_record({"text": text}, taxonomy, "here") for text in rows]
    fit, judged = ablation.halves(examples, 100, 100)
    assert len(fit) + len(judged) == 50
    groups = dict(zip(rows, near_duplicate_groups(rows), strict=True))
    assert {groups[e.text] for e in fit}.isdisjoint(groups[e.text] for e in judged)
    assert [len(part) for part in ablation.halves(examples, 12, 15)] == [12, 15]


def test_smoothed_labels_are_probabilities_around_the_gold(ablation: ModuleType, taxonomy: Taxonomy) -> None:
    record = {
        "text": "座椅太硬", "overall": "negative", "intent": "review", "escalation": False,
        "labels": [{"dimension": "seating", "sentiment": "negative"}],
    }  # fmt: skip
    soft = ablation.smoothed(parse_record(record, taxonomy, "here"), taxonomy).soft
    assert soft["mention"][taxonomy.index["seating"]] == pytest.approx(0.95)
    assert soft["mention"][taxonomy.index["sound"]] == pytest.approx(0.05)
    assert soft["overall"].sum() == pytest.approx(1) and soft["overall"].argmax() == taxonomy.overall.index("negative")
    assert soft["escalation"] == pytest.approx(0.05)


def test_keep_layers_takes_the_named_ones(tiny_encoder: Path) -> None:
    encoder = BertModel.from_pretrained(tiny_encoder)
    last = encoder.encoder.layer[-1].output.dense.weight.clone()
    count = len(encoder.encoder.layer)
    with pytest.raises(BaseError, match=f"between 1 and {count} for this base, found 0, {count}"):
        keep_layers(encoder, (0, count))
    keep_layers(encoder, (count - 1,))
    assert encoder.config.num_hidden_layers == 1
    assert (encoder.encoder.layer[0].output.dense.weight == last).all()


def test_ablation_runs_every_part_and_goes_on_from_what_is_kept(
    ablation: ModuleType, taxonomy: Taxonomy, tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    rows = [
        {
            "id": str(i), "text": text, "overall": "negative" if "太硬" in text else "positive", "intent": "review",
            "labels": [{"dimension": "seating", "sentiment": "negative" if "太硬" in text else "positive"}],
            "escalation": False,
        }
        for i, text in enumerate(texts(80, 2))
    ]  # fmt: skip
    data = write(tmp_path / "data.jsonl", rows)
    for name in (*HELD_OUT_FILES, *ablation.UNLABELLED, *(name for name, _ in ablation.WEAK)):
        corpus(tmp_path, name, [
            {"text": text, "label": i % 2, "rating": 1 + 4 * (i % 2), "aspects": []}
            for i, text in enumerate(texts(30, len(name)))
        ])  # fmt: skip
    monkeypatch.setattr(ablation, "LAYERS", (0,))
    monkeypatch.setattr(ablation, "corpus_texts", lambda corpora, exclude, seed: iter([texts(30, 7)]))
    monkeypatch.setattr(ablation, "score_folder", made_up_answers(taxonomy))  # exporting each run takes long
    names = ("plain", "4 first", "pretrained", "weak stage", "weak beside", "distilled", "smoothed")
    small = tuple(ablation.replace(v, layers=(0,), seeds=1 + (v.name == "plain")) for v in ablation.VARIANTS)
    monkeypatch.setattr(ablation, "VARIANTS", tuple(v for v in small if v.name in names))
    command = [
        "--data", str(data), "--corpora", str(tmp_path), "--base", str(tiny_encoder), "--texts", "40", "--epochs", "1",
        "--seeds", "2", "--unlabelled", "10", "--tokens", "2000", "--work", str(tmp_path / "work"),
        "-o", str(tmp_path / "ablation.json"),
    ]  # fmt: skip
    assert ablation.main(command) == 0
    found = json.loads((tmp_path / "ablation.json").read_text("utf-8"))
    entries = {entry["name"]: entry for entry in found["variants"]}
    assert list(entries) == ["plain", "one threshold", *names[1:]]
    assert entries["plain"]["seeds"] == 2 and entries["4 first"]["seeds"] == 1
    assert all(("differences" in entry) == (name != "plain") for name, entry in entries.items())
    assert np.load(tmp_path / "work" / "plain-1" / "scores.npz")["overall"].shape == (40, 3)
    block = ablation_block(found)
    assert "Depth" in block and "| labels smoothed by 0.1 | 1 |" in block

    def never(*_: object, **__: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(ablation, "fine_tune", never)
    assert ablation.main(command) == 0
    assert json.loads((tmp_path / "ablation.json").read_text("utf-8"))["variants"] == found["variants"]
    capsys.readouterr()
    write(data, [{**row, "escalation": True} for row in rows])
    assert ablation.main(command) == 2
    assert "found those of other texts, labels or epochs; give another folder with --work" in capsys.readouterr().err


def test_ablation_names_the_variants_that_it_knows(
    ablation: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        ablation.main(["--data", "x", "--corpora", str(tmp_path), "--only", "magic"])
    assert "expected --only of plain, 12 layers" in capsys.readouterr().err
