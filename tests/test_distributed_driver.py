"""The driver of a job on Ray, with a stand-in for Ray: what it starts here, and what it says while it waits."""

from __future__ import annotations

import logging
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from sentiment import __version__
from sentiment.analyzer import Analyzer
from sentiment.blocks import Block, BlockRules, analyze_rows
from sentiment.checkpoint import load_checkpoint
from sentiment.cli import main
from sentiment.distributed import Failed, RayOptions, RayRunner, Worker, connected
from sentiment.int8 import exact_products
from sentiment.parts import StoppedError, packed_part
from sentiment.runtimes import choose_runtime
from sentiment.tables import Row
from sentiment.taxonomy import load_taxonomy
from tests.wide_scales import keep_rules

RULES = BlockRules("text", None, False, None, ())


class RayError(Exception):
    """What Ray raises of a worker that is gone."""


class FakeRay(ModuleType):
    """A cluster of 6 CPUs of which 1 is free, whose workers answer at once; `silent`: whether a wait ends without."""

    def __init__(self) -> None:
        super().__init__("ray")
        self.exceptions = SimpleNamespace(RayError=RayError)
        self.silent: list[bool] = []
        self.timeouts: list[float | None] = []
        self.started: list[dict[str, Any]] = []
        self._answers: dict[object, Any] = {}

    def is_initialized(self) -> bool:
        return False

    def init(self, **options: Any) -> None:
        self.started.append(options)

    def shutdown(self) -> None: ...

    def nodes(self) -> list[dict[str, Any]]:
        return [{"Alive": True, "Resources": {"CPU": 6.0}}]

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 6.0}

    def available_resources(self) -> dict[str, float]:
        return {"CPU": 1.0, "memory": 7e9}

    def put(self, value: Any) -> Any:
        return value

    def remote(self, worker: type) -> Any:
        numbers = choose_runtime("onnxruntime").numbers

        def make(*arguments: Any) -> Any:
            return SimpleNamespace(ready=self._method((__version__, numbers)), score=self._method(b"part"))

        return SimpleNamespace(options=lambda **options: SimpleNamespace(remote=make))

    def _method(self, answer: Any) -> Any:
        def call(*arguments: Any) -> object:
            ref = object()
            self._answers[ref] = answer
            return ref

        return SimpleNamespace(remote=call)

    def wait(self, refs: list[Any], *, num_returns: int, timeout: float | None) -> tuple[list[Any], list[Any]]:
        self.timeouts.append(timeout)
        if self.silent and self.silent.pop(0):
            return [], refs
        return refs[:num_returns], refs[num_returns:]

    def get(self, ref: object) -> Any:
        return self._answers.pop(ref)

    def kill(self, handle: Any) -> None: ...


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> FakeRay:
    fake = FakeRay()
    monkeypatch.setitem(sys.modules, "ray", fake)
    return fake


def runner(folder: Path, options: RayOptions, **others: Any) -> RayRunner:
    checkpoint: Any = SimpleNamespace(name="fake", hash="0", taxonomy=load_taxonomy(), folder=folder, files=())
    return RayRunner(checkpoint, options, load={"runtime": "onnxruntime"}, **others)


def blocks() -> Iterator[Block]:
    return (Block(number, [], []) for number in range(5))


def test_distributed_says_what_it_waits_for_while_no_worker_is_ready(ray: FakeRay, tmp_path: Path) -> None:
    ray.silent = [True, True, True]
    told: list[str] = []
    run = runner(tmp_path, RayOptions(workers=4, threads=2), tell=told.append)
    assert sorted(block.number for block, _ in run.run(blocks(), RULES)) == [0, 1, 2, 3, 4]
    assert len(told) == 3 and len(set(told)) == 1
    assert told[0].startswith("no worker is ready yet: expected 8 CPUs for 4 workers, found 1 of 6 free; wait, or end")
    assert "\n" not in told[0]
    assert set(ray.timeouts) == {60.0}


