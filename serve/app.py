"""The service: its routes, and what starts and ends with it."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path

from fastapi import APIRouter, FastAPI
from starlette.middleware.cors import CORSMiddleware

from sentiment import __version__
from serve import admin, errors, feedback, files, jobs, pages, routes, store, webhook
from serve.context import Service
from serve.guard import Guard
from serve.metrics import Metrics
from serve.openapi import openapi
from serve.pages import Assets
from serve.queue import AnalyzerLike, Worker
from serve.reload import Reloader
from serve.security import Gate, as_origin
from serve.settings import Settings

_LOG = logging.getLogger(__name__)

_DESCRIPTION = """Reads Chinese cinema reviews and complaints (影院评论与投诉): overall sentiment, intent, whether
somebody should act, and for each service dimension that a text mentions its sentiment and the words that say so.

Every error is an RFC 9457 problem; its `code` is for programs. No text is logged, and none kept unless it is
uploaded or the operator allows it."""

# Paths whose bodies are as large as `max_upload` and reach their route as a stream, never as a whole in memory.
STREAMED = ("/v1/files",)
# What else the service is made of. A part's routers; and what it opens before the first request and closes after the
# last one (a database, a background task): a function from the `Service` to an asynchronous context manager. The
# worker already runs then, and still does.
ROUTERS: tuple[APIRouter, ...] = (
    routes.state,
    routes.router,
    files.router,
    feedback.router,
    admin.router,
    pages.router,
)
PARTS: tuple[Callable[[Service], AbstractAsyncContextManager[None]], ...] = (
    store.opened,
    feedback.forgetting,
    jobs.running,
    webhook.sending,
)


def create_app(
    settings: Settings,
    analyzer: AnalyzerLike | None = None,
    *,
    folder: Path | None = None,
    load: Callable[[Settings], AnalyzerLike] | None = None,
    on_failure: Callable[[], None] | None = None,
) -> FastAPI:
    """The service as an ASGI application, to be started once.

    While the lifespan lasts, a thread loads the checkpoint, unless `analyzer` is given, warms it up and scores. If that
    fails it calls `on_failure`, and `app.state.worker.error` says why. `folder` is what several workers of one service
    share; `load` takes the place of the checkpoint's loading, also when it is reloaded.

    Raises:
        KeysError: the file of keys cannot be used.
    """
    metrics = Metrics()
    loading = load or _load
    worker = Worker(
        lambda: loading(settings) if analyzer is None else analyzer,
        queue_size=settings.queue_size,
        block_characters=settings.block_characters,
        on_failure=on_failure,
        listener=metrics,
    )
    reloader = Reloader(worker, lambda: loading(settings), folder, metrics.reloaded)
    service = Service(settings, worker, metrics, Gate(settings), reloader)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(reloader.watching())
            worker.start()
            stack.callback(worker.stop)
            for part in PARTS:
                await stack.enter_async_context(part(service))
            while folder is not None and worker.state == "loading":
                await asyncio.sleep(0.05)  # a worker among others takes no connection before it can answer
            await stack.enter_async_context(_draining(service))
            yield

    app = FastAPI(
        title="cinesent",
        version=__version__,
        description=_DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        # FastAPI tells what observes the process of addresses as they were sent, and of bodies. Older versions tell it
        # nothing, and keep a parameter that they do not know unread.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.settings = settings
    app.state.worker = worker
    app.state.service = service
    for router in ROUTERS:
        app.include_router(router)
    for path in ("/page", "/docs/assets"):
        app.mount(path, Assets())
    app.add_middleware(
        Guard,
        max_body=settings.max_body,
        body_timeout=settings.body_timeout,
        gate=service.gate,
        streamed=dict.fromkeys(STREAMED, settings.max_upload),
        paths=[path for path in openapi(app)["paths"] if "{" not in path],
        listener=metrics.answered,
    )
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=[as_origin(origin) for origin in settings.cors_origins],
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "X-API-Key", "X-Request-ID"],
            expose_headers=["Retry-After", "X-Request-ID"],
        )
    errors.install(app)
    app.openapi = lambda: openapi(app)  # type: ignore[method-assign]
    return app


@asynccontextmanager
async def _draining(service: Service) -> AsyncIterator[None]:
    """Puts `drain` seconds between SIGTERM and what the server does then.

    Meanwhile `service.draining` is true, so that /ready is 503 and those who distribute requests send them elsewhere.
    What comes all the same is answered. A service that has nothing to score with does not wait.
    """
    seconds = service.settings.drain
    if not seconds or threading.current_thread() is not threading.main_thread():  # no other hears of signals
        yield
        return
    loop = asyncio.get_running_loop()
    server = signal.getsignal(signal.SIGTERM)

    def told(*_: object) -> None:
        loop.call_soon_threadsafe(begin)

    def begin() -> None:
        if service.worker.state != "ready":
            end()
        elif not service.draining:
            service.draining = True
            _LOG.info("told to stop: not ready any more, ends in %g s", seconds)
            loop.call_later(seconds, end)

    def end() -> None:
        if signal.getsignal(signal.SIGTERM) is told:  # else it has ended for another reason
            signal.signal(signal.SIGTERM, server)
            signal.raise_signal(signal.SIGTERM)

    signal.signal(signal.SIGTERM, told)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, server)


def _load(settings: Settings) -> AnalyzerLike:
    from sentiment.analyzer import Analyzer
    from sentiment.runtimes import choose_runtime

    chosen = choose_runtime(settings.runtime, settings.model)
    _LOG.info("runtime: %s", chosen)
    return Analyzer.load(
        settings.model, taxonomy=settings.taxonomy, threads=settings.worker_threads, runtime=chosen.name
    )
