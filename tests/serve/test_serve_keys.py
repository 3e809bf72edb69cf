from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from filelock import FileLock

from sentiment.cli import main
from serve import keys
from serve.keys import Bucket, Keyring, KeysError, new_key, read_keys, write_keys


def _cli(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["serve", "keys", *arguments])


def test_keys_are_added_listed_and_revoked(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    added = _cli("add", "--keys", str(path), "desk", "--role", "score", "--role", "feedback", "--rate-limit", "60")
    assert added.exit_code == 0
    plain = added.stdout.strip()
    assert plain.startswith("cinesent_") and len(plain) > 50
    assert plain not in path.read_text("utf-8"), "only the hash is kept"
    listed = _cli("list", "--keys", str(path))
    assert listed.stdout.startswith("desk: score, feedback, 60 texts a minute")
    assert plain not in listed.stdout
    (entry,) = json.loads(_cli("list", "--keys", str(path), "--json").stdout)
    assert (entry["name"], entry["rate_limit"]) == ("desk", 60)
    assert "sha256" not in entry
    assert Keyring(path).find(plain.encode()) is not None
    assert _cli("revoke", "--keys", str(path), "desk").exit_code == 0
    assert read_keys(path) == ()


@pytest.mark.skipif(os.name == "nt", reason="no such permissions")
def test_keys_file_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    _cli("add", "--keys", str(path), "desk")
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.glob("*.tmp")) == list(tmp_path.glob(".*")) == []


@pytest.mark.skipif(os.name == "nt" or not hasattr(os, "geteuid") or os.geteuid() != 0, reason="root only")
def test_keys_stay_with_the_user_of_the_service_when_root_changes_them(tmp_path: Path) -> None:
    """Otherwise the service could not read the new file, and a revoked key would go on working."""
    path = tmp_path / "keys.json"
    for name in ("desk", "import"):
        assert _cli("add", "--keys", str(path), name).exit_code == 0
    os.chown(path, 12345, 12346)
    path.chmod(0o640)
    (tmp_path / "link.json").symlink_to(path)
    assert _cli("revoke", "--keys", str(tmp_path / "link.json"), "import").exit_code == 0
    assert (tmp_path / "link.json").is_symlink()
    found = path.stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (12345, 12346, 0o640)
    assert [key.name for key in read_keys(path)] == ["desk"]


@pytest.mark.skipif(os.name == "nt", reason="no such owners")
def test_keys_are_not_taken_from_their_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: int) -> None:
        raise PermissionError

    path = tmp_path / "keys.json"
    assert _cli("add", "--keys", str(path), "desk").exit_code == 0
    before = path.read_bytes()
    monkeypatch.setattr(keys.os, "fchmod", refuse)
    result = _cli("revoke", "--keys", str(path), "desk")
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
    assert "user of the service" in result.stderr
    assert path.read_bytes() == before
    assert list(tmp_path.glob(".*")) == []


@pytest.mark.skipif(os.name == "nt", reason="no such permissions")
def test_keys_that_everybody_can_write_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "keys.json"
    (mine, kept), (other, planted) = new_key("desk", ["score"]), new_key("planted", ["admin"])
    write_keys(path, [kept])
    ring = Keyring(path)
    monkeypatch.setattr(keys, "_CHECK_SECONDS", 0.0)
    path.write_text(json.dumps({"keys": [kept.to_dict(), planted.to_dict()]}), "utf-8")
    path.chmod(0o666)
    assert ring.find(other.encode()) is None
    assert ring.find(mine.encode()) == kept
    with pytest.raises(KeysError, match="chmod 600"):
        Keyring(path)


@pytest.mark.skipif(os.name == "nt", reason="no such permissions")
def test_keys_made_usable_again_by_chmod_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "keys.json"
    (revoked, one), (mine, other) = new_key("one", ["score"]), new_key("other", ["score"])
    write_keys(path, [one, other])
    ring = Keyring(path)
    monkeypatch.setattr(keys, "_CHECK_SECONDS", 0.0)
    path.chmod(0o666)
    path.write_text(json.dumps({"keys": [other.to_dict()]}), "utf-8")
    for _ in range(3):
        assert ring.find(revoked.encode()) == one
    assert caplog.text.count("cannot be used now") == 1
    path.chmod(0o600)
    assert ring.find(revoked.encode()) is None
    assert ring.find(mine.encode()) == other


