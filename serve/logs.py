"""Logs as JSON, one object a line, on standard error. None of them holds a word of a review."""

from __future__ import annotations

import logging
import sys
from datetime import datetime, timezone

import orjson

from serve.queue import where


class JsonFormatter(logging.Formatter):
    """`time`, `level`, `logger`, `message`, and what a record has as `fields`. Of an exception, its type and place:
    its message may quote a review."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = where(record.exc_info[1])
        return orjson.dumps(line, default=str).decode()


def configure(level: str) -> None:
    """Sends every log of this process there."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in ("asyncio", "httpx", "httpcore", "multipart", "python_multipart"):
        logging.getLogger(name).setLevel(logging.WARNING)  # below that they show addresses and data
