"""Scores of a text of several windows: joined after scaling, as the analyser joins them."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sentiment import Analyzer
from sentiment.checkpoint import Checkpoint, load_checkpoint
from sentiment.engine import Engine
from sentiment.records import PROBABILITY_ORDER
from training.example import Example
from training.scores import score_examples


@pytest.fixture(scope="module")
def scaled(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """The tiny checkpoint with a scaling that moves every head."""
    folder = tmp_path_factory.mktemp("scaled") / "tiny"
    shutil.copytree(tiny_checkpoint, folder)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    others = len(load_checkpoint(folder).taxonomy.intents) - 1
    config["temperatures"] = {"mention": 2.5, "polarity": 1.7, "overall": 2.0, "intent": 0.6, "escalation": 1.8}
    config["factors"] = {"mention": 0.7, "polarity": 1.4, "overall": 1.5, "intent": 0.5, "escalation": 1.3}
    config["biases"] = {
        "mention": [0.4], "polarity": [0.3, -0.2, -0.1], "overall": [0.5, -0.4, -0.1],
        "intent": [-0.6, *[0.2] * others], "escalation": [0.7],
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config, ensure_ascii=False), "utf-8")
    return load_checkpoint(folder)


def test_scores_have_the_probabilities_of_the_analyser(scaled: Checkpoint, sample_texts: list[str]) -> None:
    short = next(text for text in sample_texts if 5 < len(text) < 30)
    texts = ["".join(sample_texts[:12]), short, "".join(sample_texts[20:40])]
    records = Analyzer.load(scaled.folder, threads=1, thresholds=0.2).analyze_block(texts)
    assert [record.windows > 1 for record in records] == [True, False, True]
    scores = score_examples(scaled, Engine(scaled, threads=1), [Example(text) for text in texts])
    shares = scores.probabilities(scaled.scaling)
    space = scaled.taxonomy
    order = [space.sentiments.index(name) for name in PROBABILITY_ORDER]
    for i, record in enumerate(records):
        for k, key in enumerate(space.keys):
            expected = shares["mention"][i, k] * shares["polarity"][i, k, order]
            assert record.probabilities[key] == pytest.approx(tuple(expected), abs=1.01e-4), (i, key)  # rounded down
        assert record.overall_confidence == pytest.approx(shares["overall"][i].max(), abs=1e-4)
        assert record.intent_confidence == pytest.approx(shares["intent"][i].max(), abs=1e-4)
        risk = shares["escalation"][i] if record.escalation else 1 - shares["escalation"][i]
        assert record.escalation_confidence == pytest.approx(risk, abs=1e-4)
        assert record.dimensions
        for mention in record.dimensions:
            assert tuple(scores.evidence[i, space.index[mention.dimension]]) == (mention.start, mention.end)
    # Scaled after they were joined, they would be others; a text of one window has but one way.
    after = replace(scores, windows=None).probabilities(scaled.scaling)
    assert max(np.abs(after[name][0] - shares[name][0]).max() for name in after) > 1e-3
    assert all((after[name][1] == shares[name][1]).all() for name in after)


def test_scores_taken_apart_keep_their_windows(scaled: Checkpoint, sample_texts: list[str]) -> None:
    texts = [sample_texts[0], "".join(sample_texts[:12])]
    scores = score_examples(scaled, Engine(scaled, threads=1), [Example(text) for text in texts])
    whole, part = scores.probabilities(scaled.scaling), scores.take([1, 0]).probabilities(scaled.scaling)
    for name, values in whole.items():
        np.testing.assert_array_equal(part[name], values[[1, 0]])
