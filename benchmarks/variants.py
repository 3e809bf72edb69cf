"""The engine with one thing done otherwise: other batches, packed rows, another graph, pinned threads, and a job whose
reading and writing overlap with inference. What `benchmarks.levers` holds against the packaged way."""

from __future__ import annotations

import copy
import os
import queue
import threading
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import onnx
from numpy.typing import NDArray

from benchmarks.graphs import fused, halves, pruned
from sentiment.batch import LocalRunner
from sentiment.blocks import Block, BlockRules, analyze_rows
from sentiment.checkpoint import Checkpoint
from sentiment.engine import OUTPUTS, Engine, Logits
from sentiment.onnx_session import open_session
from sentiment.parts import packed_part
from sentiment.runtimes import Choice, Runtime, session_of
from training.int8 import Feed, float_graph

BATCH = 32
# Most tokens of a packed row: longer ones pay more for attention, which reads the whole row.
ROW = 128
SEPARATE = np.float32(-1e4)  # added to the score between tokens of different texts
AHEAD = 2  # blocks that are read before they are needed, or wait to be written


def float_session(graph: onnx.ModelProto, threads: int) -> Any:
    """A session in float32 of another graph than a checkpoint's, set up as its own."""
    return open_session(graph.SerializeToString(), threads, entries={"session.disable_quant_qdq": "1"})


def with_session(engine: Engine, session: Runtime) -> Engine:
    """The engine, its batches and its tokeniser, on another session."""
    found = copy.copy(engine)
    found._session = session
    return found


def one_by_one(engine: Engine) -> Engine:
    """The engine with its texts tokenised one by one."""
    found = copy.copy(engine)
    found.tokenizer = cast(Any, OneByOne(engine.tokenizer))
    return found


class Sorted(Engine):
    """Batches of 32, sorted by length, under no budget of tokens."""

    def _batches(self, order: Sequence[int], windows: Sequence[Sequence[int]]) -> Iterator[list[int]]:
        for start in range(0, len(order), BATCH):
            yield list(order[start : start + BATCH])


class InOrder(Sorted):
    """Batches of 32 in the given order, as a plain loop makes them."""

    def _batches(self, order: Sequence[int], windows: Sequence[Sequence[int]]) -> Iterator[list[int]]:
        return super()._batches(range(len(windows)), windows)


@dataclass
class Row:
    """A packed row: which windows it has, where each begins, and its tokens."""

    windows: list[int]
    starts: list[int]
    tokens: int


def packed_rows(lengths: Sequence[int], room: int) -> list[Row]:
    """Windows of these lengths in rows of at most `room` tokens: the longest first, each into the first row it fits."""
    rows: list[Row] = []
    for i in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        row = next((row for row in rows if row.tokens + lengths[i] <= room), None)
        if row is None:
            row = Row([], [], 0)
            rows.append(row)
        row.windows.append(i)
        row.starts.append(row.tokens)
        row.tokens += lengths[i]
    return rows


