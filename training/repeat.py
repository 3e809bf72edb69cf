"""The same training over folds or seeds, averaged: how good a recipe is, and how much of that is chance.

Folds are of whole near-duplicate groups. What each fold's model says about the texts that it has not seen is kept in
`out_of_fold.npz` with their labels, in the order of the gathered texts: a second opinion on every label
(`training.label_issues`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from transformers import set_seed

from training.calibrate import fold_numbers, neutral
from training.compare import FIGURES
from training.example import DatasetError
from training.folders import score_folder
from training.metrics import HEADS, summary
from training.near_duplicates import near_duplicate_groups
from training.run import Prepared, Sources, Start, load_start, prepare, save_run
from training.scores import gold_labels
from training.steps import clear_run
from training.train import Recipe, fine_tune


def over_seeds(
    sources: Sources, start: Start, folder: Path, recipe: Recipe, seeds: int, partly: Recipe | None = None
) -> dict[str, Any]:
    """Trains once a seed, into `seed-1` …; the figures are those on each run's held-out tenth. What another training
    left in the folder goes first.

    A start that was itself fitted to these texts flatters the figures. `partly` is as in `prepare`.

    Returns:
        `runs`, a list of figures by name, and `mean` and `deviation` over them (of a sample, in the figures' units).
    """
    space = load_start(start, recipe.max_tokens)[0].config.label_space()
    found = prepare(sources, start, space, recipe, partly)
    clear_run(folder)
    runs = []
    for number in range(seeds):
        own = replace(found, recipe=replace(found.recipe, seed=recipe.seed + number))
        held = _train(own, start, folder / f"seed-{number + 1}")["held_out"]
        runs.append({name: held[f"eval_{name}"] for name in FIGURES if f"eval_{name}" in held})
    return _averaged(runs, folder)


def over_folds(
    sources: Sources, start: Start, folder: Path, recipe: Recipe, folds: int, partly: Recipe | None = None
) -> dict[str, Any]:
    """Trains once a fold, without its texts, into `fold-1` …; the figures are those on the fold, at thresholds of 0.5.
    What another training left in the folder goes first.

    A start that was itself fitted to these texts flatters the figures.

    Returns:
        As `over_seeds`.

    Raises:
        DatasetError: fewer different texts than two a fold.
    """
    space = load_start(start, recipe.max_tokens)[0].config.label_space()
    found = prepare(sources, start, space, recipe, partly)
    examples = found.labelled
    groups = near_duplicate_groups([example.text for example in examples])
    if len(set(groups)) < 2 * folds:
        raise DatasetError(f"expected at least {2 * folds} different texts for {folds} folds, found {len(set(groups))}")
    clear_run(folder)
    fold = fold_numbers(groups, folds, recipe.seed)
    runs = []
    kept: dict[str, Any] = {}
    for number in range(folds):
        part, rows = folder / f"fold-{number + 1}", np.flatnonzero(fold == number)
        _train(replace(found, labelled=[examples[i] for i in np.flatnonzero(fold != number)]), start, part)
        own = [examples[i] for i in rows]
        scores = score_folder(part, own)
        figures = summary(gold_labels(own, space), neutral(space).decide(scores, space))
        runs.append({name: value for name, value in figures.items() if name in FIGURES})
        for name in HEADS:
            values = getattr(scores, name)
            kept.setdefault(name, np.zeros((len(examples), *values.shape[1:]), np.float32))[rows] = values
    gold = gold_labels(examples, space)
    np.savez_compressed(
        folder / "out_of_fold.npz",
        ids=np.array([example.id for example in examples]),
        texts=np.array([example.text for example in examples]),
        **{f"gold_{name}": getattr(gold, name) for name in HEADS},
        **kept,
    )
    return _averaged(runs, folder)


def _train(given: Prepared, start: Start, folder: Path) -> dict[str, Any]:
    """One training from the start's own weights; returns its metrics."""
    set_seed(given.recipe.seed)
    model, tokenizer, fresh = load_start(start, given.recipe.max_tokens)
    run = fine_tune(
        model, tokenizer, given.labelled, folder, given.recipe, fresh_heads=fresh, development=given.development
    )  # fmt: skip
    save_run(run, start, given.labelled)
    return run.metrics


def _averaged(runs: Sequence[Mapping[str, float]], folder: Path) -> dict[str, Any]:
    names = [name for name in FIGURES if all(name in run for run in runs)]
    table = np.array([[run[name] for name in names] for run in runs])
    spread = table.std(0, ddof=1) if len(runs) > 1 else np.zeros(len(names))
    found = {
        "runs": [dict(run) for run in runs],
        "mean": dict(zip(names, (round(float(v), 4) for v in table.mean(0)), strict=True)),
        "deviation": dict(zip(names, (round(float(v), 4) for v in spread), strict=True)),
    }
    (folder / "averaged.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    return found
