from __future__ import annotations

import asyncio
from typing import Any

import pytest
from waits import skip_time, wait_until

from sentiment.taxonomy import load_taxonomy
from serve import schemas

pytestmark = pytest.mark.anyio


async def test_routes_analyzes_one_text(connect: Any, fake: Any) -> None:
    async with connect(fake) as client:
        response = await client.post("/v1/analyze", json={"id": 17, "text": "座椅太硬"})
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/json"
        record = response.json()
        schemas.Record.model_validate(record, strict=True)
        assert record["id"] == "17"
        assert record["dimensions"][0]["evidence"] == "座椅"
        assert "probabilities" not in record
        assert "座椅" in response.text, "UTF-8, not escapes"


async def test_routes_applies_the_options(connect: Any, fake: Any) -> None:
    async with connect(fake) as client:
        body = {"text": "👍座椅和票价", "dimensions": ["price"], "probabilities": True, "offsets": "utf16"}
        record = (await client.post("/v1/analyze", json=body)).json()
        assert [(m["dimension"], m["start"], m["end"]) for m in record["dimensions"]] == [("price", 5, 7)]
        assert record["probabilities"] == {"price": [0.1, 0.2, 0.3]}
        batch = {"items": [{"text": "座椅"}], "evidence": False}
        found = (await client.post("/v1/analyze/batch", json=batch)).json()["results"][0]
        assert "evidence" not in found["dimensions"][0]
        assert found["id"] is None


@pytest.mark.parametrize(("text", "status"), [("", "empty"), (" \n", "empty"), ("good seats", "not_chinese")])
async def test_routes_answers_blank_and_foreign_texts_with_their_status(
    connect: Any, fake: Any, text: str, status: str
) -> None:
    async with connect(fake) as client:
        response = await client.post("/v1/analyze", json={"text": text})
        assert response.status_code == 200
        assert response.json()["status"] == status
        assert response.json()["overall"] is None


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"{}", 422, "text_missing"),
        (b'{"text": null}', 422, "text_missing"),
        (b'{"text": "\\ud83d"}', 422, "invalid_unicode"),
        (b'{"text": "12345678901"}', 413, "text_too_large"),
    ],
)
async def test_routes_refuses_a_text_that_cannot_be_read(
    connect: Any, fake: Any, content: bytes, status: int, code: str
) -> None:
    async with connect(fake, max_characters=10) as client:
        response = await client.post("/v1/analyze", content=content, headers={"Content-Type": "application/json"})
        assert (response.status_code, response.json()["code"]) == (status, code)
    assert not fake.blocks


async def test_routes_accepts_emoji_as_escapes(connect: Any, fake: Any) -> None:
    async with connect(fake) as client:
        headers = {"Content-Type": "application/json; charset=utf-8"}
        response = await client.post("/v1/analyze", content=b'{"text": "\\ud83d\\udc4d"}', headers=headers)
        assert response.status_code == 200
    assert fake.blocks == [["👍"]]


async def test_routes_batch_keeps_order_and_explains_every_null(connect: Any, fake: Any) -> None:
    items = (
        '{"id": 1, "text": "座椅硬"}, {"id": "b"}, {"id": 3, "text": "一二三四五六七八九十一"}, '
        '{"id": 4, "text": "\\ud800"}, {"id": 5, "text": "炸弹"}, {"id": 6, "text": ""}, {"id": 7, "text": "票价贵"}'
    )
    async with connect(fake, max_characters=10) as client:
        headers = {"Content-Type": "application/json"}
        response = await client.post("/v1/analyze/batch", content=f'{{"items": [{items}]}}'.encode(), headers=headers)
    assert response.status_code == 200
    found = response.json()
    schemas.BatchResponse.model_validate(found, strict=True)
    assert [result and result["id"] for result in found["results"]] == ["1", None, None, None, None, "6", "7"]
    assert [(error["index"], error["id"], error["code"]) for error in found["errors"]] == [
        (1, "b", "text_missing"),
        (2, "3", "text_too_large"),
        (3, "4", "invalid_unicode"),
        (4, "5", "internal"),
    ]


async def test_routes_batch_may_be_empty(connect: Any, fake: Any) -> None:
    async with connect(fake) as client:
        response = await client.post("/v1/analyze/batch", json={"items": []})
        assert (response.status_code, response.json()) == (200, {"results": [], "errors": []})


