"""The report as JSON: every number by name, as `report.schema.json` says."""

from __future__ import annotations

from pathlib import Path

import orjson

from sentiment.report.model import Report, to_plain


def write_json(report: Report, output: Path) -> None:
    """Writes the report; the file appears when it is complete.

    Raises:
        OSError: it cannot be written.
    """
    temporary = output.with_name(f".{output.name}.partial")
    try:
        temporary.write_bytes(orjson.dumps(to_plain(report), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
        temporary.replace(output)
    finally:
        temporary.unlink(missing_ok=True)
