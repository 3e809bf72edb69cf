"""The stages behind `cinesent train` and `cinesent export`: gather texts, choose the start, train; export a run."""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerFast, set_seed

from sentiment.checkpoint import embedded_folder
from sentiment.runtimes import RuntimeChoiceError
from sentiment.taxonomy import Taxonomy, load_taxonomy
from training.bases import BaseError, load_base
from training.card import write_card
from training.corpora import held_out_texts
from training.example import DatasetError, Example
from training.export import Exported, export
from training.folders import label_space, load_run
from training.int8 import missing
from training.labelled_files import read_labelled
from training.model import CinesentModel, build_model, with_taxonomy, within_positions
from training.near_duplicates import without_near_duplicates
from training.packaged import load_packaged
from training.seen import keep_seen, read_seen, text_hash, without_seen
from training.soft_labels import from_start, mostly_partial
from training.standoff import read_standoff
from training.steps import clear_run
from training.train import Recipe, Run, fine_tune

logger = logging.getLogger(__name__)

TOLD = ("recipe", "texts", "start", "sources", "hours")  # of a run, in its checkpoint


@dataclass(frozen=True)
class Sources:
    """Where training texts come from.

    `corpora` holds the texts of `standoff`. `weights` gives files of `data` and `standoff` another weight in the loss
    than 1.
    """

    data: tuple[Path, ...] = ()
    dev: tuple[Path, ...] = ()
    standoff: tuple[Path, ...] = ()
    corpora: Path | None = None
    weights: Mapping[Path, float] = field(default_factory=dict)
    mapping: Mapping[str, str] = field(default_factory=dict)
    blank_none: bool = False


@dataclass(frozen=True)
class Start:
    """Where the weights come from: a base, or a checkpoint of ours for a warm start."""

    base: str = "embedded"
    warm_start: Path | None = None
    taxonomy: Path | None = None
    layers: int | None = None

    @property
    def checkpoint(self) -> Path | None:
        """The folder whose heads the training goes on with; None where they are new."""
        return self.warm_start or (embedded_folder() if self.base == "embedded" else None)


def gather(sources: Sources, space: Taxonomy) -> list[Example]:
    """The training texts, without near-duplicates of development texts and texts of the later test."""
    labelled: list[Example] = []
    for path in sources.data:
        weight = sources.weights.get(path, 1.0)
        labelled += read_labelled(
            [path], space, mapping=dict(sources.mapping), blank_none=sources.blank_none, weight=weight
        )
    if sources.corpora is not None:
        for path in sources.standoff:
            found, missing = read_standoff([path], sources.corpora, space, weight=sources.weights.get(path, 1.0))
            if missing:
                logger.warning("%d rows of %s have no text in %s", missing, path.name, sources.corpora)
            # A text that lies in files of others can only be corrected here.
            corrected = {example.text for example in found}
            labelled = [example for example in labelled if example.text not in corrected] + found
        banned = held_out_texts(sources.corpora)
        labelled = [example for example in labelled if example.text not in banned]
    development = read_labelled(sources.dev, space, mapping=dict(sources.mapping), blank_none=sources.blank_none)
    if development:
        found = labelled
        labelled = without_near_duplicates(labelled, development)
        if found and not labelled:
            raise DatasetError(
                f"expected texts that are not in --dev, found all {len(found)} there or nearly repeated; "
                "develop on other texts than those to learn from"
            )
    if not labelled:
        raise DatasetError("expected labelled texts in --data, or --standoff with --corpora, found none")
    if not any(map(_says_something, labelled)):
        raise DatasetError(
            f"expected at least one label, found none in {len(labelled)} texts; name the columns by "
            "dimension keys, overall, intent, escalation or rating"
        )
    return labelled


def _says_something(example: Example) -> bool:
    whole = (example.overall, example.intent, example.escalation, example.rating, example.soft)
    return bool(example.annotated) or any(label is not None for label in whole)


