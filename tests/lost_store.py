"""A store behind an address, the way to which can fail: what reading from far away is tested on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pyarrow import fs

from sentiment.tables.remote import RemotePath

ADDRESS = "s3://far/dump"
REASON = "AWS Error NETWORK_CONNECTION during GetObject operation: curlCode: 56"


class LostStore:
    """Stands for pyarrow's filesystem: the files of a local folder, found at any address.

    `read` has an entry for every time that a file was opened, the bytes read then. The opening number `lost_at` yields
    at most `after` bytes: the read that would give more fails; below 0 the opening itself does.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._system = folder, fs.LocalFileSystem()
        self.read: list[int] = []
        self.lost_at: int | None = None
        self.after = 0

    def find(self, address: str) -> Iterator[tuple[RemotePath, str | None]]:
        """In the place of `find_remote`."""
        for path in sorted(self._folder.iterdir()):
            yield RemotePath(f"{address}/{path.name}", str(path), path.stat().st_size, self), path.name

    def lose(self, after: int) -> None:
        """Of another job like the one so far, the last opening fails after so many bytes; those behind it do not."""
        self.lost_at, self.after = 2 * len(self.read) - 1, after

    def open_input_stream(self, key: str, **options: Any) -> Any:
        return self._open(self._system.open_input_stream(key, **options))

    def open_input_file(self, key: str) -> Any:
        return self._open(self._system.open_input_file(key))

    def count(self, opening: int, size: int) -> None:
        self.read[opening] += size
        if opening == self.lost_at and self.read[opening] > self.after:
            raise OSError(REASON)

    def _open(self, stream: Any) -> _Stream:
        self.read.append(0)
        self.count(len(self.read) - 1, 0)
        return _Stream(self, stream, len(self.read) - 1)


class _Stream:
    def __init__(self, store: LostStore, stream: Any, opening: int) -> None:
        self._store, self._stream, self._opening = store, stream, opening

    def read(self, size: int | None = None) -> Any:
        data = self._stream.read(size)
        self._store.count(self._opening, len(data))
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
