"""6. New or rising topics: words of what no dimension's evidence covers."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sentiment.report.phrases import Contrast, contrast, terms, without_parts
from sentiment.report.scored import Scored

SHOWN = 15
LEAST_TEXTS = 5
LEAST_Z = 2.58  # thousands of words are compared: 1%, not 5%
RECENT = 0.25  # the last quarter of the time
Cutter = Callable[[str], list[str]]
_CLAUSE = re.compile(r"[^，。！？；、,.!?;\n\r～~…]+")


@dataclass(frozen=True)
class FoundTopic:
    """A term with the rows that hold it: of the recent part (of all where there is no time), how many texts of each
    part were read, and how many of them hold it. `candidates`: how many terms are as sure."""

    found: Contrast
    rows: NDArray[np.intp]
    recent: int
    earlier: int
    candidates: int


def uncovered_text(scored: Scored, row: int) -> str:
    """The clauses of a text that no evidence touches. A text that has mentions without known evidence is covered."""
    text = scored.text(row)
    first, last = np.searchsorted(scored.mentions.row, (row, row + 1))
    spans = [(int(scored.mentions.start[i]), int(scored.mentions.end[i])) for i in range(int(first), int(last))]
    if not spans:
        return text
    if any(start < 0 for start, _ in spans):
        return ""
    clauses = (match for match in _CLAUSE.finditer(text))
    return "，".join(m[0] for m in clauses if not any(s < m.end() and m.start() < e for s, e in spans))


def rising(
    scored: Scored,
    candidates: NDArray[np.intp],
    sample: int,
    cut: Cutter,
    rng: np.random.Generator,
) -> list[FoundTopic]:
    """Terms of uncovered clauses that the last quarter of the time has more of than the time before, by log-odds with a
    prior (`contrast`), z ≥ 2.58 and in at least 5 recent texts. At most `sample` texts of each part are read, drawn at
    random."""
    date = scored.date[candidates]
    dated = candidates[~np.isnat(date)]
    if len(dated) < 2 * LEAST_TEXTS:
        return []
    days = scored.date[dated].astype(np.int64)
    border = days.max() - RECENT * (days.max() - days.min())
    parts = [drawn(dated[days > border], sample, rng), drawn(dated[days <= border], sample, rng)]
    return _topics(scored, parts, cut)


def standing_out(
    scored: Scored,
    uncovered: NDArray[np.intp],
    covered: NDArray[np.intp],
    sample: int,
    cut: Cutter,
    rng: np.random.Generator,
) -> list[FoundTopic]:
    """The same without dates: terms of texts that mention no dimension, against the texts that do."""
    parts = [drawn(uncovered, sample, rng), drawn(covered, sample, rng)]
    return _topics(scored, parts, cut, whole_second=True)


def _topics(
    scored: Scored, parts: list[NDArray[np.intp]], cut: Cutter, *, whole_second: bool = False
) -> list[FoundTopic]:
    first = [terms(uncovered_text(scored, row), cut) for row in parts[0].tolist()]
    second = [
        terms(scored.text(row) if whole_second else uncovered_text(scored, row), cut) for row in parts[1].tolist()
    ]
    sizes = [sum(bool(found) for found in part) for part in (first, second)]
    strong = [c for c in contrast(first, second, LEAST_TEXTS) if c.z >= LEAST_Z and c.first >= LEAST_TEXTS]
    topics = []
    distinct = without_parts(strong)
    for item in distinct[:SHOWN]:
        rows = parts[0][np.array([item.term in found for found in first], bool)]
        topics.append(FoundTopic(item, rows, sizes[0], sizes[1], len(distinct)))
    return topics


def drawn(rows: NDArray[np.intp], most: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """At most `most` of the rows, at random, in their order."""
    return rows if len(rows) <= most else np.sort(rng.choice(rows, most, replace=False))
