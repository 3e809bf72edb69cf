"""The scoring job on Ray: one model an actor, the same blocks, parts, output and exit codes as in one process.

Ray core, without Ray Data. A block is 4,096 data rows counted from the first file on, and what was rejected among
them, so where the next one begins is known when this one has been read; Ray Data reads files side by side and cuts its
blocks by bytes. It could not give the same blocks, and so not the same bytes. What it would gain is small here: the
driver reads with the readers of `sentiment.tables` (local files, or addresses through pyarrow's filesystems) many times
faster than an actor scores (benchmarks/distributed.py measures both); a job that outgrows it is divided by files.

Only the driver touches input and output. An actor gets the checkpoint's files from it, then rows, and returns a part's
bytes; the driver keeps each part once, under its block's number. So nothing can be doubled; and as a block is handed
out again until its part is there, nothing can be lost.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from sentiment import __version__
from sentiment.blocks import Block, BlockRules, analyze_rows
from sentiment.checkpoint import Checkpoint
from sentiment.cpus import usable_cpus
from sentiment.parts import StoppedError, packed_part, where
from sentiment.runtimes import Choice, RuntimeChoiceError, choose_runtime
from sentiment.tables.base import Row
from sentiment.taxonomy import Taxonomy

ATTEMPTS = 5  # a block that its worker did not survive is handed out again this often
_WAITING = 2  # blocks an actor has: one that it scores, one that it need not wait for
_STORE_BYTES = 512 << 20
_SILENCE = 60.0  # seconds without a worker, after which is told what the job waits for


@dataclass(frozen=True)
class RayOptions:
    """Where and how wide.

    `address` is that of a running cluster of which this machine is a node (`auto`, `HOST:PORT`), None starts Ray here;
    `workers` is the number of actors, by default as many as there are CPUs for; `threads` those of each.
    """

    address: str | None = None
    workers: int | None = None
    threads: int = 1


@dataclass(frozen=True)
class Failed:
    """What a worker's own exception was; without its message, which may hold a text, but that of a runtime."""

    what: str
    memory: bool = False


class Worker:
    """One model in a process of its own."""

    def __init__(self, files: dict[str, bytes], options: dict[str, Any]) -> None:
        self._failed: Failed | None = None
        try:
            from sentiment.analyzer import Analyzer

            with tempfile.TemporaryDirectory(prefix="cinesent-", ignore_cleanup_errors=True) as folder:
                for name, content in files.items():
                    (Path(folder) / name).write_bytes(content)
                self._analyzer = Analyzer.load(folder, **options)
            self._numbers = self._analyzer.runtime.numbers
        except RuntimeChoiceError as error:  # holds no text
            self._failed = Failed(f"{error}; --runtime onnxruntime computes alike on every processor")
        except Exception as error:  # raised, it would look like a death of the process
            self._failed = Failed(where(error))

    def ready(self) -> tuple[str, str] | Failed:
        """This installation's version and what its runtime computes in, once the model is loaded."""
        return self._failed or (__version__, self._numbers)

    def score(self, rows: Sequence[Row], rules: BlockRules) -> bytes | Failed:
        """The bytes of the block's part."""
        try:
            return packed_part(*analyze_rows(rows, rules, self._analyzer))
        except MemoryError as error:
            return Failed(where(error), memory=True)
        except Exception as error:
            return Failed(where(error))


