from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from waits import wait_until

from serve import feedback
from serve.feedback import FeedbackRequest
from serve.keys import new_key, write_keys
from serve.rows import Feedback, now
from serve.settings import Settings
from serve.store import Store, read_feedback

pytestmark = pytest.mark.anyio

TEXT = "👍银幕大，但是座椅太硬，坐得腰疼"
SHA = hashlib.sha256(TEXT.encode()).hexdigest()
BEFORE = {"overall": "positive", "labels": [{"dimension": "picture", "sentiment": "positive", "start": 1, "end": 4}]}
AFTER = {"overall": "negative", "labels": [{"dimension": "seating", "sentiment": "negative", "evidence": "坐得腰疼"}]}


def _kept(data_folder: Path) -> list[dict[str, Any]]:
    return list(read_feedback(str(data_folder / "cinesent.sqlite")))


async def test_feedback_keeps_labels_but_no_words(connect: Any, fake: Any, data_folder: Path) -> None:
    async with connect(fake) as client:
        body = {"sha256": SHA, "text": TEXT, "before": BEFORE, "after": AFTER}
        response = await client.post("/v1/feedback", json=body)
        assert response.status_code == 201, response.text
        answer = response.json()
        assert answer["text_stored"] is False
    (row,) = _kept(data_folder)
    assert row == {
        "id": answer["id"], "sha256": SHA, "model": None, "by": None, "at": answer["at"], "before": BEFORE,
        "after": {
            "overall": "negative",
            "labels": [{"dimension": "seating", "sentiment": "negative", "start": 12, "end": 16}],
        },
    }  # fmt: skip
    for file in data_folder.iterdir():
        assert "坐得腰疼".encode() not in file.read_bytes(), file


async def test_feedback_keeps_the_text_where_the_operator_allows_it(connect: Any, fake: Any, data_folder: Path) -> None:
    text = "座椅\x00硬"  # PostgreSQL's strings cannot hold a NUL
    body = {
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "text": text,
        "before": {},
        "after": {"intent": "review"},
    }
    async with connect(fake, store_texts=True) as client:
        assert (await client.post("/v1/feedback", json=body)).json()["text_stored"] is True
        del body["text"]
        assert (await client.post("/v1/feedback", json=body)).json()["text_stored"] is False
    first, second = _kept(data_folder)
    assert first["text"] == text
    assert "text" not in second


async def test_feedback_takes_a_record_as_the_service_gave_it(connect: Any, fake: Any, data_folder: Path) -> None:
    async with connect(fake) as client:
        record = (await client.post("/v1/analyze", json={"text": "座椅", "probabilities": True})).json()
        body = {"sha256": hashlib.sha256("座椅".encode()).hexdigest(), "before": record, "after": record}
        assert (await client.post("/v1/feedback", json=body)).status_code == 201
    (row,) = _kept(data_folder)
    assert row["model"] == record["model"]
    assert row["before"] == {
        "overall": "negative", "intent": "complaint", "escalation": True,
        "labels": [{"dimension": "seating", "sentiment": "negative", "start": 0, "end": 2}],
    }  # fmt: skip


async def test_feedback_converts_utf16_offsets(connect: Any, fake: Any, data_folder: Path) -> None:
    label = {"dimension": "seating", "sentiment": "negative", "start": 7, "end": 11, "evidence": "座椅太硬"}
    async with connect(fake) as client:
        body = {"sha256": SHA, "text": TEXT, "before": {}, "after": {"labels": [label]}, "offsets": "utf16"}
        assert (await client.post("/v1/feedback", json=body)).status_code == 422, "7 is one too few"
        label |= {"start": 8, "end": 12}
        assert (await client.post("/v1/feedback", json=body)).status_code == 201
        del body["text"]
        assert (await client.post("/v1/feedback", json=body)).json()["errors"][0]["pointer"] == "#/offsets"
    (row,) = _kept(data_folder)
    mention = row["after"]["labels"][0]
    assert TEXT[mention["start"] : mention["end"]] == "座椅太硬"


async def test_feedback_keeps_which_dimensions_were_judged(connect: Any, fake: Any, data_folder: Path) -> None:
    after = {"labels": [{"dimension": "seating", "sentiment": "neutral"}], "annotated": ["price"]}
    async with connect(fake) as client:
        assert (await client.post("/v1/feedback", json={"sha256": SHA, "before": {}, "after": after})).is_success
    assert _kept(data_folder)[0]["after"]["annotated"] == ["seating", "price"]


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"sha256": "abc"}, "#/sha256"),
        ({"sha256": "0" * 64}, "#/sha256"),
        ({"after": {}}, "#/after"),
        ({"after": {"overall": "angry"}}, "#/after/overall"),
        ({"after": {"overal": "negative"}}, "#/after"),
        ({"after": {"intent": "shouting"}}, "#/after/intent"),
        ({"after": {"escalation": "yes"}}, "#/after/escalation"),
        ({"before": {"labels": [{"dimension": "seat", "sentiment": "positive"}]}}, "#/before/labels/0/dimension"),
        ({"after": {"labels": [{"dimension": "price", "sentiment": "none"}]}}, "#/after/labels/0/sentiment"),
        ({"after": {"labels": [{"dimension": "price", "sentiment": "neutral"}] * 2}}, "#/after/labels/1/dimension"),
        ({"after": {"labels": ["seating"]}}, "#/after/labels/0"),
        ({"after": {"labels": [{**BEFORE["labels"][0], "end": 400}]}}, "#/after/labels/0/end"),  # type: ignore[index]
        ({"after": {"labels": [{**BEFORE["labels"][0], "end": None}]}}, "#/after/labels/0"),  # type: ignore[index]
        ({"after": {"labels": [{**AFTER["labels"][0], "evidence": "腰"[::-1] * 2}]}}, "#/after/labels/0/evidence"),  # type: ignore[index]
        ({"after": {"labels": [], "annotated": ["seat"]}}, "#/after/annotated/0"),
        ({"before": {"model": "\x00"}}, "#/before/model"),
        ({"who": "me"}, "#/"),
    ],
)
async def test_feedback_refuses_what_does_not_fit_and_says_where(
    connect: Any, fake: Any, data_folder: Path, change: dict[str, Any], pointer: str
) -> None:
    async with connect(fake) as client:
        body = {"sha256": SHA, "text": TEXT, "before": BEFORE, "after": AFTER} | change
        response = await client.post("/v1/feedback", json=body)
        assert (response.status_code, response.json()["code"]) == (422, "invalid_request")
        assert response.json()["errors"][0]["pointer"] == pointer
        assert "腰" not in response.text
    assert _kept(data_folder) == []


