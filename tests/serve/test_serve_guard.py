from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from waits import block_until, skip_time

from serve.app import create_app
from serve.guard import HEADERS, Guard
from serve.settings import Settings

pytestmark = pytest.mark.anyio


async def _echo(scope: Any, receive: Any, send: Any) -> None:
    message = await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": message["body"]})


def _client(app: Any, max_body: int = 10) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(Guard(app, max_body)), base_url="http://test")


async def _chunks(count: int) -> Any:
    for _ in range(count):
        yield b"12345"


async def test_guard_passes_a_body_that_fits() -> None:
    async with _client(_echo) as client:
        assert (await client.post("/", content=b"1234567890")).content == b"1234567890"
        assert (await client.post("/", content=_chunks(2))).content == b"1234512345"


async def _refused(headers: list[tuple[bytes, bytes]], chunk: bytes) -> tuple[list[Any], int]:
    """What is sent to a client that sends `chunk` for ever, and how many of them were read."""
    sent: list[Any] = []
    read = 0

    async def receive() -> Any:
        nonlocal read
        read += 1
        return {"type": "http.request", "body": chunk, "more_body": True}

    async def send(message: Any) -> None:
        sent.append(message | {"read": read})

    await Guard(_echo, 10)({"type": "http", "method": "POST", "path": "/", "headers": headers}, receive, send)
    return sent, read


async def test_guard_refuses_by_content_length_before_it_reads() -> None:
    sent, _ = await _refused([(b"content-length", b"11")], b"12345")
    assert (sent[0]["status"], sent[0]["read"]) == (413, 0)
    assert (b"connection", b"close") in sent[0]["headers"]
    assert (b"content-type", b"application/problem+json") in sent[0]["headers"]
    assert json.loads(sent[1]["body"])["code"] == "body_too_large"
    assert sent[1]["more_body"] is True


async def test_guard_refuses_by_counting_what_is_streamed() -> None:
    sent, read = await _refused([(b"transfer-encoding", b"chunked")], b"12345")
    assert (sent[0]["status"], sent[0]["read"]) == (413, 3)
    assert read == 3 + 16 * 10 // 5, "reads on, so that the client sees the answer, but not for ever"
    assert not sent[-1].get("more_body", False)


async def test_guard_reads_nothing_from_a_client_that_asks_first() -> None:
    _, read = await _refused([(b"content-length", b"11"), (b"expect", b"100-continue")], b"12345")
    assert read == 0


async def test_guard_gives_up_on_a_client_that_stalls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serve.guard._DRAIN_SECONDS", 0.01)
    sent: list[Any] = []

    async def receive() -> Any:
        await asyncio.sleep(60)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"content-length", b"11")]}
    await asyncio.wait_for(Guard(_echo, 10)(scope, receive, send), 10)
    assert sent[0]["status"] == 413


async def test_guard_stays_silent_when_the_client_goes_away() -> None:
    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        raise AssertionError("sent")

    await Guard(_echo, 10)({"type": "http", "method": "POST", "path": "/", "headers": []}, receive, send)


