"""What tables of the report are made of: columns, cells, links to texts, and names in the reader's language."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from sentiment.report.labels import label
from sentiment.report.model import Figure, Question, Report


@dataclass(frozen=True, slots=True)
class Quotes:
    """Lists of texts behind a row: (words on the button, key into `Voices.quotes`, how many texts in all)."""

    lists: tuple[tuple[str, str, int], ...]


@dataclass(frozen=True, slots=True)
class LinkedFigure:
    """A figure that opens its texts itself: `what` it is, `key` into `Voices.quotes`, how many texts in all."""

    figure: Figure
    what: str
    key: str
    total: int


Cell = str | int | float | bool | Figure | LinkedFigure | Quotes | None


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


SENTIMENTS = ("negative", "positive", "neutral")


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

    def quotes(self, key: str | None) -> Quotes:
        """The list under `key`; where it is of one sentiment, the negative and the positive one (the neutral one can be
        chosen where they are shown)."""
        if key is None:
            return Quotes(())
        stem, _, last = key.rpartition("/")
        keys = [f"{stem}/{s}" for s in ("negative", "positive")] if last in ("negative", "positive") else [key]
        found = [(one, self.lists[one]) for one in keys if one in self.lists and self.lists[one].texts]
        words = [self.t(one.rpartition("/")[2] if last in SENTIMENTS else "quoted") for one, _ in found]
        return Quotes(tuple((w, one, many.total) for w, (one, many) in zip(words, found, strict=True)))

    def linked(self, figure: Figure, what: str, key: str | None) -> Figure | LinkedFigure:
        """The figure, with the list under `key` where it has texts."""
        if figure.value is None or key is None or key not in self.lists or not self.lists[key].texts:
            return figure
        last = key.rpartition("/")[2]
        said = f"{what} · {self.t(last)}" if last in SENTIMENTS else what
        return LinkedFigure(figure, said, key, self.lists[key].total)

    def only(self, key: str | None) -> Quotes:
        """The list under `key` and no other."""
        if key is None or key not in self.lists or not self.lists[key].texts:
            return Quotes(())
        return Quotes(((self.t("quoted"), key, self.lists[key].total),))

    def both(self, before: str | None, after: str | None, names: tuple[str, str] | None = None) -> Quotes:
        """The texts of two sides, which are before and after or have `names`."""
        made = []
        for word, key in zip(names or (self.t("before"), self.t("after")), (before, after), strict=True):
            if key is not None and key in self.lists and self.lists[key].texts:
                made.append((f"{word} · {self.t(key.rpartition('/')[2])}", key, self.lists[key].total))
        return Quotes(tuple(made))

    def text(self, key: str) -> Column:
        return Column(self.t(key), "text")

    def count(self, key: str) -> Column:
        return Column(self.t(key), "number", 0)

    def counts(self, *keys: str) -> list[Column]:
        return [self.count(key) for key in keys]

    def quotes_column(self) -> Column:
        return Column(self.t("quotes"), "quotes")
