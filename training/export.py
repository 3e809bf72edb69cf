"""Trained model → packaged checkpoint: ONNX, int8 weights, calibrated; refused when it answers otherwise."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from sentiment.checkpoint import SCHEMA_VERSION, CheckpointError, load_checkpoint
from sentiment.engine import OUTPUTS, Engine
from sentiment.scaling import Scaling
from sentiment.taxonomy import Taxonomy
from training.calibrate import Calibration, calibrate, cross_fitted, neutral
from training.dataset import Example, near_duplicate_groups
from training.metrics import HEADS, UNKNOWN, Predictions, summary
from training.model import CinesentConfig, CinesentModel
from training.results import set_rows
from training.scores import Scores, gold_labels, score_examples

logger = logging.getLogger(__name__)

# An export is refused beyond these: share of changed cells among those that either model calls mentioned, share of
# changed overall labels, points of joint F1 or overall accuracy lost.
MAX_CHANGED_CELLS = 0.03
MAX_CHANGED_OVERALL = 0.015
MAX_LOSS = 0.01
INTEGERS, SCALE = "_int8", "_scale"


class ExportError(ValueError):
    """An export that was refused; the message says which bound was exceeded and by how much."""


@dataclass(frozen=True)
class Exported:
    """What an export did: the folder, how far int8 is from float32, and the cross-fitted development scores."""

    folder: Path
    drift: dict[str, float]
    development: dict[str, float]


class _Graph(nn.Module):
    """The model with plain tensors in and out, as the exporter wants it."""

    def __init__(self, model: CinesentModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor | None, ...]:
        output = self.model(input_ids, attention_mask)
        return tuple(getattr(output, name) for name in OUTPUTS)


def write_onnx(model: CinesentModel, path: Path) -> None:
    """Writes the float32 graph with free batch and token axes; its weights keep the names of the PyTorch model."""
    model = model.eval().cpu()  # type: ignore[no-untyped-call]
    ids = torch.ones(3, 11, dtype=torch.int64)
    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens")}
    attention = model.encoder.config._attn_implementation
    # Of torch's fused attention the exporter also writes the guard against rows of nothing but padding, which looks at
    # every weight in every layer: long texts pay for it. Eager attention is two products, a mask and a softmax.
    model.encoder.set_attn_implementation("eager")
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                _Graph(model), (ids, torch.ones_like(ids)), str(path),
                input_names=["input_ids", "attention_mask"], output_names=list(OUTPUTS),
                dynamic_shapes={"input_ids": axes, "attention_mask": axes}, dynamo=True, external_data=False,
                verbose=False,
            )  # fmt: skip
    finally:
        model.encoder.set_attn_implementation(attention)
    graph = onnx.load(str(path))
    _name_weights(graph, {name: tensor.numpy() for name, tensor in model.state_dict().items()})
    _strip(graph)
    onnx.save(graph, str(path))


def _strip(graph: onnx.ModelProto) -> None:
    """Removes what the exporter notes about its own run: stack traces, with the paths of the machine."""
    inner = graph.graph
    for part in (graph, inner, *inner.node, *inner.value_info, *inner.initializer, *inner.input, *inner.output,
                 *graph.functions, *(node for function in graph.functions for node in function.node)):  # fmt: skip
        part.ClearField("doc_string")
        part.ClearField("metadata_props")


def _name_weights(graph: onnx.ModelProto, state: dict[str, NDArray[Any]]) -> None:
    """Names every weight after the parameter it holds (`.T` where transposed), so that it can be read back."""
    digests = {}
    for name, value in state.items():
        digests[_digest(value)] = name
        if value.ndim == 2:
            digests.setdefault(_digest(value.T), f"{name}.T")
    renamed = {}
    for tensor in graph.graph.initializer:
        found = digests.get(_digest(numpy_helper.to_array(tensor)))
        plain = tensor.name.removeprefix("model.")
        new = found or (plain if plain in state else None)
        if new and new != tensor.name:
            renamed[tensor.name] = new
            tensor.name = new
    for node in graph.graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
    for info in list(graph.graph.value_info):
        if info.name in renamed:
            graph.graph.value_info.remove(info)


def _digest(value: NDArray[Any]) -> bytes:
    return hashlib.sha1(np.ascontiguousarray(value).tobytes() + repr(value.shape).encode()).digest()


def quantise(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Stores every matrix as int8 with one scale an output channel; arithmetic stays in float.

    Activations are not quantised, so nothing can depend on a batch: ONNX Runtime's plain dynamic quantisation takes
    its scales from whatever texts happen to be together.
    """
    quantised = onnx.ModelProto()
    quantised.CopyFrom(graph)
    keep, added = [], []
    for tensor in quantised.graph.initializer:
        value = numpy_helper.to_array(tensor)
        if value.ndim != 2 or value.size < 4096 or value.dtype != np.float32:
            keep.append(tensor)
            continue
        axis = 1 if tensor.name.endswith(".T") else 0
        scale = np.abs(value).max(1 - axis, keepdims=True) / 127
        scale[scale == 0] = 1
        integers = np.clip(np.rint(value / scale), -127, 127).astype(np.int8)
        keep.append(numpy_helper.from_array(integers, f"{tensor.name}{INTEGERS}"))
        keep.append(numpy_helper.from_array(scale.reshape(-1).astype(np.float32), f"{tensor.name}{SCALE}"))
        inputs = [f"{tensor.name}{INTEGERS}", f"{tensor.name}{SCALE}"]
        added.append(onnx.helper.make_node("DequantizeLinear", inputs, [tensor.name], axis=axis))
    del quantised.graph.initializer[:]
    quantised.graph.initializer.extend(keep)
    nodes = list(quantised.graph.node)
    del quantised.graph.node[:]
    quantised.graph.node.extend([*added, *nodes])
    return quantised


