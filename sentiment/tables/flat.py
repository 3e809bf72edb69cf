"""Flat tables of scored texts: which columns there are, in which language, and one record as lines.

A column's *name* is its English header (`cs_seating_confidence`); `FlatNames` translates names and values, both ways,
so that whoever reads a scored file need not know in which language it was written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sentiment.records import PROBABILITY_ORDER
from sentiment.tables.base import SOURCE_COLUMN, TableError
from sentiment.taxonomy import Taxonomy

Lang = Literal["en", "zh"]
Layout = Literal["wide", "long"]

# name → Chinese header. Chosen so that a dump's own columns (状态, 类型, 来源) do not meet them.
TEXT_COLUMNS = {
    SOURCE_COLUMN: "评分来源文件",  # the readers add it where there are several files
    "cs_id": "文本编号",
    "cs_overall": "整体情感",
    "cs_overall_confidence": "整体情感置信度",
    "cs_intent": "诉求类型",
    "cs_intent_confidence": "诉求类型置信度",
    "cs_escalation": "需升级处理",
    "cs_escalation_confidence": "需升级处理置信度",
    "cs_uncertain": "需人工复核",
    "cs_status": "评分状态",
}
MENTION_COLUMNS = {
    "cs_dimension": "服务维度",
    "cs_sentiment": "维度情感",
    "cs_confidence": "维度置信度",
    "cs_evidence": "维度依据",
    "cs_start": "依据起点",
    "cs_end": "依据终点",
    "cs_owner": "责任部门",
}
# What follows a dimension's key, and its Chinese name, in the headers of its columns.
DIMENSION_PARTS = {"": "", "_confidence": "置信度", "_evidence": "依据"}
PROBABILITY_PARTS = {
    "_probability_negative": "负面概率",
    "_probability_neutral": "中性概率",
    "_probability_positive": "正面概率",
}
VALUES = {
    "positive": "正面",
    "neutral": "中性",
    "negative": "负面",
    "review": "评价",
    "complaint": "投诉",
    "suggestion": "建议",
    "inquiry": "咨询",
    "true": "是",
    "false": "否",
    "ok": "正常",
    "empty": "空白",
    "not_chinese": "非中文",
}
_LABELS = {zh: label for label, zh in VALUES.items()}


class FlatNames:
    """Headers and values in both languages for one taxonomy."""

    def __init__(self, taxonomy: Taxonomy) -> None:
        self._zh = TEXT_COLUMNS | MENTION_COLUMNS
        self._dimension_zh = {dimension.key: dimension.zh for dimension in taxonomy.dimensions}
        self._dimension_key = {zh: key for key, zh in self._dimension_zh.items()}
        for dimension in taxonomy.dimensions:
            for part, zh in (DIMENSION_PARTS | PROBABILITY_PARTS).items():
                name = f"cs_{dimension.key}{part}"
                if name in self._zh:
                    raise TableError(
                        f"expected dimensions with distinct columns, found {name!r} twice; rename {dimension.key!r}"
                    )
                self._zh[name] = f"{dimension.zh}{zh}"
        self._names = {zh: name for name, zh in self._zh.items()}

    def header(self, name: str, lang: Lang) -> str:
        """The header under which the column `name` is written."""
        return self._zh[name] if lang == "zh" else name

    def name(self, header: str) -> str | None:
        """The column's name, from a header in either language; None where the column is none of ours."""
        return header if header in self._zh else self._names.get(header)

    def ours(self, columns: Iterable[str]) -> dict[str, str]:
        """column → name, of a file's columns that are ours. A file has one language: beside `cs_` columns of ours, a
        Chinese header (停车) is the input's own."""
        found = {column: name for column in columns if (name := self.name(column)) is not None}
        english = {column: name for column, name in found.items() if column == name}
        return english if english.keys() - {SOURCE_COLUMN} else found

    def value(self, label: str, lang: Lang) -> str:
        """A label (sentiment, intent, status, true/false) as it is written."""
        return VALUES.get(label, label) if lang == "zh" else label

    def label(self, value: str) -> str:
        """The label, from a value in either language."""
        return _LABELS.get(value, value)

    def dimension(self, key: str, lang: Lang) -> str:
        """A dimension as the long layout writes it: its key, or its Chinese name."""
        return self._dimension_zh.get(key, key) if lang == "zh" else key

    def dimension_key(self, value: str) -> str:
        """The dimension's key, from its key or its Chinese name."""
        return self._dimension_key.get(value, value)


