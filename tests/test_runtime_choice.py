"""Who runs the model when: OpenVINO, ONNX Runtime in int8, or in float32. None of it needs OpenVINO."""

from __future__ import annotations

import shutil
import sys
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


class Module:
    """OpenVINO on a processor with these capabilities."""

    __version__ = "2030.1.0-1-abc"

    def __init__(self, *capabilities: str) -> None:
        self._capabilities = capabilities

    def Core(self) -> Module:  # noqa: N802
        return self

    def get_property(self, device: str, name: str) -> tuple[str, ...]:
        assert (device, name) == ("CPU", "OPTIMIZATION_CAPABILITIES")
        return self._capabilities


@pytest.mark.parametrize(
    ("wanted", "variable", "module", "found"),
    [
        ("auto", None, Module("FP32", "BF16", "INT8"), "OpenVINO 2030.1.0, int8"),
        ("auto", None, Module("FP32", "INT8"), f"ONNX Runtime {onnxruntime.__version__}, int8"),
        ("auto", None, None, f"ONNX Runtime {onnxruntime.__version__}, int8"),
        (None, None, Module("BF16"), "OpenVINO 2030.1.0, int8"),
        (None, "onnxruntime", Module("BF16"), f"ONNX Runtime {onnxruntime.__version__}, float32"),
        (None, "onnxruntime-int8", Module("BF16"), f"ONNX Runtime {onnxruntime.__version__}, int8"),
        (None, "", Module("BF16"), "OpenVINO 2030.1.0, int8"),
        ("auto", "onnxruntime", Module("BF16"), "OpenVINO 2030.1.0, int8"),
        ("openvino", None, Module("FP32"), "OpenVINO 2030.1.0, float32"),
        ("onnxruntime", "openvino", None, f"ONNX Runtime {onnxruntime.__version__}, float32"),
    ],
)
def test_runtime_choice_is_made(
    monkeypatch: pytest.MonkeyPatch, wanted: str | None, variable: str | None, module: Module | None, found: str
) -> None:
    monkeypatch.setattr(sentiment.runtimes, "_openvino", lambda: module)
    monkeypatch.setattr(sentiment.runtimes, "exact_products", lambda: True)
    if variable is None:
        monkeypatch.delenv("CINESENT_RUNTIME")
    else:
        monkeypatch.setenv("CINESENT_RUNTIME", variable)
    choice = choose_runtime(wanted)
    assert str(choice) == found
    assert choice.precision == found.rpartition(", ")[2]


def test_runtime_choice_onnxruntime_multiplies_in_int8_where_that_is_exact(
    monkeypatch: pytest.MonkeyPatch, int8_checkpoint: Path, tiny_checkpoint: Path
) -> None:
    monkeypatch.setattr(sentiment.runtimes, "_openvino", lambda: None)
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


def test_runtime_choice_precision_is_the_checkpoints(
    monkeypatch: pytest.MonkeyPatch, tiny_checkpoint: Path, int8_checkpoint: Path
) -> None:
    monkeypatch.setattr(sentiment.runtimes, "_openvino", lambda: Module("BF16"))
    assert choose_runtime("auto", tiny_checkpoint).numbers == "openvino 2030.1.0, bfloat16"
    scales = scales_of(int8_checkpoint)
    assert choose_runtime("auto", str(int8_checkpoint)).numbers == f"openvino 2030.1.0, int8 with the scales {scales}"
    monkeypatch.setattr(sentiment.runtimes, "_openvino", lambda: Module("FP32", "INT8"))  # may saturate
    assert choose_runtime("openvino", int8_checkpoint).numbers == "openvino 2030.1.0, float32"


def test_runtime_choice_of_other_scales_give_other_numbers(
    monkeypatch: pytest.MonkeyPatch, int8_checkpoint: Path, tmp_path: Path
) -> None:
    monkeypatch.setattr(sentiment.runtimes, "_openvino", lambda: Module("BF16"))
    other = Path(shutil.copytree(int8_checkpoint, tmp_path / "other"))
    assert choose_runtime("auto", other) == choose_runtime("auto", int8_checkpoint)
    scales = read_scales(other / INT8)
    name = next(iter(scales))
    graph = load_checkpoint(other).config["sha256"]["model.onnx"]
    write_scales(other / INT8, {**scales, name: replace(scales[name], high=5.0)}, graph)
    one, two = choose_runtime("auto", other), choose_runtime("auto", int8_checkpoint)
    assert str(one) == str(two) and one.numbers != two.numbers


def test_runtime_choice_absence_is_found_out(monkeypatch: pytest.MonkeyPatch, tiny_checkpoint: Path) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)  # makes its import fail
    assert choose_runtime("auto").title == "ONNX Runtime"
    assert Analyzer.load(tiny_checkpoint, runtime="auto").runtime.name == "onnxruntime"
    with pytest.raises(RuntimeChoiceError, match=r"expected OpenVINO .* found none .* \"cinesent\[fast\]\"") as caught:
        Analyzer.load(tiny_checkpoint, runtime="openvino")
    assert "\n" not in str(caught.value)


def test_runtime_choice_unknown_name(tiny_checkpoint: Path) -> None:
    with pytest.raises(
        RuntimeChoiceError,
        match="expected a runtime of auto, onnxruntime, onnxruntime-int8, openvino, found 'tensorrt'",
    ):
        Analyzer.load(tiny_checkpoint, runtime="tensorrt")
