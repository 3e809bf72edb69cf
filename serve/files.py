"""The routes of uploaded files: a file in, a job, its progress and links, and everything of it away."""

from __future__ import annotations

import errno
import re
import secrets
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, BinaryIO

from fastapi import APIRouter, Request
from fastapi import Path as PathParameter
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import FileResponse, Response

from sentiment.tables.base import TableError
from sentiment.tables.files import PACKED, SUFFIXES, InputFile, suffix_format
from sentiment.tables.formats import binary_format
from sentiment.tables.packing import unpack
from serve.context import Context, Service
from serve.errors import ProblemError, too_large
from serve.job_shapes import FileOptions, JobResponse, artefacts
from serve.jobs import FullError
from serve.openapi import responses
from serve.routes import json_response
from serve.rows import Job, now
from serve.score_file import RESULT
from serve.security import require

_FIELD_BYTES = 4096
_HEAD_BYTES = 1 << 16
_NAME = re.compile(r"[^\w .()\[\]+,@&-]+")
_BUSY_SECONDS = 30
# Not sent: nobody reads it, and the guard counts a client that left before its body was whole as `gone`.
_GONE = Response(status_code=499)
_FORM = "expected a form (multipart/form-data) with one part `file` and no others than those in /docs, found another"


_IDENTIFIER = Annotated[str, PathParameter(alias="id", pattern="^[0-9a-f]{32}$")]
_SCHEMA = FileOptions.model_json_schema()
_BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "properties": {
                    "file": {
                        "type": "string",
                        "format": "binary",
                        "description": "CSV, TSV, XLSX, JSONL or Parquet, also as .gz, .xz or .zip of one file.",
                    },
                    **_SCHEMA["properties"],
                },
                "additionalProperties": False,
            }
        }
    },
}

router = APIRouter(tags=["files"], dependencies=[require("score")])


@router.post(
    "/v1/files",
    status_code=202,
    summary="Score a file",
    response_model=JobResponse,
    responses=responses(401, 403, 408, 413, 422, 429, 500, 503),
    openapi_extra={"requestBody": _BODY},
)
async def upload(service: Context, request: Request) -> Response:
    """Takes a table of reviews and answers with a job; ask for it at `links.self` until it is `done` or `failed`.

    What `cinesent score` reads is read here. A file that is no table at all is refused at once; what is found wrong
    while it is read makes the job `failed`, and `detail` says why.
    """
    try:
        await run_in_threadpool(service.jobs.check_room)
        if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
            raise _invalid("#/", _FORM)
        form = await _form(request)
        try:
            async with service.jobs.accepting:
                job = await run_in_threadpool(_accept, service, request, form)
        finally:
            await form.close()
    except FullError:
        detail = f"expected at most {service.settings.max_jobs} files that wait, found as many; try again later"
        raise ProblemError(429, "queue_full", detail, {"Retry-After": str(_BUSY_SECONDS)}) from None
    except ClientDisconnect:
        return _GONE
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise ProblemError(503, "disk_full", "expected room for the file, found none; tell the operator") from None
    answer = json_response(_shown(job, service, request), 202)
    answer.headers["Location"] = _address(request, job.id)
    return answer


@router.get(
    "/v1/files/{id}",
    summary="Progress and links",
    response_model=JobResponse,
    responses=responses(401, 403, 404, 422, 429, 500, 503),
)
def look(service: Context, request: Request, identifier: _IDENTIFIER) -> Response:
    """The job. Only the key that sent the file sees it, and keys with the role admin."""
    return json_response(_shown(_found(service, request, identifier), service, request))


@router.delete(
    "/v1/files/{id}",
    status_code=204,
    response_class=Response,
    summary="Remove the file and its results",
    responses=responses(401, 403, 404, 422, 429, 500, 503),
)
def remove(service: Context, request: Request, identifier: _IDENTIFIER) -> Response:
    """Removes everything of the job; if it is being scored, that ends."""
    service.jobs.remove(_found(service, request, identifier).id)
    return Response(status_code=204)


@router.get(
    "/v1/files/{id}/{link}",
    summary="A result",
    response_class=FileResponse,
    responses=responses(401, 403, 404, 422, 429, 500, 503),
)
def download(
    service: Context, request: Request, identifier: _IDENTIFIER, link: Annotated[str, PathParameter(max_length=40)]
) -> Response:
    """What a link of the job leads to: the scored file, the rows that could not be read, the report."""
    job = _found(service, request, identifier)
    artefact = artefacts(job.options["format"]).get(link)
    path = None if artefact is None else service.jobs.place(job.id) / artefact.name
    if artefact is None or path is None or job.status != "done" or not path.is_file():
        raise _missing("expected a link that the job lists, found another")
    stem = job.name.partition(".")[0] or "file"
    suffix = artefact.name.removeprefix(RESULT).removeprefix(".").removeprefix(f"{link}.")
    return FileResponse(
        path,
        media_type=artefact.media_type,
        filename=f"{stem}.{'scored' if link == 'result' else link}.{suffix}",
        content_disposition_type="inline" if artefact.inline else "attachment",
        headers=artefact.headers,
    )