@pytest.mark.parametrize("count", [4, 20_000])
async def test_routes_batch_bounds_its_items(connect: Any, fake: Any, count: int) -> None:
    async with connect(fake, max_batch_items=3) as client:
        response = await client.post("/v1/analyze/batch", json={"items": [{"text": "好"}] * count})
        assert (response.status_code, response.json()["code"]) == (413, "too_many_items")


async def test_routes_scores_concurrent_requests_together(connect: Any, fake: Any) -> None:
    async with connect(fake) as client:
        fake.gate.clear()
        texts = [f"座椅第{n}排" for n in range(32)]
        worker = client._transport.app.state.worker
        requests = []
        for n, text in enumerate(texts):
            requests.append(asyncio.create_task(client.post("/v1/analyze", json={"id": n, "text": text})))
            if n == 0:
                await asyncio.to_thread(fake.busy.wait, 10)
        await wait_until(lambda: worker.waiting + len(fake.blocks[0]) == 32)
        fake.gate.set()
        responses = await asyncio.gather(*requests)
    assert [response.json()["id"] for response in responses] == [str(n) for n in range(32)]
    assert len(fake.blocks) == 2
    assert sorted(text for block in fake.blocks for text in block) == sorted(texts)


async def test_routes_stays_responsive_while_it_scores(connect: Any, fake: Any) -> None:
    async with connect(fake) as client:
        fake.gate.clear()
        request = asyncio.create_task(client.post("/v1/analyze", json={"text": "座椅"}))
        await asyncio.to_thread(fake.busy.wait, 10)
        assert (await client.get("/health")).status_code == 200
        assert (await client.get("/ready")).status_code == 200
        fake.gate.set()
        assert (await request).status_code == 200


async def test_routes_answers_429_when_the_queue_is_full(connect: Any, fake: Any) -> None:
    async with connect(fake, queue_size=2, max_batch_items=2) as client:
        fake.gate.clear()
        first = asyncio.create_task(client.post("/v1/analyze", json={"text": "一"}))
        await asyncio.to_thread(fake.busy.wait, 10)
        second = asyncio.create_task(client.post("/v1/analyze/batch", json={"items": [{"text": "二"}, {"text": "三"}]}))
        await wait_until(lambda: client._transport.app.state.worker.waiting == 2)
        for route, body in (("/v1/analyze", {"text": "四"}), ("/v1/analyze/batch", {"items": [{"text": "四"}]})):
            response = await client.post(route, json=body)
            assert (response.status_code, response.json()["code"]) == (429, "queue_full")
            assert int(response.headers["retry-after"]) >= 1
        fake.gate.set()
        assert [(await task).status_code for task in (first, second)] == [200, 200]


async def test_routes_batch_takes_places_only_for_texts_that_can_be_read(connect: Any, fake: Any) -> None:
    bad = [{"id": 1}, {"id": 2, "text": "座" * 11}, {"id": 3, "text": 4}]
    async with connect(fake, queue_size=3, max_batch_items=3, max_characters=10) as client:
        worker = client._transport.app.state.worker
        fake.gate.clear()
        first = asyncio.create_task(client.post("/v1/analyze", json={"text": "一"}))
        await asyncio.to_thread(fake.busy.wait, 10)
        second = asyncio.create_task(client.post("/v1/analyze/batch", json={"items": [{"text": "二"}, {"text": "三"}]}))
        await wait_until(lambda: worker.waiting == 2)
        third = asyncio.create_task(client.post("/v1/analyze/batch", json={"items": [*bad[:2], {"text": "四"}]}))
        await wait_until(lambda: worker.waiting == 3)
        full = await client.post("/v1/analyze/batch", json={"items": [*bad[:2], {"text": "五"}]})
        assert (full.status_code, full.json()["code"]) == (429, "queue_full")
        response = await asyncio.wait_for(client.post("/v1/analyze/batch", json={"items": bad}), 5)
        assert worker.waiting == 3
        assert response.status_code == 200, "nothing of it has to wait"
        assert response.json()["results"] == [None] * 3
        codes = [error["code"] for error in response.json()["errors"]]
        assert codes == ["text_missing", "text_too_large", "text_missing"]
        fake.gate.set()
        assert [(await task).status_code for task in (first, second, third)] == [200] * 3
    assert sum(len(block) for block in fake.blocks) == 4


