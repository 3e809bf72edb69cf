"""Requests of `benchmarks.contract`, which makes them up from the description, and those of `benchmarks.hostile`,
against a service in a thread."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from waits import block_until

from benchmarks import hostile
from benchmarks.contract import try_all
from serve.app import create_app
from serve.settings import Settings


@pytest.fixture
def url(fake: Any, tmp_path: Path) -> Iterator[str]:
    """A service around the fake, which it also loads again."""
    app = create_app(Settings(data_dir=tmp_path, max_jobs=2), fake, load=lambda settings: fake)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, access_log=False, ws="none"))
    # Else imported beside the service's own late imports: Python 3.11 fails where two threads compile (gh-106905).
    importlib.import_module("schemathesis.specs.openapi.schemas")
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        block_until(lambda: not thread.is_alive() or (server.started and app.state.worker.state == "ready"))
        assert thread.is_alive()
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(60)


def test_contract_holds_for_requests_that_nobody_thought_of(url: str) -> None:
    outcome = try_all(url, 3)
    assert outcome.wrong == {}
    assert {"POST /v1/analyze", "POST /v1/analyze/batch", "GET /v1/info"} <= set(outcome.statuses)
    assert 200 in outcome.statuses["POST /v1/analyze"] and 422 in outcome.statuses["POST /v1/analyze"]
    assert outcome.statuses["GET /v1/files/{id}"][200] and outcome.statuses["GET /v1/files/{id}/{link}"][200]
    assert outcome.statuses["DELETE /v1/files/{id}"][204] == 1


def test_contract_sends_as_many_requests_as_are_asked_for(url: str) -> None:
    outcome = try_all(url, 1, requests=60)
    assert outcome.requests == 60
    assert sum(statuses.total() for statuses in outcome.statuses.values()) == 60


def test_hostile_files_and_bodies_are_refused_or_mere_text(url: str) -> None:
    found = hostile.try_all(url)
    assert len(found) == len(hostile.cases()) + 1
    assert {name: what for name, what in found.items() if not what["as_expected"]} == {}
