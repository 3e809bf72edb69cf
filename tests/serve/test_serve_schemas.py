from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from sentiment.records import Analysis, Mention
from sentiment.taxonomy import load_taxonomy
from serve import schemas


def _analysis(text: str, evidence: str) -> Analysis:
    start = text.index(evidence)
    mention = Mention("seating", "negative", 0.9, evidence, start, start + len(evidence), "工程")
    probabilities = {"seating": (0.9, 0.0, 0.0), "price": (0.0, 0.0, 0.1)}
    return Analysis(
        "m", None, "ok", "hans", "negative", 0.9, "review", 0.8, False, 0.7, (mention,), probabilities=probabilities
    )


def _options(**values: Any) -> schemas.Options:
    return schemas.Options.model_validate(values)


def test_schemas_utf16_offsets_are_those_of_java() -> None:
    text = "👍𠮷座椅👎很硬"
    record = schemas.record(_analysis(text, "座椅👎"), text, "7", _options(offsets="utf16"))
    mention = record["dimensions"][0]
    units = text.encode("utf-16-le")
    assert (mention["start"], mention["end"]) == (4, 8)
    assert units[2 * mention["start"] : 2 * mention["end"]].decode("utf-16-le") == mention["evidence"]
    plain = schemas.record(_analysis(text, "座椅👎"), text, None, _options())["dimensions"][0]
    assert text[plain["start"] : plain["end"]] == "座椅👎"


def test_schemas_record_without_evidence() -> None:
    record = schemas.record(_analysis("座椅硬", "座椅"), "座椅硬", None, _options(evidence=False))
    assert set(record["dimensions"][0]) == {"dimension", "sentiment", "confidence", "owner"}


def test_schemas_record_filters_dimensions_and_probabilities() -> None:
    analysis = _analysis("座椅硬", "座椅")
    record = schemas.record(analysis, "座椅硬", None, _options(dimensions=["price"], probabilities=True))
    assert record["dimensions"] == []
    assert record["probabilities"] == {"price": [0.0, 0.0, 0.1]}
    assert schemas.record(analysis, "座椅硬", None, _options(dimensions=[]))["dimensions"] == []
    assert "probabilities" not in schemas.record(analysis, "座椅硬", None, _options())


def test_schemas_records_fit_the_published_model() -> None:
    for options in (_options(), _options(evidence=False), _options(probabilities=True, offsets="utf16")):
        record = schemas.record(_analysis("座椅硬", "座椅"), "座椅硬", "1", options)
        assert set(record) - {"probabilities"} == set(schemas.RECORD_EXAMPLES["complaint"]["value"])
        schemas.Record.model_validate(record, strict=True)


def test_schemas_examples_are_true() -> None:
    taxonomy = load_taxonomy()
    record = schemas.RECORD_EXAMPLES["complaint"]["value"]
    for mention in record["dimensions"]:
        assert schemas.EXAMPLE_TEXT[mention["start"] : mention["end"]] == mention["evidence"]
        assert taxonomy[mention["dimension"]].owner == mention["owner"]
    confidences = [mention["confidence"] for mention in record["dimensions"]]
    assert confidences == sorted(confidences, reverse=True)
    for example in schemas.RECORD_EXAMPLES.values():
        schemas.Record.model_validate(example["value"])
    for example in schemas.REQUEST_EXAMPLES.values():
        schemas.AnalyzeRequest.model_validate(example["value"])
    for example in schemas.BATCH_REQUEST_EXAMPLES.values():
        schemas.BatchRequest.model_validate(example["value"])
    for example in schemas.BATCH_EXAMPLES.values():
        schemas.BatchResponse.model_validate(example["value"])


@pytest.mark.parametrize(("given", "found"), [(17, "17"), (10**30, "1" + "0" * 30), ("A-1", "A-1"), (None, None)])
def test_schemas_identifier_becomes_a_string(given: Any, found: Any) -> None:
    assert schemas.Item.model_validate({"id": given}).id == found


@pytest.mark.parametrize("given", [True, 1.5, ["1"], {}, "\ud800"])
def test_schemas_identifier_is_nothing_else(given: Any) -> None:
    with pytest.raises(ValidationError):
        schemas.Item.model_validate({"id": given})


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("座椅", None),
        ("", None),
        ("👍", None),
        (None, "text_missing"),
        (5, "text_missing"),
        (["座椅"], "text_missing"),
        ("六个字的评论", "text_too_large"),
        ("坏\ud83d", "invalid_unicode"),
    ],
)
def test_schemas_text_error_names_the_reason(text: Any, code: str | None) -> None:
    error = schemas.text_error(text, 5)
    assert (error and error[0]) == code
    assert error is None or "坏" not in error[1]
