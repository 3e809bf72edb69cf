"""6. The texts behind the numbers: at most 20 for each, the most telling first, every text kept once."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from sentiment.records import PROBABILITY_ORDER
from sentiment.report.intervals import Floats
from sentiment.report.model import MentionMark, Quote, QuoteList
from sentiment.report.scored import Scored

SHOWN = 20
URGENT = 200
LONGEST = 1000  # characters of a quoted text
BUDGET = 2_400_000  # bytes of all quoted texts as JSON, so that a page stays small
SHORT = 5  # texts of a number beyond the budget, taken from those quoted already where that can be
_OVERHEAD = 500  # bytes of a quotation beside its text


@dataclass
class QuoteBook:
    """All quoted texts, and which of them stand behind which number: shared by the inputs that are compared."""

    texts: list[Quote] = field(default_factory=list)
    lists: dict[str, QuoteList] = field(default_factory=dict)
    spent: int = 0


class Quotes:
    """Collects texts of `scored` by key. `owner` names the department by row, `days` the age; both only for show."""

    def __init__(self, scored: Scored, owner: list[str | None], days: Floats, book: QuoteBook | None = None) -> None:
        self.book = book or QuoteBook()
        self._scored, self._owner, self._days = scored, owner, days
        self._place: dict[int, int] = {}
        self._kept = np.zeros(len(scored), bool)  # the keys of `_place`, to search many at once
        length = np.zeros(len(scored), np.float64)
        if len(scored):
            length = pc.fill_null(pc.utf8_length(scored.texts), 0).to_numpy(zero_copy_only=False).astype(np.float64)
        # Telling: long enough to say what happened, short enough to be read.
        telling = np.clip(length / 15, 0.3, 1) * np.clip(200 / np.maximum(length, 1), 0.6, 1)
        self.clarity = np.where(length == 0, 0.0, telling)

    def add(self, key: str, rows: NDArray[np.intp], score: Floats, limit: int = SHOWN) -> str | None:
        """Keeps the best of `rows` (each once) by `score` × clarity under `key`; the key, or None where there are no
        texts."""
        if len(rows) == 0:
            return None
        worth = score * self.clarity[rows]
        spare = self.book.spent > BUDGET
        if spare:
            limit = min(limit, SHORT)
        most = min(len(rows), (20 if spare else 4) * limit)
        best = np.argpartition(-worth, most - 1)[:most]
        best = best[np.lexsort((rows[best], -worth[best]))]
        candidates = rows[best].tolist()
        if spare:
            known = [row for row in candidates if row in self._place]
            candidates = known or self._best_kept(rows, worth, limit) or candidates[:1]
        shown: list[int] = []
        seen: set[str] = set()
        for row in candidates:
            text = self._scored.text(row)
            if not text or text in seen:
                continue
            seen.add(text)
            shown.append(self._keep(row, text))
            if len(shown) == limit:
                break
        if not shown:
            return None
        self.book.lists[key] = QuoteList(shown, len(rows))
        return key

    def _best_kept(self, rows: NDArray[np.intp], worth: Floats, limit: int) -> list[int]:
        """The best of `rows` that are quoted already."""
        at = np.flatnonzero(self._kept[rows])
        at = at[np.lexsort((rows[at], -worth[at]))][:limit]
        found: list[int] = rows[at].tolist()
        return found

    def _keep(self, row: int, text: str) -> int:
        if row not in self._place:
            self._place[row] = len(self.book.texts)
            self._kept[row] = True
            self.book.spent += 3 * min(len(text), LONGEST) + _OVERHEAD
            self.book.texts.append(self._quote(row, text))
        return self._place[row]

    def _quote(self, row: int, text: str) -> Quote:
        s = self._scored
        first, last = np.searchsorted(s.mentions.row, (row, row + 1))
        marks = []
        for i in range(int(first), int(last)):
            start, end = int(s.mentions.start[i]), int(s.mentions.end[i])
            known = 0 <= start < end <= min(len(text), LONGEST)
            d = int(s.mentions.dimension[i])
            label = int(s.labels[row, d])
            if label >= 0:
                marks.append(
                    MentionMark(
                        s.taxonomy.keys[d], PROBABILITY_ORDER[label], _rounded(s.mentions.confidence[i]),
                        start if known else None, end if known else None,
                    )
                )  # fmt: skip
        rating, date, overall, intent = float(s.rating[row]), s.date[row], int(s.overall[row]), int(s.intent[row])
        return Quote(
            id=s.ids[row].as_py() or str(int(s.row[row])),
            source=s.files[int(s.source[row])],
            row=int(s.row[row]),
            text=text[:LONGEST],
            cut=len(text) > LONGEST,
            date=None if np.isnat(date) else str(date),
            cinema=s.cinemas[s.cinema[row]] if s.cinema[row] >= 0 else None,
            rating=rating if np.isfinite(rating) else None,
            overall=PROBABILITY_ORDER[overall] if overall >= 0 else None,
            intent=s.taxonomy.intents[intent] if intent >= 0 else None,
            escalation=bool(s.escalation[row]),
            owner=self._owner[row] if self._owner else None,
            days=int(self._days[row]) if np.isfinite(self._days[row]) else None,
            replied=None if s.replied[row] < 0 else bool(s.replied[row]),
            mentions=marks,
        )


def _rounded(value: np.float32) -> float:
    return round(float(value), 4)
