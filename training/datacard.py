"""The counts of `data/cinema/` and the agreement of its annotators, written into the data set's card.

`python -m training.datacard` rewrites the block between the markers of data/README.md; `--check` exits 1 if stale.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from sklearn.metrics import cohen_kappa_score

from sentiment.taxonomy import Taxonomy, load_taxonomy
from sentiment.text import normalise
from training.dataset import parse_record, read_jsonl
from training.metrics import summary
from training.scores import gold_labels

BEGIN, END = "<!-- counts:begin -->", "<!-- counts:end -->"
SPLITS = ("train", "dev", "test")
TRADITIONAL = ("hant", "mixed")


def card(folder: Path, taxonomy: Taxonomy) -> str:
    """The block's Markdown: a table of splits, a table of mentions, a table of agreement."""
    rows = {split: [row for _, row in read_jsonl(folder / f"{split}.jsonl")] for split in SPLITS}
    lines = [
        "| | " + " | ".join(SPLITS) + " |",
        "| --- |" + " ---: |" * len(SPLITS),
    ]
    facts = {split: _facts(part) for split, part in rows.items()}
    for name in facts["train"]:
        lines.append(f"| {name} | " + " | ".join(str(facts[split][name]) for split in SPLITS) + " |")
    lines += ["", "Mentions, negative / neutral / positive:", "", lines[0], lines[1]]
    for dimension in taxonomy.dimensions:
        cells = []
        for split in SPLITS:
            found = Counter(
                entry["sentiment"]
                for row in rows[split]
                for entry in row["labels"]
                if entry["dimension"] == dimension.key
            )
            cells.append(" / ".join(str(found[name]) for name in ("negative", "neutral", "positive")))
        lines.append(f"| {dimension.key} {dimension.zh} | " + " | ".join(cells) + " |")
    lines += ["", "Agreement of the two annotators before adjudication (all dimensions; Cohen's κ for the heads):", ""]
    lines += [
        "| split | texts | mention F1 | joint F1 | overall κ | intent κ | escalation κ |",
        "| --- |" + " ---: |" * 6,
    ]
    for split in ("dev", "test"):
        lines.append(f"| {split} | " + " | ".join(_agreement(rows[split], taxonomy)) + " |")
    return "\n".join(lines)


def _facts(rows: list[dict[str, Any]]) -> dict[str, object]:
    scripts: Counter[str] = Counter(normalise(row["text"]).script for row in rows)
    intents = Counter(row["intent"] for row in rows)
    kinds = Counter(row.get("kind", "") for row in rows)
    lengths = [len(row["text"]) for row in rows]
    return {
        "texts": len(rows),
        "authors": len({row["author"] for row in rows}),
        "characters, median (longest)": f"{median(lengths):.0f} ({max(lengths)})",
        "Traditional": f"{sum(scripts[script] for script in TRADITIONAL) / len(rows):.0%}",
        **{intent: intents[intent] for intent in sorted(intents, key=lambda name: -intents[name])},
        "escalation": sum(row["escalation"] for row in rows),
        "near misses of escalation, marked": kinds["near_miss"],
        "decoys, marked": kinds["decoy"],
    }


def _agreement(rows: list[dict[str, Any]], taxonomy: Taxonomy) -> list[str]:
    pairs = [row for row in rows if len(row.get("annotators", ())) == 2]
    first, second = (
        gold_labels([parse_record({"text": r["text"], **r["annotators"][i]}, taxonomy, r["id"]) for r in pairs], space)
        for i, space in enumerate((taxonomy, taxonomy))
    )
    rates = summary(first, second)
    kappas = [cohen_kappa_score(getattr(first, n), getattr(second, n)) for n in ("overall", "intent", "escalation")]
    return [str(len(pairs)), *(f"{value:.3f}" for value in (rates["mention"], rates["joint"], *np.array(kappas)))]


def main(arguments: list[str] | None = None) -> int:
    """Rewrites the card, or checks it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args(arguments)
    path = options.data / "README.md"
    text = path.read_text("utf-8")
    head, rest = text.split(BEGIN)
    tail = rest.split(END)[1]
    new = f"{head}{BEGIN}\n{card(options.data / 'cinema', load_taxonomy())}\n{END}{tail}"
    if options.check:
        return int(new != text)
    path.write_text(new, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
