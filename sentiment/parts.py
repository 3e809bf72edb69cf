"""Where a job writes: the checks before, what it keeps beside its output while it runs, what it says when it stops."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import shutil
import tempfile
import traceback
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sentiment.tables.base import Reject, TableError
from sentiment.tables.jsonl_writer import dump_line
from sentiment.tables.writers import output_format

MANIFEST = "manifest.json"
_WRITING = "writing-"
_DISTINCT = b"cinesent.distinct"
_MISSING = "nothing"
DISK_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}


class StoppedError(RuntimeError):
    """The job stopped midway; the message says why and that what is finished is kept. It never shows a text."""


@contextmanager
def stopping(hint: str) -> Iterator[None]:
    """Turns what goes wrong midway into StoppedError; names the place, quotes no message, which may hold a text."""
    try:
        yield
    except TableError:
        raise
    except StoppedError as error:  # of a worker, which has said where
        raise StoppedError(f"stopped: {error}; {hint}") from error
    except OSError as error:
        what = "the disk is full" if error.errno in DISK_FULL else error.strerror or type(error).__name__
        reason = f"{what} ({error.filename})" if error.filename else what
        raise StoppedError(f"stopped: {reason}; {hint}") from error
    except MemoryError as error:
        raise StoppedError(
            f"stopped: out of memory; {hint}; a smaller --batch-size or --max-memory needs less"
        ) from error
    except Exception as error:
        raise StoppedError(f"stopped: internal error, {where(error)}; {hint}") from error


def where(error: BaseException) -> str:
    """The error's type and place, without its message, which may hold a text."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {Path(frame.filename).name}, line {frame.lineno}"


def partial_folder(output: Path) -> Path:
    """Where a job keeps what is finished until its output is written."""
    return output.with_name(f"{output.name}.partial")


def rejects_file(output: Path) -> Path:
    """Where the rejected rows of a job go."""
    return output.with_name(f"{output.name}.rejects.jsonl")


def check_output(output: Path, *, resume: bool = False, overwrite: bool = False, probe: bool = True) -> None:
    """Makes sure, before anything is scored, that the output can be written.

    Raises:
        TableError: it cannot, or it is there already and `overwrite` is not set, or an unfinished job is in the way.
        StoppedError: the disk is full.
    """
    output_format(output)
    partial = partial_folder(output)
    try:
        if not output.parent.is_dir():
            raise TableError(f"expected a folder for the output, found none at {output.parent}")
        if output.exists():
            if not output.is_file():
                raise TableError(f"expected a file to write, found something else at {output}")
            if not overwrite:
                raise TableError(f"expected a new file, found {output} there already; --overwrite replaces it")
            with output.open("r+b"):  # refused where it is read-only, or open in Excel on Windows
                pass
        if not (resume or overwrite) and PartStore(partial).begun():
            raise TableError(f"an unfinished job is in {partial}; --resume goes on with it, --overwrite starts again")
        if probe:
            with tempfile.TemporaryFile(dir=output.parent):
                pass
        elif not os.access(output.parent, os.W_OK):
            raise PermissionError(errno.EACCES, "Permission denied")
    except OSError as error:
        raise unwritable(output, error) from None


def unwritable(path: Path, error: OSError) -> TableError | StoppedError:
    """What to raise where a place cannot be written to before anything is scored."""
    if error.errno in DISK_FULL:
        return StoppedError(
            f"stopped: the disk is full ({path}); nothing was scored in this run, free some space and repeat it"
        )
    return TableError(f"cannot write {path}: {error.strerror or type(error).__name__}")


def sync(handle: IO[bytes]) -> None:
    """Brings what was written to the disk, so that a rename never names a file that a power cut empties."""
    handle.flush()
    os.fsync(handle.fileno())


def reject_line(reject: Reject, *, sources: bool) -> bytes:
    """A rejected row as one line of JSON; `source` only where there are several files."""
    source = {"source": reject.source} if sources else {}
    return dump_line({**source, "row": reject.number, "reason": reject.reason, "raw": reject.raw})


def packed_part(block: pa.Table, distinct: int) -> bytes:
    """A scored block as the bytes of its part; `distinct` is how many different texts it has."""
    stream = io.BytesIO()
    marked = block.replace_schema_metadata({_DISTINCT: str(distinct).encode()})
    pq.write_table(marked, stream, compression="zstd", write_page_checksum=True)
    return stream.getvalue()


