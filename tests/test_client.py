"""The Python client: against a server made of answers for what goes wrong, against the service for what goes right."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

import httpx
import pytest

from sentiment import client_calls
from sentiment.client import AsyncClient, Client, ItemError, ServiceError
from sentiment.records import Analysis, Mention

LIMITS = {"max_body": 4096, "max_batch_items": 3, "max_characters": 20_000, "deadline": 10.0, "queue_size": 64}
INFO = {"version": "0.1.0", "schema": 1, "model": "m@1", "hash": "1" * 64, "limits": LIMITS | {"max_upload": 9}}
TEXT = "👍座椅太硬"


def record(text: str, identifier: str | None = None) -> dict[str, Any]:
    mention = Mention("seating", "negative", 0.9, "座椅", text.find("座椅"), text.find("座椅") + 2, "工程")
    found = (mention,) if "座椅" in text else ()
    return Analysis(
        "m@1", identifier, "ok", "hans", "negative", 0.9, "review", 0.8, False, 0.99, found, False, 5, 1
    ).to_dict()


def problem(status: int, code: str, headers: dict[str, str] | None = None, **members: Any) -> httpx.Response:
    content = {
        "type": "about:blank",
        "title": "x",
        "status": status,
        "detail": "expected less",
        "code": code,
        **members,
    }
    return httpx.Response(status, json=content | members, headers=headers)


class Server:
    """Answers with what is in `answers`, in turn; afterwards as the service would. Keeps the requests."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []
        self.transport = httpx.MockTransport(self)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if self.answers:
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        if request.url.path.endswith("/v1/info"):
            return httpx.Response(200, json=INFO)
        body = json.loads(request.content)
        if request.url.path.endswith("/batch"):
            results = [None if item["text"] == "坏" else record(item["text"], item.get("id")) for item in body["items"]]
            errors = [
                {"index": i, "id": body["items"][i].get("id"), "code": "deadline", "message": "too late"}
                for i, result in enumerate(results)
                if result is None
            ]
            return httpx.Response(200, json={"results": results, "errors": errors})
        return httpx.Response(200, json=record(body["text"], body.get("id")))

    def bodies(self) -> list[Any]:
        return [json.loads(request.content) for request in self.requests if request.content]


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """How long the client waited, without the waiting; the jitter is all that it may be."""
    waited: list[float] = []
    # The functions are everybody's: threads of other tests go on sleeping as they did.
    mine, sleep, asyncio_sleep = threading.get_ident(), time.sleep, asyncio.sleep

    def pause(seconds: float) -> None:
        if threading.get_ident() == mine:
            waited.append(seconds)
        else:
            sleep(seconds)

    async def asleep(seconds: float, result: Any = None) -> Any:
        if threading.get_ident() == mine:
            waited.append(seconds)
            return result
        return await asyncio_sleep(seconds, result)

    monkeypatch.setattr("sentiment.client.time.sleep", pause)
    monkeypatch.setattr("sentiment.client.asyncio.sleep", asleep)
    monkeypatch.setattr(client_calls.random, "uniform", lambda low, high: high)
    yield waited


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_client_analyzes_in_one_line_with_the_key_and_typed_results() -> None:
    server = Server()
    analysis = Client("http://h:1/base/", "k-1", transport=server.transport).analyze(TEXT, 17)
    assert isinstance(analysis, Analysis) and (analysis.id, analysis.overall, analysis.escalation) == (
        "17",
        "negative",
        False,
    )
    (mention,) = analysis.dimensions
    assert TEXT[mention.start : mention.end] == mention.evidence == "座椅"
    assert analysis.to_dict() == record(TEXT, "17")
    (request,) = server.requests
    assert str(request.url) == "http://h:1/base/v1/analyze" and request.headers["Authorization"] == "Bearer k-1"
    assert server.bodies() == [{"text": TEXT, "id": "17", "evidence": True, "probabilities": False}]


def test_client_takes_a_key_as_a_file_has_it() -> None:
    server = Server()
    Client("http://h", " k-1\r\n", transport=server.transport).analyze(TEXT)
    assert server.requests[0].headers["Authorization"] == "Bearer k-1"


