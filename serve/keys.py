"""API keys: the file that keeps them, hashed, and how often each may ask.

A key is 256 random bits, so one round of SHA-256 hides it as well as a slow hash of a password would.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
import re
import secrets
import stat
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal, cast, get_args

from filelock import FileLock, Timeout

from serve.settings import SettingsError

_LOG = logging.getLogger(__name__)

Role = Literal["score", "feedback", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_CHECK_SECONDS = 1.0  # between two looks at the file
_LOCK_SECONDS = 30.0


class KeysError(SettingsError):
    """A file of keys that cannot be used, or a change that makes no sense."""


@dataclass(frozen=True)
class Key:
    """A key as it is kept. `rate_limit`: texts a minute, for each worker; None: what the service's setting says."""

    name: str
    sha256: str
    roles: tuple[Role, ...]
    created: str
    rate_limit: int | None = None

    def to_dict(self) -> dict[str, Any]:
        found = {"name": self.name, "sha256": self.sha256, "roles": list(self.roles), "created": self.created}
        return found if self.rate_limit is None else found | {"rate_limit": self.rate_limit}


def new_key(name: str, roles: Sequence[Role], rate_limit: int | None = None) -> tuple[str, Key]:
    """A key to hand out, which is kept nowhere, and what is kept of it.

    Raises:
        KeysError: the name has other characters than it may have.
    """
    if not _NAME.fullmatch(name):
        raise KeysError("expected a name of 1 to 64 letters, digits, dots, dashes and underscores, found another")
    plain = f"cinesent_{secrets.token_urlsafe(32)}"
    created = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return plain, Key(name, _digest(plain), tuple(dict.fromkeys(roles)), created, rate_limit)


def read_keys(path: Path) -> tuple[Key, ...]:
    """
    Raises:
        KeysError: there is no such file, it holds no keys as `cinesent serve keys` writes them, or all may write it.
    """
    make = f"make it with `cinesent serve keys add --keys {path} NAME`"
    try:
        found = json.loads(path.read_text("utf-8"))
        exposed = os.name == "posix" and path.stat().st_mode & stat.S_IWOTH
        keys = tuple(_key(entry) for entry in found["keys"])
    except FileNotFoundError:
        raise KeysError(f"expected a file of keys, found none at {path}; {make}") from None
    except OSError as error:
        raise KeysError(f"expected a file of keys that can be read, found {path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise KeysError(f"expected keys in {path}, found a file with another content ({error}); {make}") from None
    if exposed:
        raise KeysError(f"expected keys that only their owner can write, found {path} open to everybody; chmod 600 it")
    return keys


def _key(entry: dict[str, Any]) -> Key:
    roles = tuple(entry["roles"])
    rate = entry.get("rate_limit")
    if not roles or set(roles) - set(ROLES):
        raise ValueError("a role that there is not")
    if not re.fullmatch(r"[0-9a-f]{64}", entry["sha256"]) or not _NAME.fullmatch(entry["name"]):
        raise ValueError("a name or hash of another form")
    if rate is not None and (not isinstance(rate, int) or rate < 1):
        raise ValueError("a rate_limit that is no number above 0")
    return Key(entry["name"], entry["sha256"], cast("tuple[Role, ...]", roles), str(entry["created"]), rate)


def write_keys(path: Path, keys: Sequence[Key]) -> None:
    """Replaces the file at once; it never exists half written. A new one is for its owner only. One that was there
    keeps its owner and who may read it: a service that runs as another user has to see that a key was revoked.

    Raises:
        KeysError: this user cannot leave it to its owner. OSError: it cannot be written.
    """
    path = path.resolve()
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    content = json.dumps({"keys": [key.to_dict() for key in keys]}, indent=2) + "\n"
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0)
        with os.fdopen(os.open(temporary, flags, 0o600), "w", encoding="utf-8") as handle:
            _keep_owner(path, handle.fileno())
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _keep_owner(path: Path, descriptor: int) -> None:
    """Gives a file that is to replace the one at `path`, if there is one, to the same user and group.

    Raises:
        KeysError: see `write_keys`.
    """
    if os.name != "posix" or not path.exists():
        return
    before, made = path.stat(), os.fstat(descriptor)
    try:
        if (made.st_uid, made.st_gid) != (before.st_uid, before.st_gid):
            os.fchown(descriptor, before.st_uid, before.st_gid)
        os.fchmod(descriptor, 0o600 | before.st_mode & 0o044)
    except PermissionError:
        raise KeysError(
            f"expected the owner of {path}, found another user, whose file the service could not read; "
            "run it as the user of the service, or as root"
        ) from None


