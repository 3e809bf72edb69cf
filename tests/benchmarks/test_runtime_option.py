from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from benchmarks import runtimes
from benchmarks.runtimes import add_runtime, installed, runtime_of
from sentiment.runtimes import Choice, RuntimeChoiceError


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


@pytest.mark.parametrize("there", [(), ("openvino",), ("onnxruntime-int8",), ("onnxruntime-int8", "openvino")])
def test_runtimes_that_are_installed(there: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    def choose(name: str, model: Path | None) -> Choice:
        if name not in ("onnxruntime", *there):
            raise RuntimeChoiceError("expected it, found none")
        return Choice(name, "1", "float32")

    monkeypatch.setattr(runtimes, "choose_runtime", choose)
    plain = "onnxruntime-int8" if "onnxruntime-int8" in there else "onnxruntime"
    assert [choice.name for choice in installed(None)] == [plain, *(["openvino"] if "openvino" in there else [])]
