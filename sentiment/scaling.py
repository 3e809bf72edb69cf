"""Raw logits → calibrated ones: how sharp a head is, which class it leans to, and that talk of the film misleads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentiment.taxonomy import Taxonomy

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Scaling:
    """Every head's logits / (temperature · factor^g) + bias; a head that is not named keeps its logits.

    Temperature and bias are those of Guo et al. 2017 (vector scaling with one temperature; of a yes-or-no head Platt
    1999). A model is less reliable where the text speaks of the film, as site comments do, so there the temperature is
    another: `g` (0–1) is the sigmoid of the raw mention logit of what is no service, nil where all dimensions are.

    Args:
        temperatures, factors: head → number, positive. biases: head → a number for each class, or one.
        aside: positions of the dimensions that are no service.
    """

    temperatures: Mapping[str, float] = field(default_factory=dict)
    factors: Mapping[str, float] = field(default_factory=dict)
    biases: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    aside: tuple[int, ...] = ()

    @classmethod
    def from_config(cls, config: Mapping[str, Any], taxonomy: Taxonomy) -> Scaling:
        """From a checkpoint's config.json; those before version 0.2 hold temperatures alone.

        Raises:
            TypeError, ValueError: the values are no numbers.
        """
        return cls(
            {name: float(value) for name, value in config["temperatures"].items()},
            {name: float(value) for name, value in config.get("factors", {}).items()},
            {name: tuple(map(float, values)) for name, values in config.get("biases", {}).items()},
            not_service(taxonomy),
        )

    def to_config(self) -> dict[str, dict[str, Any]]:
        """The parts of config.json."""
        return {
            "temperatures": dict(self.temperatures),
            "factors": dict(self.factors),
            "biases": {name: list(values) for name, values in self.biases.items()},
        }

    def share(self, mention: Floats) -> Floats:
        """g of raw mention logits [..., K] → [...]."""
        if not self.aside:
            return np.zeros(mention.shape[:-1])
        return np.asarray(0.5 * (1.0 + np.tanh(0.5 * mention[..., list(self.aside)].max(-1))))

    def scaled(self, head: str, logits: Floats, share: Floats) -> Floats:
        """The head's logits [N, ...], given g [N] of the same texts."""
        temperature, factor = self.temperatures.get(head, 1.0), self.factors.get(head, 1.0)
        bias = self.biases.get(head, (0.0,))
        if factor == 1.0:
            scaled = logits / temperature
        else:
            scaled = logits / (temperature * factor**share).reshape(-1, *(1,) * (logits.ndim - 1))
        return scaled + (bias[0] if len(bias) == 1 else bias)


def not_service(taxonomy: Taxonomy) -> tuple[int, ...]:
    """Positions of the dimensions that are no service, such as the film."""
    return tuple(i for i, key in enumerate(taxonomy.keys) if key not in taxonomy.service_keys)
