"""Trained model → packaged checkpoint: ONNX, int8 weights, calibrated; refused when it answers otherwise."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import onnx
from transformers import PreTrainedTokenizerFast

from sentiment.checkpoint import INT8, INT8_GRAPH, SCHEMA_VERSION, load_checkpoint
from sentiment.engine import Engine
from sentiment.scaling import Scaling
from sentiment.taxonomy import Taxonomy
from training.calibrate import Calibration, calibrate, cross_fitted, neutral
from training.drift import ExportError, check_drift, drift_of, judged_of
from training.ensemble import merged
from training.example import Example
from training.int8 import add_int8
from training.metrics import HEADS, UNKNOWN, Predictions, summary
from training.model import CinesentConfig, CinesentModel
from training.near_duplicates import near_duplicate_groups
from training.onnx_graph import write_onnx
from training.quantise import quantise
from training.results import set_rows
from training.scores import gold_labels, score_examples

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Exported:
    """What an export did: the folder, how far int8 is from float32, and the cross-fitted development scores.

    `drift` is that of the packed weights, `int8` that of int8 arithmetic, where there are scales for it.
    """

    folder: Path
    drift: dict[str, float]
    development: dict[str, float]
    int8: dict[str, float] | None = None


def export(
    model: CinesentModel,
    tokenizer: PreTrainedTokenizerFast,
    folder: Path,
    development: Mapping[str, Sequence[Example]],
    *,
    name: str = "cinesent-zh",
    details: dict[str, Any] | None = None,
    int8: Sequence[str] | None = None,
    others: Sequence[CinesentModel] = (),
) -> Exported:
    """Writes a packaged checkpoint: model.onnx, tokenizer.json, config.json.

    Args:
        development: sets of development texts by name; thresholds and scaling are fitted on all of them together.
        details: what config.json shall tell of the training.
        int8: calibration texts, from which the scales in int8.safetensors are taken, and with those int8.onnx is made;
            without them there are no such files, and texts are scored in float32.
        others: further trainings of the same label space and tokeniser; the checkpoint then answers with the mean of
            all logits.

    Raises:
        ExportError: int8 answers too differently from float32 on the development texts; `folder` is left as it was.
        RuntimeChoiceError: what makes scales is not installed.
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
        config = _config(model, tokenizer, name, details or {}, 1 + len(others))
        write_float(model, tokenizer, exact, others)
        shutil.copytree(exact, packed)
        onnx.save(quantise(onnx.load(str(exact / "model.onnx"))), str(packed / "model.onnx"))
        scores = {}
        for target in (exact, packed):
            _write_config(target, config, neutral(space))
            checkpoint = load_checkpoint(target)
            scores[target] = score_examples(checkpoint, Engine(checkpoint), examples)
        rules = calibrate(scores[packed], gold, space, start)
        drift = drift_of(scores[exact], scores[packed], gold, rules, space)
        check_drift(drift, judged_of(gold))
        _write_config(packed, config, rules)
        groups = near_duplicate_groups([example.text for example in examples])
        guess = cross_fitted(scores[packed], gold, space, groups)
        development_scores = {}
        service = [space.index[key] for key in space.service_keys]
        for part, index in set_rows(development).items():
            for key, value in summary(gold.take(index, service), guess.take(index, service)).items():
                development_scores[f"{part}/{key}"] = round(value, 4)
        fewer = None if int8 is None else add_int8(packed, int8, examples)
        folder.mkdir(parents=True, exist_ok=True)
        for file in (INT8, INT8_GRAPH):  # of the checkpoint that was there
            (folder / file).unlink(missing_ok=True)
        beside = (INT8_GRAPH, INT8) if fewer is not None else ()
        for file in ("tokenizer.json", "model.onnx", "config.json", *beside):
            shutil.copyfile(packed / file, folder / file)
    return Exported(folder, drift, development_scores, fewer)


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


def write_float(
    model: CinesentModel, tokenizer: PreTrainedTokenizerFast, folder: Path, others: Sequence[CinesentModel] = ()
) -> None:
    """Writes a checkpoint that is neither quantised nor calibrated: what the packaged one is held against."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
    path = folder / "model.onnx"
    graphs = []
    for member in (model, *others):
        write_onnx(member, path)
        graphs.append(onnx.load(str(path)))
    if others:
        onnx.save(merged(graphs), str(path))
    config = _config(model, tokenizer, "float32", {}, len(graphs))
    _write_config(folder, config, neutral(model.config.label_space()))


def _config(
    model: CinesentModel, tokenizer: PreTrainedTokenizerFast, name: str, details: dict[str, Any], members: int = 1
) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "name": name,
        "max_tokens": model.config.max_tokens,
        "pad_token_id": tokenizer.pad_token_id,
        # Without the path that the encoder was loaded from: it is nobody else's business.
        "encoder": {key: value for key, value in model.config.encoder.items() if key != "_name_or_path"},
        **({"members": members} if members > 1 else {}),
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
