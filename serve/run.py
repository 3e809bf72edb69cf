"""Runs the service until it is told to stop: in this process, or in several workers behind one port."""

from __future__ import annotations

import json
import logging
import math
import os
import signal
import socket
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from serve import logs
from serve.settings import Settings
from serve.store import migrate

if TYPE_CHECKING:
    from fastapi import FastAPI

    from serve.queue import AnalyzerLike

_LOG = logging.getLogger(__name__)

Load = Callable[[Settings], "AnalyzerLike"]

# Seconds past the deadline that requests have to be answered once it is told to stop.
_GRACE = 5
# A worker that does not answer its supervisor for so many seconds is replaced.
_HUNG_SECONDS = 60
# A worker that ends sooner after its start is replaced only once so many seconds are over.
_RESTART_SECONDS = 2.0
_LOADING_SECONDS = 30  # that a service which is stopped waits for a checkpoint that it still loads


class NotListeningError(Exception):
    """The port cannot be had; the server has logged why."""


class WorkerError(Exception):
    """No worker could begin; the message says why, as far as the first one that ended has told."""


def run(settings: Settings, load: Load | None = None) -> None:
    """Serves until SIGTERM or Ctrl-C. What was accepted is answered; then SIGTERM ends the process with exit code 0.

    `load` takes the place of the checkpoint's loading; for several workers it has to be a function of a module.

    Raises:
        NotListeningError, WorkerError, StoreError: it cannot begin. Whatever loading the checkpoint raises.
        KeyboardInterrupt: it was stopped by Ctrl-C.
    """
    logs.configure(settings.log_level)
    migrate(settings.database_url)  # once, before the workers, and so that what is wrong with it is said at once
    if settings.workers == 1:
        _run_alone(settings, load)
    else:
        _run_workers(settings, load)


def _config(app: FastAPI | Callable[[], FastAPI], settings: Settings, *, factory: bool) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        factory=factory,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        log_config=None,
        log_level=settings.log_level,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nothing asks for the client's address or the scheme
        lifespan="on",
        ws="none",
        timeout_graceful_shutdown=math.ceil(settings.deadline) + _GRACE,
        timeout_worker_healthcheck=_HUNG_SECONDS,
    )


def _listen(config: uvicorn.Config) -> socket.socket:
    """The port, open before anything says "ready": who comes early waits, and is not refused."""
    try:
        listener = config.bind_socket()
    except SystemExit:  # it has said why
        raise NotListeningError from None
    # Its connections inherit it. An answer is written in two parts, of which the second would otherwise wait until the
    # first is acknowledged: 40 ms, where a caller has nothing to send meanwhile.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.listen(config.backlog)
    return listener


def _run_alone(settings: Settings, load: Load | None) -> None:
    from serve.app import create_app

    def give_up() -> None:
        server.should_exit = True

    app = create_app(settings, load=load, on_failure=give_up)
    config = _config(app, settings, factory=False)
    server = uvicorn.Server(config)
    listener = _listen(config)
    # Until the server takes the signals over nobody else hears of them; it hands them on once all is answered.
    signal.signal(signal.SIGTERM, lambda *_: give_up())
    try:
        server.run([listener])
    finally:
        app.state.worker.join(_LOADING_SECONDS)
    if app.state.worker.error is not None:
        raise app.state.worker.error


def _run_workers(settings: Settings, load: Load | None) -> None:
    from serve.metrics import FOLDER_VARIABLE

    if load is None:
        _check(settings)
    with tempfile.TemporaryDirectory(prefix="cinesent-") as name:
        folder = Path(name)
        (folder / "metrics").mkdir()
        os.environ[FOLDER_VARIABLE] = str(folder / "metrics")
        config = _config(partial(_worker_app, settings, folder, load), settings, factory=True)
        supervisor = _Supervisor(config, [_listen(config)], folder)
        supervisor.run()
        if supervisor.failure is not None:
            raise WorkerError(supervisor.failure)
        if supervisor.interrupted:
            raise KeyboardInterrupt  # uvicorn's own would end like SIGTERM


