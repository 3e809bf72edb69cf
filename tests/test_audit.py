"""The audit that `.ci/run` makes: it finds what is planted, and in our own tree nothing new."""

from __future__ import annotations

import importlib.util
import secrets
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.skipif(not (ROOT / ".ci").is_dir(), reason="not a source tree")


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", ROOT / ".ci" / "audit.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _run(*arguments: object, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / ".ci" / "audit.py"), *map(str, arguments)]
    environment = None if path is None else {"PYTHONPATH": str(path), "PATH": "/usr/bin:/bin"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)


def _plant(folder: Path, name: str, *requires: str) -> None:
    """An installed package, as far as anybody can tell."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    lines = ["Metadata-Version: 2.1", f"Name: {name}", "Version: 1.0", *(f"Requires-Dist: {one}" for one in requires)]
    (info / "METADATA").write_text("\n".join(lines) + "\n", "utf-8")
    (info / "INSTALLER").write_text("pip\n", "utf-8")


def test_audit_finds_a_broken_requirement_and_a_package_without_a_pin(tmp_path: Path) -> None:
    _plant(tmp_path, "planted", "click<1", "absent-one>=2")
    done = _run("dependencies", path=tmp_path)
    assert done.returncode == 1, done.stderr
    lines = done.stdout.splitlines()
    assert any(line.startswith("planted 1.0 has requirement click<1") for line in lines)
    assert any("requires absent-one, which is not installed" in line for line in lines)
    assert "planted: expected a pin in constraints.txt, found 1.0 installed" in lines


def test_audit_finds_a_release_that_was_withdrawn(tmp_path: Path, audit: ModuleType) -> None:
    log = tmp_path / "log"
    log.write_text("all good\n", "utf-8")
    assert not any("yanked" in line for line in audit.dependencies(log))
    warning = (
        "WARNING: The candidate selected for download or install is a yanked version: 'click' candidate (version 9)"
    )
    log.write_text(f"all good\n{warning}\n", "utf-8")
    assert audit.dependencies(log)[-1] == warning


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("serve/keys.py", 'AWS = "AKIA{upper}"\n', "AWS Access Key"),
        ("docs/new.md", "-----BEGIN RSA " + "PRIVATE KEY-----\n", "Private Key"),
        ("deploy/env", 'api_key = "{hex}"\n', "Secret Keyword"),
        ("compose.yaml", "url: postgresql://cinesent:{hex}@db/cinesent\n", "Basic Auth Credentials"),
    ],
)
def test_audit_finds_a_planted_secret_and_shows_no_part_of_it(
    tmp_path: Path, name: str, content: str, kind: str
) -> None:  # fmt: skip
    (tmp_path / ".ci").mkdir()
    (tmp_path / ".ci" / "secrets.json").write_text("[]", "utf-8")
    (tmp_path / "README.md").write_text("Nothing here.\n", "utf-8")
    assert (_run("secrets", tmp_path).stdout, _run("secrets", tmp_path).returncode) == ("secrets: nothing found\n", 0)
    token = secrets.token_hex(16)
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(content.format(upper=token[:16].upper(), hex=token), "utf-8")
    done = _run("secrets", tmp_path)
    assert done.returncode == 1, done.stderr
    assert f"{name}: {kind}" in done.stdout.splitlines()
    assert token not in done.stdout and token[:16].upper() not in done.stdout
    assert _run("secrets", tmp_path, "--accept").returncode == 0
    assert _run("secrets", tmp_path).returncode == 0
    path.unlink()
    assert "no longer there" in _run("secrets", tmp_path).stdout


def test_audit_is_part_of_the_ci_and_skips_what_is_made_on_the_way(tmp_path: Path, audit: ModuleType) -> None:
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    assert "audit.py dependencies" in script and "audit.py secrets" in script
    for name in (".venv/lib/a.py", "build/b.py", "serve/c.py", "data/cinema/train.jsonl", "data/README.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert list(audit.files(tmp_path)) == ["data/README.md", "serve/c.py"]
