"""The job on Ray: its bytes are those of the local engine, whoever is killed on the way.

Small: two workers, a random checkpoint, blocks of 40 rows. benchmarks/distributed.py has the large versions.
"""

from __future__ import annotations

import csv
import datetime as dt
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from sentiment.analyzer import Analyzer
from sentiment.batch import LocalRunner, Runner, ScoreOptions, Tick, score_with
from sentiment.blocks import BlockRules, Shard
from sentiment.checkpoint import load_checkpoint
from sentiment.cli import main
from sentiment.parts import PartStore, StoppedError, Summary, partial_folder, rejects_file
from sentiment.tables import ReadOptions, open_tables
from sentiment.tables.base import Row

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ray") is None, reason='Ray is not installed: pip install "cinesent[ray]"'),
    pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the worker processes in /proc"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # of ray's own sockets
]

ROOT = Path(__file__).parent.parent
BLOCK = 40
TYPES = {
    "编号": pa.int64(),
    "评论": pa.string(),
    "时间": pa.timestamp("us", "UTC"),
    "票价": pa.decimal128(9, 2),
    "标签": pa.list_(pa.string()),
}
CLI = f"""
import sentiment.blocks
sentiment.blocks.BLOCK_ROWS = {BLOCK}
from sentiment.cli import main
main()
"""


@pytest.fixture(scope="module")
def dump(tmp_path_factory: pytest.TempPathFactory, sample_texts: list[str]) -> Path:
    """A folder of 600 rows: CSV with broken lines, JSONL, blank and foreign texts, texts that come again."""
    folder = tmp_path_factory.mktemp("dump")
    texts = [*sample_texts[:250], "", "Great seats!", *sample_texts[:48]]
    with (folder / "a.csv").open("w", encoding="gb18030", newline="", errors="replace") as handle:
        writer = csv.writer(handle)
        writer.writerow(("编号", "评论"))
        for number, text in enumerate(texts):
            writer.writerow((number, text) if number not in (7, 130) else (number, text, "more", "than", "fits"))
    with (folder / "b.jsonl").open("w", encoding="utf-8") as handle:
        for number, text in enumerate(sample_texts[300:600]):
            handle.write(
                json.dumps({"编号": number, "评论": text, "late": number} if number > 5 else {"评论": text}) + "\n"
            )
            if number == 99:
                handle.write("{broken\n")
    return folder


@pytest.fixture(scope="module")
def typed(tmp_path_factory: pytest.TempPathFactory, sample_texts: list[str]) -> Path:
    """A folder of 100 rows in two Parquet files: types that text formats lack, nulls, and a text that is no UTF-8."""
    folder = tmp_path_factory.mktemp("typed")
    for name, numbers in (("a", range(60)), ("b", range(60, 100))):
        texts = [b"\xff\xfe" if n == 70 else sample_texts[n].encode() for n in numbers]
        start = dt.datetime(2026, 3, 1, tzinfo=dt.timezone.utc)
        columns = (
            pa.array(numbers, pa.int64()),
            pa.array(texts, pa.binary()).view(pa.string()),
            pa.array([None if n % 9 == 0 else start + dt.timedelta(hours=n) for n in numbers], TYPES["时间"]),
            pa.array([None if n % 11 == 0 else Decimal(n).scaleb(-2) for n in numbers], TYPES["票价"]),
            pa.array([([], None, ["万达", "三号厅"])[n % 3] for n in numbers], TYPES["标签"]),
        )
        pq.write_table(pa.table(dict(zip(TYPES, columns, strict=True))), folder / f"{name}.parquet")
    return folder


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    from sentiment.distributed import RayOptions, connected

    with connected(RayOptions(workers=2)):
        yield


def runner(checkpoint: Path) -> Any:
    from sentiment.distributed import RayOptions, RayRunner

    return RayRunner(load_checkpoint(checkpoint), RayOptions(workers=2))


def job(dump: Path, run: Runner, output: Path, progress: Any = None, **options: Any) -> Summary:
    table = open_tables([dump], ReadOptions())
    return score_with(table, run, output, ScoreOptions(block_rows=BLOCK, probabilities=True, **options), progress)


