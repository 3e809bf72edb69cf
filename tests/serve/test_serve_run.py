"""Real processes: several workers behind one port, a swap of the checkpoint under load, and an end without a loss."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="no SIGTERM")

HERE = Path(__file__).parent
PATIENCE = 240  # seconds; a busy machine is no fault
SERVICE = """
    import sys
    from pathlib import Path
    sys.path.insert(0, {here!r})
    from swapped import load
    from serve.run import WorkerError, run
    from serve.settings import Settings

    if __name__ == "__main__":
        try:
            run(Settings(port={port}, workers={workers}, model=Path({model!r}), data_dir=Path({data!r})), load)
        except WorkerError as error:
            sys.exit(f"WorkerError: {{error}}")
"""
Start = Callable[..., tuple[subprocess.Popen[str], str]]


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "name").write_text("first", "utf-8")
    return folder


@pytest.fixture
def start(model: Path, tmp_path: Path) -> Iterator[Start]:
    """Starts a service, by default of two workers, and waits until all of them answer; its log is in `tmp_path`."""
    processes: list[subprocess.Popen[str]] = []

    def begin(workers: int = 2, *, ready: bool = True) -> tuple[subprocess.Popen[str], str]:
        port = _free_port()
        script = textwrap.dedent(SERVICE).format(
            here=str(HERE), port=port, workers=workers, model=str(model), data=str(tmp_path)
        )
        log = (tmp_path / "log").open("w", encoding="utf-8")
        (tmp_path / "shared").mkdir(exist_ok=True)
        environment = os.environ | {"TMPDIR": str(tmp_path / "shared"), "PYTHONPATH": str(HERE.parent.parent)}
        command = [sys.executable, "-c", script]
        process = subprocess.Popen(command, stderr=log, text=True, cwd=tmp_path, env=environment)
        log.close()
        processes.append(process)
        url = f"http://127.0.0.1:{port}"
        until = time.monotonic() + PATIENCE
        while ready and (tmp_path / "log").read_text("utf-8").count("ready with first") < workers:
            assert process.poll() is None and time.monotonic() < until, (tmp_path / "log").read_text("utf-8")
            time.sleep(0.1)
        return process, url

    yield begin
    for process in processes:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


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


async def _swap_under_load(url: str, model: Path, names: tuple[str, ...]) -> tuple[list[Any], Counter[tuple[int, str]]]:
    until = asyncio.Event()
    loading = asyncio.create_task(_load(url, until))
    reloads = []
    async with httpx.AsyncClient(base_url=url, timeout=PATIENCE) as http:
        for name in names:
            await asyncio.sleep(0.3)
            (model / "name").write_text(name, "utf-8")
            reloads.append((await http.post("/v1/admin/reload")).json())
        await asyncio.sleep(0.3)
        until.set()
        found = await loading
        for _ in range(10):
            assert (await http.get("/v1/info", headers={"Connection": "close"})).json()["model"] == names[-1]
        text = (await http.get("/metrics")).text
    requests = [line for line in text.splitlines() if line.startswith("cinesent_requests_total") and "analyze" in line]
    assert _sum("\n".join(requests), "cinesent") == sum(found.values()), "summed over the workers"
    assert _sum(text, 'cinesent_texts_total{status="ok"}') == sum(found.values())
    assert f'cinesent_model{{model="{names[-1]}"}} 1.0' in text
    assert 'cinesent_model{model="first"} 0.0' in text
    return reloads, found


def test_run_swaps_in_every_worker_without_a_dropped_request(start: Start, model: Path) -> None:
    process, url = start()
    reloads, found = asyncio.run(_swap_under_load(url, model, ("second", "third")))
    assert [(answer["model"], answer["changed"], answer["workers"]) for answer in reloads] == [
        ("second", True, 2),
        ("third", True, 2),
    ]
    assert {status for status, _ in found} == {200}
    assert {name for _, name in found} == {"first", "second", "third"}
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0


def test_run_keeps_the_old_checkpoint_if_the_new_one_cannot_be_loaded(start: Start, model: Path) -> None:
    _, url = start()
    (model / "name").write_text("", "utf-8")
    response = httpx.post(f"{url}/v1/admin/reload", timeout=PATIENCE)
    assert (response.status_code, response.json()["code"]) == (409, "reload_failed")
    for _ in range(6):
        assert httpx.get(f"{url}/v1/info").json()["model"] == "first"


def test_run_answers_what_it_accepted_and_exits_with_0(start: Start, tmp_path: Path) -> None:
    process, url = start()

    async def sent() -> list[int]:
        async with httpx.AsyncClient(base_url=url, timeout=PATIENCE) as http:
            posts = [
                asyncio.create_task(http.post("/v1/analyze/batch", json={"items": [{"text": "票价贵"}] * 50}))
                for _ in range(8)
            ]
            await asyncio.sleep(0.3)
            process.send_signal(signal.SIGTERM)
            return [(await post).status_code for post in posts]

    assert asyncio.run(sent()) == [200] * 8
    assert process.wait(PATIENCE) == 0
    log = (tmp_path / "log").read_text("utf-8")
    assert "Traceback" not in log
    assert all(isinstance(json.loads(line), dict) for line in log.splitlines())
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/health")


def test_run_replaces_a_worker_that_dies(start: Start, tmp_path: Path) -> None:
    _, url = start()
    (folder,) = (tmp_path / "shared").glob("cinesent-*")
    worker = json.loads(next(folder.glob("worker-*.json")).read_text("utf-8"))
    os.kill(worker["process"], signal.SIGKILL)
    until = time.monotonic() + PATIENCE
    while (tmp_path / "log").read_text("utf-8").count("ready with first") < 3:
        assert time.monotonic() < until
        time.sleep(0.1)
    answer = httpx.post(f"{url}/v1/admin/reload", timeout=PATIENCE).json()
    assert answer["workers"] == 2, "the dead one is not waited for"


def test_run_gives_up_if_no_worker_can_begin(start: Start, model: Path, tmp_path: Path) -> None:
    (model / "name").write_text("", "utf-8")
    process, _ = start(ready=False)
    assert process.wait(PATIENCE) == 1
    lines = (tmp_path / "log").read_text("utf-8").splitlines()
    assert lines[-1] == "WorkerError: expected a name, found none"


def test_run_reloads_a_single_worker_too(start: Start, model: Path) -> None:
    process, url = start(workers=1)
    (model / "name").write_text("second", "utf-8")
    assert httpx.post(f"{url}/v1/admin/reload", timeout=PATIENCE).json()["workers"] == 1
    assert httpx.get(f"{url}/v1/info").json()["model"] == "second"
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0
