from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from file_scripts import GOOD, Start, use_script
from sqlalchemy import delete
from waits import wait_until

from sentiment.records import Analysis, Mention
from sentiment.runtimes import Choice
from sentiment.taxonomy import Taxonomy, load_taxonomy
from serve import jobs
from serve.app import create_app
from serve.rows import Event, Feedback, Job
from serve.settings import Settings
from serve.store import Store, StoreError, migrate

BAD = "炸弹"


class FakeAnalyzer:
    """Finds 座椅 and 票价. Scores only while `gate` is set; `seconds` is what a block takes; fails on 炸弹."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.name, self.hash = "fake@00000000", "0" * 64
        self.runtime = Choice("onnxruntime", "1.0", "float32")
        self.taxonomy: Taxonomy = load_taxonomy()
        self.blocks: list[list[str]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.busy = threading.Event()
        self.warm = threading.Event()
        self._seconds = seconds

    def warm_up(self) -> None:
        self.gate.wait(10)
        self.warm.set()

    def analyze_block(self, texts: Sequence[str], ids: Sequence[str | None] | None = None) -> list[Analysis]:
        self.blocks.append(list(texts))
        self.busy.set()
        assert self.gate.wait(10)
        time.sleep(self._seconds)
        for text in texts:
            if BAD in text:
                raise ValueError(f"cannot read {text}")
        return [self._one(text) for text in texts]

    def _one(self, text: str) -> Analysis:
        if not text.strip():
            return Analysis(self.name, None, "empty", "other")
        if text.isascii():
            return Analysis(self.name, None, "not_chinese", "other")
        mentions = tuple(
            Mention(key, "negative", 0.9, word, text.index(word), text.index(word) + len(word), owner)
            for key, word, owner in (("seating", "座椅", "工程"), ("price", "票价", "运营"))
            if word in text
        )
        probabilities = dict.fromkeys(self.taxonomy.keys, (0.1, 0.2, 0.3))
        return Analysis(
            *(self.name, None, "ok", "hans", "negative", 0.97, "complaint", 0.91, True, 0.84, mentions, False, 9, 1),
            probabilities=probabilities,
        )


Connect = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory as a service leaves it that was started once."""
    folder = tmp_path_factory.mktemp("empty")
    migrate(Settings(data_dir=folder).database_url)
    return folder


@pytest.fixture(autouse=True)
def data_folder(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data directory of every service that a test starts without naming another, in a process of its own too."""
    shutil.copytree(empty_database, tmp_path / "data" / "cinesent")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data" / "cinesent"


@pytest.fixture(scope="session")
def postgres(
    tmp_path_factory: pytest.TempPathFactory, require_tool: Callable[[str, str | None], None]
) -> Iterator[str]:
    """The URL of a PostgreSQL server of the tests' own, which is gone afterwards."""
    programs = _postgres_programs()
    require_tool("postgres", None if programs else "expected PostgreSQL's initdb and postgres, found none")
    assert programs is not None
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pg")))  # sockets want short paths
        user: dict[str, Any] = {}
        if hasattr(os, "geteuid") and os.geteuid() == 0:  # the server refuses to run as root
            user = {"user": "nobody"}
            shutil.chown(folder, "nobody")
        options = {**user, "cwd": folder, "stdout": subprocess.DEVNULL, "env": {**os.environ, "LC_ALL": "C.UTF-8"}}
        cluster = [f"--pgdata={folder / 'data'}", "--username=cinesent", "--auth=trust", "--encoding=UTF8", "--no-sync"]
        subprocess.run([programs / "initdb", *cluster], check=True, **options)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        server = [programs / "postgres", "-D", folder / "data", "-p", str(port), "-k", folder, "-c", "fsync=off"]
        process = subprocess.Popen([*server, "-c", "listen_addresses=127.0.0.1"], stderr=subprocess.DEVNULL, **options)
        stack.callback(process.wait, 20)
        stack.callback(process.send_signal, signal.SIGINT)
        url = f"postgresql://cinesent@127.0.0.1:{port}/postgres"
        deadline = time.monotonic() + 30
        while True:
            try:
                migrate(url)
                break
            except StoreError:
                assert process.poll() is None and time.monotonic() < deadline
                time.sleep(0.1)
        yield url


def _postgres_programs() -> Path | None:
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "postgres").exists()), None)


@pytest.fixture
def postgres_url(postgres: str) -> str:
    """As `postgres`, with all its tables empty."""
    store = Store(postgres)
    with store.write() as session:
        for table in (Feedback, Job, Event):
            session.execute(delete(table))
    store.close()
    return postgres


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest, data_folder: Path) -> str:
    """The URL of an empty database of each kind."""
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite:///{data_folder / 'cinesent.sqlite'}"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def fake() -> FakeAnalyzer:
    return FakeAnalyzer()


async def is_ready(client: httpx.AsyncClient) -> bool:
    return (await client.get("/ready")).status_code == 200


@pytest.fixture
def connect() -> Connect:
    """Starts a service around an analyzer, and gives a client of it."""

    @asynccontextmanager
    async def start(analyzer: FakeAnalyzer, *, ready: bool = True, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
        app = create_app(Settings(**settings), analyzer)
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                if ready:
                    assert analyzer.warm.wait(10)
                    await wait_until(lambda: is_ready(client))
                    analyzer.busy.clear()
                try:
                    yield client
                finally:
                    analyzer.gate.set()

    return start


@pytest.fixture
def start(connect: Any, fake: Any, monkeypatch: pytest.MonkeyPatch) -> Start:
    """A service whose jobs run a script; it looks for work and tells of progress without delay."""

    @asynccontextmanager
    async def begin(code: str = GOOD, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
        use_script(monkeypatch, code)
        monkeypatch.setattr(jobs, "_LOOK_SECONDS", 0.05)
        async with connect(fake, **settings) as client:
            yield client

    return begin
