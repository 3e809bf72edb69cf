"""What OpenAPI says beyond the types: the answers of every route, the problems among them.

`python -m serve.openapi` writes docs/openapi.json.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from serve import schemas
from serve.errors import MEDIA_TYPE, ProblemError
from serve.settings import Settings

_PROBLEMS = {
    401: ("unauthorized", "There are keys, and the request has none that is valid."),
    403: ("forbidden", "The key lacks the role of this route; without keys, a page of another origin asks."),
    404: ("not_found", "There is no such thing, or not for this key."),
    408: ("body_timeout", "The client stopped sending in the middle of the body."),
    409: ("reload_failed", "The checkpoint cannot be loaded, or is being reloaded already; the old one stays."),
    413: ("body_too_large", "The body, the text or the number of items is too large."),
    422: ("invalid_request", "The request is invalid; `errors` names the members."),
    429: (
        "queue_full",
        "Too much is waiting, or the key has used up its share; `Retry-After` says how many seconds to wait.",
    ),
    500: ("internal", "The service failed."),
    503: ("loading", "The checkpoint is being loaded, or the service is stopping."),
    504: ("deadline", "The text was not scored in time."),
}


def responses(*statuses: int, examples: dict[str, Any] | None = None) -> dict[int | str, dict[str, Any]]:
    """What OpenAPI says about the answers to a route: examples of the good one, and the problems."""
    found: dict[int | str, dict[str, Any]] = {}
    if examples is not None:
        found[200] = {"content": {"application/json": {"examples": examples}}}
    for status in statuses:
        code, description = _PROBLEMS[status]
        example = ProblemError(status, code, description).to_dict()
        schema = {"$ref": "#/components/schemas/ProblemResponse"}
        found[status] = {"description": description, "content": {MEDIA_TYPE: {"schema": schema, "example": example}}}
    return found


def openapi(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        problem = schemas.ProblemResponse.model_json_schema(ref_template="#/components/schemas/{model}")
        known = schema["components"]["schemas"]
        known |= problem.pop("$defs")
        known["ProblemResponse"] = problem
        app.openapi_schema = schema
    return app.openapi_schema


def document() -> str:
    """The committed file as it should be: what a service with the packaged settings answers at /openapi.json."""
    from serve.app import create_app

    return json.dumps(create_app(Settings()).openapi(), ensure_ascii=False, indent=1) + "\n"


if __name__ == "__main__":
    (Path(__file__).parent.parent / "docs" / "openapi.json").write_text(document(), "utf-8")
