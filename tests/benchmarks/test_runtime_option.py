from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from benchmarks.runtimes import add_runtime, runtime_of
from sentiment.runtimes import RuntimeChoiceError, choose_runtime


@pytest.fixture
def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    add_runtime(parser)
    return parser


def test_runtimes_default_is_a_plain_installations_whatever_the_environment_says(
    parser: argparse.ArgumentParser, monkeypatch: pytest.MonkeyPatch, tiny_checkpoint: Path
) -> None:
    monkeypatch.setenv("CINESENT_RUNTIME", "onnxruntime")
    wanted = parser.parse_args([]).runtime
    assert runtime_of(wanted, None) == choose_runtime("auto")
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
