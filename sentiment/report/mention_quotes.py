"""6. The texts behind an index: those with a negative, neutral or positive mention, a list for each sentiment."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentiment.records import PROBABILITY_ORDER
from sentiment.report.quotes import SHOWN, Quotes
from sentiment.report.scored import Scored

_ORDER = (0, 2, 1)  # what is shown first where there are several: negative, positive, neutral


class MentionQuotes:
    """Finds the mentions of any dimensions among any texts of `scored` and quotes them; sorts all mentions once."""

    def __init__(self, scored: Scored, quotes: Quotes) -> None:
        self._scored, self._quotes = scored, quotes
        self._found: dict[tuple[tuple[int, ...], int], tuple[NDArray[np.intp], NDArray[np.float32]]] = {}

    @cached_property
    def _by_kind(self) -> dict[tuple[int, int], NDArray[np.intp]]:
        """Positions of mentions by dimension and sentiment."""
        m = self._scored.mentions
        if len(m.row) == 0:
            return {}
        code = m.dimension.astype(np.int64) * 4 + self._scored.labels[m.row, m.dimension]
        order = np.argsort(code, kind="stable")
        codes, starts = np.unique(code[order], return_index=True)
        parts = np.split(order, starts[1:])
        return {(int(c) // 4, int(c) % 4): part for c, part in zip(codes, parts, strict=True)}

    def rows(self, dimensions: Sequence[int], sentiment: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """The texts that mention any of the dimensions so, each once, and the confidence of the surest mention."""
        wanted = (tuple(dimensions), sentiment)
        if wanted not in self._found:
            m = self._scored.mentions
            parts = [self._by_kind[key] for d in dimensions if (key := (d, sentiment)) in self._by_kind]
            at = np.concatenate(parts) if parts else np.zeros(0, np.intp)
            at = at[np.lexsort((-m.confidence[at], m.row[at]))]
            at = at[np.unique(m.row[at], return_index=True)[1]]
            self._found[wanted] = m.row[at].astype(np.intp), m.confidence[at]
        return self._found[wanted]

    def add(
        self,
        prefix: str,
        dimensions: Sequence[int],
        among: NDArray[np.bool_] | None = None,
        limit: int = SHOWN,
    ) -> str | None:
        """Quotes them under `prefix/negative`, `prefix/positive` and `prefix/neutral`; the first of these keys that has
        texts, None if none has. `among` marks the texts to choose from."""
        keys = []
        for sentiment in _ORDER:
            rows, confidence = self.rows(dimensions, sentiment)
            if among is not None:
                kept = among[rows]
                rows, confidence = rows[kept], confidence[kept]
            keys.append(self._quotes.add(f"{prefix}/{PROBABILITY_ORDER[sentiment]}", rows, confidence, limit))
        return next((key for key in keys if key is not None), None)

    def add_groups(
        self, prefixes: Sequence[str], dimensions: Sequence[int], codes: NDArray[np.integer[Any]]
    ) -> list[str | None]:
        """`add` for many groups at once: group g, the texts with that code (−1: in none), under `prefixes[g]`."""
        found: list[str | None] = [None] * len(prefixes)
        for sentiment in _ORDER:
            rows, confidence = self.rows(dimensions, sentiment)
            kept = codes[rows] >= 0
            rows, confidence = rows[kept], confidence[kept]
            of = codes[rows]
            order = np.argsort(of, kind="stable")
            edges = np.searchsorted(of[order], np.arange(len(prefixes) + 1))
            for group, prefix in enumerate(prefixes):
                mine = order[edges[group] : edges[group + 1]]
                key = self._quotes.add(f"{prefix}/{PROBABILITY_ORDER[sentiment]}", rows[mine], confidence[mine])
                found[group] = found[group] or key
        return found
