"""JSONL: one object a line; a line that is none is a reject. An array of objects is read too while it is small."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

import orjson

from sentiment.tables.base import Reject, Row, TableError
from sentiment.tables.encodings import Encoding
from sentiment.tables.lines import Lines
from sentiment.tables.packing import Packed
from sentiment.tables.reader import SAMPLE_ROWS, Reader

COLUMN_ROWS = 1000
ARRAY_LIMIT = 50_000_000
MAX_DEPTH = 100  # lists and objects in one another: what writes them again gives up at some 250
_LONG_NUMBER = re.compile(r"\d{19}")
_SURROGATE = re.compile("[\ud800-\udfff]")


def parse(text: str) -> Any:
    """A JSON value, with NaN and integers of any length.

    Raises:
        ValueError: it is no JSON, or holds half a surrogate pair, which is no character.
    """
    if not _LONG_NUMBER.search(text):  # orjson would make a float of it
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            pass
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if "\\u" in text and _SURROGATE.search(json.dumps(value, ensure_ascii=False)):
        raise ValueError("half a surrogate pair, which is no character")
    return value


class _JsonReader(Reader):
    def _look(self, what: str) -> None:
        """Takes columns and sample from the first rows."""
        rows = [item for item in islice(self.rows(), COLUMN_ROWS) if isinstance(item, Row)]
        if not rows:
            raise TableError(
                f"expected {what} in {self.name}, found none; "
                "if it is JSON of another shape, convert it: jq -c '.[]' IN > OUT.jsonl"
            )
        self.columns = list(dict.fromkeys(key for row in rows for key in row.cells))
        self.sample = [row.cells for row in rows[:SAMPLE_ROWS]]


class JsonlReader(_JsonReader):
    """One JSON object a line."""

    def __init__(self, packed: Packed, encoding: Encoding, notes: list[str]) -> None:
        super().__init__(packed, notes)
        self._lines = Lines(packed, encoding)
        self._look("one JSON object a line")

    def rows(self) -> Iterator[Row | Reject]:
        number = 0
        for line in self._lines:
            text = line.text.strip()
            if not text and line.problem is None:
                continue
            number += 1
            reason = line.problem
            if reason is None:
                try:
                    value = parse(text)
                except ValueError as error:
                    reason = f"not valid JSON: {error}"
                else:
                    reason = _problem(value)
                    if reason is None:
                        yield Row(self.name, number, value)
                        continue
            yield Reject(self.name, number, f"{reason} (line {line.number})", line.text.rstrip("\r\n"))
        if self._lines.nuls:
            self.note_once(f"{self.name}: {self._lines.nuls:,} NUL bytes dropped")


class JsonArrayReader(_JsonReader):
    """A JSON array of objects, held in memory while it is read."""

    def __init__(self, packed: Packed, encoding: Encoding, notes: list[str]) -> None:
        super().__init__(packed, notes)
        self._encoding = encoding
        self._look("an array of JSON objects")
        notes.append(f"{self.name}: a JSON array, read as a whole")

    def _array(self) -> list[Any]:
        data = bytearray()
        for block in self.packed.blocks():
            data += block
            if len(data) > ARRAY_LIMIT:
                raise TableError(
                    f"expected a JSON array of at most {ARRAY_LIMIT // 1_000_000} MB, found {self.name} is larger; "
                    "convert it to one object a line: jq -c '.[]' IN > OUT.jsonl"
                )
        try:
            value = parse(bytes(data[self._encoding.bom :]).decode(self._encoding.codec))
        except ValueError as error:
            raise TableError(
                f"expected a JSON array in {self.name}, found invalid JSON: {error}; export it again"
            ) from None
        if not isinstance(value, list):
            raise TableError(f"expected a JSON array in {self.name}, found {_kind(value)}; give one object a line")
        return value

    def rows(self) -> Iterator[Row | Reject]:
        array = self._array()
        self.size = len(array)
        for number, value in enumerate(array, 1):
            reason = _problem(value)
            if reason is None:
                yield Row(self.name, number, value)
            else:
                yield Reject(self.name, number, f"{reason} (element {number})", _shown(value))


def _problem(value: Any) -> str | None:
    """Why the value is no row; None if it is one."""
    if not isinstance(value, dict):
        return f"expected a JSON object, found {_kind(value)}"
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        level = [item for one in level for item in (one.values() if isinstance(one, dict) else one)]
        level = [item for item in level if isinstance(item, (dict, list))]
        if not level:
            return None
    return f"nested more than {MAX_DEPTH} deep"


def _shown(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return ""


def _kind(value: Any) -> str:
    names = {
        type(None): "null",
        bool: "a truth value",
        int: "a number",
        float: "a number",
        str: "a string",
        list: "an array",
    }
    return names.get(type(value), "an object")
