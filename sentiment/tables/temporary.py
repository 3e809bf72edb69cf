"""Temporary copies of what cannot be read twice or sought in; each is removed with the object that stands for it."""

from __future__ import annotations

import contextlib
import os
import tempfile
import weakref
from pathlib import Path
from typing import BinaryIO

from sentiment.tables.base import TableError

_BLOCK = 1 << 20


class TemporaryCopy:
    """A temporary file with everything that `stream` held, gone when this object is.

    Raises:
        TableError: more than `most` bytes, or no room for them.
    """

    def __init__(self, stream: BinaryIO, name: str, most: int | None = None) -> None:
        try:
            handle, made = tempfile.mkstemp(prefix="cinesent-")
        except OSError as error:
            raise _no_room(name, Path(tempfile.gettempdir()), error) from None
        self.path = Path(made)
        self._remove = weakref.finalize(self, _remove, self.path)
        size = 0
        with os.fdopen(handle, "wb") as target:
            while block := stream.read(_BLOCK):
                size += len(block)
                if most is not None and size > most:
                    raise too_large(name, most)
                try:
                    target.write(block)
                    target.flush()
                except OSError as error:
                    raise _no_room(name, self.path.parent, error) from None


def too_large(name: str, most: int) -> TableError:
    """The refusal of a file that unpacks to more than it may."""
    return TableError(
        f"expected {name} to unpack to at most {most // 1_000_000:,} MB (100 times its size plus 200 MB), found more; "
        "if it is sound, unpack it yourself and give the file inside"
    )


def _no_room(name: str, folder: Path, error: OSError) -> TableError:
    return TableError(
        f"expected room for a temporary copy of {name} in {folder}, found: {error.strerror or error}; "
        "free some space or set TMPDIR"
    )


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
