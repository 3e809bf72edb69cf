"""Corrections: what the service said of a text and what is right, checked, and kept for training."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import chain
from typing import Annotated, Any, Literal

import anyio
import orjson
from fastapi import APIRouter, Body, Path, Request
from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.responses import Response, StreamingResponse

from sentiment.taxonomy import Taxonomy
from serve import schemas
from serve.context import Context, Service
from serve.errors import ProblemError
from serve.openapi import responses
from serve.routes import json_response
from serve.rows import Feedback, now
from serve.security import require
from serve.store import StoreError
from serve.webhook import drop_unsendable

_LOG = logging.getLogger(__name__)
_SWEEP_SECONDS = 3600.0
_SHOWN_ERRORS = 20
_SHA256 = "^[0-9a-f]{64}$"
# Members of an analysis record and of its mentions that are no labels.
_OF_A_RECORD = frozenset(
    ("schema", "id", "uncertain", "script", "tokens", "windows", "truncated", "status", "probabilities")
)
_OF_A_MENTION = frozenset(("confidence", "owner"))


class Label(BaseModel):
    """One dimension that the text mentions. `evidence` is used to find or check the place; it is not kept."""

    model_config = ConfigDict(extra="forbid", strict=True)

    dimension: str
    sentiment: str
    start: int | None = Field(None, ge=0)
    end: int | None = Field(None, ge=0)
    evidence: str | None = None


class Labels(BaseModel):
    """The labels of a labelled record; a whole record of /v1/analyze will do as well. A missing member is unknown.
    `labels` tells of every dimension whether it is mentioned, unless `annotated` lists those it tells of."""

    model_config = ConfigDict(extra="forbid", strict=True)

    overall: str | None = None
    intent: str | None = None
    escalation: bool | None = None
    labels: Annotated[list[Label], Field(max_length=1000)] | None = None
    annotated: Annotated[list[str], Field(max_length=1000)] | None = None
    model: str | None = Field(None, pattern=r"^[\w.@/ +:-]{1,200}$", description="The checkpoint that said so.")

    @model_validator(mode="before")
    @classmethod
    def _from_record(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        found = {name: member for name, member in value.items() if name not in _OF_A_RECORD}
        if "labels" not in found and "dimensions" in found:
            found["labels"] = found.pop("dimensions")
        for name, inner in (("overall", "sentiment"), ("intent", "label"), ("escalation", "label")):
            if isinstance(member := found.get(name), dict):
                found[name] = member.get(inner)
        if isinstance(mentions := found.get("labels"), list):
            found["labels"] = [
                {name: member for name, member in mention.items() if name not in _OF_A_MENTION}
                if isinstance(mention, dict)
                else mention
                for mention in mentions
            ]
        return found


class FeedbackRequest(BaseModel):
    """A correction, or a confirmation where `after` says what `before` says."""

    model_config = ConfigDict(extra="forbid", strict=True)

    sha256: str = Field(pattern=_SHA256, description="SHA-256 of the text as it was sent, in UTF-8, as hex digits.")
    text: str | None = Field(None, description="Kept only if the operator allows it; offsets are checked against it.")
    before: Labels = Field(description="What the service said.")
    after: Labels = Field(description="What is right.")
    offsets: Literal["codepoints", "utf16"] = Field(
        "codepoints", description='The unit of `start` and `end`; "utf16" needs the text.'
    )


class FeedbackResponse(BaseModel):
    id: int
    sha256: str
    text_stored: bool
    at: str


class DeletedResponse(BaseModel):
    deleted: int = Field(description="Corrections that were removed.")


_EXAMPLE_LABELS = {
    "overall": "negative",
    "intent": "complaint",
    "escalation": False,
    "labels": [{"dimension": "seating", "sentiment": "negative", "start": 0, "end": 4}],
}
_EXAMPLES: dict[str, Any] = {
    "correction": {
        "summary": "要升级处理 (it should have been escalated)",
        "value": {
            "sha256": hashlib.sha256("座椅坏了，摔了一跤".encode()).hexdigest(),
            "before": {**_EXAMPLE_LABELS, "model": schemas.EXAMPLE_MODEL},
            "after": {**_EXAMPLE_LABELS, "escalation": True},
        },
    },
    "judged": {
        "summary": "只判断了一个维度 (one dimension was judged)",
        "value": {
            "sha256": hashlib.sha256("票价还行".encode()).hexdigest(),
            "text": "票价还行",
            "before": {"labels": [{"dimension": "price", "sentiment": "positive"}]},
            "after": {
                "labels": [{"dimension": "price", "sentiment": "neutral", "evidence": "票价还行"}],
                "annotated": ["price"],
            },
        },
    },
}

router = APIRouter(tags=["corrections"])


@router.post(
    "/v1/feedback",
    status_code=201,
    dependencies=[require("feedback")],
    summary="Correct a label",
    response_model=FeedbackResponse,
    responses=responses(401, 403, 408, 413, 422, 429, 500, 503),
)
def add(
    service: Context, request: Request, body: Annotated[FeedbackRequest, Body(openapi_examples=_EXAMPLES)]
) -> Response:
    """Keeps the labels before and after, whose key it was, and when. The text is kept only if it is sent and the
    operator allows it; the evidence only as offsets."""
    before, after = _checked(body, service)
    key = getattr(request.state, "key", None)
    text = body.text.encode() if body.text is not None and service.settings.store_texts else None
    row = Feedback(
        sha256=body.sha256,
        text=text,
        before=before,
        after=after,
        model=body.before.model,
        by=None if key is None else key.name,
        at=now(),
    )
    with service.store.write() as session:
        session.add(row)
    answer = {"id": row.id, "sha256": row.sha256, "text_stored": text is not None, "at": row.to_dict()["at"]}
    return json_response(answer, 201)


@router.get(
    "/v1/feedback",
    dependencies=[require("admin")],
    summary="All corrections, for training",
    response_class=Response,
    responses={200: {"content": {"application/jsonl": {}}}, **responses(401, 403, 429, 500, 503)},
)
def export(service: Context) -> Response:
    """JSON Lines, oldest first: `id`, `sha256`, `text` if it was kept, `before`, `after`, `model`, `by`, `at`."""
    rows = service.store.feedback()
    first = list(filter(None, (next(rows, None),)))  # what fails does so before the answer begins
    lines = (orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in chain(first, rows))
    return StreamingResponse(lines, media_type="application/jsonl")


@router.delete(
    "/v1/feedback/{sha256}",
    dependencies=[require("admin")],
    summary="Remove what is kept of a text",
    response_model=DeletedResponse,
    responses=responses(401, 403, 422, 429, 500, 503),
)
def remove(service: Context, sha256: Annotated[str, Path(pattern=_SHA256)]) -> Response:
    """Removes all corrections of the text, and events about it that wait for the webhook's receiver."""
    return json_response({"deleted": service.store.erase(sha256)})


