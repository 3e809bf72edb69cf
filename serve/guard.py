"""The outermost layer: who may come in, how large a body may be, what every answer carries, what the log says of it."""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.errors import ProblemError, internal, too_large
from serve.queue import where
from serve.security import Gate

_LOG = logging.getLogger(__name__)

# How much of a body that is too large is read on, and for how long: bodies of the allowed size, and seconds.
_DRAIN_BODIES = 16
_DRAIN_SECONDS = 5.0
# What the form around an uploaded file may take: its other fields and the heads of its parts.
_FORM_BYTES = 1 << 16
# What a request id of the caller may be: it is logged, so it cannot hold a review.
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")

# Every answer has these unless its route has set them otherwise. The page works with files of its own only.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_HEADERS = tuple((name.lower().encode(), value.encode()) for name, value in HEADERS.items())

# What hears of every answer: method, route, status, seconds.
Listener = Callable[[str, str, int, float], None]


class Guard:
    """Lets a request in, reads its body, at most `max_body` bytes, and only then calls the application.

    A client that sends no byte of its body for `body_timeout` seconds is answered and cut off. `streamed` has the paths
    whose bodies are passed on as they come, forms around a file, and the bytes that the file may have. `paths` are
    those that a log line may name although the request never reached a route. The server's own access log and error log
    would show query strings, paths and the messages of exceptions, any of which may hold a review; this one logs the
    route, the status, the time, the request's id and the name of its key.
    """

    def __init__(
        self,
        app: ASGIApp,
        max_body: int,
        *,
        body_timeout: float = 30.0,
        gate: Gate | None = None,
        streamed: Mapping[str, int] | None = None,
        paths: Collection[str] = (),
        listener: Listener | None = None,
    ) -> None:
        self._app = app
        self._max_body = max_body
        self._body_timeout = body_timeout
        self._gate = gate
        self._streamed = streamed or {}
        self._paths = frozenset(paths)
        self._listener = listener

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 0
        request_id = _request_id(scope)
        state = scope.setdefault("state", {})
        state["request_id"] = request_id

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [pair for pair in message.get("headers", ()) if pair[0] != b"x-request-id"]
                names = {name for name, _ in headers}
                headers += [pair for pair in _HEADERS if pair[0] not in names]
                if b"cache-control" not in names:
                    kept = b"no-store" if scope["path"].startswith("/v1/") else b"no-cache"
                    headers.append((b"cache-control", kept))
                headers.append((b"x-request-id", request_id.encode()))
                message["headers"] = headers
            await send(message)

        started = time.monotonic()
        try:
            try:
                state["key"] = None if self._gate is None else self._gate.admit(scope)
                if (most := self._streamed.get(scope["path"])) is not None:
                    await self._stream(most, scope, receive, watched)
                elif (body := await self._body(scope, receive)) is not None:
                    await self._app(scope, _replay(body, receive), watched)
            except ProblemError as problem:
                if not status:
                    await self._refuse(problem, scope, receive, watched)
        except Exception as error:
            _LOG.error("internal error: %s", where(error))
            if not status:
                await internal().response()(scope, receive, watched)
        finally:
            self._tell(scope, status, time.monotonic() - started)

    def _tell(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", None) or (scope["path"] if scope["path"] in self._paths else "-")
        method, milliseconds = scope["method"], round(1000 * seconds, 1)
        if self._listener is not None:
            self._listener(method, route, status, seconds)
        if not _LOG.isEnabledFor(logging.INFO):
            return
        key = scope["state"].get("key")
        fields = {
            "request_id": scope["state"]["request_id"],
            "method": method,
            "route": route,
            "status": status or None,
            "milliseconds": milliseconds,
            "key": None if key is None else key.name,
        }
        _LOG.info("%s %s %s %.1f ms", method, route, status or "-", milliseconds, extra={"fields": fields})

    async def _body(self, scope: Scope, receive: Receive) -> bytes | None:
        """The body; None if the client went away.

        Raises:
            ProblemError: it is larger than allowed, by what the client says or by what it sends; or it does not come.
        """
        if _length(scope) > self._max_body:
            raise too_large(self._max_body)
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await self._next(receive)
            if message["type"] == "http.disconnect":
                return None
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            if size > self._max_body:
                raise too_large(self._max_body)
            if not message.get("more_body", False):
                return b"".join(chunks)

    async def _stream(self, most: int, scope: Scope, receive: Receive, send: Send) -> None:
        """Calls the application with the body as it comes, a form around a file of at most `most` bytes. Past what such
        a form may have the answer is 413, and 408 where it ceases to come, whatever the application does. A client that
        goes away before its end gets none."""
        room = most + _FORM_BYTES
        if _length(scope) > room:
            raise too_large(most, "file")
        size = 0
        more, stalled, left = True, False, False

        async def counted() -> Message:
            nonlocal size, more, stalled, left
            if not more:
                return await receive()
            try:
                message = await self._next(receive)
            except ProblemError:
                stalled = True
                raise
            left = message["type"] == "http.disconnect"
            more = message.get("more_body", False)
            size += len(message.get("body", b""))
            if size > room:
                raise too_large(most, "file")
            return message

        async def unless_refused(message: Message) -> None:
            if size <= room and not stalled and not left:
                await send(message)

        try:
            await self._app(scope, counted, unless_refused)
        finally:
            if stalled:
                raise _stalled(self._body_timeout)
            if size > room:
                raise too_large(most, "file")

    async def _next(self, receive: Receive) -> Message:
        """The next part of a body.

        Raises:
            ProblemError: none comes.
        """
        with anyio.move_on_after(self._body_timeout):
            return await receive()
        raise _stalled(self._body_timeout)

    async def _refuse(self, problem: ProblemError, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers, and only then reads on and throws away: a client that is cut off while it sends sees no answer. One
        that sends nothing is not waited for again."""

        async def unfinished(message: Message) -> None:
            await send({**message, "more_body": True} if message["type"] == "http.response.body" else message)

        await problem.response()(scope, receive, unfinished)
        if problem.status != 408 and (b"expect", b"100-continue") not in scope["headers"]:
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


def _request_id(scope: Scope) -> str:
    """The caller's, if it is one; otherwise a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return str(value.decode())
    return uuid.uuid4().hex


def _length(scope: Scope) -> int:
    """Bytes of the body, by what the client says; 0 if it does not say."""
    given = (value for name, value in scope["headers"] if name == b"content-length" and value.isdigit())
    return max((int(value[:20]) for value in given), default=0)


def _stalled(seconds: float) -> ProblemError:
    detail = f"expected the rest of the body within {seconds:g} s, found nothing more of it; send the request again"
    return ProblemError(408, "body_timeout", detail, {"Connection": "close"})


def _replay(body: bytes, receive: Receive) -> Receive:
    replayed = False

    async def replay() -> Message:
        nonlocal replayed
        if replayed:
            return await receive()
        replayed = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
