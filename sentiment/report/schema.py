"""The report as JSON, every number by name, and its schema, made from the dataclasses; `report.schema.json` beside this
file is its committed form.

`python -m sentiment.report.schema` writes it again after a change of the model.
"""

from __future__ import annotations

import json
import types
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import orjson

from sentiment.report import model
from sentiment.report.files import appearing
from sentiment.report.model import Report, to_plain

FILE = Path(__file__).with_name("report.schema.json")
_PLAIN = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    type(None): {"type": "null"},
}


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of what `cinesent report -o OUT.json` writes."""
    definitions: dict[str, Any] = {}
    _of(model.Report, definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "cinesent report",
        "$ref": "#/$defs/Report",
        "$defs": dict(sorted(definitions.items())),
    }


def _of(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    if isinstance(kind, type) and is_dataclass(kind):
        if kind.__name__ not in definitions:
            definitions[kind.__name__] = {}  # before its fields, which may name it
            hints = get_type_hints(kind)
            definitions[kind.__name__] = {
                "description": " ".join((kind.__doc__ or "").split()),
                "type": "object",
                "properties": {field.name: _of(hints[field.name], definitions) for field in fields(kind)},
                "required": [field.name for field in fields(kind)],
                "additionalProperties": False,
            }
        return {"$ref": f"#/$defs/{kind.__name__}"}
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is list:
        return {"type": "array", "items": _of(arguments[0], definitions)}
    if origin is dict:
        return {"type": "object", "additionalProperties": _of(arguments[1], definitions)}
    if origin in (Union, types.UnionType):
        return {"anyOf": [_of(argument, definitions) for argument in arguments]}
    return dict(_PLAIN[kind])


def write_json(report: Report, output: Path) -> None:
    """Writes the report; the file appears when it is complete.

    Raises:
        OSError: it cannot be written.
    """
    with appearing(output) as stream:
        stream.write(orjson.dumps(to_plain(report), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


if __name__ == "__main__":
    FILE.write_text(json.dumps(json_schema(), ensure_ascii=False, indent=1) + "\n", "utf-8")
