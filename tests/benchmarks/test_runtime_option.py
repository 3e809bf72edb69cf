from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from benchmarks import runtimes
from benchmarks.runtimes import add_runtime, installed
from sentiment.runtimes import Choice, RuntimeChoiceError


@pytest.fixture
def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    add_runtime(parser)
    return parser


def test_runtimes_default_is_the_portable_one_whatever_the_environment_says(
    parser: argparse.ArgumentParser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CINESENT_RUNTIME", "openvino")
    assert parser.parse_args([]).runtime == "onnxruntime"
    assert installed(None)[0].name == "onnxruntime"


@pytest.mark.parametrize("name", ["auto", "torch"])
def test_runtimes_have_to_be_named(
    name: str, parser: argparse.ArgumentParser, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parser.parse_args(["--runtime", name])
    assert f"found {name}" in capsys.readouterr().err.replace("'", "")


@pytest.mark.parametrize("there", [True, False])
def test_runtimes_that_are_installed(there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def choose(name: str, model: Path | None) -> Choice:
        if name == "openvino" and not there:
            raise RuntimeChoiceError("expected OpenVINO, found none")
        return Choice(name, "1", "float32")

    monkeypatch.setattr(runtimes, "choose_runtime", choose)
    assert [choice.name for choice in installed(None)] == (["onnxruntime", "openvino"] if there else ["onnxruntime"])
