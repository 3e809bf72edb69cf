from __future__ import annotations

import asyncio
import logging
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from waits import skip_time, wait_until

from sentiment.runtimes import Choice
from serve.app import create_app
from serve.pages import PAGE
from serve.settings import Settings

pytestmark = pytest.mark.anyio


async def test_app_is_503_while_it_loads(connect: Any, fake: Any) -> None:
    fake.gate.clear()
    async with connect(fake, ready=False) as client:
        assert (await client.get("/health")).status_code == 200
        for response in (
            await client.get("/ready"),
            await client.get("/v1/taxonomy"),
            await client.get("/v1/info"),
            await client.post("/v1/analyze", json={"text": "座椅"}),
            await client.post("/v1/analyze/batch", json={"items": []}),
        ):
            assert (response.status_code, response.json()["code"]) == (503, "loading")
            assert response.headers["content-type"] == "application/problem+json"
            assert "retry-after" in response.headers


async def test_app_is_503_when_loading_failed(fake: Any) -> None:
    def fail() -> None:
        raise ValueError("damaged")

    fake.warm_up = fail
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    app = create_app(Settings(), fake, on_failure=lambda: loop.call_soon_threadsafe(told.set) and None)
    async with app.router.lifespan_context(app):
        await asyncio.wait_for(told.wait(), 10)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            response = await client.get("/ready")
            assert (response.status_code, response.json()["code"]) == (503, "failed")
            assert (await client.get("/health")).status_code == 200
    assert str(app.state.worker.error) == "damaged"


async def test_app_gives_each_worker_its_share_of_the_cores(monkeypatch: pytest.MonkeyPatch, fake: Any) -> None:
    loaded: list[int | None] = []

    def load(*args: Any, threads: int | None, **others: Any) -> Any:
        loaded.append(threads)
        return fake

    monkeypatch.setattr("sentiment.analyzer.Analyzer.load", load)
    monkeypatch.setattr("serve.settings.usable_cpus", lambda: 6)
    for settings in (Settings(), Settings(workers=2)):
        app = create_app(settings)
        async with app.router.lifespan_context(app):
            await asyncio.to_thread(fake.warm.wait, 10)
        fake.warm.clear()
    assert loaded == [None, 3]


async def test_app_loads_what_the_settings_name(monkeypatch: pytest.MonkeyPatch, fake: Any) -> None:
    loaded: list[Any] = []
    choices = {name: Choice(name.upper(), "1", "float32") for name in ("auto", "onnxruntime")}

    def load(*args: Any, **options: Any) -> Any:
        loaded.append((args, options))
        return fake

    monkeypatch.setattr("sentiment.analyzer.Analyzer.load", load)
    models: list[Path | None] = []

    def choose(name: str, model: Path | None) -> Choice:
        models.append(model)
        return choices[name]

    monkeypatch.setattr("sentiment.runtimes.choose_runtime", choose)
    own = Settings(model=Path("model"), taxonomy=Path("own.yaml"), threads=3, runtime="onnxruntime")
    for settings in (own, Settings()):
        app = create_app(settings)
        async with app.router.lifespan_context(app):
            await asyncio.to_thread(fake.warm.wait, 10)
        fake.warm.clear()
    assert loaded == [
        ((Path("model"),), {"taxonomy": Path("own.yaml"), "threads": 3, "runtime": "ONNXRUNTIME"}),
        ((None,), {"taxonomy": None, "threads": None, "runtime": "AUTO"}),
    ]
    assert models == [Path("model"), None]


async def test_app_limits_the_body(connect: Any, fake: Any) -> None:
    async with connect(fake, max_body=100) as client:
        response = await client.post("/v1/analyze", json={"text": "座" * 100})
        assert (response.status_code, response.json()["code"]) == (413, "body_too_large")


async def test_app_docs_need_nothing_from_elsewhere(connect: Any, fake: Any) -> None:
    async with connect(fake, ready=False) as client:
        root = await client.get("/docs")
        assert "default-src 'none'" in root.headers["content-security-policy"]
        links = re.findall(r'(?:src|href)="([^"]+)"', root.text)
        assert len(links) == 5
        for link in links:
            assert "//" not in link
            assert (await client.get(f"/{link}")).status_code == 200
    for name in ("docs.html", "docs.js"):
        assert "http" not in (PAGE / name).read_text("utf-8")
    assert "url(http" not in (PAGE / "swagger-ui.css").read_text("utf-8")


