"""Uploaded files. But for the last tests a script stands in for `serve.score_file`, which takes seconds to load."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import json
import logging
import os
import subprocess
import sys
import zipfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import xlsxwriter
from click.testing import CliRunner
from sqlalchemy import select, update

from sentiment.checkpoint import CheckpointError
from sentiment.cli import main
from sentiment.client import AsyncClient
from sentiment.parts import StoppedError
from sentiment.tables import TableError
from serve import files, jobs
from serve.jobs import Jobs
from serve.keys import new_key, write_keys
from serve.rows import Job, now
from serve.score_file import Task, _reason, _report
from serve.settings import Settings
from serve.store import Store, StoreError

pytestmark = pytest.mark.anyio

CSV = "评论,编号\n座椅太硬，票价还贵,1\n音响震撼,2\n".encode()
BEGIN = """
import json, os, sys, time
task = json.loads(sys.stdin.readline())
os.chdir(task["folder"])
tell = lambda message: print(json.dumps(message), flush=True)
"""
GOOD = """
tell({"progress": 0.5, "rows": 1, "total": 2})
open("result." + task["options"]["format"], "w").write(open(task["input"], encoding="utf-8").read())
open("result." + task["options"]["format"] + ".rejects.jsonl", "w").write("{}")
open("report.html", "w").write("<p>")
tell({"done": {"rows": 2, "rejected": 1}})
"""
SLOW = """
open("result.partial", "w").close()
tell({"progress": 0.25, "rows": 1, "total": None})
sys.stdin.read()
"""
Start = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


def _script(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    monkeypatch.setattr(jobs, "_COMMAND", (sys.executable, "-S", "-c", BEGIN + code))


@pytest.fixture
def start(connect: Any, fake: Any, monkeypatch: pytest.MonkeyPatch) -> Start:
    """A service whose jobs run a script; it looks for work and tells of progress without delay."""

    @asynccontextmanager
    async def begin(code: str = GOOD, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
        _script(monkeypatch, code)
        monkeypatch.setattr(jobs, "_LOOK_SECONDS", 0.05)
        async with connect(fake, **settings) as client:
            yield client

    return begin


async def _upload(client: httpx.AsyncClient, content: bytes = CSV, name: str = "a.csv", **fields: str) -> Any:
    return await client.post("/v1/files", files={"file": (name, content)}, data=fields)


async def _until(client: httpx.AsyncClient, link: str, *states: str, seconds: float = 60) -> dict[str, Any]:
    for _ in range(int(20 * seconds)):
        job: dict[str, Any] = (await client.get(link)).json()
        if job["status"] in states:
            return job
        await asyncio.sleep(0.05)
    raise AssertionError(f"expected {states}, found {job}")


async def test_files_are_taken_scored_handed_out_and_removed(start: Start, data_folder: Path) -> None:
    async with start() as client:
        response = await _upload(client, name="../../etc/我的 评论<b>.csv")
        assert response.status_code == 202, response.text
        job = response.json()
        link = job["links"]["self"]
        assert response.headers["location"] == link
        assert job["name"] == "我的 评论_b_.csv"
        assert (job["status"], job["size"], job["expires"]) == ("queued", len(CSV), None)
        job = await _until(client, link, "done")
        assert job["progress"] == 1.0
        assert job["rows"] == {"done": 2, "total": 2, "rejected": 1}
        assert job["links"] == {"self": link, **{name: f"{link}/{name}" for name in ("result", "rejects", "report")}}
        result = await client.get(job["links"]["result"])
        assert result.content == CSV
        assert "attachment" in result.headers["content-disposition"]
        assert ".scored.csv" in result.headers["content-disposition"]
        rejects = await client.get(job["links"]["rejects"])
        assert ".rejects.jsonl" in rejects.headers["content-disposition"]
        report = await client.get(job["links"]["report"])
        assert report.headers["content-disposition"].startswith("inline")
        assert report.headers["content-security-policy"].startswith("sandbox")
        for other in ("input", "input.csv", "..%2Fcinesent.sqlite", "self"):
            assert (await client.get(f"{link}/{other}")).status_code in (404, 422)
        assert (await client.delete(link)).status_code == 204
        for path in (link, f"{link}/result"):
            assert (await client.get(path)).json()["code"] == "not_found"
        assert (await client.delete(link)).status_code == 404
    assert list((data_folder / "files").iterdir()) == []
    assert {path.name for path in data_folder.iterdir()} <= {"files", "cinesent.sqlite"}


async def test_files_and_corrections_leave_no_word_in_the_log(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        async with start(store_texts=True) as client:
            job = (await _upload(client, name="座椅.csv")).json()
            job = await _until(client, job["links"]["self"], "done")
            for link in job["links"].values():
                assert (await client.get(link)).status_code == 200
            assert (await client.delete(job["links"]["self"])).status_code == 204
            assert (await _upload(client, "座椅太硬".encode(), "座椅.docx", text_col="座椅")).status_code in (202, 422)
            assert (await _upload(client, CSV, layout="座椅")).status_code == 422
            text = "座椅太硬"
            said = {"labels": [{"dimension": "seating", "sentiment": "negative", "evidence": "座椅"}]}
            body = {"sha256": hashlib.sha256(text.encode()).hexdigest(), "text": text, "before": said, "after": said}
            for changed, status in (({}, 201), ({"text": "座椅"}, 422), ({"sha256": "座椅"}, 422)):
                assert (await client.post("/v1/feedback", json=body | changed)).status_code == status
    ours = [r for r in caplog.records if r.name.startswith(("serve", "sentiment"))]
    logged = "\n".join(r.getMessage() + str(getattr(r, "fields", "")) + str(r.exc_info) for r in ours)
    for route in (
        "POST /v1/files 202",
        "GET /v1/files/{id}/{link} 200",
        "POST /v1/feedback 201",
        "POST /v1/feedback 422",
    ):
        assert route in logged
    for secret in ("座", "%E5%BA%A7", "\\u5ea7"):
        assert secret not in logged


async def test_files_are_scored_with_the_threads_of_a_worker(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serve.settings._cores", lambda: 6)
    async with start("tell({'failed': f'{task[\"threads\"]} threads'})", workers=2) as client:
        link = (await _upload(client)).json()["links"]["self"]
        assert (await _until(client, link, "failed"))["detail"] == "3 threads"


def _zip(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/").replace("_xml", ".xml"), content)
    return stream.getvalue()


BOMB = _zip(xl__workbook_xml=b"<x/>", xl__sharedStrings_xml=bytes(260_000_000))


@pytest.mark.parametrize(
    ("name", "content", "fields", "code"),
    [
        ("a.csv", b"", {}, "unreadable_file"),
        ("a.xlsx", BOMB, {}, "unreadable_file"),
        ("a.csv.zip", BOMB, {}, "unreadable_file"),
        ("a.zip", _zip(a=b"1", b=b"2"), {}, "unreadable_file"),
        ("a.docx", _zip(word__document_xml=b"<x/>"), {}, "unreadable_file"),
        ("a.csv", b"%PDF-1.7 \xff", {}, "unreadable_file"),
        ("a.csv", b"<html><table></table></html>", {}, "unreadable_file"),
        ("a.xlsx", b"PK\x03\x04 broken", {}, "unreadable_file"),
        ("a.csv", CSV, {"format": "docx"}, "invalid_request"),
        ("a.csv", CSV, {"layout": "tall"}, "invalid_request"),
        ("a.csv", CSV, {"path": "/etc/passwd"}, "invalid_request"),
        ("a.csv", CSV, {"text_col": "x" * 5000}, "invalid_request"),
    ],
)
async def test_files_refuse_what_is_no_table_or_no_option(
    start: Start, data_folder: Path, name: str, content: bytes, fields: dict[str, str], code: str
) -> None:
    async with start() as client:
        response = await _upload(client, content, name, **fields)
        assert (response.status_code, response.json()["code"]) == (422, code), response.text
        assert str(data_folder) not in response.text
    folder = data_folder / "files"
    assert not folder.exists() or list(folder.iterdir()) == []


async def test_files_refuse_other_bodies(start: Start) -> None:
    async with start(max_upload=4000) as client:
        assert (await client.post("/v1/files", content=CSV, headers={"Content-Type": "text/csv"})).status_code == 422
        assert (await client.post("/v1/files", data={"file": "座椅"})).status_code == 422
        two = [("file", ("a.csv", CSV)), ("file", ("b.csv", CSV))]
        assert (await client.post("/v1/files", files=two)).status_code == 422
        broken = {"Content-Type": "multipart/form-data; boundary=x"}
        assert (await client.post("/v1/files", content=b"--y\r\n", headers=broken)).status_code == 422
        assert (await client.post("/v1/files", files={"other": ("a.csv", CSV)})).status_code == 422
        response = await _upload(client, CSV + b"x" * 4000)
        assert (response.status_code, response.json()["code"]) == (413, "body_too_large")


async def test_files_are_bounded_in_number(start: Start) -> None:
    async with start(SLOW, max_jobs=2) as client:
        for _ in range(2):
            assert (await _upload(client)).status_code == 202
        response = await _upload(client)
        assert (response.status_code, response.json()["code"]) == (429, "queue_full")
        assert int(response.headers["retry-after"]) > 0


@pytest.mark.parametrize(
    ("code", "detail"),
    [
        ('tell({"failed": "expected a column of texts"})', "expected a column of texts"),
        ("sys.exit(3)", "exit code 3"),
        ("os.abort()", "exit code -6"),
        ("print('{')", "exit code"),
    ],
)
async def test_files_that_cannot_be_scored_fail_with_a_reason(start: Start, code: str, detail: str) -> None:
    async with start(code) as client:
        job = await _until(client, (await _upload(client)).json()["links"]["self"], "failed")
        assert detail in job["detail"]
        assert job["links"].keys() == {"self"}
        assert job["expires"] > job["finished"]


async def test_files_that_are_scored_are_done_without_their_report(start: Start) -> None:
    code = """
