"""The HTTP service from Python, as if it were an `Analyzer`: `Client("http://localhost:8000").analyze("座椅太硬").overall`.

`Client` blocks, `AsyncClient` is awaited; both answer with the library's own `Analysis`. A full queue (429), a service
that is loading or stopping (503) and a connection that does not come about are tried again, within the timeout. Needs
the extra `client`.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from sentiment.client_calls import (
    Calls,
    Info,
    ItemError,
    Limits,
    Pause,
    ServiceError,
    Steps,
    T,
    batches,
    httpx,
    request,
)
from sentiment.records import Analysis
from sentiment.taxonomy import Taxonomy

__all__ = ["AsyncClient", "Client", "Info", "ItemError", "Limits", "ServiceError"]


class Client(Calls):
    """Blocks until the answer is there. Safe to use from several threads; close it, or use it with `with`.

    Args:
        url: where the service is, with the path before /v1 if there is one.
        key: an API key, where the service wants one.
        timeout: seconds for a call and its repetitions; for `analyze_many` for each of its requests.
        dimensions, evidence, probabilities: what the records are to hold; by default all dimensions with evidence.
        transport: another httpx transport: client certificates, a proxy, a test.

    Every method raises `ServiceError`. A blank text, or one in another language, is none: its `status` says so.
    """

    def __init__(
        self, url: str, key: str | None = None, *, timeout: float = 60.0, dimensions: Sequence[str] | None = None,
        evidence: bool = True, probabilities: bool = False, transport: httpx.BaseTransport | None = None,
    ) -> None:  # fmt: skip
        super().__init__(url, key, timeout, dimensions, evidence, probabilities)
        self._http = httpx.Client(base_url=self._base, headers=self._headers, transport=transport)

    def analyze(self, text: str, id: str | int | None = None) -> Analysis:  # noqa: A002
        """One text. `start` and `end` of its mentions are code points: `text[start:end] == evidence`."""
        return self._do(self.analyze_steps(text, id))

    def analyze_many(
        self, texts: Iterable[str], ids: Iterable[str | int | None] | None = None
    ) -> Iterator[Analysis | ItemError]:
        """A stream of texts, in order, in requests that keep to the service's limits. One that cannot be analysed
        gives an `ItemError` in its place and stops none after it."""
        for items in batches(texts, ids, self._limits or self.info().limits):
            yield from self._do(self.batch_steps(items))

    def info(self) -> Info:
        """Version, checkpoint and limits."""
        return self._do(self.info_steps())

    def taxonomy(self) -> Taxonomy:
        """The label space of the service's checkpoint."""
        return self._do(self.taxonomy_steps())

    def feedback(
        self, text: str, before: Analysis | Mapping[str, Any], after: Mapping[str, Any], *, keep_text: bool = False
    ) -> dict[str, Any]:
        """Sends a correction: what the service said and what is right, both in the shape of the record. The text stays
        here and only its sha256 goes, unless `keep_text`."""
        return cast("dict[str, Any]", self._do(self.feedback_steps(text, before, after, keep_text)))

    def reload(self) -> dict[str, Any]:
        """Has every worker of the service load its checkpoint anew, which may take minutes; wants the role admin."""
        return cast("dict[str, Any]", self._do(self.reload_steps()))

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _do(self, steps: Steps[T]) -> T:
        answer: httpx.Response | httpx.TransportError | None = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as done:
                return cast("T", done.value)
            if isinstance(step, Pause):
                time.sleep(step.seconds)
                answer = None
                continue
            try:
                answer = self._http.request(step.method, step.path, **request(step))
            except httpx.TransportError as error:
                answer = error


class AsyncClient(Calls):
    """As `Client`, awaited. `analyze_many` keeps up to `concurrency` requests under way, and the order."""

    def __init__(
        self, url: str, key: str | None = None, *, timeout: float = 60.0, dimensions: Sequence[str] | None = None,
        evidence: bool = True, probabilities: bool = False, concurrency: int = 4,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:  # fmt: skip
        super().__init__(url, key, timeout, dimensions, evidence, probabilities)
        if concurrency < 1:
            raise ValueError(f"expected a concurrency of at least 1, found {concurrency}")
        self._concurrency = concurrency
        self._http = httpx.AsyncClient(base_url=self._base, headers=self._headers, transport=transport)

    async def analyze(self, text: str, id: str | int | None = None) -> Analysis:  # noqa: A002
        """See `Client.analyze`."""
        return await self._do(self.analyze_steps(text, id))

    async def analyze_many(
        self, texts: Iterable[str], ids: Iterable[str | int | None] | None = None
    ) -> AsyncIterator[Analysis | ItemError]:
        """See `Client.analyze_many`."""
        limits = self._limits or (await self.info()).limits
        waiting: deque[asyncio.Task[list[Analysis | ItemError]]] = deque()
        try:
            for items in batches(texts, ids, limits):
                waiting.append(asyncio.ensure_future(self._do(self.batch_steps(items))))
                if len(waiting) == self._concurrency:
                    for found in await waiting.popleft():
                        yield found
            while waiting:
                for found in await waiting.popleft():
                    yield found
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def info(self) -> Info:
        """See `Client.info`."""
        return await self._do(self.info_steps())

    async def taxonomy(self) -> Taxonomy:
        """See `Client.taxonomy`."""
        return await self._do(self.taxonomy_steps())

    async def feedback(
        self, text: str, before: Analysis | Mapping[str, Any], after: Mapping[str, Any], *, keep_text: bool = False
    ) -> dict[str, Any]:
        """See `Client.feedback`."""
        return cast("dict[str, Any]", await self._do(self.feedback_steps(text, before, after, keep_text)))

    async def reload(self) -> dict[str, Any]:
        """See `Client.reload`."""
        return cast("dict[str, Any]", await self._do(self.reload_steps()))

    async def aclose(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()

    async def _do(self, steps: Steps[T]) -> T:
        answer: httpx.Response | httpx.TransportError | None = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as done:
                return cast("T", done.value)
            if isinstance(step, Pause):
                await asyncio.sleep(step.seconds)
                answer = None
                continue
            try:
                answer = await self._http.request(step.method, step.path, **request(step))
            except httpx.TransportError as error:
                answer = error
