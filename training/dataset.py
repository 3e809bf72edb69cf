"""Examples → `datasets.Dataset` and padded batches: tokens, label codings, evidence as spans of tokens."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import datasets
import numpy as np
import torch
from transformers import PreTrainedTokenizerFast

from sentiment.taxonomy import Taxonomy
from sentiment.text import normalise
from training.example import Example
from training.metrics import HEADS, UNKNOWN


def encode(
    examples: Sequence[Example], tokenizer: PreTrainedTokenizerFast, taxonomy: Taxonomy, max_tokens: int
) -> datasets.Dataset:
    """Tokenises examples into a `Dataset` whose columns are the arguments of the model's forward.

    Evidence is kept as token spans [K, 2], (-1, -1) where none was given. A text longer than `max_tokens` is cut; a
    mention whose evidence lies behind the cut becomes unknown, and so does "not mentioned" in a cut text.
    """
    normalised = [normalise(e.text) for e in examples]
    # Evidence offsets are of the caller's text: bring each normalised character's origin along.
    encodings = tokenizer(
        [n.text for n in normalised], truncation=True, max_length=max_tokens, return_offsets_mapping=True
    )
    rows: dict[str, list[Any]] = defaultdict(list)
    count = len(taxonomy.keys)
    for i, (example, norm) in enumerate(zip(examples, normalised, strict=True)):
        offsets = encodings["offset_mapping"][i]
        origin = [norm.original_span(s, e) if e > s else (-1, -1) for s, e in offsets]
        read = max((end for _, end in origin), default=0)
        cut = len(offsets) >= max_tokens and offsets[-2][1] < len(norm.text)
        mention, polarity, spans = [UNKNOWN] * count, [UNKNOWN] * count, [[-1, -1]] * count
        for k, key in enumerate(taxonomy.keys):
            if key not in example.annotated:
                continue
            if key not in example.labels:
                mention[k] = UNKNOWN if cut else 0
                continue
            sentiment, start, end = example.labels[key]
            tokens = [t for t, (s, e) in enumerate(origin) if s < end and e > start and s >= 0] if start >= 0 else []
            if cut and (start < 0 or start >= read):
                continue
            mention[k], polarity[k] = 1, taxonomy.sentiments.index(sentiment)
            if tokens:
                spans[k] = [tokens[0], tokens[-1] + 1]
        rows["input_ids"].append(encodings["input_ids"][i])
        rows["length"].append(len(encodings["input_ids"][i]))
        rows["mention_labels"].append(mention)
        rows["polarity_labels"].append(polarity)
        rows["spans"].append(spans)
        rows["overall_labels"].append(UNKNOWN if example.overall is None else taxonomy.overall.index(example.overall))
        rows["intent_labels"].append(UNKNOWN if example.intent is None else taxonomy.intents.index(example.intent))
        rows["escalation_labels"].append(UNKNOWN if example.escalation is None else int(example.escalation))
        rows["rating_labels"].append(math.nan if example.rating is None else example.rating)
        rows["weights"].append(example.weight)
    taught = next((e.soft for e in examples if e.soft is not None), None)
    if taught is not None:
        for head in HEADS:
            nothing = np.full_like(taught[head], np.nan)
            rows[f"soft_{head}"] = [np.asarray(nothing if e.soft is None else e.soft[head]).tolist() for e in examples]
    return datasets.Dataset.from_dict(dict(rows))


@dataclass
class Collator:
    """Pads a batch of encoded rows to its longest and spreads evidence spans over tokens."""

    pad_token_id: int

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        longest = max(len(row["input_ids"]) for row in rows)
        ids = np.full((len(rows), longest), self.pad_token_id, dtype=np.int64)
        mask = np.zeros((len(rows), longest), dtype=np.int64)
        evidence = np.zeros((len(rows), longest, len(rows[0]["spans"])), dtype=np.float32)
        for i, row in enumerate(rows):
            n = len(row["input_ids"])
            ids[i, :n], mask[i, :n] = row["input_ids"], 1
            for k, (start, end) in enumerate(row["spans"]):
                evidence[i, max(start, 0) : max(end, 0), k] = 1
        batch = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
        batch["evidence_labels"] = torch.from_numpy(evidence)
        for name in ("mention_labels", "polarity_labels", "overall_labels", "intent_labels", "escalation_labels"):
            batch[name] = torch.tensor([row[name] for row in rows], dtype=torch.int64)
        for name in ("rating_labels", "weights", *(f"soft_{head}" for head in HEADS)):
            if name in rows[0]:
                batch[name] = torch.tensor([row[name] for row in rows], dtype=torch.float32)
        return batch
