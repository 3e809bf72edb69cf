"""Real processes: several workers behind one port, a swap of the checkpoint under load, and an end without a loss."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import uvicorn
from held import ENDING, begun, hold, release, waiting
from waits import block_until, wait_until

from serve import run as module
from serve.reload import _exists
from serve.run import _listen, _run_alone, _Supervisor
from serve.settings import Settings

pytestmark = pytest.mark.skipif(os.name == "nt", reason="no SIGTERM")

HERE = Path(__file__).parent
PATIENCE = 240  # seconds; a busy machine is no fault
SERVICE = """
    import signal
    import sys
    from pathlib import Path
    sys.path.insert(0, {here!r})
    from swapped import load
    from serve.run import WorkerError, run
    from serve.settings import Settings

    if __name__ == "__main__":
        signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored, where a shell runs the tests beside itself
        try:
            places = {{"model": Path({model!r}), "data_dir": Path({data!r})}}
            run(Settings(port={port}, workers={workers}, deadline=100, drain={drain}, **places), load)
        except WorkerError as error:
            sys.exit(f"WorkerError: {{error}}")
        except KeyboardInterrupt:
            sys.exit(130)
"""


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@dataclass
class Running:
    """A service; what it loads is named by the file `model`."""

    process: subprocess.Popen[str]
    url: str
    folder: Path

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text("utf-8")

    def name(self, name: str) -> None:
        """The next checkpoint to load; without a name none can be."""
        (self.folder / "model" / "name").write_text(name, "utf-8")

    def begun(self) -> list[int]:
        """The processes of the live workers that have a checkpoint."""
        (folder,) = (self.folder / "shared").glob("cinesent-*")
        found = []
        for path in folder.glob("worker-*.json"):
            with suppress(FileNotFoundError):  # it has just ended
                found.append(json.loads(path.read_text("utf-8")))
        return [worker["process"] for worker in found if worker["generation"] >= 0 and _exists(worker["process"])]

    def wait_for(self, workers: int) -> None:
        """Until so many workers have said that they are ready."""
        until = time.monotonic() + PATIENCE
        while self.log.count("ready with ") < workers:
            assert self.process.poll() is None and time.monotonic() < until, self.log
            time.sleep(0.05)


@contextmanager
def started(folder: Path, workers: int, name: str = "first", drain: float = 0) -> Iterator[Running]:
    """Starts a service in an empty folder; ends it by SIGTERM if the test has not."""
    (folder / "model").mkdir()
    (folder / "shared").mkdir()
    port = _free_port()
    script = textwrap.dedent(SERVICE).format(
        here=str(HERE), port=port, workers=workers, drain=drain, model=str(folder / "model"), data=str(folder)
    )
    environment = os.environ | {"TMPDIR": str(folder / "shared"), "PYTHONPATH": str(HERE.parent.parent)}
    with (folder / "log").open("w", encoding="utf-8") as log:
        (folder / "model" / "name").write_text(name, "utf-8")
        process = subprocess.Popen(
            [sys.executable, "-c", script], stderr=log, text=True, cwd=folder, env=environment
        )  # fmt: skip
    try:
        yield Running(process, f"http://127.0.0.1:{port}", folder)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service of two workers, for the tests that leave it as they found it: whole, and with `first`."""
    with started(tmp_path_factory.mktemp("service"), 2) as running:
        running.wait_for(2)
        yield running
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(PATIENCE) == 0
        assert "Traceback" not in running.log


@pytest.fixture
def service(shared: Running) -> Iterator[Running]:
    yield shared
    shared.name("first")
    answer = httpx.post(f"{shared.url}/v1/admin/reload", timeout=PATIENCE).json()
    assert (answer["model"], answer["workers"]) == ("first", 2)


async def _load(url: str, until: asyncio.Event, clients: int = 8) -> Counter[tuple[int, str]]:
    """Answers by status and model of clients that send one text after the other until they are told to stop."""
    found: Counter[tuple[int, str]] = Counter()

    async def client(number: int) -> None:
        count = 0
        async with httpx.AsyncClient(
            base_url=url, timeout=PATIENCE, limits=httpx.Limits(max_keepalive_connections=0)
        ) as http:
            while not until.is_set():
                count += 1
                response = await http.post("/v1/analyze", json={"id": f"{number}-{count}", "text": "座椅太硬"})
                body = response.json()
                assert body.get("id", f"{number}-{count}") == f"{number}-{count}"
                found[response.status_code, body.get("model", body.get("code"))] += 1

    await asyncio.gather(*(client(number) for number in range(clients)))
    return found


