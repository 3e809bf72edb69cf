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

from sentiment.checkpoint import SCHEMA_VERSION, load_checkpoint
from sentiment.engine import Engine
from sentiment.scaling import Scaling
from sentiment.taxonomy import Taxonomy
from training.calibrate import Calibration, calibrate, cross_fitted, neutral
from training.example import Example
from training.metrics import HEADS, UNKNOWN, Predictions, summary
from training.model import CinesentConfig, CinesentModel
from training.near_duplicates import near_duplicate_groups
from training.onnx_graph import write_onnx
from training.quantise import quantise
from training.results import set_rows
from training.scores import Scores, gold_labels, score_examples

logger = logging.getLogger(__name__)

# An export is refused beyond these: share of changed cells among those that either model calls mentioned, share of
# changed overall labels, points of joint F1 or overall accuracy lost.
MAX_CHANGED_CELLS = 0.03
MAX_CHANGED_OVERALL = 0.015
MAX_LOSS = 0.01


class ExportError(ValueError):
    """An export that was refused; the message says which bound was exceeded and by how much."""


@dataclass(frozen=True)
class Exported:
    """What an export did: the folder, how far int8 is from float32, and the cross-fitted development scores."""

    folder: Path
    drift: dict[str, float]
    development: dict[str, float]


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
