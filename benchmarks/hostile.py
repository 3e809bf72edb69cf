"""Hostile files and bodies against a running service: each gets a clear 4xx, or is taken for the mere text that it is.

`python -m benchmarks.hostile` starts the service, sends them and writes benchmarks/results/hostile.json; exits with 1
if an answer was another one, a file appeared where none belongs, a text was logged, or the service suffered. A minute.
That nothing of a text is executed on the page is for the tests with a browser (tests/browser/test_page_text.py).
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import select
import socket
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from benchmarks.process import resident_mb, service

ROOT = Path(__file__).parent.parent
GIGABYTE = 1 << 30
# What the service may read of a body that is too large before it hangs up, and by how much it may grow for it.
MOST_READ, MOST_GROWTH_MB = 64 << 20, 200.0
WORD = "座椅"
MARKUP = f"{WORD}太硬<script>alert(1)</script><img src=x onerror=alert(1)>"
FORMULAS = ("=cmd|' /C calc'!A0", "+1+1", "@SUM(1)", "-2+3", "\t=1")
_JSON = {"Content-Type": "application/json"}

# Statuses that are right, and how it is sent; the answer's members beyond that are looked at by `send`.
Case = tuple[str, tuple[int, ...], Callable[[httpx.Client], "tuple[int, str]"]]


def _post(content: bytes, path: str = "/v1/analyze") -> Callable[[httpx.Client], tuple[int, str]]:
    return lambda http: _told(http.post(path, content=content, headers=_JSON))


def _told(answer: httpx.Response) -> tuple[int, str]:
    """Status and code; an error that is no problem document has the code `?`."""
    if answer.is_success:
        return answer.status_code, ""
    problem = answer.headers.get("content-type") == "application/problem+json"
    return answer.status_code, answer.json()["code"] if problem else "?"


def _upload(name: str, content: bytes, shown: str | None = None) -> Callable[[httpx.Client], tuple[int, str]]:
    """Sends a file; one that is taken is removed again. `shown`: the only name it may have."""

    def send(http: httpx.Client) -> tuple[int, str]:
        answer = http.post("/v1/files", files={"file": (name, content)})
        if answer.status_code == 202:
            found = answer.json()["name"]
            http.delete(answer.json()["links"]["self"]).raise_for_status()
            return 202, "" if found == shown else "another name"
        return _told(answer)

    return send


def _zip(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def _endless(head: str) -> Callable[[httpx.Client], tuple[int, str]]:
    """A gigabyte, sent until there is an answer."""

    def send(http: httpx.Client) -> tuple[int, str]:
        chunk = b"x" * (1 << 16)
        if "chunked" in head:
            chunk = b"10000\r\n" + chunk + b"\r\n"
        sent = 0
        with socket.create_connection((http.base_url.host, http.base_url.port or 80), timeout=60) as connection:
            connection.sendall(f"POST /v1/analyze HTTP/1.1\r\nHost: localhost\r\n{head}\r\n\r\n".encode())
            while sent < GIGABYTE and not select.select([connection], [], [], 0)[0]:
                sent += connection.send(chunk)
            status = connection.recv(1 << 16).split(b" ", 2)[1]
        return int(status), "" if sent <= MOST_READ else f"{sent >> 20} MB were read"

    return send


def _plain(text: str) -> Callable[[httpx.Client], tuple[int, str]]:
    """A text that is nothing but a text: the record is JSON, and quotes the words that are there."""

    def send(http: httpx.Client) -> tuple[int, str]:
        answer = http.post("/v1/analyze", json={"text": text})
        sniffed = answer.headers.get("x-content-type-options") != "nosniff"
        if not answer.is_success or sniffed or answer.headers["content-type"] != "application/json":
            return answer.status_code, "not as JSON"
        mentions = answer.json()["dimensions"]
        true = all(text[found["start"] : found["end"]] == found["evidence"] for found in mentions)
        return 200, "" if true else "other evidence"

    return send


def _get(path: str) -> Callable[[httpx.Client], tuple[int, str]]:
    return lambda http: _told(http.get(path))


def cases() -> list[Case]:
    deep, deeper = b"[" * 100 + b"]" * 100, b"[" * 100_000 + b"]" * 100_000
    workbook = _zip(**{"xl/workbook.xml": b"<x/>", "xl/sharedStrings.xml": bytes(260_000_000)})
    table = f"评论\n{WORD}太硬\n".encode()
    return [
        ("a workbook that unpacks to 260 MB", (422,), _upload("a.xlsx", workbook)),
        ("a zip whose table unpacks to 260 MB", (422,), _upload("a.csv.zip", workbook)),
        ("a workbook that is none", (422,), _upload("a.xlsx", b"PK\x03\x04" + bytes(100))),
        ("a file of zeros", (202, 422), _upload("a.csv", bytes(10_000), "a.csv")),
        ("JSON 100 deep", (422,), _post(b'{"text": ' + deep + b"}")),
        ("JSON 100 deep in a batch", (422,), _post(b'{"items": ' + deep + b"}", "/v1/analyze/batch")),
        ("JSON 100,000 deep", (422,), _post(b'{"text": ' + deeper + b"}")),
        ("a body of 1 GB that says so", (413,), _endless(f"Content-Length: {GIGABYTE}")),
        ("a body of 1 GB that does not", (413,), _endless("Transfer-Encoding: chunked")),
        ("UTF-8 that is none", (422,), _post(b'{"text": "\xff\xfe"}')),
        ("half a surrogate pair", (422,), _post(b'{"text": "\\ud83d"}')),
        ("half a surrogate pair as id", (422,), _post(b'{"text": "x", "id": "\\ud83d"}')),
        ("a raw control character", (422,), _post(b'{"text": "\x01"}')),
        ("control characters as escapes", (200,), _plain(f"{WORD}\x00\x1b[31m太硬，坐得腰疼\u202e\x07")),
        ("a number of 5,000 digits", (422,), _post(b'{"text": "x", "id": ' + b"9" * 5000 + b"}")),
        ("a path as a file's name", (202,), _upload("../../../../tmp/evil.csv", table, "evil.csv")),
        ("a path of Windows as a file's name", (202,), _upload("..\\..\\evil.csv", table, "evil.csv")),
        ("markup as a file's name", (202,), _upload("<img src=x>.csv", table, "_img src_x_.csv")),
        ("a path inside a zip", (202,), _upload("a.csv.zip", _zip(**{"../../evil.csv": table}), "a.csv.zip")),
        ("a path as a job", (404, 422), _get("/v1/files/..%2f..%2fkeys.json")),
        ("a path as a link", (404, 422), _get(f"/v1/files/{'0' * 32}/..%2f..%2f..%2fcinesent.sqlite")),
        ("a path among the page's files", (404,), _get("/page/..%2f..%2fapp.py")),
        ("the same, encoded twice", (404,), _get("/page/%252e%252e/app.py")),
        ("markup in a text", (200,), _plain(MARKUP)),
    ]


def try_all(url: str) -> dict[str, dict[str, Any]]:
    """What came of each."""
    found = {}
    with httpx.Client(base_url=url, timeout=120) as http:
        for name, expected, send in cases():
            try:
                status, more = send(http)
            except (httpx.HTTPError, OSError) as error:
                status, more = 0, type(error).__name__
            clear = status in expected and (more not in ("", "?") if 400 <= status < 500 and status != 413 else True)
            sound = clear and (not more if status < 300 or status == 413 else True)
            found[name] = {"status": status, "code": more, "as_expected": sound}
        health = http.get("/health").status_code
        found["afterwards, /health"] = {"status": health, "code": "", "as_expected": health == 200}
    return found


def formulas(url: str) -> dict[str, Any]:
    """A file of formulas, scored: in the table that comes back none begins a cell."""
    lines = io.StringIO()
    csv.writer(lines).writerows([["评论"], *([f"{formula}{WORD}太硬"] for formula in FORMULAS)])
    with httpx.Client(base_url=url, timeout=120) as http:
        sent = http.post("/v1/files", files={"file": ("a.csv", lines.getvalue().encode())})
        job = sent.json()
        until = time.monotonic() + 600
        while job["status"] not in ("done", "failed") and time.monotonic() < until:
            time.sleep(0.2)
            job = http.get(job["links"]["self"]).json()
        if job["status"] != "done":
            return {"status": sent.status_code, "code": job["status"], "as_expected": False}
        rows = list(csv.reader(io.StringIO(http.get(job["links"]["result"]).content.decode("utf-8-sig"))))
        http.delete(job["links"]["self"])
    live = sum(cell.lstrip("\t\r\n ")[:1] in set("=+@-") for row in rows[1:] for cell in row if cell)
    sound = len(rows) == 1 + len(FORMULAS) and not live
    return {"status": sent.status_code, "code": f"{live} live cells" if live else "", "as_expected": sound}


def main() -> None:
    """Sends them and writes what came of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "hostile.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "data"
        folder.mkdir()
        with service(folder) as (process, port):
            url = f"http://127.0.0.1:{port}"
            found = {"formulas in a table": formulas(url)}
            before = resident_mb(process.pid)
            found |= try_all(url)
            growth = resident_mb(process.pid) - before
        log = (folder / "service.log").read_text("utf-8", "replace")
        strays = [path for path in (*Path(name).rglob("evil*"), Path("/tmp/evil.csv")) if path.exists()]
    wrong = [name for name, what in found.items() if not what["as_expected"]]
    for sign, is_wrong in (
        ("a text was logged", any(word in log for word in (WORD, "onerror", "cmd|"))),
        ("a file where none belongs", bool(strays)),
        (f"the service grew by {growth:.0f} MB", growth > MOST_GROWTH_MB),
    ):
        wrong += [sign] if is_wrong else []
    results = {"cases": found, "growth_mb": round(growth, 1), "wrong": wrong}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", "utf-8")
    print(json.dumps(results, indent=1, ensure_ascii=False))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