def test_distributed_says_nothing_while_a_worker_scores_a_long_block(ray: FakeRay, tmp_path: Path) -> None:
    ray.silent = [False, True, True]
    told: list[str] = []
    run = runner(tmp_path, RayOptions(workers=2), tell=told.append)
    assert [part for _, part in run.run(blocks(), RULES)] == [b"part"] * 5
    assert ray.silent == [] and told == []


def test_distributed_tells_the_log_where_nobody_else_hears(
    ray: FakeRay, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ray.silent = [True]
    with caplog.at_level(logging.WARNING, "sentiment.distributed"):
        assert len(list(runner(tmp_path, RayOptions(workers=1)).run(blocks(), RULES))) == 5
    (record,) = caplog.records
    assert record.getMessage().startswith("no worker is ready yet: expected 1 CPUs for 1 workers")


@pytest.mark.parametrize(("workers", "threads", "cpus"), [(None, 1, 3), (2, 1, 3), (2, 2, 4)])
def test_distributed_starts_ray_with_the_cpus_that_the_process_may_use(
    ray: FakeRay, monkeypatch: pytest.MonkeyPatch, workers: int | None, threads: int, cpus: int
) -> None:
    monkeypatch.setattr(os, "environ", os.environ.copy())  # it sets variables of Ray's
    monkeypatch.setattr("sentiment.distributed.usable_cpus", lambda: 3)
    with connected(RayOptions(workers=workers, threads=threads)):
        assert [options["num_cpus"] for options in ray.started] == [cpus]


def test_distributed_threads_that_no_node_has_are_wrong_usage_before_anything_is_begun(
    ray: FakeRay, tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", os.environ.copy())  # it sets variables of Ray's
    dump = tmp_path / "reviews.csv"
    dump.write_text("评论内容\n座位太挤了，看完腰疼\n", "utf-8")
    command = ("score", dump, "-o", tmp_path / "out.csv", "--model", tiny_checkpoint, "--engine", "ray", "--threads", 7)
    result = CliRunner().invoke(main, [str(word) for word in command])
    assert result.exit_code == 2, result.stderr
    told = "expected a node with 7 CPUs for a worker (--threads), found at most 6; give fewer, or join nodes"
    assert result.stderr.splitlines()[-1] == f"cinesent: {told} that have more"
    assert len(ray.started) == 1
    assert list(tmp_path.iterdir()) == [dump]


def test_distributed_stops_where_no_node_has_the_threads_any_more(ray: FakeRay, tmp_path: Path) -> None:
    with pytest.raises(StoppedError, match="expected a node with 7 CPUs for a worker"):
        next(runner(tmp_path, RayOptions(threads=7)).run(blocks(), RULES))


@pytest.mark.skipif(not exact_products(), reason="the processor does not add products of int8 exactly")
def test_distributed_a_worker_decides_by_the_rules_of_int8(int8_checkpoint: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(int8_checkpoint, tmp_path / "checkpoint"))
    rows, parts = [Row("a.csv", 1, {"text": "座椅太硬，坐得腰疼"})], []
    rules = BlockRules("text", None, False, None, load_checkpoint(folder).taxonomy.keys)
    for threshold in (0.0, 1.1):
        keep_rules(folder, threshold)
        files = {name: (folder / name).read_bytes() for name in load_checkpoint(folder).files}
        parts.append(Worker(files, {"runtime": "onnxruntime-int8"}).score(rows, rules))
        local = Analyzer.load(folder, runtime="onnxruntime-int8")
        assert parts[-1] == packed_part(*analyze_rows(rows, rules, local))
    assert parts[0] != parts[1]


def test_distributed_a_worker_says_that_its_processor_lacks_the_units(
    int8_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sentiment.runtimes.exact_products", lambda: False)
    files = {name: (int8_checkpoint / name).read_bytes() for name in load_checkpoint(int8_checkpoint).files}
    failed = Worker(files, {"runtime": "onnxruntime-int8"}).ready()
    assert isinstance(failed, Failed)
    assert failed.what.startswith("expected a processor that adds products of int8 exactly")
    assert failed.what.endswith("--runtime onnxruntime computes alike on every processor")
