"""Soft labels: from teachers, from folds, and their loss."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from sentiment.checkpoint import load_checkpoint
from sentiment.scaling import Scaling
from sentiment.taxonomy import Taxonomy, taxonomy_from_dict
from training.bases import BaseError
from training.distil import from_folds, from_start, from_teachers
from training.example import Example
from training.folders import score_folder
from training.losses import LOSS_WEIGHTS, distillation_loss
from training.metrics import HEADS, UNKNOWN
from training.model import CinesentOutput

if TYPE_CHECKING:
    from conftest import TinyRun

EXAMPLES = [Example(text="座椅太硬，坐得腰疼"), Example(text="音响震撼，画面清楚")]


def test_distil_takes_the_mean_of_calibrated_teachers(tiny_checkpoint: Path, taxonomy: Taxonomy) -> None:
    (alone,) = from_teachers([tiny_checkpoint], EXAMPLES[:1], taxonomy)
    checkpoint = load_checkpoint(tiny_checkpoint)
    shares = score_folder(tiny_checkpoint, EXAMPLES[:1]).probabilities(checkpoint.scaling)
    assert alone.soft is not None
    for head in HEADS:
        np.testing.assert_allclose(alone.soft[head], shares[head][0], atol=1e-6)
    both = from_teachers([tiny_checkpoint, tiny_checkpoint], EXAMPLES, taxonomy)
    assert [example.text for example in both] == [example.text for example in EXAMPLES]
    assert both[0].soft is not None
    np.testing.assert_allclose(both[0].soft["mention"], alone.soft["mention"], atol=1e-5)


def test_distil_refuses_a_teacher_of_another_label_space(tiny_checkpoint: Path, taxonomy: Taxonomy) -> None:
    fewer = taxonomy_from_dict({**taxonomy.to_dict(), "dimensions": taxonomy.to_dict()["dimensions"][:4]})
    with pytest.raises(BaseError, match="expected a teacher of the same label space"):
        from_teachers([tiny_checkpoint], EXAMPLES, fewer)


def test_distil_reads_what_folds_left(tiny_run: TinyRun, tmp_path: Path, taxonomy: Taxonomy) -> None:
    size, count = len(taxonomy.keys), 40
    rng = np.random.default_rng(1)
    gold = rng.integers(0, 2, (count, size))
    (tmp_path / "fold-1").symlink_to(tiny_run.folder.resolve(), target_is_directory=True)
    np.savez_compressed(
        tmp_path / "out_of_fold.npz",
        ids=np.array([str(i) for i in range(count)]),
        texts=np.array([f"第{i}条" for i in range(count)]),
        # Right three times in four, and far too sure of it: the temperature has to be well above 1.
        mention=np.where(rng.random((count, size)) < 0.75, 2 * gold - 1, 1 - 2 * gold) * 8.0,
        polarity=np.zeros((count, size, 3)), overall=np.zeros((count, 3)),
        intent=np.zeros((count, len(taxonomy.intents))), escalation=np.zeros(count),
        gold_mention=gold, gold_polarity=np.where(gold == 1, 0, UNKNOWN), gold_overall=np.zeros(count, int),
        gold_intent=np.zeros(count, int), gold_escalation=np.zeros(count, int),
    )  # fmt: skip
    known, unknown = Example(text="第3条"), Example(text="没有见过")
    found = from_folds(tmp_path, [unknown, known], taxonomy)
    assert found[0] is unknown and found[1].text == "第3条"
    assert found[1].soft is not None
    sure = np.maximum(found[1].soft["mention"], 1 - found[1].soft["mention"])
    assert ((sure > 0.6) & (sure < 0.9)).all()


def test_distil_from_start_answers_what_is_unknown_and_nothing_else(tiny_checkpoint: Path, taxonomy: Taxonomy) -> None:
    keys = taxonomy.keys
    said = replace(EXAMPLES[0], overall="negative", annotated=frozenset(keys[:2]), labels={keys[0]: ("positive", 0, 2)})
    whole = replace(EXAMPLES[1], overall="neutral", intent="review", escalation=False, annotated=frozenset(keys))
    partly, untouched = from_start(tiny_checkpoint, [said, whole])
    assert untouched is whole and partly.labels == said.labels
    assert partly.soft is not None
    own = score_folder(tiny_checkpoint, [said]).probabilities(Scaling())
    assert np.isnan(partly.soft["overall"]).all() and np.isnan(partly.soft["mention"][:2]).all()
    assert np.isnan(partly.soft["polarity"][:2]).all()
    np.testing.assert_allclose(partly.soft["mention"][2:], own["mention"][0, 2:], atol=1e-6)
    np.testing.assert_allclose(partly.soft["polarity"][2:], own["polarity"][0, 2:], atol=1e-6)
    np.testing.assert_allclose(partly.soft["intent"], own["intent"][0], atol=1e-6)
    assert float(partly.soft["escalation"]) == pytest.approx(float(own["escalation"][0]), abs=1e-6)


def zeros(size: int, keys: int = 2) -> CinesentOutput:
    return CinesentOutput(
        mention=torch.zeros(size, keys), polarity=torch.zeros(size, keys, 3), overall=torch.zeros(size, 3),
        intent=torch.zeros(size, 4), escalation=torch.zeros(size),
    )  # fmt: skip


def taught(size: int, keys: int = 2, mention: float = 0.5) -> dict[str, torch.Tensor]:
    return {
        "mention": torch.full((size, keys), mention), "polarity": torch.full((size, keys, 3), 1 / 3),
        "overall": torch.full((size, 3), 1 / 3), "intent": torch.full((size, 4), 0.25),
        "escalation": torch.full((size,), 0.5),
    }  # fmt: skip


def test_distil_loss_of_a_student_that_agrees_is_the_teachers_entropy() -> None:
    expected = {
        "mention": math.log(2), "polarity": math.log(3), "overall": math.log(3), "intent": math.log(4),
        "escalation": math.log(2),
    }  # fmt: skip
    loss = distillation_loss(zeros(3), taught(3, mention=1.0), None)
    assert float(loss) == pytest.approx(sum(LOSS_WEIGHTS[name] * value for name, value in expected.items()))


def test_distil_loss_of_texts_without_a_teacher_is_nothing() -> None:
    soft = {name: torch.full_like(value, math.nan) for name, value in taught(2).items()}
    assert float(distillation_loss(zeros(2), soft, None)) == 0.0
    half = taught(2)
    for value in half.values():
        value[1] = math.nan
    output = zeros(2)
    assert output.mention is not None
    output.mention[1] = 50.0
    assert float(distillation_loss(output, half, None)) == pytest.approx(
        float(distillation_loss(zeros(1), taught(1), None))
    )


def test_distil_loss_of_a_cell_without_a_teacher_is_nothing() -> None:
    output, soft = zeros(1), taught(1)
    assert output.mention is not None and output.overall is not None and output.polarity is not None
    soft["mention"][0, 1] = soft["polarity"][0, 1] = math.nan
    expected = distillation_loss(output, soft, None)
    output.mention[0, 1], output.polarity[0, 1, 2] = 50.0, 50.0
    assert distillation_loss(output, soft, None) == expected
    output.overall[0, 1] = 3.0
    assert distillation_loss(output, soft, None) > expected
    soft["overall"][:] = math.nan
    assert distillation_loss(output, soft, None) < expected


def test_distil_loss_weighs_texts_and_sentiments_by_mention() -> None:
    output = zeros(2)
    assert output.mention is not None and output.polarity is not None
    output.mention[1] = 5.0
    heavy = distillation_loss(output, taught(2), torch.tensor([1.0, 3.0]))
    light = distillation_loss(output, taught(2), torch.tensor([3.0, 1.0]))
    assert heavy > light
    output = zeros(1)
    assert output.polarity is not None
    output.polarity[0, 1, 0] = 9.0
    soft = taught(1)
    soft["mention"] = torch.tensor([[0.9, 0.0]])
    soft["polarity"][0, 1] = torch.tensor([0.0, 0.0, 1.0])
    assert distillation_loss(output, soft, None) == distillation_loss(zeros(1), soft, None)
