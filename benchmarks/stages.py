"""Where the time of `cinesent score` goes: reading, normalising, tokenising, inference, decoding, writing."""

from __future__ import annotations

import contextlib
import csv
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from pathlib import Path
from typing import Any
from unittest import mock

import sentiment.analyzer
import sentiment.batch
import sentiment.blocks
from sentiment.analyzer import Analyzer
from sentiment.parts import PartStore
from sentiment.tables import ReadOptions, Table, open_tables

STAGES = ("reading", "normalising", "tokenising", "inference", "decoding", "writing")


class Clock:
    """Seconds by stage. Stages that run inside one another would count twice; none of these do."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(STAGES, 0.0)

    def timed(self, stage: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """`call`, its time added to the stage."""

        @wraps(call)
        def run(*arguments: Any, **options: Any) -> Any:
            started = time.perf_counter()
            try:
                return call(*arguments, **options)
            finally:
                self.seconds[stage] += time.perf_counter() - started

        return run

    def timed_iterator(self, stage: str, call: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        """`call`, whose iterator's time is added to the stage."""

        def run(*arguments: Any, **options: Any) -> Iterator[Any]:
            step = self.timed(stage, lambda items: next(items, None))
            items = call(*arguments, **options)
            while (item := step(items)) is not None:
                yield item

        return run


class _Tokenizer:
    """The engine's tokeniser under a clock; it is not a Python object that can be patched."""

    def __init__(self, tokenizer: Any, clock: Clock) -> None:
        self._tokenizer = tokenizer
        self.encode_batch = clock.timed("tokenising", tokenizer.encode_batch)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)


def shares(analyzer: Analyzer, texts: Sequence[str]) -> dict[str, float]:
    """Seconds of each stage, `other`, and `total`, of scoring a CSV of the texts into a CSV."""
    clock = Clock()
    engine = analyzer._engine
    timed: tuple[tuple[object, str, str], ...] = (
        (Table, "fingerprint", "reading"),
        (sentiment.analyzer, "normalise", "normalising"),
        (sentiment.analyzer, "split_windows", "tokenising"),
        (engine, "run", "inference"),
        (analyzer, "_found", "decoding"),
        (analyzer, "_record", "decoding"),
        (sentiment.blocks, "block_table", "writing"),
        (sentiment.batch, "packed_part", "writing"),
        (PartStore, "write", "writing"),
        (sentiment.batch._Job, "_assemble", "writing"),
    )
    blocks = clock.timed_iterator("reading", sentiment.blocks.blocks_of)
    patches: list[Any] = [
        mock.patch.object(at, name, clock.timed(stage, getattr(at, name))) for at, name, stage in timed
    ]
    patches += [
        mock.patch.object(sentiment.batch, "blocks_of", blocks),
        mock.patch.object(engine, "tokenizer", _Tokenizer(engine.tokenizer, clock)),
    ]
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as stack:
        path = Path(scratch) / "in.csv"
        with path.open("w", encoding="utf-8", newline="", errors="replace") as handle:
            csv.writer(handle).writerows([("编号", "评论"), *((str(i), text) for i, text in enumerate(texts))])
        for patch in patches:
            stack.enter_context(patch)
        started = time.perf_counter()
        table = clock.timed("reading", open_tables)([str(path)], ReadOptions(text_column="评论", id_column="编号"))
        summary = sentiment.batch.score(table, analyzer, Path(scratch) / "out.csv")
        total = time.perf_counter() - started
    if summary.rows != len(texts):
        raise RuntimeError(f"expected {len(texts)} rows scored, found {summary.rows}")
    other = total - sum(clock.seconds.values())
    return {**clock.seconds, "other": other, "total": total}
