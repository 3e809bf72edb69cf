"""Files at addresses such as s3://bucket/folder, read through pyarrow's filesystems.

What addresses there are, and how they are given credentials, is pyarrow's: s3, gs, abfs, hdfs, file. Nothing is
reached that the caller did not name.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, cast

from sentiment.tables.base import TableError

if TYPE_CHECKING:
    import pyarrow.fs

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_BUFFER = 8 << 20  # bytes asked for at once: a request a megabyte is what makes object stores slow


class Size(NamedTuple):
    """The one field of `os.stat_result` that reading needs."""

    st_size: int


class RemoteError(OSError):
    """What is at an address could not be read (on): the fault of the way to it, which says nothing of the file."""


class RemoteStream:
    """The bytes of a file at an address. `lost` is why no more of them came: what reads a format through this stream
    may make of that whatever it makes of a damaged file.

    Raises:
        RemoteError: in `read`.
    """

    def __init__(self, stream: Any, address: str) -> None:
        self._stream, self._address = stream, address
        self.lost: RemoteError | None = None

    def read(self, size: int = -1) -> bytes:
        try:
            data: bytes = self._stream.read(None if size < 0 else size)
        except OSError as error:
            self.lost = _lost(error, self._address)
            raise self.lost from error
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        return int(self._stream.seek(offset, whence))

    def tell(self) -> int:
        return int(self._stream.tell())

    @property
    def closed(self) -> bool:
        return bool(self._stream.closed)

    def close(self) -> None:
        self._stream.close()

    def __enter__(self) -> RemoteStream:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


@dataclass(frozen=True)
class RemotePath:
    """A file at an address, with those methods of `pathlib.Path` that reading needs; `key` is its place there."""

    address: str
    key: str
    size: int
    system: pyarrow.fs.FileSystem = field(repr=False, compare=False)

    @property
    def name(self) -> str:
        return PurePosixPath(self.key).name

    def open(self, mode: str = "rb") -> BinaryIO:
        """The file from its beginning; forwards only.

        Raises:
            RemoteError: it cannot be read; in `read` too.
        """
        try:
            stream = self.system.open_input_stream(self.key, buffer_size=_BUFFER, compression=None)
        except OSError as error:
            raise _lost(error, self.address) from error
        return cast(BinaryIO, RemoteStream(stream, self.address))

    def open_seekable(self) -> RemoteStream:
        """The file at any place, each read a request.

        Raises:
            RemoteError: it cannot be read; in `read` too.
        """
        try:
            return RemoteStream(self.system.open_input_file(self.key), self.address)
        except OSError as error:
            raise _lost(error, self.address) from error

    def stat(self) -> Size:
        return Size(self.size)

    def samefile(self, other: object) -> bool:
        """No local file is this one."""
        return False

    def resolve(self) -> RemotePath:
        return self

    def as_posix(self) -> str:
        return self.address


def is_address(given: object) -> bool:
    """Whether this names a place in another filesystem; a Windows path, one letter before the colon, does not."""
    return isinstance(given, str) and _ADDRESS.match(given) is not None


def local_path(address: str) -> Path | None:
    """The path that a file:// address names; None for an address of another kind.

    Raises:
        TableError: it names another machine.
    """
    scheme, _, rest = address.partition("://")
    if scheme.lower() != "file":
        return None
    host, _, path = rest.partition("?")[0].partition("/")
    if host.lower() not in ("", "localhost"):
        raise TableError(f"expected file:/// and a path on this machine, found {shown(address)}; give the path itself")
    from urllib.request import url2pathname  # slow to load, and rarely needed

    return Path(url2pathname(f"/{path}"))


def shown(address: str) -> str:
    """The address as messages and columns show it, without keys, passwords and settings."""
    scheme, _, rest = address.partition("://")
    host, slash, path = rest.partition("?")[0].partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def find_remote(address: str) -> Iterator[tuple[RemotePath, str | None]]:
    """The files at an address: itself, or all below it, each with its name relative to the address; None for itself.

    Raises:
        TableError: nothing is there, or it cannot be reached.
    """
    import pyarrow as pa
    from pyarrow import fs

    name = shown(address)
    try:
        system, key = fs.FileSystem.from_uri(address)
        info = system.get_file_info(key)
        if info.type == fs.FileType.NotFound:
            raise TableError(f"expected a file or folder, found nothing at {name}; check the address")
        if info.type == fs.FileType.File:
            yield RemotePath(name, key, info.size, system), None
            return
        found = system.get_file_info(fs.FileSelector(key, recursive=True))
    except (OSError, pa.ArrowException, ValueError) as error:
        if isinstance(error, TableError):
            raise
        raise TableError(f"expected an address that can be read, found {name}: {_reason(error, address)}") from None
    for item in found:
        if item.type == fs.FileType.File:
            relative = PurePosixPath(item.path).relative_to(key).as_posix()
            yield RemotePath(f"{name.rstrip('/')}/{relative}", item.path, item.size, system), relative


def _lost(error: OSError, address: str) -> RemoteError:
    return RemoteError(errno.EIO, f"reading failed: {_reason(error, address)}", address)


def _reason(error: BaseException, address: str) -> str:
    text = " ".join(str(error).split())
    return (text.replace(address, shown(address)) or type(error).__name__)[:200]