async def test_guard_answers_an_exception_and_logs_its_place_only(caplog: pytest.LogCaptureFixture) -> None:
    async def fails(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("座椅太硬")

    with caplog.at_level(logging.DEBUG):
        async with _client(fails) as client:
            response = await client.post("/座椅太硬?text=座椅太硬")
    assert response.status_code == 500
    assert response.json()["code"] == "internal"
    logged = [record.getMessage() for record in caplog.records if record.name == "serve.guard"]
    assert "RuntimeError in test_serve_guard.py" in logged[0]
    assert logged[1].startswith("POST - 500")
    assert "座" not in caplog.text
    assert "%E5%BA%A7" not in "".join(logged)


async def test_guard_lets_the_lifespan_through() -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    await Guard(app, 10)({"type": "lifespan"}, None, None)  # type: ignore[arg-type]
    assert seen == ["lifespan"]


async def test_guard_gives_every_answer_the_headers_of_security() -> None:
    async with _client(_echo) as client:
        for response in (await client.post("/", content=b"1"), await client.post("/", content=b"1" * 11)):
            for name, value in HEADERS.items():
                assert response.headers[name] == value
            assert response.headers["cache-control"] == "no-cache"
        assert (await client.post("/v1/analyze", content=b"1")).headers["cache-control"] == "no-store"


async def test_guard_leaves_a_header_that_a_route_has_set() -> None:
    async def own(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-security-policy", b"sandbox"), (b"cache-control", b"max-age=9")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    async with _client(own) as client:
        response = await client.get("/")
        assert response.headers.get_list("content-security-policy") == ["sandbox"]
        assert response.headers["cache-control"] == "max-age=9"


async def test_guard_passes_request_ids_on(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "serve.guard"):
        async with _client(_echo) as client:
            response = await client.post("/", content=b"1", headers={"X-Request-ID": "call-17.b_2"})
            assert response.headers["x-request-id"] == "call-17.b_2"
            made = [
                (await client.post("/", content=b"1", headers={"X-Request-ID": given})).headers["x-request-id"]
                for given in ("a b", "x" * 65, "", "座椅".encode())
            ]
    assert all(re.fullmatch("[0-9a-f]{32}", name) for name in made)
    assert len(set(made)) == 4
    logged = [record.fields["request_id"] for record in caplog.records if record.name == "serve.guard"]  # type: ignore[attr-defined]
    assert logged == ["call-17.b_2", *made]


async def test_guard_streams_a_body_and_cuts_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """A form may be longer than the file in it."""
    monkeypatch.setattr("serve.guard._FORM_BYTES", 5)
    seen: list[int] = []

    async def counts(scope: Any, receive: Any, send: Any) -> None:
        while True:
            message = await receive()
            seen.append(len(message["body"]))
            if not message["more_body"]:
                break
        await send({"type": "http.response.start", "status": 202, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def swallows(scope: Any, receive: Any, send: Any) -> None:
        with contextlib.suppress(Exception):
            await counts(scope, receive, send)
        await send({"type": "http.response.start", "status": 400, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    for app, chunks, status in ((counts, 4, 202), (counts, 5, 413), (swallows, 5, 413)):
        seen.clear()
        transport = httpx.ASGITransport(Guard(app, 10, streamed={"/v1/files": 15}))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            response = await client.post("/v1/files", content=_chunks(chunks))
        assert response.status_code == status
        assert sum(seen) <= 20


async def test_guard_sends_no_answer_to_a_client_that_leaves_in_the_middle_of_a_form() -> None:
    heard: list[tuple[str, str, int]] = []
    messages = [{"type": "http.disconnect"}, {"type": "http.request", "body": b"1", "more_body": True}]

    async def receive() -> Any:
        return messages.pop()

    async def send(message: Any) -> None:
        raise AssertionError("sent")

    async def reads(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        await send({"type": "http.response.start", "status": 499, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    guard = Guard(reads, 10, streamed={"/": 10}, paths=["/"], listener=lambda *found: heard.append(found[:3]))
    await guard({"type": "http", "method": "POST", "path": "/", "headers": []}, receive, send)
    assert heard == [("POST", "/", 0)], "counted as gone"


async def test_guard_replaces_the_request_id_of_a_route_and_adds_headers_once() -> None:
    async def own(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"x-request-id", b"a"), (b"x-request-id", b"b"), (b"x-frame-options", b"SAMEORIGIN")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    async with _client(own) as client:
        response = await client.get("/", headers={"X-Request-ID": "call-1"})
    assert response.headers.get_list("x-request-id") == ["call-1"]
    assert response.headers.get_list("x-frame-options") == ["SAMEORIGIN"]
    assert len(response.headers) == len(HEADERS) + 2


@pytest.mark.parametrize("streamed", [False, True])
async def test_guard_does_not_wait_for_the_rest_of_a_body_for_ever(streamed: bool) -> None:
    sent: list[Any] = []
    reached: list[bytes] = []
    asked = 0

    async def receive() -> Any:
        nonlocal asked
        asked += 1
        if asked > 1:  # the client says no more
            skip_time(601)
            await asyncio.sleep(30)
            raise AssertionError("expected that nobody waits any more")
        return {"type": "http.request", "body": b"12345", "more_body": True}

    async def swallows(scope: Any, receive: Any, send: Any) -> None:
        with contextlib.suppress(Exception):
            while True:
                reached.append((await receive())["body"])
        await send({"type": "http.response.start", "status": 400, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def send(message: Any) -> None:
        sent.append(message)

    guard = Guard(swallows, 100, body_timeout=600, streamed={"/": 100} if streamed else {})
    scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"content-length", b"50")]}
    await guard(scope, receive, send)
    assert asked == 2, "nothing is read on after this refusal"
    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]
    assert (b"content-type", b"application/problem+json") in sent[0]["headers"]
    assert json.loads(sent[1]["body"])["code"] == "body_timeout"
    assert not sent[-1].get("more_body", False)
    assert reached == ([b"12345"] if streamed else [])


@pytest.mark.parametrize("path", ["/", "/v1/files"])
async def test_guard_waits_for_a_body_that_comes_slowly(path: str) -> None:
    async def reads(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body", False):
            pass
        leaving = asyncio.ensure_future(receive())  # as a route does that wants to know whether the client is there
        await asyncio.sleep(0)
        await pass_by(601)
        assert not leaving.done(), "the body is whole: nothing more is expected"
        leaving.cancel()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def pass_by(seconds: float) -> None:
        skip_time(seconds)
        await asyncio.sleep(0.01)  # what was due in these seconds happens

    async def parts() -> Any:
        for _ in range(5):
            await pass_by(150)
            yield b"1"

    guard = Guard(reads, 10, body_timeout=600, streamed={"/v1/files": 10})
    transport = httpx.ASGITransport(guard)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        assert (await client.post(path, content=parts())).status_code == 200, (
            "750 s in all, but never 600 without a byte"
        )


@pytest.fixture
def server(fake: Any, tmp_path: Path) -> Iterator[uvicorn.Server]:
    """A service that waits half a second for the rest of a body."""
    app = create_app(Settings(data_dir=tmp_path, body_timeout=0.5), fake)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, access_log=False, ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        block_until(lambda: not thread.is_alive() or (server.started and app.state.worker.state == "ready"))
        assert thread.is_alive()
        yield server
    finally:
        server.should_exit = True
        thread.join(60)


@pytest.mark.parametrize(
    ("path", "kind", "begun"),
    [
        ("/v1/analyze", "application/json", b'{"text": "'),
        ("/v1/analyze", "application/json", b""),
        ("/v1/files", "multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="file"; '
         b'filename="a.csv"\r\n\r\n' + b"1" * 2_000_000),
    ],
)  # fmt: skip
def test_guard_frees_the_place_of_a_client_that_stalls(
    server: uvicorn.Server, tmp_path: Path, path: str, kind: str, begun: bytes
) -> None:
    address = server.servers[0].sockets[0].getsockname()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {len(begun) + 99}\r\n\r\n"
    )
    with socket.create_connection(address, timeout=4) as client:  # less than what is read on after other refusals
        client.sendall(head.encode() + begun)
        answer = b""
        while received := client.recv(1 << 16):  # until the service closes the connection
            answer += received
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"application/problem+json" in answer and b'"code":"body_timeout"' in answer
    with httpx.Client(base_url=f"http://127.0.0.1:{address[1]}", trust_env=False) as http:
        assert http.post("/v1/analyze", json={"text": "座椅"}).status_code == 200
        route = f'cinesent_requests_total{{method="POST",route="{path}",status="408"}} 1.0'
        assert route in http.get("/metrics").text
    assert not list((tmp_path / "files").glob("*"))
