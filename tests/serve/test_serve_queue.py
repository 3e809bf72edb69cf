from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from waits import block_until, wait_until

from sentiment.records import Analysis
from serve.queue import Failure, QueueFullError, UnavailableError, Worker

pytestmark = pytest.mark.anyio


@contextmanager
def _started(fake: Any, queue_size: int = 100, block_characters: int = 1000) -> Iterator[Worker]:
    worker = Worker(lambda: fake, queue_size=queue_size, block_characters=block_characters)
    worker.start()
    assert fake.warm.wait(10)
    block_until(lambda: worker.state != "loading")
    try:
        yield worker
    finally:
        fake.gate.set()
        worker.stop()


async def _occupied(worker: Worker, fake: Any, text: str = "占位") -> asyncio.Task[Any]:
    """The worker scores a first text, and will until the gate is set."""
    fake.gate.clear()
    task = asyncio.create_task(worker.analyze([text], 10))
    await asyncio.to_thread(fake.busy.wait, 10)
    return task


async def test_queue_keeps_order(fake: Any) -> None:
    with _started(fake) as worker:
        texts = ["座椅" * n for n in (3, 1, 2)]
        outcomes = await worker.analyze(texts, 10)
        assert fake.blocks == [["座椅", "座椅" * 2, "座椅" * 3]], "shortest first inside"
        assert all(isinstance(outcome, Analysis) for outcome in outcomes)


async def test_queue_answers_nothing_with_nothing(fake: Any) -> None:
    with _started(fake) as worker:
        assert await worker.analyze([], 10) == []
        assert not fake.blocks


async def test_queue_batches_what_arrives_meanwhile(fake: Any) -> None:
    with _started(fake) as worker:
        first = await _occupied(worker, fake)
        tasks = [asyncio.create_task(worker.analyze([f"第{n}条"], 10)) for n in range(31)]
        await wait_until(lambda: worker.waiting == 31)
        fake.gate.set()
        await asyncio.gather(first, *tasks)
        assert [len(block) for block in fake.blocks] == [1, 31]


async def test_queue_bounds_a_block_by_characters(fake: Any) -> None:
    with _started(fake, block_characters=10) as worker:
        await worker.analyze(["长" * 25, "四个字的", "四个字呀", "四个字啊"], 10)
        assert sorted(map(len, fake.blocks)) == [1, 1, 2]
        assert max(sum(map(len, block)) for block in fake.blocks if len(block) > 1) <= 10


async def test_queue_lets_a_single_text_past_a_long_batch(fake: Any) -> None:
    with _started(fake, block_characters=10) as worker:
        first = await _occupied(worker, fake)
        batch = asyncio.create_task(worker.analyze(["批量的评论"] * 20, 10))
        await asyncio.sleep(0)
        single = asyncio.create_task(worker.analyze(["单条"], 10))
        await wait_until(lambda: worker.waiting == 21)
        fake.gate.set()
        await asyncio.gather(first, batch, single)
        assert fake.blocks[1] == ["单条", "批量的评论"]


async def test_queue_refuses_what_does_not_fit(fake: Any) -> None:
    with _started(fake, queue_size=3) as worker:
        first = await _occupied(worker, fake)
        second = asyncio.create_task(worker.analyze(["一", "二"], 10))
        await asyncio.sleep(0)
        with pytest.raises(QueueFullError) as full:
            await worker.analyze(["三", "四"], 10)
        assert 1 <= full.value.retry_after <= 60
        third = asyncio.create_task(worker.analyze(["三"], 10))
        await asyncio.sleep(0)
        fake.gate.set()
        await asyncio.gather(first, second, third)


async def test_queue_refuses_at_once_what_would_come_too_late(fake: Any) -> None:
    with _started(fake) as worker:
        worker._seconds_per_text = 1.0
        first = await _occupied(worker, fake)
        batch = asyncio.create_task(worker.analyze(["批量"] * 20, 60))
        await asyncio.sleep(0)
        with pytest.raises(QueueFullError) as full:
            await worker.analyze(["另一批"] * 20, 15)
        assert full.value.retry_after == 20
        single = asyncio.create_task(worker.analyze(["单条"], 15))  # in its turn after one of the batch
        await asyncio.sleep(0)
        fake.gate.set()
        assert isinstance((await single)[0], Analysis)
        await asyncio.gather(first, batch)


async def test_queue_gives_up_at_the_deadline(fake: Any) -> None:
    with _started(fake) as worker:
        first = await _occupied(worker, fake)
        started = time.monotonic()
        assert await worker.analyze(["等不到", "也等不到"], 0.05) == [Failure.DEADLINE] * 2
        assert 0.04 < time.monotonic() - started < 5
        assert worker.waiting == 0
        fake.gate.set()
        await first
        await worker.analyze(["下一条"], 10)
        assert fake.blocks == [["占位"], ["下一条"]], "what nobody waits for is not scored"


