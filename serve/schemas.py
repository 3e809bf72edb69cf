"""What requests and responses look like, as OpenAPI shows it, and how an analysis becomes a response."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from sentiment.records import Analysis, Script, Sentiment, Status
from serve.settings import MOST_ITEMS

ItemCode = Literal["text_missing", "text_too_large", "invalid_unicode", "deadline", "internal"]

EXAMPLE_TEXT = "IMAX效果很震撼👍但是座椅太硬，坐得腰疼，找前台反映也没人理，要求退票！"
# What the packaged checkpoint answers to the requests below: `python -m serve.examples` writes it.
_ANSWERS: dict[str, Any] = json.loads((Path(__file__).parent / "examples.json").read_text("utf-8"))
EXAMPLE_MODEL: str = _ANSWERS["complaint"]["model"]


def _nothing() -> None:
    """A default that OpenAPI does not show."""


def _identifier(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if value is not None and not (isinstance(value, str) and _surrogate(value) is None):
        raise PydanticCustomError("identifier", "expected a string or an integer")
    return value


def _surrogate(text: str) -> int | None:
    """Where the first lone surrogate is."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return error.start
    return None


# Checked by `text_error`, so that one bad text of a batch does not take the others with it.
Text = Annotated[
    Any,
    WithJsonSchema(
        {"type": "string", "description": "The review, Simplified or Traditional, as it is: no clean-up needed."}
    ),
]
Identifier = Annotated[
    str | None,
    BeforeValidator(_identifier),
    WithJsonSchema(
        {"anyOf": [{"type": "string"}, {"type": "integer"}], "description": "Comes back with the record, as a string."}
    ),
]
Confidence = Annotated[float, Field(ge=0, le=1)]


class Options(BaseModel):
    """What a record is to hold."""

    model_config = ConfigDict(extra="forbid", strict=True)

    dimensions: Annotated[
        list[str] | None,
        WithJsonSchema({"type": "array", "items": {"type": "string"}}),
        Field(description="Only these dimensions. Default: all; /v1/taxonomy lists them.", default_factory=_nothing),
    ]
    evidence: bool = Field(True, description="false leaves out `evidence`, `start` and `end`.")
    probabilities: bool = Field(
        False, description="true adds, for every dimension, the probabilities of negative, neutral and positive."
    )
    offsets: Literal["codepoints", "utf16"] = Field(
        "codepoints",
        description="The unit of `start` and `end`: code points (Python), or UTF-16 code units (Java, JavaScript, C#).",
    )


class AnalyzeRequest(Options):
    """One text."""

    model_config = ConfigDict(json_schema_extra={"required": ["text"]})

    text: Text = Field(default_factory=_nothing)
    id: Identifier = Field(default_factory=_nothing)


class Item(BaseModel):
    """One text of a batch."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra={"required": ["text"]})

    text: Text = Field(default_factory=_nothing)
    id: Identifier = Field(default_factory=_nothing)


class BatchRequest(Options):
    """Several texts. The bound on their number is in /v1/info."""

    items: Annotated[list[Item], Field(max_length=MOST_ITEMS)]


class OverallLabel(BaseModel):
    sentiment: Sentiment
    confidence: Confidence


class IntentLabel(BaseModel):
    label: str
    confidence: Confidence


class EscalationLabel(BaseModel):
    label: bool
    confidence: Confidence


class MentionRecord(BaseModel):
    """One dimension that the text mentions. `evidence`, `start` and `end` are missing with `"evidence": false`."""

    dimension: str
    sentiment: Sentiment
    confidence: Confidence
    evidence: str = Field(default_factory=str)
    start: int = Field(default_factory=int, ge=0)
    end: int = Field(default_factory=int, ge=0)
    owner: str = Field(description="The department that answers first.")


class Record(BaseModel):
    """What one text says. `overall`, `intent` and `escalation` are null unless `status` is "ok"."""

    schema_: int = Field(alias="schema")
    model: str
    id: str | None
    overall: OverallLabel | None
    intent: IntentLabel | None
    escalation: EscalationLabel | None
    dimensions: list[MentionRecord] = Field(description="The dimensions mentioned, most confident first.")
    uncertain: bool = Field(description="A person should look.")
    script: Script
    tokens: int
    windows: int
    truncated: bool = Field(description="The end of the text was not read.")
    status: Status
    probabilities: Annotated[
        dict[str, list[float]] | None,
        WithJsonSchema(
            {
                "type": "object",
                "additionalProperties": {"type": "array", "items": {"type": "number"}, "minItems": 3, "maxItems": 3},
            }
        ),
        Field(
            description='With `"probabilities": true`: for every dimension negative, neutral, positive; not mentioned '
            "is 1 − their sum.",
            default_factory=_nothing,
        ),
    ]


class ItemError(BaseModel):
    """Why an item has no record."""

    index: int = Field(description="Of the item, from 0.")
    id: str | None
    code: ItemCode
    message: str


class BatchResponse(BaseModel):
    """`results` has one element an item, in order: null where it failed, for the reason in `errors`."""

    results: list[Record | None]
    errors: list[ItemError]


class DimensionRecord(BaseModel):
    """One service dimension: its key, its names, and the lenses by which reports group it."""

    key: str
    zh: str
    en: str
    group: str
    stage: str
    form: str
    quality: str
    ledger: str
    servqual: str
    owner: str


class TaxonomyResponse(BaseModel):
    dimensions: list[DimensionRecord]
    sentiments: list[str]
    overall: list[str]
    intents: list[str]
    escalation: list[bool]


class Limits(BaseModel):
    max_body: int = Field(description="Bytes of a request.")
    max_upload: int = Field(description="Bytes of an uploaded file.")
    max_rows: int = Field(description="Rows of an uploaded file.")
    max_jobs: int = Field(description="Uploaded files that may wait or be scored.")
    max_batch_items: int
    max_characters: int = Field(description="Code points of a text.")
    deadline: float = Field(description="Seconds.")
    queue_size: int = Field(description="Texts that may wait.")


class InfoResponse(BaseModel):
    version: str
    schema_: int = Field(alias="schema", description="The version of the record's shape.")
    model: str
    hash: str
    limits: Limits


class ReloadResponse(BaseModel):
    model: str
    hash: str
    changed: bool = Field(description="Whether it is another checkpoint than before.")
    workers: int = Field(description="Workers that have it now.")


class StateResponse(BaseModel):
    status: str


class FieldProblem(BaseModel):
    pointer: str
    detail: str


class ProblemResponse(BaseModel):
    """RFC 9457. `code` is for programs; `errors` names the members of an invalid request."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[FieldProblem] = Field(default_factory=list)