def load_start(
    start: Start, max_tokens: int | None = None
) -> tuple[CinesentModel, PreTrainedTokenizerFast, frozenset[str]]:
    """(model, tokeniser, the dimensions whose heads are new) for a start. What is new is random: seed before.

    Args:
        max_tokens: the window of the model, as `training.model.build_model` takes it; by default that of the checkpoint
            that the training goes on with.

    Raises:
        BaseError, CheckpointError, TaxonomyError: nothing usable there.
    """
    space = None if start.taxonomy is None else load_taxonomy(start.taxonomy)
    folder = start.checkpoint
    if folder is None:
        encoder, tokenizer = load_base(start.base)
        model = build_model(encoder, space or load_taxonomy(), layers=start.layers, max_tokens=max_tokens)
        return model, tokenizer, frozenset(model.config.label_space().keys)
    if start.layers is not None:
        raise BaseError(
            "expected --layers with a base whose heads are new, found it with a checkpoint; give --base offline"
        )
    model, tokenizer = load_packaged(folder) if (folder / "model.onnx").is_file() else load_run(folder)
    if max_tokens is not None:
        model.config.max_tokens = within_positions(model.encoder, max_tokens)
        tokenizer.model_max_length = model.config.max_tokens
    if space is None:
        return model, tokenizer, frozenset()
    return with_taxonomy(model, space), tokenizer, frozenset(space.keys) - {*model.config.label_space().keys}


