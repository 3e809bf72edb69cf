"""The outermost layer: bounds the body, logs the access without a word of the request, lets no exception out."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.errors import ProblemError, internal
from serve.queue import where

_LOG = logging.getLogger(__name__)

# How much of a body that is too large is read on, and for how long: bodies of the allowed size, and seconds.
_DRAIN_BODIES = 16
_DRAIN_SECONDS = 5.0


class Guard:
    """Reads the body, at most `max_body` bytes of it, before the application sees the request.

    The server's own access log and error log would show query strings, paths and the messages of exceptions, any of
    which may hold a review; this one logs the route, the status and the time.
    """

    def __init__(self, app: ASGIApp, max_body: int) -> None:
        self._app = app
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        started = time.monotonic()
        try:
            try:
                body = await self._body(scope, receive)
                if body is None:
                    return
                await self._app(scope, _replay(body, receive), watched)
            except ProblemError as problem:
                await self._refuse(problem, scope, receive, watched)
        except Exception as error:
            _LOG.error("internal error: %s", where(error))
            if not status:
                await internal().response()(scope, receive, watched)
        finally:
            route = getattr(scope.get("route"), "path", "-")
            _LOG.info("%s %s %s %.1f ms", scope["method"], route, status or "-", 1000 * (time.monotonic() - started))

    async def _body(self, scope: Scope, receive: Receive) -> bytes | None:
        """The body; None if the client went away.

        Raises:
            ProblemError: it is larger than allowed, by what the client says or by what it sends.
        """
        for name, value in scope["headers"]:
            if name == b"content-length" and value.isdigit() and int(value[:20]) > self._max_body:
                raise self._too_large()
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            if size > self._max_body:
                raise self._too_large()
            if not message.get("more_body", False):
                return b"".join(chunks)

    async def _refuse(self, problem: ProblemError, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers, and only then reads on and throws away: a client that is cut off while it sends sees no answer."""

        async def unfinished(message: Message) -> None:
            await send({**message, "more_body": True} if message["type"] == "http.response.body" else message)

        await problem.response()(scope, receive, unfinished)
        if (b"expect", b"100-continue") not in scope["headers"]:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._drain(receive), _DRAIN_SECONDS)
        await send({"type": "http.response.body"})

    async def _drain(self, receive: Receive) -> None:
        size = 0
        while size < _DRAIN_BODIES * self._max_body:
            message = await receive()
            size += len(message.get("body", b""))
            if not message.get("more_body", False):
                return

    def _too_large(self) -> ProblemError:
        detail = f"expected a body of at most {self._max_body} bytes, found more; send it in several requests"
        return ProblemError(413, "body_too_large", detail, {"Connection": "close"})


def _replay(body: bytes, receive: Receive) -> Receive:
    replayed = False

    async def replay() -> Message:
        nonlocal replayed
        if replayed:
            return await receive()
        replayed = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
