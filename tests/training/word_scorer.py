"""A scorer for tests, quick and without a model: what a text's words say, with the confidence written in them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sentiment.batch import ScoreOptions, score
from sentiment.records import Analysis, Mention
from sentiment.tables import ReadOptions, open_tables
from sentiment.taxonomy import Taxonomy, load_taxonomy

WORDS = {"座椅": "seating", "票价": "price", "停车": "parking", "空调": "environment"}
SENTIMENTS = {"好": "positive", "坏": "negative", "平": "neutral"}


class WordScorer:
    """`座椅坏` is seating, negative; the first number in a text is how sure it is of `overall`, in percent."""

    def __init__(self, taxonomy: Taxonomy | None = None) -> None:
        self.name, self.hash = "words@12345678", "12345678"
        self.taxonomy = taxonomy or load_taxonomy()

    def analyze_block(self, texts: Sequence[str], ids: Sequence[str | None] | None = None) -> list[Analysis]:
        return [self.one(text) for text in texts]

    def one(self, text: str) -> Analysis:
        if not text.strip():
            return Analysis(self.name, None, "empty", "other")
        if text.isascii():
            return Analysis(self.name, None, "not_chinese", "other")
        number = re.search(r"\d+", text)
        sure = int(number[0]) / 100 if number else 0.99
        mentions = {
            m[1]: Mention(WORDS[m[1]], SENTIMENTS[m[2]], 0.9, m[0], m.start(), m.end(), "工程")  # type: ignore[arg-type]
            for m in reversed([*re.finditer(f"({'|'.join(WORDS)})([好坏平])", text)])
        }
        found = tuple(reversed(mentions.values()))
        shares = dict.fromkeys(self.taxonomy.keys, (0.01, 0.01, 0.02))
        return Analysis(
            *(
                self.name,
                None,
                "ok",
                "hans",
                "negative",
                sure,
                "review",
                0.97,
                "伤" in text,
                0.98,
                found,
            ),
            *(sure < 0.6, 9, 1),
            probabilities=shares,
        )


def score_file(source: Path, output: Path, **options: Any) -> Path:
    """Scores a file as `cinesent score` does."""
    score(open_tables([source], ReadOptions()), WordScorer(), output, ScoreOptions(**options))
    return output
