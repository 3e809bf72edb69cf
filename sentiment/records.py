"""The analysis record: what the library, the command line and the HTTP API all return for one text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

SCHEMA = 1

Sentiment = Literal["positive", "neutral", "negative"]
Script = Literal["hans", "hant", "mixed", "other"]
Status = Literal["ok", "empty", "not_chinese"]

# The order of `probabilities`, fixed by the record's contract.
PROBABILITY_ORDER: tuple[Sentiment, ...] = ("negative", "neutral", "positive")


@dataclass(frozen=True, slots=True)
class Mention:
    """One dimension that a text mentions.

    `start` and `end` are code points of the caller's text: `text[start:end] == evidence`.
    """

    dimension: str
    sentiment: Sentiment
    confidence: float
    evidence: str
    start: int
    end: int
    owner: str = ""

    def to_dict(self) -> dict[str, Any]:
        return {
            "dimension": self.dimension,
            "sentiment": self.sentiment,
            "confidence": self.confidence,
            "evidence": self.evidence,
            "start": self.start,
            "end": self.end,
            "owner": self.owner,
        }


@dataclass(frozen=True, slots=True)
class Analysis:
    """What one text says. `overall`, `intent` and `escalation` are None unless `status` is "ok".

    `dimensions` lists the mentions, most confident first; `probabilities` gives for every dimension
    (negative, neutral, positive), whose sum is the probability that the text mentions it.
    """

    model: str
    id: str | None
    status: Status
    script: Script
    overall: Sentiment | None = None
    overall_confidence: float | None = None
    intent: str | None = None
    intent_confidence: float | None = None
    escalation: bool | None = None
    escalation_confidence: float | None = None
    dimensions: tuple[Mention, ...] = ()
    uncertain: bool = False
    tokens: int = 0
    windows: int = 0
    truncated: bool = False
    probabilities: dict[str, tuple[float, float, float]] = field(default_factory=dict)

    def to_dict(self, *, probabilities: bool = False) -> dict[str, Any]:
        """The record as plain JSON values, keys in the order of the contract."""
        record: dict[str, Any] = {
            "schema": SCHEMA,
            "model": self.model,
            "id": self.id,
            "overall": None
            if self.overall is None
            else {"sentiment": self.overall, "confidence": self.overall_confidence},
            "intent": None if self.intent is None else {"label": self.intent, "confidence": self.intent_confidence},
            "escalation": None
            if self.escalation is None
            else {"label": self.escalation, "confidence": self.escalation_confidence},
            "dimensions": [mention.to_dict() for mention in self.dimensions],
            "uncertain": self.uncertain,
            "script": self.script,
            "tokens": self.tokens,
            "windows": self.windows,
            "truncated": self.truncated,
            "status": self.status,
        }
        if probabilities:
            record["probabilities"] = {key: list(values) for key, values in self.probabilities.items()}
        return record
