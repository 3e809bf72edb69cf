"""What `Client` and `AsyncClient` share: each call of the service, written once, as steps that either of them takes.

A call is a generator that yields what to send or how long to wait, and gets back what came of it; so retries, limits
and errors are the same in both. Back-off is exponential with full jitter (Brooker 2015, Exponential Backoff and Jitter,
AWS Architecture Blog), on top of what `Retry-After` asks for.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from io import BytesIO
from itertools import repeat
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import orjson

from sentiment import __version__
from sentiment.records import Analysis, Mention
from sentiment.taxonomy import Taxonomy, taxonomy_from_dict

try:
    import httpx as httpx  # for client.py too
except ImportError:
    raise ImportError('sentiment.client needs an extra: pip install "cinesent[client]"', name="httpx") from None

FIRST_PAUSE, LONGEST_PAUSE, LONGEST_CONNECT = 0.5, 20.0, 10.0  # seconds
RELOAD_SECONDS = 330.0  # more than the service gives its slowest worker
RETRIED = (429, 503)
RECONNECTS = 4  # a wrong address is found out in a few seconds, a service that restarts is waited for
_FRAME = 1024  # bytes of a request that are not its items

T = TypeVar("T")


class ServiceError(Exception):
    """The service said no, or nothing. The message never shows a text.

    `status` and `code` are those of its problem document (RFC 9457); without an answer `status` is None and `code`
    "unreachable" or "deadline". `errors` names the members of an invalid request.
    """

    def __init__(self, code: str, detail: str, status: int | None = None, errors: Sequence[Any] = ()) -> None:
        super().__init__(f"{code}: {detail}" if status is None else f"{status} {code}: {detail}")
        self.code, self.detail, self.status, self.errors = code, detail, status, tuple(errors)


@dataclass(frozen=True, slots=True)
class ItemError:
    """Why one of many texts has no analysis: `code` is for programs, as in the contract of /v1/analyze/batch."""

    id: str | None
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Limits:
    """What the service takes at once: bytes, bytes of a file, texts, characters a text, seconds, waiting texts;
    rows of a file and files that wait, which an older service does not tell."""

    max_body: int
    max_upload: int
    max_batch_items: int
    max_characters: int
    deadline: float
    queue_size: int
    max_rows: int | None = None
    max_jobs: int | None = None


@dataclass(frozen=True, slots=True)
class Info:
    """Which service, which checkpoint, which limits. `schema` is the version of the record's shape."""

    version: str
    schema: int
    model: str
    hash: str
    limits: Limits


@dataclass(frozen=True, slots=True)
class Upload:
    """A file as a form: its bytes or where it is, what it is called, and the other fields."""

    file: bytes | Path
    name: str
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Send:
    """`content` is JSON; a good answer's body goes into `into`, where there is one, and not into memory."""

    method: str
    path: str
    content: bytes | Upload | None
    timeout: float
    into: BinaryIO | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    seconds: float


Steps = Generator["Send | Pause", "httpx.Response | httpx.RequestError | None", T]


@dataclass(frozen=True)
class Options:
    """What the records hold: only some dimensions, evidence, the probabilities of every dimension."""

    dimensions: Sequence[str] | None = None
    evidence: bool = True
    probabilities: bool = False

    def body(self) -> dict[str, Any]:
        chosen: dict[str, Any] = {"evidence": self.evidence, "probabilities": self.probabilities}
        return chosen if self.dimensions is None else chosen | {"dimensions": list(self.dimensions)}


