"""What waits in the database, as metrics: uploaded files and events for the webhook's receiver.

The database is one for all workers, so this is asked for when /metrics is, and not summed over them.
"""

from __future__ import annotations

import logging
from datetime import datetime

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from sqlalchemy import case, func, select

from serve.rows import Event, Job, now
from serve.store import Store, StoreError

_LOG = logging.getLogger(__name__)

STATES = ("queued", "running", "done", "failed")
UNFINISHED = STATES[:2]


def expose_backlog(store: Store) -> bytes:
    """In Prometheus' text format. Where the database cannot be read, `cinesent_database_up` is 0 and the rest absent.

    An age is 0 where nothing waits.
    """
    registry = CollectorRegistry()
    up = Gauge("cinesent_database_up", "1 if the database can be read.", registry=registry)
    try:
        jobs, oldest_job, events, oldest_event = _read(store)
    except StoreError as error:
        _LOG.error("metrics without the database: %s", error)
        return generate_latest(registry)
    up.set(1)
    moment = now()
    files = Gauge("cinesent_files", "Uploaded files that are kept, by status.", ("status",), registry=registry)
    waiting = Gauge(
        "cinesent_files_oldest_seconds", "Since the oldest file came that is not finished.", ("status",),
        registry=registry,
    )  # fmt: skip
    for status in STATES:
        files.labels(status).set(jobs.get(status, 0))
    for status in UNFINISHED:
        waiting.labels(status).set(_age(oldest_job.get(status), moment))
    outbox = Gauge(
        "cinesent_webhook_events",
        "Events not yet received, by whether they were sent before.",
        ("state",),
        registry=registry,
    )
    for state in ("new", "sent"):
        outbox.labels(state).set(events.get(state, 0))
    Gauge(
        "cinesent_webhook_oldest_seconds", "Since the oldest event not yet received.", registry=registry
    ).set(_age(oldest_event, moment))  # fmt: skip
    return generate_latest(registry)


def _read(store: Store) -> tuple[dict[str, int], dict[str, datetime], dict[str, int], datetime | None]:
    """Files by status, when the oldest of each came; events by state, when the oldest came.

    Raises:
        StoreError: see `Store.read`.
    """
    state = case((Event.attempts > 0, "sent"), else_="new")
    with store.read() as session:
        files = session.execute(select(Job.status, func.count(), func.min(Job.created)).group_by(Job.status)).all()
        events = session.execute(select(state, func.count(), func.min(Event.created)).group_by(state)).all()
    return (
        {status: count for status, count, _ in files},
        {status: created for status, _, created in files},
        {name: count for name, count, _ in events},
        min((created for _, _, created in events), default=None),
    )


def _age(created: datetime | None, moment: datetime) -> float:
    return 0.0 if created is None else max(0.0, (moment - created).total_seconds())