def read_back(folder: Path) -> dict[str, Tensor]:
    """The weights of a packaged checkpoint, by the names of the PyTorch model."""
    graph = onnx.load(str(folder / "model.onnx")).graph
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    state = {}
    for name, value in tensors.items():
        if name.endswith(SCALE) or value.dtype == np.int64:
            continue
        if name.endswith(INTEGERS):
            name = name.removesuffix(INTEGERS)
            scale = tensors[f"{name}{SCALE}"]
            value = value.astype(np.float32) * (scale[None, :] if name.endswith(".T") else scale[:, None])
        plain = name.removesuffix(".T")
        state[plain] = torch.from_numpy(np.array(value.T if name.endswith(".T") else value))
    return state


def load_packaged(folder: Path) -> tuple[CinesentModel, PreTrainedTokenizerFast]:
    """A packaged checkpoint as a PyTorch model with its tokeniser: the base `embedded`, or any other for a warm start.

    Raises:
        CheckpointError: no usable checkpoint, or one whose graph lacks weights of the model.
    """
    checkpoint = load_checkpoint(folder)
    scaling = checkpoint.scaling.to_config()
    model = CinesentModel(
        CinesentConfig(
            encoder=checkpoint.config["encoder"],
            taxonomy=checkpoint.taxonomy.to_dict(),
            max_tokens=checkpoint.max_tokens,
            thresholds=checkpoint.thresholds,
            uncertain=checkpoint.uncertain,
            temperatures=scaling["temperatures"],
            factors=scaling["factors"],
            biases=scaling["biases"],
        )
    )
    state = {name: value for name, value in read_back(folder).items() if name in model.state_dict()}
    missing, _ = model.load_state_dict(state, strict=False)
    # The exporter leaves out a head that nothing reads, biases that are zero and norms equal to others because nobody
    # trained them: these stay as initialised.
    lost = [name for name in missing if not name.startswith("rating.") and model.get_parameter(name).ndim > 1]
    if lost:
        raise CheckpointError(
            f"expected all weights in {folder / 'model.onnx'}, found none of {lost[0]}; export it again"
        )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"),
        model_max_length=checkpoint.max_tokens,
        **checkpoint.config["special_tokens"],
    )
    return model, tokenizer


def export(
    model: CinesentModel,
    tokenizer: PreTrainedTokenizerFast,
    folder: Path,
    development: Mapping[str, Sequence[Example]],
    *,
    name: str = "cinesent-zh",
    details: dict[str, Any] | None = None,
) -> Exported:
    """Writes a packaged checkpoint: model.onnx, tokenizer.json, config.json.

    Args:
        development: sets of development texts by name; thresholds and scaling are fitted on all of them together.
        details: what config.json shall tell of the training.

    Raises:
        ExportError: int8 answers too differently from float32 on the development texts; `folder` is left as it was.
    """
    examples = [example for part in development.values() for example in part]
    if not examples:
        raise ExportError("expected development texts to fit thresholds on, found none; give --dev FILE")
    space = model.config.label_space()
    start = start_rules(cast(CinesentConfig, model.config), space)
    gold = gold_labels(examples, space)
    if all((getattr(gold, head) == UNKNOWN).all() for head in HEADS):
        raise ExportError(
            f"expected at least one label in the development texts, found none in {len(examples)}; name the columns by "
            "dimension keys, overall, intent or escalation"
        )
    _check_absences(gold, space, start)
    with tempfile.TemporaryDirectory() as scratch:
        exact, packed = Path(scratch) / "float32", Path(scratch) / "int8"
        config = _config(model, tokenizer, name, details or {})
        write_float(model, tokenizer, exact)
        shutil.copytree(exact, packed)
        onnx.save(quantise(onnx.load(str(exact / "model.onnx"))), str(packed / "model.onnx"))
        scores = {}
        for target in (exact, packed):
            _write_config(target, config, neutral(space))
            checkpoint = load_checkpoint(target)
            scores[target] = score_examples(checkpoint, Engine(checkpoint), examples)
        rules = calibrate(scores[packed], gold, space, start)
        drift = drift_of(scores[exact], scores[packed], gold, rules, space)
        judged = {
            "joint_lost": int((gold.mention == 1).sum()),
            "overall_lost": int((gold.overall >= 0).sum()),
            "changed_overall": len(examples),
        }
        _check(drift, judged)
        _write_config(packed, config, rules)
        groups = near_duplicate_groups([example.text for example in examples])
        guess = cross_fitted(scores[packed], gold, space, groups)
        development_scores = {}
        service = [space.index[key] for key in space.service_keys]
        for part, index in set_rows(development).items():
            for key, value in summary(gold.take(index, service), guess.take(index, service)).items():
                development_scores[f"{part}/{key}"] = round(value, 4)
        folder.mkdir(parents=True, exist_ok=True)
        for file in ("tokenizer.json", "model.onnx", "config.json"):
            shutil.copyfile(packed / file, folder / file)
    return Exported(folder, drift, development_scores)


