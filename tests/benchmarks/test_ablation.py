"""The ablation run small: a tiny base, made-up corpora, every start and every kind of soft label."""

from __future__ import annotations

import json
import lzma
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import BertModel, PreTrainedModel, PreTrainedTokenizerFast

from benchmarks import ablation
from benchmarks.ablation_figures import depth_rule, difference, over_runs, summarised
from benchmarks.ablation_list import LAYERS, REFERENCE, VARIANTS, Variant
from sentiment.taxonomy import Taxonomy
from training.ablation_table import ablation_block
from training.bases import BaseError, keep_layers
from training.corpora import HELD_OUT_FILES
from training.example import Example, parse_record
from training.near_duplicates import near_duplicate_groups
from training.scores import Scores

MARKS = "一二三四五六七八九十甲乙丙丁天地人东南西北"


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


def test_halves_keep_groups_whole_and_are_apart(taxonomy: Taxonomy) -> None:
    rows = texts(40, 1)
    rows += [f"{text}。" for text in rows[:10]]  # nearly the same
    examples = [parse_record({"text": text}, taxonomy, "here") for text in rows]
    fit, judged = ablation.halves(examples, 100, 100)
    assert len(fit) + len(judged) == 50
    groups = dict(zip(rows, near_duplicate_groups(rows), strict=True))
    assert {groups[e.text] for e in fit}.isdisjoint(groups[e.text] for e in judged)
    assert [len(part) for part in ablation.halves(examples, 12, 15)] == [12, 15]


