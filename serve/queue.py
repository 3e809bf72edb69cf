"""Micro-batching off the event loop: one thread scores what is queued; what arrives meanwhile is its next block."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Literal, Protocol

from sentiment.records import Analysis
from sentiment.runtimes import Choice
from sentiment.taxonomy import Taxonomy

_LOG = logging.getLogger(__name__)

# A block takes no more texts than can be scored in so many seconds at the present pace: nobody waits longer for one.
_BLOCK_SECONDS = 2.0

State = Literal["loading", "ready", "failed", "stopped"]


class AnalyzerLike(Protocol):
    """What the service needs of `sentiment.analyzer.Analyzer`."""

    @property
    def name(self) -> str: ...
    @property
    def hash(self) -> str: ...
    @property
    def runtime(self) -> Choice: ...
    @property
    def taxonomy(self) -> Taxonomy: ...
    def analyze_block(self, texts: Sequence[str], ids: Sequence[str | None] | None = None) -> list[Analysis]: ...
    def warm_up(self) -> None: ...


class Listener(Protocol):
    """What hears of the queue; called from the event loop and from the worker's thread."""

    def queued(self, texts: int) -> None: ...
    def scored(self, outcomes: Sequence[Analysis | Failure], seconds: float) -> None: ...
    def expired(self, texts: int) -> None: ...
    def using(self, model: str) -> None: ...


class Failure(Enum):
    """Why a text has no analysis."""

    DEADLINE = "deadline"
    INTERNAL = "internal"


class QueueFullError(Exception):
    """So many texts wait already that these do not fit; `retry_after` estimates the seconds until they do."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(retry_after)
        self.retry_after = retry_after


class UnavailableError(Exception):
    """Nothing is scored now: the checkpoint is being loaded, failed to load, or the service is stopping."""


def where(error: BaseException) -> str:
    """An error's type and place for the log. Not its message, which may quote a review."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" in {Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"


class _Request:
    """The texts of one request: those that wait, and what became of the others."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts
        self.waiting = deque(range(len(texts)))
        self.outcomes: list[Analysis | Failure] = [Failure.DEADLINE] * len(texts)
        self.missing = len(texts)
        self._loop = asyncio.get_running_loop()
        self.finished: asyncio.Future[None] = self._loop.create_future()

    def settle(self, index: int, outcome: Analysis | Failure) -> None:
        """Called by the worker's thread only."""
        self.outcomes[index] = outcome
        self.missing -= 1
        if not self.missing:
            with suppress(RuntimeError):  # the loop is closed: nobody waits
                self._loop.call_soon_threadsafe(self._finish)

    def _finish(self) -> None:
        if not self.finished.done():
            self.finished.set_result(None)


