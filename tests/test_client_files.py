"""Files in the Python client, against a server made of answers; tests/serve has them against the service."""

from __future__ import annotations

import asyncio
import re
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from sentiment import client_calls
from sentiment.client import AsyncClient, Client, FileJob, ServiceError

ID = "0123456789abcdef0123456789abcdef"
TABLE = "评论\n座椅太硬\n".encode()
SCORED = "评论,cs_overall\n座椅太硬,negative\n".encode()


def job(status: str, done: int = 0, **members: Any) -> httpx.Response:
    found = {
        "id": ID,
        "status": status,
        "name": "四月.csv",
        "size": len(TABLE),
        "created": "2026-03-01T08:30:00+00:00",
        "finished": None,
        "expires": None,
        "progress": done / 4,
        "rows": {"done": done, "total": 4, "rejected": 0},
        "detail": None,
        "links": {"self": f"/behind/v1/files/{ID}"},
    }
    return httpx.Response(202 if status == "queued" else 200, json=found | members)


DONE = {"links": {"self": "x", "result": "x", "report": "x"}, "expires": "2026-03-08T08:30:00+00:00"}


def busy(status: int = 429) -> httpx.Response:
    return httpx.Response(status, json={"code": "queue_full", "detail": "expected room"}, headers={"Retry-After": "2"})


class Server:
    """Answers in turn, and keeps the requests with their whole bodies."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []
        self.transport = httpx.MockTransport(self)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def asked(self) -> list[str]:
        return [f"{request.method} {request.url.path}" for request in self.requests]


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the client waited, without the waiting."""
    waited: list[float] = []

    # The function is everybody's: threads of other tests go on sleeping as they did.
    mine, asyncio_sleep = threading.get_ident(), asyncio.sleep

    async def asleep(seconds: float) -> None:
        if threading.get_ident() == mine:
            waited.append(seconds)
        else:
            await asyncio_sleep(seconds)

    monkeypatch.setattr("sentiment.client.time", type("Time", (), {"sleep": staticmethod(waited.append)}))
    monkeypatch.setattr("sentiment.client.asyncio.sleep", asleep)
    monkeypatch.setattr(client_calls.random, "uniform", lambda low, high: high)
    return waited


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "四月.csv"
    path.write_bytes(TABLE)
    return path


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def parts(request: httpx.Request) -> dict[str, bytes]:
    """The form's fields; the file's under its name."""
    boundary = request.headers["content-type"].partition("boundary=")[2].encode()
    found = {}
    for part in request.content.split(b"--" + boundary)[1:-1]:
        head, _, body = part.partition(b"\r\n\r\n")
        name = re.findall(rb'name="([^"]*)"', head)[-1].decode()
        found[name] = body.removesuffix(b"\r\n")
    return found


def test_client_scores_a_file_and_removes_it(table: Path, tmp_path: Path, pauses: list[float]) -> None:
    server = Server(
        job("queued"), job("running", 1), job("running", 3), job("done", 4, **DONE),
        httpx.Response(200, content=SCORED), httpx.Response(204),
    )  # fmt: skip
    seen: list[FileJob] = []
    with Client("http://h/base", "k-1", transport=server.transport) as client:
        found = client.score_file(
            table, tmp_path / "scored.xlsx", progress=seen.append, lang="zh", text_col="评论", overwrite=True
        )
    assert (tmp_path / "scored.xlsx").read_bytes() == SCORED
    assert server.asked() == [
        "POST /base/v1/files", *[f"GET /base/v1/files/{ID}"] * 3,
        f"GET /base/v1/files/{ID}/result", f"DELETE /base/v1/files/{ID}",
    ]  # fmt: skip
    assert parts(server.requests[0]) == {
        "四月.csv": TABLE, "lang": b"zh", "text_col": "评论".encode(), "overwrite": b"true", "format": b"xlsx",
    }  # fmt: skip
    assert {request.headers["Authorization"] for request in server.requests} == {"Bearer k-1"}
    assert [(one.status, one.progress, one.rows_done) for one in seen] == [
        ("running", 0.25, 1), ("running", 0.75, 3), ("done", 1.0, 4),
    ]  # fmt: skip
    assert (found.id, found.rows_total, found.links) == (ID, 4, ("result", "report"))
    assert pauses == [0.5, 0.75], "it looks less and less often"


