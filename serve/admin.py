"""The routes for operators: a swap of the checkpoint, and what is measured."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from serve import schemas
from serve.backlog import expose_backlog
from serve.context import Context
from serve.openapi import responses
from serve.routes import json_response
from serve.security import require

router = APIRouter(tags=["operation"])


@router.post(
    "/v1/admin/reload",
    dependencies=[require("admin")],
    summary="Load the checkpoint again, in every worker",
    response_model=schemas.ReloadResponse,
    responses=responses(401, 403, 409, 429, 500, 503),
)
async def reload(service: Context) -> Response:
    """Put the new checkpoint where `--model` points first. It is answered when every worker has the new one loaded and
    warm; until then they answer with the old one, and no request is dropped. If it cannot be loaded the old one stays.
    """
    before = service.analyzer
    analyzer, workers = await service.reloader.reload()
    return json_response(
        {"model": analyzer.name, "hash": analyzer.hash, "changed": analyzer.hash != before.hash, "workers": workers}
    )


@router.get("/metrics", summary="For Prometheus", response_class=Response, responses=responses(401, 429))
async def metrics(service: Context) -> Response:
    """Prometheus' text format, summed over the workers. Wants a key of any role, if there are keys."""

    def read() -> bytes:
        alive = [peer.process for peer in service.reloader.peers()]
        return service.metrics.expose(alive) + expose_backlog(service.store)

    # Files of all workers and the database are read: not on the event loop, where every answer would wait for it.
    return Response(await asyncio.to_thread(read), media_type=CONTENT_TYPE_LATEST)