def test_keys_that_are_revoked_are_refused_by_every_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each worker has a ring of its own; within a second after the change none takes the key any more."""
    path = tmp_path / "keys.json"
    plain = [_cli("add", "--keys", str(path), name).stdout.strip().encode() for name in ("desk", "import")]
    now = time.monotonic()
    monkeypatch.setattr(keys.time, "monotonic", lambda: now)
    rings = [Keyring(path) for _ in range(3)]
    assert all(ring.find(key) for ring in rings for key in plain)
    assert _cli("revoke", "--keys", str(path), "import").exit_code == 0
    now += 1.0
    for ring in rings:
        assert ring.find(plain[1]) is None
        assert ring.find(plain[0]) is not None


def test_keys_of_processes_that_change_the_file_at_once_are_all_kept(tmp_path: Path) -> None:
    """Each process adds its keys one after the other, and revokes every second one of them."""
    path = tmp_path / "keys.json"
    code = textwrap.dedent(
        f"""
        import sys
        from pathlib import Path
        from serve.keys import add_key, revoke_key
        print("begins", flush=True)
        sys.stdin.read()  # until all of them are there
        for number in range(10):
            print(add_key(Path({str(path)!r}), f"{{sys.argv[1]}}-{{number}}", ["score"]), flush=True)
            if number % 2:
                revoke_key(Path({str(path)!r}), f"{{sys.argv[1]}}-{{number}}")
        """
    )
    command = [sys.executable, "-c", code]
    root = Path(keys.__file__).parent.parent
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": root}
    processes = [subprocess.Popen([*command, str(number)], **pipes) for number in range(4)]
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == "begins\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
    printed = []
    for process in processes:
        assert process.stdout is not None
        printed.append(process.stdout.read().split())
        process.stdout.close()
        assert process.wait(60) == 0
    expected = {f"{writer}-{number}": printed[writer][number] for writer in range(4) for number in range(0, 10, 2)}
    assert {key.name for key in read_keys(path)} == expected.keys()
    ring = Keyring(path)
    for name, plain in expected.items():
        key = ring.find(plain.encode())
        assert key is not None and key.name == name


def test_keys_that_another_process_holds_are_waited_for_and_then_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "keys.json"
    monkeypatch.setattr(keys, "_LOCK_SECONDS", 0.1)
    with FileLock(tmp_path / "keys.json.lock"):
        result = _cli("add", "--keys", str(path), "desk")
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
    assert "to be free within 0.1 s" in result.stderr and not path.exists()
    assert _cli("add", "--keys", str(path), "desk").exit_code == 0
    nowhere = _cli("add", "--keys", str(path / "sub" / "keys.json"), "desk")
    assert nowhere.exit_code == 2 and "can be written" in nowhere.stderr


def test_keys_refuse_what_makes_no_sense(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    assert _cli("add", "--keys", str(path), "desk").exit_code == 0
    before = path.read_bytes()
    for arguments in (
        ("add", "--keys", str(path), "desk"),
        ("add", "--keys", str(path), "a b"),
        ("add", "--keys", str(path), "other", "--role", "root"),
        ("revoke", "--keys", str(path), "other"),
        ("list", "--keys", str(tmp_path / "none.json")),
        ("list",),
    ):
        result = _cli(*arguments)
        assert result.exit_code == 2
        assert len(result.stderr.splitlines()) == 1
    assert path.read_bytes() == before


def test_keys_are_read_from_a_variable(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    result = CliRunner().invoke(main, ["serve", "keys", "add", "desk"], env={"CINESENT_KEYS": str(path)})
    assert result.exit_code == 0
    assert read_keys(path)[0].roles == ("score",)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"keys": [{}]}',
        '{"keys": [{"name": "a", "sha256": "x", "roles": ["score"], "created": ""}]}',
        '{"keys": [{"name": "a", "sha256": "' + "0" * 64 + '", "roles": [], "created": ""}]}',
        '{"keys": [{"name": "a", "sha256": "' + "0" * 64 + '", "roles": ["root"], "created": ""}]}',
        '{"keys": [{"name": "a", "sha256": "' + "0" * 64 + '", "roles": ["score"], "created": "", "rate_limit": 0}]}',
    ],
)
def test_keys_of_another_form_are_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(content, "utf-8")
    with pytest.raises(KeysError, match=r"expected .*found"):
        read_keys(path)


def test_keys_without_any_cannot_start(tmp_path: Path) -> None:
    write_keys(tmp_path / "keys.json", [])
    with pytest.raises(KeysError, match="keys add"):
        Keyring(tmp_path / "keys.json")


def test_keys_compare_with_every_key_in_constant_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = [new_key(name, ["score"]) for name in ("a", "b", "c")]
    write_keys(tmp_path / "keys.json", [key for _, key in made])
    ring = Keyring(tmp_path / "keys.json")
    compared: list[Any] = []
    real = keys.hmac.compare_digest
    monkeypatch.setattr(
        keys.hmac, "compare_digest", lambda one, other: bool(compared.append(other)) or real(one, other)
    )
    for plain, expected in ((made[0][0], "a"), (made[2][0], "c"), ("cinesent_wrong", None)):
        compared.clear()
        found = ring.find(plain.encode())
        assert (found and found.name) == expected
        assert len(compared) == 3


def test_keys_are_read_again_when_the_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "keys.json"
    (first, kept), (second, other) = new_key("a", ["score"]), new_key("b", ["admin"])
    write_keys(path, [kept])
    ring = Keyring(path)
    monkeypatch.setattr(keys, "_CHECK_SECONDS", 0.0)
    write_keys(path, [other])
    assert ring.find(first.encode()) is None, "revoked"
    assert ring.find(second.encode()) == other
    path.write_text("broken", "utf-8")
    assert ring.find(second.encode()) == other, "a broken file locks nobody out"
    path.unlink()
    assert ring.find(second.encode()) == other
    write_keys(path, [])
    assert ring.find(second.encode()) is None


def test_keys_bucket_lets_a_large_batch_pass_and_waits_for_it_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(keys.time, "monotonic", lambda: now)
    bucket = Bucket(60)
    assert bucket.wait() == 0
    bucket.take(100)
    assert bucket.wait() == pytest.approx(41)
    now += 40
    assert bucket.wait() == pytest.approx(1)
    now += 1
    assert bucket.wait() == 0
    now += 3600
    bucket.wait()
    bucket.take(60)
    assert bucket.wait() == pytest.approx(1), "no more than a minute's worth is saved up"
