from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from benchmarks import runtimes
from benchmarks.runtimes import add_runtime, installed, runtime_of
from sentiment.runtimes import Choice, RuntimeChoiceError, plain_runtime


@pytest.fixture
def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    add_runtime(parser)
    return parser


def test_runtimes_default_is_a_plain_installations_whatever_the_environment_says(
    parser: argparse.ArgumentParser, monkeypatch: pytest.MonkeyPatch, tiny_checkpoint: Path
) -> None:
    monkeypatch.setenv("CINESENT_RUNTIME", "openvino")
    wanted = parser.parse_args([]).runtime
    assert runtime_of(wanted, None).title == "ONNX Runtime"
    assert str(runtime_of(wanted, tiny_checkpoint)).endswith("float32")  # has no graph for int8
    assert runtime_of(parser.parse_args(["--runtime", "onnxruntime"]).runtime, None).precision == "float32"
    with pytest.raises(RuntimeChoiceError, match="expected int8"):
        runtime_of("onnxruntime-int8", tiny_checkpoint)


@pytest.mark.parametrize("name", ["auto", "torch"])
def test_runtimes_have_to_be_named(
    name: str, parser: argparse.ArgumentParser, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parser.parse_args(["--runtime", name])
    assert f"invalid choice: '{name}'" in capsys.readouterr().err


@pytest.mark.parametrize("there", [True, False])
def test_runtimes_that_are_installed(there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def choose(name: str, model: Path | None) -> Choice:
        if not there:
            raise RuntimeChoiceError("expected OpenVINO, found none")
        return Choice(name, "1", "float32")

    monkeypatch.setattr(runtimes, "choose_runtime", choose)
    assert installed(None) == [plain_runtime(None), *([Choice("openvino", "1", "float32")] if there else [])]
