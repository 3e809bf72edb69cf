"""Texts of two clauses whose labels are in their words."""

from __future__ import annotations

import random

from training.example import Example

GOOD = {"座椅很舒服": "seating", "音响很震撼": "sound", "前台很热情": "staff", "停车很方便": "parking"}
BAD = {"座椅太硬了": "seating", "音响太吵了": "sound", "前台没人理": "staff", "停车要排队": "parking"}


def made_up(size: int, seed: int) -> list[Example]:
    """Texts of two clauses and a number: what they mention and how is in their words."""
    rng = random.Random(seed)
    examples = []
    for _ in range(size):
        clauses = rng.sample([*GOOD, *BAD], 2)
        labels = {}
        for clause in clauses:
            key, sentiment = (GOOD[clause], "positive") if clause in GOOD else (BAD[clause], "negative")
            labels.setdefault(key, (sentiment, -1, -1))
        bad = sum(clause in BAD for clause in clauses)
        text = f"{clauses[0]}，{clauses[1]}，{rng.choice(('投诉', '')) if bad == 2 else ''}第{rng.randrange(10**9)}场"
        examples.append(
            Example(
                text,
                labels,
                frozenset({"seating", "sound", "staff", "parking", "price"}),
                ("positive", "neutral", "negative")[bad],
                "complaint" if "投诉" in text else "review",
                "投诉" in text,
            )
        )
    return examples
