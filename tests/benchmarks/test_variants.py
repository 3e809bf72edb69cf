"""The other ways small: a random checkpoint, few texts; each has to give the packaged way's answers."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from benchmarks import variants
from benchmarks.engines import engine_on
from benchmarks.graphs import table_bytes
from benchmarks.variants import (
    InOrder,
    OneByOne,
    Overlapped,
    Packed,
    Pinned,
    Sorted,
    cut_table,
    one_by_one,
    packed_rows,
    with_session,
)
from sentiment.analyzer import Analyzer
from sentiment.batch import LocalRunner, ScoreOptions, score_with
from sentiment.checkpoint import Checkpoint
from sentiment.engine import Engine
from sentiment.runtimes import choose_runtime
from sentiment.tables import ReadOptions, open_tables
from tests.benchmarks.sides import largest, windows

PINS = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2, reason="pinning needs Linux and two CPUs"
)


def test_variants_rows_hold_every_window_once() -> None:
    lengths = [5, 60, 12, 12, 30, 3, 64, 1]
    rows = packed_rows(lengths, 64)
    assert sorted(i for row in rows for i in row.windows) == list(range(len(lengths)))
    assert len(rows) == 3  # 64; 60 and 3 and 1; 30 and 12 and 12 and 5
    for row in rows:
        ends = [start + lengths[i] for start, i in zip(row.starts, row.windows, strict=True)]
        assert row.starts == [0, *ends[:-1]] and row.tokens == ends[-1] <= 64


def test_variants_packed_texts_do_not_see_one_another(
    checkpoint: Checkpoint, engine: Engine, texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = Packed(checkpoint, threads=1)
    assert max(len(row.windows) for row in packed.rows(windows(engine, texts))) > 2
    assert largest(engine, packed, texts) < 1e-4
    assert packed.run([]) == []
    monkeypatch.setattr(variants, "SEPARATE", np.float32(0))  # without the mask they do
    assert largest(engine, packed, texts) > 1e-3


def test_variants_packed_rows_keep_to_the_budget(checkpoint: Checkpoint, engine: Engine, texts: list[str]) -> None:
    packed = Packed(checkpoint, threads=1)
    packed._budget = 2 * checkpoint.max_tokens
    groups = list(packed.grouped(windows(engine, texts)))
    assert len(groups) > 2 and all(len(rows) * rows[0].tokens <= packed._budget for rows in groups)
    assert largest(engine, packed, texts) < 1e-4


def test_variants_cut_table_answers_the_same_and_refuses_other_pieces(
    checkpoint: Checkpoint, engine: Engine, texts: list[str]
) -> None:
    ids = {piece for window in windows(engine, texts) for piece in window}
    session, graph = cut_table(engine, checkpoint, ids, 1)
    assert largest(engine, engine_on(checkpoint, session, 1), texts) == 0.0
    whole = table_bytes(onnx.load(str(checkpoint.folder / "model.onnx")))
    small = table_bytes(graph)
    size = int(checkpoint.config["encoder"]["vocab_size"])
    assert len(ids) < size and small[0] < whole[0] and small[1] < whole[1] == 4 * size * 32
    missing = next(piece for piece in range(size) if piece not in ids and piece > 5)
    with pytest.raises(Exception, match="out of"):
        engine_on(checkpoint, session, 1).run([[missing]])


def test_variants_batches_of_32(checkpoint: Checkpoint, engine: Engine, sample_texts: list[str]) -> None:
    found = windows(engine, sample_texts[:100])
    order = sorted(range(len(found)), key=lambda i: (len(found[i]), i))
    given, ranked = (list(kind(checkpoint, threads=1)._batches(order, found)) for kind in (InOrder, Sorted))
    assert [i for batch in given for i in batch] == list(range(len(found)))
    assert [i for batch in ranked for i in batch] == order
    assert {len(batch) for batch in (*given[:-1], *ranked[:-1])} == {32}
    for kind in (InOrder, Sorted):
        assert largest(engine, kind(checkpoint, threads=1), sample_texts[:100]) < 1e-4


@PINS
def test_variants_pinned_threads_are_let_go(checkpoint: Checkpoint, engine: Engine, texts: list[str]) -> None:
    before = os.sched_getaffinity(0)
    pinned = Pinned(engine.runtime, checkpoint, 2)
    seen: list[set[int]] = []
    real = pinned._session

    class Watched:
        def run(self, outputs: Sequence[str], feed: Any) -> Any:
            seen.append(os.sched_getaffinity(0))
            return real.run(outputs, feed)

    pinned._session = Watched()  # type: ignore[assignment]
    assert largest(engine, engine_on(checkpoint, pinned, 2), texts) < 1e-4
    assert all(len(cpus) == 1 for cpus in seen) and os.sched_getaffinity(0) == before


def test_variants_pinning_one_thread_is_refused(checkpoint: Checkpoint) -> None:
    with pytest.raises(OSError, match="expected"):
        Pinned(choose_runtime("onnxruntime"), checkpoint, 1)


def test_variants_tokenising_one_by_one_is_the_same(engine: Engine, texts: list[str]) -> None:
    found = OneByOne(engine.tokenizer).encode_batch(texts, add_special_tokens=False)
    assert [e.ids for e in found] == [e.ids for e in engine.tokenizer.encode_batch(texts, add_special_tokens=False)]


def test_variants_an_engine_with_one_thing_exchanged_leaves_the_other_alone(engine: Engine) -> None:
    session, tokenizer = engine._session, engine.tokenizer
    single, other = one_by_one(engine), with_session(engine, object())  # type: ignore[arg-type]
    assert isinstance(single.tokenizer, OneByOne) and single._session is session
    assert other._session is not session and other.tokenizer is tokenizer
    assert engine._session is session and engine.tokenizer is tokenizer


def write_csv(path: Path, texts: Sequence[str]) -> Path:
    path.write_text("text\n" + "".join(f"{text}\n" for text in texts if text and "\n" not in text), "utf-8")
    return path


def test_variants_overlapped_job_writes_the_same_bytes(
    checkpoint: Checkpoint, engine: Engine, sample_texts: list[str], tmp_path: Path
) -> None:
    source = write_csv(tmp_path / "in.csv", sample_texts[:120])
    found = {}
    for kind in (LocalRunner, Overlapped):
        runner, output = kind(Analyzer(checkpoint, engine)), tmp_path / f"{kind.__name__}.csv"
        score_with(open_tables([str(source)], ReadOptions()), runner, output, ScoreOptions(block_rows=10))
        found[kind] = output.read_bytes()
    assert found[LocalRunner] == found[Overlapped] and found[LocalRunner].count(b"\n") > 50


def test_variants_overlapped_threads_end_with_their_reader() -> None:
    def broken() -> Iterator[int]:
        yield from range(5)
        raise ValueError("broken here")

    taken = []
    with pytest.raises(ValueError, match="broken here"):
        taken.extend(variants._ahead(broken()))
    before = threading.active_count()
    endless = variants._ahead(iter(int, 1))
    next(endless)
    assert threading.active_count() == before + 1
    endless.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
