from __future__ import annotations

import json
import logging

import pytest

from serve import logs


@pytest.fixture(autouse=True)
def own_handlers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The handlers of the tests come back afterwards."""
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)


def test_logs_are_one_json_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info")
    logging.getLogger("serve.x").info("two\nlines %d", 7, extra={"fields": {"status": 200}})
    logging.getLogger("serve.x").debug("not shown")
    (line,) = capsys.readouterr().err.splitlines()
    found = json.loads(line)
    assert (found["level"], found["logger"], found["status"]) == ("info", "serve.x", 200)
    assert found["message"] == "two\nlines 7"
    assert found["time"].endswith("+00:00")


def test_logs_show_of_an_exception_its_place_only(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info")
    try:
        raise ValueError("座椅太硬")
    except ValueError:
        logging.getLogger("serve.x").exception("failed")
    shown = capsys.readouterr().err
    assert json.loads(shown)["error"].startswith("ValueError in test_serve_logs.py, line ")
    assert "座" not in shown and "\\u5ea7" not in shown


def test_logs_keep_libraries_quiet_that_show_addresses(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("debug")
    logging.getLogger("httpx").info("GET /?text=座椅")
    assert capsys.readouterr().err == ""
