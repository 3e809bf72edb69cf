"""Between a start and what training made of it: a weighted mean of both weights (WiSE-FT, Wortsman et al. 2022).

Texts that say little pull a checkpoint away from the rest of what it can do, most of all in the very heads that they
label: reviews among which none is neutral unlearn neutral. Every point on the line between the two weights is a model
of the same speed. Which one: that which does best on the training's held-out texts, of those that do no worse than the
start on development texts. The start itself is one of them: on these very texts nothing is lost, and a start that is
kept whole has learnt nothing. What the chosen one does has to be judged on texts that it was not chosen by.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

SHARES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)  # of the start
UNTOLD = 0.5  # where there are no development texts to choose by: the middle, as the paper advises


def set_between(model: torch.nn.Module, before: Mapping[str, Tensor], after: Mapping[str, Tensor], kept: float) -> None:
    """Gives the model the mean of two states of it; `kept` is the share of `before`. What is no float is `after`'s."""
    model.load_state_dict(
        {
            name: torch.lerp(value, before[name], kept) if value.is_floating_point() else value
            for name, value in after.items()
        }
    )


def copied(model: torch.nn.Module) -> dict[str, Tensor]:
    """The model's state, apart from it."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def keep_of_start(
    model: torch.nn.Module,
    before: Mapping[str, Tensor],
    share: float | None,
    held_out: Callable[[], float],
    development: Callable[[], float] | None,
) -> dict[str, Any]:
    """Moves the trained model towards its start.

    Args:
        before: the start's state. share: how far, 0 to 1; None to choose among `SHARES` by development texts, `UNTOLD`
            without any. held_out, development: the score of the model as it stands, higher is better.

    Returns:
        `share`, and where it was chosen `tried`: a list of `share`, `held_out`, `development`.
    """
    after = copied(model)
    if share is None and development is None:
        share = UNTOLD
    if share is not None or development is None:
        set_between(model, before, after, float(share or 0))
        return {"share": share}
    tried = []
    for option in SHARES:
        set_between(model, before, after, option)
        tried.append({"share": option, "held_out": held_out(), "development": development()})
    least = tried[-1]["development"]  # the start's
    borne = [entry for entry in tried if entry["development"] >= least]
    best = max(borne, key=lambda entry: (entry["held_out"], entry["development"]))
    set_between(model, before, after, best["share"])
    return {"share": best["share"], "tried": tried}
