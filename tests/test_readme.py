"""The READMEs tell the truth: what can run offline runs, outputs are as shown, options exist, links lead somewhere.

A fenced block is run if `<!-- test -->` stands above it; with `<!-- test: serve -->`, against a service. Blocks of one
README share a folder with data/samples, and Python blocks a namespace. `<!-- output -->` above a block says that it is
what the Python block before it prints.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from sentiment import Analysis
from sentiment.cli import main

ROOT = Path(__file__).parent.parent
READMES = ("README.md", "README.zh.md")
DOCUMENTS = (
    *READMES,
    "CONTRIBUTING.md",
    "data/README.md",
    *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))),
)
_FENCE = re.compile(
    r"(?:<!-- (?P<mark>[^\n]*?) -->\n+)?^```(?P<language>\w*)\n(?P<body>.*?)^```$", re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True)
class Block:
    language: str
    mark: str
    body: str


def _blocks(name: str) -> list[Block]:
    text = (ROOT / name).read_text("utf-8")
    return [Block(m["language"], m["mark"] or "", m["body"]) for m in _FENCE.finditer(text)]


def _marked(name: str, language: str, mark: str) -> list[str]:
    return [block.body for block in _blocks(name) if block.language == language and block.mark == mark]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Variables under which `cinesent` and `python` are those of this environment, whether or not it is installed."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, code in (("cinesent", '-c "from sentiment.cli import main; main()"'), ("python", "")):
        script = tools / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {code} "$@"\n')
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
    path = os.pathsep.join((str(tools), os.environ.get("PATH", "")))
    return os.environ | {"PATH": path, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the blocks run: nothing but data/samples."""
    folder = tmp_path / "clone"
    shutil.copytree(ROOT / "data" / "samples", folder / "data" / "samples")
    return folder


def _bash(code: str, folder: Path, environment: dict[str, str]) -> str:
    bash = shutil.which("bash")
    if bash is None or os.name == "nt":
        pytest.skip("there is no bash")
    done = subprocess.run(
        [bash, "-euo", "pipefail", "-c", code],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=170,
    )
    assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("name", READMES)
def test_python_blocks_print_what_is_shown(name: str, folder: Path, environment: dict[str, str]) -> None:
    blocks = [
        block for block in _blocks(name) if block.mark == "output" or (block.language, block.mark) == ("python", "test")
    ]
    marker = "-- next block --"
    code = "\n".join(f"{block.body}\nprint({marker!r})" for block in blocks if block.language == "python")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=170,
    )
    assert done.returncode == 0, done.stderr
    printed = iter(done.stdout.split(f"{marker}\n"))
    shown = 0
    for position, block in enumerate(blocks):
        if block.mark == "output":
            continue
        actual = next(printed)
        following = blocks[position + 1] if position + 1 < len(blocks) else None
        if following is not None and following.mark == "output":
            assert following.body == actual, f"{name} shows another output than the program's; replace it by:\n{actual}"
            shown += 1
    assert shown >= 1


def test_bash_blocks_run(folder: Path, environment: dict[str, str]) -> None:
    blocks = _marked("README.md", "bash", "test")
    assert len(blocks) >= 2
    for block in blocks:
        _bash(block, folder, environment)


def test_the_tutorial_runs(folder: Path, environment: dict[str, str]) -> None:
    """As it stands, but on fewer texts, for one epoch, and at a rate that leaves the new heads as they begin.

    Rounding to int8 changes too many labels of a model that is half trained: its export would be refused.
    """
    shutil.copytree(ROOT / "data" / "tutorial", folder / "data" / "tutorial")
    for name, count in (("train", 40), ("dev", 20)):
        path = folder / "data" / "tutorial" / f"{name}.jsonl"
        path.write_text("".join(path.read_text("utf-8").splitlines(keepends=True)[:count]), "utf-8")
    blocks = _marked("docs/tutorial.md", "bash", "test")
    assert len(blocks) == 3 and "--epochs 16" in blocks[1]
    for block in blocks:
        _bash(block.replace("--epochs 16", "--epochs 1 --learning-rate 1e-6"), folder, environment)
    assert json.loads((folder / "escape.json").read_text("utf-8"))["texts"] == 20
    assert "puzzles" in (folder / "scored.csv").read_text("utf-8-sig").splitlines()[0]
    (shown,) = [json.loads(block.body) for block in _blocks("docs/tutorial.md") if block.language == "json"]
    rows = (ROOT / "data" / "tutorial" / "dev.jsonl").read_text("utf-8").splitlines()
    assert any(shown.items() <= json.loads(row).items() for row in rows)