async def test_routes_answers_504_at_the_deadline(connect: Any, fake: Any) -> None:
    async with connect(fake, deadline=0.05) as client:
        fake.gate.clear()
        response = await client.post("/v1/analyze", json={"text": "座椅"})
        assert (response.status_code, response.json()["code"]) == (504, "deadline")
        assert response.headers["content-type"] == "application/problem+json"


async def test_routes_batch_keeps_what_was_scored_by_the_deadline(connect: Any, fake: Any) -> None:
    score = fake.analyze_block

    def slow_in_the_end(texts: Any, ids: Any = None) -> Any:
        if len(fake.blocks) == 1:
            fake.gate.clear()
        return score(texts)

    fake.analyze_block = slow_in_the_end
    async with connect(fake, deadline=600, block_characters=2) as client:
        body = {"items": [{"id": n, "text": "座椅"} for n in range(4)]}
        request = asyncio.create_task(client.post("/v1/analyze/batch", json=body))
        await wait_until(lambda: len(fake.blocks) == 2)  # the first is answered by then
        skip_time(601)
        response = await request
        found = response.json()
        assert response.status_code == 200
        assert [result and result["id"] for result in found["results"]] == ["0", None, None, None]
        assert {error["code"] for error in found["errors"]} == {"deadline"}


async def test_routes_answers_500_for_a_text_on_which_the_analyzer_fails(connect: Any, fake: Any) -> None:
    async with connect(fake) as client:
        response = await client.post("/v1/analyze", json={"text": "炸弹"})
        assert (response.status_code, response.json()["code"]) == (500, "internal")


async def test_routes_publishes_taxonomy_and_info(connect: Any, fake: Any) -> None:
    async with connect(fake, deadline=3.0) as client:
        taxonomy = (await client.get("/v1/taxonomy")).json()
        schemas.TaxonomyResponse.model_validate(taxonomy, strict=True)
        assert tuple(dimension["key"] for dimension in taxonomy["dimensions"]) == load_taxonomy().keys
        assert taxonomy["dimensions"][0]["zh"] == load_taxonomy().dimensions[0].zh
        info = (await client.get("/v1/info")).json()
        schemas.InfoResponse.model_validate(info, strict=True)
        assert (info["model"], info["hash"]) == (fake.name, fake.hash)
        assert info["limits"]["deadline"] == 3.0
        assert (info["limits"]["max_rows"], info["limits"]["max_jobs"]) == (1_000_000, 20)


async def test_routes_examples_are_accepted(connect: Any, fake: Any) -> None:
    async with connect(fake) as client:
        for route, examples in (
            ("/v1/analyze", schemas.REQUEST_EXAMPLES),
            ("/v1/analyze/batch", schemas.BATCH_REQUEST_EXAMPLES),
        ):
            for example in examples.values():
                assert (await client.post(route, json=example["value"])).status_code == 200


@pytest.mark.parametrize("route", ["/v1/analyze", "/v1/analyze/batch"])
async def test_routes_frees_the_place_of_a_client_that_goes_away(connect: Any, fake: Any, route: str) -> None:
    async with connect(fake, queue_size=1, max_batch_items=1) as client:
        app = client._transport.app
        fake.gate.clear()
        first = asyncio.create_task(client.post("/v1/analyze", json={"text": "一"}))
        await asyncio.to_thread(fake.busy.wait, 10)
        left = asyncio.Event()
        body = b'{"text": "gone"}' if route == "/v1/analyze" else b'{"items": [{"text": "gone"}]}'
        messages = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Any:
            if messages:
                return messages.pop()
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            pass

        headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
        scope = {
            **{"type": "http", "http_version": "1.1", "method": "POST", "path": route, "raw_path": route.encode()},
            **{"query_string": b"", "headers": headers, "root_path": "", "scheme": "http"},
        }
        second = asyncio.create_task(app(scope, receive, send))
        await wait_until(lambda: app.state.worker.waiting == 1)
        assert (await client.post("/v1/analyze", json={"text": "三"})).status_code == 429
        left.set()
        await second
        assert app.state.worker.waiting == 0
        third = asyncio.create_task(client.post("/v1/analyze", json={"text": "四"}))
        await wait_until(lambda: app.state.worker.waiting == 1)
        fake.gate.set()
        assert [(await first).status_code, (await third).status_code] == [200, 200]
    assert fake.blocks == [["一"], ["四"]]