@asynccontextmanager
async def forgetting(service: Service) -> AsyncIterator[None]:
    """While the service runs, removes corrections that are older than `retention`, and events that nobody sends."""

    ending = asyncio.Event()

    async def sweep() -> None:
        while not ending.is_set():
            try:
                await asyncio.to_thread(_forget, service)
            except StoreError as error:
                _LOG.error("what is too old cannot be removed: %s", error)
            with anyio.move_on_after(_SWEEP_SECONDS):
                await ending.wait()

    task = asyncio.create_task(sweep())
    try:
        yield
    finally:
        ending.set()
        await task  # its thread still needs the database


def _forget(service: Service) -> None:
    """
    Raises:
        StoreError: see `Store.erase_before`.
    """
    days = service.settings.retention
    if days is not None and (removed := service.store.erase_before(now() - timedelta(days=days))):
        _LOG.info("%d corrections older than %d days removed", removed, days)
    if service.settings.webhook_url is None and (dropped := drop_unsendable(service.store)):
        _LOG.info("%d events removed that no webhook has sent", dropped)


def _checked(body: FeedbackRequest, service: Service) -> tuple[dict[str, Any], dict[str, Any]]:
    """The labels before and after as they are kept.

    Raises:
        ProblemError: 413 or 422, with every member that does not fit. UnavailableError: no checkpoint is loaded.
    """
    most = service.settings.max_characters
    if body.text is not None:
        if (error := schemas.text_error(body.text, most)) is not None:
            raise ProblemError(413 if error[0] == "text_too_large" else 422, error[0], error[1])
        if hashlib.sha256(body.text.encode()).hexdigest() != body.sha256:
            raise _invalid([("#/sha256", "expected the SHA-256 of the text in UTF-8, found another")])
    elif body.offsets == "utf16":
        raise _invalid([("#/offsets", 'expected the text with "utf16", found none; send it, or "codepoints"')])
    check = _Check(service.analyzer.taxonomy, body.text, most, utf16=body.offsets == "utf16")
    before, after = check.labels(body.before, "#/before"), check.labels(body.after, "#/after")
    if not after:
        check.errors.append(("#/after", "expected at least one label, found none"))
    if check.errors:
        raise _invalid(check.errors)
    return before, after


