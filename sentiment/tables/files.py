"""Which files to read: paths and addresses as given, folders searched, standard input kept in a temporary file."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, NoReturn

from sentiment.tables.base import TableError
from sentiment.tables.remote import RemotePath, find_remote, is_address, shown
from sentiment.tables.temporary import TemporaryCopy

SUFFIXES = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".xlsx": "xlsx",
    ".xlsm": "xlsx",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
PACKED = (".gz", ".xz", ".zip")


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file to read: `name` is what messages and `cs_source` call it; `copy` keeps a temporary one alive."""

    path: Path | RemotePath
    name: str
    copy: TemporaryCopy | None = None


def suffix_format(name: str) -> str | None:
    """The format that a name's suffix promises, packing aside; None where it promises none."""
    lowered = name.lower()
    for packed in PACKED:
        lowered = lowered.removesuffix(packed)
    return SUFFIXES.get(Path(lowered).suffix)


def find_files(paths: Sequence[str | Path], notes: list[str]) -> list[InputFile]:
    """The files behind `paths`, in order, each once; a folder gives those with a known suffix, sorted by name.

    Raises:
        TableError: a path that does not exist, or a folder without tables.
    """
    if not paths:
        raise TableError("expected at least one input file, folder or -, found none; name what to read")
    found: list[InputFile] = []
    taken: dict[Path | RemotePath, str] = {}
    names: set[str] = set()
    for given in paths:
        for file in _expand(given, notes):
            real = file.path.resolve()
            if real in taken:
                notes.append(f"{file.name}: the same file as {taken[real]}; read once")
                continue
            if file.name in names:
                file = replace(file, name=file.path.as_posix())
            taken[real] = file.name
            names.add(file.name)
            found.append(file)
    return found


def _expand(given: str | Path, notes: list[str]) -> Iterator[InputFile]:
    if str(given) == "-":
        if sys.stdin is None:
            raise TableError("expected a table on standard input, found it closed; name a file")
        yield _copied(sys.stdin.buffer, "-")
        return
    if is_address(given):
        yield from _search_remote(str(given), notes)
        return
    path = Path(given)
    try:
        if path.is_dir():
            yield from _search(path, notes)
        elif path.is_file():
            yield InputFile(path, str(given))
        elif path.exists():  # a pipe or a device: read it once, now
            with path.open("rb") as stream:
                yield _copied(stream, str(given))
        else:
            raise TableError(f"expected a file or folder, found nothing at {given}; check the path")
    except OSError as error:
        raise TableError(
            f"expected a readable file, found {given}: {error.strerror or error}; check its permissions"
        ) from None


def _copied(stream: BinaryIO, name: str) -> InputFile:
    copy = TemporaryCopy(stream, "standard input" if name == "-" else name)
    return InputFile(copy.path, name, copy)


def _unreadable(error: OSError) -> NoReturn:
    raise TableError(
        f"expected a readable folder, found {error.filename}: {error.strerror or error}; check its permissions"
    )


def _search(folder: Path, notes: list[str]) -> Iterator[InputFile]:
    chosen: list[str] = []
    skipped: list[str] = []
    for root, folders, files in os.walk(folder, onerror=_unreadable):  # else it would leave out what is inside
        folders[:] = [
            name for name in folders if not name.startswith((".", "__MACOSX")) and not name.endswith(".partial")
        ]
        for name in files:
            if name.startswith((".", "~$")):
                continue
            relative = (Path(root) / name).relative_to(folder).as_posix()
            (chosen if _is_table(name) else skipped).append(relative)
    _tell_skipped(str(folder), chosen, skipped, notes)
    for relative in sorted(chosen):
        yield InputFile(folder / relative, relative)


def _search_remote(address: str, notes: list[str]) -> Iterator[InputFile]:
    chosen: dict[str, RemotePath] = {}
    skipped: list[str] = []
    for path, relative in find_remote(address):
        if relative is None:
            yield InputFile(path, path.address)
            return
        *folders, name = relative.split("/")
        if any(part.startswith((".", "__MACOSX")) or part.endswith(".partial") for part in folders):
            continue
        if name.startswith((".", "~$")):
            continue
        if _is_table(name):
            chosen[relative] = path
        else:
            skipped.append(relative)
    _tell_skipped(shown(address), chosen, skipped, notes)
    for relative in sorted(chosen):
        yield InputFile(chosen[relative], relative)


def _tell_skipped(folder: str, chosen: Collection[str], skipped: Sequence[str], notes: list[str]) -> None:
    if skipped:
        some = ", ".join(sorted(skipped)[:5]) + (", …" if len(skipped) > 5 else "")
        notes.append(f"{folder}: {len(skipped)} files without a table's suffix skipped: {some}")
    if not chosen:
        raise TableError(
            f"expected files ending in {' '.join(SUFFIXES)} under {folder}, found none; name the files themselves"
        )


def _is_table(name: str) -> bool:
    lowered = name.lower()
    if lowered.endswith(".rejects.jsonl"):  # our own list of rejected rows
        return False
    return suffix_format(name) is not None or (
        Path(lowered).suffix in PACKED and not Path(lowered).stem.endswith(".tar")
    )
