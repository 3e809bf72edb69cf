"""The table of `benchmarks/partial.py`: results in, Markdown out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.ablation_table import change
from training.quality_tables import MISSING, SETS, row, table

FIGURES = {"mention": "mentions", "joint": "with sentiment", "overall": "overall"}


def partial_block(found: Mapping[str, Any]) -> str:
    """A row for each training on partly labelled texts: differences on their own kind and on the development sets."""
    recipe = found["recipe"]
    share = (
        "chosen on the other half of these, so that on their uncalibrated answers it does no worse than its start"
        if recipe["keep"] is None
        else "given"
    )
    halves = ", ".join(
        f"{facts['judged']:,} of {facts['texts']:,} {SETS.get(name, (name,))[0]}"
        for name, facts in found["sets"].items()
    )
    lines = [
        f"Trained on from {found['model']} as `cinesent train --data FILE --dev FILE` does by default "
        f"({recipe['epochs']:g} epochs, rate {recipe['learning_rate']:g}); figures after less before, in points; "
        "thresholds cross-fitted on either side; in brackets 95% intervals (bootstrap over texts, paired). Of the "
        f"development sets one half is judged: {halves}. The start's share in the resulting weights is {share}; 1 is "
        f"the start itself, which learnt nothing. {found['seen']:,} texts of others that the checkpoint had been "
        "trained on, and what nearly repeats them, are neither trained on nor judged.",
        "",
    ]
    columns = ["texts", "start's share"]
    parts = [("own", name) for name in FIGURES] + [(part, name) for part in found["sets"] for name in FIGURES]
    columns += [f"{SETS.get(part, ('texts of that kind',))[0]}, {FIGURES[name]}" for part, name in parts]
    lines += table("trained on", columns)
    for entry in found["trainings"].values():
        kept = entry["kept"]
        share = MISSING if kept is None else f"{kept['share']:g}"
        cells = [f"{entry['fitted']:,}", "1: nothing learnt" if share == "1" else share]
        cells += [change(entry["sets"][part]["differences"].get(name)) or MISSING for part, name in parts]
        lines.append(row(entry["what"], cells))
    return "\n".join(lines)
