"""Waiting for a state, with an end: what never comes fails a test and does not hang all that would run after it."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any


async def wait_until(ready: Callable[[], Any], seconds: float = 60) -> None:
    """Until `ready`, which may be a coroutine function, answers with something true."""
    end = time.monotonic() + seconds
    while True:
        found = ready()
        if await found if inspect.isawaitable(found) else found:
            return
        assert time.monotonic() < end, f"expected it to come true within {seconds:g} s"
        await asyncio.sleep(0.001)


def block_until(ready: Callable[[], Any], seconds: float = 60) -> None:
    """As `wait_until`, where there is no event loop."""
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, f"expected it to come true within {seconds:g} s"
        time.sleep(0.001)


def skip_time(seconds: float) -> None:
    """Puts the event loop's clock forward: deadlines within these seconds are over, however fast the machine is."""
    loop: Any = asyncio.get_running_loop()
    real = loop.time
    loop.time = lambda: real() + seconds
