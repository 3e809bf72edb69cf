"""What the packaged checkpoint answers on public sets: by its calibrated probabilities, as it is packaged."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sentiment.scaling import Scaling
from sentiment.taxonomy import Taxonomy
from training.contestants import public_packaged, sides
from training.example import Example
from training.public_sets import CLASSES, SILENT
from training.scores import Scores


def said(taxonomy: Taxonomy, positive: list[float]) -> Scores:
    """Scores whose raw logits of positive are these, and nought of all else."""
    size, count = len(positive), len(taxonomy.keys)
    overall = np.zeros((size, len(taxonomy.overall)))
    overall[:, taxonomy.overall.index("positive")] = positive
    return Scores(
        np.zeros((size, count)), np.zeros((size, count, 3)), overall, np.zeros((size, len(taxonomy.intents))),
        np.zeros(size), np.zeros((size, count, 2), dtype=int),
    )  # fmt: skip


@pytest.fixture
def bench(taxonomy: Taxonomy) -> Any:
    """A checkpoint that is packaged with a leaning against positive."""
    leaning = tuple(-0.5 if name == "positive" else 0.0 for name in taxonomy.overall)
    return SimpleNamespace(checkpoint=SimpleNamespace(taxonomy=taxonomy, scaling=Scaling(biases={"overall": leaning})))


def test_contestants_sides_are_those_of_the_scaling(taxonomy: Taxonomy, bench: Any) -> None:
    examples = [Example("座椅还行"), Example("音响很好"), Example("Great seats!")]
    scores = said(taxonomy, [0.3, 0.9, 0.9])
    negative, positive = (CLASSES.index(name) for name in ("negative", "positive"))
    assert sides(scores, bench, examples, bench.checkpoint.scaling).tolist() == [negative, positive, SILENT]
    assert sides(scores, bench, examples, Scaling()).tolist() == [positive, positive, SILENT]


def test_contestants_packaged_is_judged_as_packaged(
    taxonomy: Taxonomy, bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = said(taxonomy, [0.3, 0.9])
    monkeypatch.setattr("training.contestants.score_examples", lambda *_: scores)
    held = [Example("座椅还行", overall="negative"), Example("音响很好", overall="positive")]
    found = public_packaged(bench, SimpleNamespace(held=held), None)  # type: ignore[arg-type]
    assert found["accuracy"]["value"] == 1.0
