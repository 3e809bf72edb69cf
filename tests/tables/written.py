"""Two records, tables of them, and what writers make of these."""

from __future__ import annotations

import csv
import io
from typing import Any

import openpyxl
import pyarrow as pa

from sentiment.records import Analysis, Mention
from sentiment.tables.base import Row
from sentiment.tables.flat import FlatTable, flat_table
from sentiment.tables.parquet_writer import block_table
from sentiment.tables.writers import Plan, open_writer
from sentiment.taxonomy import load_taxonomy

TAXONOMY = load_taxonomy()
OK = Analysis(
    *("cinesent-zh@1a2b3c4d", None, "ok", "hans", "negative", 0.97, "complaint", 0.91, True, 0.84),
    dimensions=(
        Mention("seating", "negative", 0.93, "坐得腰疼", 2, 6, "工程"),
        Mention("price", "neutral", 0.51234, "=价", 0, 2, "运营"),
    ),
    tokens=9,
    windows=1,
    probabilities=dict.fromkeys(TAXONOMY.keys, (0.1, 0.2, 0.3)),
)
EMPTY = Analysis("cinesent-zh@1a2b3c4d", None, "empty", "other")


def block(cells: list[dict[str, Any]], schema: pa.Schema | None = None) -> pa.Table:
    rows = [Row("in.csv", number, row) for number, row in enumerate(cells, 1)]
    analyses = [EMPTY if row.get("text") is None else OK for row in cells]
    return block_table(rows, analyses, [str(row.number) for row in rows], TAXONOMY.keys, schema)


def write(plan: Plan, *blocks: pa.Table) -> bytes:
    stream = io.BytesIO()
    with open_writer(stream, plan) as writer:
        for part in blocks:
            writer.write(part)
    write.cut = writer.cut  # type: ignore[attr-defined]
    return stream.getvalue()


def flat(columns: list[str], **options: Any) -> FlatTable:
    return flat_table(columns, TAXONOMY, text_column="text", **options)


def flat_plan(kind: Any, columns: list[str], *, xlsx_rows: int = 1_048_576, **options: Any) -> Plan:
    return Plan(kind, False, TAXONOMY.keys, flat=flat(columns, **options), xlsx_rows=xlsx_rows)


def csv_lines(data: bytes, delimiter: str = ",") -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""), delimiter=delimiter))


def workbook(data: bytes) -> Any:
    return openpyxl.load_workbook(io.BytesIO(data))
