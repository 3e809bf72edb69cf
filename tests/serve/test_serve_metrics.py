from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from waits import skip_time, wait_until

from serve.metrics import FOLDER_VARIABLE, Metrics
from serve.queue import Failure

pytestmark = pytest.mark.anyio


async def _lines(client: Any) -> dict[str, float]:
    """Every sample of /metrics."""
    response = await client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    samples = (line.rsplit(" ", 1) for line in response.text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in samples}


async def test_metrics_count_requests_texts_and_labels(connect: Any, fake: Any) -> None:
    async with connect(fake) as client:
        await client.post("/v1/analyze", json={"text": "座椅和票价"})
        await client.post("/v1/analyze", json={"text": ""})
        await client.post("/v1/analyze/batch", json={"items": [{"text": "座椅"}, {"text": "炸弹"}]})
        await client.post("/v1/analyze", json={"nothing": 1})
        await client.get("/座椅?text=座椅")
        found = await _lines(client)
    for name, value in {
        'cinesent_requests_total{method="POST",route="/v1/analyze",status="200"}': 2,
        'cinesent_requests_total{method="POST",route="/v1/analyze",status="422"}': 1,
        'cinesent_requests_total{method="GET",route="-",status="404"}': 1,
        'cinesent_request_seconds_count{route="/v1/analyze"}': 3,
        'cinesent_texts_total{status="ok"}': 2,
        'cinesent_texts_total{status="empty"}': 1,
        'cinesent_text_failures_total{code="internal"}': 1,
        'cinesent_mentions_total{dimension="seating",sentiment="negative"}': 2,
        'cinesent_mentions_total{dimension="price",sentiment="negative"}': 1,
        'cinesent_overall_total{sentiment="negative"}': 2,
        "cinesent_escalations_total": 2,
        "cinesent_batch_texts_count": 3,
        "cinesent_batch_texts_sum": 4,
        "cinesent_queue_texts": 0,
        f'cinesent_model{{model="{fake.name}"}}': 1,
    }.items():
        assert found[name] == value, name
    assert not any("座" in name for name in found)


async def test_metrics_show_the_queue_and_what_came_too_late(connect: Any, fake: Any) -> None:
    async with connect(fake, deadline=600) as client:
        fake.gate.clear()
        first = asyncio.create_task(client.post("/v1/analyze", json={"text": "一"}))
        await asyncio.to_thread(fake.busy.wait, 10)
        second = asyncio.create_task(client.post("/v1/analyze/batch", json={"items": [{"text": "二"}] * 3}))
        await wait_until(lambda: client._transport.app.state.worker.waiting == 3)
        assert (await _lines(client))["cinesent_queue_texts"] == 3
        skip_time(601)
        assert [(await first).status_code, (await second).status_code] == [504, 200]
        found = await _lines(client)
        assert found["cinesent_queue_texts"] == 0
        assert found['cinesent_text_failures_total{code="deadline"}'] == 4


def test_metrics_bound_their_labels() -> None:
    metrics = Metrics()
    metrics.answered("座椅", "-", 0, 0.1)
    metrics.scored([Failure.INTERNAL], 0.1)
    shown = metrics.expose().decode()
    assert 'cinesent_requests_total{method="other",route="-",status="gone"} 1.0' in shown
    assert "座" not in shown


async def test_metrics_are_not_read_on_the_event_loop(connect: Any, fake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every answer would wait for the files of all workers."""
    threads: list[threading.Thread] = []
    async with connect(fake) as client:
        service = client._transport.app.state.service
        for part, name in ((service.metrics, "expose"), (service.reloader, "peers")):
            real = getattr(part, name)

            def noted(*values: Any, real: Any = real) -> Any:
                threads.append(threading.current_thread())
                return real(*values)

            monkeypatch.setattr(part, name, noted)
        assert (await client.get("/metrics")).status_code == 200
    assert len(threads) == 2
    assert threading.current_thread() not in threads


def test_metrics_are_read_by_several_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each removes what a dead worker has left, and another may have been first."""

    def first(*_: Any) -> None:
        left.unlink()
        raise FileNotFoundError(str(left))

    left = tmp_path / "gauge_livesum_7.db"
    left.touch()
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setattr("serve.metrics.mark_process_dead", first)
    assert Metrics().expose([1]) == b""
