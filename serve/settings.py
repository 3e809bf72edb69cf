"""What an operator sets; `cinesent serve` fills it from flags and CINESENT_* variables."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import math
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from sentiment.cpus import usable_cpus

# More items than that are refused before they are looked at, whatever the settings say.
MOST_ITEMS = 10_000
# A hundred years: a date so many days ago, or ahead, is still one that Python can name.
MOST_DAYS = 36_500


class SettingsError(ValueError):
    """Settings that contradict each other; the message says what was expected, what was found, what to do."""


@dataclass(frozen=True)
class Settings:
    """One field a flag: `max_body` is `--max-body` and CINESENT_MAX_BODY. Bytes, seconds, texts and characters.

    `queue_size` texts may wait; `block_characters` of them are scored at once, so that what arrives meanwhile waits
    for one block and not for all that is queued. Limits hold for each worker.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    model: Path | None = None
    taxonomy: Path | None = None
    threads: int | None = None
    runtime: str = "auto"
    keys: Path | None = None
    rate_limit: int | None = None
    allowed_hosts: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    max_batch_items: int = 256
    max_body: int = 1024 * 1024
    max_upload: int = 64 * 1024 * 1024
    max_characters: int = 20_000
    deadline: float = 10.0
    body_timeout: float = 30.0
    drain: float = 0.0
    queue_size: int = 1024
    block_characters: int = 16_384
    data_dir: Path | None = None
    database: str | None = field(default=None, repr=False)
    store_texts: bool = False
    retention: int | None = None
    file_retention: int = 7
    max_rows: int = 1_000_000
    max_jobs: int = 20
    job_memory: int = 2048
    job_time: float = 14_400.0
    webhook_url: str | None = None
    webhook_secret: str | None = field(default=None, repr=False)
    webhook_texts: bool = False
    log_level: str = "info"

    def __post_init__(self) -> None:
        for name in (
            *("workers", "threads", "rate_limit", "max_batch_items", "max_body", "max_upload", "max_characters"),
            *("deadline", "body_timeout", "queue_size", "block_characters"),
            *("retention", "file_retention", "max_rows", "max_jobs", "job_memory", "job_time"),
        ):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise SettingsError(f"expected {name} to be greater than 0, found {value}")
        for name in ("retention", "file_retention"):
            if (days := getattr(self, name)) is not None and days > MOST_DAYS:
                raise SettingsError(f"expected {name} to be at most {MOST_DAYS} days, found {days}")
        if not self.drain >= 0:
            raise SettingsError(f"expected drain to be 0 or more seconds, found {self.drain}")
        for name in ("deadline", "body_timeout", "drain"):
            if math.isinf(seconds := getattr(self, name)):
                raise SettingsError(f"expected {name} to be a number of seconds, found {seconds}")
        if self.max_batch_items > MOST_ITEMS:
            raise SettingsError(f"expected max_batch_items to be at most {MOST_ITEMS}, found {self.max_batch_items}")
        if self.queue_size < self.max_batch_items:
            raise SettingsError(
                f"expected queue_size to hold one batch of {self.max_batch_items} items, found {self.queue_size}; "
                "raise queue_size or lower max_batch_items"
            )
        if self.keys is None and not self.loopback:
            raise SettingsError(
                f"expected API keys for an address that others reach, found host {self.host} without any; make one "
                "with `cinesent serve keys add --keys FILE NAME` and start with --keys FILE, or listen on 127.0.0.1"
            )

        self._check_webhook()

    def _check_webhook(self) -> None:
        if self.webhook_url is None:
            if self.webhook_secret is not None or self.webhook_texts:
                raise SettingsError("expected webhook_url with the other settings of the webhook, found none")
            return
        try:
            address = urlsplit(self.webhook_url)
            sound = address.scheme in ("http", "https") and address.hostname and address.username is None
            _ = address.port  # raises where there can be no such port
        except ValueError:
            sound = False
        if not sound:
            raise SettingsError(
                "expected webhook_url to be http://HOST/PATH or https://HOST/PATH, found another address"
            )
        if len(self.signing_key) < 24:
            raise SettingsError(
                "expected webhook_secret to be whsec_ and the base64 of 24 bytes or more, found "
                f"{'none' if self.webhook_secret is None else 'another'}; make one with: "
                "echo whsec_$(openssl rand -base64 32)"
            )

    @property
    def worker_threads(self) -> int | None:
        """Threads of each worker: unless set, its share of the cores; None, for a worker alone: all."""
        if self.threads is not None or self.workers == 1:
            return self.threads
        return max(usable_cpus() // self.workers, 1)

    @property
    def signing_key(self) -> bytes:
        """The webhook's secret as bytes; empty if it is none."""
        prefix, _, encoded = (self.webhook_secret or "").strip().partition("_")
        try:
            return base64.b64decode(encoded, validate=True) if prefix == "whsec" else b""
        except binascii.Error:
            return b""

    @property
    def data_folder(self) -> Path:
        """Where the database and uploaded files are, unless `database` is elsewhere."""
        if self.data_dir is not None:
            return self.data_dir
        from platformdirs import user_data_path

        return user_data_path("cinesent", appauthor=False)

    @property
    def database_url(self) -> str:
        return self.database or f"sqlite:///{self.data_folder / 'cinesent.sqlite'}"

    @property
    def loopback(self) -> bool:
        """Whether only this machine reaches `host`."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"