async def _form(request: Request) -> FormData:
    """What was sent; its file is a temporary one until it is closed.

    Raises:
        ProblemError: it is no such form. ClientDisconnect: it ended before its end.
    """
    try:
        return await request.form(max_files=1, max_fields=20, max_part_size=_FIELD_BYTES)
    except (HTTPException, UnicodeError):  # the latter from a `charset` that only looks like one, such as `undefined`
        raise _invalid("#/", _FORM) from None


def _accept(service: Service, request: Request, form: FormData) -> Job:
    """Puts the file in its place and queues the job.

    Raises:
        ProblemError: no table, one that is too large, or options that cannot be. FullError: too many jobs wait.
    """
    sent = form.get("file")
    if not isinstance(sent, UploadFile) or len(form.multi_items()) != len(form.keys()):
        raise _invalid("#/file", _FORM)
    if (sent.size or 0) > (most := service.settings.max_upload):
        raise too_large(most, "file")
    options = _options({name: value for name, value in form.items() if name != "file"})
    key = getattr(request.state, "key", None)
    job = Job(
        id=secrets.token_hex(16),
        status="queued",
        name=_display_name(sent.filename),
        size=0,
        by=None if key is None else key.name,
        created=now(),
        progress=0.0,
        rows=0,
        attempts=0,
    )
    folder = service.jobs.place(job.id)
    folder.mkdir(parents=True, mode=0o700)
    try:
        path = folder / f"input{_suffix(sent.filename)}"
        job.size = _save(sent.file, path)
        kind = _look(path)
        job.options = options.model_dump() | {"input": path.name, "format": options.format or kind}
        service.jobs.add(job)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return job


def _options(fields: dict[str, Any]) -> FileOptions:
    try:
        return FileOptions.model_validate({name: value for name, value in fields.items() if value != ""})
    except ValidationError as error:
        raise RequestValidationError([{**found, "loc": ("body", *found["loc"])} for found in error.errors()]) from None


def _save(stream: BinaryIO, path: Path) -> int:
    with path.open("wb") as target:
        shutil.copyfileobj(stream, target, 1 << 20)
        return target.tell()


def _look(path: Path) -> str:
    """The format, as far as the first bytes and a zip's list of members tell it without unpacking.

    Raises:
        ProblemError: it is no table, or one that would unpack to too much.
    """
    try:
        packed = unpack(InputFile(path, path.name))
        promised = suffix_format(packed.inner_name) or "csv"
        if packed.packing:
            return promised
        return binary_format(packed.head(_HEAD_BYTES), path.name, packed.seekable_path) or (
            "jsonl" if promised == "jsonl" else "tsv" if promised == "tsv" else "csv"
        )
    except TableError as error:
        raise ProblemError(422, "unreadable_file", " ".join(str(error).split())) from None


def _suffix(name: str | None) -> str:
    """Of the caller's name, only what we know anyway."""
    lowered = (name or "").lower()
    packed = next((suffix for suffix in PACKED if lowered.endswith(suffix)), "")
    return next((s for s in SUFFIXES if lowered.removesuffix(packed).endswith(s)), "") + packed


def _display_name(name: str | None) -> str:
    """The caller's name of the file as it is shown; never a path of ours."""
    last = re.split(r"[/\\]", name or "")[-1].encode(errors="replace").decode()
    return _NAME.sub("_", last).strip(" .")[:120] or "file"


def _found(service: Service, request: Request, identifier: str) -> Job:
    job = service.jobs.find(identifier)
    key = getattr(request.state, "key", None)
    if job is None or not (key is None or key.name == job.by or "admin" in key.roles):
        raise _missing("expected a file of this key that is still there, found none")
    return job


def _address(request: Request, identifier: str) -> str:
    return f"{request.scope.get('root_path', '')}/v1/files/{identifier}"


def _shown(job: Job, service: Service, request: Request) -> dict[str, Any]:
    address = _address(request, job.id)
    links = {"self": address}
    if job.status == "done":
        folder, known = service.jobs.place(job.id), artefacts(job.options["format"])
        links |= {link: f"{address}/{link}" for link, file in known.items() if (folder / file.name).is_file()}
    summary = job.summary or {}
    expires = job.finished and job.finished + timedelta(days=service.settings.file_retention)
    total = job.rows if job.status == "done" else summary.get("total")
    return {
        "id": job.id,
        "status": job.status,
        "name": job.name,
        "size": job.size,
        "created": job.created.isoformat(timespec="seconds"),
        "finished": job.finished and job.finished.isoformat(timespec="seconds"),
        "expires": expires and expires.isoformat(timespec="seconds"),
        "progress": round(job.progress, 4),
        "rows": {"done": job.rows, "total": total, "rejected": summary.get("rejected", 0)},
        "detail": job.reason,
        "links": links,
    }


def _invalid(pointer: str, detail: str) -> ProblemError:
    return ProblemError(422, "invalid_request", detail, errors=[{"pointer": pointer, "detail": detail}])


def _missing(detail: str) -> ProblemError:
    return ProblemError(404, "not_found", detail)
