"""Uploaded files in the client: sent, waited for, fetched, removed. As in `client_calls`, each call is written once."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypedDict
from urllib.parse import quote

from sentiment.client_calls import Calls, Pause, ServiceError, Steps, Upload

FIRST_LOOK, LONGEST_LOOK = 0.5, 5.0  # seconds between two looks at a job
FORMATS = ("csv", "tsv", "xlsx", "jsonl", "parquet")


class FileOptions(TypedDict, total=False):
    """How a file is read and written, as the flags of `cinesent score` say it. By default the columns are found by name
    and content, and the result has the file's own format, `wide` and in English."""

    text_col: str
    id_col: str
    sheet: str
    format: Literal["csv", "tsv", "xlsx", "jsonl", "parquet"]
    layout: Literal["wide", "long"]
    lang: Literal["en", "zh"]
    overwrite: bool


@dataclass(frozen=True, slots=True)
class FileJob:
    """An uploaded file on its way. `status` is queued, running, done or failed, and then `detail` says why.

    `progress` goes from 0 to 1; `rows_total` is None where the file does not tell before it is read. `links` names
    what there is to fetch: `result`, `rejects` (rows that the file itself breaks) and `report`. After `expires`
    (ISO 8601) the service removes all of it.
    """

    id: str
    status: str
    name: str
    size: int
    progress: float
    rows_done: int
    rows_total: int | None
    rows_rejected: int
    detail: str | None
    expires: str | None
    links: tuple[str, ...]


Progress = Callable[[FileJob], None]


class FileCalls(Calls):
    """The calls of files as steps, without any input or output of their own."""

    def upload_steps(
        self, source: str | os.PathLike[str] | bytes, name: str | None, options: Mapping[str, Any]
    ) -> Steps[FileJob]:
        """`source` is a path, or the bytes of a file called `name`."""
        unknown = options.keys() - FileOptions.__annotations__.keys()
        if unknown:
            raise TypeError(f"expected options among {', '.join(FileOptions.__annotations__)}, found {sorted(unknown)}")
        file = source if isinstance(source, bytes) else Path(source)
        called = name or ("file" if isinstance(file, bytes) else file.name)
        called = called.encode("utf-8", "replace").decode()  # a name on disk need not be text
        return _job((yield from self.call_steps("POST", "/v1/files", Upload(file, called, _fields(options)))))

    def file_steps(self, job: FileJob | str) -> Steps[FileJob]:
        return _job((yield from self.call_steps("GET", _address(job))))

    def wait_steps(self, job: FileJob | str, progress: Progress | None, seconds: float | None) -> Steps[FileJob]:
        """Looks at the job until it is done, which `progress` hears of each time.

        Raises:
            ServiceError: `file_failed`, or `deadline` if it takes more than `seconds`.
        """
        until = None if seconds is None else time.monotonic() + seconds
        pause = FIRST_LOOK
        while True:
            found = yield from self.file_steps(job)
            if progress is not None:
                progress(found)
            if found.status == "failed":
                raise ServiceError("file_failed", found.detail or "the service did not say why")
            if found.status == "done":
                return found
            if until is not None and time.monotonic() + pause > until:
                raise ServiceError(
                    "deadline", f"expected the file to be done within {seconds:g} s, found it is not yet"
                )
            yield Pause(pause)
            pause = min(1.5 * pause, LONGEST_LOOK)

    def download_steps(self, job: FileJob | str, link: str, target: str | os.PathLike[str]) -> Steps[Path]:
        """The link's file at `target`, which is not there before it is whole."""
        path = Path(target)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            with temporary.open("wb") as stream:
                yield from self.call_steps("GET", f"{_address(job)}/{quote(link, safe='')}", into=stream)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        return path

    def remove_steps(self, job: FileJob | str) -> Steps[None]:
        yield from self.call_steps("DELETE", _address(job))

    def score_file_steps(
        self,
        source: str | os.PathLike[str] | bytes,
        target: str | os.PathLike[str],
        name: str | None,
        progress: Progress | None,
        seconds: float | None,
        options: Mapping[str, Any],
    ) -> Steps[FileJob]:
        """All of it; the file is removed from the service in the end, also if it cannot be scored."""
        kind = Path(target).suffix.lower().removeprefix(".")
        if kind not in FORMATS:
            raise ValueError(f"expected a result that ends in .{', .'.join(FORMATS)}, found {os.fspath(target)!r}")
        if options.get("format", kind) != kind:
            raise ValueError(f"expected the format {kind} for a result called so, found {options['format']!r}")
        job = yield from self.upload_steps(source, name, {**options, "format": kind})
        try:
            job = yield from self.wait_steps(job, progress, seconds)
            yield from self.download_steps(job, "result", target)
        except GeneratorExit:
            raise
        except BaseException:
            yield from self._removed(job)
            raise
        yield from self._removed(job)
        return job

    def _removed(self, job: FileJob) -> Steps[None]:
        """Whether it works or not: the service removes it in some days anyway."""
        try:
            yield from self.remove_steps(job)
        except ServiceError:
            return


def _fields(options: Mapping[str, Any]) -> dict[str, str]:
    return {
        key: str(value).lower() if isinstance(value, bool) else str(value)
        for key, value in options.items()
        if value is not None
    }


def _address(job: FileJob | str) -> str:
    return f"/v1/files/{quote(job if isinstance(job, str) else job.id, safe='')}"


def _job(found: Mapping[str, Any]) -> FileJob:
    rows = found["rows"]
    return FileJob(
        id=found["id"],
        status=found["status"],
        name=found["name"],
        size=found["size"],
        progress=found["progress"],
        rows_done=rows["done"],
        rows_total=rows["total"],
        rows_rejected=rows["rejected"],
        detail=found["detail"],
        expires=found["expires"],
        links=tuple(link for link in found["links"] if link != "self"),
    )
