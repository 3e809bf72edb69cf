"""Who may do what: which requests are let in, before their body is read, and which role a route wants."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPBearer
from starlette.types import Scope

from serve.errors import ProblemError
from serve.keys import Key, Keyring, Role
from serve.settings import Settings

LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
# Probes and files of the package, which hold nothing of anybody.
_OPEN = frozenset({"/health", "/ready", "/", "/docs", "/openapi.json", "/favicon.ico"})
_OPEN_FOLDERS = ("/docs/assets/", "/page/")
_PROBES = frozenset({"/health", "/ready"})
_READING = frozenset({"GET", "HEAD", "OPTIONS"})

# For OpenAPI only; `Gate` does the work.
_Bearer = Annotated[Any, Security(HTTPBearer(auto_error=False, scheme_name="bearer"))]
_Header = Annotated[Any, Security(APIKeyHeader(name="X-API-Key", auto_error=False, scheme_name="header"))]


class Gate:
    """Decides on a request by its head.

    With keys, everything but probes and the package's own pages wants one. Without keys only this machine can call
    (`Settings` sees to that), and two ways are closed by which a web page could make a browser here call: a foreign
    name that resolves to this machine, and a form or script of another origin.
    """

    def __init__(self, settings: Settings) -> None:
        """
        Raises:
            KeysError: the file of keys cannot be used.
        """
        self._keyring = None if settings.keys is None else Keyring(settings.keys, settings.rate_limit)
        local = LOCAL_NAMES if self._keyring is None else ()
        self._hosts = frozenset(map(_name, settings.allowed_hosts or local))
        self._origins = frozenset(map(as_origin, settings.cors_origins))

    def admit(self, scope: Scope) -> Key | None:
        """The caller's key; None if the route, or the whole service, needs none.

        Raises:
            ProblemError: 401, 403, 421 or 429.
        """
        headers = dict(scope["headers"])
        path, reading = scope["path"], scope["method"] in _READING
        self._check_host(headers, path)
        if reading and (path in _OPEN or path.startswith(_OPEN_FOLDERS)):
            return None
        if self._keyring is None:
            if not reading:
                self._check_origin(headers)
            return None
        key = self._keyring.find(_presented(headers))
        if key is None:
            detail = "expected a valid key as `Authorization: Bearer KEY` or `X-API-Key: KEY`, found none"
            raise ProblemError(401, "unauthorized", detail, {"WWW-Authenticate": "Bearer"})
        if (bucket := self._keyring.bucket(key)) is not None:
            if (wait := math.ceil(bucket.wait())) > 0:
                detail = f"expected at most {bucket.rate} texts a minute with this key, found more; wait {wait} s"
                raise ProblemError(429, "rate_limited", detail, {"Retry-After": str(wait)})
            bucket.take(1)
        return key

    def charge(self, key: Key | None, texts: int) -> None:
        """Counts further texts of a request that was let in, as one text, with `key`."""
        if key is not None and self._keyring is not None and (bucket := self._keyring.bucket(key)) is not None:
            bucket.take(texts)

    def _check_host(self, headers: Mapping[bytes, bytes], path: str) -> None:
        if not self._hosts or path in _PROBES:
            return
        if _host(f"//{headers.get(b'host', b'').decode('latin-1')}")[0] not in self._hosts:
            raise ProblemError(
                421, "wrong_host", "expected a Host among --allowed-hosts (or, without keys, of this machine)"
            )

    def _check_origin(self, headers: Mapping[bytes, bytes]) -> None:
        origin = headers.get(b"origin", b"").decode("latin-1")
        if not origin or origin in self._origins:
            return
        if _host(origin)[1] != headers.get(b"host", b"").decode("latin-1").lower():
            raise ProblemError(403, "cross_origin", "expected a page of this service or of --cors-origins")


def _host(address: str) -> tuple[str | None, str | None]:
    """Name, and name with port as it stands there, in lower case; None if that is no address."""
    try:
        found = urlsplit(address)
        return found.hostname, found.netloc.lower()
    except ValueError:
        return None, None


def _name(host: str) -> str:
    """A name of --allowed-hosts as `_host` finds it in a request: in lower case, without port and brackets."""
    if "://" not in host:
        bare = host.count(":") > 1 and not host.startswith("[")  # an IPv6 address
        host = f"//[{host}]" if bare else f"//{host}"
    return _host(host)[0] or ""


def as_origin(address: str) -> str:
    """One of --cors-origins as a browser sends it: in lower case, without a slash at the end."""
    return address.rstrip("/").lower()


def _presented(headers: Mapping[bytes, bytes]) -> bytes:
    scheme, _, value = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() == b"bearer":
        return value.strip()
    return headers.get(b"x-api-key", b"").strip()


def require(role: Role) -> Any:
    """A dependency for a route or a router: the caller's key has this role, or `admin`, which may do everything.

    `APIRouter(dependencies=[require("feedback")])`. Without configured keys it lets everybody in. The key itself was
    checked before the body was read; `request.state.key` is the `Key`, or None without configured keys.

    Raises (while the request is handled):
        ProblemError: 403, the key lacks the role.
    """

    async def check(request: Request, bearer: _Bearer = None, header: _Header = None) -> None:
        key: Key | None = getattr(request.state, "key", None)
        if key is not None and role not in key.roles and "admin" not in key.roles:
            raise ProblemError(403, "forbidden", f"expected a key with the role {role}, found one without it")

    return Depends(check)
