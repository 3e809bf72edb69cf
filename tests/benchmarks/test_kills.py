"""The killed jobs of `benchmarks.distributed`: a kill that did not happen, or undid something, is told."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

if find_spec("ray") is None:
    pytest.skip('Ray is not installed: pip install "cinesent[ray]"', allow_module_level=True)

from benchmarks import distributed, jobs, kills
from benchmarks.jobs import Bench, sha256, steady_rate, summarised
from benchmarks.journal import Journal
from benchmarks.kills import driver_faults, kill_driver, kill_worker, worker_faults
from sentiment.batch import Tick
from sentiment.runtimes import Choice

linux = pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the worker processes in /proc")

WORKER: dict[str, Any] = {"killed": 1, "lost": 0, "doubled": 0, "bytes_equal": True}
DRIVER: dict[str, Any] = {
    "exit_code": -9, "blocks_kept": 2, "rows_kept": 1024, "exit_code_of_resume": 0, "rows": 6144,
    "rows_scored_by_resume": 5120, "bytes_equal": True,
}  # fmt: skip


def test_kills_of_workers_have_to_happen_and_to_harm_nothing() -> None:
    assert worker_faults(WORKER) == []
    for change in ({"killed": 0}, {"lost": 3}, {"doubled": 1}, {"bytes_equal": False}):
        (fault,) = worker_faults(WORKER | change)
        assert fault.startswith("expected ")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"exit_code": 0}, "found exit code 0"),  # it was done before it was killed
        ({"exit_code": 4}, "found exit code 4"),
        ({"blocks_kept": 0, "rows_kept": 0, "rows_scored_by_resume": 6144}, "found none"),
        ({"exit_code_of_resume": 2}, "of the resumed job, found 2"),
        ({"exit_code_of_resume": None}, "of the resumed job, found no end"),
        ({"rows_scored_by_resume": 6144}, "found 1024 more"),
        ({"bytes_equal": False}, "found others"),
    ],
)
def test_kills_of_the_driver_have_to_happen_and_to_be_gone_on_from(change: dict[str, Any], said: str) -> None:
    assert driver_faults(DRIVER) == []
    (fault,) = driver_faults(DRIVER | change)
    assert said in fault


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """For drivers that read nothing."""
    monkeypatch.setattr(kills, "SETTLE", 0.0)
    nothing: Any = SimpleNamespace(folder=tmp_path)
    return Bench(nothing, nothing, Choice("onnxruntime", "1", "float32"), tmp_path, 5)


def test_kills_count_what_is_lost_from_the_input(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not from the job's own count, which would leave it out as well."""

    def job(self: Bench, output: Path, start: Any, workers: int, watch: Any) -> dict[str, Any]:
        watch(Tick("score", 20, 20, 0, 0))
        output.parent.mkdir()
        pq.write_table(pa.table({"id": ["1", "2", "2", "3", "4", "5", "6"]}), output)
        return {"rows": 7, "seconds": 0.1, "sha256": "others"}

    monkeypatch.setattr(Bench, "rows", lambda self: 10)
    monkeypatch.setattr(Bench, "job", job)
    monkeypatch.setattr(kills, "workers_below", lambda pid: [1])
    monkeypatch.setattr(kills.os, "kill", lambda *_: None)
    found = kill_worker(bench, 0, "right")
    assert (found["killed"], found["rows"], found["lost"], found["doubled"]) == (1, 7, 4, 1)
    assert not found["bytes_equal"] and len(worker_faults(found)) == 2


