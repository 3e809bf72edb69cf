"""A load generator of little weight, so that it takes as little as possible from the service on the same cores."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent
# A connection that rested longer is not used again: the service closes it after five seconds.
_REST_SECONDS = 2.0
# Nothing came back: the connection was refused, or broke off.
_LOST = (OSError, EOFError)

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Answers:
    """What came back: statuses, the seconds of those that were 200, whose checkpoint answered, and what was wrong with
    an answer: another request's, none at all, a 429 that does not say when to come back."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    wrong: Counter[str] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)


def texts() -> list[str]:
    """Our own written development texts."""
    lines = (ROOT / "data" / "cinema" / "dev.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line)["text"] for line in lines]


def request(text: str, identifier: str) -> bytes:
    """A request for one text as it goes over the wire."""
    body = json.dumps({"id": identifier, "text": text}, ensure_ascii=False).encode()
    head = (
        "POST /v1/analyze HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    return int(head[0].split()[1]), headers, await reader.readexactly(int(headers["content-length"]))


async def _ask(
    connection: Connection, identifier: str, text: str, started: float, answers: Answers
) -> tuple[int, dict[str, str]]:
    """Sends one text, notes what comes back, and tells the status and the headers.

    Raises:
        OSError, EOFError: nothing does.
    """
    reader, writer = connection
    writer.write(request(text, identifier))
    status, headers, body = await _answer(reader)
    answers.statuses[status] += 1
    if status == 200:
        answers.seconds.append(time.perf_counter() - started)
        record = json.loads(body)
        answers.models[record["model"]] += 1
        if record["id"] != identifier:
            answers.wrong["the answer to another request"] += 1
    elif status == 429:
        if not headers.get("retry-after", "").isdigit() or not 1 <= int(headers["retry-after"]) <= 60:
            answers.wrong["429 without Retry-After"] += 1
        if headers.get("content-type") != "application/problem+json" or json.loads(body)["code"] != "queue_full":
            answers.wrong["429 for another reason than a full queue"] += 1
    return status, headers


async def client(port: int, sending: Iterator[tuple[str, str]], answers: Answers) -> None:
    """One connection that sends one text after the other. After a 429 it waits as told, at most a second."""
    connection: Connection | None = None
    for identifier, text in sending:
        started = time.perf_counter()
        try:
            if connection is None:
                connection = await asyncio.open_connection("127.0.0.1", port)
            status, headers = await _ask(connection, identifier, text, started, answers)
        except _LOST:
            answers.wrong["no answer"] += 1
            _close(connection)
            connection = None
            await asyncio.sleep(0.1)
            continue
        if status == 429:
            told = headers.get("retry-after", "")
            await asyncio.sleep(min(float(told), 1.0) if told.isdigit() else 1.0)
        if headers.get("connection") == "close":
            _close(connection)
            connection = None
    _close(connection)


def _close(connection: Connection | None) -> None:
    if connection is not None:
        connection[1].close()


async def load(port: int, clients: int, sending: Iterator[tuple[str, str]]) -> Answers:
    """All of `sending`, shared by so many clients at once."""
    answers = Answers()
    await asyncio.gather(*(client(port, sending, answers) for _ in range(clients)))
    return answers


async def offer(port: int, rate: float, sending: Iterator[tuple[str, str]]) -> tuple[Answers, int, float]:
    """Sends so many texts a second, each once, whether the service keeps up or not: callers who know nothing of one
    another. The answers, how many were sent, and in how many seconds."""
    answers = Answers()
    resting: list[tuple[float, Connection]] = []
    under_way: set[asyncio.Task[None]] = set()

    async def one(identifier: str, text: str) -> None:
        started = time.perf_counter()
        connection: Connection | None = None
        try:
            while resting and connection is None:
                since, found = resting.pop()
                if started - since < _REST_SECONDS:
                    connection = found
                else:
                    _close(found)
            if connection is None:
                connection = await asyncio.open_connection("127.0.0.1", port)
            _, headers = await _ask(connection, identifier, text, started, answers)
        except _LOST:
            answers.wrong["no answer"] += 1
            _close(connection)
            return
        if headers.get("connection") == "close":
            _close(connection)
        else:
            resting.append((time.perf_counter(), connection))

    begun, sent = time.perf_counter(), 0
    for identifier, text in sending:
        await asyncio.sleep(max(0.0, begun + sent / rate - time.perf_counter()))
        sent += 1
        task = asyncio.create_task(one(identifier, text))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
    seconds = time.perf_counter() - begun
    await asyncio.gather(*under_way)
    for _, connection in resting:
        _close(connection)
    return answers, sent, seconds


def percentile(values: list[float], share: float) -> float:
    """The value below which this share of them lies; NaN without any."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else float("nan")
