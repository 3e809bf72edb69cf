from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from serve import errors
from serve.errors import ProblemError

pytestmark = pytest.mark.anyio

REVIEW = "座椅太硬坐得腰疼"


def _is_problem(response: Any, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert {"type", "title", "status", "detail", "code"} <= set(body)
    assert (body["status"], body["code"]) == (status, code)
    assert "座椅" not in response.text
    assert "\\u5ea7" not in response.text.lower()
    return body


def test_errors_problem_has_title_and_members() -> None:
    found = ProblemError(413, "x", "y", extra=1).to_dict()
    assert found == {
        "type": "about:blank",
        "title": "Content Too Large",
        "status": 413,
        "detail": "y",
        "code": "x",
        "extra": 1,
    }


async def test_errors_of_routing_are_problems(connect: Any, fake: Any) -> None:
    async with connect(fake) as client:
        _is_problem(await client.get(f"/{REVIEW}"), 404, "not_found")
        _is_problem(await client.post("/v1/analyze/", json={"text": REVIEW}), 404, "not_found")
        _is_problem(await client.get("/docs/assets/none.js"), 404, "not_found")
        response = await client.get("/v1/analyze", params={"text": REVIEW})
        _is_problem(response, 405, "method_not_allowed")
        assert response.headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"text": REVIEW, "offsets": REVIEW}, "#/offsets"),
        ({"text": REVIEW, "evidence": REVIEW}, "#/evidence"),
        ({"text": REVIEW, "probabilities": 1}, "#/probabilities"),
        ({"text": REVIEW, "id": [REVIEW]}, "#/id"),
        ({"text": REVIEW, "dimensions": REVIEW}, "#/dimensions"),
        ({"text": REVIEW, "dimensions": ["seating", 5]}, "#/dimensions/1"),
        ({"text": REVIEW, "dimensions": ["seating", REVIEW]}, "#/dimensions/1"),
        ({"text": REVIEW, REVIEW: REVIEW}, "#/"),
    ],
)
async def test_errors_of_validation_point_and_do_not_quote(connect: Any, fake: Any, body: Any, pointer: str) -> None:
    async with connect(fake) as client:
        found = _is_problem(await client.post("/v1/analyze", json=body), 422, "invalid_request")
        assert [error["pointer"] for error in found["errors"]] == [pointer]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        f'"{REVIEW}"'.encode(),
        f'{{"text": "{REVIEW}"'.encode(),
        f'{{"text": "{REVIEW}"}}'.encode("gb18030"),
        f'{{"text": "{REVIEW}", "\\ud800": 1}}'.encode(),
        b'{"id": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b'{"text": ' * 50_000,
        f'{{"text": "{REVIEW}\x00\x1b\x07"}}'.encode(),  # control characters as they are
    ],
)
async def test_errors_of_a_body_that_is_no_json_object(connect: Any, fake: Any, content: bytes) -> None:
    async with connect(fake) as client:
        for route in ("/v1/analyze", "/v1/analyze/batch"):
            headers = {"Content-Type": "application/json"}
            _is_problem(await client.post(route, content=content, headers=headers), 422, "invalid_request")


async def test_errors_tell_who_forgot_the_content_type(connect: Any, fake: Any) -> None:
    async with connect(fake) as client:
        content = f'{{"text": "{REVIEW}"}}'.encode()
        for headers in ({}, {"Content-Type": "application/x-www-form-urlencoded"}):
            response = await client.post("/v1/analyze", content=content, headers=headers)
            found = _is_problem(response, 422, "invalid_request")
            assert "Content-Type: application/json" in found["detail"]


async def test_errors_are_bounded_in_number(connect: Any, fake: Any) -> None:
    async with connect(fake) as client:
        body = {"items": [{"text": REVIEW, "id": 1.5}] * 100}
        found = _is_problem(await client.post("/v1/analyze/batch", json=body), 422, "invalid_request")
        assert len(found["errors"]) == 20
        assert found["errors"][3]["pointer"] == "#/items/3/id"


def test_errors_beyond_those_shown_are_only_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    pointed: list[str] = []

    def point(error: Any) -> str:
        pointed.append("#/")
        return pointed[-1]

    monkeypatch.setattr(errors, "_pointer", point)
    unknown = [{"type": "extra_forbidden", "loc": ("body", str(number))} for number in range(1000)]
    found = errors._invalid(unknown).to_dict()
    assert len(pointed) == len(found["errors"]) == 20
    assert found["detail"].endswith(", at #/, and 999 more")


@pytest.mark.parametrize("member", ["text", "id", "dimensions", "items", "unknown"])
async def test_errors_of_json_a_hundred_deep_point_to_the_member(connect: Any, fake: Any, member: str) -> None:
    deep = "[" * 100 + "]" * 100
    body = f'{{"text": "{REVIEW}", "{member}": {deep}}}'.encode()
    async with connect(fake) as client:
        response = await client.post("/v1/analyze", content=body, headers={"Content-Type": "application/json"})
        _is_problem(response, 422, "text_missing" if member == "text" else "invalid_request")
    assert not fake.blocks


async def test_errors_are_none_for_control_characters_that_are_escaped(connect: Any, fake: Any) -> None:
    text = "座椅\x00\x1b[31m\u202e太硬\x07"
    async with connect(fake) as client:
        response = await client.post("/v1/analyze", json={"text": text})
        assert response.status_code == 200
        (mention,) = response.json()["dimensions"]
        assert text[mention["start"] : mention["end"]] == mention["evidence"]
    assert fake.blocks == [[text]]


async def test_errors_of_a_body_of_a_gigabyte_that_does_not_say_so(connect: Any, fake: Any) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 1 << 30:
            sent += 1 << 16
            yield b"x" * (1 << 16)

    async with connect(fake, max_body=1 << 16) as client:
        for route in ("/v1/analyze", "/v1/analyze/batch", "/v1/feedback"):
            sent = 0
            headers = {"Content-Type": "application/json"}
            _is_problem(await client.post(route, content=endless(), headers=headers), 413, "body_too_large")
            assert sent < 1 << 21, "what is read of it is bounded"
