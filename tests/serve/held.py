"""A service in a process of its own that scores nothing while a file is there, so that a test knows what waits."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from waits import block_until

# What uvicorn logs in each process that is told to end and still has requests to answer.
ENDING = "Waiting for connections to close"


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Until `release`, the service scores nothing more, and what it accepts waits."""
    (folder / "hold").touch()
    try:
        yield
    finally:
        release(folder)


def release(folder: Path) -> None:
    (folder / "hold").unlink(missing_ok=True)


def wait_while_held(folder: Path, texts: int) -> None:
    """What the service's analyser does first; it notes how many texts it has taken out of the queue."""
    with (folder / f"begun-{os.getpid()}").open("a") as file:
        file.write("x" * texts)
    block_until(lambda: not (folder / "hold").exists(), 90)


def begun(folder: Path) -> int:
    """The texts that were taken out of the queue so far. To be read before `waiting`, or some might count twice."""
    return sum(path.stat().st_size for path in folder.glob("begun-*"))


def waiting(metrics: str) -> int:
    """The texts in the queue, by what /metrics says."""
    (value,) = re.findall(r"^cinesent_queue_texts (.+)$", metrics, re.MULTILINE)
    return int(float(value))