class Packed(Engine):
    """Several windows in one row of the encoder; its mask lets no token see another text, and positions restart.

    The packaged graph's mask says of each token whether it is padding and cannot tell texts apart, so the graph is cut
    in two: an encoder that takes positions and a mask of pairs, and the heads, which get every window as a row again.
    """

    def __init__(self, checkpoint: Checkpoint, *, threads: int) -> None:
        super().__init__(checkpoint, threads=threads)
        encoder, heads = halves(float_graph(checkpoint.folder / "model.onnx"))
        self._encoder, self._heads = float_session(encoder, threads), float_session(heads, threads)
        self._room = min(ROW, checkpoint.max_tokens)

    def rows(self, windows: Sequence[Sequence[int]]) -> list[Row]:
        """How these windows are packed, the fullest row first."""
        extra = len(self._prefix) + len(self._suffix)
        lengths = [len(window) + extra for window in windows]
        rows = packed_rows(lengths, max(self._room, *lengths, 1))
        return sorted(rows, key=lambda row: -row.tokens)

    def run(self, windows: Sequence[Sequence[int]]) -> list[Logits]:
        answers: dict[int, Logits] = {}
        for rows in self.grouped(windows):
            hidden = self._encode(rows, windows)
            places = {i: (number, start) for number, row in enumerate(rows)
                      for i, start in zip(row.windows, row.starts, strict=True)}  # fmt: skip
            order = sorted(places, key=lambda i: (len(windows[i]), i))
            for batch in self._batches(order, windows):
                answers |= zip(batch, self._answer(batch, places, hidden, windows), strict=True)
        return [answers[i] for i in range(len(windows))]

    def grouped(self, windows: Sequence[Sequence[int]]) -> Iterator[list[Row]]:
        """The rows in batches under the token budget."""
        batch: list[Row] = []
        for row in self.rows(windows) if windows else ():
            if batch and (len(batch) + 1) * batch[0].tokens > self._budget:
                yield batch
                batch = []
            batch.append(row)
        if batch:
            yield batch

    def _encode(self, rows: Sequence[Row], windows: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        shape = (len(rows), rows[0].tokens)
        ids, positions = np.full(shape, self._pad, np.int64), np.zeros(shape, np.int64)
        text = np.full(shape, -1)
        for number, row in enumerate(rows):
            for i, start in zip(row.windows, row.starts, strict=True):
                sequence = [*self._prefix, *windows[i], *self._suffix]
                part = slice(start, start + len(sequence))
                ids[number, part], text[number, part] = sequence, i
                positions[number, part] = np.arange(len(sequence))
        apart = text[:, None, :, None] != text[:, None, None, :]
        feed = {
            "input_ids": ids, "attention_mask": np.ones(shape, np.int64), "positions": positions,
            "attention_bias": np.where(apart, SEPARATE, np.float32(0)),
        }  # fmt: skip
        hidden: NDArray[np.float32] = self._encoder.run(["hidden"], feed)[0]
        return hidden

    def _answer(
        self, batch: Sequence[int], places: dict[int, tuple[int, int]], hidden: NDArray[np.float32],
        windows: Sequence[Sequence[int]],
    ) -> list[Logits]:  # fmt: skip
        first, extra = len(self._prefix), len(self._prefix) + len(self._suffix)
        lengths = [len(windows[i]) + extra for i in batch]
        states = np.zeros((len(batch), max(lengths), hidden.shape[2]), np.float32)
        mask = np.zeros(states.shape[:2], np.int64)
        for at, (i, length) in enumerate(zip(batch, lengths, strict=True)):
            row, start = places[i]
            states[at, :length], mask[at, :length] = hidden[row, start : start + length], 1
        outputs = self._heads.run(OUTPUTS, {"hidden": states, "attention_mask": mask})
        answers = []
        for at, length in enumerate(lengths):
            mention, polarity, overall, intent, escalation = (output[at] for output in outputs[:-1])
            evidence = outputs[-1][at, first : first + length - extra]
            answers.append(Logits(mention, polarity, overall, intent, escalation, evidence))
        return answers


class Remapped:
    """A session over a table of fewer pieces; one that was cut away is out of its range, and refused."""

    def __init__(self, graph: onnx.ModelProto, kept: Sequence[int], size: int, threads: int) -> None:
        self._session = float_session(graph, threads)
        self._table = np.full(size, len(kept), dtype=np.int64)
        self._table[list(kept)] = np.arange(len(kept))

    def run(self, outputs: Sequence[str], feed: Feed) -> list[NDArray[np.float32]]:
        found: list[NDArray[np.float32]] = self._session.run(
            outputs, {**feed, "input_ids": self._table[feed["input_ids"]]}
        )
        return found


def cut_table(engine: Engine, checkpoint: Checkpoint, ids: set[int], threads: int) -> tuple[Remapped, onnx.ModelProto]:
    """The packaged graph with the pieces of these ids and the special ones alone, as a session, and the graph."""
    kept = sorted({*ids, *engine._prefix, *engine._suffix, engine._pad})
    graph = pruned(onnx.load(str(checkpoint.folder / "model.onnx")), kept)
    return Remapped(graph, kept, int(checkpoint.config["encoder"]["vocab_size"]), threads), graph


def fused_session(checkpoint: Checkpoint, threads: int) -> Runtime:
    """The packaged graph with fused attention."""
    heads = int(checkpoint.config["encoder"]["num_attention_heads"])
    return cast(Runtime, float_session(fused(float_graph(checkpoint.folder / "model.onnx"), heads), threads))


def normalising_session(choice: Choice, checkpoint: Checkpoint, threads: int) -> Runtime:
    """The packaged session with all that ONNX Runtime fuses by itself."""
    return cast(Runtime, session_of(choice, checkpoint.folder / "model.onnx", threads, unfused=()))


def cpus_to_pin(threads: int) -> list[int]:
    """The CPUs that this process may use.

    Raises:
        OSError: nothing to pin: one thread, fewer CPUs than threads, or a system that cannot.
    """
    if not hasattr(os, "sched_setaffinity"):
        raise OSError("expected a system that pins threads, found none of Linux's calls")
    cpus = sorted(os.sched_getaffinity(0))
    if not 1 < threads <= len(cpus):
        raise OSError(f"expected at least two threads and as many CPUs, found {threads} and {len(cpus)}")
    return cpus


class Pinned:
    """The packaged session with each of its threads, the calling one among them, kept on a CPU of its own.

    Raises:
        OSError: as `cpus_to_pin`.
    """

    def __init__(self, choice: Choice, checkpoint: Checkpoint, threads: int) -> None:
        cpus = cpus_to_pin(threads)
        self._first = {cpus[0]}
        others = ";".join(
            str(cpu + 1) for cpu in cpus[1:threads]
        )  # counted from 1; the calling thread is not among them
        entries = {"session.intra_op_thread_affinities": others}
        self._session = session_of(choice, checkpoint.folder / "model.onnx", threads, entries=entries)

    def run(self, outputs: Sequence[str], feed: Feed) -> list[NDArray[np.float32]]:
        before = os.sched_getaffinity(0)  # of this thread
        os.sched_setaffinity(0, self._first)
        try:
            found: list[NDArray[np.float32]] = self._session.run(outputs, feed)
            return found
        finally:
            os.sched_setaffinity(0, before)


class OneByOne:
    """A tokeniser that is asked for one text after the other."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def encode_batch(self, texts: Sequence[str], *, add_special_tokens: bool) -> list[Any]:
        return [self._tokenizer.encode(text, add_special_tokens=add_special_tokens) for text in texts]


_END = object()


class Overlapped(LocalRunner):
    """The local runner with a thread that reads ahead, one that scores, and the caller's, which packs and writes."""

    def run(self, blocks: Iterator[Block], rules: BlockRules) -> Generator[tuple[Block, bytes]]:
        def scored(block: Block) -> tuple[Block, Any]:
            return block, analyze_rows(block.rows, rules, self._scorer)

        for block, found in _ahead(scored(block) for block in _ahead(blocks)):
            yield block, packed_part(*found)


def _ahead(items: Iterator[Any]) -> Iterator[Any]:
    """The items, made by a thread of their own, a few ahead of who asks; its error is raised here."""
    waiting: queue.Queue[Any] = queue.Queue(AHEAD)
    stopped = threading.Event()

    def put(item: Any) -> bool:
        while not stopped.is_set():
            try:
                waiting.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def make() -> None:
        try:
            for item in items:
                if not put(item):
                    return
        except BaseException as error:
            put(error)
        put(_END)

    thread = threading.Thread(target=make, daemon=True)
    thread.start()
    try:
        while (item := waiting.get()) is not _END:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stopped.set()
        thread.join()
