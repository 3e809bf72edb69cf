"""Scored files for the tests: records made by hand, and the same records in every layout that `score` writes."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import xlsxwriter

from sentiment.tables.csv_writer import guard
from sentiment.tables.flat import FlatNames, FlatTable
from sentiment.tables.parquet_writer import _RECORD, probability_type
from sentiment.taxonomy import load_taxonomy

TAXONOMY = load_taxonomy()
Said = dict[str, str]


def record(
    number: int,
    text: str,
    said: Said,
    *,
    overall: str | None = "neutral",
    intent: str = "review",
    escalation: bool = False,
    status: str = "ok",
    probabilities: bool = True,
    **own: Any,
) -> dict[str, Any]:
    """A record as `score` writes it; a mention's evidence is the whole text."""
    ok = status == "ok"
    found = {
        "schema": 1,
        "model": "test@00000000",
        "id": str(number),
        "overall": {"sentiment": overall, "confidence": 0.9} if ok else None,
        "intent": {"label": intent, "confidence": 0.9} if ok else None,
        "escalation": {"label": escalation, "confidence": 0.8} if ok else None,
        "dimensions": [
            {
                "dimension": key, "sentiment": sentiment, "confidence": 0.875, "evidence": text,
                "start": 0, "end": len(text), "owner": TAXONOMY[key].owner,
            }
            for key, sentiment in said.items()
        ],
        "uncertain": False, "script": "hans", "tokens": 9, "windows": 1, "truncated": False, "status": status,
    }  # fmt: skip
    if probabilities:
        order = ("negative", "neutral", "positive")
        found["probabilities"] = (
            {key: [0.875 if said.get(key) == s else 0.0 for s in order] for key in TAXONOMY.keys} if ok else {}
        )
    return found | {"input": {"评论": text, **own}}


def write_jsonl(path: Path, records: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records), "utf-8")
    return path


def write_parquet(path: Path, records: Sequence[dict[str, Any]]) -> Path:
    columns = {name: pa.array([r[name] for r in records], kind) for name, kind in _RECORD.items()}
    kind = probability_type(TAXONOMY.keys, pa.float32())
    columns["probabilities"] = pa.array([r["probabilities"] or None for r in records], kind)
    columns["input"] = pa.array([r["input"] for r in records])
    pq.write_table(pa.table(columns), path)
    return path


def flat_lines(records: Sequence[dict[str, Any]], **options: Any) -> list[list[Any]]:
    """Header and lines of a flat table."""
    own = tuple(dict.fromkeys(key for r in records for key in r["input"]))
    table = FlatTable(own, FlatNames(TAXONOMY), TAXONOMY.keys, **options)
    return [table.headers, *(line for r in records for line in table.lines(r, r["input"]))]


def write_csv(path: Path, lines: list[list[Any]]) -> Path:
    stream = io.StringIO()
    csv.writer(stream).writerows(
        ["" if cell is None else guard(str(cell)) if isinstance(cell, str) else cell for cell in line] for line in lines
    )
    path.write_text("\ufeff" + stream.getvalue(), "utf-8", newline="")
    return path


def write_xlsx(path: Path, lines: list[list[Any]]) -> Path:
    book = xlsxwriter.Workbook(str(path))
    sheet = book.add_worksheet()
    for row, line in enumerate(lines):
        sheet.write_row(row, 0, line)
    book.close()
    return path