@linux
def test_kills_driver_that_ends_by_itself_is_no_kill(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its resumed job may even write the right bytes."""
    monkeypatch.setattr(kills, "CLI", "import sys; open(sys.argv[sys.argv.index('-o') + 1], 'wb').write(b'right')")
    expected = bench.folder / "expected"
    expected.write_bytes(b"right")
    found = kill_driver(bench, bench.folder / "in.csv", sha256(expected))
    assert found["bytes_equal"] and found["exit_code"] == 0 and found["blocks_kept"] == 0
    faults = driver_faults(found)
    assert len(faults) == 2 and "killed midway" in faults[0] and "one block kept" in faults[1]


@linux
def test_kills_driver_that_hangs_is_waited_for_in_vain(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kills, "CLI", "import time; time.sleep(600)")
    found = kill_driver(bench, bench.folder / "in.csv", "", deadline=0.5)
    assert found["exit_code"] == -signal.SIGKILL and found["exit_code_of_resume"] is None
    assert len(driver_faults(found)) == 3  # no block, no end, no bytes


def test_jobs_rate_leaves_the_start_out() -> None:
    # Two workers start for 30 s, then a block of 100 rows each every 10 s.
    blocks = [(40.0, 100), (40.0, 200), (50.0, 300), (50.0, 400), (60.0, 500), (60.0, 600)]
    assert steady_rate(blocks, 2) == 20.0
    assert steady_rate(blocks[::2], 1) == 400 / 20
    with pytest.raises(ValueError, match="expected more blocks than 2 workers, found 2"):
        steady_rate(blocks[:2], 2)


def test_jobs_begin_before_their_runner_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What loads its model in this process pays for it as workers do."""
    clock = iter(range(100))
    monkeypatch.setattr(jobs.time, "monotonic", lambda: float(next(clock)))

    def start() -> Any:
        for _ in range(20):  # seconds
            jobs.time.monotonic()

    def score(table: Any, runner: Any, output: Path, options: Any, progress: Any) -> Any:
        for scored in (5, 10):
            progress(Tick("score", scored, scored, 0, 0))
        output.write_bytes(b"")
        return SimpleNamespace(rows=10)

    monkeypatch.setattr(jobs, "score_with", score)
    nothing: Any = None
    bench = Bench(nothing, nothing, nothing, tmp_path, 5)
    found = bench.timed(start)
    assert (found["first_block_seconds"], found["seconds"], found["assembling_seconds"]) == (21, 23, 1)
    assert found["rows_per_second"] == 5


def test_jobs_of_a_driver_have_a_worker_that_scores_once(monkeypatch: pytest.MonkeyPatch) -> None:
    scored = []
    monkeypatch.setattr(jobs.Worker, "__init__", lambda self: None)
    monkeypatch.setattr(jobs.Worker, "score", lambda self, rows, rules: scored.append(rows) or b"part")
    worker, rules = cast("Any", jobs.Ready)(), cast("Any", None)
    assert [worker.score(rows, rules) for rows in ("a", "b", "c")] == [b"part"] * 3
    assert scored == ["a"]


def test_distributed_driver_rates_are_medians_of_readings(tmp_path: Path) -> None:
    readings, rates = iter([900.0, 1000.0, 200.0]), iter([400.0, 500.0, 450.0])

    class Made(Bench):
        def reading_rate(self) -> float:
            return next(readings)

        def driven(self) -> dict[str, Any]:
            return {"rows": 64, "rows_per_second": next(rates), "assembling_seconds": 2.0}

    nothing: Any = None
    found = distributed.driver_rates(Made(nothing, nothing, nothing, tmp_path, 1), 3, Journal(None, {}))
    assert found["reading_rows_per_second"] == {"median": 900.0, "least": 200.0, "greatest": 1000.0}
    assert found["keeping_rows_per_second"] == {"median": 450.0, "least": 400.0, "greatest": 500.0}
    assert (found["rows"], found["rounds"], found["assembling_seconds"]["median"]) == (64, 3, 2.0)


def test_jobs_are_summed_up_by_medians() -> None:
    run = {"rows": 8, "first_block_seconds": 1.0, "assembling_seconds": 1.0, "seconds": 9.0, "sha256": "a"}
    runs = [run | {"rows_per_second": rate} for rate in (90.0, 100.0, 20.0)]
    found = summarised(runs, "a")
    assert (found["rows_per_second"], found["low"], found["high"], found["bytes_equal"]) == (90.0, 20.0, 100.0, True)
    assert not summarised([*runs, run | {"rows_per_second": 1.0, "sha256": "b"}], "a")["bytes_equal"]


def test_distributed_tells_what_went_wrong() -> None:
    equal = {"bytes_equal": True}
    results: dict[str, Any] = {
        "local": equal,
        "workers_1": equal,
        "workers_2": equal,
        "worker_kills": [WORKER],
        "driver_kill": DRIVER,
    }
    assert distributed.faults(results) == []
    results |= {"workers_2": {"bytes_equal": False}, "worker_kills": [WORKER, WORKER | {"killed": 0}]}
    results["driver_kill"] = DRIVER | {"exit_code": 0}
    said = [fault.partition(":")[0] for fault in distributed.faults(results)]
    assert said == ["workers_2", "kill 2", "driver"]


def test_distributed_command_keeps_trials_apart(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (
        ["--kills", "1"],
        ["--readings", "1"],
        ["--driver-rows", "9", "--json", "x"],
        ["--rounds", "0", "--json", "x"],
        ["--rows", "3", "--json", "x"],
    ):
        with pytest.raises(SystemExit):
            distributed.main(arguments)
        assert "expected" in capsys.readouterr().err


@linux
@pytest.mark.slow
def test_distributed_command_measures_kills_and_goes_on(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """In a process of its own: what Ray sets in its environment stays there."""
    output = tmp_path / "distributed.json"
    command = [sys.executable, "-m", "benchmarks.distributed", "--model", str(tiny_checkpoint), "--rows", "160"]
    command += ["--driver-rows", "1280", "--readings", "2"]
    command += ["--busy", "--rounds", "2", "--kill-rows", "4800", "--kills", "1", "--work", str(tmp_path / "work")]
    done = subprocess.run([*command, "--json", str(output)], capture_output=True, text=True, cwd=distributed.ROOT)
    assert done.returncode == 0, done.stderr
    found = json.loads(output.read_text("utf-8"))
    assert found["faults"] == [] and found["trial"] and found["runtime"].startswith("ONNX Runtime ")
    assert (found["block_rows"], found["kill_block_rows"]) == (20, 400)
    for name in ("local", "workers_1", "workers_2"):
        assert len(found[name]["runs"]) == 2 and found[name]["bytes_equal"]
        assert found[name]["low"] <= found[name]["rows_per_second"] <= found[name]["high"]
    driver = found["driver"]
    assert (driver["rows"], driver["block_rows"], driver["rounds"]) == (1280, 20, 2)
    assert driver["keeping_rows_per_second"]["median"] > 0 and driver["reading_rows_per_second"]["least"] > 0
    assert found["driver_kill"]["exit_code"] == -9 and found["driver_kill"]["rows_kept"] >= 400
    assert not list((tmp_path / "work").iterdir())
