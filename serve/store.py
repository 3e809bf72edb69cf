"""What the service keeps: corrections, jobs over uploaded files, and events that wait for the webhook's receiver.

SQLite in the data directory, or PostgreSQL by URL. Texts are in it only where the operator allows it (`store_texts`,
`webhook_texts`, uploaded files); evidence is kept as offsets, never as words. Times are in UTC.

`read_feedback(url)` is how training reads corrections: one dict each, oldest first, several of one text among them::

    {"id": 12, "sha256": "9f86…", "text": "座椅太硬", "before": LABELS, "after": LABELS,
     "model": "cinesent-zh@1a2b3c4d", "by": "desk-3", "at": "2026-03-01T08:30:00.123456+00:00"}

- `text` is there only if it was stored; `sha256` always is (of the text in UTF-8, not normalised).
- LABELS has the members of a labelled record, `{"labels": [{"dimension", "sentiment", "start", "end"}], "annotated":
  [keys], "overall", "intent", "escalation"}`. A missing member is unknown; `labels` present means that every dimension
  was judged, unless `annotated` lists which. `start` and `end` are code points, and missing where nobody gave them.
- `model` said `before`, or null if the caller did not tell; `by` is the name of the API key, null without keys.
- Of several of a text by the same `by`, the last that changed a label is what that person thinks of it now.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import (
    URL,
    CursorResult,
    Engine,
    Executable,
    create_engine,
    delete,
    event,
    inspect,
    make_url,
    select,
)
from sqlalchemy.exc import ArgumentError, OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session

from serve.rows import Event, Feedback

if TYPE_CHECKING:
    from serve.context import Service

VERSION = "001"  # the newest file in serve/migrations/versions
_SQLITE = "sqlite:///"
_BUSY_SECONDS = 30
_PAGE = 500
# How long PostgreSQL is waited for: to be reached, to acknowledge what was sent, to show that it is there at all.
# What the address sets itself holds instead.
_PATIENCE = {
    "connect_timeout": 5,  # s
    "tcp_user_timeout": 10_000,  # ms
    "keepalives_idle": 10,  # s
    "keepalives_interval": 5,  # s
    "keepalives_count": 2,
}
_STATEMENT_MS = 15_000  # that a statement may take in PostgreSQL, but for migrations and the removal of old rows
_MIGRATION_LOCK = 0x63696E65  # any number; the same in every process that migrates


class StoreError(RuntimeError):
    """The database cannot be used; the message says why and never shows a text or a password."""


class Store:
    """The database of one process. Safe to use from several threads, and beside other processes that use it."""

    def __init__(self, url: str) -> None:
        """
        Raises:
            StoreError: it cannot be opened. `migrate` creates it.
        """
        self._engine = _engine(url)
        self._writing = self._engine.execution_options(writes=True)
        self._removing = self._engine.execution_options(writes=True, unbounded=True)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A transaction that only reads.

        Raises:
            StoreError: the database failed.
        """
        with _translated(), Session(self._engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self, *, unbounded: bool = False) -> Iterator[Session]:
        """A transaction, committed at the end: what was written then survives the process and the machine. `unbounded`:
        a statement of it may take as long as it does.

        Raises:
            StoreError: the database failed; nothing of it was written.
        """
        engine = self._removing if unbounded else self._writing
        with _translated(), Session(engine, expire_on_commit=False) as session, session.begin():
            yield session

    def close(self) -> None:
        self._engine.dispose()

    def erase(self, sha256: str) -> int:
        """Removes all corrections of a text, and what waits for the webhook's receiver; how many corrections.

        Raises:
            StoreError: see `write` and `_forget_pages`; it can be asked for again.
        """
        with self.write() as session:
            removed = changed(session, delete(Feedback).where(Feedback.sha256 == sha256))
            changed(session, delete(Event).where(Event.sha256 == sha256))
        self._forget_pages()
        return removed

    def erase_before(self, moment: datetime) -> int:
        """Removes the corrections that are older; how many."""
        with self.write(unbounded=True) as session:
            removed = changed(session, delete(Feedback).where(Feedback.at < moment))
        self._forget_pages()  # also where nothing is left to remove: the last time it may have failed
        return removed

    def erase_events_before(self, moment: datetime) -> int:
        """Removes the events that are older and still wait for the webhook's receiver; how many."""
        with self.read() as session:
            if session.scalar(select(Event.id).where(Event.created < moment).limit(1)) is None:
                return 0
        with self.write(unbounded=True) as session:
            removed = changed(session, delete(Event).where(Event.created < moment))
        self._forget_pages()
        return removed

    def feedback(self) -> Iterator[dict[str, Any]]:
        """Every correction, oldest first, in constant memory and in transactions that are over soon."""
        last = 0
        while True:
            with self.read() as session:
                query = select(Feedback).where(Feedback.id > last).order_by(Feedback.id).limit(_PAGE)
                rows = list(session.scalars(query))
            yield from (row.to_dict() for row in rows)
            if len(rows) < _PAGE:
                return
            last = rows[-1].id

    def _forget_pages(self) -> None:
        """What SQLite removed is overwritten with zeros, but the log still has it until it is worked in.

        Raises:
            StoreError: somebody reads what was there before, and does not end.
        """
        if self._engine.dialect.name != "sqlite":
            return
        with _translated(), self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            busy = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").scalar()
        if busy:
            raise StoreError("what was removed is still in the database's log while another process reads it")


