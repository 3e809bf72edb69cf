"""Files of the report: there when they are whole, so that an old one is not lost to half a new one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def appearing(output: Path) -> Iterator[IO[bytes]]:
    """A stream whose bytes become `output` at the end; if the writing fails, nothing changes.

    Raises:
        OSError: it cannot be written.
    """
    output = output.resolve() if output.is_symlink() else output
    temporary = output.with_name(f".{output.name}.partial")
    try:
        with temporary.open("wb") as stream:
            yield stream
        temporary.replace(output)
    finally:
        temporary.unlink(missing_ok=True)
