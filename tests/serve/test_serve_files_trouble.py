"""Uploaded files whose scoring fails, is cut off, takes too long or outlives its service."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from file_scripts import GOOD, SLOW, Start, until, upload
from sqlalchemy import select, update
from waits import wait_until

from serve import jobs
from serve.rows import Job, now
from serve.settings import Settings
from serve.store import Store, StoreError

pytestmark = pytest.mark.anyio


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
        job = await until(client, (await upload(client)).json()["links"]["self"], "failed")
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
        job = await until(client, (await upload(client)).json()["links"]["self"], "done", "failed")
        assert (job["status"], job["detail"], job["rows"]["done"]) == ("done", None, 2)
        assert job["links"].keys() == {"self", "result"}, "what there is of the report is no report"


async def test_files_outlast_a_database_that_fails_for_a_moment(
    start: Start, data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[str] = []
    write = Store.write

    def failing(store: Store, **options: Any) -> Any:
        if failures:
            raise StoreError(failures.pop())
        return write(store, **options)

    monkeypatch.setattr(Store, "write", failing)
    code = "tell({'progress': 0.1, 'rows': 1, 'total': 2})\nwhile not os.path.exists('go'): time.sleep(0.01)\n" + GOOD
    async with start(code) as client:
        link = (await upload(client)).json()["links"]["self"]
        await until(client, link, "running")
        failures += ["gone", "gone"]
        (data_folder / "files" / link.rpartition("/")[2] / "go").touch()
        await until(client, link, "done")
    store = Store(Settings().database_url)
    with store.read() as session:
        assert session.scalars(select(Job.attempts)).all() == [1]
    store.close()


async def test_files_wait_while_no_process_can_be_started(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(jobs, "_LEASE", timedelta(seconds=0.05))
    async with start() as client:
        command = jobs._COMMAND
        monkeypatch.setattr(jobs, "_COMMAND", (str(tmp_path / "none"),))
        link = (await upload(client)).json()["links"]["self"]
        await wait_until(lambda: caplog.text.count("a job waits: No such file") > jobs._ATTEMPTS, 20)
        monkeypatch.setattr(jobs, "_COMMAND", command)
        await until(client, link, "done", seconds=20)
    store = Store(Settings().database_url)
    with store.read() as session:
        assert session.scalars(select(Job.attempts)).all() == [1]
    store.close()


async def test_files_are_not_to_blame_for_a_database_that_is_away_for_longer_than_a_lease(
    start: Start, data_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    away = threading.Event()
    write = Store.write

    def failing(store: Store, **options: Any) -> Any:
        if away.is_set():
            raise StoreError("gone")
        return write(store, **options)

    monkeypatch.setattr(Store, "write", failing)
    monkeypatch.setattr(jobs, "_LEASE", timedelta(seconds=0.3))
    monkeypatch.setattr(jobs, "_BEAT_SECONDS", 0.05)
    async with start("while not os.path.exists('go'): time.sleep(0.01)\n" + GOOD) as client:
        link = (await upload(client)).json()["links"]["self"]
        await until(client, link, "running")
        away.set()
        await wait_until(lambda: "jobs wait: gone" in caplog.text, 20)
        away.clear()
        (data_folder / "files" / link.rpartition("/")[2] / "go").touch()
        await until(client, link, "done", seconds=20)
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
        link = (await upload(client, text_col="票价")).json()["links"]["self"]
        assert "票价" in (await until(client, link, "failed"))["detail"]


async def test_files_that_take_too_long_fail(start: Start, data_folder: Path) -> None:
    async with start(SLOW, job_time=0.3) as client:
        job = await until(client, (await upload(client)).json()["links"]["self"], "failed")
        assert "within 0.3 s" in job["detail"] and "split" in job["detail"]


async def test_files_that_are_removed_end_their_process(start: Start, data_folder: Path) -> None:
    async with start(SLOW) as client:
        link = (await upload(client)).json()["links"]["self"]
        await wait_until(lambda: list(data_folder.glob("files/*/result.partial")))
        job = await until(client, link, "running")
        assert (await client.delete(link)).status_code == 204
        await wait_until(lambda: not list((data_folder / "files").iterdir()))
        assert job["links"] == {"self": link}


async def test_files_go_on_after_a_restart(start: Start, data_folder: Path) -> None:
    async with start(SLOW) as client:
        link = (await upload(client)).json()["links"]["self"]
        await wait_until(lambda: list(data_folder.glob("files/*/result.partial")))
    store = Store(Settings().database_url)
    with store.read() as session:
        job = session.get(Job, link.rpartition("/")[2])
        assert job is not None
        assert (job.status, job.attempts) == ("queued", 0)
    async with start() as client:
        assert (await until(client, link, "done"))["rows"]["done"] == 2
    store.close()


async def test_files_whose_owner_was_killed_go_on_but_not_for_ever(start: Start) -> None:
    async with start(SLOW) as client:
        link = (await upload(client)).json()["links"]["self"]
    killed = {"status": "running", "owner": "0" * 32, "lease": now() - timedelta(seconds=1)}
    store = Store(Settings().database_url)
    with store.write() as session:
        session.execute(update(Job).values(**killed, attempts=2))
    async with start() as client:
        await until(client, link, "done")
    with store.write() as session:
        session.execute(update(Job).values(**killed, attempts=3, finished=None))
    async with start() as client:
        assert "3 times" in (await until(client, link, "failed"))["detail"]
    store.close()
