"""Between a start and what training made of it: which point of the line is taken."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
import torch
from torch import nn

from training.interpolate import SHARES, UNTOLD, copied, keep_of_start, set_between


class Dot(nn.Module):
    """One weight, which says where on the line the model stands: 1 at the start, 0 after training."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.register_buffer("seen", torch.tensor([0]))

    @property
    def place(self) -> float:
        return round(self.weight.item(), 4)


@pytest.fixture
def trained() -> tuple[Dot, Mapping[str, torch.Tensor]]:
    dot = Dot()
    before = copied(dot)
    with torch.no_grad():
        dot.weight.zero_()
        dot.seen += 7
    return dot, before


def test_set_between_is_the_weighted_mean_and_leaves_counters(trained: tuple[Dot, Mapping[str, torch.Tensor]]) -> None:
    dot, before = trained
    set_between(dot, before, copied(dot), 0.25)
    assert dot.place == 0.25 and int(dot.seen) == 7
    assert before["weight"].item() == 1


@pytest.mark.parametrize(
    ("development", "place"),
    [
        (lambda x: -abs(x - 0.4), 0.0),  # the start is the worst but one: free to go
        (lambda x: x, 1.0),  # every step costs
        (lambda x: 0.5 if x >= 0.6 else 0.4, 0.6),  # only so far
    ],
)
def test_keep_of_start_goes_as_far_as_development_scores_bear(
    trained: tuple[Dot, Mapping[str, torch.Tensor]], development: Callable[[float], float], place: float
) -> None:
    dot, before = trained
    kept = keep_of_start(dot, before, None, lambda: 1 - dot.place, lambda: development(dot.place))
    assert dot.place == pytest.approx(place) and kept["share"] == place
    assert [entry["share"] for entry in kept["tried"]] == list(SHARES)
    assert kept["tried"][0]["held_out"] == 1 and kept["tried"][-1]["held_out"] == 0


def test_keep_of_start_takes_the_better_development_score_of_equally_good(
    trained: tuple[Dot, Mapping[str, torch.Tensor]],
) -> None:
    dot, before = trained
    keep_of_start(dot, before, None, lambda: 0.9, lambda: -abs(dot.place - 0.8))
    assert dot.place == 0.8


def test_keep_of_start_without_development_texts_is_the_middle(
    trained: tuple[Dot, Mapping[str, torch.Tensor]],
) -> None:
    dot, before = trained
    assert keep_of_start(dot, before, None, lambda: 1.0, None) == {"share": UNTOLD}
    assert dot.place == UNTOLD


def test_keep_of_start_takes_a_given_share(trained: tuple[Dot, Mapping[str, torch.Tensor]]) -> None:
    dot, before = trained
    assert keep_of_start(dot, before, 0.1, lambda: 1.0, lambda: 1.0) == {"share": 0.1}
    assert dot.place == 0.1