def test_client_asks_for_what_it_is_told_to() -> None:
    server = Server()
    with Client("http://h", dimensions=["price"], evidence=False, probabilities=True, transport=server.transport) as c:
        c.analyze(TEXT)
    assert server.bodies()[0] == {
        "text": TEXT, "evidence": False, "probabilities": True, "dimensions": ["price"],
    }  # fmt: skip


@pytest.mark.parametrize("status", [429, 503])
def test_client_backs_off_and_never_sooner_than_retry_after(status: int, pauses: list[float]) -> None:
    later = format_datetime(datetime.now(timezone.utc) + timedelta(seconds=9), usegmt=True)
    server = Server(
        problem(status, "queue_full", {"Retry-After": "2"}),
        problem(status, "queue_full"),
        problem(status, "queue_full", {"Retry-After": later}),
        problem(status, "queue_full", {"Retry-After": "soon"}),
    )
    assert Client("http://h", transport=server.transport).analyze(TEXT).status == "ok"
    assert pauses[:2] == [2 + 0.5, 1.0] and 8 < pauses[2] - 2.0 <= 9 and pauses[3] == 4.0
    assert len({request.content for request in server.requests}) == 1


def test_client_gives_up_where_waiting_would_pass_the_deadline(pauses: list[float]) -> None:
    server = Server(problem(429, "queue_full", {"Retry-After": "30"}))
    with pytest.raises(ServiceError, match="429 queue_full: expected less") as found:
        Client("http://h", timeout=5, transport=server.transport).analyze(TEXT)
    assert (found.value.status, found.value.code, pauses) == (429, "queue_full", [])


def test_client_passes_what_is_left_of_its_time_on(pauses: list[float]) -> None:
    server = Server(httpx.ReadTimeout("slow"))
    with pytest.raises(ServiceError, match="deadline: expected an answer within 5 s") as found:
        Client("http://h", timeout=5, transport=server.transport).analyze(TEXT)
    assert found.value.status is None and pauses == []
    timeout = server.requests[0].extensions["timeout"]
    assert 4 < timeout["read"] <= 5 and timeout["connect"] <= 5


def test_client_tries_a_few_times_to_connect(pauses: list[float]) -> None:
    server = Server(httpx.ConnectError("refused"), httpx.ReadError("reset"))
    assert Client("http://h", transport=server.transport).analyze(TEXT).status == "ok"
    server = Server(*[httpx.ConnectError("refused")] * 99)
    with pytest.raises(ServiceError, match=r"unreachable: expected a service .*ConnectError") as found:
        Client("http://h", transport=server.transport).analyze(TEXT)
    assert found.value.code == "unreachable" and len(server.requests) == 1 + client_calls.RECONNECTS


@pytest.mark.parametrize("status", [401, 403, 413, 422, 500, 504])
def test_client_shows_a_problem_and_tries_no_second_time(status: int, pauses: list[float]) -> None:
    server = Server(problem(status, "some_code", errors=[{"pointer": "#/text", "detail": "expected a string"}]))
    with pytest.raises(ServiceError) as found:
        Client("http://h", transport=server.transport).analyze(TEXT)
    assert (found.value.status, found.value.code, found.value.detail) == (status, "some_code", "expected less")
    assert found.value.errors[0]["pointer"] == "#/text" and TEXT not in str(found.value)
    assert len(server.requests) == 1 and pauses == []


def test_client_explains_answers_that_are_not_of_the_service() -> None:
    for answer, code in (
        (httpx.Response(502, text="<html>Bad Gateway</html>"), "http_502"),
        (httpx.Response(307, headers={"Location": "/x"}), "http_307"),
        (httpx.Response(200, text="<html>hello</html>"), "no_json"),
    ):
        with pytest.raises(ServiceError) as found:
            Client("http://h", transport=Server(answer).transport).analyze(TEXT)
        assert found.value.code == code and "html" not in str(found.value)


def test_client_explains_an_answer_that_cannot_be_unpacked() -> None:
    class Garbled(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            yield b"no gzip"

    answer = httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=Garbled())
    with pytest.raises(ServiceError, match=r"unreachable: expected a service .*DecodingError"):
        Client("http://h", transport=Server(answer).transport).analyze(TEXT)


