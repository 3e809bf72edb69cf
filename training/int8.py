"""Scales for int8, taken from texts by NNCF, and the graph that they make for ONNX Runtime: kept beside model.onnx.

`python -m training.int8 FOLDER --texts FILE --dev [NAME=]FILE` gives them to a checkpoint that is there; `cinesent
export --int8 FILE` to one that is made. Refused where the labels of the development texts, by the checkpoint's own
thresholds, are further from those of float32 than an export may be. Where they are the texts that those thresholds were
fitted to, thresholds and scaling are fitted to what int8 answers too, and kept beside the scales; other texts only try
it. Needs the extras train and int8.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import logging
import math
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from sentiment.checkpoint import INT8, INT8_GRAPH, CheckpointError, load_checkpoint
from sentiment.engine import Engine
from sentiment.int8 import Scales, exact_products, write_scales
from sentiment.runtimes import RuntimeChoiceError
from sentiment.taxonomy import Taxonomy
from sentiment.text import normalise
from sentiment.windows import split_windows
from training.calibrate import Calibration, calibrate
from training.drift import ExportError, check_drift, drift_of, judged_of
from training.ensemble import own_name
from training.example import DatasetError, Example
from training.int8_graph import int8_graph
from training.labelled_files import read_labelled
from training.metrics import HEADS, Predictions
from training.results import named_sets
from training.scores import Scores, gold_labels, score_examples

logger = logging.getLogger(__name__)

Feed = Mapping[str, NDArray[np.int64]]
PRODUCTS = ("MatMul", "Gemm")
OUTSIDE = ("encoder.embeddings.", "encoder.pooler.")  # of an encoder, but no layer of it
CALIBRATION = 300  # texts
REMEDY = "make no scales (leave --int8 out): without them texts are scored in float32"


def float_graph(path: Path) -> onnx.ModelProto:
    """The packaged graph with its int8 weights unpacked to float32, as ONNX Runtime unpacks them at load."""
    model = onnx.load(str(path))
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes = []
    for node in model.graph.node:
        if node.op_type != "DequantizeLinear" or not all(name in tensors for name in node.input):
            nodes.append(node)
            continue
        integers, scale = (numpy_helper.to_array(tensors.pop(name)) for name in node.input[:2])
        axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)
        shape = [-1 if position == axis else 1 for position in range(integers.ndim)]
        value = integers.astype(np.float32) * scale.reshape(shape)
        tensors[node.output[0]] = numpy_helper.from_array(value, node.output[0])
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(tensors.values())
    return model


def windows_of(engine: Engine, texts: Sequence[str]) -> list[list[list[int]]]:
    """The windows of every text, as the analyser makes them; none for a text that is not scored."""
    found = []
    for norm in map(normalise, texts):
        encoding = engine.tokenizer.encode(norm.text, add_special_tokens=False)
        ranges = split_windows(norm.text, encoding.offsets, engine.window) if norm.status == "ok" else []
        found.append([encoding.ids[start:end] for start, end in ranges])
    return found


def calibration_feeds(engine: Engine, texts: Sequence[str], count: int = CALIBRATION, seed: int = 5) -> list[Feed]:
    """Windows of `count` of the texts, one a batch: padding must not take part in the scales."""
    chosen = random.Random(seed).sample(list(texts), min(count, len(texts)))
    feeds: list[Feed] = []
    for window in (window for windows in windows_of(engine, chosen) for window in windows):
        ids = np.array([[*engine._prefix, *window, *engine._suffix]], dtype=np.int64)
        feeds.append({"input_ids": ids, "attention_mask": np.ones_like(ids)})
    return feeds


def products_of(graph: onnx.ModelProto) -> tuple[list[str], list[str]]:
    """Names of the products with a weight of the encoder's layers, which may be in int8, and of all others.

    Those are the products between tokens, and the heads: little work, whose results decide.
    """
    weights = {
        tensor.name for tensor in graph.graph.initializer
        if own_name(tensor.name).startswith("encoder.") and not own_name(tensor.name).startswith(OUTSIDE)
    }  # fmt: skip
    named = [(node.name, not weights.isdisjoint(node.input)) for node in graph.graph.node
             if node.op_type in PRODUCTS]  # fmt: skip
    return [name for name, inner in named if inner], [name for name, inner in named if not inner]


def find_scales(graph: onnx.ModelProto, feeds: Sequence[Feed], rest: Sequence[str]) -> dict[str, Scales]:
    """NNCF's scales of all products but `rest`, by their names: SmoothQuant, then the ranges of what comes of it.

    In a process of its own, as NNCF's import changes logging and torch for all that comes after it.

    Args:
        graph: with weights in float32.

    Raises:
        ExportError: NNCF did not smooth what a product reads. RuntimeChoiceError: NNCF, or what it needs, is not there.
    """
    if (lacking := missing()) is not None:
        raise RuntimeChoiceError(lacking)
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(_find_scales, graph.SerializeToString(), list(feeds), list(rest)).result()


def _find_scales(graph: bytes, feeds: list[Feed], rest: list[str]) -> dict[str, Scales]:
    os.environ.setdefault("NNCF_CI", "1")  # otherwise it reports its use over the network
    import nncf
    import openvino
    from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters, OverflowFix

    nncf.set_log_level("ERROR")
    quantised = nncf.quantize(
        openvino.Core().read_model(graph),
        nncf.Dataset(feeds),
        model_type=nncf.ModelType.TRANSFORMER,
        target_device=nncf.TargetDevice.CPU,
        subset_size=len(feeds),
        # OpenVINO splits a Gemm into a product and a sum.
        ignored_scope=nncf.IgnoredScope([*rest, *(f"{name}/WithoutBiases" for name in rest)], validate=False),
        # Processors that this runs on add products of eight bits without saturating; corrected biases gain nothing.
        advanced_parameters=AdvancedQuantizationParameters(
            overflow_fix=OverflowFix.DISABLE, disable_bias_correction=True
        ),
    )
    found = {}
    for node in quantised.get_ordered_ops():
        if node.get_type_name() == "FakeQuantize":
            low, high = (float(_constant(node, port).item()) for port in (1, 2))
            factors = node.input_value(0).get_node()
            for target in node.output(0).get_target_inputs():
                name = target.get_node().get_friendly_name()
                if factors.get_type_name() != "Multiply":
                    raise ExportError(f"expected NNCF to smooth what {name} reads, found that it did not; {REMEDY}")
                smooth = _constant(factors, 1).reshape(-1).astype(np.float32)
                found[name] = Scales(smooth, low, high)
    return found


def _constant(node: Any, port: int) -> NDArray[Any]:
    return np.array(node.input_value(port).get_node().get_data())


def missing() -> str | None:
    """What is not there without which no scales can be made, in a line; None where all is there."""
    lacking = [name for name in ("nncf", "openvino", "safetensors") if importlib.util.find_spec(name) is None]
    if lacking:
        return f'expected {", ".join(lacking)} for scales of int8, found none; pip install "cinesent[int8]"'
    if not exact_products():
        return (
            "expected a processor that adds products of int8 exactly, so that scales can be tried, found one that does "
            "not; make them on another machine (leave --int8 out here)"
        )
    return None


def add_int8(folder: Path, texts: Sequence[str], development: Sequence[Example]) -> dict[str, float]:
    """Writes a checkpoint's int8.safetensors and int8.onnx; how far int8 is from float32 on the development texts.

    Args:
        texts: calibration texts, of which 300 are taken that are not among the development texts.

    Raises:
        CheckpointError: no checkpoint. DatasetError: no texts. ExportError: int8 answers too differently, or the
        encoder's products are not found; nothing is written. RuntimeChoiceError: NNCF, what it needs, or the processor
        for it is not there.
    """
    if (lacking := missing()) is not None:  # before anything takes long
        raise RuntimeChoiceError(lacking)
    checkpoint = load_checkpoint(folder)
    plain = Engine(checkpoint)
    measured = {example.text for example in development}
    feeds = calibration_feeds(plain, [text for text in texts if text not in measured])
    if not feeds or not development:
        raise DatasetError(
            "expected texts for scales, which are not among those of --dev, and labelled ones to try int8 on, found "
            f"{len(feeds)} and {len(development)}"
        )
    graph = float_graph(folder / "model.onnx")
    inner, rest = products_of(graph)
    if not inner:
        raise ExportError(f"expected products with weights named encoder.… in model.onnx, found none; {REMEDY}")
    with tempfile.TemporaryDirectory() as scratch:
        trial = Path(scratch) / "checkpoint"
        shutil.copytree(folder, trial, ignore=shutil.ignore_patterns(INT8, INT8_GRAPH))
        scales = find_scales(graph, feeds, rest)
        write_int8(trial, scales)
        packed = Engine(load_checkpoint(trial), runtime="onnxruntime-int8")
        exact, found = (score_examples(checkpoint, one, development) for one in (plain, packed))
        rules = Calibration(checkpoint.scaling, checkpoint.thresholds, checkpoint.uncertain)
        gold = gold_labels(development, checkpoint.taxonomy)
        drift = drift_of(exact, found, gold, rules, checkpoint.taxonomy)
        check_drift(drift, judged_of(gold), REMEDY)
        own = _own_rules(exact, found, gold, rules, checkpoint.taxonomy)
        if own is None:
            logger.warning(
                "int8 has the thresholds of float32: those of the checkpoint were not fitted to these development texts"
            )
        else:
            check_drift(_lost(drift_of(exact, found, gold, rules, checkpoint.taxonomy, own)), judged_of(gold), REMEDY)
            write_int8(trial, scales, own)
        (folder / INT8).unlink(missing_ok=True)  # who loads it meanwhile has no int8, and never half of it
        for name in (INT8_GRAPH, INT8):
            beside = folder / f".{name}.new"
            shutil.copyfile(trial / name, beside)
            beside.replace(folder / name)
    return drift


def _own_rules(
    exact: Scores, found: Scores, gold: Predictions, rules: Calibration, space: Taxonomy
) -> Calibration | None:
    """Rules fitted to what int8 answers, if float32's own come of these texts likewise: of fewer, or of others, int8's
    would be the worse of the two and nothing would show it."""
    again, before = calibrate(exact, gold, space, rules), rules.scaling.temperatures
    same = all(math.isclose(again.scaling.temperatures[head], before.get(head, 1.0), rel_tol=0.01) for head in HEADS)
    return calibrate(found, gold, space, rules) if same and again.thresholds == rules.thresholds else None


def _lost(drift: Mapping[str, float]) -> dict[str, float]:
    """What of a drift is a loss: of other thresholds some labels change, for the better as for the worse."""
    return {name: value for name, value in drift.items() if name.endswith("_lost")}


def write_int8(folder: Path, scales: Mapping[str, Scales], rules: Calibration | None = None) -> None:
    """Writes int8.onnx and int8.safetensors into a checkpoint's folder; without `rules` the checkpoint's own hold."""
    graph, places = int8_graph(folder / "model.onnx", scales)
    (folder / INT8_GRAPH).write_bytes(graph.SerializeToString())
    own, new = (hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in ("model.onnx", INT8_GRAPH))
    write_scales(folder / INT8, scales, own, new, places, rules.to_config() if rules is not None else None)


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes int8.onnx and int8.safetensors into a checkpoint's folder; 3 where it is refused."""
    parser = argparse.ArgumentParser(
        prog="python -m training.int8", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="checkpoint")
    parser.add_argument("--texts", nargs="+", type=Path, required=True, metavar="FILE", help="labelled training texts")
    parser.add_argument("--dev", nargs="+", required=True, metavar="NAME=FILE", help="labelled development texts")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        taxonomy = load_checkpoint(options.folder).taxonomy
        texts = [example.text for example in read_labelled(options.texts, taxonomy)]
        sets = named_sets(options.dev, taxonomy)
        drift = add_int8(options.folder, texts, [example for part in sets.values() for example in part])
    except (CheckpointError, DatasetError, RuntimeChoiceError) as error:
        parser.error(str(error))
    except ExportError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 3
    print(f"{options.folder / INT8_GRAPH} and {INT8} written", file=sys.stderr)
    told = ", ".join(f"{name} {value:.2%}" for name, value in drift.items())
    print(f"int8 products against float32: {told}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
