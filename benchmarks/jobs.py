"""Scoring jobs of one checkpoint on one runtime, timed: what `benchmarks.distributed` sets side by side."""

from __future__ import annotations

import hashlib
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from sentiment import distributed
from sentiment.analyzer import Analyzer
from sentiment.batch import LocalRunner, Runner, ScoreOptions, Tick, score_with
from sentiment.blocks import BlockRules, blocks_of
from sentiment.checkpoint import Checkpoint
from sentiment.distributed import Failed, RayOptions, RayRunner, Worker
from sentiment.runtimes import Choice
from sentiment.tables import Row, Table

TIMED = ("rows_per_second", "first_block_seconds", "assembling_seconds", "seconds")


@dataclass
class Clock:
    """When blocks were done, and how many rows were scored by then."""

    blocks: list[tuple[float, int]] = field(default_factory=list)
    watch: Callable[[Tick], None] = lambda tick: None

    def __call__(self, tick: Tick) -> None:
        if tick.phase == "score":
            self.blocks.append((time.monotonic(), tick.scored))
            self.watch(tick)


def steady_rate(blocks: Sequence[tuple[float, int]], workers: int) -> float:
    """Rows a second between the moment when as many blocks were done as there are workers, and the last.

    Their start does not count: it is the same for a job of any size, and an assumption of `benchmarks.cost`. Blocks
    are to be a multiple of the workers: at the end none of them then waits for another.

    Raises:
        ValueError: no more blocks than workers.
    """
    if len(blocks) <= workers:
        raise ValueError(f"expected more blocks than {workers} workers, found {len(blocks)}")
    (began, before), (ended, after) = blocks[workers - 1], blocks[-1]
    return (after - before) / max(ended - began, 1e-9)


class Ready(Worker):
    """Scores its first block only and answers all others with that part: it never lets a driver wait."""

    _part: bytes | Failed | None = None

    def score(self, rows: Sequence[Row], rules: BlockRules) -> bytes | Failed:
        self._part = self._part or super().score(rows, rules)
        return self._part


@dataclass(frozen=True)
class Bench:
    """What all jobs over one table have in common. `folder`: scratch."""

    table: Table
    checkpoint: Checkpoint
    runtime: Choice
    folder: Path
    block_rows: int

    def job(
        self, output: Path, start: Callable[[], Runner], workers: int = 1, watch: Callable[[Tick], None] | None = None
    ) -> dict[str, Any]:
        """Runs a job into `output`, in a folder that it makes; see `steady_rate` for its rate.

        Args:
            start: makes the runner, on the clock: the local engine loads its model there, workers do in the job.
        """
        output.parent.mkdir(parents=True)
        clock = Clock()
        clock.watch = watch or clock.watch
        began = time.monotonic()
        summary = score_with(self.table, start(), output, ScoreOptions(block_rows=self.block_rows), clock)
        ended = time.monotonic()
        return {
            "rows": summary.rows,
            "rows_per_second": round(steady_rate(clock.blocks, workers), 1),
            "first_block_seconds": round(clock.blocks[0][0] - began, 2),
            "assembling_seconds": round(ended - clock.blocks[-1][0], 2),
            "seconds": round(ended - began, 2),
            "sha256": sha256(output),
        }

    def timed(self, start: Callable[[], Runner], workers: int = 1) -> dict[str, Any]:
        """A job whose output is not kept."""
        with tempfile.TemporaryDirectory(dir=self.folder) as scratch:
            return self.job(Path(scratch) / "job" / "out.parquet", start, workers)

    def local(self) -> LocalRunner:
        return LocalRunner(Analyzer.load(self.checkpoint.folder, threads=1, runtime=self.runtime.name))

    def ray(self, workers: int) -> RayRunner:
        return RayRunner(self.checkpoint, RayOptions(workers=workers), load={"runtime": self.runtime.name})

    def driven(self) -> dict[str, Any]:
        """A job whose worker is always ready: its steady rate is that at which a driver reads, hands out and keeps."""
        with patch.object(distributed, "Worker", Ready):
            return self.timed(partial(self.ray, 1))

    def rows(self) -> int:
        """How many rows the table has."""
        return sum(len(block.rows) for block in blocks_of(self.table, self.block_rows))

    def reading_rate(self) -> float:
        """Rows that the driver reads in a second, and cuts into blocks."""
        started = time.monotonic()
        return round(self.rows() / (time.monotonic() - started), 1)


def summarised(runs: Sequence[dict[str, Any]], expected: str) -> dict[str, Any]:
    """Medians of a job's runs, the least and the greatest rate, and whether every run wrote the expected bytes."""
    rates = [run["rows_per_second"] for run in runs]
    return {
        "rows": runs[0]["rows"],
        **{name: round(statistics.median(run[name] for run in runs), 2) for name in TIMED},
        "low": min(rates),
        "high": max(rates),
        "bytes_equal": all(run["sha256"] == expected for run in runs),
        "runs": list(runs),
    }


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