def changed(session: Session, statement: Executable) -> int:
    """How many rows a statement changed or removed."""
    return cast("CursorResult[Any]", session.execute(statement)).rowcount


def wait_turn(session: Session, lock: int) -> None:
    """Until this transaction of writing ends, no other that asks for the same `lock` gets past here. In SQLite only one
    at a time writes anyway."""
    if session.get_bind().dialect.name == "postgresql":
        session.connection().exec_driver_sql(f"SELECT pg_advisory_xact_lock({lock})")


@asynccontextmanager
async def opened(service: Service) -> AsyncIterator[None]:
    """Brings the database to this version and opens it as `service.store`.

    Raises:
        StoreError: see `migrate`.
    """
    url = service.settings.database_url
    await asyncio.to_thread(migrate, url)
    service.store = Store(url)
    try:
        yield
    finally:
        service.store.close()


def read_feedback(url: str) -> Iterator[dict[str, Any]]:
    """The corrections of a service's database, also while it runs; the module's docstring shows one.

    Args:
        url: as `cinesent serve --database` takes it, or the path of an SQLite file.

    Raises:
        StoreError: there is no such database, or its tables are of another version.
    """
    if "://" not in url:
        url = _SQLITE + url
    if url.startswith(_SQLITE) and not Path(url.removeprefix(_SQLITE)).is_file():
        place = url.removeprefix(_SQLITE)
        raise StoreError(f"expected a database of the service, found no file {place}; see `cinesent serve --data-dir`")
    store = Store(url)
    try:
        if (found := _version(store._engine)) != VERSION:
            raise StoreError(
                f"expected a database of version {VERSION}, found {found or 'none of the service'}; "
                "`cinesent serve migrate` brings an older one to this version"
            )
        yield from store.feedback()
    finally:
        store.close()


def migrate(url: str) -> None:
    """Creates the tables, or brings them to this version; one process does it while the others wait.

    Raises:
        StoreError: the database cannot be reached or written, or a newer version made it.
    """
    engine = _engine(url)
    try:
        if _version(engine) != VERSION:
            _upgrade(engine)
    finally:
        engine.dispose()


def _version(engine: Engine) -> str | None:
    """Of the tables; None if there are none."""
    with _translated(), engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()


def _upgrade(engine: Engine) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", "serve:migrations")
    config.set_main_option("path_separator", "os")
    try:
        with _translated(), engine.execution_options(writes=True, unbounded=True).begin() as connection:
            if engine.dialect.name == "postgresql":
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except CommandError:
        raise StoreError(
            "expected a database of this version or an older one, found a newer one; upgrade cinesent"
        ) from None


def _parsed(url: str) -> URL:
    if url.startswith(_SQLITE) and url != _SQLITE:  # a path may hold what means something else in a URL
        return URL.create("sqlite", database=url.removeprefix(_SQLITE))
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        parsed = None
    kind = "" if parsed is None else parsed.get_backend_name()
    if parsed is None or kind not in ("postgresql", "postgres") or not parsed.database:
        raise StoreError(
            "expected a database such as sqlite:////var/lib/cinesent/cinesent.sqlite or "
            "postgresql://user:password@host/name, found another URL"
        )
    return parsed.set(drivername="postgresql+psycopg")


def _engine(url: str) -> Engine:
    """Parameters never show up in errors: they are texts and labels."""
    parsed = _parsed(url)
    if parsed.drivername != "sqlite":
        patience = {name: value for name, value in _PATIENCE.items() if name not in parsed.query}
        engine = create_engine(parsed, hide_parameters=True, pool_pre_ping=True, connect_args=patience)
        if "statement_timeout" not in str(parsed.query.get("options")):
            event.listen(engine, "begin", _begin_postgresql)
        return engine
    _prepare_file(Path(str(parsed.database)))
    engine = create_engine(parsed, hide_parameters=True, connect_args={"timeout": _BUSY_SECONDS})
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_file(path: Path) -> None:
    """Folder and file, for nobody else to read."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise StoreError(
            f"expected a database file that can be written, found {path}: {error.strerror}; see --data-dir"
        ) from None


def _set_up_sqlite(connection: Any, record: Any) -> None:
    connection.isolation_level = None  # SQLAlchemy says where transactions begin, not the driver
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "secure_delete = ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Any) -> None:
    # A transaction that first reads and then writes cannot wait for its turn: it must say at once that it will write.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")


def _begin_postgresql(connection: Any) -> None:
    # For the transaction only: a pooler between here and the server may give the session to somebody else afterwards.
    if not connection.get_execution_options().get("unbounded"):
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = {_STATEMENT_MS}")


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        reason = " ".join(str(error.orig).split())[:200] or type(error.orig).__name__
        raise StoreError(f"the database cannot be used: {reason}") from None
    except SQLAlchemyError as error:
        raise StoreError(f"the database failed: {type(error).__name__}") from None