def test_client_refuses_what_cannot_work() -> None:
    for url in ("localhost:8000", "ftp://h", "http://[::", ""):
        with pytest.raises(ValueError, match="expected a URL"):
            Client(url)
    with pytest.raises(ValueError, match="expected a timeout above 0"):
        Client("http://h", timeout=0)
    for key in ("钥匙", "k\n1", "k\x00", "", "\n"):
        with pytest.raises(ValueError, match="API key of printable ASCII") as refused:
            Client("http://h", key)
        assert "\n" not in str(refused.value)
    with pytest.raises(TypeError, match="expected texts of type str, found int"):
        Client("http://h", transport=Server().transport).analyze(3)  # type: ignore[arg-type]


def test_client_splits_a_stream_under_the_limits_and_keeps_the_order() -> None:
    server = Server()
    client = Client("http://h", transport=server.transport)
    texts = ["座椅", "坏", "票", "长" * 700, "长" * 700, "短", "短"]
    found = list(client.analyze_many(iter(texts), ids=range(7)))
    sizes = [len(body["items"]) for body in server.bodies()]
    assert sum(sizes) == 7 and max(sizes) <= LIMITS["max_batch_items"] and sizes == [3, 1, 3]
    assert all(len(request.content) <= LIMITS["max_body"] for request in server.requests)
    assert [one.id for one in found] == [str(i) for i in range(7)]
    assert found[1] == ItemError("1", "deadline", "too late")
    assert [request.url.path for request in server.requests].count("/v1/info") == 1
    assert list(client.analyze_many([])) == []
    with pytest.raises(ValueError):
        list(client.analyze_many(["座椅"], ids=[1, 2]))


def test_client_halves_what_is_too_large_for_a_proxy_and_names_the_one_that_is() -> None:
    class Narrow(Server):
        def __call__(self, request: httpx.Request) -> httpx.Response:
            if len(request.content) > 300:
                return problem(413, "body_too_large")
            return super().__call__(request)

    found = list(Client("http://h", transport=Narrow().transport).analyze_many(["座椅", "长" * 200, "票"]))
    assert [type(one).__name__ for one in found] == ["Analysis", "ItemError", "Analysis"]
    assert found[1] == ItemError(None, "text_too_large", "expected less")


def test_client_sends_half_a_surrogate_pair_on_for_the_service_to_name_it() -> None:
    server = Server()
    Client("http://h", transport=server.transport).analyze("坏\ud83d")
    assert server.bodies()[0]["text"] == "坏\ud83d"


def test_client_info_and_feedback() -> None:
    server = Server()
    assert Client("http://h", transport=server.transport).info().limits.max_batch_items == 3
    server = Server(httpx.Response(201, json={"id": 4}), httpx.Response(201))
    client = Client("http://h", transport=server.transport)
    before = client_calls._analysis(record(TEXT))
    after = {"overall": {"sentiment": "neutral"}}
    assert client.feedback(TEXT, before, after) == {"id": 4}
    assert client.feedback(TEXT, before, after, keep_text=True) == {}
    first, second = server.bodies()
    assert first["before"] == record(TEXT) and first["after"] == after and len(first["sha256"]) == 64
    assert "text" not in first and second["text"] == TEXT


@pytest.mark.anyio
async def test_async_client_does_the_same(pauses: list[float]) -> None:
    server = Server(problem(503, "loading", {"Retry-After": "5"}))
    async with AsyncClient("http://h", "k", transport=server.transport, concurrency=2) as client:
        assert (await client.analyze(TEXT)).overall == "negative"
        found = [one async for one in client.analyze_many([*"一二三四五六坏八"], ids=range(8))]
    assert pauses == [5.5] and [one.id for one in found] == [str(i) for i in range(8)]
    assert isinstance(found[6], ItemError)
    with pytest.raises(ValueError, match="concurrency"):
        AsyncClient("http://h", concurrency=0)


@pytest.mark.anyio
async def test_async_client_stops_its_requests_when_one_fails() -> None:
    server = Server(httpx.Response(200, json=INFO), problem(401, "unauthorized"))
    async with AsyncClient("http://h", transport=server.transport, concurrency=3) as client:
        with pytest.raises(ServiceError, match="401 unauthorized"):
            _ = [one async for one in client.analyze_many("座" * 30)]
    assert len(server.requests) <= 4


def test_client_without_httpx_says_which_extra_brings_it() -> None:
    code = "import sys; sys.modules['httpx'] = None; import sentiment.client"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (
        done.stderr.splitlines()[-1] == 'ImportError: sentiment.client needs an extra: pip install "cinesent[client]"'
    )
