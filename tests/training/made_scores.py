"""Scores and labels made up for tests of what is measured: as told, or drawn so that they are calibrated."""

from __future__ import annotations

from typing import Any

import numpy as np

from sentiment.scaling import Scaling
from sentiment.taxonomy import Taxonomy
from training.calibrate import Calibration
from training.example import Example
from training.scores import Scores


def example(text: str, labels: dict[str, tuple[str, int, int]] | None = None, **more: Any) -> Example:
    return Example(text, labels or {}, **{"overall": "neutral", "intent": "review", "escalation": False} | more)


def scored(taxonomy: Taxonomy, said: list[dict[str, Any]]) -> Scores:
    """Scores that say what is told, each with a probability: `{"seating": ("negative", 0.8, (0, 4)), "overall": …}`."""
    size, count = len(said), len(taxonomy.keys)
    table = Scores(
        np.full((size, count), -6.0), np.zeros((size, count, 3)), np.zeros((size, 3)),
        np.zeros((size, len(taxonomy.intents))), np.full(size, -6.0), np.zeros((size, count, 2), dtype=int),
    )  # fmt: skip
    names = {"overall": taxonomy.overall, "intent": taxonomy.intents}
    for i, row in enumerate(said):
        for head, value in row.items():
            if head in names:
                label, share = value
                classes = names[head]
                rest = (1 - share) / (len(classes) - 1)
                getattr(table, head)[i] = [np.log(share if name == label else rest) for name in classes]
            elif head == "escalation":
                table.escalation[i] = np.log(value / (1 - value))
            else:
                label, share, span = value
                k = taxonomy.index[head]
                table.mention[i, k] = np.log(share / (1 - share))
                table.polarity[i, k] = [9.0 if name == label else -9.0 for name in taxonomy.sentiments]
                table.evidence[i, k] = span
    return table


def plain_rules(taxonomy: Taxonomy) -> Calibration:
    return Calibration(Scaling(), dict.fromkeys((*taxonomy.keys, "escalation"), 0.5), {})


def value(report: dict[str, Any], *path: str) -> Any:
    found: Any = report
    for name in path:
        found = found[name]
    return found["value"]


def simulated(taxonomy: Taxonomy, size: int, seed: int = 0) -> tuple[Scores, list[Example]]:
    """Scores with labels drawn from them: calibrated at temperature 1."""
    rng = np.random.default_rng(seed)
    count = len(taxonomy.keys)
    shapes = {"mention": (count,), "polarity": (count, 3), "overall": (3,), "intent": (len(taxonomy.intents),)}
    logits = {name: rng.normal(0, 2, (size, *shape)) for name, shape in shapes.items()}
    logits["mention"] -= 2
    said = rng.random((size, count)) < 1 / (1 + np.exp(-logits["mention"]))
    drawn = {n: (logits[n] + rng.gumbel(size=logits[n].shape)).argmax(-1) for n in ("polarity", "overall", "intent")}
    risk = rng.normal(0, 2, size)
    escalated = rng.random(size) < 1 / (1 + np.exp(-risk))
    names = [[taxonomy.sentiments[c] for c in row] for row in drawn["polarity"]]
    examples = [
        Example(
            f"第{i}条{rng.integers(10**12)}好",
            {key: (names[i][k], -1, -1) for k, key in enumerate(taxonomy.keys) if said[i, k]},
            frozenset(taxonomy.keys),
            taxonomy.overall[drawn["overall"][i]],
            taxonomy.intents[drawn["intent"][i]],
            bool(escalated[i]),
        )
        for i in range(size)
    ]
    return Scores(**logits, escalation=risk, evidence=np.zeros((size, count, 2), dtype=int)), examples
