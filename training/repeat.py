"""The same training over folds or seeds, averaged: how good a recipe is, and how much of that is chance.

Folds are of whole near-duplicate groups. What each fold's model says about the texts that it has not seen is kept in
`out_of_fold.npz`, in the order of the gathered texts: a second opinion on every label.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from training.compare import score_folder
from training.dataset import DatasetError, Example, near_duplicate_groups, split_folds
from training.metrics import Predictions, summary
from training.run import Sources, Start, gather, load_start, save_run
from training.scores import HEADS, Scores, gold_labels
from training.train import Recipe, fine_tune

Figures = dict[str, float]


def over_seeds(sources: Sources, start: Start, folder: Path, recipe: Recipe, seeds: int) -> dict[str, Any]:
    """Trains once a seed, into `seed-1` …; the figures are those on each run's held-out tenth.

    Returns:
        `runs`, a list of figures by name, and `mean` and `deviation` over them (of a sample, in the figures' units).
    """
    runs = []
    for number in range(seeds):
        own = replace(recipe, seed=recipe.seed + number)
        model, tokenizer, fresh = load_start(start, own.max_tokens)
        labelled, weak = gather(sources, model.config.label_space())
        part = folder / f"seed-{number + 1}"
        run = fine_tune(model, tokenizer, labelled, part, own, always=weak, fresh_heads=fresh)
        save_run(run, start, [*labelled, *weak])
        held = run.metrics["held_out"]
        runs.append({name: held[f"eval_{name}"] for name in SHOWN if f"eval_{name}" in held})
    return _averaged(runs, folder)


def over_folds(sources: Sources, start: Start, folder: Path, recipe: Recipe, folds: int) -> dict[str, Any]:
    """Trains once a fold, without its texts, into `fold-1` …; the figures are those on the fold, at thresholds of 0.5.

    Returns:
        As `over_seeds`.

    Raises:
        DatasetError: fewer different texts than folds.
    """
    runs = []
    kept: dict[str, Any] = {}
    examples: list[Example] = []
    for number in range(folds):
        model, tokenizer, fresh = load_start(start, recipe.max_tokens)
        space = model.config.label_space()
        labelled, weak = gather(sources, space)
        if not examples:
            examples = labelled
            groups = near_duplicate_groups([example.text for example in examples])
            if len(set(groups)) < 2 * folds:
                raise DatasetError(
                    f"expected at least {2 * folds} different texts for {folds} folds, found {len(set(groups))}"
                )
            parts = split_folds(groups, folds, recipe.seed)
        part = folder / f"fold-{number + 1}"
        rest = [examples[i] for other in parts if other is not parts[number] for i in other]
        run = fine_tune(model, tokenizer, rest, part, recipe, always=weak, fresh_heads=fresh)
        save_run(run, start, [*rest, *weak])
        own = [examples[i] for i in parts[number]]
        scores = score_folder(part, own)
        runs.append({name: value for name, value in summary(gold_labels(own, space), _plain(scores)).items()
                     if name in SHOWN})  # fmt: skip
        for name in HEADS:
            values = getattr(scores, name)
            kept.setdefault(name, np.zeros((len(examples), *values.shape[1:]), np.float32))[parts[number]] = values
    np.savez_compressed(folder / "out_of_fold.npz", ids=[example.id for example in examples], **kept)
    return _averaged(runs, folder)


SHOWN = ("mention", "joint", "overall", "intent", "escalation")


def _plain(scores: Scores) -> Predictions:
    """Decisions at a probability of 0.5."""
    called = scores.mention > 0
    return Predictions(
        called.astype(int),
        np.where(called, scores.polarity.argmax(-1), -100),
        scores.overall.argmax(-1),
        scores.intent.argmax(-1),
        (scores.escalation > 0).astype(int),
    )


def _averaged(runs: Sequence[Mapping[str, float]], folder: Path) -> dict[str, Any]:
    names = [name for name in SHOWN if all(name in run for run in runs)]
    table = np.array([[run[name] for name in names] for run in runs])
    spread = table.std(0, ddof=1) if len(runs) > 1 else np.zeros(len(names))
    found = {
        "runs": [dict(run) for run in runs],
        "mean": dict(zip(names, (round(float(v), 4) for v in table.mean(0)), strict=True)),
        "deviation": dict(zip(names, (round(float(v), 4) for v in spread), strict=True)),
    }
    (folder / "averaged.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    return found
