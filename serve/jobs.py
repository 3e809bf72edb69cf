"""Jobs over uploaded files: a queue in the database, and in each worker process a thread that takes one at a time.

A file is scored by `serve.score_file`, in a process of its own. The job belongs to whoever renews its lease; when the
service ends, or is killed, the job goes on where it was with the next one that looks for work. All processes of a
service share the database and the data directory.
"""

from __future__ import annotations

import asyncio
import json
import logging
import queue
import secrets
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import and_, delete, func, or_, select, update
from sqlalchemy.orm import Session

from serve.context import Service
from serve.rows import Job, now
from serve.score_file import ESCALATIONS, REPORT, Task
from serve.settings import Settings
from serve.store import Store, StoreError, changed, wait_turn
from serve.webhook import file_events, put_events

_LOG = logging.getLogger(__name__)

UNFINISHED = ("queued", "running")
_LEASE = timedelta(seconds=30)
_BEAT_SECONDS = 5.0
_LOOK_SECONDS = 1.0
_SWEEP_SECONDS = 3600.0
_ATTEMPTS = 3  # times that the service may end or be killed under a job before the file is to blame
_LOCK = 0x63696E66  # of adding a job, in PostgreSQL; any number, the same in every process
_ACCEPTED_AT_ONCE = 2
_MB = 1 << 20
_HERE = Path(__file__).parent.parent
_COMMAND = (sys.executable, "-m", "serve.score_file")


class FullError(Exception):
    """As many jobs wait or run as the operator allows."""