class Calls:
    """What both clients share: the calls as steps, without any input or output."""

    def __init__(
        self, url: str, key: str | None, timeout: float, dimensions: Sequence[str] | None, evidence: bool,
        probabilities: bool,
    ) -> None:  # fmt: skip
        try:
            usable = httpx.URL(url).scheme in ("http", "https")
        except httpx.InvalidURL:
            usable = False
        if not usable:
            raise ValueError(f"expected a URL such as http://localhost:8000, found {url!r}")
        if not timeout > 0:
            raise ValueError(f"expected a timeout above 0 seconds, found {timeout}")
        self.timeout = timeout
        self._options = Options(dimensions, evidence, probabilities)
        self._limits: Limits | None = None
        self._base = url.rstrip("/")
        self._headers = {"User-Agent": f"cinesent-client/{__version__}", "Accept": "application/json"}
        if key is not None:
            key = key.strip()  # as read from a file, with its end of line
            if not (key and key.isascii() and key.isprintable()):
                found = "others" if key else "none"
                raise ValueError(f"expected an API key of printable ASCII characters, found {found}")
            self._headers["Authorization"] = f"Bearer {key}"

    def call_steps(
        self, method: str, path: str, body: Any = None, least: float = 0.0, into: BinaryIO | None = None
    ) -> Steps[Any]:
        """One request, sent again until it is answered or refused for good, or waiting would pass the deadline: the
        timeout, or `least` seconds if that is longer. The body is JSON, or an `Upload`, which is not sent again
        where the service may have it already.

        Returns:
            The answer's JSON; None if its body went into `into`.

        Raises:
            ServiceError: an error, or nothing within the timeout.
        """
        content = body if body is None or isinstance(body, Upload) else _encoded(body)
        seconds = max(self.timeout, least)
        deadline = time.monotonic() + seconds
        attempt = 0
        while True:
            answer = yield Send(method, path, content, max(deadline - time.monotonic(), 0.001), into)
            if isinstance(answer, httpx.Response) and answer.status_code not in RETRIED:
                return None if into is not None and answer.is_success else _value(answer)
            error, wait, again = _trouble(answer, attempt, seconds, upload=isinstance(body, Upload))
            pause = wait + random.uniform(0, min(LONGEST_PAUSE, FIRST_PAUSE * 2**attempt))
            if not again or time.monotonic() + pause >= deadline:
                raise error
            yield Pause(pause)
            attempt += 1

    def info_steps(self) -> Steps[Info]:
        found = yield from self.call_steps("GET", "/v1/info")
        known = Limits.__dataclass_fields__
        limits = Limits(**{name: value for name, value in found["limits"].items() if name in known})
        self._limits = limits
        return Info(found["version"], found["schema"], found["model"], found["hash"], limits)

    def taxonomy_steps(self) -> Steps[Taxonomy]:
        return taxonomy_from_dict((yield from self.call_steps("GET", "/v1/taxonomy")))

    def analyze_steps(self, text: str, identifier: str | int | None) -> Steps[Analysis]:
        body = _item(text, identifier) | self._options.body()
        return _analysis((yield from self.call_steps("POST", "/v1/analyze", body)))

    def batch_steps(self, items: Sequence[dict[str, Any]]) -> Steps[list[Analysis | ItemError]]:
        """The items in one request, or in two if it is too large for the service (or a proxy before it)."""
        body = {"items": items} | self._options.body()
        try:
            found = yield from self.call_steps("POST", "/v1/analyze/batch", body)
        except ServiceError as error:
            if error.status != 413:
                raise
            if len(items) == 1:
                return [ItemError(items[0].get("id"), "text_too_large", error.detail)]
            half = len(items) // 2
            first = yield from self.batch_steps(items[:half])
            return first + (yield from self.batch_steps(items[half:]))
        failed = {error["index"]: ItemError(error["id"], error["code"], error["message"]) for error in found["errors"]}
        return [failed[index] if record is None else _analysis(record) for index, record in enumerate(found["results"])]

    def feedback_steps(
        self, text: str, before: Analysis | Mapping[str, Any], after: Mapping[str, Any], keep_text: bool
    ) -> Steps[Any]:
        body: dict[str, Any] = {
            "sha256": hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest(),
            "before": before.to_dict() if isinstance(before, Analysis) else dict(before),
            "after": dict(after),
        }
        return (yield from self.call_steps("POST", "/v1/feedback", body | ({"text": text} if keep_text else {})))

    def reload_steps(self) -> Steps[Any]:
        return (yield from self.call_steps("POST", "/v1/admin/reload", least=RELOAD_SECONDS))


@contextmanager
def request(step: Send) -> Iterator[dict[str, Any]]:
    """The step as keyword arguments of httpx's `stream`; a file to upload is open meanwhile."""
    arguments: dict[str, Any] = {"method": step.method, "url": step.path}
    arguments["timeout"] = httpx.Timeout(step.timeout, connect=min(step.timeout, LONGEST_CONNECT))
    if step.into is not None:  # what an attempt before left in it
        step.into.seek(0)
        step.into.truncate()
    if isinstance(step.content, Upload):
        upload = step.content
        with BytesIO(upload.file) if isinstance(upload.file, bytes) else upload.file.open("rb") as stream:
            yield arguments | {"data": upload.fields, "files": {"file": (upload.name, stream)}}
    elif step.content is not None:
        yield arguments | {"content": step.content, "headers": {"Content-Type": "application/json"}}
    else:
        yield arguments


def _encoded(body: Any) -> bytes:
    """The body as JSON in UTF-8; half a surrogate pair escaped, so that the service says which text has it."""
    try:
        return orjson.dumps(body)
    except TypeError:
        return json.dumps(body).encode()


