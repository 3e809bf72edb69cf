from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from waits import wait_until

from sentiment.runtimes import Choice, RuntimeChoiceError
from serve import reload as module
from serve.errors import ProblemError
from serve.reload import Reloader


@pytest.mark.skipif(os.name != "posix", reason="processes cannot be asked for")
def test_reload_counts_a_worker_that_is_busy_and_none_that_is_gone(tmp_path: Path) -> None:
    """A worker that had no time to touch its file for half a minute is waited for all the same; one that was killed is
    not, nor one whose number another process has had for long."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for process, age in ((os.getpid(), 30), (gone.pid, 0), (os.getppid(), 600)):
        path = tmp_path / f"worker-{process}.json"
        path.write_text(json.dumps({"process": process, "generation": 0, "failed": -1}), "utf-8")
        os.utime(path, (time.time() - age,) * 2)
    unused: Any = None
    reloader = Reloader(unused, unused, tmp_path, unused)
    assert [peer.process for peer in reloader.peers()] == [os.getpid()]


class Replaced:
    """A worker that is ready, and what it was given."""

    state = "ready"

    def __init__(self, analyzer: Any) -> None:
        self.analyzer = analyzer

    def replace(self, analyzer: Any) -> None:
        self.analyzer = analyzer


@pytest.mark.parametrize("scales", ["a1b2c3d4", "e5f6a7b8"])
def test_reload_follows_only_to_what_the_others_run(fake: Any, tmp_path: Path, scales: str) -> None:
    """The same checkpoint in other arithmetic, whose files came or went meanwhile, would answer otherwise."""

    def load() -> Any:
        found = type(fake)()
        found.runtime = Choice("onnxruntime-int8", "1.0", "int8", "a1b2c3d4")
        return found

    worker: Any = Replaced(fake)
    before, told = worker.analyzer, []
    reloader = Reloader(worker, load, tmp_path, told.append)
    numbers = Choice("onnxruntime-int8", "1.0", "int8", scales).numbers
    reloader._write()
    asyncio.run(reloader._follow(1, f"{before.hash} {numbers}"))
    (peer,) = reloader.peers()
    if scales == "a1b2c3d4":
        assert worker.analyzer is not before and (peer.generation, peer.failed) == (1, -1) and told == ["ok"]
    else:
        assert worker.analyzer is before and (peer.generation, peer.failed) == (0, 1) and told == []


def test_reload_says_that_a_runtime_cannot_be_had_any_more(fake: Any) -> None:
    def load() -> Any:
        raise RuntimeChoiceError("expected int8.onnx, found none; make it")

    worker: Any = Replaced(fake)
    before, told = worker.analyzer, []
    with pytest.raises(ProblemError) as caught:
        asyncio.run(Reloader(worker, load, None, told.append).reload())
    assert (caught.value.status, caught.value.detail) == (
        409, "expected int8.onnx, found none; make it; the old one stays in use",
    )  # fmt: skip
    assert worker.analyzer is before and told == ["failed"]


def _written(folder: Path) -> int:
    """The generation that this process has written down, -2 if none."""
    path = folder / f"worker-{os.getpid()}.json"
    return int(json.loads(path.read_text("utf-8"))["generation"]) if path.exists() else -2


def test_reload_survives_what_is_no_exception(fake: Any) -> None:
    """As a panic inside the tokeniser is: it must end neither the request nor the watching without a word."""

    class PanicError(BaseException):
        pass

    def load() -> Any:
        raise PanicError

    worker: Any = Replaced(fake)
    before, told = worker.analyzer, []
    with pytest.raises(ProblemError) as caught:
        asyncio.run(Reloader(worker, load, None, told.append).reload())
    assert caught.value.status == 409 and told == ["failed"] and worker.analyzer is before


def test_reload_counts_no_worker_as_begun_whose_load_has_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the service would start such workers again for ever, and not end."""

    class Failed:
        looked = 0

        @property
        def state(self) -> str:
            self.looked += 1
            return "failed"

    async def watch() -> int:
        async with Reloader(worker, unused, tmp_path, unused).watching():
            await wait_until(lambda: worker.looked > 2)
            return _written(tmp_path)

    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.01)
    worker: Any = Failed()
    unused: Any = None
    assert asyncio.run(watch()) == -1


@pytest.mark.parametrize("other", ["0" * 64, "1" * 64])
def test_reload_says_if_a_replacement_has_loaded_something_else(
    other: str, fake: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The checkpoint may have been exchanged without a reload, and then the worker died."""

    async def begin(analyzer: Any) -> None:
        worker: Any = Replaced(analyzer)
        unused: Any = None
        async with Reloader(worker, unused, tmp_path, unused).watching():
            await wait_until(lambda: _written(tmp_path) == 0)

    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.01)
    asyncio.run(begin(fake))
    assert not caplog.records
    replacement = type(fake)()
    replacement.hash = other
    asyncio.run(begin(replacement))
    told = [record.getMessage() for record in caplog.records]
    if other == fake.hash:
        assert told == []
    else:
        (line,) = told
        assert fake.hash in line and other in line


@pytest.mark.skipif(os.name != "posix", reason="processes cannot be asked for")
@pytest.mark.parametrize("later", [{"generation": 5, "failed": -1}, {"generation": 4, "failed": 5}])
def test_reload_is_later_than_what_any_worker_has_though_the_generations_are_gone(
    later: dict[str, int], fake: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Something removed them from the temporary folder: a worker that follows to nothing must not seem to have."""
    monkeypatch.setattr(module, "_MOST_SECONDS", 0.0)
    content = {"process": os.getppid(), **later}
    (tmp_path / f"worker-{os.getppid()}.json").write_text(json.dumps(content), "utf-8")
    worker: Any = Replaced(fake)
    reloader = Reloader(worker, type(fake), tmp_path, lambda result: None)
    with pytest.raises(ProblemError) as caught:
        asyncio.run(reloader.reload())
    assert caught.value.code == "reload_incomplete"
    assert (tmp_path / "generation-6").is_file()
    assert _written(tmp_path) == 6