def test_client_sends_a_whole_file_again_after_a_full_queue_and_a_broken_connection(
    table: Path, pauses: list[float]
) -> None:
    server = Server(busy(), httpx.WriteError("reset"), job("queued"))
    Client("http://h", transport=server.transport).upload(table)
    assert [parts(request) for request in server.requests] == [{"四月.csv": TABLE}] * 3
    assert pauses == [2.5, 1.0]


@pytest.mark.parametrize("lost", [httpx.ReadError, httpx.RemoteProtocolError, httpx.CloseError])
def test_client_sends_no_file_again_that_the_service_may_have(lost: Any, table: Path, pauses: list[float]) -> None:
    server = Server(lost("gone"), job("queued"))
    with pytest.raises(ServiceError, match=rf"unreachable: .*{lost.__name__}.*may have taken the file"):
        Client("http://h", transport=server.transport).upload(table)
    assert server.asked() == ["POST /v1/files"]
    server = Server(httpx.ConnectError("refused"), httpx.ConnectTimeout("slow"), busy(503), job("queued"))
    assert Client("http://h", transport=server.transport).upload(table).status == "queued"
    server = Server(lost("gone"), job("running", 1))
    assert Client("http://h", transport=server.transport).file(ID).status == "running", "to ask twice does no harm"


def test_client_takes_bytes_with_a_name_and_an_id_for_a_job(pauses: list[float]) -> None:
    server = Server(job("queued"), job("done", 4), httpx.Response(204))
    client = Client("http://h", transport=server.transport)
    client.upload(TABLE, name='a "b"\udc80.csv')
    (content,) = parts(server.requests[0]).values()
    assert content == TABLE
    assert client.file(ID).status == "done"
    client.remove("../../v1/info")
    assert server.requests[-1].url.raw_path == b"/v1/files/..%2F..%2Fv1%2Finfo"


def test_client_fetches_again_from_the_beginning_and_leaves_nothing_half_done(
    tmp_path: Path, pauses: list[float]
) -> None:
    class Broken(httpx.SyncByteStream):
        def __iter__(self) -> Any:
            yield SCORED + SCORED
            raise httpx.ReadError("reset")

    server = Server(httpx.Response(200, stream=Broken()), busy(503), httpx.Response(200, content=SCORED))
    client = Client("http://h", transport=server.transport)
    assert client.download(ID, tmp_path / "report.html", "report").read_bytes() == SCORED
    assert server.asked() == [f"GET /v1/files/{ID}/report"] * 3
    (tmp_path / "kept.csv").write_text("old")
    server.answers = [httpx.Response(404, json={"code": "not_found", "detail": "expected a link"})]
    with pytest.raises(ServiceError, match="404 not_found"):
        client.download(ID, tmp_path / "kept.csv")
    assert (tmp_path / "kept.csv").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept.csv", "report.html"]


def test_client_says_why_a_file_failed_and_removes_it(table: Path, tmp_path: Path, pauses: list[float]) -> None:
    failed = job("failed", detail="expected a column of texts, found none")
    server = Server(job("queued"), failed, httpx.Response(204))
    with pytest.raises(ServiceError, match="file_failed: expected a column of texts") as found:
        Client("http://h", transport=server.transport).score_file(table, tmp_path / "scored.csv")
    assert (found.value.code, found.value.status) == ("file_failed", None)
    assert server.asked()[-1] == f"DELETE /v1/files/{ID}" and not (tmp_path / "scored.csv").exists()
    server = Server(job("queued"), failed, *[httpx.ConnectError("refused")] * 9)
    with pytest.raises(ServiceError, match="file_failed"):  # and not that it could not be removed
        Client("http://h", transport=server.transport).score_file(table, tmp_path / "scored.csv")