open("result.csv", "w").close()
tell({"scored": {"rows": 2, "rejected": 0}})
open("report.html", "w").write("<p")
os.abort()
"""
    async with start(code) as client:
        job = await _until(client, (await _upload(client)).json()["links"]["self"], "done", "failed")
        assert (job["status"], job["detail"], job["rows"]["done"]) == ("done", None, 2)
        assert job["links"].keys() == {"self", "result"}, "what there is of the report is no report"


async def test_files_outlast_a_database_that_fails_for_a_moment(
    start: Start, data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[str] = []
    write = Store.write

    def failing(store: Store) -> Any:
        if failures:
            raise StoreError(failures.pop())
        return write(store)

    monkeypatch.setattr(Store, "write", failing)
    code = "tell({'progress': 0.1, 'rows': 1, 'total': 2})\nwhile not os.path.exists('go'): time.sleep(0.01)\n" + GOOD
    async with start(code) as client:
        link = (await _upload(client)).json()["links"]["self"]
        await _until(client, link, "running")
        failures += ["gone", "gone"]
        (data_folder / "files" / link.rpartition("/")[2] / "go").touch()
        await _until(client, link, "done")
    store = Store(Settings().database_url)
    with store.read() as session:
        assert session.scalars(select(Job.attempts)).all() == [1]
    store.close()


async def test_files_are_scored_whatever_lies_in_the_operators_folder(
    connect: Any, fake: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "serve.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(tmp_path)
    async with connect(fake) as client:
        link = (await _upload(client, text_col="票价")).json()["links"]["self"]
        assert "票价" in (await _until(client, link, "failed"))["detail"]


async def test_files_that_take_too_long_fail(start: Start, data_folder: Path) -> None:
    async with start(SLOW, job_time=0.3) as client:
        job = await _until(client, (await _upload(client)).json()["links"]["self"], "failed")
        assert "within 0.3 s" in job["detail"] and "split" in job["detail"]


async def test_files_that_are_removed_end_their_process(start: Start, data_folder: Path) -> None:
    async with start(SLOW) as client:
        link = (await _upload(client)).json()["links"]["self"]
        while not list(data_folder.glob("files/*/result.partial")):
            await asyncio.sleep(0.02)
        job = await _until(client, link, "running")
        assert (await client.delete(link)).status_code == 204
        while list((data_folder / "files").iterdir()):
            await asyncio.sleep(0.02)
        assert job["links"] == {"self": link}


async def test_files_go_on_after_a_restart(start: Start, data_folder: Path) -> None:
    async with start(SLOW) as client:
        link = (await _upload(client)).json()["links"]["self"]
        while not list(data_folder.glob("files/*/result.partial")):
            await asyncio.sleep(0.02)
    store = Store(Settings().database_url)
    with store.read() as session:
        job = session.get(Job, link.rpartition("/")[2])
        assert job is not None
        assert (job.status, job.attempts) == ("queued", 0)
    async with start() as client:
        assert (await _until(client, link, "done"))["rows"]["done"] == 2
    store.close()


async def test_files_whose_owner_was_killed_go_on_but_not_for_ever(start: Start) -> None:
    async with start(SLOW) as client:
        link = (await _upload(client)).json()["links"]["self"]
    killed = {"status": "running", "owner": "0" * 32, "lease": now() - timedelta(seconds=1)}
    store = Store(Settings().database_url)
    with store.write() as session:
        session.execute(update(Job).values(**killed, attempts=2))
    async with start() as client:
        await _until(client, link, "done")
    with store.write() as session:
        session.execute(update(Job).values(**killed, attempts=3, finished=None))
    async with start() as client:
        assert "3 times" in (await _until(client, link, "failed"))["detail"]
    store.close()


async def test_files_are_seen_by_their_key_and_admins_only(start: Start, tmp_path: Path) -> None:
    given = {name: new_key(name, [role]) for name, role in (("a", "score"), ("b", "score"), ("hq", "admin"))}
    write_keys(tmp_path / "keys.json", [key for _, key in given.values()])
    as_ = {name: {"X-API-Key": plain} for name, (plain, _) in given.items()}
    async with start(keys=tmp_path / "keys.json", ready=False) as client:
        response = await client.post("/v1/files", files={"file": ("a.csv", CSV)}, headers=as_["a"])
        link = response.json()["links"]["self"]
        for name, status in (("a", 200), ("b", 404), ("hq", 200)):
            assert (await client.get(link, headers=as_[name])).status_code == status
        assert (await client.delete(link, headers=as_["b"])).status_code == 404
        assert (await client.get(link)).status_code == 401
        assert (await client.delete(link, headers=as_["hq"])).status_code == 204


def _job(identifier: str, **values: Any) -> Job:
    return Job(
        **{
            **{"id": identifier, "status": "queued", "name": "a.csv", "size": 1, "by": None, "created": now()},
            **{"options": {"input": "input.csv", "format": "csv"}, **values},
        }
    )


def test_jobs_are_claimed_by_one_process_each(database: str, tmp_path: Path) -> None:
    stores = [Store(database) for _ in range(2)]
    one, two = (Jobs(store, Settings(data_dir=tmp_path)) for store in stores)
    for number in range(3):
        one.add(_job(f"{number:032x}", created=now() + timedelta(seconds=number)))
    claimed = [jobs._claim() for jobs in (one, two, two, one)]
    assert [job and job.id for job in claimed] == [f"{0:032x}", f"{1:032x}", f"{2:032x}", None]
    for store in stores:
        store.close()


def test_jobs_sweep_what_is_old_and_what_belongs_to_none(database: str, tmp_path: Path) -> None:
    store = Store(database)
    jobs = Jobs(store, Settings(data_dir=tmp_path, file_retention=2))
    old, new, running, none = (f"{number:032x}" for number in range(4))
    for identifier, days in ((old, 3), (new, 1)):
        jobs.add(_job(identifier, status="done", finished=now() - timedelta(days=days)))
    jobs.add(_job(running, status="running"))
    for identifier in (old, new, running, none):
        jobs.place(identifier).mkdir(parents=True)
        os.utime(jobs.place(identifier), (0, 0))
    (jobs.folder / "upload").mkdir()
    jobs.sweep()
    assert {path.name for path in jobs.folder.iterdir()} == {new, running, "upload"}
    assert jobs.find(old) is None
    store.close()


def test_files_reasons_are_in_the_words_of_the_form() -> None:
    assert _reason(TableError("expected a column; give --text-col")) == "expected a column; give text_col"
    assert (
        _reason(StoppedError("stopped: the disk is full; finished blocks are kept in x")) == "stopped: the disk is full"
    )
    for error in (KeyError, ValueError, CheckpointError):
        assert _reason(error("座椅太硬, /opt/checkpoint")) == f"internal error, {error.__name__}"
    assert _reason(TableError("found a\0b\udc80")) == "found a\ufffdb\ufffd", "no database keeps those"


def test_files_suffixes_are_ours() -> None:
    assert files._suffix("a.CSV.gz") == ".csv.gz"
    assert files._suffix("../../x.sh") == ""
    assert files._suffix(None) == ""
    assert files._display_name("C:\\secret\\\udc80\x00评.csv") == "_评.csv"
    assert files._display_name("...") == "file"


class _Kept(httpx.AsyncBaseTransport):
    """Another client's transport, which stays open when this one's client closes it."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response: httpx.Response = await self._transport.handle_async_request(request)
        return response


