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


@dataclass
class Answers:
    """What came back: statuses, the seconds of those that were 200, and whether a 429 lacked its Retry-After."""

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


async def client(port: int, sending: Iterator[tuple[str, str]], answers: Answers, *, wait: bool = True) -> None:
    """One connection that sends one text after the other. After a 429 it waits as told, with `wait`, at most 1 s."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for identifier, text in sending:
        started = time.perf_counter()
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
            if not headers.get("retry-after", "").isdigit():
                answers.wrong["429 without Retry-After"] += 1
            await asyncio.sleep(min(float(headers.get("retry-after", 1)), 1.0) if wait else 0.01)
        if headers.get("connection") == "close":
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()


async def load(port: int, clients: int, sending: Iterator[tuple[str, str]], *, wait: bool = True) -> Answers:
    """All of `sending`, shared by so many clients at once."""
    answers = Answers()
    await asyncio.gather(*(client(port, sending, answers, wait=wait) for _ in range(clients)))
    return answers


def percentile(values: list[float], share: float) -> float:
    """The value below which this share of them lies; NaN without any."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else float("nan")