class Failing(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A result on whose way this machine's disk gets full, or somebody presses Ctrl+C."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __iter__(self) -> Any:
        yield SCORED
        raise self._error

    async def __aiter__(self) -> Any:
        yield SCORED
        raise self._error


ENDS = [OSError(28, "No space left on device"), KeyboardInterrupt()]


@pytest.mark.parametrize("error", ENDS)
def test_client_removes_a_file_whatever_ends_the_call(
    table: Path, tmp_path: Path, pauses: list[float], error: BaseException
) -> None:
    answers = [job("queued"), job("done", 4, **DONE), httpx.Response(200, stream=Failing(error)), httpx.Response(204)]
    server = Server(*answers)
    with pytest.raises(type(error)):
        Client("http://h", transport=server.transport).score_file(table, tmp_path / "scored.csv")
    assert server.asked()[-1] == f"DELETE /v1/files/{ID}"
    assert [path.name for path in tmp_path.iterdir()] == [table.name]

    def stop(job: FileJob) -> None:
        raise error

    server = Server(job("queued"), job("running", 1), httpx.Response(204))
    with pytest.raises(type(error)):
        Client("http://h", transport=server.transport).score_file(table, tmp_path / "scored.csv", progress=stop)
    assert server.asked()[-1] == f"DELETE /v1/files/{ID}"


@pytest.mark.anyio
async def test_async_client_removes_a_file_whatever_ends_the_call(
    table: Path, tmp_path: Path, pauses: list[float]
) -> None:
    for error in (ENDS[0], asyncio.CancelledError()):
        broken = httpx.Response(200, stream=Failing(error))
        server = Server(job("queued"), job("done", 4, **DONE), broken, httpx.Response(204))
        async with AsyncClient("http://h", transport=server.transport) as client:
            with pytest.raises(type(error)):
                await client.score_file(table, tmp_path / "scored.csv")
        assert server.asked()[-1] == f"DELETE /v1/files/{ID}"
        assert [path.name for path in tmp_path.iterdir()] == [table.name]


def test_client_waits_for_a_file_no_longer_than_it_may(pauses: list[float]) -> None:
    server = Server(*[job("running", 1)] * 99)
    with pytest.raises(ServiceError, match=r"deadline: expected the file to be done within 0\.2 s"):
        Client("http://h", transport=server.transport).wait(ID, timeout=0.2)
    assert pauses == []


def test_client_refuses_files_and_options_that_cannot_be(table: Path, tmp_path: Path) -> None:
    client = Client("http://h", transport=Server().transport)
    with pytest.raises(ValueError, match=r"ends in \.csv, .*found 'scored.docx'"):
        client.score_file(table, "scored.docx")
    with pytest.raises(ValueError, match="expected the format csv"):
        client.score_file(table, "scored.csv", format="xlsx")
    with pytest.raises(TypeError, match="expected options among"):
        client.upload(table, column="评论")  # type: ignore[call-arg]
    with pytest.raises(FileNotFoundError):
        client.upload(tmp_path / "absent.csv")
    with pytest.raises(FileNotFoundError):
        client.download(ID, tmp_path / "absent" / "scored.csv")


@pytest.mark.anyio
async def test_async_client_does_the_same_with_files(table: Path, tmp_path: Path, pauses: list[float]) -> None:
    server = Server(
        busy(), job("queued"), job("running", 2), job("done", 4, **DONE), busy(503),
        httpx.Response(200, content=SCORED), httpx.Response(204),
    )  # fmt: skip
    seen: list[FileJob] = []
    async with AsyncClient("http://h", transport=server.transport) as client:
        found = await client.score_file(table, tmp_path / "scored.csv", progress=seen.append, layout="long")
        assert [one.status for one in seen] == ["running", "done"] and found.rows_done == 4
        assert parts(server.requests[1]) == {"四月.csv": TABLE, "layout": b"long", "format": b"csv"}
        assert (tmp_path / "scored.csv").read_bytes() == SCORED
        server.answers = [job("queued"), job("running", 1), job("done", 4), httpx.Response(200, content=SCORED)]
        server.answers.append(httpx.Response(204))
        sent = await client.upload(TABLE, name="a.csv")
        assert (await client.file(sent)).status == "running"
        assert (await client.wait(sent)).status == "done"
        assert (await client.download(sent, tmp_path / "b.csv")).read_bytes() == SCORED
        await client.remove(sent)
    assert server.answers == []
