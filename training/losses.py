"""The losses: against a person's labels, masked where unknown, and against a teacher's probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from training.metrics import HEADS, UNKNOWN

if TYPE_CHECKING:
    from training.model import CinesentOutput

# Mention cells are many and mostly easy: its mean over cells is scaled up to weigh as much as a sum over dimensions.
LOSS_WEIGHTS = {
    "mention": 10.0, "polarity": 2.0, "evidence": 0.3, "overall": 1.5, "intent": 0.5, "escalation": 0.5, "rating": 0.3,
}  # fmt: skip


def losses(output: CinesentOutput, labels: dict[str, Tensor], weights: Tensor | None) -> dict[str, Tensor]:
    """The loss of each head, in float32, over the cells that have a label; a head without any gets 0."""
    size = labels["mention"].shape[0]
    texts = torch.ones(size) if weights is None else weights.float()
    cells = texts[:, None].expand_as(labels["mention"])

    known = (labels["mention"] != UNKNOWN).float() * cells
    target = labels["mention"].clamp(min=0).float()
    mention = nn.functional.binary_cross_entropy_with_logits(_floats(output.mention), target, reduction="none")

    said = labels["polarity"] != UNKNOWN
    polarity = _cross_entropy(_floats(output.polarity), labels["polarity"])

    # Cross-entropy of the attention against a uniform distribution over the labelled span, so that it learns the ends.
    span = labels["evidence"].float()
    tokens = span.sum(1)
    outside = -(_floats(output.evidence).clamp(min=-30.0) * span).sum(1) / tokens.clamp(min=1.0)
    has_span = (tokens > 0).float() * cells

    escalation = nn.functional.binary_cross_entropy_with_logits(
        _floats(output.escalation), labels["escalation"].clamp(min=0).float(), reduction="none"
    )
    stars = ~torch.isnan(labels["rating"])
    rating = nn.functional.smooth_l1_loss(
        _floats(output.rating), torch.nan_to_num(labels["rating"].float()), reduction="none"
    )
    return {
        "mention": _mean(mention, known),
        "polarity": _mean(polarity, said.float() * cells),
        "evidence": _mean(outside, has_span),
        "overall": _mean(
            _cross_entropy(_floats(output.overall), labels["overall"]), (labels["overall"] != UNKNOWN) * texts
        ),
        "intent": _mean(
            _cross_entropy(_floats(output.intent), labels["intent"]), (labels["intent"] != UNKNOWN) * texts
        ),
        "escalation": _mean(escalation, (labels["escalation"] != UNKNOWN) * texts),
        "rating": _mean(rating, stars * texts),
    }


def distillation_loss(output: CinesentOutput, soft: Mapping[str, Tensor], weights: Tensor | None) -> Tensor:
    """Cross-entropy of the student's answers against the teacher's, over the texts that have one; a scalar.

    Args:
        output: logits of B texts over K dimensions.
        soft: by head, probabilities in the shapes of the logits; NaN where there is no teacher.
        weights: [B], the weight of each text.

    A sentiment counts as much as the teacher believes in the mention. A cell without a teacher costs nothing.
    """
    size = soft["escalation"].shape[0]
    texts = torch.ones(size) if weights is None else weights.float()
    target = {name: torch.nan_to_num(soft[name].float()) for name in HEADS}
    logits = {name: _floats(getattr(output, name)) for name in HEADS}

    def binary(name: str) -> Tensor:
        return nn.functional.binary_cross_entropy_with_logits(logits[name], target[name], reduction="none")

    def classes(name: str) -> Tensor:
        return -(target[name] * logits[name].log_softmax(-1)).sum(-1)

    def taught(name: str) -> Tensor:
        return torch.isfinite(soft[name]).float() * texts.reshape(-1, *[1] * (soft[name].ndim - 1))

    parts = {
        "mention": (binary("mention"), taught("mention")),
        "polarity": (classes("polarity"), taught("polarity")[..., 0] * target["mention"]),
        "overall": (classes("overall"), taught("overall")[:, 0]),
        "intent": (classes("intent"), taught("intent")[:, 0]),
        "escalation": (binary("escalation"), taught("escalation")),
    }
    return torch.stack([LOSS_WEIGHTS[name] * _mean(value, share) for name, (value, share) in parts.items()]).sum()


def _floats(logits: Tensor | None) -> Tensor:
    assert logits is not None
    return logits.float()


def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    return nn.functional.cross_entropy(logits.movedim(-1, 1), labels, ignore_index=UNKNOWN, reduction="none")


def _mean(values: Tensor, weights: Tensor) -> Tensor:
    return (values * weights).sum() / weights.sum().clamp(min=1.0)