class Worker:
    """A bounded queue and the thread that loads the analyzer, warms it up and scores.

    A block holds up to `block_characters`, taken from the waiting requests in turn, so that a single text is not kept
    waiting by a long batch before it. `on_failure` is called, in the thread, if loading fails or it cannot go on.
    """

    def __init__(
        self,
        load: Callable[[], AnalyzerLike],
        *,
        queue_size: int,
        block_characters: int,
        on_failure: Callable[[], None] | None = None,
        listener: Listener | None = None,
    ) -> None:
        self.state: State = "loading"
        self.error: BaseException | None = None
        self._load = load
        self._on_failure = on_failure
        self._listener = listener
        self._size = queue_size
        self._block_characters = block_characters
        self._analyzer: AnalyzerLike | None = None
        self._requests: deque[_Request] = deque()
        self._waiting = 0
        self._scoring = 0  # texts of the block at work
        self._seconds_per_text = 0.01
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="cinesent-worker", daemon=True)

    @property
    def analyzer(self) -> AnalyzerLike:
        """
        Raises:
            UnavailableError: it is not loaded and warm, or no longer in use.
        """
        if self.state != "ready" or self._analyzer is None:
            raise UnavailableError(self.state)
        return self._analyzer

    @property
    def waiting(self) -> int:
        return self._waiting

    def start(self) -> None:
        self._thread.start()

    def replace(self, analyzer: AnalyzerLike) -> None:
        """Scores with another one from the next block on; it should be warm. The block at work keeps the old one.

        Raises:
            UnavailableError: there is none to replace.
        """
        with self._changed:
            if self.state != "ready":
                raise UnavailableError(self.state)
            self._analyzer = analyzer
        self._use(analyzer)

    def _use(self, analyzer: AnalyzerLike) -> None:
        _LOG.info("ready with %s", analyzer.name)
        if self._listener is not None:
            self._listener.using(analyzer.name)

    def stop(self) -> None:
        """Takes nothing more, scores what waits, and ends the thread; one that still loads is left to itself."""
        with self._changed:
            loading, self.state = self.state == "loading", "stopped"
            self._changed.notify()
        if not loading and self._thread.is_alive():
            self._thread.join()

    def join(self, seconds: float) -> None:
        """Waits, after `stop`, for the thread to end: a process that ends while a model loads in it may be aborted."""
        if self._thread.is_alive():
            self._thread.join(seconds)

    async def analyze(
        self, texts: Sequence[str], seconds: float, leaving: asyncio.Future[None] | None = None
    ) -> list[Analysis | Failure]:
        """One outcome a text, in order, at the latest after `seconds`, or as soon as `leaving` is done: texts not
        scored by then leave the queue.

        Raises:
            QueueFullError: the texts do not all fit, or what is before them would take all the time they have.
            UnavailableError: see `analyzer`.
        """
        request = _Request(texts)
        with self._changed:
            if self.state != "ready":
                raise UnavailableError(self.state)
            if not texts:
                return []
            if self._waiting + len(texts) > self._size or self._too_late(len(texts), seconds):
                raise QueueFullError(min(max(math.ceil(self._waiting * self._seconds_per_text), 1), 60))
            self._requests.append(request)
            self._count(len(texts))
            self._changed.notify()
        try:
            awaited = (request.finished,) if leaving is None else (request.finished, leaving)
            await asyncio.wait(awaited, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            with self._changed:
                self._count(-len(request.waiting))
                request.waiting.clear()
        outcomes = list(request.outcomes)
        left = leaving is not None and leaving.done()
        if self._listener is not None and not left and (expired := outcomes.count(Failure.DEADLINE)):
            self._listener.expired(expired)
        return outcomes

    def _too_late(self, texts: int, seconds: float) -> bool:
        """Whether what is before the last of them takes more than half of `seconds`, judged by the pace so far and the
        order in which texts are taken: so many of every request before. The other half is for their own block. What
        would only be thrown away later is refused at once."""
        before = min(self._waiting, texts * len(self._requests))
        return self._waiting > 0 and (self._scoring + before) * self._seconds_per_text > seconds / 2

    def _count(self, more: int) -> None:
        self._waiting += more
        if self._listener is not None and more:
            self._listener.queued(self._waiting)

    def _run(self) -> None:
        try:
            analyzer = self._load()
            analyzer.warm_up()
            with self._changed:
                if self.state != "loading":
                    return
                self._analyzer, self.state = analyzer, "ready"
            self._use(analyzer)
            del analyzer
            self._serve()
        except BaseException as error:  # a panic of the tokeniser's is no Exception
            _LOG.error("the checkpoint cannot be loaded or used: %s", where(error))
            with self._changed:
                self.state, self.error = "failed", error
            if self._on_failure is not None:
                self._on_failure()

    def _serve(self) -> None:
        while True:
            with self._changed:
                while not self._waiting:
                    if self.state != "ready":
                        return
                    self._changed.wait()
                block, analyzer = self._take(), self._analyzer
                self._scoring = len(block)
            assert analyzer is not None
            started = time.monotonic()
            outcomes = self._score(analyzer, block)
            seconds = time.monotonic() - started
            self._scoring = 0
            weight = min(len(block) / 64, 0.5)  # one text alone says little of the pace of many
            self._seconds_per_text += weight * (seconds / len(block) - self._seconds_per_text)
            try:
                if self._listener is not None:  # before the answers go: whoever has one finds it counted
                    self._listener.scored(outcomes, seconds)
            finally:
                _settle(block, outcomes)
            del analyzer, outcomes, block  # while it waits, a replaced checkpoint need not stay in memory

    def _take(self) -> list[tuple[_Request, int]]:
        """The next block, shortest text first; at least one text waits."""
        block: list[tuple[_Request, int]] = []
        room = self._block_characters
        most = max(int(_BLOCK_SECONDS / self._seconds_per_text), 1)
        while self._requests and len(block) < most:
            request = self._requests[0]
            if request.waiting:
                room -= len(request.texts[request.waiting[0]])
                if room < 0 and block:
                    break
                block.append((request, request.waiting.popleft()))
            self._requests.popleft()
            if request.waiting:
                self._requests.append(request)
        self._count(-len(block))
        block.sort(key=lambda entry: len(entry[0].texts[entry[1]]))
        return block

    def _score(self, analyzer: AnalyzerLike, block: list[tuple[_Request, int]]) -> list[Analysis | Failure]:
        """An outcome for every text of the block. One on which the analyzer fails does not take the others with it."""
        texts = [request.texts[index] for request, index in block]
        try:
            outcomes: list[Analysis | Failure] = [*analyzer.analyze_block(texts)]
            if len(outcomes) != len(block):
                raise ValueError("expected one analysis a text")
        except BaseException as error:  # as in _run; this thread is told to stop by its state alone
            if len(block) > 1:
                return [outcome for entry in block for outcome in self._score(analyzer, [entry])]
            _LOG.error("a text could not be scored: %s", where(error))
            outcomes = [Failure.INTERNAL]
        return outcomes


def _settle(block: Sequence[tuple[_Request, int]], outcomes: Sequence[Analysis | Failure]) -> None:
    for (request, index), outcome in zip(block, outcomes, strict=True):
        request.settle(index, outcome)