def add_key(path: Path, name: str, roles: Sequence[Role], rate_limit: int | None = None) -> str:
    """Makes a key, puts its hash into the file, which is made if there is none, and returns the key.

    Raises:
        KeysError: the name is taken or has other characters than it may have, or the file cannot be used.
    """
    plain, made = new_key(name, roles, rate_limit)

    def added(kept: tuple[Key, ...]) -> tuple[Key, ...]:
        if any(key.name == name for key in kept):
            raise KeysError(f"expected a new name, found that {path} has a key {name}; revoke that one first")
        return (*kept, made)

    _change(path, added)
    return plain


def revoke_key(path: Path, name: str) -> None:
    """
    Raises:
        KeysError: there is no key of that name, or the file cannot be used.
    """

    def without(kept: tuple[Key, ...]) -> tuple[Key, ...]:
        rest = tuple(key for key in kept if key.name != name)
        if len(rest) == len(kept):
            raise KeysError(f"expected the name of a key in {path}, found another; `cinesent serve keys list` has them")
        return rest

    if not path.exists():
        read_keys(path)  # says that there is none, and leaves no lock behind
    _change(path, without)


def _change(path: Path, change: Callable[[tuple[Key, ...]], Sequence[Key]]) -> None:
    """Reads, changes and replaces the file while no other process does: beside it, NAME.lock says who is at it.

    Raises:
        KeysError: the file cannot be used, another process does not let go of it, or what `change` raises.
    """
    file = path.resolve()  # of a link, the lock is beside what it leads to, as is the new file
    try:
        with FileLock(file.with_name(f"{file.name}.lock"), timeout=_LOCK_SECONDS, mode=0o600):
            write_keys(file, change(read_keys(path) if path.exists() else ()))
    except Timeout:
        raise KeysError(
            f"expected {path} to be free within {_LOCK_SECONDS:g} s, found another process changing it; try again"
        ) from None
    except OSError as error:
        raise KeysError(
            f"expected a file of keys that can be written, found {path}: {error.strerror or type(error).__name__}"
        ) from None


class Bucket:
    """How many texts a key may still send: `rate` a minute, and a minute's worth at once.

    A request is let in while something is left, and may then take more than is left, so that a batch larger than the
    rate passes too and is waited for afterwards.
    """

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self._left = float(rate)
        self._seen = time.monotonic()

    def wait(self) -> float:
        """Seconds until something is left; 0 if it is."""
        now = time.monotonic()
        self._left = min(self._left + (now - self._seen) * self.rate / 60, float(self.rate))
        self._seen = now
        return max(0.0, (1 - self._left) * 60 / self.rate)

    def take(self, texts: int) -> None:
        self._left -= texts


class Keyring:
    """The keys of a file, read again within a second of a change, so that a revoked key stops working without a
    restart. Used by the event loop's thread only."""

    def __init__(self, path: Path, rate_limit: int | None = None) -> None:
        """
        Raises:
            KeysError: see `read_keys`; or there is no key in it.
        """
        self._path = path
        self._rate_limit = rate_limit
        self._stamp = self._told = self._look()  # of the file that was read, and of the one that the log spoke of
        self._looked = time.monotonic()
        self._keys = read_keys(path)
        self._buckets: dict[str, Bucket] = {}
        if not self._keys:
            raise KeysError(f"expected a key in {path}, found none; `cinesent serve keys add` makes one")

    def find(self, plain: bytes) -> Key | None:
        """The key that this is, or None. Takes as long for a wrong key as for any right one."""
        self._refresh()
        digest = hashlib.sha256(plain).hexdigest()
        found = None
        for key in self._keys:
            if hmac.compare_digest(digest, key.sha256):
                found = key
        return found

    def bucket(self, key: Key) -> Bucket | None:
        """What the key may still send; None if that is not limited."""
        rate = key.rate_limit or self._rate_limit
        if rate is None:
            return None
        bucket = self._buckets.get(key.sha256)
        if bucket is None or bucket.rate != rate:
            bucket = self._buckets[key.sha256] = Bucket(rate)
        return bucket

    def _refresh(self) -> None:
        now = time.monotonic()
        if now - self._looked < _CHECK_SECONDS:
            return
        self._looked = now
        stamp = self._look()
        if stamp == self._stamp:
            return
        try:
            self._keys = read_keys(self._path)
        except KeysError:  # tried again at every look: what makes it usable, such as chmod, need not change the stamp
            if stamp != self._told:
                _LOG.error("the file of keys cannot be used now; the keys read before stay")
            self._told = stamp
            return
        self._stamp = self._told = stamp
        _LOG.info("%d keys read again", len(self._keys))

    def _look(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino


def _digest(plain: str) -> str:
    return hashlib.sha256(plain.encode()).hexdigest()
