"""What an operator sets; `cinesent serve` fills it from flags and CINESENT_* variables."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

# More items than that are refused before they are looked at, whatever the settings say.
MOST_ITEMS = 10_000


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
    keys: Path | None = None
    rate_limit: int | None = None
    allowed_hosts: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    max_batch_items: int = 256
    max_body: int = 1024 * 1024
    max_upload: int = 64 * 1024 * 1024
    max_characters: int = 20_000
    deadline: float = 10.0
    queue_size: int = 1024
    block_characters: int = 16_384
    log_level: str = "info"

    def __post_init__(self) -> None:
        for name in (
            *("workers", "threads", "rate_limit", "max_batch_items", "max_body", "max_upload", "max_characters"),
            *("deadline", "queue_size", "block_characters"),
        ):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise SettingsError(f"expected {name} to be greater than 0, found {value}")
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

    @property
    def loopback(self) -> bool:
        """Whether only this machine reaches `host`."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"
