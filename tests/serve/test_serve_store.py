from __future__ import annotations

import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import event, text

from serve import store as module
from serve.rows import Base, Feedback, now
from serve.store import VERSION, Store, StoreError, migrate, read_feedback

WRITER = """
import sys
from serve.rows import Feedback, now
from serve.store import Store, migrate
migrate(sys.argv[1])
store = Store(sys.argv[1])
print("ready", flush=True)
for number in range(int(sys.argv[3])):
    with store.write() as session:
        seen = session.query(Feedback).count()  # reads first: the turn must be claimed before
        row = {"sha256": "0" * 64, "text": b"x" * 2000, "before": {}, "after": {"n": number, "seen": seen}}
        session.add(Feedback(**row, by=sys.argv[2], at=now()))
    print(number, flush=True)
"""


def _writer(url: str, name: str, rows: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, url, name, str(rows)]
    return subprocess.Popen(command, cwd=Path(module.__file__).parent.parent, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def opened(database: str) -> Iterator[Store]:
    store = Store(database)
    yield store
    store.close()


def _add(store: Store, **values: Any) -> None:
    row = {"sha256": "0" * 64, "before": {}, "after": {"intent": "review"}, "by": None, "at": now()} | values
    with store.write() as session:
        session.add(Feedback(**row))


def test_store_keeps_and_gives_back(opened: Store, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAGE", 2)
    moment = now()
    text = "座椅\x00硬👍"
    for number in range(5):
        _add(opened, text=text.encode() if number else None, after={"overall": "negative", "n": number}, at=moment)
    rows = list(read_feedback(database))
    assert [row["after"]["n"] for row in rows] == [0, 1, 2, 3, 4]
    assert "text" not in rows[0]
    assert rows[1]["text"] == text
    assert rows[1]["at"] == moment.isoformat(timespec="microseconds")


def test_store_writes_all_of_a_transaction_or_nothing(opened: Store, database: str) -> None:
    with pytest.raises(ZeroDivisionError), opened.write() as session:
        session.add(Feedback(sha256="0" * 64, before={}, after={}, at=now()))
        session.flush()
        _ = 1 / 0
    assert list(read_feedback(database)) == []


def test_store_erases_by_text_and_by_age(opened: Store, database: str) -> None:
    _add(opened, sha256="a" * 64)
    _add(opened, sha256="b" * 64, at=now() - timedelta(days=3))
    _add(opened, sha256="b" * 64)
    assert opened.erase("a" * 64) == 1
    assert opened.erase_before(now() - timedelta(days=2)) == 1
    assert [row["sha256"] for row in read_feedback(database)] == ["b" * 64]


def test_store_says_that_what_it_erased_is_still_in_the_log(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another process reads what was there before; asked again afterwards, it is gone."""
    monkeypatch.setattr(module, "_BUSY_SECONDS", 0.05)
    store = Store(f"sqlite:///{data_folder / 'cinesent.sqlite'}")
    with closing(store):
        _add(store, sha256="a" * 64, text="坐得腰疼".encode())
        with closing(sqlite3.connect(data_folder / "cinesent.sqlite", isolation_level=None)) as other:
            other.execute("BEGIN")
            assert other.execute("SELECT count(*) FROM feedback").fetchone() == (1,)
            with pytest.raises(StoreError, match="still in the database's log"):
                store.erase("a" * 64)
            with pytest.raises(StoreError, match="still in the database's log"):
                store.erase_before(now() - timedelta(days=1))
            other.execute("ROLLBACK")
        assert store.erase_before(now() - timedelta(days=1)) == 0
        for file in data_folder.iterdir():
            assert "坐得腰疼".encode() not in file.read_bytes(), file


def test_store_errors_show_no_values(opened: Store, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(StoreError) as caught:
        _add(opened, sha256=None, text="座椅太硬".encode(), after={"overall": "负面"})
    assert "座" not in str(caught.value)
    assert "负" not in str(caught.value)


def test_store_tables_are_those_of_the_migrations(opened: Store) -> None:
    with opened._engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
        assert context.get_current_revision() == VERSION


def test_store_serves_several_processes_at_once(database: str) -> None:
    processes = [_writer(database, name, 15) for name in ("one", "two")]
    for process in processes:
        process.communicate(timeout=120)
        assert process.returncode == 0
    rows = list(read_feedback(database))
    assert len(rows) == 30
    for name in ("one", "two"):
        assert [row["after"]["n"] for row in rows if row["by"] == name] == list(range(15))


def test_store_is_made_once_by_processes_that_start_together(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new' / 'cinesent.sqlite'}"
    processes = [_writer(url, name, 1) for name in ("one", "two")]
    for process in processes:
        process.communicate(timeout=120)
        assert process.returncode == 0
    assert len(list(read_feedback(url))) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_store_survives_a_killed_writer(database: str) -> None:
    process = _writer(database, "killed", 100_000)
    assert process.stdout is not None
    for line in process.stdout:
        if line == "7\n":
            break
    process.send_signal(signal.SIGKILL)
    said = [line for line in process.communicate(timeout=60)[0].splitlines() if line.isdecimal()]
    rows = [row["after"]["n"] for row in read_feedback(database)]
    assert rows == list(range(len(rows)))
    assert len(rows) >= 8 + len(said), "what was said to be written is there"
    if database.startswith("sqlite"):
        with closing(sqlite3.connect(database.removeprefix("sqlite:///"))) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.skipif(sys.platform == "win32", reason="other permissions")
def test_store_is_for_nobody_else_to_read(tmp_path: Path) -> None:
    path = tmp_path / "a folder?mode=ro" / "cinesent.sqlite"
    migrate(f"sqlite:///{path}")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("mysql://root:secret@localhost/x", "another URL"),
        ("postgresql://user:secret@127.0.0.1:1/x", "cannot be used"),
        ("sqlite:///", "no file"),
        ("nonsense", "no file nonsense"),
        ("sqlite:////nowhere/x.sqlite", "no file /nowhere/x.sqlite"),
    ],
)
def test_store_says_what_is_wrong_with_a_url(url: str, found: str) -> None:
    with pytest.raises(StoreError, match=found) as caught:
        list(read_feedback(url))
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


class _ReachedError(Exception):
    pass


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {"connect_timeout": 5, "tcp_user_timeout": 10_000, "keepalives_idle": 10}),
        ("?connect_timeout=60&sslmode=disable", {"connect_timeout": "60", "tcp_user_timeout": 10_000}),
    ],
)
def test_store_does_not_wait_for_ever_for_postgresql(query: str, expected: dict[str, Any]) -> None:
    """Unless the address says how long."""
    engine = module._engine(f"postgresql://user@127.0.0.1:1/x{query}")
    asked: dict[str, Any] = {}

    @event.listens_for(engine, "do_connect")
    def connect(dialect: Any, record: Any, arguments: Any, parameters: Any) -> None:
        asked.update(parameters)
        raise _ReachedError

    with pytest.raises(_ReachedError):
        engine.connect()
    assert expected.items() <= asked.items()


@pytest.mark.postgres
@pytest.mark.parametrize(("query", "cut"), [("", True), ("?options=-c%20statement_timeout%3D60000", False)])
def test_store_cuts_off_a_statement_that_postgresql_does_not_end(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, query: str, cut: bool
) -> None:
    monkeypatch.setattr(module, "_STATEMENT_MS", 50)
    sleep = text("SELECT pg_sleep(0.3)")
    with closing(Store(postgres_url + query)) as store:
        with pytest.raises(StoreError, match="statement timeout") if cut else nullcontext(), store.read() as session:
            session.execute(sleep)
        with store.write(unbounded=True) as session:
            session.execute(sleep)


def test_store_refuses_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="--data-dir"):
        migrate(f"sqlite:///{tmp_path / 'file' / 'x.sqlite'}")


def test_store_refuses_other_versions(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    path.touch()
    with pytest.raises(StoreError, match="none of the service"):
        list(read_feedback(str(path)))
    migrate(f"sqlite:///{path}")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '999'")
    with pytest.raises(StoreError, match="999"):
        list(read_feedback(str(path)))
    with pytest.raises(StoreError, match="newer one; upgrade cinesent"):
        migrate(f"sqlite:///{path}")


def test_store_is_made_by_the_command_line(tmp_path: Path) -> None:
    main = [sys.executable, "-c", "from sentiment.cli import main; main()", "serve"]
    options: dict[str, Any] = {"cwd": Path(module.__file__).parent.parent, "capture_output": True, "text": True}
    done = subprocess.run([*main, "migrate", "--data-dir", str(tmp_path / "new")], **options, timeout=120)
    assert (done.returncode, done.stderr) == (0, f"cinesent: the database has version {VERSION}\n")
    assert list(read_feedback(str(tmp_path / "new" / "cinesent.sqlite"))) == []
    done = subprocess.run([*main, "--port", "0", "--database", "mysql://u:secret@h/x"], **options, timeout=120)
    assert done.returncode == 2
    assert done.stderr.startswith("cinesent: expected a database such as")
    assert "secret" not in done.stderr