def _sum(text: str, name: str) -> float:
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))


async def _swap_under_load(
    service: Running, names: tuple[str, ...]
) -> tuple[list[Any], Counter[tuple[int, str]]]:  # fmt: skip
    until = asyncio.Event()
    async with httpx.AsyncClient(base_url=service.url, timeout=PATIENCE) as http:
        before = (await http.get("/metrics")).text
        loading = asyncio.create_task(_load(service.url, until))
        reloads = []
        for name in names:
            await asyncio.sleep(0.3)
            service.name(name)
            reloads.append((await http.post("/v1/admin/reload")).json())
        await asyncio.sleep(0.3)
        until.set()
        found = await loading
        for _ in range(10):
            assert (await http.get("/v1/info", headers={"Connection": "close"})).json()["model"] == names[-1]
        after = (await http.get("/metrics")).text
    answered = 'cinesent_requests_total{method="POST",route="/v1/analyze"'
    assert _sum(after, answered) - _sum(before, answered) == sum(found.values()), "summed over the workers"
    scored = 'cinesent_texts_total{status="ok"}'
    assert _sum(after, scored) - _sum(before, scored) == sum(found.values())
    assert f'cinesent_model{{model="{names[-1]}"}} 1.0' in after
    assert 'cinesent_model{model="first"} 0.0' in after
    return reloads, found


def test_run_swaps_in_every_worker_without_a_dropped_request(service: Running) -> None:
    reloads, found = asyncio.run(_swap_under_load(service, ("second", "third")))
    assert [(answer["model"], answer["changed"], answer["workers"]) for answer in reloads] == [
        ("second", True, 2),
        ("third", True, 2),
    ]
    assert {status for status, _ in found} == {200}
    assert {name for _, name in found} == {"first", "second", "third"}


def test_run_keeps_the_old_checkpoint_if_the_new_one_cannot_be_loaded(service: Running) -> None:
    service.name("")
    response = httpx.post(f"{service.url}/v1/admin/reload", timeout=PATIENCE)
    assert (response.status_code, response.json()["code"]) == (409, "reload_failed")
    for _ in range(6):
        assert httpx.get(f"{service.url}/v1/info", timeout=PATIENCE).json()["model"] == "first"


def test_run_replaces_a_worker_that_dies(service: Running) -> None:
    ready = service.log.count("ready with ")
    (folder,) = (service.folder / "shared").glob("cinesent-*")
    worker = json.loads(next(folder.glob("worker-*.json")).read_text("utf-8"))
    os.kill(worker["process"], signal.SIGKILL)
    service.wait_for(ready + 1)
    answer = httpx.post(f"{service.url}/v1/admin/reload", timeout=PATIENCE).json()
    assert answer["workers"] == 2, "the dead one is not waited for"


def test_run_answers_what_it_accepted_and_exits_with_0(tmp_path: Path) -> None:
    async def sent(running: Running) -> list[int]:
        async with httpx.AsyncClient(base_url=running.url, timeout=PATIENCE) as http:
            posts = [
                asyncio.create_task(http.post("/v1/analyze/batch", json={"items": [{"text": "票价贵"}] * 50}))
                for _ in range(8)
            ]

            async def all_accepted() -> bool:
                scored = begun(model)
                return scored + waiting((await http.get("/metrics")).text) == 400

            await wait_until(all_accepted, PATIENCE)
            assert not any(post.done() for post in posts)
            busy = len(list(model.glob("begun-*")))  # one worker may have got all connections
            running.process.send_signal(signal.SIGTERM)
            await wait_until(lambda: running.log.count(ENDING) >= busy)
            release(model)
            answers = [await post for post in posts]
            assert not any(answer.json()["errors"] for answer in answers)
            return [answer.status_code for answer in answers]

    model = tmp_path / "model"
    with started(tmp_path, 2) as running:
        running.wait_for(2)
        with hold(model):
            assert asyncio.run(sent(running)) == [200] * 8
        assert running.process.wait(PATIENCE) == 0
        assert "Traceback" not in running.log
        assert all(isinstance(json.loads(line), dict) for line in running.log.splitlines())
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{running.url}/health")


