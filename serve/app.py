"""The service: its routes, and what starts and ends with it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Body, FastAPI, Request
from fastapi.openapi.utils import get_openapi
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from sentiment import __version__
from sentiment.records import SCHEMA, Analysis
from serve import errors, schemas
from serve.errors import MEDIA_TYPE, ProblemError
from serve.guard import Guard
from serve.queue import AnalyzerLike, Failure, Worker
from serve.settings import Settings

PAGE = Path(__file__).parent / "page"

# Nothing but this service's own files; the styles of Swagger UI are set by its script.
_DOCS_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src data:; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
}
_DESCRIPTION = """Reads Chinese cinema reviews and complaints (影院评论与投诉): overall sentiment, intent, whether
somebody should act, and for each service dimension that a text mentions its sentiment and the words that say so.

Every error is an RFC 9457 problem; its `code` is for programs. Texts are neither stored nor logged."""

_PROBLEMS = {
    413: ("body_too_large", "The body, the text or the number of items is too large."),
    422: ("invalid_request", "The request is invalid; `errors` names the members."),
    429: ("queue_full", "Too much is waiting; `Retry-After` says for how many seconds."),
    500: ("internal", "The service failed."),
    503: ("loading", "The checkpoint is being loaded, or the service is stopping."),
    504: ("deadline", "The text was not scored in time."),
}

router = APIRouter()


def _responses(*statuses: int, examples: dict[str, Any] | None = None) -> dict[int | str, dict[str, Any]]:
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


def create_app(
    settings: Settings, analyzer: AnalyzerLike | None = None, *, on_failure: Callable[[], None] | None = None
) -> FastAPI:
    """The service as an ASGI application, to be started once.

    While the lifespan lasts, a thread loads the checkpoint, unless `analyzer` is given, warms it up and scores. If that
    fails it calls `on_failure`, and `app.state.worker.error` says why.
    """
    worker = Worker(
        lambda: _load(settings) if analyzer is None else analyzer,
        queue_size=settings.queue_size,
        block_characters=settings.block_characters,
        on_failure=on_failure,
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        worker.start()
        yield
        worker.stop()

    app = FastAPI(
        title="cinesent",
        version=__version__,
        description=_DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.settings = settings
    app.state.worker = worker
    app.include_router(router)
    app.mount("/docs/assets", StaticFiles(directory=PAGE))
    app.add_middleware(Guard, max_body=settings.max_body)
    errors.install(app)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


def _load(settings: Settings) -> AnalyzerLike:
    from sentiment.analyzer import Analyzer

    return Analyzer.load(settings.model, taxonomy=settings.taxonomy, threads=settings.threads)


def _openapi(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        problem = schemas.ProblemResponse.model_json_schema(ref_template="#/components/schemas/{model}")
        known = schema["components"]["schemas"]
        known |= problem.pop("$defs")
        known["ProblemResponse"] = problem
        app.openapi_schema = schema
    return app.openapi_schema


def _json(content: Any) -> Response:
    return Response(orjson.dumps(content), media_type="application/json")


def _worker(request: Request) -> Worker:
    worker: Worker = request.app.state.worker
    return worker


def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


def _check(options: schemas.Options, worker: Worker) -> None:
    """
    Raises:
        UnavailableError: the checkpoint is not there. ProblemError: a dimension is not in its taxonomy.
    """
    taxonomy = worker.analyzer.taxonomy
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
    responses=_responses(413, 422, 429, 500, 503, 504, examples=schemas.RECORD_EXAMPLES),
)
async def analyze(
    request: Request,
    body: Annotated[schemas.AnalyzeRequest, Body(openapi_examples=schemas.REQUEST_EXAMPLES)],
) -> Response:
    """One text in, one record out. A blank text, or one in another language, is no error: `status` says so."""
    worker, settings = _worker(request), _settings(request)
    _check(body, worker)
    if (error := schemas.text_error(body.text, settings.max_characters)) is not None:
        code, message = error
        raise ProblemError(413 if code == "text_too_large" else 422, code, message)
    (outcome,) = await worker.analyze([body.text], settings.deadline)
    if isinstance(outcome, Failure):
        raise errors.internal() if outcome is Failure.INTERNAL else errors.too_late(settings.deadline)
    return _json(schemas.record(outcome, body.text, body.id, body))


@router.post(
    "/v1/analyze/batch",
    tags=["analyze"],
    summary="Analyse several texts",
    response_model=schemas.BatchResponse,
    responses=_responses(413, 422, 429, 500, 503, examples=schemas.BATCH_EXAMPLES),
)
async def analyze_batch(
    request: Request,
    body: Annotated[schemas.BatchRequest, Body(openapi_examples=schemas.BATCH_REQUEST_EXAMPLES)],
) -> Response:
    """Records in the order of the items. An item that fails is null in `results`, and `errors` says why; the others
    are not touched. What the deadline cuts off fails with the code `deadline`."""
    worker, settings = _worker(request), _settings(request)
    _check(body, worker)
    if len(body.items) > settings.max_batch_items:
        raise errors.too_many_items(settings.max_batch_items)
    found = [schemas.text_error(item.text, settings.max_characters) for item in body.items]
    texts = [item.text for item, error in zip(body.items, found, strict=True) if error is None]
    outcomes = iter(await worker.analyze(texts, settings.deadline))
    results: list[dict[str, Any] | None] = []
    failed: list[dict[str, Any]] = []
    for index, (item, error) in enumerate(zip(body.items, found, strict=True)):
        outcome = _failure(next(outcomes), settings) if error is None else error
        if isinstance(outcome, Analysis):
            results.append(schemas.record(outcome, item.text, item.id, body))
        else:
            results.append(None)
            failed.append({"index": index, "id": item.id, "code": outcome[0], "message": outcome[1]})
    return _json({"results": results, "errors": failed})


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
    responses=_responses(503),
)
async def taxonomy(request: Request) -> Response:
    return _json(_worker(request).analyzer.taxonomy.to_dict() | {"escalation": [False, True]})


@router.get(
    "/v1/info",
    tags=["model"],
    summary="Version, checkpoint and limits",
    response_model=schemas.InfoResponse,
    responses=_responses(503),
)
async def info(request: Request) -> Response:
    analyzer, settings = _worker(request).analyzer, _settings(request)
    limits = {name: getattr(settings, name) for name in schemas.Limits.model_fields}
    return _json(
        {"version": __version__, "schema": SCHEMA, "model": analyzer.name, "hash": analyzer.hash, "limits": limits}
    )


@router.get("/health", tags=["state"], summary="Alive", response_model=schemas.StateResponse)
async def health() -> Response:
    """200 as long as the process answers, also while the checkpoint is being loaded."""
    return _json({"status": "ok"})


@router.get(
    "/ready",
    tags=["state"],
    summary="Loaded and warm",
    response_model=schemas.StateResponse,
    responses=_responses(503),
)
async def ready(request: Request) -> Response:
    """200 once the checkpoint is loaded and warm; 503 before, and when loading failed."""
    _ = _worker(request).analyzer  # raises unless it is there
    return _json({"status": "ready"})


@router.get("/docs", include_in_schema=False)
async def docs() -> Response:
    return FileResponse(PAGE / "docs.html", headers=_DOCS_HEADERS)


@router.get("/", include_in_schema=False)
async def root() -> Response:
    return RedirectResponse("docs")