class PartStore:
    """The folder OUT.partial, there with its manifest or not at all. A part too is there whole or not at all, and its
    rejects before it.

    Several processes may write into one folder, as the shards of a job do: each part is one's own. Parts bear the mark
    of their job: what another that was not stopped still writes here is never taken for this one's.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._mark: str | None = None

    @property
    def mark(self) -> str:
        """Of the job that was begun, joined or checked here; else of the one that the folder belongs to."""
        if self._mark is not None:
            return self._mark
        try:
            return _mark(json.loads((self.folder / MANIFEST).read_bytes()))
        except (OSError, ValueError):
            return "nobody"

    def path(self, number: int) -> Path:
        return self.folder / f"part-{number:06d}-{self.mark}.parquet"

    def rejects_path(self, number: int) -> Path:
        return self.folder / f"part-{number:06d}-{self.mark}.rejects.jsonl"

    def begun(self) -> bool:
        """Whether a job has begun here, and did not end before its manifest was there."""
        try:
            return any(not path.name.startswith(_WRITING) for path in self.folder.iterdir())
        except FileNotFoundError:
            return False
        except NotADirectoryError:
            return True

    def begin(self, manifest: dict[str, Any]) -> None:
        """Starts a folder for this job; what an earlier one left is removed."""
        self._mark = _mark(manifest)
        if self.folder.exists():
            shutil.rmtree(self.folder)
        self._make(manifest)

    def join(self, manifest: dict[str, Any]) -> None:
        """Makes the folder if it is not there, else makes sure that it belongs to the same job: the shards' way in.

        Raises:
            TableError: it belongs to another job.
        """
        if not self.begun():
            try:
                self._make(manifest)
            except OSError:  # also where another shard was first
                if not self.begun():
                    raise
        self.check(
            manifest,
            same="give this shard the input, the options and the versions of the others",
            again=f"remove {self.folder}, with the finished blocks of all shards",
        )

    def _make(self, manifest: dict[str, Any]) -> None:
        mine = self._hidden()
        try:
            mine.mkdir()
            PartStore(mine)._write(mine / MANIFEST, _manifest_bytes(manifest))
            with suppress(OSError):  # not there, or not empty
                self.folder.rmdir()
            mine.rename(self.folder)
        except BaseException:
            shutil.rmtree(mine, ignore_errors=True)
            raise

    def _hidden(self) -> Path:
        return self.folder.with_name(f".{uuid.uuid4().hex}.partial")  # no longer than a name of its own need be

    def check(
        self,
        manifest: dict[str, Any],
        same: str = "repeat the same command, with the same versions",
        again: str = "start again with --overwrite",
    ) -> None:
        """Makes sure that the folder belongs to the same job.

        Args:
            same, again: what to do to go on with that job, and to begin anew.

        Raises:
            TableError: it does not; the message says what differs.
        """
        try:
            kept = json.loads((self.folder / MANIFEST).read_bytes())
        except (FileNotFoundError, ValueError):
            raise TableError(
                f"expected {self.folder / MANIFEST} to tell which job this is, found none that can be read; {again}"
            ) from None
        self._mark = _mark(manifest)
        changes = list(_differences(kept, json.loads(json.dumps(manifest))))
        if changes:
            more = f" and {len(changes) - 3} more" if len(changes) > 3 else ""
            raise TableError(f"cannot resume, the job differs: {'; '.join(changes[:3])}{more}; {same}, or {again}")

    def rows(self, number: int) -> int | None:
        """How many rows the finished part has; None if it is not there or cannot be read."""
        try:
            return int(pq.read_metadata(self.path(number)).num_rows)
        except (OSError, pa.ArrowInvalid):
            return None

    def write(self, number: int, part: bytes, rejects: Sequence[Reject], *, sources: bool) -> None:
        """Keeps a finished block, which `packed_part` made."""
        path = self.rejects_path(number)
        if rejects:
            self._write(path, b"".join(reject_line(reject, sources=sources) for reject in rejects))
        else:
            path.unlink(missing_ok=True)
        self._write(self.path(number), part)

    def read(self, number: int) -> tuple[pa.Table, int]:
        """The block, and how many different texts it has.

        Raises:
            StoppedError: the part is damaged; it is removed, so that the next run scores its rows again.
        """
        path = self.path(number)
        try:
            with path.open("rb") as handle:
                block = pq.read_table(handle, page_checksum_verification=True)
        except MemoryError:
            raise
        except (OSError, pa.ArrowException) as error:
            if getattr(error, "errno", None) not in (None, errno.EIO):  # too many open files say nothing of the part
                raise
            path.unlink(missing_ok=True)
            raise StoppedError(f"found {path} damaged and removed it, its rows have to be scored again") from error
        return block, int((block.schema.metadata or {}).get(_DISTINCT, b"0"))

    def rejects(self, number: int) -> bytes:
        """The lines of the block's rejected rows."""
        try:
            return self.rejects_path(number).read_bytes()
        except FileNotFoundError:
            return b""

    def remove(self) -> None:
        """Removes the folder, unless another job has begun in it meanwhile."""
        try:
            if PartStore(self.folder).mark != self.mark:
                return
            # Gone at once: a run that is ended while the files go must not leave half a job to resume.
            going = self.folder.rename(self._hidden())
        except OSError:
            going = self.folder
        # A file that a virus scanner holds open must not turn a finished job into a failed one.
        shutil.rmtree(going, ignore_errors=True)

    def _write(self, path: Path, data: bytes) -> None:
        temporary = self.folder / f"{_WRITING}{uuid.uuid4().hex}.tmp"
        try:
            with temporary.open("wb") as handle:
                handle.write(data)
                sync(handle)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def _manifest_bytes(manifest: dict[str, Any]) -> bytes:
    return json.dumps(manifest, ensure_ascii=True, indent=1, sort_keys=True).encode()


