"""A table of given rows and an analyser that labels by a hash: what a scoring job is tested on."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sentiment.batch import ScoreOptions
from sentiment.records import Analysis, Mention
from sentiment.tables.base import Reject, Row, Table
from sentiment.taxonomy import Taxonomy, load_taxonomy


class FakeAnalyzer:
    """Labels from a hash of the text; `fail_at` raises at that block, `error` is what."""

    def __init__(self, fail_at: int | None = None, error: BaseException | None = None) -> None:
        self.name, self.hash = "fake@00000000", "00000000"
        self.taxonomy: Taxonomy = load_taxonomy()
        self.blocks: list[list[str]] = []
        self._fail_at, self._error = fail_at, error or RuntimeError("座位太挤")

    def analyze_block(self, texts: Sequence[str], ids: Sequence[str | None] | None = None) -> list[Analysis]:
        if len(self.blocks) == self._fail_at:
            raise self._error
        self.blocks.append(list(texts))
        return [self._one(text) for text in texts]

    def _one(self, text: str) -> Analysis:
        if not text.strip():
            return Analysis(self.name, None, "empty", "other")
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
        keys = self.taxonomy.keys
        mentions = [
            Mention(
                keys[digest[i] % len(keys)],
                "negative" if digest[i] % 2 else "positive",
                0.5 + digest[i] / 512,
                text[:2],
                0,
                2,
                "工程",
            )
            for i in range(digest[9] % 3)
        ]
        return Analysis(
            *(self.name, None, "ok", "hans", "negative", digest[0] / 256, "complaint", 0.75, bool(digest[1] % 2), 0.25),
            dimensions=tuple({mention.dimension: mention for mention in mentions}.values()),
            tokens=len(text),
            windows=1,
            probabilities=dict.fromkeys(keys, (digest[2] / 512, 0.125, digest[3] / 512)),
        )


@dataclass
class FakeReader:
    items: list[Row | Reject]
    path: Path
    name: str = "in.csv"
    columns: list[str] = field(default_factory=list)

    reading: bool = False

    def rows(self) -> Iterator[Row | Reject]:
        self.reading = True
        try:
            yield from self.items
        finally:
            self.reading = False

    def position(self) -> int:
        return 0


def make_table(tmp_path: Path, cells: list[dict[str, Any]], rejects: Sequence[int] = (), **options: Any) -> Table:
    """A table of these rows; before the rows numbered in `rejects` a rejected one."""
    path = tmp_path / "in.csv"
    path.write_bytes(json.dumps(cells, default=str).encode())
    items: list[Row | Reject] = []
    for number, row in enumerate(cells, 1):
        if number in rejects:
            items.append(Reject("in.csv", number, "ragged", f"raw {number}"))
        items.append(Row("in.csv", number, row))
    columns = list(cells[0]) if cells else ["text"]
    defaults: dict[str, Any] = {"text_column": "text", "id_column": None, "notes": [], "schema": None, "size": None}
    return Table(columns, **(defaults | options), bytes_total=1, readers=[FakeReader(items, path)])


def many(count: int) -> list[dict[str, Any]]:
    return [{"text": f"座位太挤{i % 7}", "film": str(i)} for i in range(count)]


def options(**values: Any) -> ScoreOptions:
    return ScoreOptions(block_rows=5, **values)


def read_csv(path: Path) -> list[list[str]]:
    return list(csv.reader(path.read_text("utf-8-sig").splitlines()))
