"""That `benchmarks.load` notices what is lost or wrong, and that `soak` and `serving` judge it."""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks import soak
from benchmarks.load import Answers, client, offer
from benchmarks.serving import summary

FULL = ({"Retry-After": "2", "Content-Type": "application/problem+json"}, {"code": "queue_full"})
# Number of the request, its id -> status, headers and body; None: the connection breaks off.
Answering = Callable[[int, str], "tuple[int, dict[str, str], dict[str, Any]] | None"]


def _good(identifier: str) -> tuple[int, dict[str, str], dict[str, Any]]:
    return 200, {}, {"id": identifier, "model": "m@1"}


async def _with_service(answering: Answering, use: Callable[[int], Any], pause: float = 0.0) -> Any:
    """What `use` makes of the port of a service that answers so."""
    number = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal number
        try:
            while head := await reader.readline():
                size = 0
                while head.strip():
                    name, _, value = head.partition(b":")
                    size = int(value) if name.lower() == b"content-length" else size
                    head = await reader.readline()
                identifier = json.loads(await reader.readexactly(size))["id"]
                number += 1
                answer = answering(number, identifier)
                await asyncio.sleep(pause)
                if answer is None:
                    return
                status, headers, content = answer
                body = json.dumps(content).encode()
                lines = [f"{name}: {value}" for name, value in (headers | {"Content-Length": str(len(body))}).items()]
                writer.write("\r\n".join((f"HTTP/1.1 {status} X", *lines, "", "")).encode() + body)
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        return await use(server.sockets[0].getsockname()[1])
    finally:
        await asyncio.sleep(0.1)  # until it has seen that the connections are closed
        server.close()


def _texts(count: int) -> Iterator[tuple[str, str]]:
    return ((str(number), "座椅") for number in range(count))


def test_load_counts_what_is_lost_or_another_requests_or_a_wrong_429() -> None:
    answers = Answers()

    def answering(number: int, identifier: str) -> tuple[int, dict[str, str], dict[str, Any]] | None:
        return {
            1: None,
            2: _good("of another"),
            3: (429, {"Retry-After": "soon"}, {"code": "queue_full"}),
            4: (429, FULL[0] | {"Retry-After": "1"}, {"code": "rate_limited"}),
        }.get(number, _good(identifier))

    asyncio.run(_with_service(answering, lambda port: client(port, _texts(6), answers)))
    assert answers.statuses == {200: 3, 429: 2}
    assert answers.wrong == {
        "no answer": 1,
        "the answer to another request": 1,
        "429 without Retry-After": 1,
        "429 for another reason than a full queue": 2,
    }


def test_load_offers_a_rate_whether_the_service_keeps_up_or_not() -> None:
    """Each answer takes four times as long as there is between two texts: a client that waits would send a quarter."""

    def answering(number: int, identifier: str) -> tuple[int, dict[str, str], dict[str, Any]]:
        return (429, *FULL) if number % 2 else _good(identifier)

    answers, sent, seconds = asyncio.run(_with_service(answering, lambda port: offer(port, 20, _texts(10)), 0.2))
    assert (sent, dict(answers.statuses), answers.wrong) == (10, {200: 5, 429: 5}, {})
    assert seconds >= 0.44
    assert min(answers.seconds) >= 0.19


FINE = {
    **{"sent": 12, "scored": 5, "statuses": {}, "p99_s": 1.0, "p99_bound_s": 2.0},
    **{"texts_per_second_it_can_take": 10.0, "texts_per_second_offered": 20.0, "texts_per_second_accepted": 9.0},
}


@pytest.mark.parametrize(
    ("change", "statuses", "expected"),
    [
        ({}, {200: 5, 429: 7}, None),
        ({}, {200: 5, 429: 6, 504: 1}, "expected 200 and 429"),
        ({}, {200: 5, 429: 6}, "expected 12 answers, found 11"),
        ({"scored": 6}, {200: 5, 429: 7}, "every scored text"),
        ({"sent": 5}, {200: 5}, "expected 200 and 429"),
        ({"texts_per_second_offered": 12.0}, {200: 5, 429: 7}, "generator was too slow"),
        ({"texts_per_second_accepted": 1.0}, {200: 5, 429: 7}, "half of what it can take"),
        ({"p99_s": 2.1}, {200: 5, 429: 7}, "p99 of at most 2.0 s"),
        ({"p99_s": float("nan")}, {200: 5, 429: 7}, "p99"),
        ({"p99_s": 11.0, "p99_bound_s": 12.0}, {200: 5, 429: 7}, "p99"),
    ],
)
def test_soak_judges_an_overload(change: dict[str, Any], statuses: dict[int, int], expected: str | None) -> None:
    wrong = soak.judged({**FINE, **change}, Answers(Counter(statuses)))
    assert len(wrong) == (expected is not None)
    assert expected is None or expected in wrong[0]


def test_serving_names_the_targets_that_are_missed() -> None:
    def round_(rate: float, p50: float) -> tuple[dict[str, Any], dict[str, Any]]:
        return {"texts_per_second": 100.0, "p50_ms": 10.0}, {"texts_per_second": rate, "p50_ms": p50}

    assert summary([round_(61, 12.9), round_(40, 20), round_(80, 11)])["missed"] == []
    missed = summary([round_(59, 13.1), round_(59, 13.1)])["missed"]
    assert len(missed) == 2
    assert "found 59.0%" in missed[0] and "found 3.1 ms" in missed[1]


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt" or not Path("/proc/self/status").exists(), reason="reads /proc")
def test_soak_runs_in_small(tmp_path: Path) -> None:
    """The packaged checkpoint; how long a wait or how much memory a moment costs is not judged."""
    folders = [tmp_path / name for name in ("overload", "mixed", "swaps")]
    for folder in folders:
        folder.mkdir()
    found, wrong = soak.overload(folders[0], 1.0)
    assert found["scored"] == found["statuses"]["200"] > 0
    assert [what for what in wrong if "answer" in what] == []
    found, wrong = soak.mixed(folders[1], 30)
    assert found["statuses"] == {"200": 33}
    assert [what for what in wrong if "memory" not in what] == []
    found, wrong = soak.swaps(folders[2], 1.5, 1)
    assert wrong == []
    assert [reload["changed"] for reload in found["reloads"]] == [True, True]