def start_rules(config: CinesentConfig, space: Taxonomy) -> Calibration | None:
    """The rules of the checkpoint that the training began with, for what development texts say nothing about."""
    if not config.thresholds:
        return None
    half = dict.fromkeys((*space.keys, "escalation"), 0.5)
    rules = {"temperatures": config.temperatures, "factors": config.factors, "biases": config.biases}
    return Calibration(Scaling.from_config(rules, space), half | config.thresholds, config.uncertain)


def _check_absences(gold: Predictions, space: Taxonomy, start: Calibration | None) -> None:
    """
    Raises:
        ExportError: of some dimension there are mentions alone, and nothing to take a threshold from.
    """
    alone = (gold.mention == 1).any(0) & ~(gold.mention == 0).any(0)
    keys = ", ".join(key for key, found in zip(space.keys, alone, strict=True) if found)
    if not keys:
        return
    if start is None:
        raise ExportError(
            f"expected development texts that mention {keys} and some that do not, found mentions alone; write none "
            "where a dimension is not mentioned, or --blank none if blank means that"
        )
    logger.warning("of %s the development texts hold mentions alone: the thresholds of before stay", keys)


def write_float(model: CinesentModel, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Writes a checkpoint that is neither quantised nor calibrated: what the packaged one is held against."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
    write_onnx(model, folder / "model.onnx")
    _write_config(folder, _config(model, tokenizer, "float32", {}), neutral(model.config.label_space()))


def drift_of(exact: Scores, packed: Scores, gold: Predictions, rules: Calibration, space: Taxonomy) -> dict[str, float]:
    """How far the packed model's labels are from the exact one's, under the same rules."""
    before, after = rules.decide(exact, space), rules.decide(packed, space)
    called = (before.mention == 1) | (after.mention == 1)
    changed = called & ((before.mention != after.mention) | (before.polarity != after.polarity))
    first, second = summary(gold, before), summary(gold, after)
    drift = {
        "changed_cells": float(changed.sum() / max(called.sum(), 1)),
        "changed_overall": float((before.overall != after.overall).mean()),
    }
    for name in ("joint", "overall"):
        if name in first and name in second:
            drift[f"{name}_lost"] = first[name] - second[name]
    return {name: round(value, 5) for name, value in drift.items()}


def _check(drift: dict[str, float], judged: dict[str, int] | None = None) -> None:
    bounds = {
        "changed_cells": MAX_CHANGED_CELLS, "changed_overall": MAX_CHANGED_OVERALL,
        "joint_lost": MAX_LOSS, "overall_lost": MAX_LOSS,
    }  # fmt: skip
    for name, count in (judged or {}).items():
        # Of few texts, one label lost or two that changed, either way, are more than the bound and no sign of damage.
        bounds[name] = max(bounds[name], round((2 if name == "changed_overall" else 1) / max(count, 1), 5))
    for name, bound in bounds.items():
        if drift.get(name, 0.0) > bound:
            raise ExportError(
                f"expected {name} of at most {bound:.1%} between float32 and int8, found {drift[name]:.1%}; "
                "train longer or keep more of the model in float"
            )


def _config(
    model: CinesentModel, tokenizer: PreTrainedTokenizerFast, name: str, details: dict[str, Any]
) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "name": name,
        "max_tokens": model.config.max_tokens,
        "pad_token_id": tokenizer.pad_token_id,
        # Without the path that the encoder was loaded from: it is nobody else's business.
        "encoder": {key: value for key, value in model.config.encoder.items() if key != "_name_or_path"},
        "special_tokens": {k: str(v) for k, v in tokenizer.special_tokens_map.items() if isinstance(v, str)},
        "training": details,
        "taxonomy": model.config.taxonomy,
    }


def _write_config(folder: Path, config: dict[str, Any], rules: Calibration) -> None:
    hashes = {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in ("model.onnx", "tokenizer.json")
    }
    content = {**config, **rules.to_config(), "sha256": hashes}
    (folder / "config.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")