@contextmanager
def connected(options: RayOptions) -> Iterator[None]:
    """Ray, started here or joined; what was started is stopped at the end, and its logs are removed.

    Raises:
        StoppedError: it does not start, or nothing answers at the address.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # nothing leaves the machine
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else it warns of what will change one day
    if options.address is None:
        # Read when ray is imported. Ray's ports run what they are sent: on Linux too they belong on this machine only.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        if os.environ.setdefault("RAY_AUTH_MODE", "token") == "token":  # of this run alone: none is left in ~/.ray
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        os.environ.setdefault("RAY_worker_niceness", "0")  # as urgent as the local engine; Ray's own default is 15
    import ray

    if ray.is_initialized():
        yield
        return
    handler = signal.getsignal(signal.SIGTERM)
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    with tempfile.TemporaryDirectory(prefix="cs-", dir=_short_folder(), ignore_cleanup_errors=True) as folder:
        try:
            if options.address is None:
                wanted = (options.workers or 0) * options.threads
                quiet |= {"address": "local", "include_dashboard": False}
                quiet |= {"num_cpus": max(wanted, usable_cpus()), "num_gpus": 0, "_temp_dir": folder}
                quiet |= {"object_store_memory": _STORE_BYTES}
                ray.init(**quiet)
            else:
                ray.init(address=options.address, **quiet)
        except Exception as error:  # ray has no one class for it
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise StoppedError(f"Ray does not start or answer ({reason})") from error
        finally:
            if handler is not None and signal.getsignal(signal.SIGTERM) is not handler:
                signal.signal(signal.SIGTERM, handler)  # ray's own would end the process without a word
        try:
            yield
        finally:
            ray.shutdown()


def _short_folder() -> str | None:
    """Where Ray's sockets go, whose paths may have 107 characters at most; TMPDIR may be too deep."""
    return "/tmp" if sys.platform != "win32" and len(tempfile.gettempdir()) > 20 else None


