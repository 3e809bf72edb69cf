"""The routes that score and describe; `health` and `ready` for probes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Body, Request
from starlette.responses import Response

from sentiment import __version__
from sentiment.records import SCHEMA, Analysis
from serve import errors, schemas, webhook
from serve.context import Context, Service
from serve.errors import ProblemError
from serve.openapi import responses
from serve.queue import Failure, QueueFullError, UnavailableError
from serve.security import require
from serve.settings import Settings

# Nobody reads it; the log has its status, which nginx made usual.
_GONE = Response(status_code=499)

state = APIRouter(tags=["state"])
router = APIRouter(dependencies=[require("score")])


def json_response(content: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")


async def _outcomes(request: Request, service: Service, texts: Sequence[str]) -> list[Analysis | Failure] | None:
    """What became of the texts; None if the client goes away before, and then they leave the queue."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    leaving = asyncio.ensure_future(gone())
    try:
        outcomes = await service.worker.analyze(texts, service.settings.deadline, leaving)
        return None if leaving.done() and Failure.DEADLINE in outcomes else outcomes
    finally:
        leaving.cancel()


def _check(options: schemas.Options, service: Service) -> None:
    """
    Raises:
        UnavailableError: the checkpoint is not there. ProblemError: a dimension is not in its taxonomy.
    """
    taxonomy = service.analyzer.taxonomy
    unknown = [index for index, key in enumerate(options.dimensions or ()) if key not in taxonomy.index]
    if unknown:
        detail = f"expected dimensions of the taxonomy ({', '.join(taxonomy.keys)}), found another"
        found = [{"pointer": f"#/dimensions/{index}", "detail": "unknown dimension"} for index in unknown[:20]]
        raise ProblemError(422, "invalid_request", detail, errors=found)


@router.post(
    "/v1/analyze",
    tags=["analyze"],
    summary="Analyse one text",
    response_model=schemas.Record,
    responses=responses(401, 403, 408, 413, 422, 429, 500, 503, 504, examples=schemas.RECORD_EXAMPLES),
)
async def analyze(
    request: Request,
    service: Context,
    body: Annotated[schemas.AnalyzeRequest, Body(openapi_examples=schemas.REQUEST_EXAMPLES)],
) -> Response:
    """One text in, one record out. A blank text, or one in another language, is no error: `status` says so."""
    settings = service.settings
    _check(body, service)
    if (error := schemas.text_error(body.text, settings.max_characters)) is not None:
        code, message = error
        raise ProblemError(413 if code == "text_too_large" else 422, code, message)
    outcomes = await _outcomes(request, service, [body.text])
    if outcomes is None:
        return _GONE
    (outcome,) = outcomes
    if isinstance(outcome, Failure):
        raise errors.internal() if outcome is Failure.INTERNAL else errors.too_late(settings.deadline)
    await webhook.tell(service, [(body.text, body.id, outcome)])
    return json_response(schemas.record(outcome, body.text, body.id, body))


@router.post(
    "/v1/analyze/batch",
    tags=["analyze"],
    summary="Analyse several texts",
    response_model=schemas.BatchResponse,
    responses=responses(401, 403, 408, 413, 422, 429, 500, 503, examples=schemas.BATCH_EXAMPLES),
)
async def analyze_batch(
    request: Request,
    service: Context,
    body: Annotated[schemas.BatchRequest, Body(openapi_examples=schemas.BATCH_REQUEST_EXAMPLES)],
) -> Response:
    """Records in the order of the items. An item that fails is null in `results`, and `errors` says why; the others
    are not touched. What the deadline cuts off fails with the code `deadline`."""
    settings = service.settings
    _check(body, service)
    if len(body.items) > settings.max_batch_items:
        raise errors.too_many_items(settings.max_batch_items)
    found = [schemas.text_error(item.text, settings.max_characters) for item in body.items]
    texts = [item.text for item, error in zip(body.items, found, strict=True) if error is None]
    further = max(len(body.items), 1) - 1
    service.gate.charge(request.state.key, further)
    try:
        found_outcomes = await _outcomes(request, service, texts)
    except QueueFullError:
        service.gate.charge(request.state.key, -further)  # a client that tries again must not run out of texts
        raise
    if found_outcomes is None:
        return _GONE
    outcomes = iter(found_outcomes)
    judged: list[webhook.Judged] = []
    results: list[dict[str, Any] | None] = []
    failed: list[dict[str, Any]] = []
    for index, (item, error) in enumerate(zip(body.items, found, strict=True)):
        outcome = _failure(next(outcomes), settings) if error is None else error
        if isinstance(outcome, Analysis):
            judged.append((item.text, item.id, outcome))
            results.append(schemas.record(outcome, item.text, item.id, body))
        else:
            results.append(None)
            failed.append({"index": index, "id": item.id, "code": outcome[0], "message": outcome[1]})
    await webhook.tell(service, judged)
    return json_response({"results": results, "errors": failed})


def _failure(outcome: Analysis | Failure, settings: Settings) -> Analysis | tuple[str, str]:
    """What an item's outcome is called in a batch."""
    if isinstance(outcome, Analysis):
        return outcome
    problem = errors.internal() if outcome is Failure.INTERNAL else errors.too_late(settings.deadline)
    return problem.code, problem.detail


@router.get(
    "/v1/taxonomy",
    tags=["model"],
    summary="The label space with every lens",
    response_model=schemas.TaxonomyResponse,
    responses=responses(401, 403, 429, 503),
)
async def taxonomy(service: Context) -> Response:
    return json_response(service.analyzer.taxonomy.to_dict() | {"escalation": [False, True]})


@router.get(
    "/v1/info",
    tags=["model"],
    summary="Version, checkpoint and limits",
    response_model=schemas.InfoResponse,
    responses=responses(401, 403, 429, 503),
)
async def info(service: Context) -> Response:
    analyzer, settings = service.analyzer, service.settings
    limits = {name: getattr(settings, name) for name in schemas.Limits.model_fields}
    return json_response(
        {"version": __version__, "schema": SCHEMA, "model": analyzer.name, "hash": analyzer.hash, "limits": limits}
    )


@state.get("/health", summary="Alive", response_model=schemas.StateResponse)
async def health() -> Response:
    """200 as long as the process answers, also while the checkpoint is being loaded."""
    return json_response({"status": "ok"})


@state.get(
    "/ready",
    summary="Loaded and warm",
    response_model=schemas.StateResponse,
    responses=responses(503),
)
async def ready(service: Context) -> Response:
    """200 once the checkpoint is loaded and warm; 503 before, when loading failed, and when the service will stop."""
    if service.draining:
        raise UnavailableError("stopped")
    _ = service.analyzer  # raises unless it is there
    return json_response({"status": "ready"})