def _mark(manifest: dict[str, Any]) -> str:
    return hashlib.sha256(_manifest_bytes(manifest)).hexdigest()[:8]


def _differences(kept: Any, now: Any, name: str = "") -> Iterator[str]:
    if isinstance(kept, dict) and isinstance(now, dict):
        for key in sorted(kept.keys() | now.keys()):
            yield from _differences(kept.get(key, _MISSING), now.get(key, _MISSING), f"{name}.{key}" if name else key)
    elif isinstance(kept, list) and isinstance(now, list) and len(kept) == len(now):
        for position, (one, other) in enumerate(zip(kept, now, strict=True)):
            yield from _differences(one, other, f"{name}[{position}]")
    elif kept != now:
        yield f"{name} was {_short(kept)}, is {_short(now)}"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."  # a runtime with its scales has about 60


@dataclass
class Summary:
    """What a job did. `texts` counts different texts block by block; `cut` cells that did not fit the format."""

    model: str
    hash: str
    output: str
    rows: int = 0
    scored: int = 0
    texts: int = 0
    rejected: int = 0
    uncertain: int = 0
    escalations: int = 0
    truncated: int = 0
    cut: int = 0
    elapsed: float = 0.0
    rejects: str | None = None
    statuses: Counter[str] = field(default_factory=Counter)
    overall: Counter[str] = field(default_factory=Counter)
    intents: Counter[str] = field(default_factory=Counter)
    dimensions: dict[str, Counter[str]] = field(default_factory=dict)

    def count(self, block: pa.Table) -> None:
        """Takes a block's records into account."""
        self.rows += block.num_rows
        self.uncertain += _true(block["uncertain"])
        self.truncated += _true(block["truncated"])
        self.escalations += _true(pc.struct_field(block["escalation"], "label"))
        self.statuses.update(block["status"].to_pylist())
        self.overall.update(_present(pc.struct_field(block["overall"], "sentiment")))
        self.intents.update(_present(pc.struct_field(block["intent"], "label")))
        mentions = pc.list_flatten(block["dimensions"])
        keys, sentiments = (pc.struct_field(mentions, name).to_pylist() for name in ("dimension", "sentiment"))
        for key, sentiment in zip(keys, sentiments, strict=True):
            self.dimensions.setdefault(key, Counter())[sentiment] += 1


def _true(column: pa.ChunkedArray) -> int:
    return int(pc.sum(column).as_py() or 0)


def _present(column: pa.ChunkedArray) -> list[str]:
    return [value for value in column.to_pylist() if value is not None]
