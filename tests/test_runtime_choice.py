"""In what the model is run when: in int8 or in float32."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import click
import onnxruntime
import pytest

import sentiment.runtimes
from sentiment.analyzer import Analyzer
from sentiment.checkpoint import INT8, load_checkpoint
from sentiment.cli import main
from sentiment.int8 import read_scales, scales_of, write_scales
from sentiment.runtimes import RUNTIMES, RuntimeChoiceError, choose_runtime


def test_runtime_choice_are_the_choices_of_the_commands() -> None:
    context = click.Context(main)
    for verb in ("score", "serve"):
        command = main.get_command(context, verb)
        assert command is not None
        (option,) = (parameter for parameter in command.params if parameter.name == "runtime")
        assert isinstance(option.type, click.Choice) and tuple(option.type.choices) == RUNTIMES


@pytest.mark.parametrize(
    ("wanted", "variable", "found"),
    [
        ("auto", None, "int8"),
        (None, None, "int8"),
        (None, "", "int8"),
        (None, "onnxruntime", "float32"),
        (None, "onnxruntime-int8", "int8"),
        ("auto", "onnxruntime", "int8"),
        ("onnxruntime", "onnxruntime-int8", "float32"),
    ],
)
def test_runtime_choice_is_made(
    monkeypatch: pytest.MonkeyPatch, wanted: str | None, variable: str | None, found: str
) -> None:
    monkeypatch.setattr(sentiment.runtimes, "exact_products", lambda: True)
    if variable is None:
        monkeypatch.delenv("CINESENT_RUNTIME")
    else:
        monkeypatch.setenv("CINESENT_RUNTIME", variable)
    choice = choose_runtime(wanted)
    assert str(choice) == f"ONNX Runtime {onnxruntime.__version__}, {found}"
    assert choice.precision == found


def test_runtime_choice_onnxruntime_multiplies_in_int8_where_that_is_exact(
    monkeypatch: pytest.MonkeyPatch, int8_checkpoint: Path, tiny_checkpoint: Path
) -> None:
    for exact in (True, False):
        monkeypatch.setattr(sentiment.runtimes, "exact_products", lambda exact=exact: exact)
        found = choose_runtime("auto", int8_checkpoint)
        assert (found.name, found.precision) == (("onnxruntime-int8", "int8") if exact else ("onnxruntime", "float32"))
        assert choose_runtime("auto", tiny_checkpoint).name == "onnxruntime"
    with pytest.raises(
        RuntimeChoiceError, match=r"^expected a processor that adds products of int8 exactly .*; choose"
    ):
        choose_runtime("onnxruntime-int8", int8_checkpoint)
    with pytest.raises(
        RuntimeChoiceError, match=r"^expected int8\.safetensors and int8\.onnx .*, found not both in .*; make"
    ):
        choose_runtime("onnxruntime-int8", tiny_checkpoint)


def test_runtime_choice_numbers_name_the_scales(
    monkeypatch: pytest.MonkeyPatch, tiny_checkpoint: Path, int8_checkpoint: Path
) -> None:
    monkeypatch.setattr(sentiment.runtimes, "exact_products", lambda: True)
    version = onnxruntime.__version__
    assert choose_runtime("auto", tiny_checkpoint).numbers == f"onnxruntime {version}, float32"
    numbers = f"onnxruntime-int8 {version}, int8 with the scales {scales_of(int8_checkpoint)}"
    assert choose_runtime("auto", str(int8_checkpoint)).numbers == numbers


def test_runtime_choice_of_other_scales_give_other_numbers(
    monkeypatch: pytest.MonkeyPatch, int8_checkpoint: Path, tmp_path: Path
) -> None:
    monkeypatch.setattr(sentiment.runtimes, "exact_products", lambda: True)
    other = Path(shutil.copytree(int8_checkpoint, tmp_path / "other"))
    assert choose_runtime("auto", other) == choose_runtime("auto", int8_checkpoint)
    scales = read_scales(other / INT8)
    name = next(iter(scales))
    graph = load_checkpoint(other).config["sha256"]["model.onnx"]
    write_scales(other / INT8, {**scales, name: replace(scales[name], high=5.0)}, graph)
    one, two = choose_runtime("auto", other), choose_runtime("auto", int8_checkpoint)
    assert str(one) == str(two) and one.numbers != two.numbers


def test_runtime_choice_unknown_name(tiny_checkpoint: Path) -> None:
    with pytest.raises(
        RuntimeChoiceError,
        match="expected a runtime of auto, onnxruntime, onnxruntime-int8, found 'tensorrt'",
    ):
        Analyzer.load(tiny_checkpoint, runtime="tensorrt")