def weights_hash(model: CinesentModel) -> str:
    """The sha256 of the encoder's weights: it tells the start of a training from another, wherever that lies."""
    digest = hashlib.sha256()
    for name, value in sorted(model.encoder.state_dict().items()):
        digest.update(name.encode() + value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def goes_on(start: Start, space: Taxonomy) -> bool:
    """Whether all heads of the label space are the start's own."""
    return start.checkpoint is not None and label_space(start.checkpoint) == space


def remembered(start: Start, examples: list[Example], space: Taxonomy) -> list[Example]:
    """The examples, with the start's own answers where they leave something unknown, if it has the same label space."""
    if start.checkpoint is None or not goes_on(start, space):
        return examples
    return from_start(start.checkpoint, examples)


@dataclass(frozen=True)
class Prepared:
    """What a training needs beside its model; `development` is empty where nothing is to be chosen by it."""

    labelled: list[Example]
    recipe: Recipe
    development: list[Example]


def prepare(sources: Sources, start: Start, space: Taxonomy, recipe: Recipe, partly: Recipe | None = None) -> Prepared:
    """Gathers the texts and settles the recipe.

    Args:
        partly: the recipe in place of `recipe` where a checkpoint goes on with texts that mostly leave something
            unknown: it has to keep what they do not teach.

    Raises:
        BaseError: a share of the start to keep, and no start with the same heads. DatasetError: as `gather`.
    """
    labelled = gather(sources, space)
    if partly is not None and goes_on(start, space) and mostly_partial(labelled, space):
        recipe = partly
    if recipe.keep != 0 and not goes_on(start, space):
        raise BaseError(
            "expected --keep with a checkpoint of the same label space to start from, found new heads; leave it out"
        )
    development: list[Example] = []
    if recipe.keep is None:
        development = read_labelled(
            sources.dev, space, mapping=dict(sources.mapping), blank_none=sources.blank_none
        )  # fmt: skip
    return Prepared(remembered(start, labelled, space), recipe, development)


def run_training(
    sources: Sources,
    start: Start,
    folder: Path,
    recipe: Recipe,
    *,
    partly: Recipe | None = None,
    resume: bool = False,
) -> Run:
    """Gathers, loads and fine-tunes; the run folder gets the model, its tokeniser, metrics.json and seen.txt.

    `partly` is as in `prepare`. Without `resume`, what another training left there goes first.
    """
    set_seed(recipe.seed)
    model, tokenizer, fresh = load_start(start, recipe.max_tokens)
    found = prepare(sources, start, model.config.label_space(), recipe, partly)
    if not resume:
        clear_run(folder)
    run = fine_tune(
        model, tokenizer, found.labelled, folder, found.recipe, fresh_heads=fresh, resume=resume,
        development=found.development, begun=weights_hash(model),
    )  # fmt: skip
    save_run(run, start, found.labelled)
    return run


def save_run(run: Run, start: Start, examples: Sequence[Example]) -> None:
    """Adds to a run's metrics.json where its weights and its texts came from, and notes the texts' hashes: its own, the
    held-out tenth with them, and those of the run that it began with. `start.seen` there: whether that is all that the
    weights have learnt from of the user's; a checkpoint that was exported keeps no hashes."""
    began = start.warm_start
    before: frozenset[str] | None = frozenset() if began is None else read_seen(began)
    run.metrics["start"] = {
        "base": start.base,
        "warm_start": None if start.warm_start is None else start.warm_start.name,
        "seen": before is not None and (began is None or _knows_start(_details(began))),
    }
    run.metrics["sources"] = dict(Counter(example.source or "unnamed" for example in examples))
    (run.folder / "metrics.json").write_text(json.dumps(run.metrics, indent=2, ensure_ascii=False), "utf-8")
    keep_seen(run.folder, {*(text_hash(example.text) for example in examples), *(before or ())})


def export_run(
    run: Path,
    folder: Path,
    development: Mapping[str, Path],
    *,
    name: str = "cinesent-zh",
    mapping: Mapping[str, str] | None = None,
    blank_none: bool = False,
    int8: Sequence[Path] = (),
    others: Sequence[Path] = (),
) -> Exported:
    """Exports a run folder with its training details; development sets by name, read as `Sources` says, without the
    texts that the run was trained on; `int8`: labelled files, from whose texts scales of int8 are taken; `others`:
    run folders that differ in their seeds, whose logits are averaged with the run's.

    Raises:
        BaseError: no run, one in `folder`, or others that do not go with it or repeat it.
        DatasetError: an unusable development file.
        ExportError: too few development texts stay, or int8 answers too differently.
        RuntimeChoiceError: what makes scales of int8 is not installed.
    """
    if int8 and (lacking := missing()) is not None:  # before anything takes long
        raise RuntimeChoiceError(lacking)
    if (folder / "model.safetensors").exists():
        raise BaseError(f"expected a folder for a checkpoint, found a run in {folder}; name another with -o")
    model, tokenizer = load_run(run)
    space = model.config.label_space()
    members = [model]
    for path in others:
        members.append(_member(path, members, tokenizer))
    codings = dict(mapping or {})
    sets = {
        part: read_labelled([path], space, mapping=codings, blank_none=blank_none) for part, path in development.items()
    }
    for path in (run, *others):
        seen = read_seen(path)
        if seen is None:
            logger.warning("%s does not say what it was trained on: development texts may be among it", path)
            continue
        if not _knows_start(_details(path)):
            logger.warning(
                "%s began with a checkpoint that does not say what it was trained on: development texts may be among "
                "that", path,
            )  # fmt: skip
        count = sum(map(len, sets.values()))
        sets, left = without_seen(sets, seen)
        if left:
            logger.warning("%d of %d development texts were seen in training: left out of calibration", left, count)
    details = _details(run)
    kept = {key: details[key] for key in TOLD if key in details}
    if others:
        kept["others"] = [{key: found[key] for key in TOLD if key in found} for found in map(_details, others)]
    texts = read_labelled(int8, space, mapping=codings, blank_none=blank_none) if int8 else []
    calibration = [example.text for example in texts] if int8 else None
    exported = export(model, tokenizer, folder, sets, name=name, details=kept, int8=calibration, others=members[1:])
    config = json.loads((folder / "config.json").read_text("utf-8"))
    write_card(folder, config, {**details, **kept, "drift": exported.drift, "development": exported.development})
    return exported


def _knows_start(details: Mapping[str, Any]) -> bool:
    """Whether a run's hashes hold what its start had learnt too, by its metrics.json; one of before does not tell."""
    return bool((details.get("start") or {}).get("seen", True))


def _details(run: Path) -> dict[str, Any]:
    """What a run tells of its training."""
    path = run / "metrics.json"
    return dict(json.loads(path.read_text("utf-8"))) if path.is_file() else {}


def _member(run: Path, before: Sequence[CinesentModel], tokenizer: PreTrainedTokenizerFast) -> CinesentModel:
    """The model of a run that is to be averaged with those before it."""
    model, own = load_run(run)
    first, again = before[0], "average those that differ in their seeds alone (`cinesent train --seeds N` makes them)"
    same = (
        model.config.taxonomy == first.config.taxonomy
        and model.config.max_tokens == first.config.max_tokens
        and _shape(model) == _shape(first)
        and own.backend_tokenizer.to_str() == tokenizer.backend_tokenizer.to_str()
    )
    if not same:
        raise BaseError(
            f"expected runs of one label space, tokeniser, window and encoder, found another in {run}; {again}"
        )
    weights = model.state_dict()
    if any(all(torch.equal(weights[name], value) for name, value in one.state_dict().items()) for one in before):
        raise BaseError(
            f"expected runs that differ, found in {run} the same weights as in one before it: their mean would be that "
            f"one, only slower; {again}"
        )
    return model


def _shape(model: CinesentModel) -> list[Any]:
    """What makes an encoder another; versions and paths in its settings do not."""
    kind = [model.config.encoder.get(key) for key in ("model_type", "num_attention_heads", "hidden_act")]
    return [*kind, {name: tuple(value.shape) for name, value in model.state_dict().items()}]