@pytest.fixture
def service(folder: Path, environment: dict[str, str]) -> Iterator[str]:
    """host:port of a running service."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-c", "from sentiment.cli import main; main()", "serve", "--port", str(port)]
    with subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE) as process:
        try:
            for _ in range(300):
                with (
                    contextlib.suppress(urllib.error.URLError),
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/ready"),
                ):
                    break
                assert process.poll() is None, process.stderr and process.stderr.read().decode()
                time.sleep(0.1)
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()
            process.communicate(timeout=30)


def test_curl_blocks_are_answered(service: str, folder: Path, environment: dict[str, str]) -> None:
    if shutil.which("curl") is None:
        pytest.skip("there is no curl")
    blocks = _marked("README.md", "bash", "test: serve")
    assert blocks
    for block in blocks:
        assert "localhost:8000" in block
        answer = _bash(block.replace("localhost:8000", service).replace("curl ", "curl --fail "), folder, environment)
        assert '"status":"ok"' in answer


def _commands(name: str) -> list[tuple[str, str, list[str]]]:
    """(language, mark, lines without their comments) of every block with commands."""
    return [
        (block.language, block.mark, [re.sub(r"\s+#.*$", "", line) for line in block.body.splitlines()])
        for block in _blocks(name)
        if block.language in ("bash", "powershell", "python", "json", "yaml")
    ]


def test_both_readmes_have_the_same_commands() -> None:
    english, chinese = (_commands(name) for name in READMES)
    for one, other in zip(english, chinese, strict=True):
        assert one == other
    outputs = [[block.body for block in _blocks(name) if block.mark == "output"] for name in READMES]
    assert outputs[0] == outputs[1]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_verbs_and_options_exist(name: str) -> None:
    checked = 0
    context = click.Context(main)
    for block in _blocks(name):
        if block.language not in ("bash", "powershell"):
            continue
        # An address that ends in it, before a variable, is no command.
        for words in re.findall(r"cinesent (?!-|[A-Z]+_)([^|\n#>&;]*)", block.body):
            verb, *rest = words.replace('"', "").split()
            command = main.get_command(context, verb)
            while isinstance(command, click.Group):
                inner = command.get_command(context, rest[0]) if rest else None
                if inner is None and command.invoke_without_command:
                    break
                command, rest = inner, rest[1:]
            assert command is not None, f"{name}: {verb} is no verb"
            known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
            used = {word.partition("=")[0] for word in rest if re.fullmatch(r"--?[a-z].*", word)}
            assert used <= known | {"--help"}, f"{name}: cinesent {words}"
            checked += 1
    assert checked or name == "data/README.md"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        linked = (ROOT / name).parent / path if path else ROOT / name
        assert linked.exists(), f"{name} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", linked.read_text("utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}
            assert anchor in anchors, f"{name} links to {target}"


@pytest.mark.parametrize("name", READMES)
def test_the_record_is_shown_with_the_keys_of_the_contract(name: str) -> None:
    (shown,) = [json.loads(block.body) for block in _blocks(name) if block.language == "json"]
    contract = Analysis("model", None, "empty", "other").to_dict()
    assert list(shown) == list(contract)
    assert shown["dimensions"]


@pytest.mark.parametrize("name", READMES)
def test_quality_has_its_markers(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    assert text.count("<!-- quality:begin -->") == text.count("<!-- quality:end -->") == 1
    assert text.count("<!-- ci:begin -->") == text.count("<!-- ci:end -->") == 1


def test_the_test_command_is_one_line() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    region = text.split("<!-- ci:begin -->")[1].split("<!-- ci:end -->")[0]
    (command,) = re.findall(r"^```bash\n(.*\n)```$", region, re.MULTILINE)
    assert "-c constraints.txt" in command
    assert command.rstrip().endswith("-m pytest")


def test_the_runner_of_all_checks_is_executable() -> None:
    script = ROOT / ".ci" / "run"
    if os.name != "nt" and script.exists():
        assert os.access(script, os.X_OK)
