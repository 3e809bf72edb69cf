from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from serve.backlog import expose_backlog
from serve.rows import Event, Job, now
from serve.store import Store


def _samples(text: bytes) -> dict[str, float]:
    samples = (line.rsplit(" ", 1) for line in text.decode().splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in samples}


def _job(number: int, status: str, minutes: float) -> Job:
    created = now() - timedelta(minutes=minutes)
    return Job(id=f"{number:032x}", status=status, name="座椅.csv", size=1, options={}, created=created)


def _event(number: int, attempts: int, minutes: float) -> Event:
    created = now() - timedelta(minutes=minutes)
    return Event(id=str(number), sha256="0" * 64, body="座椅".encode(), created=created, due=now(), attempts=attempts)


def test_backlog_counts_files_and_events_and_tells_the_age_of_the_oldest(database: str) -> None:
    store = Store(database)
    found = _samples(expose_backlog(store))
    assert found.pop("cinesent_database_up") == 1
    assert set(found.values()) == {0} and len(found) == 4 + 2 + 2 + 1
    with store.write() as session:
        for number, (status, minutes) in enumerate(
            (("queued", 1), ("queued", 3), ("running", 2), ("done", 60), ("done", 70), ("failed", 80))
        ):
            session.add(_job(number, status, minutes))
        for number, (attempts, minutes) in enumerate(((0, 1), (1, 10), (7, 90))):
            session.add(_event(number, attempts, minutes))
    text = expose_backlog(store)
    store.close()
    found = _samples(text)
    for status, count in (("queued", 2), ("running", 1), ("done", 2), ("failed", 1)):
        assert found[f'cinesent_files{{status="{status}"}}'] == count
    assert 180 <= found['cinesent_files_oldest_seconds{status="queued"}'] < 240
    assert 120 <= found['cinesent_files_oldest_seconds{status="running"}'] < 180
    assert found['cinesent_webhook_events{state="new"}'] == 1
    assert found['cinesent_webhook_events{state="sent"}'] == 2
    assert 5400 <= found["cinesent_webhook_oldest_seconds"] < 5460
    assert "座" not in text.decode()


@pytest.mark.anyio
async def test_backlog_is_part_of_the_metrics_and_absent_without_a_database(
    connect: Any, fake: Any, data_folder: Path
) -> None:
    async with connect(fake) as client:
        await client.post("/v1/analyze", json={"text": "座椅"})
        found = _samples((await client.get("/metrics")).content)
        assert found["cinesent_database_up"] == 1 and found['cinesent_files{status="queued"}'] == 0
        client._transport.app.state.service.store.close()
        for path in data_folder.glob("cinesent.sqlite*"):
            path.unlink()
        found = _samples((await client.get("/metrics")).content)
    assert found["cinesent_database_up"] == 0 and 'cinesent_files{status="queued"}' not in found
    assert found["cinesent_escalations_total"] == 1, "the others are there"