def _check(settings: Settings) -> None:
    """Loads all but the graph, so that a wrong path is said once and not by every worker."""
    from sentiment.checkpoint import load_checkpoint
    from sentiment.runtimes import choose_runtime
    from sentiment.taxonomy import load_taxonomy

    choose_runtime(settings.runtime, settings.model)
    checkpoint = load_checkpoint(settings.model)
    if settings.taxonomy is not None:
        checkpoint.taxonomy.with_names_of(load_taxonomy(settings.taxonomy))


def _worker_app(settings: Settings, folder: Path, load: Load | None) -> FastAPI:
    """The application of one worker, made in its process."""
    from serve.app import create_app
    from serve.queue import where

    logs.configure(settings.log_level)

    def give_up() -> None:
        error = app.state.worker.error
        with (folder / f"failed-{os.getpid()}").open("w", encoding="utf-8") as handle:
            handle.write(" ".join(str(error).split()) if isinstance(error, ValueError) else where(error))
        os.kill(os.getpid(), signal.SIGTERM)

    app = create_app(settings, folder=folder, load=load, on_failure=give_up)
    return app


class _Supervisor(Multiprocess):
    """Starts the workers and replaces those that end; gives up if one ends by itself before any could begin."""

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket], folder: Path) -> None:
        super().__init__(config, sockets)
        self._folder = folder
        self._begun = False
        self._since: dict[Process, float] = {}  # when each worker was first looked after
        self.failure: str | None = None
        self.interrupted = False

    def handle_int(self) -> None:
        self.interrupted = True
        super().handle_int()

    def keep_subprocess_alive(self) -> None:
        """In place of uvicorn's own, which ends the whole service as soon as one worker, or its replacement, cannot
        start: the others may well go on, and what was in its way may go away."""
        if self.should_exit.is_set():
            return
        if not self._any_begun() and (failed := next(self._folder.glob("failed-*"), None)) is not None:
            self._give_up(failed.read_text("utf-8"))
            return
        now = time.monotonic()
        self._since = {process: self._since.get(process, now) for process in self.processes}
        for index, process in enumerate(self.processes):
            if process.is_alive(timeout=self.config.timeout_worker_healthcheck):
                continue
            if process.exitcode is None:  # it hangs
                process.kill()
                process.join()
            code = process.exitcode or 0
            if code > 0 and not self._any_begun():
                self._give_up(f"expected workers that begin, found that one ended with exit code {code}; see the log")
                return
            if time.monotonic() - self._since[process] >= _RESTART_SECONDS:
                _LOG.error("worker %s ended with exit code %s; another takes its place", process.pid, code)
                self._since[process] = now  # should this fail too, not at every look
                try:
                    another = Process(self.config, self.sockets)
                    another.start()
                except OSError as error:  # no memory, or no more processes are allowed: the others go on
                    _LOG.error("no worker can be started: %s", error.strerror or type(error).__name__)
                    continue
                process.kill()  # lets go of its pipes
                self.processes[index] = another

    def _any_begun(self) -> bool:
        """Whether some worker has had all that it needs: its checkpoint, and what opens with it."""
        if not self._begun:
            self._begun = any(
                process.exitcode is None
                and _read(self._folder / f"worker-{process.pid}.json")["generation"] >= 0
                and process.is_ready()
                for process in self.processes
            )
        return self._begun

    def _give_up(self, failure: str) -> None:
        self.failure = failure
        self.should_exit.set()

    def terminate_all(self) -> None:
        for listener in self.sockets:
            listener.close()  # nobody shall wait at a port that nobody answers
        super().terminate_all()


def _read(path: Path) -> dict[str, int]:
    """What a worker wrote down of itself."""
    try:
        found: dict[str, int] = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:  # it has just ended
        return {"generation": -1}
    return found