def test_smoothed_labels_are_probabilities_around_the_gold(taxonomy: Taxonomy) -> None:
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
    taxonomy: Taxonomy, tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    rows = [
        {
            "id": str(i), "text": text, "overall": "negative" if "太硬" in text else "positive", "intent": "review",
            "labels": [{"dimension": "seating", "sentiment": "negative" if "太硬" in text else "positive"}],
            "escalation": False, "source": "elsewhere" if i % 2 else None,
        }
        for i, text in enumerate(texts(80, 2))
    ]  # fmt: skip
    data = write(tmp_path / "data.jsonl", rows)
    for name in {*HELD_OUT_FILES, *ablation.UNLABELLED, *(name for name, _ in ablation.WEAK), *ablation.CORPORA}:
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
    assert 0 < found["judged_comments"] < found["judged"]
    assert all(("differences" in entry["comments"]) == (entry["name"] != "plain") for entry in found["variants"])
    entries = {entry["name"]: entry for entry in found["variants"]}
    assert list(entries) == ["plain", "one threshold", *names[1:]]
    assert entries["plain"]["seeds"] == 2 and entries["4 first"]["seeds"] == 1
    assert all(("differences" in entry) == (name != "plain") for name, entry in entries.items())
    assert np.load(tmp_path / "work" / "plain-1" / "scores.npz")["overall"].shape == (40, 3)
    assert {found["depth"]["best"], found["depth"]["shallowest"]} <= {"plain", "4 first"}
    assert set(found["depth"]["to_best"]) == {"plain", "4 first"}
    block = ablation_block(found)
    assert "Depth" in block and "| labels smoothed by 0.1 | 1 |" in block

    def never(*_: object, **__: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(ablation, "fine_tune", never)
    assert ablation.main(command) == 0
    assert json.loads((tmp_path / "ablation.json").read_text("utf-8"))["variants"] == found["variants"]
    capsys.readouterr()
    assert ablation.main([*command, "--tokens", "3000"]) == 2  # of another pretraining
    assert f"give in {tmp_path / 'work' / 'pretrained-1' / 'scores.npz'}, found" in capsys.readouterr().err
    (tmp_path / "work" / "pretrained-1" / "scores.npz").unlink()
    assert ablation.main([*command, "--tokens", "3000"]) == 2
    assert f"give in {tmp_path / 'work' / 'start-pretrained'}, found" in capsys.readouterr().err
    write(data, [{**row, "escalation": True} for row in rows])
    assert ablation.main(command) == 2
    assert "found what others gave; remove it, or give another folder with --work" in capsys.readouterr().err


def bench(taxonomy: Taxonomy, base: Path, folder: Path, **other: Any) -> ablation.Bench:
    """Two texts, and a folder with every corpus file that is hashed."""
    examples = [parse_record({"text": text}, taxonomy, "here") for text in ("座椅太硬", "座椅很软")]
    facts: dict[str, Any] = {
        "fit": examples[:1], "judged": examples[1:], "space": taxonomy, "base": str(base), "corpora": folder,
        "work": folder / "work", "recipe": ablation.Recipe(), "seeds": 3, "unlabelled": 10, "tokens": 1000,
    }  # fmt: skip
    return ablation.Bench(**{**facts, **other})


def test_identity_tells_what_the_answers_of_a_variant_depend_on(
    taxonomy: Taxonomy, tiny_encoder: Path, tmp_path: Path, make_encoder: Callable[..., PreTrainedModel],
    tiny_tokenizer: PreTrainedTokenizerFast,
) -> None:  # fmt: skip
    names = {*HELD_OUT_FILES, *ablation.UNLABELLED, *(name for name, _ in ablation.WEAK), *ablation.CORPORA}
    for name in names:
        (tmp_path / f"{name}.jsonl.xz").write_bytes(name.encode())
    plain = bench(taxonomy, tiny_encoder, tmp_path)
    before = {variant.name: plain.identity(variant) for variant in VARIANTS}
    assert len(set(before.values())) == len(VARIANTS)

    def changed(other: ablation.Bench) -> set[str]:
        return {variant.name for variant in VARIANTS if other.identity(variant) != before[variant.name]}

    assert changed(bench(taxonomy, tiny_encoder, tmp_path)) == set()
    assert changed(bench(taxonomy, tiny_encoder, tmp_path, tokens=2000)) == {"pretrained"}
    assert changed(bench(taxonomy, tiny_encoder, tmp_path, unlabelled=20)) == {"distilled"}
    taught = {"distilled", "6 distilled"}
    assert changed(bench(taxonomy, tiny_encoder, tmp_path, seeds=2)) == taught
    everything = set(before)
    assert changed(bench(taxonomy, tiny_encoder, tmp_path, recipe=ablation.Recipe(epochs=9))) == everything
    assert changed(bench(taxonomy, tiny_encoder, tmp_path, judged=plain.fit)) == everything
    model = make_encoder(tiny_tokenizer)
    next(iter(model.parameters())).data += 1
    model.save_pretrained(tmp_path / "other")
    tiny_tokenizer.save_pretrained(tmp_path / "other")
    assert changed(bench(taxonomy, tmp_path / "other", tmp_path)) == everything
    (tmp_path / "senti_waimai_10k.jsonl.xz").write_bytes(b"other rows")
    assert changed(bench(taxonomy, tiny_encoder, tmp_path)) == {
        "pretrained", "weak stage", "weak beside", *taught
    }  # fmt: skip


def test_parts_have_three_runs() -> None:
    by_name = {variant.name: variant for variant in VARIANTS}
    assert by_name["weak stage"].runs(3) == 1  # a second way of one part
    parts = [variant.name for variant in VARIANTS if variant.group == "part" and variant.runs(3) == 3]
    assert parts == ["pretrained", "weak beside", "distilled", "smoothed"]
    assert by_name[REFERENCE].runs(3) == 3 and by_name[REFERENCE].layers == LAYERS  # the fifth: its thresholds
    assert Variant("x", "part", "x", seeds=2).runs(1) == 1


def test_over_runs_draws_runs_and_pairs_them_by_seed() -> None:
    apart = np.repeat([[0.2], [0.4], [0.6]], 2001, axis=1)  # the texts make no difference, the runs do
    mean = over_runs(apart)
    assert mean[0] == pytest.approx(0.4)
    assert np.quantile(mean[1:], [0.025, 0.975]) == pytest.approx([0.2, 0.6], abs=0.08)
    assert mean[1:].std() == pytest.approx(apart[:, 0].std() / 3**0.5, rel=0.1)
    assert over_runs(apart + 0.01) - mean == pytest.approx(0.01)  # the same runs
    single = np.array([[0.5, 0.4, 0.6]])
    assert (over_runs(single) == single[0]).all()


def drawn(joint: list[float], noise: float = 0.0) -> dict[str, np.ndarray]:
    """Figures of as many runs as are given; resamples of the texts differ by `noise`."""
    strayed = noise * np.random.default_rng(0).normal(size=1001)
    strayed[0] = 0
    return {"joint": np.array(joint)[:, None] + strayed}


def test_difference_is_over_the_seeds_that_both_have() -> None:
    found = difference(drawn([0.5]), drawn([0.4, 0.9, 0.9]))["joint"]
    assert found == {"value": 0.1, "low": 0.1, "high": 0.1}
    unsteady = difference(drawn([0.5, 0.5, 0.5]), drawn([0.5, 0.4, 0.6]))["joint"]
    assert unsteady["value"] == 0 and unsteady["low"] <= -0.06 and unsteady["high"] >= 0.06
    assert summarised(drawn([0.5, 0.6]))["joint"]["value"] == pytest.approx(0.55)


def test_depth_rule_names_the_shallowest_that_surely_loses_less_than_a_point() -> None:
    layers = {"12": 12, "8": 8, "6": 6, "6 spread": 6, "4": 4}
    depths = {
        "12": drawn([0.500, 0.502, 0.501]),
        "8": drawn([0.490, 0.506, 0.501]),  # on average it loses 0.2 points, in one run more than one
        "6": drawn([0.493, 0.495, 0.494]),
        "6 spread": drawn([0.495]),
        "4": drawn([0.488]),
    }
    found = depth_rule(depths, layers)
    assert found["best"] == "12" and found["margin"] == 0.01
    assert found["to_best"]["12"] == {"value": 0, "low": 0, "high": 0}
    assert found["to_best"]["8"]["value"] > -0.003 and found["to_best"]["8"]["low"] == -0.01
    assert found["to_best"]["4"]["value"] == -0.012
    assert found["shallowest"] == "6 spread"  # as shallow as "6", and better
    assert depth_rule({"12": depths["12"], "4": depths["4"]}, layers)["shallowest"] == "12"
    shallow = {"12": drawn([0.4]), "4": drawn([0.5])}
    assert depth_rule(shallow, layers) | {"to_best": {}} == {
        "best": "4", "margin": 0.01, "shallowest": "4", "to_best": {}
    }  # fmt: skip


def test_ablation_block_tells_differences_to_the_best_depth_and_the_rule() -> None:
    rate = {"value": 0.5, "low": 0.4, "high": 0.6}
    names = {"plain": "first 8 layers", "12 layers": "all 12 layers", "6 first": "first 6 layers"}
    entries = [
        {"name": name, "group": "both" if name == "plain" else "depth", "what": what, "seeds": 3, "minutes": 4.0,
         "figures": {"joint": rate, "mention": rate, "overall": rate}}
        for name, what in names.items()
    ]  # fmt: skip
    rule = {
        "best": "12 layers", "margin": 0.01, "shallowest": "plain",
        "to_best": {
            "12 layers": {"value": 0.0, "low": 0.0, "high": 0.0},
            "plain": {"value": -0.002, "low": -0.008, "high": 0.004},
            "6 first": {"value": -0.013, "low": -0.021, "high": -0.004},
        },
    }  # fmt: skip
    found = {
        "fitted": 2500, "judged": 8000, "judged_comments": 3000, "epochs": 4.0, "tokens": 1000,
        "unlabelled": 10, "variants": entries, "depth": rule,
    }  # fmt: skip
    lines = ablation_block(found).splitlines()
    assert "over texts and, where there are several, over runs; differences are paired by text and seed" in lines[0]
    assert sum("-0.2 [-0.8, +0.4]" in line for line in lines) == 1
    assert sum("-1.3 [-2.1, -0.4]" in line for line in lines) == 1
    assert "(3,000 are comments of other people)" in lines[0]
    assert sum("| the best |" in line for line in lines) == 1
    assert "less than 1.0 points of joint F1 against the best depth (all 12 layers)" in lines[-1]
    assert lines[-1].endswith("**first 8 layers**.")


def test_ablation_block_says_whether_a_part_helps() -> None:
    rate = {"value": 0.5, "low": 0.4, "high": 0.6}
    rises, unsure = ({"value": 0.01, "low": low, "high": 0.02} for low in (0.001, -0.001))

    def told(*gained: dict[str, float]) -> str:
        figures = {"joint": rate, "mention": rate, "overall": rate}
        entries: list[dict[str, Any]] = [
            {"name": "plain", "group": "both", "what": "first 8 layers", "seeds": 3, "figures": figures}
        ]
        entries += [
            {"name": str(i), "group": "part", "what": f"part {i}", "seeds": 3, "figures": figures,
             "differences": {"joint": one, "overall": one}}
            for i, one in enumerate(gained)
        ]  # fmt: skip
        found = {"fitted": 1, "judged": 1, "judged_comments": 1, "epochs": 3, "tokens": 1, "unlabelled": 1}
        return ablation_block({**found, "variants": entries}).splitlines()[-1]

    assert told(unsure, unsure).startswith("No part raises joint F1 with its whole interval")
    assert told(unsure, rises).startswith("Joint F1 rises with the whole interval: part 1. The other parts")


def test_ablation_names_the_variants_that_it_knows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        ablation.main(["--data", "x", "--corpora", str(tmp_path), "--only", "magic"])
    assert "expected --only of plain, 12 layers" in capsys.readouterr().err
