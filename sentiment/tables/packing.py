"""Bytes of a file, unpacked on the way (.gz .xz .zip of one file); the position in the packed file is for progress."""

from __future__ import annotations

import gzip
import io
import lzma
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, cast

from sentiment.tables.base import TableError
from sentiment.tables.files import InputFile
from sentiment.tables.remote import RemoteError, RemotePath
from sentiment.tables.temporary import TemporaryCopy, too_large

BLOCK = 1 << 18
BROKEN = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, zipfile.BadZipFile, NotImplementedError)
_GZIP, _XZ, _ZIP = b"\x1f\x8b", b"\xfd7zXZ\x00", b"PK\x03\x04"
# Of the list of members in a zip: ten thousand with usual names. Read, it takes ten times as much memory.
_LIST_BYTES = 1 << 20
_OFFICE = {
    "xl/workbook.bin": "a binary workbook (.xlsb); save it as .xlsx or CSV",
    "word/document.xml": "a Word document; put its table in a spreadsheet and save it as .xlsx or CSV",
    "ppt/presentation.xml": "a presentation; save its table as .xlsx or CSV",
    "content.xml": "an OpenDocument file; save it as .xlsx or CSV",
}


@dataclass
class Packed:
    """An input file and how it is packed: `packing` is "", "gz", "xz" or "zip", `member` the file inside a zip."""

    file: InputFile
    packing: str = ""
    member: str = ""
    _raw: BinaryIO | None = field(default=None, repr=False)
    _copy: TemporaryCopy | None = field(default=None, repr=False)

    @property
    def inner_name(self) -> str:
        return self.member or self.file.name

    def size(self) -> int:
        return self.file.path.stat().st_size

    def most(self) -> int:
        """The largest size that this file may unpack to."""
        return 100 * self.size() + 200_000_000

    def position(self) -> int:
        raw = self._raw
        try:
            return 0 if raw is None else self.size() if raw.closed else raw.tell()
        except (OSError, ValueError):
            return 0

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """The unpacked bytes; what `BROKEN` lists comes out of reading a damaged file."""
        with ExitStack() as stack:
            raw = stack.enter_context(self.file.path.open("rb"))
            self._raw = raw
            stream: BinaryIO = raw
            if self.packing == "gz":
                stream = cast(BinaryIO, stack.enter_context(gzip.open(raw)))
            elif self.packing == "xz":
                stream = cast(BinaryIO, stack.enter_context(lzma.open(raw)))
            elif self.packing == "zip":
                archive = stack.enter_context(zipfile.ZipFile(raw))
                stream = cast(BinaryIO, stack.enter_context(archive.open(self.member)))
            yield stream

    def blocks(self) -> Iterator[bytes]:
        """The unpacked bytes in blocks.

        Raises:
            TableError: the file is damaged, or vanished meanwhile. RemoteError: the way to it failed.
        """
        name, done = self.file.name, 0
        try:
            with self.open() as stream:
                while block := stream.read(BLOCK):
                    done += len(block)
                    yield block
        except BROKEN as error:
            raise damaged(name, self.packing, done, error) from None
        except RemoteError:
            raise
        except OSError as error:
            raise TableError(f"expected to read {name}, found: {error.strerror or error}; check the file") from None

    def head(self, length: int) -> bytes:
        """The first bytes, unpacked; fewer where the file ends before."""
        got = bytearray()
        for block in self.blocks():
            got += block
            if len(got) >= length:
                break
        return bytes(got[:length])

    def seekable_path(self) -> Path:
        """A plain local file with the unpacked bytes: the file itself, or a temporary copy."""
        path = self.file.path
        if not self.packing and isinstance(path, Path):
            return path
        if self._copy is None:
            try:
                with self.open() as stream:
                    self._copy = TemporaryCopy(stream, self.file.name, self.most())
            except BROKEN as error:
                raise damaged(self.file.name, self.packing, 0, error) from None
        return self._copy.path


def damaged(name: str, packing: str, done: int, error: BaseException) -> TableError:
    found = "its end missing" if isinstance(error, EOFError) else " ".join(str(error).split()) or type(error).__name__
    after = f" after {done:,} bytes" if done else ""
    return TableError(
        f"expected a sound .{packing} file, found {name} damaged{after} ({found}); copy or download it again"
    )


