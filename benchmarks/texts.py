"""The texts that speed is measured on: short comments and long ones, drawn by seed so that their mean length is given.

With a folder of corpora these are real comments, otherwise our own training texts, cycled where they do not suffice.
"""

from __future__ import annotations

import csv
import json
import random
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from training.corpora import read_rows

OWN = Path(__file__).parent.parent / "data" / "cinema" / "train.jsonl"
CORPORA = ("film_maoyan", "venue_broad")
SHORT_TOKENS = 25  # mean of the short texts, special tokens left out
LONG_CHARACTERS = 280  # mean of the long texts
LONGEST_SHORT = 150  # characters
LONG_BETWEEN = (200, 400)  # characters

ROW_TEXTS = 20_000  # different ones that the rows of a large file are made of

Lengths = Callable[[Sequence[str]], list[int]]


def lengths_by(tokenizer: Any) -> Lengths:
    """Numbers of tokens, special ones and padding left out."""
    tokenizer.no_padding()
    return lambda texts: [
        len(encoding.ids) for encoding in tokenizer.encode_batch(list(texts), add_special_tokens=False)
    ]


@dataclass(frozen=True)
class Drawn:
    """Texts, which every contestant gets alike, and their lengths in tokens of our tokeniser."""

    name: str
    texts: list[str]
    tokens: list[int]
    cycled: bool

    def facts(self) -> dict[str, Any]:
        """What a results file tells of them."""
        return {
            "texts": len(self.texts),
            "distinct": len(set(self.texts)),
            "mean_tokens": round(statistics.mean(self.tokens), 1),
            "mean_characters": round(statistics.mean(map(len, self.texts)), 1),
            "cycled": self.cycled,
        }

    def subsample(self, size: int, seed: int = 0) -> Drawn:
        """`size` of the texts with the same mix of lengths: ranked by length, one from the middle of each quantile."""
        if size >= len(self.texts):
            return self
        ranked = sorted(range(len(self.texts)), key=lambda i: (self.tokens[i], i))
        chosen = [ranked[(2 * k + 1) * len(ranked) // (2 * size)] for k in range(size)]
        random.Random(seed).shuffle(chosen)
        return Drawn(self.name, [self.texts[i] for i in chosen], [self.tokens[i] for i in chosen], self.cycled)


def draw(texts: Sequence[str], lengths: Sequence[int], count: int, mean: float, seed: int) -> tuple[list[str], bool]:
    """`count` of the texts whose lengths average `mean`, as far as they allow, and whether some had to come twice.

    The texts below the mean and those above it are shuffled and mixed in the share that gives the mean.

    Raises:
        ValueError: there are no texts on one side of the mean.
    """
    rng = random.Random(seed)
    order = rng.sample(range(len(texts)), len(texts))
    below, above = [i for i in order if lengths[i] < mean], [i for i in order if lengths[i] >= mean]
    if not below or not above:
        raise ValueError(f"expected texts below and above a length of {mean:g}, found {len(below)} and {len(above)}")
    low, high = (statistics.mean(lengths[i] for i in side) for side in (below, above))
    taken = round(count * (high - mean) / (high - low))
    sides = ((below, taken), (above, count - taken))
    chosen = [i for side, wanted in sides for i in islice(cycle(side), wanted)]
    rng.shuffle(chosen)
    return [texts[i] for i in chosen], any(wanted > len(side) for side, wanted in sides)


def drawn_texts(corpora: Path | None, tokens: Lengths, short: int, long: int, seed: int = 17) -> dict[str, Drawn]:
    """`short` comments of 25 tokens on average, and `long` ones of some 280 characters.

    Args:
        tokens: lengths in tokens. corpora: the folder of public corpora; without it, our own texts.

    Raises:
        DatasetError: a corpus is not in the folder.
    """
    if corpora is None:
        rows = [json.loads(line)["text"] for line in OWN.read_text("utf-8").splitlines()]
        found = list(dict.fromkeys(rows))
        longer = _joined(found, random.Random(seed))
    else:
        found = list(dict.fromkeys(row["text"].strip() for name in CORPORA for row in read_rows(corpora, name)))
        longer = [text for text in found if LONG_BETWEEN[0] <= len(text) <= LONG_BETWEEN[1]]
    shorter = [text for text in found if 0 < len(text) <= LONGEST_SHORT]
    parts = (
        ("short", shorter, tokens(shorter), short, SHORT_TOKENS),
        ("long", longer, [len(text) for text in longer], long, LONG_CHARACTERS),
    )
    result = {}
    for name, pool, lengths, count, mean in parts:
        texts, cycled = draw(pool, lengths, count, mean, seed)
        result[name] = Drawn(name, texts, tokens(texts), cycled)
    return result


def _joined(texts: Sequence[str], rng: random.Random) -> list[str]:
    """Long texts made of short ones, a line each; every text is in one of them."""
    lines: list[str] = []
    size, wanted, found = 0, rng.randint(*LONG_BETWEEN), []
    for text in rng.sample(texts, len(texts)):
        lines.append(text)
        size += len(text) + 1
        if size >= wanted:
            found.append("\n".join(lines))
            lines, size, wanted = [], 0, rng.randint(*LONG_BETWEEN)
    return found


def unique_rows(count: int, tokens: Lengths, seed: int = 5) -> Iterator[str]:
    """So many texts of 25 tokens on average: our own short ones, over and over, each time with another number.

    No row is like another, so that none is saved by deduplication; every block has the same mix of lengths.
    """
    rows = [json.loads(line)["text"] for line in OWN.read_text("utf-8").splitlines()]
    short = [text for text in dict.fromkeys(rows) if 0 < len(text) <= LONGEST_SHORT]
    numbered = tokens([f"{text} {10**6 + i}" for i, text in enumerate(short)])  # numbers of as many digits
    texts, _ = draw(short, numbered, min(count, ROW_TEXTS), SHORT_TOKENS, seed)
    return (f"{texts[i % len(texts)]} {10**6 + i}" for i in range(count))


def write_rows(path: Path, texts: Iterable[str]) -> None:
    """A CSV with number, cinema and text."""
    with path.open("w", encoding="utf-8", newline="", errors="replace") as handle:
        writer = csv.writer(handle)
        writer.writerow(("编号", "影院", "评论"))
        writer.writerows((str(i), f"星河影城{i % 37}号店", text) for i, text in enumerate(texts))


def row_facts(count: int, tokens: Lengths) -> dict[str, Any]:
    """Mean lengths of the first of such rows, of which the others are repetitions but for their numbers."""
    texts = list(islice(unique_rows(count, tokens), ROW_TEXTS))
    return {
        "source": [OWN.name],
        "mean_tokens": round(statistics.mean(tokens(texts)), 1),
        "mean_characters": round(statistics.mean(map(len, texts)), 1),
    }
