from __future__ import annotations

import json

import jsonschema
import pytest
from example import example_report

from sentiment.report.model import Figure, to_plain
from sentiment.report.schema import FILE, json_schema


def test_the_committed_schema_is_the_models() -> None:
    assert json.loads(FILE.read_text("utf-8")) == json_schema(), "run python -m sentiment.report.schema"


def test_the_example_obeys_the_schema() -> None:
    plain = json.loads(json.dumps(to_plain(example_report()), allow_nan=False))
    jsonschema.Draft202012Validator(json_schema()).validate(plain)


def test_the_schema_refuses_a_figure_without_its_interval() -> None:
    plain = to_plain(example_report())
    del plain["performance"]["overall"]["index"]["low"]
    with pytest.raises(jsonschema.ValidationError, match="low"):
        jsonschema.Draft202012Validator(json_schema()).validate(plain)


def test_to_plain_keeps_numbers_and_none() -> None:
    assert to_plain(Figure(1.5, n=3)) == {"value": 1.5, "low": None, "high": None, "n": 3, "reason": None}
