from __future__ import annotations

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from held import ENDING, begun, hold, release, waiting
from waits import block_until

from sentiment.cli.serve import command
from serve.settings import Settings

_SERVICE = """
    import sys
    from pathlib import Path
    sys.path.insert(0, {folder!r})
    import serve.app
    from swapped import HeldAnalyzer
    serve.app._load = lambda settings: HeldAnalyzer(Path({work!r}))
    from sentiment.cli.serve import command
    command.main(["--port", "{port}", "--deadline", "100"], standalone_mode=False)
"""


def _options() -> dict[str, click.Parameter]:
    return {option.name or "": option for option in command.params}


def test_cli_has_a_flag_and_a_variable_for_every_setting() -> None:
    fields = {field.name: field.default for field in dataclasses.fields(Settings)}
    options = _options()
    assert list(options) == list(fields)
    for name, option in options.items():
        assert option.opts == ["--" + name.replace("_", "-")]
        assert isinstance(option, click.Option)
        assert option.to_info_dict()["default"] == fields[name]


def test_cli_help_shows_flags_and_variables() -> None:
    result = CliRunner().invoke(command, ["--help"], terminal_width=200)
    assert result.exit_code == 0
    for name in _options():
        assert "--" + name.replace("_", "-") in result.output
        assert "CINESENT_" + name.upper() in result.output


def _parsed(args: list[str], **variables: str) -> dict[str, Any]:
    with CliRunner().isolation(env=variables):
        return command.make_context("serve", args).params


def test_cli_reads_variables_and_prefers_flags() -> None:
    assert _parsed([], CINESENT_DEADLINE="2.5")["deadline"] == 2.5
    assert _parsed(["--deadline", "3"], CINESENT_DEADLINE="2.5")["deadline"] == 3.0
    assert _parsed([])["deadline"] == 10.0


def test_cli_ignores_the_port_of_a_kubernetes_service() -> None:
    assert _parsed([], CINESENT_PORT="tcp://10.0.0.1:80")["port"] == 8000
    assert _parsed([], CINESENT_PORT="8080")["port"] == 8080


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["--queue-size", "10"], "expected queue_size to hold one batch of 256 items, found 10; raise queue_size or"),
        (["--deadline", "0"], "Invalid value for '--deadline': 0.0 is not in the range x>0"),
        (["--threads", "x"], "Invalid value for '--threads': 'x' is not a valid integer"),
    ],
)
def test_cli_refuses_wrong_settings(args: list[str], told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serve.run.run", lambda settings: None)  # what is not refused would serve for ever
    result = CliRunner().invoke(command, args)
    assert result.exit_code == 2 and told in result.output


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _get(url: str, body: Any = None) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as response:
        return response.status, json.load(response)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`cinesent serve` around a fake that `held.hold` reaches."""
    port = _free_port()
    script = textwrap.dedent(_SERVICE).format(folder=str(Path(__file__).parent), port=port, work=str(tmp_path))
    with (tmp_path / "log").open("w", encoding="utf-8") as log:  # not a pipe, which would be full some time
        process = subprocess.Popen([sys.executable, "-c", script], stderr=log, text=True)
    url = f"http://127.0.0.1:{port}"

    def ready() -> bool:
        assert process.poll() is None
        try:
            return _get(f"{url}/ready")[0] == 200
        except OSError:
            return False

    try:
        block_until(ready)
        yield process, url
    finally:
        process.kill()
        process.wait()


@pytest.mark.skipif(os.name == "nt", reason="no SIGTERM")
def test_cli_answers_what_it_accepted_before_it_ends(
    service: tuple[subprocess.Popen[str], str], tmp_path: Path
) -> None:
    process, url = service

    def accepted() -> int:
        scored = begun(tmp_path)
        with urllib.request.urlopen(f"{url}/metrics", timeout=20) as response:
            return scored + waiting(response.read().decode())

    with ThreadPoolExecutor(8) as pool, hold(tmp_path):
        answers = [pool.submit(_get, f"{url}/v1/analyze", {"text": f"座椅{n}"}) for n in range(8)]
        block_until(lambda: accepted() == 8)
        assert not any(answer.done() for answer in answers)
        process.send_signal(signal.SIGTERM)
        block_until(lambda: ENDING in (tmp_path / "log").read_text("utf-8"))
        release(tmp_path)
        assert [answer.result()[0] for answer in answers] == [200] * 8
    assert process.wait(20) == 0
    log = (tmp_path / "log").read_text("utf-8")
    assert "POST /v1/analyze 200" in log
    assert "座椅" not in log
    assert "Traceback" not in log


def test_cli_answers_413_while_the_client_still_sends(service: tuple[subprocess.Popen[str], str]) -> None:
    _, url = service
    with pytest.raises(urllib.error.HTTPError) as refused:
        _get(f"{url}/v1/analyze", {"text": "座" * 1_000_000})
    assert refused.value.code == 413
    assert json.load(refused.value)["code"] == "body_too_large"


def test_cli_says_in_one_line_that_it_cannot_listen() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        script = "from sentiment.cli import main; main()"
        result = subprocess.run(
            [sys.executable, "-c", script, "serve", "--port", port], capture_output=True, text=True, timeout=60
        )
    assert result.returncode == 2
    assert f"cinesent: cannot listen on 127.0.0.1, port {port}" in result.stderr


def test_cli_ends_when_the_checkpoint_cannot_be_used(tmp_path: Path) -> None:
    script = "from sentiment.cli import main; main()"
    args = [sys.executable, "-c", script, "serve", "--port", str(_free_port()), "--model", str(tmp_path)]
    result = subprocess.run(args, capture_output=True, text=True, timeout=60)
    assert result.returncode == 2
    assert "cinesent: expected a checkpoint" in result.stderr
    assert "Traceback" not in result.stderr
