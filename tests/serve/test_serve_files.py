"""Uploaded files: taken, scored, handed out, refused. A script stands in for `serve.score_file`."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import logging
import threading
import zipfile
from pathlib import Path
from typing import Any

import pytest
from file_scripts import CSV, SLOW, Start, until, upload
from waits import wait_until

from serve import files
from serve.keys import new_key, write_keys

pytestmark = pytest.mark.anyio


async def test_files_are_taken_scored_handed_out_and_removed(start: Start, data_folder: Path) -> None:
    async with start() as client:
        response = await upload(client, name="../../etc/我的 评论<b>.csv")
        assert response.status_code == 202, response.text
        job = response.json()
        link = job["links"]["self"]
        assert response.headers["location"] == link
        assert job["name"] == "我的 评论_b_.csv"
        assert (job["status"], job["size"], job["expires"]) == ("queued", len(CSV), None)
        job = await until(client, link, "done")
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
            job = (await upload(client, name="座椅.csv")).json()
            job = await until(client, job["links"]["self"], "done")
            for link in job["links"].values():
                assert (await client.get(link)).status_code == 200
            assert (await client.delete(job["links"]["self"])).status_code == 204
            assert (await upload(client, "座椅太硬".encode(), "座椅.docx", text_col="座椅")).status_code in (202, 422)
            assert (await upload(client, CSV, layout="座椅")).status_code == 422
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
    monkeypatch.setattr("serve.settings.usable_cpus", lambda: 6)
    async with start("tell({'failed': f'{task[\"threads\"]} threads'})", workers=2) as client:
        link = (await upload(client)).json()["links"]["self"]
        assert (await until(client, link, "failed"))["detail"] == "3 threads"


async def test_files_fields_reach_the_process_that_scores(start: Start) -> None:
    fields = {"text_col": "甲", "id_col": "乙", "sheet": "丙", "format": "jsonl", "layout": "long", "lang": "zh"}
    async with start("tell({'failed': json.dumps(task['options'])})") as client:
        link = (await upload(client, **fields, overwrite="true")).json()["links"]["self"]
        found = json.loads((await until(client, link, "failed"))["detail"])
    assert found == {**fields, "overwrite": True, "input": "input.csv"}


def _zip(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/").replace("_xml", ".xml"), content)
    return stream.getvalue()


BOMB = _zip(xl__workbook_xml=b"<x/>", xl__sharedStrings_xml=bytes(260_000_000))
FORM = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'


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
        response = await upload(client, content, name, **fields)
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
        unreadable = {"Content-Type": "multipart/form-data; boundary=x; charset=undefined"}  # Python has such a codec
        response = await client.post("/v1/files", content=FORM + b"1\r\n--x--\r\n", headers=unreadable)
        assert (response.status_code, response.json()["code"]) == (422, "invalid_request")
        assert (await client.post("/v1/files", files={"other": ("a.csv", CSV)})).status_code == 422
        response = await upload(client, CSV + b"x" * 4000)
        assert (response.status_code, response.json()["code"]) == (413, "body_too_large")


async def test_files_may_be_as_large_as_allowed_in_a_form_that_is_larger(start: Start, data_folder: Path) -> None:
    async with start(max_upload=len(CSV)) as client:
        assert (await upload(client)).status_code == 202
        response = await upload(client, CSV + b"\n")
        assert (response.status_code, response.json()["code"]) == (413, "body_too_large")
        assert response.json()["detail"].startswith(f"expected a file of at most {len(CSV)} bytes")
    assert len(list((data_folder / "files").iterdir())) == 1


async def test_files_of_a_client_that_leaves_are_gone_and_not_invalid(start: Start, data_folder: Path) -> None:
    messages = [{"type": "http.disconnect"}, {"type": "http.request", "body": FORM + b"1", "more_body": True}]

    async def receive() -> Any:
        return messages.pop()

    async def send(message: Any) -> None:
        raise AssertionError("sent")

    headers = [(b"host", b"localhost"), (b"content-type", b"multipart/form-data; boundary=x")]
    scope = {
        **{"type": "http", "http_version": "1.1", "method": "POST", "path": "/v1/files", "raw_path": b"/v1/files"},
        **{"query_string": b"", "headers": headers, "root_path": "", "scheme": "http"},
    }
    async with start() as client:
        await client._transport.app(scope, receive, send)  # type: ignore[attr-defined]
        metrics = (await client.get("/metrics")).text
    assert 'cinesent_requests_total{method="POST",route="/v1/files",status="gone"} 1.0' in metrics
    assert not list(data_folder.glob("files/*"))


async def test_files_are_looked_at_two_at_a_time(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    accept, begun, held = files._accept, [], threading.Event()

    def slow(service: Any, request: Any, form: Any) -> Any:
        begun.append(int(form["file"].filename[0]))
        assert held.wait(60)
        return accept(service, request, form)

    monkeypatch.setattr(files, "_accept", slow)
    async with start() as client:
        sent = [asyncio.create_task(upload(client, name=f"{number}.csv")) for number in range(5)]
        await wait_until(lambda: len(begun) == 2)
        await asyncio.sleep(0.1)
        assert len(begun) == 2
        left = begun[0]
        sent[left].cancel()
        await wait_until(lambda: len(begun) == 3)
        held.set()
        answers = await asyncio.gather(*sent, return_exceptions=True)
    assert isinstance(answers.pop(left), asyncio.CancelledError)
    assert [answer.status_code for answer in answers] == [202] * 4


async def test_files_are_bounded_in_number(start: Start) -> None:
    async with start(SLOW, max_jobs=2) as client:
        for _ in range(2):
            assert (await upload(client)).status_code == 202
        response = await upload(client)
        assert (response.status_code, response.json()["code"]) == (429, "queue_full")
        assert int(response.headers["retry-after"]) > 0


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
