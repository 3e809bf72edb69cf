"""The model: one encoder pass, then mention, polarity and evidence of every dimension, and heads for the whole text.

Factorised as mention × polarity. Each dimension pools the tokens by its own attention, which is trained on the labelled
evidence spans, and the best single token speaks as well (after the multi-head joint model of ASAP, NAACL 2021, and the
instance attention of AC-MIMLLN, EMNLP 2020).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.utils import ModelOutput

from sentiment.taxonomy import Taxonomy, taxonomy_from_dict
from training.bases import keep_layers
from training.losses import LOSS_WEIGHTS, losses

# Parameters with one row a dimension.
PER_DIMENSION = ("attention.", "token_mention.", "mention_weight", "mention_bias", "polarity_weight")
TEXT_HEADS = 3  # overall, intent, escalation pool the text each in its own way
WINDOW = 192  # tokens, of a model whose heads are new, unless told


class CinesentConfig(PreTrainedConfig):
    """Label space and encoder of a model, and the decision rules of the checkpoint that its training began with.

    The rules are empty where it began with a bare encoder. `thresholds` holds the least mention probability per
    dimension; `temperatures`, `factors` and `biases` are those of `sentiment.scaling.Scaling`.
    """

    model_type = "cinesent"
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["evidence"]  # [B, T, K] of every batch would fill memory

    def __init__(
        self,
        encoder: dict[str, Any] | None = None,
        taxonomy: dict[str, Any] | None = None,
        max_tokens: int = 256,
        thresholds: dict[str, float] | None = None,
        temperatures: dict[str, float] | None = None,
        factors: dict[str, float] | None = None,
        biases: dict[str, list[float]] | None = None,
        uncertain: dict[str, float] | None = None,
        dropout: float = 0.1,
        **kwargs: Any,
    ) -> None:
        self.encoder = encoder or {}
        self.taxonomy = taxonomy or {}
        self.max_tokens = max_tokens
        self.thresholds = thresholds or {}
        self.temperatures = temperatures or {}
        self.factors = factors or {}
        self.biases = biases or {}
        self.uncertain = uncertain or {}
        self.dropout = dropout
        super().__init__(**kwargs)

    def label_space(self) -> Taxonomy:
        return taxonomy_from_dict(self.taxonomy)


@dataclass
class CinesentOutput(ModelOutput):
    """Logits of a batch of B texts of T tokens over K dimensions.

    mention [B, K]; polarity [B, K, 3]; evidence [B, T, K] (log attention); overall [B, 3]; intent [B, intents];
    escalation [B]; rating [B], in stars; loss: scalar, where labels were given.
    """

    loss: Tensor | None = None
    mention: Tensor | None = None
    polarity: Tensor | None = None
    overall: Tensor | None = None
    intent: Tensor | None = None
    escalation: Tensor | None = None
    evidence: Tensor | None = None
    rating: Tensor | None = None


class CinesentModel(PreTrainedModel):
    """An encoder with all heads. Labels are optional and masked where unknown; see `forward`."""

    config_class = CinesentConfig
    base_model_prefix = "encoder"

    def __init__(self, config: CinesentConfig, encoder: PreTrainedModel | None = None) -> None:
        super().__init__(config)
        if encoder is None:
            options = dict(config.encoder)
            encoder = AutoModel.from_config(AutoConfig.for_model(options.pop("model_type"), **options))
        # A pooler reads only the first token; nothing here does.
        if getattr(encoder, "pooler", None) is not None:
            encoder.pooler = None
        self.encoder = encoder
        space = config.label_space()
        size, count = int(encoder.config.hidden_size), len(space.dimensions)
        self.dimensions = count
        self.norm = nn.LayerNorm(size)
        self.dropout = nn.Dropout(config.dropout)
        self.attention = nn.Linear(size, count + TEXT_HEADS)
        self.token_mention = nn.Linear(size, count)
        self.transform = nn.Linear(size, size)
        self.mention_weight = nn.Parameter(torch.empty(count, size))
        self.mention_bias = nn.Parameter(torch.zeros(count))
        self.polarity_weight = nn.Parameter(torch.zeros(count, size, 3))
        self.polarity = nn.Linear(size, 3)
        self.overall = nn.Linear(3 * size, 3)
        self.intent = nn.Linear(3 * size, len(space.intents))
        self.escalation = nn.Linear(3 * size, 1)
        self.rating = nn.Linear(3 * size, 1)
        nn.init.normal_(self.mention_weight, std=0.02)
        self.post_init()  # type: ignore[no-untyped-call]

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.02)
            nn.init.zeros_(module.bias)

    def head_parameters(self) -> list[nn.Parameter]:
        """Everything that no pretraining has seen: these learn at a higher rate."""
        return [p for name, p in self.named_parameters() if not name.startswith("encoder.")]

    def set_mention_prior(self, rates: Tensor, rows: Sequence[int] | None = None) -> None:
        """Starts the mention biases at the log odds of the dimensions' rates [K], 0..1: almost all targets are 0.

        `rows`: the positions of the dimensions that begin there; all by default.
        """
        chosen = list(range(self.dimensions) if rows is None else rows)
        with torch.no_grad():
            self.mention_bias[chosen] = torch.logit(rates.clamp(1e-3, 0.9))[chosen]

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        mention_labels: Tensor | None = None,
        polarity_labels: Tensor | None = None,
        evidence_labels: Tensor | None = None,
        overall_labels: Tensor | None = None,
        intent_labels: Tensor | None = None,
        escalation_labels: Tensor | None = None,
        rating_labels: Tensor | None = None,
        weights: Tensor | None = None,
    ) -> CinesentOutput:
        """Runs the model; with labels, also the loss.

        Args:
            input_ids, attention_mask: [B, T].
            mention_labels: [B, K], 1, 0 or -100 for unknown; polarity_labels: [B, K], class or -100.
            evidence_labels: [B, T, K], 1 inside the labelled span.
            overall_labels, intent_labels: [B], class or -100. escalation_labels: [B], 1, 0, -100.
            rating_labels: [B], stars or NaN. weights: [B], the weight of each text in the loss.
        """
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        if torch.is_autocast_enabled(hidden.device.type):
            # The heads are small and their logits are what is learned from: bfloat16 is for the encoder.
            with torch.autocast(hidden.device.type, enabled=False):
                output = self._heads(hidden.float(), attention_mask)
        else:
            output = self._heads(hidden, attention_mask)
        if mention_labels is not None:
            labels = {
                "mention": mention_labels, "polarity": polarity_labels, "evidence": evidence_labels,
                "overall": overall_labels, "intent": intent_labels, "escalation": escalation_labels,
                "rating": rating_labels,
            }  # fmt: skip
            parts = losses(output, cast("dict[str, Tensor]", labels), weights)
            output.loss = torch.stack([LOSS_WEIGHTS[name] * value for name, value in parts.items()]).sum()
        return output

    def _heads(self, hidden: Tensor, attention_mask: Tensor) -> CinesentOutput:
        states = self.dropout(self.norm(hidden))
        padding = (1.0 - attention_mask[:, :, None].to(states.dtype)) * -1e4
        scores = self.attention(states) + padding
        log_attention = torch.log_softmax(scores, dim=1)
        pooled = torch.matmul(log_attention.exp().transpose(1, 2), states)  # [B, K + 3, size]
        topics = pooled[:, : self.dimensions]
        best = (self.token_mention(states) + padding).amax(dim=1)
        mention = (topics * self.mention_weight).sum(-1) + best + self.mention_bias
        features = self.dropout(nn.functional.gelu(self.transform(topics)))
        polarity = self.polarity(features) + torch.matmul(features[:, :, None, :], self.polarity_weight).squeeze(2)

        mask = attention_mask[:, :, None].to(states.dtype)
        mean = (states * mask).sum(1) / mask.sum(1)
        highest = (states + padding).amax(dim=1)
        whole = [torch.cat([mean, highest, pooled[:, self.dimensions + head]], dim=-1) for head in range(TEXT_HEADS)]
        return CinesentOutput(
            mention=mention,
            polarity=polarity,
            overall=self.overall(whole[0]),
            intent=self.intent(whole[1]),
            escalation=self.escalation(whole[2]).squeeze(-1),
            evidence=log_attention[:, :, : self.dimensions],
            rating=self.rating(whole[0]).squeeze(-1),
        )


def build_model(
    encoder: PreTrainedModel, taxonomy: Taxonomy, *, layers: int | None = None, max_tokens: int | None = None
) -> CinesentModel:
    """Puts fresh heads on an encoder, of which the first `layers` layers are kept (all without it).

    `max_tokens`: the window, special tokens counted with the others; `WINDOW` by default.
    """
    if layers is not None:
        keep_layers(encoder, layers)
    _without_attention_dropout(encoder)
    config = CinesentConfig(
        encoder=encoder.config.to_dict(),
        taxonomy=taxonomy.to_dict(),
        max_tokens=within_positions(encoder, WINDOW if max_tokens is None else max_tokens),
    )
    return CinesentModel(config, encoder)


def within_positions(encoder: PreTrainedModel, max_tokens: int) -> int:
    """The window that was asked for, at most what the encoder has positions for: some encoders leave two unused."""
    positions = getattr(encoder.config, "max_position_embeddings", None) or math.inf
    return int(min(max_tokens, positions - 2))


def _without_attention_dropout(encoder: PreTrainedModel) -> None:
    """On a CPU, dropping attention weights bars the fused attention kernel."""
    for name, module in encoder.named_modules():
        if name.endswith("attention.self.dropout"):
            cast(nn.Dropout, module).p = 0.0
    if hasattr(encoder.config, "attention_probs_dropout_prob"):
        encoder.config.attention_probs_dropout_prob = 0.0


def with_taxonomy(model: CinesentModel, taxonomy: Taxonomy) -> CinesentModel:
    """The model for another label space: its encoder, and the heads of every dimension that both share by key.

    The heads for intent are kept only if the intents are the same.
    """
    old = model.config.label_space()
    if old == taxonomy:
        return model
    # Thresholds are by dimension; the rest of the rules is of heads whose classes may be others now.
    thresholds = {key: value for key, value in model.config.thresholds.items() if key in (*taxonomy.keys, "escalation")}
    new = CinesentModel(
        CinesentConfig(
            encoder=model.config.encoder,
            taxonomy=taxonomy.to_dict(),
            max_tokens=model.config.max_tokens,
            thresholds=thresholds,
        ),
        model.encoder,
    )
    source, target = model.state_dict(), new.state_dict()
    # The classes may stand in another order.
    sentiments = [old.sentiments.index(name) for name in taxonomy.sentiments]
    source["polarity_weight"] = source["polarity_weight"][:, :, sentiments]
    for head, order in (("polarity", sentiments), ("overall", [old.overall.index(name) for name in taxonomy.overall])):
        for part in ("weight", "bias"):
            source[f"{head}.{part}"] = source[f"{head}.{part}"][order]
    shared = [(old.index[key], taxonomy.index[key]) for key in taxonomy.keys if key in old.index]
    offset = len(taxonomy.keys) - len(old.keys)  # the heads for the whole text follow those of the dimensions
    rows = [*shared, *((len(old.keys) + i, len(old.keys) + i + offset) for i in range(TEXT_HEADS))]
    with torch.no_grad():
        for name, value in target.items():
            if name.startswith("encoder."):
                continue
            if name.startswith("intent.") and old.intents != taxonomy.intents:
                continue
            if value.shape == source[name].shape and not name.startswith(PER_DIMENSION):
                value.copy_(source[name])
            elif name.startswith(PER_DIMENSION):
                for before, after in rows if name.startswith("attention.") else shared:
                    value[after] = source[name][before]
    new.load_state_dict(target)
    return new


AutoConfig.register("cinesent", CinesentConfig)
AutoModel.register(CinesentConfig, CinesentModel)
