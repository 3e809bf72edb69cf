"""What each benchmark hands to its rounds: texts in another order each round, and who is watched meanwhile."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Collection, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from benchmarks import batching, engines, levers, speed, tradeoff
from benchmarks.contestants import own_contestants
from benchmarks.depths import window_blocks
from benchmarks.journal import Journal
from benchmarks.lever_list import PACKAGED
from benchmarks.rounds import Reordered, in_round, interleaved
from benchmarks.texts import Drawn
from sentiment.analyzer import Analyzer
from sentiment.checkpoint import Checkpoint
from sentiment.engine import Engine
from sentiment.runtimes import choose_runtime

SHORT = [f"第{i}条，座椅太硬{'，音响震撼' * (i % 3)}" for i in range(12)]
DRAWN = {"short": Drawn("short", SHORT, [9] * 12, False), "long": Drawn("long", SHORT[:4], [9] * 4, False)}
PORTABLE = [choose_runtime("onnxruntime")]  # one will do
Handed = Callable[[Any, Callable[[], object]], tuple[Mapping[str, Any], Collection[str]]]


class StoppedError(Exception):
    """The rounds would begin."""


@pytest.fixture
def handed(monkeypatch: pytest.MonkeyPatch) -> Handed:
    """The tasks that a module hands to `interleaved` when this is run, and those that are not to be watched."""

    def of(module: Any, run: Callable[[], object]) -> tuple[Mapping[str, Any], Collection[str]]:
        got: list[tuple[Mapping[str, Any], Collection[str]]] = []

        def take(tasks: Mapping[str, Any], *_: Any, unwatched: Collection[str] = (), **__: Any) -> Any:
            got.append((tasks, unwatched))
            raise StoppedError

        monkeypatch.setattr(module, "interleaved", take)
        with pytest.raises(StoppedError):
            run()
        return got[0]

    return of


@pytest.fixture
def few_own_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "train.jsonl"
    own.write_text("".join(engines.OWN.read_text("utf-8").splitlines(keepends=True)[:200]), "utf-8")
    for module in ("benchmarks.engines", "benchmarks.texts"):
        monkeypatch.setattr(f"{module}.OWN", own)


def reordered(tasks: Mapping[str, Any]) -> set[str]:
    return {name for name, task in tasks.items() if isinstance(task, Reordered)}


def test_speed_reorders_the_texts_of_contestants_and_stages(
    checkpoint: Checkpoint, tiny_checkpoint: Path, handed: Handed
) -> None:
    analyzers = {name: Analyzer.load(tiny_checkpoint, threads=1, runtime="onnxruntime") for name in ("ours-1", "ours")}
    entries = own_contestants(analyzers, 1)
    tasks, unwatched = handed(
        speed, lambda: speed.in_rounds(analyzers, checkpoint, entries, DRAWN, 1, 1, Journal(None, {}))
    )
    texts = {name for name in tasks if " products, " not in name}
    assert reordered(tasks) == texts and len(texts) == 6 < len(tasks) and not unwatched


def test_engines_reorders_the_texts_of_every_engine(
    tiny_checkpoint: Path, tmp_path: Path, few_own_texts: None, handed: Handed
) -> None:
    command = ["--model", str(tiny_checkpoint), "--texts", "20", "--rounds", "1", "--calibration", "5", "--busy"]
    command += ["--neighbours", "8", "--limit", "4", "--only", "onnxruntime", "--work", str(tmp_path / "work")]
    tasks, unwatched = handed(engines, lambda: engines.main([*command, "--json", str(tmp_path / "engines.json")]))
    assert reordered(tasks) == set(tasks) == {"onnxruntime on short", "onnxruntime on long"} and not unwatched


def test_batching_reorders_the_texts_of_every_case(tiny_checkpoint: Path, tmp_path: Path, handed: Handed) -> None:
    command = ["--model", str(tiny_checkpoint), "--texts", "20", "--rounds", "1", "--long", "40", "--threads", "1"]
    command += ["--busy", "--json", str(tmp_path / "batching.json")]
    tasks, unwatched = handed(batching, lambda: batching.main(command))
    assert (
        reordered(tasks) == set(tasks)
        and len(tasks) == 8 + len(batching.SIZES) + len(batching.BUDGETS)
        and not unwatched
    )


def test_tradeoff_reorders_the_texts_of_every_checkpoint(checkpoint: Checkpoint, handed: Handed) -> None:
    checkpoints = {"packaged": checkpoint, "other": checkpoint}
    tasks, unwatched = handed(
        tradeoff, lambda: tradeoff.measure(checkpoints, DRAWN, {}, 1, 1, PORTABLE[0], Journal(None, {}))
    )
    assert reordered(tasks) == set(tasks) and len(tasks) == 4 and not unwatched


def test_levers_reorders_sets_of_several_blocks_and_no_others(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, handed: Handed
) -> None:
    monkeypatch.setattr(levers, "BLOCK", 8)
    monkeypatch.setattr("benchmarks.depths.DEPTHS", (2,))
    options = Namespace(compared=4, rounds=2)
    tasks, unwatched = handed(
        levers, lambda: levers.measure(checkpoint, DRAWN, options, 1, Journal(None, {}), PORTABLE)
    )
    texts = {name for name in tasks if not name.startswith(tuple(levers.RUNNERS))}
    assert reordered(tasks) == {name for name in texts if " on short" in name} and not unwatched
    sides = ("packaged", "in-order", "tokenising alone, one-by-one", "2 layers")
    assert all(any(name.startswith(f"{side} on short") for name in texts) for side in sides)
    assert len([name for name in texts if " on long" in name]) == len(reordered(tasks))


def test_levers_reckon_padding_in_the_orders_that_are_measured(
    checkpoint: Checkpoint, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(levers, "BLOCK", 8)
    for texts, alike in ((SHORT, 1), (SHORT[:8], 2)):  # those of one block come twice in one order
        measured = interleaved({"a": levers.over(texts, list)}, 2)["a"]  # type: ignore[arg-type, type-var]
        assert measured == alike * levers.orders(texts, 2)
    got: list[Mapping[str, Any]] = []

    def figures(*arguments: Any) -> Any:
        got.append(arguments[-1])
        raise StoppedError

    monkeypatch.setattr(levers, "interleaved", lambda *_: {})
    monkeypatch.setattr(levers, "figures", figures)
    monkeypatch.setattr("benchmarks.depths.DEPTHS", (2,))
    with pytest.raises(StoppedError):
        levers.measure(checkpoint, DRAWN, Namespace(compared=4, rounds=2), 1, Journal(None, {}), PORTABLE)
    first, second = (window_blocks(engine, in_round(SHORT, number)) for number in (1, 2))
    assert got == [{"short": [*first, *second], "long": window_blocks(engine, SHORT[:4])}] and first != second


def test_levers_warm_every_job_up(
    checkpoint: Checkpoint, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run: list[tuple[Any, str, bool]] = []
    monkeypatch.setattr(levers, "WARM", 3)

    def job_seconds(runner: Any, source: Path, output: Path, rows: int) -> float:
        assert rows == len(source.read_text("utf-8").splitlines()) - 1
        run.append((runner, source.name, "warm" in output.name))
        return 1.0

    monkeypatch.setattr(levers, "job_seconds", job_seconds)
    levers.write_csvs(DRAWN, tmp_path)
    tasks = levers.tasks_on(PORTABLE[0], checkpoint, {PACKAGED: engine}, DRAWN, tmp_path)
    warmed = list(run)
    assert [(name, warm) for _, name, warm in warmed] == [("warm-short.csv", True)] * 2 + [("warm-long.csv", True)] * 2
    for name in levers.RUNNERS:
        for part in DRAWN:
            tasks[levers.task(name, part, PORTABLE[0])]()
    assert {id(runner) for runner, *_ in run[4:]} == {id(runner) for runner, *_ in warmed}
    assert sorted((name, warm) for _, name, warm in run[4:]) == [("long.csv", False)] * 2 + [("short.csv", False)] * 2


@pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed")
@pytest.mark.parametrize("rounds_of", ["timed_jobs", "driver_rates"])
def test_distributed_watches_nothing_while_ray_runs(rounds_of: str, handed: Handed) -> None:
    from benchmarks import distributed
    from benchmarks.jobs import Bench

    bench = Bench(*[None] * 5)  # type: ignore[arg-type]
    tasks, unwatched = handed(distributed, lambda: getattr(distributed, rounds_of)(bench, 1, Journal(None, {})))
    assert set(unwatched) == set(tasks) and tasks
