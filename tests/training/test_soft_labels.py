"""Soft labels: the answers of the start, and their loss."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sentiment.scaling import Scaling
from sentiment.taxonomy import Taxonomy
from training.example import Example
from training.folders import score_folder
from training.losses import LOSS_WEIGHTS, distillation_loss
from training.model import CinesentOutput
from training.soft_labels import from_start

EXAMPLES = [Example(text="座椅太硬，坐得腰疼"), Example(text="音响震撼，画面清楚")]


def test_soft_labels_from_start_answers_what_is_unknown_and_nothing_else(
    tiny_checkpoint: Path, taxonomy: Taxonomy
) -> None:
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


def test_soft_labels_loss_of_a_student_that_agrees_is_the_teachers_entropy() -> None:
    expected = {
        "mention": math.log(2), "polarity": math.log(3), "overall": math.log(3), "intent": math.log(4),
        "escalation": math.log(2),
    }  # fmt: skip
    loss = distillation_loss(zeros(3), taught(3, mention=1.0), None)
    assert float(loss) == pytest.approx(sum(LOSS_WEIGHTS[name] * value for name, value in expected.items()))


def test_soft_labels_loss_of_texts_without_a_teacher_is_nothing() -> None:
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


def test_soft_labels_loss_of_a_cell_without_a_teacher_is_nothing() -> None:
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


def test_soft_labels_loss_weighs_texts_and_sentiments_by_mention() -> None:
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
