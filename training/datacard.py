"""The counts of `data/cinema/` and the agreement of its annotators, written into the data set's card.

`python -m training.datacard` rewrites the block between the markers of data/README.md; `--check` exits 1 if stale.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from sklearn.metrics import cohen_kappa_score

from sentiment.taxonomy import Taxonomy, load_taxonomy
from training.check import count, read_splits
from training.companions import Companions, read_standoff_labels
from training.example import Example
from training.metrics import summary
from training.quality_tables import insert
from training.scores import gold_labels

SPLITS = ("train", "dev", "test")
FEW = 20  # escalations of one annotator; of fewer, kappa hangs on single texts


def card(folder: Path, taxonomy: Taxonomy) -> str:
    """The block's Markdown: a table of splits, a table of mentions, a table of agreement."""
    splits = read_splits([folder / f"{split}.jsonl" for split in SPLITS], taxonomy)
    counts = {split: count(part.examples, taxonomy) for split, part in splits.items()}
    facts = {split: _facts(counts[split], part.examples) for split, part in splits.items()}
    lines = ["| | " + " | ".join(SPLITS) + " |", "| --- |" + " ---: |" * len(SPLITS)]
    for name in facts["train"]:
        lines.append(f"| {name} | " + " | ".join(str(facts[split][name]) for split in SPLITS) + " |")
    lines += ["", "Mentions, negative / neutral / positive:", "", *lines[:2]]
    for dimension in taxonomy.dimensions:
        found = [counts[split]["mentions"][dimension.key] for split in SPLITS]
        cells = [" / ".join(str(part[name]) for name in ("negative", "neutral", "positive")) for part in found]
        lines.append(f"| {dimension.key} {dimension.zh} | " + " | ".join(cells) + " |")
    lines += ["", *agreement_table(splits["dev"].rows, splits["test"].rows, folder.parent / "standoff", taxonomy)]
    return "\n".join(lines)


def agreement_table(
    dev: Sequence[Mapping[str, Any]], test: Sequence[Mapping[str, Any]], standoff: Path, taxonomy: Taxonomy
) -> list[str]:
    """The lines of the table of agreement, and below it what its figures cannot tell."""
    labels = Companions(*read_standoff_labels(standoff, taxonomy))
    lines = [
        "Agreement of the two annotators before adjudication (all dimensions; Cohen's κ for the heads; escalations:",
        "how many texts the first, the second and both of them called one):",
        "",
        "| split | texts | mention F1 | joint F1 | overall κ | intent κ | escalation κ | escalations |",
        "| --- |" + " ---: |" * 7,
    ]
    notes = []
    for name, pairs in (("dev", _pairs(dev)), ("test", _pairs(test)), ("standoff", labels.seconded())):
        one, other, both = escalations(pairs)
        cells = [*_agreement(pairs, taxonomy), f"{one} / {other} / {both}"]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
        if min(one, other) < FEW:
            notes += [
                "",
                f"Of {len(pairs)} texts of {name} the first annotator called {one} an escalation, the second {other},",
                f"and {both} of them both did. So few say nothing about how far they agree on escalation, whatever κ",
                "comes out: one text more or less would make it another number.",
            ]
    if alone := len(labels.alone()):
        notes += ["", f"Second labels of standoff without a first one beside them, which are not counted: {alone}."]
    return [*lines, *notes]


def _facts(counts: Mapping[str, Any], examples: Sequence[Example]) -> dict[str, object]:
    lengths = [len(example.text) for example in examples]
    intents: dict[str, int] = counts["intents"]
    return {
        "texts": counts["texts"],
        "authors": counts["authors"],
        "characters, median (longest)": f"{median(lengths):.0f} ({max(lengths)})",
        "Traditional": f"{counts['traditional'] / counts['texts']:.0%}",
        **{intent: intents[intent] for intent in sorted(intents, key=lambda name: -intents[name])},
        "escalation": counts["escalations"],
        "near misses of escalation, marked": counts["kinds"].get("near_miss", 0),
        "decoys, marked": counts["kinds"].get("decoy", 0),
    }


Pair = tuple[Mapping[str, Any], Mapping[str, Any]]


def _pairs(rows: Sequence[Mapping[str, Any]]) -> list[Pair]:
    """Both annotators' labels of every text that has them."""
    return [(row["annotators"][0], row["annotators"][1]) for row in rows if len(row.get("annotators", ())) == 2]


def escalations(pairs: Sequence[Pair]) -> tuple[int, int, int]:
    """How many texts the first annotator calls an escalation, how many the second, and how many both."""
    called = [(bool(one["escalation"]), bool(other["escalation"])) for one, other in pairs]
    return sum(one for one, _ in called), sum(other for _, other in called), called.count((True, True))


def _agreement(pairs: list[Pair], taxonomy: Taxonomy) -> list[str]:
    first, second = (gold_labels([_example(pair[side], taxonomy) for pair in pairs], taxonomy) for side in (0, 1))
    rates = summary(first, second)
    kappas = [kappa(getattr(first, name), getattr(second, name)) for name in ("overall", "intent", "escalation")]
    values = (rates["mention"], rates["joint"], *kappas)
    return [str(len(pairs)), *("–" if np.isnan(value) else f"{value:.3f}" for value in values)]


def kappa(first: Any, second: Any) -> float:
    """Cohen's kappa; NaN where both give one and the same label throughout."""
    return float(cohen_kappa_score(first, second)) if len({*first, *second}) > 1 else float("nan")


def _example(labels: Mapping[str, Any], taxonomy: Taxonomy) -> Example:
    """Labels without their text: agreement asks only which dimension is called what."""
    return Example(
        "",
        {entry["dimension"]: (entry["sentiment"], -1, -1) for entry in labels["labels"]},
        frozenset(taxonomy.keys),
        **{name: labels[name] for name in ("overall", "intent", "escalation")},
    )


def main(arguments: list[str] | None = None) -> int:
    """Rewrites the card, or checks it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args(arguments)
    path = options.data / "README.md"
    text = path.read_text("utf-8")
    new = insert(text, "counts", card(options.data / "cinema", load_taxonomy()))
    if options.check:
        return int(new != text)
    path.write_text(new, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