def unpack(file: InputFile) -> Packed:
    """Looks at the first bytes and, for a zip, at the names inside.

    Raises:
        TableError: empty, unreadable, a zip that holds no or several files, or one that would unpack to too much.
            RemoteError: the way to it failed.
    """
    try:
        with file.path.open("rb") as raw:
            head = raw.read(8)
    except RemoteError:
        raise
    except OSError as error:
        raise TableError(
            f"expected a readable file, found {file.name}: {error.strerror or error}; check its permissions"
        ) from None
    if not head:
        raise TableError(f"expected a table, found {file.name} is empty (0 bytes); export it again")
    if head.startswith(_GZIP):
        return Packed(file, "gz")
    if head.startswith(_XZ):
        return Packed(file, "xz")
    if head.startswith((_ZIP, b"PK\x05\x06")):
        return _look_into_zip(_local(file))
    return Packed(file)


def _local(file: InputFile) -> InputFile:
    """The file, or a temporary copy of it where it is at an address: an archive is read from its end."""
    if isinstance(file.path, Path):
        return file
    try:
        with file.path.open() as stream:
            copy = TemporaryCopy(stream, file.name)
    except RemoteError:
        raise
    except OSError as error:
        raise TableError(f"expected to read {file.name}, found: {error.strerror or error}; check the file") from None
    return replace(file, path=copy.path, copy=copy)


class _ShortList(io.BufferedReader):
    """A zip archive for `zipfile`, which reads the list of members at once, wherever the archive says that it is, and
    makes an object of every entry: a list that is too long is not read."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > _LIST_BYTES:
            raise _LongListError
        return super().read(size)


class _LongListError(Exception):
    """See `_ShortList`."""


def check_zip(path: Path, name: str, what: str = "zip") -> list[zipfile.ZipInfo]:
    """The members of a zip archive, after the checks that every archive must pass.

    Raises:
        TableError: damaged, protected by a password, of too many members, or unpacking to more than 100 times its size
            plus 200 MB.
    """
    most = 100 * path.stat().st_size + 200_000_000
    try:
        with _ShortList(io.FileIO(path)) as raw, zipfile.ZipFile(raw) as archive:
            members = archive.infolist()
    except _LongListError:
        todo = "save its table as CSV" if what == "xlsx" else "unpack it and give the file with the table"
        raise TableError(
            f"expected an archive of few files, found {name} with a list of more than {_LIST_BYTES >> 20} MiB of them; "
            f"{todo}"
        ) from None
    except (*BROKEN, OSError, ValueError) as error:
        raise damaged(name, what, 0, error) from None
    if any(member.flag_bits & 1 for member in members):
        raise TableError(
            f"expected an open file, found {name} protected by a password; remove the password and save it again"
        )
    if sum(member.file_size for member in members) > most:
        raise too_large(name, most)
    return members


def _look_into_zip(file: InputFile) -> Packed:
    what = "xlsx" if file.name.lower().endswith((".xlsx", ".xlsm")) else "zip"
    path = file.path
    if isinstance(path, RemotePath):
        raise TypeError("expected a local file")
    members = check_zip(path, file.name, what)
    names = {member.filename for member in members}
    if "xl/workbook.xml" in names:
        return Packed(file)
    for member, found in _OFFICE.items():
        if member in names:
            raise TableError(f"expected a table, found {file.name} is {found}")
    inside = [
        m for m in members if not m.is_dir() and not stat.S_ISLNK(m.external_attr >> 16) and not _is_litter(m.filename)
    ]
    if len(inside) != 1:
        shown = ", ".join(m.filename for m in inside[:5]) + (", …" if len(inside) > 5 else "")
        raise TableError(
            f"expected one file in {file.name}, found {len(inside)}{' (' + shown + ')' if inside else ''}; "
            "unpack it and give the files or their folder"
        )
    return Packed(file, "zip", inside[0].filename)


def _is_litter(name: str) -> bool:
    return name.startswith("__MACOSX/") or name.rsplit("/", 1)[-1] in {".DS_Store", "Thumbs.db", "desktop.ini"}
