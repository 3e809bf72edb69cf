"""Public sets: which rows are judged and which are fitted, cut points, figures of two classes."""

from __future__ import annotations

import json
import lzma
import random
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from training.corpora import in_held_out_rows
from training.example import DatasetError
from training.public_sets import SILENT, fit_cuts, read_public_set, sampled, two_class_figures


@pytest.fixture
def corpora(tmp_path: Path) -> Path:
    rng = random.Random(3)
    marks = "一二三四五六七八九十甲乙丙丁天地人东南西北"
    rows = [{"text": f"{'差好'[n % 2]}{''.join(rng.choices(marks, k=12))}", "label": n % 2} for n in range(80)]
    held = next(row for row in rows if in_held_out_rows(str(row["text"])))
    # Nearly the text of a held-out row, and not held out itself.
    copies = ({"text": f"{held['text']}{end}", "label": held["label"]} for end in ("！", "。", "～", "…", "?", "!"))
    rows.append(next(row for row in copies if not in_held_out_rows(str(row["text"]))))
    with lzma.open(tmp_path / "senti_waimai_10k.jsonl.xz", "wt", encoding="utf-8") as lines:
        lines.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    return tmp_path


def test_public_set_parts_rows_by_the_hash_rule_and_drops_near_duplicates(corpora: Path) -> None:
    part = read_public_set(corpora, "waimai_10k")
    assert part.held and all(in_held_out_rows(example.text) for example in part.held)
    assert part.other and not any(in_held_out_rows(example.text) for example in part.other)
    assert part.removed == 1 and len(part.held) + len(part.other) == 80
    assert {example.overall for example in part.other} == {"positive", "negative"}
    assert not any(example.annotated or example.labels for example in part.other)  # nothing but overall is known


def test_public_set_of_a_trial_is_smaller(corpora: Path) -> None:
    part = read_public_set(corpora, "waimai_10k", most=5)
    assert len(part.held) == 5 and len(part.other) + part.removed == 5


def test_public_set_of_another_name(corpora: Path) -> None:
    with pytest.raises(DatasetError, match="expected one of chnsenticorp"):
        read_public_set(corpora, "weibo")
    with pytest.raises(DatasetError, match="expected the corpus file"):
        read_public_set(corpora, "chnsenticorp")


def test_samples_are_drawn_by_the_seed(corpora: Path) -> None:
    rows = read_public_set(corpora, "waimai_10k").other
    assert sampled(rows, None) == sampled(rows, 1000) == rows
    assert sampled(rows, 9, 1) == sampled(rows, 9, 1) != sampled(rows, 9, 2)
    assert len({example.text for example in sampled(rows, 9)}) == 9


@pytest.mark.parametrize("classes", [("low", "high"), ("low", "middle", "high")])
def test_cuts_have_the_fewest_errors_also_where_scores_are_equal(classes: tuple[str, ...]) -> None:
    rng = np.random.default_rng(5)
    for _ in range(20):
        truth = rng.integers(0, len(classes), 30)
        scores = np.round(rng.normal(truth, 1))  # whole numbers: many are equal

        def errors(cuts: Any, scores: Any = scores, truth: Any = truth) -> int:
            return int((np.searchsorted(np.array(cuts), scores) != truth).sum())

        cuts = fit_cuts(scores, [classes[k] for k in truth], classes)
        grid = np.arange(scores.min() - 0.5, scores.max() + 1)
        assert cuts == sorted(cuts) and len(cuts) == len(classes) - 1
        assert errors(cuts) == min(errors(c) for c in combinations_with_replacement(grid, len(classes) - 1))


def test_cuts_of_scores_that_are_all_equal() -> None:
    (cut,) = fit_cuts(np.zeros(3), ["low", "high", "high"], ("low", "high"))
    assert cut < 0  # two of three are high


def test_two_class_figures_by_hand() -> None:
    gold, said = np.array([0, 0, 1, 1, 1]), np.array([0, 1, 1, 1, SILENT])
    found = two_class_figures(gold, said, samples=200)
    assert found["accuracy"]["value"] == 0.6
    # negative: 2·1 / (2 + 1); positive: 2·2 / (3 + 3)
    assert found["macro_f1"]["value"] == pytest.approx((2 / 3 + 4 / 6) / 2, abs=1e-4)
    assert found["confusion"] == [[1, 1, 0], [0, 2, 1]] and found["unanswered"] == 1
    assert 0 <= found["accuracy"]["low"] < 0.6 < found["accuracy"]["high"] <= 1
