"""Rows made of our own texts, as many as are wanted, none like another.

Apart from `benchmarks.memory`: a process whose memory is measured imports this, and nothing that it does not need.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

TEXTS = Path(__file__).parent.parent / "data" / "cinema" / "train.jsonl"


def rows(count: int) -> Iterator[tuple[str, str, str]]:
    """Number, cinema and a text made unlike the others by its number: no deduplication, no shared strings saved."""
    rng = random.Random(5)
    texts = [json.loads(line)["text"] for line in TEXTS.read_text("utf-8").splitlines()]
    for number in range(count):
        yield str(number), f"星河影城{number % 37}号店", f"{rng.choice(texts)} {number}"


def mean_characters(count: int) -> float:
    """Of the texts of `rows`."""
    return round(sum(len(text) for _, _, text in rows(count)) / count, 1)