def _invalid(errors: list[tuple[str, str]]) -> ProblemError:
    pointer, detail = errors[0]
    more = f", and {len(errors) - 1} more" if len(errors) > 1 else ""
    found = [{"pointer": pointer, "detail": detail} for pointer, detail in errors[:_SHOWN_ERRORS]]
    return ProblemError(422, "invalid_request", f"{detail}, at {pointer}{more}", errors=found)


class _Check:
    """Labels against the label space and the text; `errors` gathers (pointer, detail) of all that does not fit."""

    def __init__(self, taxonomy: Taxonomy, text: str | None, most: int, *, utf16: bool) -> None:
        self.errors: list[tuple[str, str]] = []
        self._taxonomy, self._text, self._most, self._utf16 = taxonomy, text, most, utf16

    def labels(self, given: Labels, at: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, allowed in (("overall", self._taxonomy.overall), ("intent", self._taxonomy.intents)):
            if (value := getattr(given, name)) is not None and self._among(value, allowed, f"{at}/{name}"):
                found[name] = value
        if given.escalation is not None:
            found["escalation"] = given.escalation
        if given.labels is not None:
            found["labels"] = list(self._mentions(given.labels, f"{at}/labels"))
        if given.annotated is not None:
            for index, key in enumerate(given.annotated):
                self._among(key, self._taxonomy.keys, f"{at}/annotated/{index}")
            keys = {*given.annotated, *(label.dimension for label in given.labels or ())}
            found.setdefault("labels", [])
            found["annotated"] = [key for key in self._taxonomy.keys if key in keys]
        return found

    def _mentions(self, labels: list[Label], at: str) -> Iterator[dict[str, Any]]:
        seen = set()
        for index, label in enumerate(labels):
            here = f"{at}/{index}"
            known = self._among(label.dimension, self._taxonomy.keys, f"{here}/dimension")
            if known and label.dimension in seen:
                self.errors.append((f"{here}/dimension", "expected each dimension once, found one again"))
            seen.add(label.dimension)
            self._among(label.sentiment, self._taxonomy.sentiments, f"{here}/sentiment")
            span = self._span(label, here)
            place = {} if span is None else {"start": span[0], "end": span[1]}
            yield {"dimension": label.dimension, "sentiment": label.sentiment, **place}

    def _span(self, label: Label, at: str) -> tuple[int, int] | None:
        text, start, end = self._text, label.start, label.end
        if start is None or end is None:
            if start is not None or end is not None:
                self.errors.append((at, "expected both `start` and `end`, found one"))
            if not label.evidence or text is None:
                return None
            start = text.find(label.evidence)
            if start < 0:
                self.errors.append((f"{at}/evidence", "expected words of the text, found others"))
            return start, start + len(label.evidence)
        if self._utf16 and text is not None:
            units = text.encode("utf-16-le")
            start, end = (len(units[: 2 * offset].decode("utf-16-le", "ignore")) for offset in (start, end))
        most = self._most if text is None else len(text)
        if not 0 <= start < end <= most:
            self.errors.append((f"{at}/end", f"expected start < end <= {most}, found others"))
        elif text is not None and label.evidence is not None and text[start:end] != label.evidence:
            self.errors.append((f"{at}/evidence", "expected the words from `start` to `end`, found others"))
        return start, end

    def _among(self, value: str, allowed: tuple[str, ...], at: str) -> bool:
        if value not in allowed:
            self.errors.append((at, f"expected one of {', '.join(allowed)}, found another"))
        return value in allowed
