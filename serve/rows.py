"""The tables of the database, a class each: corrections, uploaded files, events for the webhook. Times are in UTC."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Index, LargeBinary, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator


def now() -> datetime:
    return datetime.now(timezone.utc)


class Utc(TypeDecorator[datetime]):
    """A moment, kept in UTC: SQLite knows no time zones."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(timezone.utc).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=timezone.utc)


class Base(DeclarativeBase):
    """The tables. To change one, change it here and add a migration; a test compares the two."""


class Feedback(Base):
    """A correction. `text` is UTF-8, or null where texts are not stored: PostgreSQL's strings cannot hold a NUL."""

    __tablename__ = "feedback"
    __table_args__ = (Index("feedback_sha256", "sha256"), Index("feedback_at", "at"))

    id: Mapped[int] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64))
    text: Mapped[bytes | None] = mapped_column(LargeBinary)
    before: Mapped[dict[str, Any]] = mapped_column(JSON)
    after: Mapped[dict[str, Any]] = mapped_column(JSON)
    model: Mapped[str | None] = mapped_column(Text)
    by: Mapped[str | None] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(Utc)

    def to_dict(self) -> dict[str, Any]:
        """As `serve.store` shows it."""
        return {
            "id": self.id,
            "sha256": self.sha256,
            **({} if self.text is None else {"text": self.text.decode()}),
            "before": self.before,
            "after": self.after,
            "model": self.model,
            "by": self.by,
            "at": self.at.isoformat(timespec="microseconds"),
        }


class Job(Base):
    """An uploaded file on its way through `serve.jobs`. While it runs, `owner` must renew `lease` or lose it."""

    __tablename__ = "job"
    __table_args__ = (Index("job_status", "status", "created"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    status: Mapped[str] = mapped_column(String(8))
    name: Mapped[str] = mapped_column(Text)
    size: Mapped[int] = mapped_column(BigInteger)
    options: Mapped[dict[str, Any]] = mapped_column(JSON)
    by: Mapped[str | None] = mapped_column(Text)
    created: Mapped[datetime] = mapped_column(Utc)
    finished: Mapped[datetime | None] = mapped_column(Utc)
    progress: Mapped[float] = mapped_column(default=0.0)
    rows: Mapped[int] = mapped_column(default=0)
    reason: Mapped[str | None] = mapped_column(Text)
    summary: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    attempts: Mapped[int] = mapped_column(default=0)
    owner: Mapped[str | None] = mapped_column(String(32))
    lease: Mapped[datetime | None] = mapped_column(Utc)


class Event(Base):
    """An event that the webhook's receiver has not yet acknowledged; `due` is when it is tried (again)."""

    __tablename__ = "outbox"
    __table_args__ = (Index("outbox_due", "due"), Index("outbox_sha256", "sha256"))

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64))
    body: Mapped[bytes] = mapped_column(LargeBinary)
    created: Mapped[datetime] = mapped_column(Utc)
    due: Mapped[datetime] = mapped_column(Utc)
    attempts: Mapped[int] = mapped_column(default=0)
