"""JSON Lines output: the record, and the input's own columns under `input`."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import IO, Any

import orjson
import pyarrow as pa

from sentiment.tables.parquet_writer import block_rows, jsonable

_OPTIONS = orjson.OPT_APPEND_NEWLINE | orjson.OPT_PASSTHROUGH_DATETIME


def _default(value: Any) -> Any:
    if isinstance(value, Decimal) and value.is_finite():
        return orjson.Fragment(str(value))  # a number, every digit of it
    return jsonable(value)


def dump_line(value: Any) -> bytes:
    """One JSON value and a line feed; what is no JSON (dates, bytes) as text, and what UTF-8 cannot hold escaped."""
    try:
        return orjson.dumps(value, default=_default, option=_OPTIONS)
    except TypeError:  # lone surrogates, integers over 64 bits, keys that are no strings
        return json.dumps(jsonable(value), ensure_ascii=True, separators=(",", ":")).encode() + b"\n"


class JsonlWriter:
    """Writes blocks of scored rows as JSON Lines, UTF-8."""

    cut = 0

    def __init__(self, stream: IO[bytes], *, probabilities: bool = False) -> None:
        self._stream, self._probabilities = stream, probabilities

    def write(self, block: pa.Table) -> None:
        for record, cells in block_rows(block, probabilities=self._probabilities):
            self._stream.write(dump_line({**record, "input": cells}))

    def close(self) -> None:
        self._stream.flush()

    def discard(self) -> None:
        """Nothing is held."""
