from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from file_scripts import until
from sqlalchemy import and_, func, select, update
from waits import wait_until

from sentiment.records import Analysis, Mention
from serve import jobs
from serve import webhook as module
from serve.rows import Event, Job, now
from serve.settings import Settings, SettingsError
from serve.store import Store
from serve.webhook import Webhook

pytestmark = pytest.mark.anyio

KEY = bytes(range(32))
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"
TEXT = "座椅坏了，摔了一跤"
ANALYSIS = Analysis(
    *("m@1", None, "ok", "hans", "negative", 0.9, "complaint", 0.9, True, 0.9),
    dimensions=(Mention("seating", "negative", 0.9, "座椅坏了", 0, 4, "工程"),),
)


@dataclass
class Receiver:
    """A receiver on this machine that answers with `statuses`, one after the other, and then with 204."""

    statuses: list[int] = field(default_factory=list)
    got: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    arrived: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    url: str = ""

    async def wait(self, count: int) -> None:
        for _ in range(count):
            assert await asyncio.to_thread(self.arrived.acquire, True, 60)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            found.got.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            status = found.statuses.pop(0) if found.statuses else 204
            self.send_response(status)
            if status in (302, 307):
                self.send_header("Location", f"{found.url}/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()
            found.arrived.release()

        do_GET = do_POST  # noqa: N815

        def log_message(self, *args: object) -> None:
            """Says nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LONGEST_PAUSE", 0.01)
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.02)


def _left(url: str) -> int:
    store = Store(url)
    try:
        with store.read() as session:
            return session.scalar(select(func.count()).select_from(Event)) or 0
    finally:
        store.close()


async def test_webhook_posts_an_escalation_until_it_is_received(
    connect: Any, fake: Any, receiver: Receiver, soon: None, data_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.statuses += [500, 302, 307, 404]
    url = Settings().database_url
    async with connect(fake, webhook_url=f"{receiver.url}/hook?desk=3", webhook_secret=SECRET) as client:
        record = (await client.post("/v1/analyze", json={"text": "座椅太硬", "id": 17})).json()
        assert record["escalation"]["label"] is True
        await receiver.wait(5)
        await wait_until(lambda: _left(url) == 0)
    assert [path for path, _, _ in receiver.got] == ["/hook?desk=3"] * 5, "no redirect is followed"
    _, headers, body = receiver.got[-1]
    assert len({headers["webhook-id"] for _, headers, _ in receiver.got}) == 1
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    event = json.loads(body)
    assert event["type"] == "escalation"
    assert event["data"]["sha256"] == hashlib.sha256("座椅太硬".encode()).hexdigest()
    assert "text" not in event["data"]
    for mention in record["dimensions"]:
        del mention["evidence"]
    assert event["data"]["record"] == record
    assert "座椅" not in body.decode() + caplog.text
    assert "attempt 4" in caplog.text


async def test_webhook_posts_only_escalations_of_a_batch_with_the_text_where_allowed(
    connect: Any, fake: Any, receiver: Receiver, soon: None
) -> None:
    settings = {"webhook_url": receiver.url, "webhook_secret": SECRET, "webhook_texts": True}
    async with connect(fake, **settings) as client:
        items = [{"text": "座椅太硬"}, {"text": " "}, {"text": "票价贵", "id": "b"}, {"text": None}]
        assert (await client.post("/v1/analyze/batch", json={"items": items})).status_code == 200
        await receiver.wait(2)
        await wait_until(lambda: _left(Settings().database_url) == 0)
    found = {json.loads(body)["data"]["text"]: json.loads(body)["data"]["record"] for _, _, body in receiver.got}
    assert found.keys() == {"座椅太硬", "票价贵"}
    assert found["票价贵"]["id"] == "b"
    assert found["票价贵"]["dimensions"][0]["evidence"] == "票价"


async def test_webhook_posts_the_escalations_of_a_file_once_it_is_done(
    connect: Any, fake: Any, receiver: Receiver, soon: None, data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script stands in for `serve.score_file`."""
    found = [{"text": TEXT, "record": ANALYSIS.to_dict() | {"id": identifier}} for identifier in ("1", "2")]
    lines = "".join(json.dumps(one) + "\n" for one in found)
    code = f"""
import json, os, sys
task = json.loads(sys.stdin.readline())
os.chdir(task["folder"])
open("result.csv", "w").close()
assert task["escalations"]
open("escalations.jsonl", "w").write({lines!r})
print(json.dumps({{"done": {{"rows": 3, "rejected": 0}}}}), flush=True)
"""
    monkeypatch.setattr(jobs, "_COMMAND", (sys.executable, "-S", "-c", code))
    async with connect(fake, webhook_url=receiver.url, webhook_secret=SECRET) as client:
        sent = await client.post("/v1/files", files={"file": ("a.csv", "评论\n座椅\n".encode())})
        await receiver.wait(2)
        await wait_until(lambda: _left(Settings().database_url) == 0)
        await until(client, sent.json()["links"]["self"], "done")
    data = [json.loads(body)["data"] for _, _, body in receiver.got]
    assert sorted(one["record"]["id"] for one in data) == ["1", "2"]
    assert {(one["sha256"], one["file"]) for one in data} == {
        (hashlib.sha256(TEXT.encode()).hexdigest(), sent.json()["id"])
    }
    assert "座椅" not in "".join(body.decode() for _, _, body in receiver.got)
    assert not list(data_folder.glob("files/*/escalations.jsonl"))


def test_webhook_gets_each_escalation_of_a_file_once_although_the_service_died_among_them(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_AT_A_TIME", 2)
    found = [{"text": TEXT, "record": ANALYSIS.to_dict() | {"id": str(number)}} for number in range(5)]
    settings = Settings(data_dir=tmp_path, webhook_url="http://receiver/", webhook_secret=SECRET)
    store = Store(database)
    put, puts = jobs.put_events, []

    def killed(session: Any, events: Any) -> None:
        puts.append(len(events))
        if len(puts) == 2:
            raise KeyboardInterrupt
        put(session, events)

    def finish() -> None:
        work = jobs.Jobs(store, settings)
        job = work._claim()
        assert job is not None
        work.place(job.id).mkdir(parents=True, exist_ok=True)
        (work.place(job.id) / "escalations.jsonl").write_text("".join(json.dumps(one) + "\n" for one in found))
        mine = and_(Job.owner == work._me, Job.status == "running")
        work._finish(job, mine, summary={"rows": 5, "rejected": 0})

    monkeypatch.setattr(jobs, "put_events", killed)
    job = Job(id="0" * 32, status="queued", name="a.csv", size=1, options={}, by=None, created=now())
    jobs.Jobs(store, settings).add(job)
    with pytest.raises(KeyboardInterrupt):
        finish()
    with store.write() as session:
        before = set(session.scalars(select(Event.id)))
        assert session.scalars(select(Job.status)).all() == ["running"]
        session.execute(update(Job).values(lease=now() - timedelta(seconds=1)))
    assert len(before) == 2, "no writer waits for all of them"
    finish()
    assert puts == [2, 2, 2, 2, 1]
    with store.read() as session:
        after = set(session.scalars(select(Event.id)))
        assert session.scalars(select(Job.status)).all() == ["done"]
    assert before < after and len(after) == 5
    assert not list(tmp_path.glob("files/*/escalations.jsonl"))
    store.close()


async def test_webhook_sends_after_a_restart_what_it_could_not(
    connect: Any, fake: Any, receiver: Receiver, soon: None
) -> None:
    settings = {"webhook_url": "http://127.0.0.1:9/", "webhook_secret": SECRET}
    async with connect(fake, **settings) as client:
        assert (await client.post("/v1/analyze", json={"text": "座椅"})).status_code == 200
    assert _left(Settings().database_url) == 1
    store = Store(Settings().database_url)
    with store.write() as session:
        session.execute(update(Event).values(due=now()))  # what was being sent is another one's after a minute
    store.close()
    async with connect(fake, webhook_url=receiver.url, webhook_secret=SECRET):
        await receiver.wait(1)
        await wait_until(lambda: _left(Settings().database_url) == 0)


async def test_webhook_stays_silent_without_an_address(connect: Any, fake: Any) -> None:
    async with connect(fake) as client:
        await client.post("/v1/analyze", json={"text": "座椅"})
    assert _left(Settings().database_url) == 0


async def test_webhook_that_is_gone_leaves_its_events_no_longer_than_they_are_sent(connect: Any, fake: Any) -> None:
    """Events may hold texts; with the webhook switched off nobody else would remove them."""
    store = Store(Settings().database_url)
    with store.write() as session:
        for name, days in (("old", 8), ("young", 6)):
            created = now() - timedelta(days=days)
            session.add(Event(id=name, sha256="0" * 64, body=b"{}", created=created, due=now(), attempts=0))
    async with connect(fake):
        await wait_until(lambda: _left(Settings().database_url) == 1)
    with store.read() as session:
        assert list(session.scalars(select(Event.id))) == ["young"]
    store.close()


async def test_webhook_answers_503_if_the_outbox_does_not_take_it(
    connect: Any, fake: Any, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connect(fake, webhook_url=receiver.url, webhook_secret=SECRET) as client:

        def fail(*args: object) -> None:
            raise module.StoreError("the disk is full")

        monkeypatch.setattr(Webhook, "put", fail)
        assert (await client.post("/v1/analyze", json={"text": "座椅"})).status_code == 503
        assert (await client.post("/v1/analyze", json={"text": " "})).status_code == 200


def _webhook(database: str, answer: Callable[[httpx.Request], httpx.Response]) -> Webhook:
    settings = Settings(webhook_url="http://receiver/", webhook_secret=SECRET)
    return Webhook(Store(database), settings, httpx.MockTransport(answer))


async def test_webhook_claims_each_event_once(database: str) -> None:
    one, two = (_webhook(database, lambda request: httpx.Response(204)) for _ in range(2))
    one.put([(TEXT, str(number), ANALYSIS) for number in range(6)])
    claimed = await asyncio.gather(*(asyncio.to_thread(hook.claim) for hook in (one, two)))
    identifiers = [event.id for events in claimed for event in events]
    assert len(identifiers) == len(set(identifiers)) == 6
    assert one.claim() == []
    for hook in (one, two):
        hook._store.close()


async def test_webhook_waits_longer_each_time_and_gives_up_after_days(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.random, "uniform", lambda *_: 1.0)
    hook = _webhook(database, lambda request: httpx.Response(500))
    hook.put([(TEXT, None, ANALYSIS)])
    pauses = []
    for _ in range(4):
        (event,) = hook.claim()
        started = now()
        await hook._send(event)
        with hook._store.write() as session:
            left = session.scalars(select(Event)).one()
            pauses.append(round((left.due - started).total_seconds()))
            session.execute(update(Event).values(due=now()))
    assert pauses[0] < pauses[1] < pauses[2] < pauses[3]
    assert pauses[3] >= 8
    with hook._store.write() as session:
        session.execute(update(Event).values(created=now() - timedelta(days=8)))
    assert hook.claim() == []
    assert _left(database) == 0
    hook._store.close()


async def test_webhook_goes_on_after_an_error_of_another_kind(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.02)
    monkeypatch.setattr(module, "_LONGEST_PAUSE", 0.01)
    seen = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if len(seen) == 1:
            raise OverflowError("no such port")
        return httpx.Response(204)

    hook = _webhook(database, answer)
    hook.put([(TEXT, None, ANALYSIS)])
    running = asyncio.create_task(hook.run())
    await wait_until(lambda: running.done() or _left(database) == 0)
    assert not running.done() and len(seen) == 2
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    hook._store.close()


@pytest.mark.parametrize(
    "values",
    [
        {"webhook_url": "http://127.0.0.1/"},
        {"webhook_url": "http://127.0.0.1/", "webhook_secret": "whsec_c2hvcnQ="},
        {"webhook_url": "http://127.0.0.1/", "webhook_secret": "no secret of this kind, however long"},
        {"webhook_url": "file:///etc/passwd", "webhook_secret": SECRET},
        {"webhook_url": "https://user:password@host/", "webhook_secret": SECRET},
        {"webhook_url": "http://[::1/", "webhook_secret": SECRET},
        {"webhook_url": "http://host:99999/", "webhook_secret": SECRET},
        {"webhook_secret": SECRET},
        {"webhook_texts": True},
    ],
)
def test_webhook_settings_must_be_whole(values: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=r"expected webhook_\w+ .*found") as caught:
        Settings(**values)
    assert "password" not in str(caught.value)


def test_webhook_secret_is_not_shown() -> None:
    settings = Settings(webhook_url="http://receiver/", webhook_secret=SECRET)
    assert SECRET not in repr(settings)
    assert settings.signing_key == KEY
