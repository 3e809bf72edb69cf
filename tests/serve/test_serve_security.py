from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from waits import wait_until

from serve.app import create_app
from serve.keys import new_key, write_keys
from serve.settings import Settings

pytestmark = pytest.mark.anyio

TEXT = {"text": "座椅"}


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A file of keys, and the keys themselves by name: one for each role, and one that may send two texts a minute."""
    plain, kept = {}, []
    for name, role, rate in (
        *(("score", "score", None), ("feedback", "feedback", None), ("admin", "admin", None)),
        ("slow", "score", 2),
    ):
        plain[name], key = new_key(name, [role], rate)
        kept.append(key)
    write_keys(tmp_path / "keys.json", kept)
    return tmp_path / "keys.json", plain


def _problem(response: httpx.Response, status: int, code: str) -> None:
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.headers["content-type"] == "application/problem+json"


async def test_security_opens_probes_and_pages_only(connect: Any, fake: Any, keys: Any) -> None:
    async with connect(fake, keys=keys[0]) as client:
        for path in ("/health", "/ready", "/", "/docs", "/openapi.json", "/docs/assets/docs.js"):
            assert (await client.get(path)).status_code == 200
        for path in ("/v1/info", "/v1/taxonomy", "/metrics", "/v1/none", "/docs/", "/health/x"):
            response = await client.get(path)
            _problem(response, 401, "unauthorized")
            assert response.headers["www-authenticate"] == "Bearer"
        _problem(await client.post("/health"), 401, "unauthorized")
        _problem(await client.post("/v1/analyze", json=TEXT), 401, "unauthorized")
        _problem(await client.post("/v1/admin/reload"), 401, "unauthorized")


async def test_security_takes_a_key_in_either_header(connect: Any, fake: Any, keys: Any) -> None:
    path, plain = keys
    async with connect(fake, keys=path) as client:
        for headers in (
            {"Authorization": f"Bearer {plain['score']}"},
            {"authorization": f"bearer {plain['score']}"},
            {"X-API-Key": plain["score"]},
        ):
            assert (await client.post("/v1/analyze", json=TEXT, headers=headers)).status_code == 200
        for headers in (
            {"Authorization": f"Basic {plain['score']}"},
            {"X-API-Key": plain["score"] + "x"},
            {"X-API-Key": ""},
            {"Authorization": "Bearer"},
        ):
            _problem(await client.post("/v1/analyze", json=TEXT, headers=headers), 401, "unauthorized")


async def test_security_asks_for_the_role_of_the_route(connect: Any, fake: Any, keys: Any) -> None:
    path, plain = keys
    async with connect(fake, keys=path) as client:
        for name, route, status in (
            ("score", "/v1/analyze", 200),
            ("feedback", "/v1/analyze", 403),
            ("admin", "/v1/analyze", 200),
            ("score", "/v1/admin/reload", 403),
        ):
            response = await client.post(route, json=TEXT, headers={"X-API-Key": plain[name]})
            assert response.status_code == status, (name, route)
        for name in plain:
            assert (await client.get("/metrics", headers={"X-API-Key": plain[name]})).status_code == 200


async def test_security_refuses_before_it_reads_the_body(keys: Any, fake: Any) -> None:
    app = create_app(Settings(keys=keys[0]), fake)
    sent: list[Any] = []

    async def receive() -> Any:
        assert sent, "read before it was answered"
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        **{"type": "http", "http_version": "1.1", "method": "POST", "path": "/v1/files", "raw_path": b"/v1/files"},
        **{"query_string": b"", "headers": [(b"content-length", b"1000")], "root_path": "", "scheme": "http"},
    }
    await app(scope, receive, send)
    assert sent[0]["status"] == 401


async def test_security_limits_texts_by_key(connect: Any, fake: Any, keys: Any) -> None:
    path, plain = keys
    async with connect(fake, keys=path) as client:
        slow, other = ({"X-API-Key": plain[name]} for name in ("slow", "score"))
        body = {"items": [TEXT] * 5}
        assert (await client.post("/v1/analyze/batch", json=body, headers=slow)).status_code == 200
        response = await client.post("/v1/analyze", json=TEXT, headers=slow)
        _problem(response, 429, "rate_limited")
        assert 100 < int(response.headers["retry-after"]) <= 120
        assert (await client.post("/v1/analyze", json=TEXT, headers=other)).status_code == 200


async def test_security_counts_the_items_of_a_batch_whatever_is_in_them(connect: Any, fake: Any, keys: Any) -> None:
    path, plain = keys
    async with connect(fake, keys=path) as client:
        slow = {"X-API-Key": plain["slow"]}
        body = {"items": [{"id": number} for number in range(5)]}
        assert (await client.post("/v1/analyze/batch", json=body, headers=slow)).status_code == 200
        _problem(await client.post("/v1/analyze/batch", json=body, headers=slow), 429, "rate_limited")


async def test_security_does_not_count_the_items_of_a_batch_that_the_queue_refuses(
    connect: Any, fake: Any, keys: Any
) -> None:
    path, plain = keys
    async with connect(fake, keys=path, rate_limit=9, queue_size=5, max_batch_items=5) as client:
        headers, batch = {"X-API-Key": plain["score"]}, {"items": [TEXT] * 5}
        fake.gate.clear()
        first = asyncio.create_task(client.post("/v1/analyze", json=TEXT, headers=headers))
        await asyncio.to_thread(fake.busy.wait, 10)
        second = asyncio.create_task(client.post("/v1/analyze/batch", json=batch, headers=headers))
        await wait_until(lambda: client._transport.app.state.worker.waiting == 5)
        for _ in range(2):  # one text each: 8 of 9
            _problem(await client.post("/v1/analyze/batch", json=batch, headers=headers), 429, "queue_full")
        fake.gate.set()
        assert [(await task).status_code for task in (first, second)] == [200, 200]
        assert (await client.post("/v1/analyze", json=TEXT, headers=headers)).status_code == 200
        _problem(await client.post("/v1/analyze", json=TEXT, headers=headers), 429, "rate_limited")


async def test_security_has_a_limit_for_all_keys(connect: Any, fake: Any, keys: Any) -> None:
    path, plain = keys
    async with connect(fake, keys=path, rate_limit=1) as client:
        headers = {"X-API-Key": plain["score"]}
        assert (await client.post("/v1/analyze", json=TEXT, headers=headers)).status_code == 200
        _problem(await client.post("/v1/analyze", json=TEXT, headers=headers), 429, "rate_limited")


async def test_security_without_keys_is_for_this_machine(connect: Any, fake: Any) -> None:
    async with connect(fake) as client:
        for host in ("localhost", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST"):
            assert (await client.get("/v1/info", headers={"Host": host})).status_code == 200
        for host in ("evil.example", "localhost.evil.example:8000", "", "[::1", "10.0.0.1"):
            _problem(await client.get("/v1/info", headers={"Host": host}), 421, "wrong_host")
        assert (await client.get("/health", headers={"Host": "10.0.0.1"})).status_code == 200, "a probe"


async def test_security_with_named_hosts_takes_no_other(connect: Any, fake: Any, keys: Any) -> None:
    path, plain = keys
    headers = {"X-API-Key": plain["score"]}
    async with connect(fake, keys=path) as client:
        assert (await client.get("/v1/info", headers=headers | {"Host": "any.example"})).status_code == 200
    async with connect(fake, keys=path, allowed_hosts=("desk.example",)) as client:
        assert (await client.get("/v1/info", headers=headers | {"Host": "desk.example"})).status_code == 200
        _problem(await client.get("/v1/info", headers=headers | {"Host": "any.example"}), 421, "wrong_host")


async def test_security_takes_names_and_origins_as_an_operator_may_write_them(connect: Any, fake: Any) -> None:
    given = ("Desk.Example:8000", "[::1]", "FE80::1", "https://hq.example:8443/")
    async with connect(fake, allowed_hosts=given, cors_origins=("https://Desk.example/",)) as client:
        for host in ("desk.example", "DESK.example:9", "[::1]:8000", "[fe80::1]", "hq.example"):
            assert (await client.get("/v1/info", headers={"Host": host})).status_code == 200, host
        for host in ("example", "other.example:8000", "https", ""):
            _problem(await client.get("/v1/info", headers={"Host": host}), 421, "wrong_host")
        for origin, status in (("https://desk.example", 200), ("https://hq.example:8443", 403)):
            headers = {"Host": "hq.example", "Origin": origin}
            assert (await client.post("/v1/analyze", json=TEXT, headers=headers)).status_code == status


async def test_security_lets_no_other_page_act_without_keys(connect: Any, fake: Any) -> None:
    async with connect(fake) as client:
        for origin in ("https://evil.example", "null", "http://localhost:9"):
            _problem(await client.post("/v1/admin/reload", headers={"Origin": origin}), 403, "cross_origin")
        own = await client.post("/v1/analyze", json=TEXT, headers={"Origin": "http://localhost"})
        assert own.status_code == 200


async def test_security_has_cors_only_when_it_is_set(connect: Any, fake: Any) -> None:
    origin = "https://desk.example"
    asks = {"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-api-key"}
    async with connect(fake) as client:
        for response in (
            await client.get("/v1/info", headers={"Origin": origin}),
            await client.options("/v1/analyze", headers=asks),
        ):
            assert not [name for name in response.headers if name.startswith("access-control")]
    async with connect(fake, cors_origins=(origin,)) as client:
        allowed = await client.options("/v1/analyze", headers=asks)
        assert allowed.status_code == 200
        assert allowed.headers["access-control-allow-origin"] == origin
        response = await client.post("/v1/analyze", json=TEXT, headers={"Origin": origin})
        assert response.headers["access-control-allow-origin"] == origin
        assert "X-Request-ID" in response.headers["access-control-expose-headers"]
        refused = await client.options("/v1/analyze", headers=asks | {"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in refused.headers
