from __future__ import annotations

import json
import random
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_texts import made_up

from sentiment.taxonomy import Taxonomy
from training import linear
from training.baselines import cut_points, fit_snownlp, main, run_baselines
from training.calibrate import calibrate
from training.evaluate import evaluate_sets
from training.example import DatasetError, Example
from training.linear import Setting, characters, fit_linear
from training.results import named_sets
from training.scores import gold_labels
from training.seen import keep_seen, text_hash

ONE = (Setting(4.0, False),)


def test_cut_points_have_the_fewest_errors() -> None:
    rng = np.random.default_rng(4)
    names = np.array(["negative", "neutral", "positive"])
    for _ in range(5):
        truth = rng.integers(0, 3, 40)
        odds = rng.normal(truth * 1.5, 1)

        def errors(low: float, high: float, odds: Any = odds, truth: Any = truth) -> int:
            return int(((odds > low).astype(int) + (odds > high) != truth).sum())

        grid = np.concatenate([[-99], np.sort(odds) + 1e-9])
        least = min(errors(a, b) for a, b in combinations_with_replacement(grid, 2))
        low, high = cut_points(odds, names[truth].tolist())
        assert low <= high
        assert errors(low, high) == least


def test_snownlp_answers_overall_alone(taxonomy: Taxonomy) -> None:
    training, judged = made_up(40, 1), made_up(20, 2)
    fitted = fit_snownlp(training, ["", *(e.text for e in judged)], taxonomy, most=25)
    assert fitted.settings["texts"] == 25
    assert 0 <= fitted.settings["low"] <= fitted.settings["high"] <= 1
    scores = fitted.scores.overall
    assert scores.shape == (21, 3)
    positive, neutral, negative = (taxonomy.overall.index(name) for name in ("positive", "neutral", "negative"))
    order = scores[:, positive] - scores[:, negative]
    said = scores.argmax(-1)
    # From the most negative score to the most positive one the classes come in their order.
    ranks = {negative: 0, neutral: 1, positive: 2}
    assert [ranks[int(c)] for c in said[np.argsort(order)]] == sorted(ranks[int(c)] for c in said)


def test_each_baseline_is_reported_on_each_set(monkeypatch: pytest.MonkeyPatch, taxonomy: Taxonomy) -> None:
    monkeypatch.setattr(linear, "GRID", ONE)
    development, test = {"real": made_up(30, 5), "written": made_up(25, 6)}, {"later": made_up(20, 7)}
    models = run_baselines(made_up(80, 1), development, test, taxonomy, ["tfidf-characters", "snownlp"])
    assert [model["name"] for model in models] == ["tfidf-characters", "snownlp"]
    for model in models:
        rules = {name: report["rules"] for name, report in model["sets"].items()}
        assert rules == {"real": "cross-fitted", "written": "cross-fitted", "later": "development"}
        assert {report["rules"] for report in model["training_rules"].values()} == {"training"}
        assert [report["texts"] for report in model["sets"].values()] == [30, 25, 20]
        assert not any("mistakes" in report for report in model["sets"].values())
    assert "service" in models[0]["sets"]["real"]
    assert not {"service", "dimensions", "intent", "escalation"} & set(models[1]["sets"]["real"])
    # What decides on the test set comes from the development sets.
    fitted = fit_linear(
        characters, made_up(80, 1), [e.text for part in (*development.values(), *test.values()) for e in part], taxonomy
    )
    examples = [e for part in development.values() for e in part]
    rules = calibrate(fitted.scores.take(np.arange(55)), gold_labels(examples, taxonomy), taxonomy)
    expected = evaluate_sets(fitted.scores.take(np.arange(55, 75)), test, taxonomy, rules)["later"]
    assert models[0]["sets"]["later"]["service"] == expected["service"]


