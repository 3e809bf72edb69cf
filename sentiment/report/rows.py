"""Every scored row, streamed: the sheet of all rows, and the file beside the page."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sentiment.records import PROBABILITY_ORDER
from sentiment.report.model import Cell, RowColumn
from sentiment.report.scored import STATUS, Scored

_BATCH = 8192
_HEAD = (
    RowColumn("source", "来源文件", "source", "text"),
    RowColumn("row", "行号", "row", "number"),
    RowColumn("id", "编号", "id", "text"),
    RowColumn("date", "日期", "date", "date"),
    RowColumn("cinema", "影院", "cinema", "text"),
    RowColumn("rating", "评分", "rating", "number"),
    RowColumn("customer", "客户", "customer", "text"),
    RowColumn("replied", "已回复", "replied", "flag"),
    RowColumn("status", "评分状态", "status", "label"),
    RowColumn("overall", "整体情感", "overall", "label"),
    RowColumn("intent", "诉求类型", "intent", "label"),
    RowColumn("escalation", "需升级处理", "escalation", "flag"),
    RowColumn("text", "文本", "text", "text"),
)


class ScoredRows:
    """`Rows` over scored columns: the head, then one label a dimension."""

    def __init__(self, scored: Scored) -> None:
        self._scored = scored
        self.columns = (*_HEAD, *(RowColumn(d.key, d.zh, d.en, "label") for d in scored.taxonomy.dimensions))

    def __len__(self) -> int:
        return len(self._scored)

    def __iter__(self) -> Iterator[tuple[Cell, ...]]:
        s = self._scored
        labels: list[Cell] = [*PROBABILITY_ORDER, None]  # code −1 is the last
        intents: list[Cell] = [*s.taxonomy.intents, None]
        cinemas, customers = [*s.cinemas, None], [*s.customers, None]
        for start in range(0, len(s), _BATCH):
            part = slice(start, start + _BATCH)
            count = len(s.row[part])
            dates = [None if np.isnat(day) else str(day) for day in s.date[part]]
            ratings = [value if np.isfinite(value) else None for value in s.rating[part].astype(np.float64).tolist()]
            replied = [None if value < 0 else bool(value) for value in s.replied[part].tolist()]
            texts, ids = s.texts.slice(start, count).to_pylist(), s.ids.slice(start, count).to_pylist()
            codes = s.labels[part].tolist()
            for i in range(count):
                r = start + i
                yield (
                    s.files[s.source[r]], int(s.row[r]), ids[i], dates[i], cinemas[s.cinema[r]], ratings[i],
                    customers[s.customer[r]], replied[i], STATUS[s.status[r]], labels[s.overall[r]],
                    intents[s.intent[r]], bool(s.escalation[r]), texts[i], *(labels[code] for code in codes[i]),
                )  # fmt: skip
