"""The mean of several runs' weights: one model, no slower than each, that often generalises better than all of them.

Model soups: Wortsman et al. 2022. It works for runs of one lineage: fine-tuned from the same weights, or stages of one
training. `python -m training.average runs/a runs/b=2 -o runs/mean` weighs the second twice; choose weights on
development data (`training.compare`), never on a test.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from training.bases import BaseError
from training.folders import load_run
from training.seen import keep_seen, read_seen

# What a metrics.json says of one training's own texts and figures, which are not the mean's.
OWN_FIGURES = ("history", "held_out")


def average(weights: Mapping[Path, float], output: Path) -> None:
    """Writes a run folder whose floating-point weights are the weighted mean of the runs'; the rest is the first's.

    Args:
        weights: run folder → its weight, positive.

    Raises:
        BaseError: fewer than two runs, a weight that is not positive, or runs of different shapes or label spaces.
    """
    if len(weights) < 2 or min(weights.values()) <= 0:
        raise BaseError(f"expected two runs or more with positive weights, found {len(weights)}: {_told(weights)}")
    (first, share), *others = weights.items()
    total = sum(weights.values())
    model, tokenizer = load_run(first)
    mean = {name: _scaled(value, share / total) for name, value in model.state_dict().items()}
    for folder, share in others:
        other, _ = load_run(folder)
        state = other.state_dict()
        if {n: v.shape for n, v in state.items()} != {n: v.shape for n, v in mean.items()}:
            raise BaseError(f"expected runs of one shape, found another in {folder}; average stages of one training")
        if other.config.label_space() != model.config.label_space():
            raise BaseError(f"expected runs of one label space, found another in {folder}")
        for name, value in state.items():
            if value.is_floating_point():
                mean[name] += _scaled(value, share / total)
    model.load_state_dict(mean)
    model.save_pretrained(output)
    tokenizer.save_pretrained(output)
    (output / "metrics.json").write_text(json.dumps(_metrics(weights), indent=2, ensure_ascii=False), "utf-8")
    seen = [read_seen(folder) for folder in weights]
    if None not in seen:
        keep_seen(output, frozenset[str]().union(*(hashes for hashes in seen if hashes)))


def _scaled(value: torch.Tensor, share: float) -> torch.Tensor:
    return value * share if value.is_floating_point() else value


def _metrics(weights: Mapping[Path, float]) -> dict[str, Any]:
    path = next(iter(weights)) / "metrics.json"
    told: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    kept = {name: value for name, value in told.items() if name not in OWN_FIGURES}
    return {**kept, "averaged": {folder.name: weight for folder, weight in weights.items()}}


def _told(weights: Mapping[Path, float]) -> str:
    return ", ".join(f"{folder}={weight:g}" for folder, weight in weights.items())


def _parse(items: Sequence[str]) -> dict[Path, float]:
    weights: dict[Path, float] = {}
    for item in items:
        name, _, number = item.partition("=")
        try:
            weight = float(number or 1)
        except ValueError:
            raise BaseError(f"expected DIR or DIR=WEIGHT, found {item!r}") from None
        if Path(name) in weights:
            raise BaseError(f"expected different runs, found {name} twice")
        weights[Path(name)] = weight
    return weights


def main(arguments: Sequence[str] | None = None) -> int:
    """Averages from the command line."""
    parser = argparse.ArgumentParser(prog="python -m training.average", description=__doc__)
    parser.add_argument("runs", nargs="+", metavar="DIR[=WEIGHT]", help="run folders; weight 1 unless given")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="run folder to write")
    options = parser.parse_args(arguments)
    try:
        average(_parse(options.runs), options.output)
    except BaseError as error:
        print(f"training.average: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
