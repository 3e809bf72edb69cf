"""Escalations, posted to the operator's address: signed, at least once, from an outbox in the database.

Each text that is judged an escalation is one event: of /v1/analyze and /v1/analyze/batch it is in the outbox before the
analysis is answered, of an uploaded file before the file is said to be done. It leaves the outbox when the receiver has
answered 2xx; until then it is tried again, after 1 s, 2 s, 4 s, … at most an hour, for seven days. The receiver may get
an event twice: `webhook-id` tells, also where a service was killed while it put the events of a file there.

The requests follow Standard Webhooks (standardwebhooks.com), for which there are libraries in most languages:
`webhook-id`, `webhook-timestamp` (seconds since 1970) and `webhook-signature`, which is `v1,` and the base64 of the
HMAC-SHA256 of `ID.TIMESTAMP.BODY` under the secret's bytes. The body::

    {"type": "escalation", "timestamp": "2026-03-01T08:30:00.123456+00:00",
     "data": {"sha256": "9f86…", "record": {…}}}

`record` is the analysis, `id` in it the caller's; of an uploaded file that of its row, and then `data` has the job's id
as `file`. Only with `webhook_texts` do `data`, and the outbox, have the `text`, and the mentions their `evidence`.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import logging
import random
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import anyio
import httpx
import orjson
from sqlalchemy import Insert, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from sentiment.records import Analysis
from serve.context import Service
from serve.rows import Base, Event, now
from serve.settings import Settings
from serve.store import Store, StoreError, changed

_LOG = logging.getLogger(__name__)

_TIMEOUT = 10.0
_LEASE = timedelta(seconds=60)  # in which a sender has to be done with an event before another one tries
_AT_ONCE = 8
_LOOK_SECONDS = 2.0
_LONGEST_PAUSE = 3600.0
_GIVE_UP = timedelta(days=7)
_AT_A_TIME = 500
_FILE_PAUSE = timedelta(milliseconds=100)  # between two events of an uploaded file

Judged = tuple[str, "str | None", Analysis]  # text, the caller's id, analysis


def sign(key: bytes, identifier: str, timestamp: str, body: bytes) -> str:
    """The header `webhook-signature`."""
    digest = hmac.digest(key, b".".join((identifier.encode(), timestamp.encode(), body)), "sha256")
    return f"v1,{base64.b64encode(digest).decode()}"


async def tell(service: Service, judged: Sequence[Judged]) -> None:
    """Puts the escalations among them into the outbox, where there is a webhook.

    Raises:
        StoreError: they are not in it; the caller must not be told that all is well.
    """
    if service.webhook is not None:
        escalations = [entry for entry in judged if entry[2].escalation]
        if escalations:
            await asyncio.to_thread(service.webhook.put, escalations)
            service.webhook.wake.set()


class Webhook:
    """The outbox and who empties it."""

    def __init__(self, store: Store, settings: Settings, transport: httpx.AsyncBaseTransport | None = None) -> None:
        assert settings.webhook_url is not None
        self._store, self._url, self._key = store, settings.webhook_url, settings.signing_key
        self._texts = settings.webhook_texts
        # Nothing but the operator's address: no redirect is followed, and no proxy of the environment asked.
        self._client = httpx.AsyncClient(timeout=_TIMEOUT, follow_redirects=False, trust_env=False, transport=transport)
        self.wake = asyncio.Event()

    def put(self, escalations: Sequence[Judged]) -> None:
        moment = now()
        with self._store.write() as session:
            for text, identifier, analysis in escalations:
                record = analysis.to_dict() | {"id": identifier}
                session.add(Event(**_event(text, record, moment, texts=self._texts)))

    async def run(self) -> None:
        """Sends what is due, for ever."""
        async with self._client:
            while True:
                self.wake.clear()
                try:
                    events = await asyncio.to_thread(self.claim)
                    await asyncio.gather(*(self._send(event) for event in events))
                except StoreError as error:
                    _LOG.error("events wait: %s", error)
                    events = []
                if not events:
                    # Not asyncio.wait_for: before Python 3.12 it may swallow the cancellation that ends this task.
                    with anyio.move_on_after(_LOOK_SECONDS):
                        await self.wake.wait()

    def claim(self) -> list[Event]:
        """Events that are due; for a minute they are this process's. What is too old is dropped."""
        moment = now()
        with self._store.read() as session:
            due = list(session.scalars(select(Event).where(Event.due <= moment).order_by(Event.due).limit(_AT_ONCE)))
        if not due:
            return []
        ours = []
        with self._store.write() as session:
            for event in due:
                if moment - event.created > _GIVE_UP:
                    if changed(session, delete(Event).where(Event.id == event.id)):
                        _LOG.error("event %s dropped: not received within %d days", event.id, _GIVE_UP.days)
                    continue
                mine = update(Event).where(Event.id == event.id, Event.due == event.due)
                if changed(session, mine.values(due=moment + _LEASE, attempts=Event.attempts + 1)):
                    ours.append(event)
        return ours

    async def _send(self, event: Event) -> None:
        timestamp = str(int(time.time()))
        headers = {
            "content-type": "application/json",
            "webhook-id": event.id,
            "webhook-timestamp": timestamp,
            "webhook-signature": sign(self._key, event.id, timestamp, event.body),
        }
        try:
            request = self._client.build_request("POST", self._url, content=event.body, headers=headers)
            answer = await self._client.send(request, stream=True)  # its body is of no interest, however long
            await answer.aclose()
        except Exception as error:  # not all are httpx.HTTPError; whatever it is, the events after this one must go out
            found = type(error).__name__
        else:
            if answer.is_success:
                await asyncio.to_thread(self._received, event)
                return
            found = f"status {answer.status_code}"
        attempt = event.attempts + 1
        pause = min(2.0 ** min(event.attempts, 16), _LONGEST_PAUSE) * random.uniform(0.75, 1.25)
        _LOG.warning("event %s not received (%s), attempt %d; again in %.0f s", event.id, found, attempt, pause)
        await asyncio.to_thread(self._again, event, pause)

    def _received(self, event: Event) -> None:
        with self._store.write() as session:
            session.execute(delete(Event).where(Event.id == event.id))

    def _again(self, event: Event, seconds: float) -> None:
        with self._store.write() as session:
            session.execute(update(Event).where(Event.id == event.id).values(due=now() + timedelta(seconds=seconds)))


