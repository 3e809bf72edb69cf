"""Which files to read: paths and addresses as given, folders searched, standard input kept in a temporary file."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, NoReturn

from sentiment.tables.base import TableError
from sentiment.tables.remote import RemotePath, find_remote, is_address, local_path, shown
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
            whole, count = file.path.as_posix(), 1
            while file.name in names:
                file = replace(file, name=whole if count == 1 else f"{whole} ({count})")
                count += 1
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
        local = local_path(str(given))
        if local is None:
            yield from _search_remote(str(given), notes)
            return
        given = local
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
    for root, files in _walk(folder, notes):
        for name in files:
            if name.startswith((".", "~$")):
                continue
            relative = (root / name).relative_to(folder).as_posix()
            (chosen if _is_table(name) else skipped).append(relative)
    _tell_skipped(str(folder), chosen, skipped, notes)
    for relative in sorted(chosen):
        yield InputFile(folder / relative, relative)


def _walk(folder: Path, notes: list[str]) -> Iterator[tuple[Path, list[str]]]:
    """Each folder once, with its files; those that only links lead to come after the others."""
    above, seen = folder.resolve().parents, set[Path]()
    waiting = [folder]
    while waiting:
        links: list[Path] = []
        for start in waiting:
            # Without `onerror` it would leave out what is in a folder that cannot be read.
            for root, folders, files in os.walk(start, onerror=_unreadable, followlinks=True):
                real = Path(root).resolve()
                if real in seen:
                    folders.clear()
                    continue
                seen.add(real)
                inside = [Path(root) / name for name in sorted(folders) if _is_searched(name)]
                links += [path for path in inside if path.is_symlink()]
                folders[:] = [path.name for path in inside if not path.is_symlink()]
                yield Path(root), files
        waiting = []
        for link in sorted(links):
            real = link.resolve()
            if real in above or link.parent.resolve().is_relative_to(real):
                notes.append(f"{link}: a link to a folder further up; not followed")
            else:
                waiting.append(link)


def _is_searched(folder: str) -> bool:
    return not folder.startswith((".", "__MACOSX")) and not folder.endswith(".partial")


def _search_remote(address: str, notes: list[str]) -> Iterator[InputFile]:
    chosen: dict[str, RemotePath] = {}
    skipped: list[str] = []
    for path, relative in find_remote(address):
        if relative is None:
            yield InputFile(path, path.address)
            return
        *folders, name = relative.split("/")
        if not all(map(_is_searched, folders)):
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
