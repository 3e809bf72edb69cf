"""Tables in and out: CSV, TSV, XLSX, JSONL and Parquet, one module a format."""

from sentiment.tables.base import ReadOptions, Reject, Row, Table, TableError
from sentiment.tables.open import open_tables

__all__ = ["ReadOptions", "Reject", "Row", "Table", "TableError", "open_tables"]