@pytest.mark.parametrize("workers", [1, 2])
def test_run_tells_an_interruption_from_sigterm(workers: int, tmp_path: Path) -> None:
    with started(tmp_path, workers) as running:
        running.wait_for(workers)
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(PATIENCE) == 130
        assert "Traceback" not in running.log


def test_run_gives_up_if_no_worker_can_begin(tmp_path: Path) -> None:
    with started(tmp_path, 2, name="") as running:
        assert running.process.wait(PATIENCE) == 1
        assert running.log.splitlines()[-1] == "WorkerError: expected a name, found none"


def test_run_sends_an_answer_without_waiting_for_an_acknowledgement() -> None:
    """Nagle's algorithm would hold the body back for 40 ms."""
    listener = _listen(uvicorn.Config("app", port=0))
    with listener, socket.create_connection(listener.getsockname()) as caller, listener.accept()[0] as connection:
        assert connection.getpeername() == caller.getsockname()
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_run_reloads_a_single_worker_too(tmp_path: Path) -> None:
    with started(tmp_path, 1) as running:
        running.wait_for(1)
        running.name("second")
        assert httpx.post(f"{running.url}/v1/admin/reload", timeout=PATIENCE).json()["workers"] == 1
        assert httpx.get(f"{running.url}/v1/info", timeout=PATIENCE).json()["model"] == "second"
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(PATIENCE) == 0


def test_run_tries_again_to_replace_a_worker_while_the_others_go_on(tmp_path: Path) -> None:
    """A replacement that cannot start, here without its database, must not take the healthy workers with it."""
    database, away = tmp_path / "cinesent.sqlite", tmp_path / "away"
    with started(tmp_path, 2) as running:
        running.wait_for(2)
        block_until(lambda: len(running.begun()) == 2, PATIENCE)
        database.rename(away)
        database.mkdir()
        os.kill(running.begun()[0], signal.SIGKILL)
        block_until(lambda: "ended with exit code 3" in running.log, PATIENCE)
        for _ in range(4):
            answer = httpx.post(f"{running.url}/v1/analyze", json={"text": "座椅太硬"}, timeout=PATIENCE)
            assert answer.status_code == 200
        database.rmdir()
        away.rename(database)
        block_until(lambda: len(running.begun()) == 2, PATIENCE)
        assert httpx.post(f"{running.url}/v1/admin/reload", timeout=PATIENCE).json()["workers"] == 2
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(PATIENCE) == 0


def test_run_answers_on_while_it_drains_but_is_not_ready(tmp_path: Path) -> None:
    with started(tmp_path, 2, drain=PATIENCE) as running:
        block_until(lambda: running.log.count("Application startup complete") == 2, PATIENCE)
        running.process.send_signal(signal.SIGTERM)
        block_until(lambda: running.log.count("told to stop") == 2, PATIENCE)
        for _ in range(6):
            ready = httpx.get(f"{running.url}/ready", timeout=PATIENCE)
            assert (ready.status_code, ready.json()["code"]) == (503, "stopped")
            answer = httpx.post(f"{running.url}/v1/analyze", json={"text": "座椅太硬"}, timeout=PATIENCE)
            assert answer.status_code == 200
        block_until(lambda: len(running.begun()) == 2, PATIENCE)
        for process in running.begun():
            os.kill(process, signal.SIGINT)  # which does not wait
        assert running.process.wait(PATIENCE) == 0


def test_run_ends_by_itself_when_it_has_drained(tmp_path: Path) -> None:
    with started(tmp_path, 1, drain=0.5) as running:
        running.wait_for(1)
        block_until(lambda: _is_ready(running.url), PATIENCE)
        before = time.monotonic()
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(PATIENCE) == 0
        assert time.monotonic() - before >= 0.5
        assert "Traceback" not in running.log


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/ready", timeout=PATIENCE).status_code == 200
    except httpx.ConnectError:
        return False