async def test_files_are_scored_by_the_engine_of_the_command_line(
    connect: Any, fake: Any, data_folder: Path, tmp_path: Path
) -> None:
    content = CSV + "坏,行,多\n".encode() + b"=1+1,3\n"
    (tmp_path / "a.csv").write_bytes(content)
    done = CliRunner().invoke(main, ["score", str(tmp_path / "a.csv"), "-o", str(tmp_path / "b.csv"), "--lang", "zh"])
    assert done.exit_code == 1, done.output
    seen = []
    async with connect(fake) as client:
        async with AsyncClient(str(client.base_url), transport=_Kept(client._transport)) as caller:
            sent = await caller.upload(tmp_path / "a.csv", lang="zh")
            found = await caller.wait(sent, progress=seen.append, timeout=400)
            assert (found.rows_done, found.rows_total, found.rows_rejected) == (3, 3, 1)
            assert found.links == ("result", "rejects", "report") and seen[-1] == found
            await caller.download(found, tmp_path / "c.csv")
        job = (await client.get(f"/v1/files/{sent.id}")).json()
        assert job["detail"] is None
        assert job["rows"] == {"done": 3, "total": 3, "rejected": 1}
        assert (tmp_path / "c.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
        result = await client.get(job["links"]["result"])
        assert result.content == (tmp_path / "b.csv").read_bytes()
        rejects = await client.get(job["links"]["rejects"])
        assert json.loads(rejects.text)["row"] == 3
    rows = list(csv.reader(io.StringIO(result.content.decode("utf-8-sig"))))
    assert len(rows) == 4


def test_files_report_in_the_language_and_label_space_of_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    monkeypatch.setattr("sentiment.cli.main", lambda arguments, standalone_mode: seen.extend(arguments))
    _report(Path("result.csv"), Task("", "", {"lang": "en"}, "/model", None, None, 1, 1, 1))
    assert seen == ["report", "result.csv", "-o", "report.html", "--overwrite", "--lang", "en", "--model", "/model"]


def _bursting() -> bytes:
    """A workbook of 10 kB that unpacks to no more than it may, and would need hundreds of megabytes when it is read."""
    book = io.BytesIO()
    with xlsxwriter.Workbook(book) as sound:
        sound.add_worksheet().write_column(0, 0, ["评论", "座椅太硬"])
    bomb = io.BytesIO()
    with zipfile.ZipFile(book) as old, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b"</row>", b"<c/>" * 3_000_000 + b"</row>", 1))
    return bomb.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("input.csv", CSV, "expected at most 1 rows, found more; split the file"),
        ("input.xlsx", _bursting(), "expected a workbook as Excel writes it, found input.xlsx with more than 131,072 "),
    ],
    ids=["rows", "bomb"],
)
def test_files_that_are_too_much_fail(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    """In a process of its own, as it changes the folder and bounds what the process may do."""
    (tmp_path / name).write_bytes(content)
    options = {"format": "csv", "layout": "wide", "lang": "en", "overwrite": False}
    task = Task(str(tmp_path), name, options, None, None, 1, 1, 2 << 30, 1 << 30)
    assert _scored(task)["failed"].startswith(reason)


def _scored(task: Task) -> dict[str, Any]:
    """What the process says in the end."""
    with subprocess.Popen(
        [sys.executable, "-m", "serve.score_file"],
        cwd=Path(files.__file__).parent.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(asdict(task)).encode() + b"\n")
        process.stdin.flush()
        *_, last = process.stdout
        assert process.wait(60) == 0
    found: dict[str, Any] = json.loads(last)
    return found


def test_files_go_on_from_an_unfinished_folder_and_leave_their_escalations(tmp_path: Path) -> None:
    """With the packaged checkpoint. The process before was killed when it had made the folder and nothing in it."""
    (tmp_path / "result.csv.partial").mkdir()
    (tmp_path / "escalations.jsonl").write_text("of the process before")
    text = "放映厅台阶没有灯，我妈摔倒骨折了，找经理没人管，要求赔偿，否则投诉到消协！"
    (tmp_path / "input.csv").write_text(f"评论,编号\n爆米花很香,a\n{text},b\n,c\n", "utf-8")
    options = {"format": "csv", "layout": "wide", "lang": "en", "overwrite": False}
    task = Task(str(tmp_path), "input.csv", options, None, None, 1, 10, 2 << 30, 1 << 30, escalations=True)
    assert _scored(task) == {"done": {"rows": 3, "rejected": 0}}
    (line,) = (tmp_path / "escalations.jsonl").read_text("utf-8").splitlines()
    found = json.loads(line)
    assert (found["text"], found["record"]["id"]) == (text, "b")
    assert found["record"]["escalation"]["label"] is True
    for mention in found["record"]["dimensions"]:
        assert text[mention["start"] : mention["end"]] == mention["evidence"]


def test_files_scoring_ends_with_the_service(tmp_path: Path) -> None:
    task = Task(str(tmp_path), "missing.csv", {}, None, None, 1, 1, 2 << 30, 1 << 30)
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import serve.score_file as s; s.run = lambda task: s.threading.Event().wait(); s.main()",
        ],
        cwd=Path(files.__file__).parent.parent,
        input=json.dumps(asdict(task)).encode() + b"\n",
        stdout=subprocess.PIPE,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (1, b"")