class RayRunner:
    """Scores blocks in actors, as `batch.Runner`; use it within `connected`.

    `load` are those options of `Analyzer.load` that decide or bound the work: batch_size, max_memory, runtime,
    dimensions, thresholds. `tell` hears, a line at a time, what the job waits for; without it the log does.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        options: RayOptions,
        *,
        taxonomy: Taxonomy | None = None,
        load: dict[str, Any] | None = None,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self._tell: Callable[[str], None] = logging.getLogger(__name__).warning if tell is None else tell
        self.name, self.hash = checkpoint.name, checkpoint.hash
        self.taxonomy = checkpoint.taxonomy if taxonomy is None else checkpoint.taxonomy.with_names_of(taxonomy)
        self._files = {name: (checkpoint.folder / name).read_bytes() for name in checkpoint.files}
        self.options = options
        self._runtime = choose_runtime((load or {}).get("runtime"), checkpoint.folder)  # the same in all workers
        chosen = {"taxonomy": taxonomy, "threads": options.threads, "runtime": self._runtime.name}
        self._load = {**(load or {}), **chosen}

    def node_cpus(self) -> list[int]:
        """The CPUs of each node; asked before a job begins, it tells wrong usage.

        Raises:
            ValueError: no node has as many as a worker has threads.
        """
        import ray

        threads = self.options.threads
        cpus = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
        if max(cpus) < threads:
            raise ValueError(
                f"expected a node with {threads} CPUs for a worker (--threads), found at most {max(cpus)}; "
                "give fewer, or join nodes that have more"
            )
        return cpus

    def run(self, blocks: Iterator[Block], rules: BlockRules) -> Generator[tuple[Block, bytes]]:
        """The blocks with their parts, in the order in which they are finished.

        Raises:
            StoppedError: workers do not start, or a block fails, or ends its worker again and again.
        """
        import ray

        first = next(blocks, None)
        if first is None:
            return
        try:
            cpus = self.node_cpus()
        except ValueError as error:
            raise StoppedError(str(error)) from error
        threads = self.options.threads
        workers = self.options.workers or sum(count // threads for count in cpus)
        pool = _Pool(ray.put(self._files), ray.put(rules), self._load, self._runtime, threads, self._tell)
        try:
            for _ in range(workers):
                pool.start()
            yield from pool.run(chain([first], blocks))
        finally:
            pool.stop()


@dataclass
class _Task:
    block: Block
    attempts: int = 0


@dataclass(eq=False)
class _Actor:
    handle: Any
    tasks: dict[Any, _Task] = field(default_factory=dict)  # in the order in which they will be scored


class _Pool:
    def __init__(
        self, files: Any, rules: Any, load: dict[str, Any], runtime: Choice, threads: int, tell: Callable[[str], None]
    ) -> None:
        import ray

        self._ray: Any = ray
        self._files, self._rules, self._load, self._runtime = files, rules, load, runtime
        self._threads, self._tell = threads, tell
        self._class = ray.remote(Worker).options(num_cpus=threads, max_restarts=0, max_task_retries=0)
        self._starting: dict[Any, _Actor] = {}
        self._actors: list[_Actor] = []
        self._again: deque[_Task] = deque()
        self._failures = 0  # workers that ended before they were ready, one after the other

    def start(self) -> None:
        actor = _Actor(self._class.remote(self._files, self._load))
        self._starting[actor.handle.ready.remote()] = actor

    def stop(self) -> None:
        for actor in (*self._starting.values(), *self._actors):
            self._ray.kill(actor.handle)
        self._starting, self._actors = {}, []

    def run(self, blocks: Iterator[Block]) -> Iterator[tuple[Block, bytes]]:
        more = True
        while True:
            while (actor := self._free()) is not None:
                task = self._again.popleft() if self._again else None
                if task is None and more:
                    block = next(blocks, None)
                    more = block is not None
                    task = None if block is None else _Task(block)
                if task is None:
                    break
                actor.tasks[actor.handle.score.remote(task.block.rows, self._rules)] = task
            outstanding = [ref for actor in self._actors for ref in actor.tasks]
            if not outstanding and not self._again and not (more and self._starting):
                return
            try:
                done, _ = self._ray.wait([*outstanding, *self._starting], num_returns=1, timeout=_SILENCE)
            except SystemError as error:  # what a signal's handler raised, met in ray's compiled part
                raise (error.__cause__ or error) from None
            if not done:
                self._tell_waiting()
            elif done[0] in self._starting:
                self._started(done[0])
            elif (found := self._finished(done[0])) is not None:
                yield found

    def _tell_waiting(self) -> None:
        """Says what keeps every worker from starting: Ray itself would wait for CPUs for ever and say nothing."""
        if self._actors:  # only a block that takes long
            return
        count = len(self._starting)
        total, free = (
            int(cpus.get("CPU", 0)) for cpus in (self._ray.cluster_resources(), self._ray.available_resources())
        )
        self._tell(
            f"no worker is ready yet: expected {count * self._threads} CPUs for {count} workers, "
            f"found {free} of {total} free; wait, or end what holds the others (`ray status`), "
            "unless it is these workers, still loading the model"
        )

    def _free(self) -> _Actor | None:
        """The actor with the fewest blocks, if it has room."""
        actor = min(self._actors, key=lambda actor: len(actor.tasks), default=None)
        return actor if actor is not None and len(actor.tasks) < _WAITING else None

    def _started(self, ref: Any) -> None:
        actor = self._starting.pop(ref)
        try:
            found = self._ray.get(ref)
        except self._ray.exceptions.RayError as error:
            self._failures += 1
            if self._failures == ATTEMPTS:
                raise StoppedError(
                    f"workers end before they are ready, {ATTEMPTS} times in a row ({type(error).__name__}); "
                    "is there memory for one model a worker, and is cinesent installed on every node?"
                ) from None
            self.start()
            return
        if isinstance(found, Failed):
            raise StoppedError(f"a worker cannot load the checkpoint ({found.what})")
        version, numbers = found
        if version != __version__:
            raise StoppedError(
                f"expected cinesent {__version__} on every node, found {version} on one; install the same"
            )
        if numbers != self._runtime.numbers:
            raise StoppedError(
                f"expected every node to run the model by {self._runtime.numbers}, as here, found {numbers} on one; "
                "install the same on all; --runtime onnxruntime computes alike on every processor"
            )
        self._failures = 0
        self._actors.append(actor)

    def _finished(self, ref: Any) -> tuple[Block, bytes] | None:
        actor = next(actor for actor in self._actors if ref in actor.tasks)
        try:
            part = self._ray.get(ref)
        except self._ray.exceptions.RayError as error:
            self._ended(actor, error)
            return None
        task = actor.tasks.pop(ref)
        if isinstance(part, Failed):
            if part.memory:
                raise MemoryError
            raise StoppedError(f"internal error, {part.what}")
        return task.block, part

    def _ended(self, actor: _Actor, error: Exception) -> None:
        """A worker is gone: its blocks are handed out again, and another one starts.

        Only the block that it was scoring may have been the reason, and counts an attempt.
        """
        self._actors.remove(actor)
        self._ray.kill(actor.handle)  # where it only cannot be reached
        first, *rest = actor.tasks.values()
        first.attempts += 1
        if first.attempts == ATTEMPTS:
            raise StoppedError(
                f"block {first.block.number} ended its worker {ATTEMPTS} times ({type(error).__name__}); "
                "out of memory? fewer --workers or a smaller --max-memory need less"
            )
        self._again.extend((first, *rest))
        self.start()