def text_error(text: Any, most: int) -> tuple[ItemCode, str] | None:
    """Why `text` cannot be analysed, without quoting it; None if it can."""
    if not isinstance(text, str):
        return "text_missing", "expected `text` to be a string, found " + ("none" if text is None else "another type")
    if len(text) > most:
        return "text_too_large", f"expected at most {most} characters, found {len(text)}"
    if (position := _surrogate(text)) is not None:
        return "invalid_unicode", f"expected valid Unicode, found a lone surrogate at character {position}"
    return None


def record(analysis: Analysis, text: str, identifier: str | None, options: Options) -> dict[str, Any]:
    """The record of `text` as the options want it."""
    found = analysis.to_dict(probabilities=options.probabilities)
    found["id"] = identifier
    if options.dimensions is not None:
        keys = frozenset(options.dimensions)
        found["dimensions"] = [mention for mention in found["dimensions"] if mention["dimension"] in keys]
        if options.probabilities:
            found["probabilities"] = {key: values for key, values in found["probabilities"].items() if key in keys}
    for mention in found["dimensions"]:
        if not options.evidence:
            del mention["evidence"], mention["start"], mention["end"]
        elif options.offsets == "utf16":
            mention["start"] = _utf16(text, mention["start"])
            mention["end"] = _utf16(text, mention["end"])
    return found


def _utf16(text: str, position: int) -> int:
    return len(text[:position].encode("utf-16-le")) // 2


REQUEST_EXAMPLES: dict[str, Any] = {
    "complaint": {"summary": "一条投诉 (a complaint)", "value": {"id": 17, "text": EXAMPLE_TEXT}},
    "utf16": {
        "summary": "Java、JavaScript 的偏移 (offsets for Java and JavaScript)",
        "value": {"id": "17", "text": EXAMPLE_TEXT, "offsets": "utf16"},
    },
    "filtered": {
        "summary": "只看座椅和票价，带概率 (two dimensions, with probabilities)",
        "value": {"text": "票价比隔壁贵一倍，座椅还是坏的", "dimensions": ["seating", "price"], "probabilities": True},
    },
    "blank": {"summary": "空白文本 (a blank text)", "value": {"text": " "}},
}
RECORD_EXAMPLES: dict[str, Any] = {
    "complaint": {"summary": "一条投诉 (a complaint)", "value": _ANSWERS["complaint"]},
    "utf16": {"summary": "Java、JavaScript 的偏移 (UTF-16 offsets)", "value": _ANSWERS["utf16"]},
    "filtered": {
        "summary": "只看座椅和票价，带概率 (two dimensions, with probabilities)",
        "value": _ANSWERS["filtered"],
    },
    "blank": {"summary": "空白文本 (a blank text)", "value": _ANSWERS["blank"]},
}
BATCH_REQUEST_EXAMPLES: dict[str, Any] = {
    "reviews": {
        "summary": "三条评论 (three reviews)",
        "value": {"items": [{"id": 17, "text": EXAMPLE_TEXT}, {"id": 18, "text": " "}, {"id": "A-19"}]},
    }
}
BATCH_EXAMPLES: dict[str, Any] = {
    "reviews": {
        "summary": "第三条缺文本 (the third one has no text)",
        "value": {
            "results": [_ANSWERS["complaint"], {**_ANSWERS["blank"], "id": "18"}, None],
            "errors": [
                {
                    "index": 2,
                    "id": "A-19",
                    "code": "text_missing",
                    "message": "expected `text` to be a string, found none",
                }
            ],
        },
    }
}
