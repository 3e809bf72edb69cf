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

from sentiment.runtimes import Choice, RuntimeChoiceError
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
