from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from made_texts import made_up

from sentiment.taxonomy import Taxonomy
from training.evaluate import evaluate_sets
from training.linear import NEVER, Setting, best_counts, by_dimension, characters, fit_linear, words
from training.metrics import UNKNOWN

ONE = (Setting(4.0, False),)


@pytest.mark.parametrize("make", [characters, words])
def test_linear_baselines_learn_what_words_say(make: Any, taxonomy: Taxonomy) -> None:
    training, judged = made_up(150, 1), made_up(60, 2)
    fitted = fit_linear(make, training, [e.text for e in judged], taxonomy, ONE)
    assert set(fitted.settings) == {"mention", "polarity", "overall", "intent", "escalation", "features"}
    (report,) = evaluate_sets(fitted.scores, {"made up": judged}, taxonomy, fitted.rules, named="training").values()
    assert report["rules"] == "training"
    assert report["service"]["joint"]["f1"]["value"] > 0.9
    assert report["overall"]["accuracy"]["value"] > 0.85
    assert report["intent"]["accuracy"]["value"] > 0.9
    assert report["escalation"]["f1"]["value"] > 0.85
    assert "evidence" not in report  # it shows none
    assert set(report["dimensions"]) == {"seating", "sound", "staff", "parking", "price"}


def test_rules_come_from_training_texts_alone(taxonomy: Taxonomy) -> None:
    training = made_up(80, 1)
    first = fit_linear(characters, training, ["座椅"], taxonomy, ONE)
    second = fit_linear(characters, training, [e.text for e in made_up(30, 9)], taxonomy, ONE)
    assert first.rules == second.rules


def test_texts_are_normalised_first(taxonomy: Taxonomy) -> None:
    training = made_up(60, 1)
    scores = fit_linear(
        characters, training, ["座椅太硬了", "座 椅 太 硬 了", "座椅太硬了\u200b"], taxonomy, ONE
    ).scores
    assert np.allclose(scores.mention[0], scores.mention[2])


def test_settings_are_chosen_by_cross_validation(taxonomy: Taxonomy) -> None:
    """A regularisation so strong that it learns nothing loses, wherever it stands in the grid."""
    training = made_up(100, 3)
    useless, useful = Setting(1e-6), Setting(8.0)
    for grid in ((useless, useful), (useful, useless)):
        settings = fit_linear(characters, training, ["座椅"], taxonomy, grid).settings
        assert settings["polarity"]["strength"] == settings["mention"]["strength"] == 8.0


def test_classes_that_training_never_shows_are_never_said(taxonomy: Taxonomy) -> None:
    training = made_up(60, 1)
    scores = fit_linear(characters, training, ["片子好看", "座椅太硬了"], taxonomy, ONE).scores
    assert (scores.mention[:, taxonomy.index["price"]] == NEVER).all()
    assert (scores.mention[:, taxonomy.index["film"]] == NEVER).all()  # not judged in training
    neutral = taxonomy.sentiments.index("neutral")
    assert (scores.polarity.argmax(-1) != neutral).all()


def test_by_dimension_puts_a_row_into_the_block_of_its_dimension() -> None:
    features = sp.csr_matrix(np.array([[1.0, 0.0, 2.0], [0.0, 3.0, 0.0]]))
    made = by_dimension(features, np.array([1, 0]), 2).toarray()
    assert made.tolist() == [
        [1, 0, 2, 0, 0, 0, 1, 0, 2, 0, 1],
        [0, 3, 0, 0, 3, 0, 0, 0, 0, 1, 0],
    ]


def test_best_counts_by_hand() -> None:
    logits = np.array([4.0, 3.0, 2.0, 1.0, 9.0])
    labels = np.array([1, 0, 1, 0, UNKNOWN])
    assert best_counts(logits, labels) == (2.0, 5.0)  # the three surest: F1 of 4/5
    assert best_counts(logits, np.zeros(5, int)) == (0.0, 0.0)