class Jobs:
    """The queue, and the thread that works on it between `start` and `stop`. Safe to use from several threads."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self.folder = settings.data_folder / "files"
        self._store, self._settings = store, settings
        self._me = secrets.token_hex(16)
        # For uploads that are copied and looked at, which takes threads and memory; used by the event loop only.
        self.accepting = asyncio.Semaphore(_ACCEPTED_AT_ONCE)
        self._uncounted: list[str] = []  # jobs of which an attempt is counted that says nothing of the file
        self._wake, self._ending = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="cinesent-jobs", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """A job that runs is put back; the next one that looks for work goes on with it."""
        self._ending.set()
        self._wake.set()
        self._thread.join()

    def place(self, identifier: str) -> Path:
        """Where a job's files are; `identifier` is one of ours, never a caller's word."""
        return self.folder / identifier

    def check_room(self) -> None:
        """
        Raises:
            FullError: see there.
        """
        with self._store.read() as session:
            self._check_room(session)

    def add(self, job: Job) -> None:
        """Queues a job whose file is in its place.

        Raises:
            FullError: see there.
        """
        with self._store.write() as session:
            wait_turn(session, _LOCK)
            self._check_room(session)
            session.add(job)
        self._wake.set()

    def find(self, identifier: str) -> Job | None:
        with self._store.read() as session:
            return session.get(Job, identifier)

    def remove(self, identifier: str) -> None:
        """Removes a job and its files; if it runs, its process is ended by whoever started it."""
        with self._store.write() as session:
            session.execute(delete(Job).where(Job.id == identifier))
        shutil.rmtree(self.place(identifier), ignore_errors=True)

    def _check_room(self, session: Session) -> None:
        query = select(func.count()).select_from(Job).where(Job.status.in_(UNFINISHED))
        if (session.scalar(query) or 0) >= self._settings.max_jobs:
            raise FullError

    def _run(self) -> None:
        swept = -_SWEEP_SECONDS
        while not self._ending.is_set():
            try:
                self._discount()
                if time.monotonic() - swept > _SWEEP_SECONDS:
                    self.sweep()
                    swept = time.monotonic()
                job = self._claim()
                if job is not None:
                    self._work(job)
                    continue
            except StoreError as error:
                _LOG.error("jobs wait: %s", error)
            except OSError as error:
                _LOG.error("a job waits: %s", error.strerror or type(error).__name__)
            except Exception as error:  # one job must not be the last one
                _LOG.error("a job failed: %s", type(error).__name__)
            self._wake.wait(_LOOK_SECONDS)
            self._wake.clear()

    def _discount(self) -> None:
        """Takes back attempts that came to nothing as no process could be started, or the database was away. Such a job
        is taken up again when its lease is over: until then it is the turn of others."""
        while self._uncounted:
            statement = update(Job).where(Job.id == self._uncounted[-1]).values(attempts=Job.attempts - 1)
            with self._store.write() as session:
                session.execute(statement)
            self._uncounted.pop()

    def sweep(self) -> None:
        """Removes jobs that finished longer ago than files are kept, and folders that belong to none."""
        old = now() - timedelta(days=self._settings.file_retention)
        with self._store.read() as session:
            expired = list(session.scalars(select(Job.id).where(Job.finished < old)))
            known = set(session.scalars(select(Job.id)))
        for identifier in expired:
            self.remove(identifier)
        for folder in self.folder.iterdir() if self.folder.is_dir() else ():
            with suppress(OSError):  # an upload may be on its way
                if folder.name not in known and time.time() - folder.stat().st_mtime > _SWEEP_SECONDS:
                    shutil.rmtree(folder, ignore_errors=True)

    def _claim(self) -> Job | None:
        """The oldest job that waits, or whose owner is gone; now it is ours."""
        moment = now()
        free = or_(Job.status == "queued", and_(Job.status == "running", Job.lease < moment))
        with self._store.read() as session:
            found = session.scalar(select(Job).where(free).order_by(Job.created).limit(1))
        if found is None:
            return None
        if found.attempts >= _ATTEMPTS:
            self._finish(found, free, reason=f"the service ended or failed {_ATTEMPTS} times while it scored the file")
            return None
        ours = update(Job).where(Job.id == found.id, free)
        values = {"status": "running", "owner": self._me, "lease": moment + _LEASE, "attempts": Job.attempts + 1}
        with self._store.write() as session:
            return found if changed(session, ours.values(values)) else None

    def _work(self, job: Job) -> None:
        folder = self.place(job.id)
        settings = self._settings
        task = Task(
            folder=str(folder.absolute()),
            input=job.options["input"],
            options=job.options,
            model=None if settings.model is None else str(settings.model.absolute()),
            taxonomy=None if settings.taxonomy is None else str(settings.taxonomy.absolute()),
            threads=settings.worker_threads,
            max_rows=settings.max_rows,
            memory=settings.job_memory * _MB,
            file_size=100 * settings.max_upload + 200 * _MB,
            escalations=settings.webhook_url is not None,
            runtime=settings.runtime,
        )
        try:
            process = subprocess.Popen(
                _COMMAND,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # what a library says may quote a text
                start_new_session=True,  # Ctrl-C is for the service, which then ends the process itself
                cwd=_HERE,  # Python takes modules from there first: no file of the operator's folder may pass for one
            )
        except OSError:
            self._uncounted.append(job.id)
            raise
        try:
            self._follow(job, process, task)
        except StoreError:
            self._uncounted.append(job.id)
            raise
        finally:
            process.kill()
            process.communicate()
        if self.find(job.id) is None:
            shutil.rmtree(folder, ignore_errors=True)

    def _follow(self, job: Job, process: subprocess.Popen[bytes], task: Task) -> None:
        lines: queue.Queue[bytes] = queue.Queue()
        threading.Thread(target=_pump, args=(process, lines), daemon=True).start()
        assert process.stdin is not None
        with suppress(BrokenPipeError):
            process.stdin.write(json.dumps(asdict(task)).encode() + b"\n")
            process.stdin.flush()
        mine = and_(Job.owner == self._me, Job.status == "running")
        told = 0.0
        started = beat = time.monotonic()
        values: dict[str, Any] = {}
        scored: dict[str, Any] | None = None  # the result is there, and only the report is not

        def end(reason: str) -> None:
            process.kill()
            process.wait()
            self._finish(job, mine, summary=scored, reason=reason)

        while True:
            if self._ending.is_set():
                if scored is not None:
                    end("the service ended")
                else:
                    self._update(job, mine, status="queued", lease=None, attempts=Job.attempts - 1)
                return
            with suppress(queue.Empty):
                line = lines.get(timeout=0.2)
                message: dict[str, Any] = _message(line) if line else {"failed": _died(process.wait())}
                if "done" in message:
                    self._finish(job, mine, summary=message["done"])
                    return
                if "failed" in message:
                    end(message["failed"])
                    return
                scored = message.get("scored", scored)
                if "progress" in message:
                    values = {"progress": message["progress"], "rows": message["rows"]}
                    values["summary"] = {"total": message["total"], "rejected": 0}
            clock = time.monotonic()
            if clock - started > self._settings.job_time:
                reason = (
                    f"expected a file that is scored within {self._settings.job_time:g} s, found one that takes longer"
                )
                end(f"{reason}; split it")
                return
            if clock - told > _LOOK_SECONDS and (values or clock - beat > _BEAT_SECONDS):
                told = clock
                try:
                    if not self._update(job, mine, lease=now() + _LEASE, **values):
                        return  # removed, or another one's
                except StoreError as error:
                    if clock - beat > _LEASE.total_seconds():
                        raise
                    _LOG.warning("job %s goes on without the database: %s", job.id, error)
                    continue
                beat = clock
                values = {}

    def _update(self, job: Job, condition: Any, **values: Any) -> bool:
        with self._store.write() as session:
            return changed(session, update(Job).where(Job.id == job.id, condition).values(values)) > 0

    def _finish(
        self, job: Job, condition: Any, *, summary: dict[str, Any] | None = None, reason: str | None = None
    ) -> None:
        """With a `summary` it is done, and a `reason` beside it says that the report is not. Its escalations are in the
        outbox before that, some at a time, so that other writers need not wait for all of them; who takes the job up
        after a crash in between puts the same ones there."""
        folder = self.place(job.id)
        escalations = folder / ESCALATIONS
        if summary is None:
            values: dict[str, Any] = {"status": "failed", "reason": reason}
        else:
            values = {"status": "done", "progress": 1.0, "rows": summary["rows"], "summary": summary}
            if reason is not None:
                (folder / REPORT).unlink(missing_ok=True)
            if self._settings.webhook_url is not None and escalations.exists():
                for events in file_events(escalations, job.id, self._settings):
                    if not self._settle(job, condition, events):
                        return
        if self._settle(job, condition, finished=now(), owner=None, lease=None, **values):
            escalations.unlink(missing_ok=True)
            _LOG.info("job %s is %s", job.id, values["status"])

    def _settle(self, job: Job, condition: Any, events: Sequence[dict[str, Any]] = (), **values: Any) -> bool:
        """Whether the job was still ours; then it has these values, a new lease without another, and the events are in
        the outbox. While the lease lasts, a database that does not answer is asked again: what was scored must not be
        scored again for that."""
        until = time.monotonic() + _LEASE.total_seconds()
        while True:
            try:
                with self._store.write() as session:
                    given = {"lease": now() + _LEASE} | values  # as of now: it may have been asked for long
                    if not changed(session, update(Job).where(Job.id == job.id, condition).values(given)):
                        return False
                    if events:
                        put_events(session, events)
                return True
            except StoreError:
                if time.monotonic() > until or self._ending.wait(_LOOK_SECONDS):
                    raise


def _pump(process: subprocess.Popen[bytes], lines: queue.Queue[bytes]) -> None:
    assert process.stdout is not None
    with suppress(ValueError):  # closed, because nobody listens any more
        for line in process.stdout:
            lines.put(line)
    lines.put(b"")


def _message(line: bytes) -> dict[str, Any]:
    """What the process tells; nothing, if a library of it printed the line."""
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _died(code: int) -> str:
    return f"expected a file that can be scored, found one on which scoring ended (exit code {code}): too large for it?"


@asynccontextmanager
async def running(service: Service) -> AsyncIterator[None]:
    """`service.jobs`, at work."""
    service.jobs = Jobs(service.store, service.settings)
    service.jobs.start()
    try:
        yield
    finally:
        await asyncio.to_thread(service.jobs.stop)