@pytest.mark.parametrize(("text", "status"), [("\\ud83d", 422), ("字" * 21, 413)])
async def test_feedback_refuses_a_text_that_could_not_be_analysed(
    connect: Any, fake: Any, text: str, status: int
) -> None:
    async with connect(fake, max_characters=20) as client:
        content = f'{{"sha256": "{SHA}", "text": "{text}", "before": {{}}, "after": {{"intent": "review"}}}}'
        headers = {"Content-Type": "application/json"}
        assert (await client.post("/v1/feedback", content=content.encode(), headers=headers)).status_code == status


async def test_feedback_names_the_key_and_asks_for_its_role(
    connect: Any, fake: Any, data_folder: Path, tmp_path: Path
) -> None:
    given = {name: new_key(name, [role]) for name, role in (("desk-3", "feedback"), ("hq", "admin"), ("app", "score"))}
    write_keys(tmp_path / "keys.json", [key for _, key in given.values()])
    as_ = {name: {"X-API-Key": plain} for name, (plain, _) in given.items()}
    body = {"sha256": SHA, "before": BEFORE, "after": AFTER}
    async with connect(fake, keys=tmp_path / "keys.json", ready=False) as client:
        assert fake.warm.wait(10)
        await wait_until(lambda: client._transport.app.state.worker.state == "ready")
        assert (await client.post("/v1/feedback", json=body)).status_code == 401
        assert (await client.post("/v1/feedback", json=body, headers=as_["app"])).status_code == 403
        assert (await client.post("/v1/feedback", json=body, headers=as_["desk-3"])).status_code == 201
        for method, path in (("GET", "/v1/feedback"), ("DELETE", f"/v1/feedback/{SHA}")):
            assert (await client.request(method, path, headers=as_["desk-3"])).status_code == 403
        exported = await client.get("/v1/feedback", headers=as_["hq"])
        assert exported.headers["content-type"] == "application/jsonl"
        assert [json.loads(line)["by"] for line in exported.text.splitlines()] == ["desk-3"]


async def test_feedback_is_removed_by_text_to_the_last_byte(connect: Any, fake: Any, data_folder: Path) -> None:
    async with connect(fake, store_texts=True) as client:
        for text in (TEXT, TEXT, "票价还行"):
            sha256 = hashlib.sha256(text.encode()).hexdigest()
            body = {"sha256": sha256, "text": text, "before": {}, "after": {"intent": "review"}}
            assert (await client.post("/v1/feedback", json=body)).status_code == 201
        assert any(TEXT.encode() in file.read_bytes() for file in data_folder.iterdir())
        assert (await client.delete(f"/v1/feedback/{SHA}")).json() == {"deleted": 2}
        assert (await client.delete(f"/v1/feedback/{SHA}")).json() == {"deleted": 0}
        assert not any(TEXT.encode() in file.read_bytes() for file in data_folder.iterdir())
        assert (await client.delete("/v1/feedback/all")).status_code == 422
    assert [row["text"] for row in _kept(data_folder)] == ["票价还行"]


async def test_feedback_answers_503_while_the_database_does_not(
    connect: Any, fake: Any, data_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("serve.store._BUSY_SECONDS", 0.05)
    body = {"sha256": SHA, "text": TEXT, "before": BEFORE, "after": AFTER}
    async with connect(fake, store_texts=True) as client:
        with closing(sqlite3.connect(data_folder / "cinesent.sqlite", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            response = await client.post("/v1/feedback", json=body)
            assert (response.status_code, response.json()["code"]) == (503, "database")
            assert response.headers["retry-after"] == "5"
            other.execute("ROLLBACK")
        assert (await client.post("/v1/feedback", json=body)).status_code == 201
    assert "locked" in caplog.text
    assert "腰" not in caplog.text


def test_feedback_examples_are_valid() -> None:
    for example in feedback._EXAMPLES.values():
        FeedbackRequest.model_validate(example["value"], strict=True)


async def test_feedback_older_than_the_retention_goes(
    connect: Any, fake: Any, data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(Settings().database_url)
    with store.write() as session:
        for days in (3, 1):
            row = Feedback(sha256=SHA, before={}, after={"n": days}, at=now() - timedelta(days=days))
            session.add(row)
    store.close()
    monkeypatch.setattr(feedback, "_SWEEP_SECONDS", 0.01)
    async with connect(fake, retention=2) as client:
        for _ in range(500):
            if len((await client.get("/v1/feedback")).text.splitlines()) == 1:
                break
    assert [row["after"] for row in _kept(data_folder)] == [{"n": 1}]