@pytest.fixture(scope="module")
def local(dump: Path, typed: Path, tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of what the local engine writes."""
    folder = tmp_path_factory.mktemp("local")
    run = LocalRunner(Analyzer.load(tiny_checkpoint, threads=1))
    for suffix in ("csv", "jsonl", "parquet"):
        summary = job(dump, run, folder / f"out.{suffix}")
        assert (summary.rows, summary.rejected) == (598, 3)
    summary = job(typed, run, folder / "typed.parquet")
    assert (summary.rows, summary.rejected) == (99, 1)
    kinds = {field.name: field.type for field in pq.read_schema(folder / "typed.parquet").field("input").type}
    assert kinds == {**TYPES, "cs_source": pa.string()}
    return folder


def processes(words: str) -> dict[int, str]:
    """The processes of this machine whose command line has the words in it."""
    found = {}
    for path in Path("/proc").iterdir():
        if path.name.isdecimal():
            try:
                line = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if words in line:
                found[int(path.name)] = line
    return found


def workers_of(parent: int) -> list[int]:
    """The workers that are below this process."""
    return [pid for pid in processes("ray::Worker") if parent in _ancestors(pid)]


def _ancestors(pid: int) -> list[int]:
    found = []
    while pid > 1:
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            break
        pid = int(status.split("PPid:", 1)[1].split()[0])
        found.append(pid)
    return found


def same(output: Path, local: Path) -> None:
    assert output.read_bytes() == (local / output.name).read_bytes()
    assert rejects_file(output).read_bytes() == rejects_file(local / output.name).read_bytes()
    assert not partial_folder(output).exists()


def test_distributed_listens_on_this_machine_only(cluster: None) -> None:
    import ray

    (node,) = ray.nodes()
    assert node["NodeManagerAddress"] == "127.0.0.1"


@pytest.mark.parametrize("name", ["out.csv", "out.jsonl", "out.parquet", "typed.parquet"])
def test_distributed_writes_the_bytes_of_the_local_engine(
    cluster: None, dump: Path, typed: Path, tiny_checkpoint: Path, local: Path, tmp_path: Path, name: str
) -> None:
    folder, rows, rejected = (typed, 99, 1) if name == "typed.parquet" else (dump, 598, 3)
    ticks: list[Tick] = []
    summary = job(folder, runner(tiny_checkpoint), tmp_path / name, ticks.append)
    same(tmp_path / name, local)
    assert (summary.rows, summary.scored, summary.rejected) == (rows, rows, rejected)
    assert [tick.rows for tick in ticks if tick.phase == "score"][-1] == rows


def test_distributed_workers_without_a_cpu_hold_up_nothing(
    cluster: None, dump: Path, tiny_checkpoint: Path, local: Path, tmp_path: Path
) -> None:
    """--workers may count the CPUs of nodes that are still to come, and need not come."""
    import ray

    from sentiment.distributed import RayOptions, RayRunner

    run = RayRunner(load_checkpoint(tiny_checkpoint), RayOptions(workers=int(ray.cluster_resources()["CPU"]) + 2))
    summary = job(dump, run, tmp_path / "out.parquet")
    assert (summary.rows, summary.scored, summary.rejected) == (598, 598, 3)
    same(tmp_path / "out.parquet", local)


@pytest.mark.parametrize("name", ["out.jsonl", "typed.parquet"])
def test_distributed_reads_a_folder_at_an_address(
    cluster: None,
    dump: Path,
    typed: Path,
    tiny_checkpoint: Path,
    local: Path,
    tmp_path: Path,
    s3_bucket: Callable[[str, Mapping[str, bytes]], str],
    name: str,
) -> None:
    folder = typed if name == "typed.parquet" else dump
    files = {f"2026/{path.name}": path.read_bytes() for path in folder.iterdir()}
    address = s3_bucket(f"dumps-{folder.name}", files)
    table = open_tables([f"{address}/2026"], ReadOptions())
    options = ScoreOptions(block_rows=BLOCK, probabilities=True)
    score_with(table, runner(tiny_checkpoint), tmp_path / name, options)
    same(tmp_path / name, local)


def test_distributed_a_killed_worker_loses_and_doubles_nothing(
    cluster: None, dump: Path, tiny_checkpoint: Path, local: Path, tmp_path: Path
) -> None:
    killed: list[int] = []

    def kill(tick: Tick) -> None:
        if tick.phase == "score" and len(killed) < 2 and tick.scored < 400:
            for pid in workers_of(os.getpid())[:1]:
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)

    summary = job(dump, runner(tiny_checkpoint), tmp_path / "out.parquet", kill)
    same(tmp_path / "out.parquet", local)
    assert len(set(killed)) == 2
    assert summary.scored == 598


def test_distributed_50_000_rows_are_the_local_ones_though_ten_workers_are_killed(
    cluster: None, tiny_checkpoint: Path, sample_texts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sentiment import distributed

    monkeypatch.setattr(distributed, "ATTEMPTS", 11)  # it may be the same block's worker each time
    source, here, there = tmp_path / "in.csv", tmp_path / "local" / "out.parquet", tmp_path / "ray" / "out.parquet"
    with source.open("w", encoding="utf-8", newline="") as handle:
        rows = ((number, sample_texts[number * 7 % 300]) for number in range(50_000))
        csv.writer(handle).writerows([("编号", "评论"), *rows])
    killed: list[int] = []

    def kill(tick: Tick) -> None:
        if tick.phase == "score" and len(killed) < 10:
            victim = workers_of(os.getpid())[0]
            os.kill(victim, signal.SIGKILL)
            killed.append(victim)

    runners = (
        (LocalRunner(Analyzer.load(tiny_checkpoint, threads=1)), here, None),
        (runner(tiny_checkpoint), there, kill),
    )
    for run, output, progress in runners:
        output.parent.mkdir()
        table = open_tables([source], ReadOptions(text_column="评论", id_column="编号"))
        assert score_with(table, run, output, ScoreOptions(), progress).rows == 50_000
    assert len(set(killed)) == 10
    assert there.read_bytes() == here.read_bytes()
    ids = pq.read_table(there, columns=["id"])["id"].to_pylist()
    assert ids == [str(number) for number in range(50_000)]


def test_distributed_a_block_that_ends_every_worker_ends_the_job(
    cluster: None, dump: Path, tiny_checkpoint: Path, local: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sentiment import distributed

    class Deadly(distributed.Worker):
        def score(self, rows: Sequence[Row], rules: BlockRules) -> Any:
            if any(row.source == "b.jsonl" and row.number == 20 for row in rows):
                os._exit(1)
            return super().score(rows, rules)

    monkeypatch.setattr(distributed, "ATTEMPTS", 2)
    output = tmp_path / "out.parquet"
    with monkeypatch.context() as patch:
        patch.setattr(distributed, "Worker", Deadly)
        with pytest.raises(StoppedError, match=r"stopped: block 7 ended its worker 2 times .*--resume goes on"):
            job(dump, runner(tiny_checkpoint), output)
    kept = sum(1 for number in range(15) if PartStore(partial_folder(output)).rows(number))
    assert 0 < kept < 15
    assert job(dump, runner(tiny_checkpoint), output, resume=True).scored < 598
    same(output, local)


def test_distributed_an_error_in_a_worker_names_the_place_but_no_text(
    cluster: None, dump: Path, tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sentiment import distributed

    class Broken(distributed.Worker):
        def __init__(self, files: dict[str, bytes], options: dict[str, Any]) -> None:
            super().__init__(files, options)
            self._analyzer = None  # type: ignore[assignment]

    monkeypatch.setattr(distributed, "Worker", Broken)
    with pytest.raises(
        StoppedError, match=r"stopped: internal error, AttributeError in blocks\.py, line \d+; "
    ) as caught:
        job(dump, runner(tiny_checkpoint), tmp_path / "out.csv")
    assert "座椅" not in str(caught.value)


@pytest.mark.parametrize("engine", ["local", "ray"])
def test_distributed_exit_codes_are_those_of_the_local_engine(
    cluster: None, engine: str, dump: Path, tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sentiment import distributed

    clean = tmp_path / "clean.csv"
    clean.write_text("评论\n座椅太硬，坐得腰疼\n音响震撼\n", "utf-8")
    output = tmp_path / "out.csv"

    def ended(source: Path) -> int:
        words = ["score", source, "-o", output, "--overwrite", "--model", tiny_checkpoint, "--engine", engine]
        words += ["--workers", 1] if engine == "ray" else []
        return CliRunner().invoke(main, [str(word) for word in words]).exit_code

    assert [ended(clean), ended(dump), ended(tmp_path / "missing.csv")] == [0, 1, 2]

    class Broken(distributed.Worker):
        def __init__(self, files: dict[str, bytes], options: dict[str, Any]) -> None:
            super().__init__(files, options)
            self._analyzer = None  # type: ignore[assignment]

    monkeypatch.setattr(distributed, "Worker", Broken)
    monkeypatch.setattr(Analyzer, "analyze_block", None)
    assert ended(clean) == 4


def test_distributed_shards_of_both_engines_join(
    cluster: None, dump: Path, tiny_checkpoint: Path, local: Path, tmp_path: Path
) -> None:
    job(dump, runner(tiny_checkpoint), tmp_path / "out.csv", shard=Shard(1, 2))
    here = LocalRunner(Analyzer.load(tiny_checkpoint, threads=1))
    job(dump, here, tmp_path / "out.csv", shard=Shard(2, 2))
    assert job(dump, here, tmp_path / "out.csv", resume=True).scored == 0
    same(tmp_path / "out.csv", local)


def start(*arguments: object) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "", "NO_COLOR": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", CLI, *map(str, arguments)],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8",
    )  # fmt: skip


def test_distributed_killed_driver_resumes_and_leaves_no_process(
    dump: Path, tiny_checkpoint: Path, local: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.parquet"
    arguments = ("score", dump, "-o", output, "--model", tiny_checkpoint, "--engine", "ray", "--workers", 2)
    arguments += ("--probabilities",)
    driver = start(*arguments)
    parts = partial_folder(output)
    deadline = time.monotonic() + 120
    while not list(parts.glob("part-*.parquet")) and driver.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    below = [pid for pid in processes("ray") if driver.pid in _ancestors(pid)]
    driver.kill()
    driver.communicate()
    assert not output.exists()
    assert below
    _gone(below)
    resumed = start(*arguments, "--resume")
    _, told = resumed.communicate(timeout=300)
    assert resumed.returncode == 1, told  # some rows are rejected
    assert "rejected" in told
    assert "Traceback" not in told
    same(output, local)
    assert not [line for line in told.splitlines() if "座椅" in line or "ray" in line.lower()]


def _gone(pids: list[int]) -> None:
    """Waits until the processes have noticed that their parent is no more; Ray's agents look for it now and then."""
    deadline = time.monotonic() + 120
    while (left := [pid for pid in pids if _alive(pid)]) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left == []


def _alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_distributed_terminated_driver_says_how_to_go_on(dump: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.csv"
    driver = start("score", dump, "-o", output, "--model", tiny_checkpoint, "--engine", "ray", "--workers", 1)
    deadline = time.monotonic() + 120
    while not partial_folder(output).is_dir() and driver.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    below = [pid for pid in processes("ray") if driver.pid in _ancestors(pid)]
    driver.terminate()
    _, told = driver.communicate(timeout=120)
    assert driver.returncode == 143, told
    assert told.splitlines()[-1].endswith("--resume goes on")
    _gone(below)


def test_distributed_workers_get_the_scales_of_int8_too(int8_checkpoint: Path, tiny_checkpoint: Path) -> None:
    """Without them a worker would multiply otherwise, and be refused."""
    with_scales, without = (runner(folder)._files for folder in (int8_checkpoint, tiny_checkpoint))
    assert {name: with_scales[name] == (int8_checkpoint / name).read_bytes() for name in with_scales} == dict.fromkeys(
        ("config.json", "tokenizer.json", "model.onnx", "int8.safetensors", "int8.onnx"), True
    )
    assert sorted(without) == ["config.json", "model.onnx", "tokenizer.json"]