def drop_unsendable(store: Store) -> int:
    """Without a webhook nobody sends what an earlier one left: removes what is too old to be sent; how many."""
    return store.erase_events_before(now() - _GIVE_UP)


def file_events(path: Path, job: str, settings: Settings) -> Iterator[list[dict[str, Any]]]:
    """Rows of the outbox, some at a time, for an uploaded file's escalations, which `serve.score_file` left at `path`.
    They become due one after the other: a long file must not keep a caller's event waiting. The same escalations of a
    job have the same ids each time."""
    moment = now()
    with path.open("rb") as lines:
        events = (
            _file_event(one, number, job, moment, texts=settings.webhook_texts)
            for number, one in enumerate(map(orjson.loads, lines))
        )
        while some := list(islice(events, _AT_A_TIME)):
            yield some


def put_events(session: Session, events: Sequence[dict[str, Any]]) -> None:
    """Into the outbox, but for those that wait there already."""
    outbox = Base.metadata.tables[Event.__tablename__]
    statement: Insert
    if session.get_bind().dialect.name == "postgresql":
        statement = postgresql.insert(outbox).on_conflict_do_nothing()
    else:
        statement = sqlite.insert(outbox).on_conflict_do_nothing()
    session.execute(statement, events)


def _file_event(one: dict[str, Any], number: int, job: str, moment: datetime, *, texts: bool) -> dict[str, Any]:
    event = _event(one["text"], one["record"], moment, texts=texts, file=job)
    # Not by the number alone: scored again with another checkpoint, the file may have other escalations.
    identifier = uuid.uuid5(uuid.UUID(job), f"{number} {event['sha256']}")
    return event | {"id": str(identifier), "due": moment + number * _FILE_PAUSE}


def _event(text: str, record: dict[str, Any], moment: datetime, *, texts: bool, **more: str) -> dict[str, Any]:
    """A row of the outbox, due at once."""
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    data = {"sha256": sha256, **more, "record": record}
    if texts:
        data["text"] = text
    else:
        for mention in record["dimensions"]:
            del mention["evidence"]
    body = {"type": "escalation", "timestamp": moment.isoformat(timespec="microseconds"), "data": data}
    return {
        "id": str(uuid.uuid4()), "sha256": sha256, "body": orjson.dumps(body), "created": moment, "due": moment
    }  # fmt: skip


@asynccontextmanager
async def sending(service: Service) -> AsyncIterator[None]:
    """`service.webhook`, at work, where the operator configured one."""
    if service.settings.webhook_url is None:
        yield
        return
    service.webhook = Webhook(service.store, service.settings)
    task = asyncio.create_task(service.webhook.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
