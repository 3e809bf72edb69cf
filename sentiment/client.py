"""The HTTP service from Python, as if it were an `Analyzer`: `Client("http://localhost:8000").analyze("座椅太硬").overall`.

`Client` blocks, `AsyncClient` is awaited; both answer with the library's own `Analysis`. A full queue (429), a service
that is loading or stopping (503) and a connection that does not come about are tried again, within the timeout. Needs
the extra `client`.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from sentiment.client_calls import (
    Info,
    ItemError,
    Limits,
    Pause,
    Send,
    ServiceError,
    Steps,
    T,
    batches,
    httpx,
    request,
)
from sentiment.client_files import FileCalls, FileJob, FileOptions, Progress
from sentiment.records import Analysis
from sentiment.taxonomy import Taxonomy

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["AsyncClient", "Client", "FileJob", "FileOptions", "Info", "ItemError", "Limits", "ServiceError"]

Source = str | os.PathLike[str] | bytes


class Client(FileCalls):
    """Blocks until the answer is there. Safe to use from several threads; close it, or use it with `with`.

    Args:
        url: where the service is, with the path before /v1 if there is one.
        key: an API key, where the service wants one.
        timeout: seconds for a call and its repetitions; for `analyze_many` for each of its requests; for a file for
            each piece that is sent or received.
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

    def score_file(
        self, source: Source, target: str | os.PathLike[str], *, name: str | None = None,
        progress: Progress | None = None, timeout: float | None = None, **options: Unpack[FileOptions],
    ) -> FileJob:  # fmt: skip
        """Scores a table of reviews into `target`, whose suffix names the format, and removes it from the service.

        Args:
            source: a path, or the bytes of a file called `name`. What `cinesent score` reads is read here.
            progress: called with the job now and then, and in the end.
            timeout: seconds for all the scoring. Default: none, a long file takes as long as it takes.
            options: see `FileOptions`.

        Raises:
            ServiceError: `file_failed` if the file cannot be scored; its `detail` says why. ValueError: `target` has
                another suffix. OSError: a file of this machine cannot be read or written.
        """
        return self._do(self.score_file_steps(source, target, name, progress, timeout, options))

    def upload(self, source: Source, *, name: str | None = None, **options: Unpack[FileOptions]) -> FileJob:
        """Sends a file, as `score_file` does, and answers as soon as it is accepted."""
        return self._do(self.upload_steps(source, name, options))

    def file(self, job: FileJob | str) -> FileJob:
        """How far an uploaded file is; its id, from any process with the same key, is enough."""
        return self._do(self.file_steps(job))

    def wait(
        self, job: FileJob | str, *, progress: Progress | None = None, timeout: float | None = None
    ) -> FileJob:  # fmt: skip
        """Until the file is scored; arguments and errors as for `score_file`."""
        return self._do(self.wait_steps(job, progress, timeout))

    def download(self, job: FileJob | str, target: str | os.PathLike[str], link: str = "result") -> Path:
        """What one of the job's `links` leads to, as a file, which is there only once it is whole."""
        return self._do(self.download_steps(job, link, target))

    def remove(self, job: FileJob | str) -> None:
        """Removes an uploaded file and its results from the service; if it is being scored, that ends."""
        self._do(self.remove_steps(job))

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
        answer: httpx.Response | httpx.RequestError | None = None
        failure: BaseException | None = None
        while True:
            try:
                step = steps.send(answer) if failure is None else steps.throw(failure)
            except StopIteration as done:
                return cast("T", done.value)
            answer = failure = None
            try:
                if isinstance(step, Pause):
                    time.sleep(step.seconds)
                else:
                    answer = self._send(step)
            except httpx.RequestError as error:
                answer = error
            except BaseException as error:  # a full disk, Ctrl+C: for the steps, which may have something to remove
                failure = error

    def _send(self, step: Send) -> httpx.Response:
        with request(step) as arguments, self._http.stream(**arguments) as answer:
            if step.into is None or not answer.is_success:
                answer.read()
            else:
                for piece in answer.iter_bytes():
                    step.into.write(piece)
        return answer


class AsyncClient(FileCalls):
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

    async def score_file(
        self, source: Source, target: str | os.PathLike[str], *, name: str | None = None,
        progress: Progress | None = None, timeout: float | None = None, **options: Unpack[FileOptions],
    ) -> FileJob:  # fmt: skip
        """See `Client.score_file`."""
        return await self._do(self.score_file_steps(source, target, name, progress, timeout, options))

    async def upload(self, source: Source, *, name: str | None = None, **options: Unpack[FileOptions]) -> FileJob:
        """See `Client.upload`."""
        return await self._do(self.upload_steps(source, name, options))

    async def file(self, job: FileJob | str) -> FileJob:
        """See `Client.file`."""
        return await self._do(self.file_steps(job))

    async def wait(
        self, job: FileJob | str, *, progress: Progress | None = None, timeout: float | None = None
    ) -> FileJob:  # fmt: skip
        """See `Client.wait`."""
        return await self._do(self.wait_steps(job, progress, timeout))

    async def download(self, job: FileJob | str, target: str | os.PathLike[str], link: str = "result") -> Path:
        """See `Client.download`."""
        return await self._do(self.download_steps(job, link, target))

    async def remove(self, job: FileJob | str) -> None:
        """See `Client.remove`."""
        await self._do(self.remove_steps(job))

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
        answer: httpx.Response | httpx.RequestError | None = None
        failure: BaseException | None = None
        while True:
            try:
                step = steps.send(answer) if failure is None else steps.throw(failure)
            except StopIteration as done:
                return cast("T", done.value)
            answer = failure = None
            try:
                if isinstance(step, Pause):
                    await asyncio.sleep(step.seconds)
                else:
                    answer = await self._send(step)
            except httpx.RequestError as error:
                answer = error
            except BaseException as error:  # a full disk, Ctrl+C: for the steps, which may have something to remove
                failure = error

    async def _send(self, step: Send) -> httpx.Response:
        with request(step) as arguments:
            async with self._http.stream(**arguments) as answer:
                if step.into is None or not answer.is_success:
                    await answer.aread()
                else:
                    async for piece in answer.aiter_bytes():
                        step.into.write(piece)
        return answer
