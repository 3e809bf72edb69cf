"""What tables of the report are made of: columns, cells, links to texts, and names in the reader's language."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from sentiment.report.labels import label
from sentiment.report.model import Figure, IndexRow, Question, Report


@dataclass(frozen=True, slots=True)
class Quotes:
    """Lists of texts behind a row: (words on the button, key into `Voices.quotes`, how many texts in all)."""

    lists: tuple[tuple[str, str, int], ...]


Cell = str | int | float | bool | Figure | Quotes | None


@dataclass(frozen=True, slots=True)
class Column:
    """`kind` decides the format; `digits` are decimals of figures and numbers, `sign` shows a plus."""

    header: str
    kind: Literal["text", "figure", "number", "probability", "flag", "quotes"] = "figure"
    digits: int = 1
    sign: bool = False


@dataclass(frozen=True, slots=True)
class View:
    """A table: `id` is stable and unique in the report; rows have one cell a column."""

    id: str
    question: Question
    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]


class ViewParts:
    """Words, names and columns that the tables of one report share."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.lang = report.meta.lang
        self.zh = self.lang == "zh"
        self.names = {d.key: d.zh if self.zh else d.en for d in report.dimensions} | {"service": self.t("service")}
        self.lists = report.voices.quotes

    def t(self, key: str, **values: object) -> str:
        return label(key, self.lang, **values)

    def name(self, key: str) -> str:
        """Of a dimension, else of a lens value, else the value itself."""
        if key in self.names:
            return self.names[key]
        known = self.report.labels.get(key)
        return key if known is None else known.zh if self.zh else known.en

    def names_of(self, keys: Iterable[str]) -> str:
        return ("、" if self.zh else ", ").join(self.name(key) for key in keys)

    def owner(self, value: str) -> str:
        """Of a department; texts without a mention belong to nobody."""
        return self.t("unassigned") if value == "unassigned" else value

    def owners(self, values: Iterable[str]) -> str:
        return ("、" if self.zh else ", ").join(map(self.owner, values))

    def quotes(self, key: str | None, *, word: str | None = None) -> Quotes:
        """The list under `key`, and that of the other sentiments where it is one of a kind."""
        if key is None:
            return Quotes(())
        stem, _, last = key.rpartition("/")
        keys = [f"{stem}/{s}" for s in ("negative", "positive")] if last in ("negative", "positive") else [key]
        found = [(one, self.lists[one]) for one in keys if one in self.lists and self.lists[one].texts]
        words = [word or (self.t(one.rpartition("/")[2]) if len(keys) > 1 else self.t("texts")) for one, _ in found]
        return Quotes(tuple((w, one, many.total) for w, (one, many) in zip(words, found, strict=True)))

    def text(self, key: str) -> Column:
        return Column(self.t(key), "text")

    def count(self, key: str) -> Column:
        return Column(self.t(key), "number", 0)

    def quotes_column(self) -> Column:
        return Column(self.t("quotes"), "quotes")

    def index_columns(self, first: str) -> list[Column]:
        return [
            self.text(first),
            Column(self.t("index_short")),
            Column(self.t("mention_share")),
            Column(self.t("negative_share")),
            Column(self.t("net"), sign=True),
            self.quotes_column(),
        ]

    def index_cells(self, row: IndexRow, name: str | None = None) -> list[Cell]:
        shown = name or (row.zh if self.zh else row.en)
        return [shown, row.index, row.mention_share, row.negative_share, row.net, self.quotes(row.quotes)]
