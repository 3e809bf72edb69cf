"""Swaps the checkpoint in every worker while they go on answering.

The workers of one service share a folder. The one that is asked to reload loads and warms the checkpoint itself; only
if that works does it publish a generation there. The others look a few times a second, load the same checkpoint, and
write down how far they are; when all are warm the caller gets an answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from sentiment.checkpoint import CheckpointError
from sentiment.runtimes import RuntimeChoiceError
from sentiment.taxonomy import TaxonomyError
from serve.errors import ProblemError
from serve.queue import AnalyzerLike, Worker, where

_LOG = logging.getLogger(__name__)

_LOOK_SECONDS = 0.2
# A worker whose file is older does not live any more, even if there is a process of its number: the supervisor has long
# replaced one that hangs. Where nobody can be asked for the process, it is taken for dead much sooner.
_ALIVE_SECONDS = 90.0 if os.name == "posix" else 5.0
# How long the caller waits for the slowest worker.
_MOST_SECONDS = 300.0


@dataclass(frozen=True)
class Peer:
    """A live worker: its process, the generation it has loaded and warmed (-1: none yet), and one that it could not."""

    process: int
    generation: int
    failed: int = -1


class Reloader:
    """One worker's part in it. `folder` is shared by the workers; None: there is only this one."""

    def __init__(
        self, worker: Worker, load: Callable[[], AnalyzerLike], folder: Path | None, told: Callable[[str], None]
    ) -> None:
        self._worker = worker
        self._load = load
        self._folder = folder
        self._told = told
        self._generation = 0
        self._failed = -1
        self._busy = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """As long as this lasts, what other workers publish is followed. Begin it before the checkpoint is loaded."""
        if self._folder is None:
            yield
            return
        first, self._generation = self._newest()[0], -1
        self._write()
        task = asyncio.create_task(self._watch(first))
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            self._own_file.unlink(missing_ok=True)

    def peers(self) -> list[Peer]:
        """The live workers, this one included."""
        if self._folder is None:
            return [Peer(os.getpid(), self._generation, self._failed)]
        found = []
        for path in self._folder.glob("worker-*.json"):
            with contextlib.suppress(OSError, ValueError):  # it has just ended
                recent = time.time() - path.stat().st_mtime < _ALIVE_SECONDS
                peer = Peer(**json.loads(path.read_text("utf-8")))
                if recent and _exists(peer.process):
                    found.append(peer)
        return found

    async def reload(self) -> tuple[AnalyzerLike, int]:
        """Loads the checkpoint again, here and in all workers; the new analyzer, and the number of workers.

        Raises:
            ProblemError: it cannot be loaded (nothing has changed then), another reload is under way, or a worker did
                not follow. UnavailableError: the first load is not finished.
        """
        if self._busy.locked():
            raise _running()
        _ = self._worker.analyzer  # raises unless there is one to replace
        async with self._busy:
            analyzer = await self._warm()
            number = self._number()
            if self._folder is not None and not self._publish(number, _identity(analyzer)):
                raise _running()
            self._swap(analyzer, number)
        if self._folder is None:
            return analyzer, 1
        return analyzer, await self._followed(number)

    def _number(self) -> int:
        """The next generation's. Not only of what is published: a cleaner of temporary files may have removed that, and
        workers that have a later one already would keep it and seem to have followed."""
        published = 0 if self._folder is None else self._newest()[0]
        return max(published, self._generation, *(max(peer.generation, peer.failed) for peer in self.peers())) + 1

    async def _warm(self) -> AnalyzerLike:
        def load() -> AnalyzerLike:
            analyzer = self._load()
            analyzer.warm_up()
            return analyzer

        try:
            return await asyncio.to_thread(load)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # a panic of the tokeniser's is no Exception
            self._told("failed")
            _LOG.error("the checkpoint cannot be loaded again: %s", where(error))
            known = isinstance(error, CheckpointError | RuntimeChoiceError | TaxonomyError)
            reason = str(error) if known else "expected a checkpoint that can be loaded; the log names the place"
            raise ProblemError(409, "reload_failed", f"{reason}; the old one stays in use") from None

    def _swap(self, analyzer: AnalyzerLike, number: int) -> None:
        self._worker.replace(analyzer)
        self._generation = number
        self._told("ok")
        if self._folder is not None:
            self._write()

    async def _followed(self, number: int) -> int:
        """Waits until all live workers have this generation; how many there are."""
        until = time.monotonic() + _MOST_SECONDS
        while True:
            peers = self.peers()
            behind = [peer for peer in peers if peer.generation < number]
            if not behind:
                return len(peers)
            if all(peer.failed >= number for peer in behind) or time.monotonic() > until:
                detail = (
                    f"expected all workers to load the checkpoint, found {len(behind)} of {len(peers)} that did not; "
                    "they keep the old one: see the log, and reload again"
                )
                raise ProblemError(500, "reload_incomplete", detail)
            await asyncio.sleep(_LOOK_SECONDS / 4)

    async def _watch(self, first: int) -> None:
        """Follows from generation `first` on, which the load at the start has."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                os.utime(self._own_file)
                if self._worker.state != "ready" or self._busy.locked():
                    continue
                if self._generation < 0:
                    self._join(first)
                number, identity = self._newest()
                if number > max(self._generation, self._failed):
                    async with self._busy:
                        await self._follow(number, identity)
            except Exception as error:
                _LOG.error("the folder of the workers cannot be used: %s", where(error))

    def _join(self, first: int) -> None:
        """Says that this worker has begun with generation `first`, and logs if what it loaded is not what that one was:
        the checkpoint may have been exchanged without a reload."""
        self._generation = first
        self._write()
        own = _identity(self._worker.analyzer)
        if first == 0:
            self._publish(0, own)  # unless another worker has
        number, expected = self._newest()
        if number == first and own != expected:
            _LOG.error(
                "expected the checkpoint and runtime of the other workers (%s), found another here (%s); "
                "put the right one in its place and reload",
                expected,
                own,
            )

    async def _follow(self, number: int, identity: str) -> None:
        loading = asyncio.create_task(self._warm())
        while not loading.done():
            os.utime(self._own_file)
            await asyncio.wait({loading}, timeout=1.0)
        try:
            analyzer = loading.result()
            if _identity(analyzer) != identity:
                raise ProblemError(409, "reload_failed", "expected the model and runtime of the others, found another")
        except ProblemError:
            self._failed = number
            self._write()
            return
        self._swap(analyzer, number)

    @property
    def _own_file(self) -> Path:
        assert self._folder is not None
        return self._folder / f"worker-{os.getpid()}.json"

    def _write(self) -> None:
        content = {"process": os.getpid(), "generation": self._generation, "failed": self._failed}
        temporary = self._own_file.with_suffix(".tmp")
        temporary.write_text(json.dumps(content), "utf-8")
        temporary.replace(self._own_file)

    def _newest(self) -> tuple[int, str]:
        """The number of the newest generation, 0 before any reload, and its identity; none before a worker began."""
        assert self._folder is not None
        paths = self._folder.glob("generation-*")
        newest = max(paths, key=lambda path: int(path.name.removeprefix("generation-")), default=None)
        if newest is None:
            return 0, ""
        return int(newest.name.removeprefix("generation-")), newest.read_text("utf-8")

    def _publish(self, number: int, identity: str) -> bool:
        """False if there is one of this number already."""
        assert self._folder is not None
        draft = self._folder / f"draft-{os.getpid()}"
        draft.write_text(identity, "utf-8")
        try:
            os.link(draft, self._folder / f"generation-{number}")  # at once and whole; fails if there is one
        except FileExistsError:
            return False
        finally:
            draft.unlink()
        return True


def _identity(analyzer: AnalyzerLike) -> str:
    """What all workers have to load: one checkpoint, run so that its answers have the same digits."""
    return f"{analyzer.hash} {analyzer.runtime.numbers}"


def _exists(process: int) -> bool:
    """Whether there is such a process; True where asking would end it."""
    if os.name != "posix":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _running() -> ProblemError:
    return ProblemError(409, "reload_running", "expected one reload at a time, found another under way; wait for it")