async def test_app_openapi_is_whole(connect: Any, fake: Any) -> None:
    async with connect(fake, ready=False) as client:
        response = await client.get("/openapi.json")
        schema = response.json()
    paths = schema["paths"]
    assert set(paths) == {
        *("/v1/analyze", "/v1/analyze/batch", "/v1/taxonomy", "/v1/info", "/v1/admin/reload"),
        *("/v1/feedback", "/v1/feedback/{sha256}", "/v1/files", "/v1/files/{id}", "/v1/files/{id}/{link}"),
        *("/health", "/ready", "/metrics"),
    }
    known = schema["components"]["schemas"]
    for name in re.findall(r'"#/components/schemas/(\w+)"', response.text):
        assert name in known
    assert "HTTPValidationError" not in known
    for route in ("/v1/analyze", "/v1/analyze/batch"):
        operation = paths[route]["post"]
        assert {"200", "413", "422", "429", "500", "503"} <= set(operation["responses"])
        for status, answer in operation["responses"].items():
            assert list(answer["content"]) == ["application/json" if status == "200" else "application/problem+json"]
        assert operation["requestBody"]["content"]["application/json"]["examples"]
        assert operation["responses"]["200"]["content"]["application/json"]["examples"]
    assert known["AnalyzeRequest"]["required"] == ["text"]
    assert known["AnalyzeRequest"]["properties"]["text"]["type"] == "string"
    assert known["BatchRequest"]["required"] == ["items"]
    assert "座椅" in response.text


async def test_app_logs_no_word_of_a_review(connect: Any, fake: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        async with connect(fake, max_characters=10) as client:
            for body in (
                {"text": "座椅太硬"},
                {"text": "座椅炸弹"},
                {"text": "座椅" * 50},
                {"text": "座椅", "offsets": "座椅"},
                {"座椅": 1},
                {"items": [{"text": "座椅炸弹"}]},
            ):
                await client.post("/v1/analyze", json=body)
                await client.post("/v1/analyze/batch", json=body)
            await client.get("/v1/analyze?text=座椅")
            await client.get("/座椅")
    text = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith(("serve", "sentiment")))
    assert "POST /v1/analyze 200" in text
    assert "POST /v1/analyze 422" in text
    assert "GET - 404" in text
    for secret in ("座", "%E5%BA%A7", "\\u5ea7", "text="):
        assert secret not in text
    assert not any(record.exc_info for record in caplog.records)


@pytest.fixture
def ended() -> Iterator[list[int]]:
    """What a server would have heard of SIGTERM."""
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    yield heard
    signal.signal(signal.SIGTERM, before)


async def test_app_answers_on_for_a_while_after_sigterm(connect: Any, fake: Any, ended: list[int]) -> None:
    async with connect(fake, drain=600, deadline=1000) as client:
        service = client._transport.app.state.service
        signal.raise_signal(signal.SIGTERM)
        await wait_until(lambda: service.draining)
        signal.raise_signal(signal.SIGTERM)  # does not make it shorter
        assert (await client.post("/v1/analyze", json={"text": "座椅"})).status_code == 200
        assert ended == []
        skip_time(601)
        await wait_until(lambda: ended)
    assert ended == [signal.SIGTERM]


async def test_app_is_not_ready_while_it_drains(connect: Any, fake: Any, ended: list[int]) -> None:
    async with connect(fake, drain=600) as client:
        signal.raise_signal(signal.SIGTERM)
        await wait_until(lambda: client._transport.app.state.service.draining)
        response = await client.get("/ready")
        assert (response.status_code, response.json()["code"]) == (503, "stopped")
        assert (await client.get("/health")).status_code == 200


async def test_app_does_not_wait_with_nothing_loaded(connect: Any, fake: Any, ended: list[int]) -> None:
    fake.gate.clear()
    async with connect(fake, ready=False, drain=600) as client:
        signal.raise_signal(signal.SIGTERM)
        await wait_until(lambda: ended)
        assert not client._transport.app.state.service.draining


async def test_app_leaves_signals_alone_without_a_drain(connect: Any, fake: Any, ended: list[int]) -> None:
    async with connect(fake) as client:
        signal.raise_signal(signal.SIGTERM)
        await wait_until(lambda: ended)
        assert (await client.get("/ready")).status_code == 200


async def test_app_tells_nothing_to_what_observes_the_process(
    connect: Any, fake: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FastAPI would hand addresses as they were sent, and bodies, to OpenTelemetry where there is a provider."""
    pytest.importorskip("fastapi.telemetry", reason="this FastAPI tells nothing")
    from opentelemetry import _logs, metrics, trace

    asked: list[str] = []

    class Provider:
        def __getattr__(self, name: str) -> Any:
            asked.append(name)
            raise AttributeError(name)

    for module, name in ((trace, "tracer"), (metrics, "meter"), (_logs, "logger")):
        monkeypatch.setattr(module, f"get_{name}_provider", Provider)
    async with connect(fake) as client:
        assert (await client.post("/v1/analyze?text=座椅", json={"text": "座椅"})).status_code == 200
    assert asked == []
