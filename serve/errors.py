"""Every error as RFC 9457 `application/problem+json`, and none of them with a word of a review."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from serve.queue import QueueFullError, UnavailableError
from serve.store import StoreError

_LOG = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"

_SHOWN_ERRORS = 20
# Our own words for what pydantic finds: some of its messages quote the input.
_EXPECTED = {
    "missing": "expected a value, found none",
    "string_type": "expected a string",
    "string_unicode": "expected valid Unicode, found a lone surrogate",
    "string_pattern_mismatch": "expected a string of another form; /docs shows it",
    "int_type": "expected a whole number",
    "greater_than_equal": "expected 0 or more",
    "bool_type": "expected true or false",
    "list_type": "expected an array",
    "identifier": "expected a string of valid Unicode, or an integer",
    "extra_forbidden": "expected no member of another name than those documented in /docs, found one",
}
_STATES = {
    "loading": "expected a loaded checkpoint, found it still loading; try again in a moment",
    "failed": "expected a loaded checkpoint, found that loading failed; see the log of the service",
    "stopped": "expected a running service, found it stopping; try again in a moment",
}
_TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}


class ProblemError(Exception):
    """An error response. `code` is for programs, `detail` for people."""

    def __init__(
        self, status: int, code: str, detail: str, headers: Mapping[str, str] | None = None, **members: Any
    ) -> None:
        super().__init__(code)
        self.status, self.code, self.detail, self.headers, self.members = status, code, detail, headers, members

    def to_dict(self) -> dict[str, Any]:
        return {
            "type": "about:blank",
            "title": _TITLES.get(self.status) or HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            **self.members,
        }

    def response(self) -> Response:
        return Response(orjson.dumps(self.to_dict()), self.status, self.headers, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Makes `app` answer every error with a problem."""

    async def problem(request: Request, error: Exception) -> Response:
        return _problem(error).response()

    for kind in (ProblemError, HTTPException, RequestValidationError, QueueFullError, UnavailableError, StoreError):
        app.add_exception_handler(kind, problem)


def internal() -> ProblemError:
    return ProblemError(500, "internal", "the service failed; its log names the place")


def too_late(seconds: float) -> ProblemError:
    return ProblemError(
        504, "deadline", f"expected an analysis within {seconds:g} s, found none; try again, or send less at once"
    )


def _problem(error: Exception) -> ProblemError:
    if isinstance(error, ProblemError):
        return error
    if isinstance(error, QueueFullError):
        detail = f"expected room in the queue, found it full; try again in {error.retry_after} s"
        return ProblemError(429, "queue_full", detail, {"Retry-After": str(error.retry_after)})
    if isinstance(error, UnavailableError):
        state = str(error)
        return ProblemError(503, state, _STATES[state], {"Retry-After": "5"})
    if isinstance(error, StoreError):
        _LOG.error("%s", error)
        return ProblemError(
            503, "database", "expected a database that answers, found none; try again in a moment", {"Retry-After": "5"}
        )
    if isinstance(error, RequestValidationError):
        return _invalid(error.errors())
    if isinstance(error, HTTPException):
        return _http(error)
    return internal()


def _http(error: HTTPException) -> ProblemError:
    if error.status_code == 404:
        return ProblemError(404, "not_found", "expected a route of this service, found none; /docs lists them")
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "another method")
        return ProblemError(405, "method_not_allowed", f"expected {allowed}", error.headers)
    if error.status_code == 400:  # FastAPI's word for a body that the JSON parser did not even begin to read
        return ProblemError(
            422, "invalid_request", "expected a body in JSON and UTF-8, found another encoding or too deep a nesting"
        )
    phrase = HTTPStatus(error.status_code).phrase
    return ProblemError(error.status_code, phrase.lower().replace(" ", "_"), phrase, error.headers)


def _invalid(errors: Sequence[Any]) -> ProblemError:
    kind = errors[0]["type"]
    location = tuple(errors[0]["loc"])
    if kind == "json_invalid":
        detail = f"expected a body in JSON, found an error at character {location[-1]}"
        return ProblemError(422, "invalid_request", detail)
    if location == ("body",):
        detail = "expected a JSON object as body, and the header Content-Type: application/json"
        return ProblemError(422, "invalid_request", detail)
    if kind == "too_long":
        return too_many_items(errors[0]["ctx"]["max_length"])
    # A body of a megabyte can have a hundred thousand.
    shown = [{"pointer": _pointer(error), "detail": _expected(error)} for error in errors[:_SHOWN_ERRORS]]
    first = shown[0]
    detail = f"{first['detail']}, at {first['pointer']}" + (f", and {len(errors) - 1} more" if len(errors) > 1 else "")
    return ProblemError(422, "invalid_request", detail, errors=shown)


def _expected(error: Any) -> str:
    if error["type"] == "literal_error":
        return f"expected {error['ctx']['expected']}"
    return _EXPECTED.get(error["type"], "expected another value")


def too_large(most: int, what: str = "body") -> ProblemError:
    """`most`: bytes."""
    detail = f"expected a {what} of at most {most} bytes, found more; send it in several requests"
    return ProblemError(413, "body_too_large", detail, {"Connection": "close"})


def too_many_items(most: int) -> ProblemError:
    return ProblemError(
        413, "too_many_items", f"expected at most {most} items, found more; send them in several requests"
    )


def _pointer(error: Any) -> str:
    """Where, as a JSON pointer into the body. Of an unknown member only the parent: the name is the caller's."""
    location = error["loc"][1 : -1 if error["type"] == "extra_forbidden" else None]
    return "#/" + "/".join(str(part) for part in location)
