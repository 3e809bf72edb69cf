from __future__ import annotations

import numpy as np
import pytest

from sentiment.scaling import Scaling, not_service
from sentiment.taxonomy import load_taxonomy, taxonomy_from_dict


def test_scaling_without_settings_changes_nothing() -> None:
    logits = np.array([[1.0, -2.0], [0.5, 4.0]])
    assert (Scaling().scaled("overall", logits, np.array([0.0, 1.0])) == logits).all()


def test_scaling_divides_by_the_temperature_and_adds_the_bias() -> None:
    scaling = Scaling({"overall": 2.0}, {}, {"overall": (0.5, 0.0, -1.0), "mention": (0.25,)})
    share = np.zeros(1)
    assert scaling.scaled("overall", np.array([[4.0, 2.0, 0.0]]), share).tolist() == [[2.5, 1.0, -1.0]]
    assert scaling.scaled("mention", np.array([[1.0, 2.0]]), share).tolist() == [[1.25, 2.25]]
    assert scaling.scaled("intent", np.array([[1.0]]), share).tolist() == [[1.0]]


def test_scaling_takes_the_factor_by_the_share_of_talk_about_the_film() -> None:
    scaling = Scaling({"polarity": 2.0}, {"polarity": 4.0}, {}, (1,))
    share = scaling.share(np.array([[9.0, -50.0], [9.0, 0.0], [9.0, 50.0]]))
    assert share == pytest.approx([0.0, 0.5, 1.0])
    logits = np.full((3, 2, 3), 8.0)
    assert scaling.scaled("polarity", logits, share)[:, 0, 0] == pytest.approx([4.0, 2.0, 1.0])
    assert Scaling().share(np.ones((2, 3))).tolist() == [0.0, 0.0]


def test_scaling_knows_the_film_from_the_taxonomy() -> None:
    taxonomy = load_taxonomy()
    (film,) = not_service(taxonomy)
    assert taxonomy.keys[film] == "film"
    spec = taxonomy.to_dict()
    rest = taxonomy_from_dict({**spec, "dimensions": [d for d in spec["dimensions"] if d["key"] != "film"]})
    assert not_service(rest) == ()


def test_scaling_comes_back_from_a_config() -> None:
    taxonomy = load_taxonomy()
    scaling = Scaling({"mention": 1.5}, {"overall": 1.25}, {"overall": (0.5, 0.0, -0.5)}, not_service(taxonomy))
    assert Scaling.from_config(scaling.to_config(), taxonomy) == scaling
    old = Scaling.from_config({"temperatures": {"mention": 1.5}}, taxonomy)
    assert (old.temperatures, old.factors, old.biases) == ({"mention": 1.5}, {}, {})
    with pytest.raises(ValueError, match="could not convert"):
        Scaling.from_config({"temperatures": {"mention": "warm"}}, taxonomy)