def _item(text: str, identifier: str | int | None) -> dict[str, Any]:
    if not isinstance(text, str):
        raise TypeError(f"expected texts of type str, found {type(text).__name__}")
    return {"text": text} if identifier is None else {"text": text, "id": str(identifier)}


def batches(
    texts: Iterable[str], ids: Iterable[str | int | None] | None, limits: Limits
) -> Iterator[list[dict[str, Any]]]:
    """The texts as items, as many together as the service takes in one body."""
    batch: list[dict[str, Any]] = []
    size = 0
    pairs = zip(texts, repeat(None), strict=False) if ids is None else zip(texts, ids, strict=True)
    for text, identifier in pairs:
        item = _item(text, identifier)
        length = len(_encoded(item)) + 1
        if batch and (len(batch) == limits.max_batch_items or size + length > limits.max_body - _FRAME):
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += length
    if batch:
        yield batch


def _value(answer: httpx.Response) -> Any:
    """What a final answer says.

    Raises:
        ServiceError: it is an error, or no JSON.
    """
    if not answer.is_success:
        raise _problem(answer)
    if not answer.content:
        return {}
    try:
        return orjson.loads(answer.content)
    except orjson.JSONDecodeError:
        detail = "expected JSON, found something else; is this the address of the service?"
        raise ServiceError("no_json", detail, answer.status_code) from None


def _problem(answer: httpx.Response) -> ServiceError:
    try:
        found = orjson.loads(answer.content)
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict) or "code" not in found:
        detail = f"expected a problem document, found {answer.reason_phrase or 'something else'}; a proxy's answer?"
        return ServiceError(f"http_{answer.status_code}", detail, answer.status_code)
    return ServiceError(str(found["code"]), str(found.get("detail", "")), answer.status_code, found.get("errors", ()))


def _trouble(
    answer: httpx.Response | httpx.RequestError | None, attempt: int, timeout: float, *, upload: bool
) -> tuple[ServiceError, float, bool]:
    """The error that an attempt ended with, the least seconds to wait before another, and whether to make one."""
    if isinstance(answer, httpx.Response):
        return _problem(answer), _retry_after(answer.headers.get("Retry-After")), True
    if isinstance(answer, httpx.TimeoutException) and not isinstance(answer, httpx.ConnectTimeout):
        return ServiceError("deadline", f"expected an answer within {timeout:g} s, found none"), 0.0, False
    if upload and isinstance(answer, httpx.ReadError | httpx.CloseError | httpx.RemoteProtocolError):
        lost = f"expected an answer, found the connection broken ({type(answer).__name__})"
        return ServiceError("unreachable", f"{lost}; the service may have taken the file"), 0.0, False
    detail = f"expected a service at this address, found none ({type(answer).__name__})"
    again = isinstance(answer, httpx.NetworkError | httpx.RemoteProtocolError | httpx.ConnectTimeout)
    return ServiceError("unreachable", detail), 0.0, again and attempt < RECONNECTS


def _retry_after(value: str | None) -> float:
    """Seconds that a `Retry-After` header asks for (RFC 9110: seconds or a date); 0 if it says nothing usable."""
    if value is None:
        return 0.0
    try:
        seconds = float(value)
    except ValueError:
        try:
            moment = parsedate_to_datetime(value)
        except ValueError:
            return 0.0
        moment = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
        seconds = (moment - datetime.now(timezone.utc)).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else 0.0


def _analysis(record: Mapping[str, Any]) -> Analysis:
    """The record as the library's own class."""
    overall, intent, escalation = (record[name] or {} for name in ("overall", "intent", "escalation"))
    mentions = (
        Mention(
            m["dimension"], m["sentiment"], m["confidence"], m.get("evidence", ""), m.get("start", 0), m.get("end", 0),
            m.get("owner", ""),
        )
        for m in record["dimensions"]
    )  # fmt: skip
    return Analysis(
        model=record["model"],
        id=record["id"],
        status=record["status"],
        script=record["script"],
        overall=overall.get("sentiment"),
        overall_confidence=overall.get("confidence"),
        intent=intent.get("label"),
        intent_confidence=intent.get("confidence"),
        escalation=escalation.get("label"),
        escalation_confidence=escalation.get("confidence"),
        dimensions=tuple(mentions),
        uncertain=record["uncertain"],
        tokens=record["tokens"],
        windows=record["windows"],
        truncated=record["truncated"],
        probabilities={key: tuple(values) for key, values in (record.get("probabilities") or {}).items()},
    )