async def test_queue_leaves_when_the_caller_is_cancelled(fake: Any) -> None:
    with _started(fake) as worker:
        first = await _occupied(worker, fake)
        task = asyncio.create_task(worker.analyze(["取消"], 10))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert worker.waiting == 0
        fake.gate.set()
        await first


async def test_queue_leaves_when_the_caller_does(fake: Any) -> None:
    with _started(fake) as worker:
        first = await _occupied(worker, fake)
        leaving = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(worker.analyze(["走了"], 10, leaving))
        await wait_until(lambda: worker.waiting == 1)
        leaving.set_result(None)
        assert await task == [Failure.DEADLINE]
        assert worker.waiting == 0
        fake.gate.set()
        await first
        assert fake.blocks == [["占位"]]


async def test_queue_survives_what_is_no_exception(fake: Any) -> None:
    """As a panic inside the tokeniser is: without a thread, every later text would wait for its deadline."""

    class PanicError(BaseException):
        pass

    sound = fake.analyze_block

    def analyze_block(texts: Any, ids: Any = None) -> Any:
        if "恐慌" in texts:
            raise PanicError
        return sound(texts, ids)

    fake.analyze_block = analyze_block
    with _started(fake) as worker:
        assert await worker.analyze(["恐慌"], 10) == [Failure.INTERNAL]
        assert isinstance((await worker.analyze(["之后照常"], 10))[0], Analysis)


async def test_queue_isolates_a_text_that_fails(fake: Any, caplog: pytest.LogCaptureFixture) -> None:
    with _started(fake) as worker, caplog.at_level(logging.DEBUG):
        outcomes = await worker.analyze(["座椅很好", "炸弹", "票价太贵了"], 10)
        assert [isinstance(outcome, Analysis) for outcome in outcomes] == [True, False, True]
        assert outcomes[1] is Failure.INTERNAL
        assert isinstance((await worker.analyze(["之后照常"], 10))[0], Analysis)
    assert "ValueError in conftest.py" in caplog.text
    assert "炸弹" not in caplog.text


async def test_queue_notices_an_analyzer_that_drops_texts(fake: Any) -> None:
    fake.analyze_block = lambda texts, ids=None: []
    with _started(fake) as worker:
        assert await worker.analyze(["一"], 10) == [Failure.INTERNAL]


async def test_queue_scores_what_waits_before_it_stops(fake: Any) -> None:
    with _started(fake) as worker:
        first = await _occupied(worker, fake)
        second = asyncio.create_task(worker.analyze(["已收下"], 10))
        await asyncio.sleep(0.01)
        stopping = asyncio.create_task(asyncio.to_thread(worker.stop))
        await asyncio.sleep(0.01)
        with pytest.raises(UnavailableError, match="stopped"):
            await worker.analyze(["太晚"], 10)
        fake.gate.set()
        await stopping
        assert isinstance((await second)[0], Analysis)
        await first


async def test_queue_is_unavailable_while_loading(fake: Any) -> None:
    fake.gate.clear()
    worker = Worker(lambda: fake, queue_size=1, block_characters=1)
    worker.start()
    with pytest.raises(UnavailableError, match="loading"):
        await worker.analyze(["一"], 10)
    started = time.monotonic()
    worker.stop()
    assert time.monotonic() - started < 1, "does not wait for the load"
    worker.join(0.01)
    assert worker._thread.is_alive(), "does not wait for ever"
    fake.gate.set()
    worker.join(60)
    assert not worker._thread.is_alive()


def test_queue_tells_of_a_failed_load(caplog: pytest.LogCaptureFixture) -> None:
    told: list[str] = []

    def load() -> Any:
        raise ValueError("座椅")

    worker = Worker(load, queue_size=1, block_characters=1, on_failure=lambda: told.append(worker.state))
    worker.start()
    worker._thread.join(10)
    assert told == ["failed"]
    assert isinstance(worker.error, ValueError)
    with pytest.raises(UnavailableError, match="failed"):
        _ = worker.analyzer
    assert "座椅" not in caplog.text
    worker.stop()


async def test_queue_counts_what_was_scored_before_the_answer_goes(fake: Any) -> None:
    """Else who asks for the metrics after an answer may not find it in them."""

    class Slow:
        texts = 0

        def queued(self, texts: int) -> None: ...

        def using(self, model: str) -> None: ...

        def scored(self, outcomes: Sequence[Analysis | Failure], seconds: float) -> None:
            time.sleep(0.2)
            self.texts += len(outcomes)

    listener = Slow()
    worker = Worker(lambda: fake, queue_size=100, block_characters=1000, listener=listener)
    worker.start()
    try:
        await wait_until(lambda: worker.state == "ready")
        assert len(await worker.analyze(["座椅", "炸弹"], 10)) == 2
        assert listener.texts == 2
    finally:
        worker.stop()