def test_run_ends_if_it_is_told_so_before_the_server_hears_of_signals(
    fake: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[bool] = []

    class Server:
        def __init__(self, config: uvicorn.Config) -> None:
            self.should_exit = False

        def run(self, sockets: list[socket.socket]) -> None:
            signal.raise_signal(signal.SIGTERM)
            told.append(self.should_exit)
            for listener in sockets:
                listener.close()

    monkeypatch.setattr(uvicorn, "Server", Server)
    before = signal.getsignal(signal.SIGTERM)
    try:
        _run_alone(Settings(port=0), lambda settings: fake)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert told == [True]


def test_run_believes_no_header_about_the_client() -> None:
    assert module._config("app", Settings(), factory=False).proxy_headers is False


class Child:
    """A worker as its supervisor sees it; it lives until it has an exit code."""

    def __init__(self, *_: Any, code: int | None = None, pid: int = 1, ready: bool = True) -> None:
        self.exitcode, self.pid, self._ready = code, pid, ready
        self.started = False

    def is_alive(self, timeout: float) -> bool:
        return self.exitcode is None

    def is_ready(self) -> bool:
        return self._ready

    def start(self) -> None:
        self.started = True

    def kill(self) -> None:
        pass


@pytest.fixture
def supervisor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _Supervisor:
    """One of no worker, with the folder `tmp_path`; those that it starts are of the class `Child`."""
    monkeypatch.setattr(module, "Process", Child)
    with monkeypatch.context() as patch:
        patch.setattr(signal, "signal", lambda *_: None)  # this process keeps its own handlers
        return _Supervisor(uvicorn.Config("app", workers=2, log_config=None), [], tmp_path)


def _write_down(folder: Path, pid: int, generation: int) -> None:
    (folder / f"worker-{pid}.json").write_text(json.dumps({"process": pid, "generation": generation}), "utf-8")


def test_run_replaces_a_worker_that_could_not_start_after_a_pause(
    supervisor: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now))
    healthy, failed = Child(pid=1), Child(pid=2, code=3)
    _write_down(tmp_path, 1, 0)
    supervisor.processes = [healthy, failed]
    supervisor.keep_subprocess_alive()
    assert supervisor.processes == [healthy, failed], "not at once"
    now += 2.0
    supervisor.keep_subprocess_alive()
    first, second = supervisor.processes
    assert first is healthy and second is not failed and second.started
    assert supervisor.failure is None and not supervisor.should_exit.is_set()


def test_run_goes_on_with_the_others_where_no_process_can_be_started(
    supervisor: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = 100.0
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now))
    healthy, failed = Child(pid=1), Child(pid=2, code=3)
    _write_down(tmp_path, 1, 0)
    supervisor.processes = [healthy, failed]
    supervisor.keep_subprocess_alive()

    def refuse(self: Child) -> None:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    now += 2.0
    with monkeypatch.context() as patch:
        patch.setattr(Child, "start", refuse)
        supervisor.keep_subprocess_alive()
        supervisor.keep_subprocess_alive()
    assert supervisor.processes == [healthy, failed]
    assert caplog.messages.count("no worker can be started: Resource temporarily unavailable") == 1, (
        "after a pause again"
    )
    now += 2.0
    supervisor.keep_subprocess_alive()
    assert supervisor.processes[1].started


@pytest.mark.parametrize(("generation", "ready"), [(None, False), (-1, True), (0, False)])
def test_run_gives_up_if_a_worker_cannot_start_before_any_has_begun(
    generation: int | None, ready: bool, supervisor: Any, tmp_path: Path
) -> None:
    """A checkpoint is not all that a worker needs, nor is it enough that the server runs."""
    other = Child(pid=1, ready=ready)
    if generation is not None:
        _write_down(tmp_path, 1, generation)
    supervisor.processes = [other, Child(pid=2, code=3)]
    supervisor.keep_subprocess_alive()
    assert supervisor.should_exit.is_set()
    assert supervisor.failure == "expected workers that begin, found that one ended with exit code 3; see the log"


def test_run_starts_a_worker_again_that_was_killed_before_any_had_begun(
    supervisor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now))
    supervisor.processes = [Child(code=-signal.SIGKILL)]
    supervisor.keep_subprocess_alive()
    now += 2.0
    supervisor.keep_subprocess_alive()
    assert supervisor.processes[0].started and not supervisor.should_exit.is_set()