def write(path: Path, examples: list[Example]) -> Path:
    rows = [
        {"text": e.text, "labels": [{"dimension": k, "sentiment": v[0]} for k, v in e.labels.items()],
         "annotated": sorted(e.annotated), "overall": e.overall, "intent": e.intent, "escalation": e.escalation}
        for e in examples
    ]  # fmt: skip
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def test_command_leaves_near_duplicates_out_and_writes_results(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(linear, "GRID", ONE)
    signs = "天地玄黄宇宙洪荒日月盈昃辰宿列张寒来暑往"
    development = [
        Example(f"第{i}回，" + "".join(random.Random(i).sample(signs, 16)), overall=o)
        for i, o in enumerate(("positive", "negative", "neutral") * 5)
    ]
    training = made_up(60, 1)
    copied = [Example(e.text + "！", overall=e.overall) for e in development[:4]]
    data, dev = write(tmp_path / "train.jsonl", [*training, *copied]), write(tmp_path / "dev.jsonl", development)
    out = tmp_path / "results" / "baselines.json"
    assert main(["--data", str(data), "--dev", f"real={dev}", "--json", str(out), "--only", "tfidf-characters"]) == 0
    results = json.loads(out.read_text("utf-8"))
    assert results["training"] == {"texts": 60, "files": ["train.jsonl"]}
    assert results["sets"]["real"]["texts"] == 15
    assert results["sets"]["real"]["split"] == "development"
    assert len(results["sets"]["real"]["sha256"]) == 64
    (model,) = results["models"]
    assert model["kind"] == "baseline"
    assert model["sets"]["real"]["overall"]["texts"] == 15


def test_command_refuses_other_texts_than_the_run_had(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(linear, "GRID", ONE)
    signs = "天地玄黄宇宙洪荒日月盈昃辰宿列张寒来暑往秋收冬藏"
    development, others = ([Example("".join(random.Random(i + n).sample(signs, 20)), overall="neutral")
                            for i in range(12)] for n in (0, 100))  # fmt: skip
    training = made_up(40, 1)
    data = write(tmp_path / "train.jsonl", [*training, Example(others[0].text + "！", overall="neutral")])
    dev, apart = write(tmp_path / "dev.jsonl", development), write(tmp_path / "test.jsonl", others)
    out = tmp_path / "baselines.json"
    arguments = ["--data", str(data), "--dev", f"real={dev}", "--json", str(out), "--run", str(tmp_path),
                 "--only", "snownlp"]  # fmt: skip
    with pytest.raises(SystemExit):
        main(arguments)
    assert "found no seen.txt" in capsys.readouterr().err
    keep_seen(tmp_path, {text_hash(e.text) for e in training})
    with pytest.raises(SystemExit):  # the near-duplicate of a text that the run was kept from
        main(arguments)
    assert "found 1 others and 0 missing" in capsys.readouterr().err
    assert main([*arguments, "--apart", str(apart)]) == 0
    assert json.loads(out.read_text("utf-8"))["training"]["texts"] == 40
    keep_seen(tmp_path, {text_hash(e.text) for e in (*training, others[5])})
    with pytest.raises(SystemExit):
        main([*arguments, "--apart", str(apart)])
    assert "found 0 others and 1 missing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--dev", "dev.jsonl"], "expected NAME=FILE"),
        (["--dev", "real=missing.jsonl"], "found nothing at"),
        (["--dev", "real=dev.jsonl", "--standoff", "a.jsonl"], "expected --corpora DIR"),
        (["--dev", "real=dev.jsonl", "--test", "real=dev.jsonl"], "different names"),
    ],
)
def test_command_refuses_in_words(
    arguments: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "dev.jsonl", made_up(3, 1))
    with pytest.raises(SystemExit) as caught:
        main(["--data", "dev.jsonl", *arguments, "--json", "out.json"])
    assert caught.value.code == 2
    assert told in capsys.readouterr().err


def test_named_sets_want_different_names(tmp_path: Path, taxonomy: Taxonomy) -> None:
    path = write(tmp_path / "dev.jsonl", made_up(3, 1))
    assert len(named_sets([f"real={path}"], taxonomy)["real"]) == 3
    with pytest.raises(DatasetError, match="different names"):
        named_sets([f"real={path}", f"real={path}"], taxonomy)
