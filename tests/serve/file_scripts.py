"""A script that stands in for `serve.score_file`, which takes seconds to load, and how files are sent to it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx
import pytest

from serve import jobs

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


def use_script(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    monkeypatch.setattr(jobs, "_COMMAND", (sys.executable, "-S", "-c", BEGIN + code))


async def upload(client: httpx.AsyncClient, content: bytes = CSV, name: str = "a.csv", **fields: str) -> Any:
    return await client.post("/v1/files", files={"file": (name, content)}, data=fields)


async def until(client: httpx.AsyncClient, link: str, *states: str, seconds: float = 60) -> dict[str, Any]:
    for _ in range(int(20 * seconds)):
        job: dict[str, Any] = (await client.get(link)).json()
        if job["status"] in states:
            return job
        await asyncio.sleep(0.05)
    raise AssertionError(f"expected {states}, found {job}")