@dataclass(frozen=True)
class FlatTable:
    """The columns of one flat output, and how a record fills them; `columns` are those of the input that are kept."""

    columns: tuple[str, ...]
    names: FlatNames
    dimensions: tuple[str, ...]
    layout: Layout = "wide"
    lang: Lang = "en"
    probabilities: bool = False

    @property
    def own(self) -> list[str]:
        """The names of our columns, in order."""
        texts = [name for name in TEXT_COLUMNS if name not in (SOURCE_COLUMN, "cs_id")]
        if self.layout == "long":
            names = ["cs_id", *texts, *MENTION_COLUMNS]
        else:
            names = [*texts, *(f"cs_{key}{part}" for key in self.dimensions for part in DIMENSION_PARTS)]
        if self.probabilities:
            names += [f"cs_{key}{part}" for key in self.dimensions for part in PROBABILITY_PARTS]
        return names

    @property
    def headers(self) -> list[str]:
        """Every header of the output, in order.

        Raises:
            TableError: two columns would have the same header.
        """
        own = [self.names.header(name, self.lang) for name in self.own]
        twice = sorted({header for header in own if own.count(header) > 1})
        if twice:
            raise TableError(
                f"expected distinct headers, found {', '.join(twice)} more than once; change the taxonomy's names"
            )
        kept = [self.names.header(column, self.lang) if column == SOURCE_COLUMN else column for column in self.columns]
        return [*kept, *own]

    def lines(self, record: dict[str, Any], cells: dict[str, Any]) -> Iterator[list[Any]]:
        """The record as lines of the table: one, or in the long layout one a mention."""
        head: list[Any] = [cells.get(column) for column in self.columns]
        tail = self._probabilities(record.get("probabilities") or {}) if self.probabilities else []
        if self.layout == "wide":
            yield [*head, *self._text(record), *self._wide(record["dimensions"]), *tail]
            return
        head += [record["id"], *self._text(record)]
        for mention in record["dimensions"] or [None]:
            yield [*head, *self._long(mention), *tail]

    def _text(self, record: dict[str, Any]) -> list[Any]:
        overall, intent, escalation = (record[key] or {} for key in ("overall", "intent", "escalation"))
        flag = escalation.get("label")
        return [
            self._value(overall.get("sentiment")),
            _rounded(overall.get("confidence")),
            self._value(intent.get("label")),
            _rounded(intent.get("confidence")),
            self._value(None if flag is None else str(bool(flag)).lower()),
            _rounded(escalation.get("confidence")),
            self._value(str(bool(record["uncertain"])).lower()),
            self._value(record["status"]),
        ]

    def _wide(self, mentions: Sequence[dict[str, Any]]) -> list[Any]:
        found = {mention["dimension"]: mention for mention in reversed(mentions)}
        cells: list[Any] = []
        for key in self.dimensions:
            mention = found.get(key)
            if mention is None:
                cells += [None, None, None]
            else:
                cells += [self._value(mention["sentiment"]), _rounded(mention["confidence"]), mention["evidence"]]
        return cells

    def _long(self, mention: dict[str, Any] | None) -> list[Any]:
        if mention is None:
            return [None] * len(MENTION_COLUMNS)
        return [
            self.names.dimension(mention["dimension"], self.lang),
            self._value(mention["sentiment"]),
            _rounded(mention["confidence"]),
            mention["evidence"],
            mention["start"],
            mention["end"],
            mention["owner"],
        ]

    def _probabilities(self, probabilities: dict[str, Sequence[float]]) -> list[Any]:
        blank: list[Any] = [None] * len(PROBABILITY_ORDER)
        return [
            cell
            for key in self.dimensions
            for cell in (map(_rounded, probabilities[key]) if key in probabilities else blank)
        ]

    def _value(self, label: str | None) -> str | None:
        return None if label is None else self.names.value(label, self.lang)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def flat_table(
    columns: Sequence[str],
    taxonomy: Taxonomy,
    *,
    text_column: str,
    layout: Layout = "wide",
    lang: Lang = "en",
    dimensions: Sequence[str] | None = None,
    probabilities: bool = False,
    overwrite: bool = False,
) -> FlatTable:
    """Plans a flat output for an input with these columns.

    Raises:
        TableError: the input has columns of ours already and `overwrite` is not set, or the text column is one of them.
    """
    names = FlatNames(taxonomy)
    chosen = tuple(taxonomy.keys if dimensions is None else dimensions)
    plan = FlatTable((), names, chosen, layout, lang, probabilities)
    own = set(plan.headers)
    if SOURCE_COLUMN in columns:
        own.add(names.header(SOURCE_COLUMN, lang))
    # A former run's cs_ columns are stale whatever its layout was; a Chinese header is refused only where it is needed.
    ours = {column for column in columns if column.startswith("cs_") and names.name(column)}
    taken = [column for column in columns if column in (own | ours) - {SOURCE_COLUMN}]
    if text_column in taken:
        raise TableError(
            f"expected the text in a column of the input's own, found it in {text_column!r}, which is for results"
        )
    if taken and not overwrite:
        shown = ", ".join(taken[:5]) + (f" and {len(taken) - 5} more" if len(taken) > 5 else "")
        raise TableError(f"expected no columns of ours in the input, found {shown}; --overwrite replaces them")
    kept = tuple(column for column in columns if column not in taken)
    return FlatTable(kept, names, chosen, layout, lang, probabilities)
