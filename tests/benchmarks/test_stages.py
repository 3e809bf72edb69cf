from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import sentiment.analyzer
import sentiment.batch
from benchmarks.stages import STAGES, Clock, shares
from sentiment.analyzer import Analyzer


def test_stages_add_up_and_leave_nothing_behind(tiny_checkpoint: Path, sample_texts: list[str]) -> None:
    analyzer = Analyzer.load(tiny_checkpoint, threads=1)
    before = (sentiment.analyzer.normalise, sentiment.batch.blocks_of, analyzer._engine.tokenizer)
    records = analyzer.analyze_block(sample_texts[:50])
    found = shares(analyzer, sample_texts[:200])
    assert set(found) == {*STAGES, "other", "total"}
    assert all(found[stage] > 0 for stage in STAGES)
    assert sum(value for name, value in found.items() if name != "total") == pytest.approx(found["total"])
    assert 0 <= found["other"] < 0.5 * found["total"]
    assert (sentiment.analyzer.normalise, sentiment.batch.blocks_of, analyzer._engine.tokenizer) == before
    assert "run" not in vars(analyzer._engine) and "_record" not in vars(analyzer)
    assert analyzer.analyze_block(sample_texts[:50]) == records


def test_stages_clock_counts_calls_and_iterators(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def work(seconds: float) -> float:
        nonlocal now
        now += seconds
        return seconds

    def items() -> Iterator[float]:
        yield work(2.0)
        yield work(3.0)

    monkeypatch.setattr("time.perf_counter", lambda: now)
    clock = Clock()
    assert clock.timed("decoding", work)(4.0) == 4.0
    for _ in clock.timed_iterator("reading", items)():
        work(100.0)  # the caller's time is not the iterator's
    with pytest.raises(ZeroDivisionError):
        clock.timed("writing", lambda: work(1.0) / 0)()
    assert clock.seconds["decoding"] == 4.0 and clock.seconds["reading"] == 5.0 and clock.seconds["writing"] == 1.0
