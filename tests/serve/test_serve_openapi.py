from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sentiment import Analyzer
from serve import examples, openapi

ROOT = Path(__file__).parent.parent.parent


def test_openapi_committed_is_current() -> None:
    committed = (ROOT / "docs" / "openapi.json").read_text("utf-8")
    assert committed == openapi.document(), "write it again: python -m serve.openapi"


def _same(shown: Any, actual: Any) -> bool:
    """Equal, numbers of another processor within what the record's contract allows."""
    if isinstance(shown, float) and isinstance(actual, float):
        return abs(shown - actual) <= 0.002
    if isinstance(shown, dict) and isinstance(actual, dict):
        return shown.keys() == actual.keys() and all(_same(shown[key], actual[key]) for key in shown)
    if isinstance(shown, list) and isinstance(actual, list):
        return len(shown) == len(actual) and all(map(_same, shown, actual))
    return bool(shown == actual)


def test_openapi_examples_are_answers_of_the_packaged_checkpoint() -> None:
    shown = json.loads(examples.FILE.read_text("utf-8"))
    actual = examples.answers(Analyzer.load())
    assert _same(shown, actual), "write them again: python -m serve.examples && python -m serve.openapi"


def test_openapi_says_how_a_key_is_sent() -> None:
    found = json.loads((ROOT / "docs" / "openapi.json").read_text("utf-8"))
    schemes = found["components"]["securitySchemes"]
    assert schemes["bearer"] == {"type": "http", "scheme": "bearer"}
    assert (schemes["header"]["in"], schemes["header"]["name"]) == ("header", "X-API-Key")
    for path, operations in found["paths"].items():
        for operation in operations.values():
            if path.startswith("/v1/"):
                assert {"401", "403"} <= set(operation["responses"]), path
                assert [next(iter(entry)) for entry in operation["security"]] == ["bearer", "header"], path
