"""Writes the tables of figures into the READMEs, the model card and the tutorials; `--check` only compares.

Quality comes from benchmarks/results/quality.json and baselines.json, and how many texts the checkpoint was fitted to
from its config.json; memory from memory.json, the capability tests from checklist.json, pairs of wordings and talk of
the film from robustness.json; all but memory are judged by the targets of `training.quality_targets`. tutorial.json is
what the tutorial's own `cinesent evaluate` wrote. The comparison with other programs (comparison.json), what depth and
parts of the recipe bring (ablation.json) and what partly labelled texts do (partial.json) go into the card once
measured, the first also into every README that has its markers. Speed (speed.json, and with it engines.json,
levers.json, tradeoff.json and batching.json) becomes a section of the READMEs once it is measured; of tradeoff.json the
pictures docs/tradeoff.svg and docs/tradeoff.zh.svg are drawn as well. What scale costs (distributed.json, and with it
cost.json) goes into docs/scale.md likewise.
With `--check`, exit code 1 says that a table is stale, or that the results are of another checkpoint than the packaged
one.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.speed_targets import paid_by_quality
from sentiment.checkpoint import CheckpointError, load_checkpoint
from sentiment.taxonomy import Taxonomy, load_taxonomy
from training.ablation_table import ablation_block
from training.capability_tables import checklist_block, robustness_block
from training.card import training_texts
from training.comparison_table import comparison_block
from training.lever_table import with_depth_quality
from training.partial_table import partial_block
from training.quality_tables import (
    Language,
    Results,
    TablesError,
    dimension_block,
    insert,
    memory_block,
    quality_block,
    tutorial_block,
)
from training.quality_targets import quality_targets, targets_block, targets_line
from training.scale_table import scale_block
from training.speed_table import speed_block
from training.tradeoff_plot import tradeoff_plot
from training.tradeoff_table import PICTURES

ROOT = Path(__file__).parent.parent
FILES = ("quality.json", "baselines.json")
CARD = Path("sentiment") / "model" / "README.md"
SECTIONS = {
    "targets": "Targets",
    "ablation": "What the parts bring",
    "partial": "Trained on with partly labelled texts",
    "comparison": "Beside other programs",
    "robustness": "Robustness",
    "checklist": "Capabilities",
}
SPEED: dict[Language, tuple[str, str]] = {"en": ("Limits", "Speed"), "zh": ("局限", "速度")}  # goes before, heading
BESIDE = ("engines", "levers", "tradeoff")  # speed's own, where they are measured
OTHERS = ("checklist.json", "memory.json", "robustness.json", "tutorial.json")
TUTORIALS = (Path("docs") / "tutorial.md", Path("docs") / "tutorial.zh.md")
SCALE = (Path("docs") / "scale.md", Path("docs") / "scale.zh.md")
TARGETS: tuple[tuple[Path, Language], ...] = (
    (Path("README.md"), "en"), (Path("README.zh.md"), "zh"), (CARD, "en"),
    (TUTORIALS[0], "en"), (TUTORIALS[1], "zh"), (SCALE[0], "en"), (SCALE[1], "zh"),
)  # fmt: skip


def read_results(folder: Path) -> Results:
    """The results that exist, the checkpoint's first."""
    return [json.loads((folder / name).read_text("utf-8")) for name in FILES if (folder / name).is_file()]


def read_one(folder: Path, name: str) -> Any:
    """One file of results, or None."""
    path = folder / name
    return json.loads(path.read_text("utf-8")) if path.is_file() else None


def renewed(
    text: str,
    path: Path,
    lang: Language,
    results: Results,
    folder: Path,
    taxonomy: Taxonomy,
    texts: Mapping[str, int] | None = None,
) -> str:
    """The document with its tables renewed: the READMEs have memory, the card dimensions and capabilities.

    Args:
        texts: how many texts the packaged checkpoint was fitted to (`training.card.training_texts`).
    """
    if path in TUTORIALS:
        space = load_taxonomy(ROOT / "data" / "tutorial" / "escape.yaml")
        return insert(text, "tutorial", tutorial_block(read_one(folder, "tutorial.json"), space, lang))
    if path in SCALE:
        measured = read_one(folder, "distributed.json")
        if measured is None:
            return text
        return insert(with_scale(text), "scale", scale_block(measured, read_one(folder, "cost.json"), lang))
    card = path == CARD
    robustness, checklist = read_one(folder, "robustness.json"), read_one(folder, "checklist.json")
    judged = quality_targets(results, taxonomy, robustness, checklist)
    if card:
        text = with_section(text, "targets")
    compared = read_one(folder, "comparison.json")
    if card and compared is not None:
        text = with_section(text, "comparison")
    if "<!-- comparison:begin -->" in text:
        text = insert(text, "comparison", comparison_block(compared, lang, detailed=card))
    text = insert(text, "quality", quality_block(results, lang, detailed=card, texts=texts))
    text = insert(text, "targets", targets_block(judged) if card else targets_line(judged, lang))
    if not card:
        speed = read_one(folder, "speed.json")
        if speed is not None:
            text = with_speed(text, lang)
            engines, levers, tradeoff = (read_one(folder, f"{name}.json") for name in BESIDE)
            if levers is not None:
                levers = with_depth_quality(levers, read_one(folder, "ablation.json"))
            block = speed_block(
                speed, engines, lang, levers=levers, tradeoff=tradeoff, beside=paid_by_quality(engines, tradeoff),
                complaints=complaints(folder),
            )  # fmt: skip
            text = insert(text, "speed", block)
        return insert(text, "memory", memory_block(read_one(folder, "memory.json"), lang))
    text = insert(text, "dimensions", dimension_block(results, taxonomy, lang))
    ablation = read_one(folder, "ablation.json")
    if ablation is not None:
        text = insert(with_section(text, "ablation"), "ablation", ablation_block(ablation))
    text = insert(with_section(text, "robustness"), "robustness", robustness_block(robustness))
    partly = read_one(folder, "partial.json")
    if partly is not None:
        text = insert(with_section(text, "partial"), "partial", partial_block(partly))
    return insert(with_section(text, "checklist"), "checklist", checklist_block(checklist))


def complaints(folder: Path) -> list[Any]:
    """What users of such tools complain of, as `benchmarks.batching` and `benchmarks.memory --mixed` measured it."""
    found = (read_one(folder, f"{name}.json") or {} for name in ("batching", "memory"))
    return [
        {**entry, "circumstances": results.get("circumstances", [])}
        for results in found
        for entry in results.get("complaints", ())
    ]


def with_section(card: str, name: str) -> str:
    """The card with an empty section before its limits: a checkpoint is packed before these are measured on it."""
    if f"<!-- {name}:begin -->" in card:
        return card
    head, limits, tail = card.partition("\n## Limits\n")
    return f"{head}\n## {SECTIONS[name]}\n\n<!-- {name}:begin -->\n<!-- {name}:end -->\n{limits}{tail}"


def with_speed(readme: str, lang: Language) -> str:
    """The README with an empty section for speed before its limits."""
    if "<!-- speed:begin -->" in readme:
        return readme
    follows, heading = SPEED[lang]
    head, limits, tail = readme.partition(f"\n## {follows}\n")
    return f"{head}\n## {heading}\n\n<!-- speed:begin -->\n<!-- speed:end -->\n{limits}{tail}"


def with_scale(page: str) -> str:
    """The page with an empty place at its end, where it says what scale costs."""
    return page if "<!-- scale:begin -->" in page else f"{page.rstrip()}\n\n<!-- scale:begin -->\n<!-- scale:end -->\n"


def pictures(folder: Path) -> dict[Path, str]:
    """What is drawn of the results, by where it belongs; nothing while a section for it is not there."""
    found, speed = (read_one(folder, f"{name}.json") for name in ("tradeoff", "speed"))
    if found is None or speed is None:
        return {}
    return {Path("docs") / name: tradeoff_plot(found, lang) for lang, name in PICTURES.items()}


def other_checkpoint(results: Results, folder: Path, model: Path) -> str | None:
    """What is wrong if the results are not of the checkpoint in `model`, or of a trial."""
    try:
        packaged = load_checkpoint(model)
    except CheckpointError as error:
        return str(error)
    names = ("checklist", "robustness", "comparison", "partial", "speed", *BESIDE)
    for name in (*names, "batching", "memory", "distributed", "cost"):
        found = read_one(folder, f"{name}.json")
        if found is not None and found.get("model") != packaged.name:
            return f"{name}.json: expected results of {packaged.name}, found those of {found.get('model')}"
        if found is not None and found.get("trial"):
            return f"{name}.json: expected results of a full run, found those of a trial"
    measured = [entry["hash"] for result in results for entry in result["models"] if entry["kind"] == "checkpoint"]
    if packaged.hash in measured:
        return None
    return f"expected results of {packaged.name}, found those of {', '.join(h[:8] for h in measured) or 'none'}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes or compares the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tables", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if something is stale")
    parser.add_argument("--root", type=Path, default=ROOT, metavar="DIR", help="the project (default: this one)")
    parser.add_argument("--results", type=Path, metavar="DIR", help="the results (default: benchmarks/results)")
    options = parser.parse_args(arguments)
    folder = options.results or options.root / "benchmarks" / "results"
    results = read_results(folder)
    if not results:
        parser.error("expected results, found none; run python -m benchmarks.quality and python -m training.baselines")
    taxonomy = load_taxonomy()
    config = options.root / CARD.parent / "config.json"
    texts = training_texts(json.loads(config.read_text("utf-8"))) if config.is_file() else None
    problems = []
    for path, lang in TARGETS:
        try:
            old = (options.root / path).read_text("utf-8")
            new = renewed(old, path, lang, results, folder, taxonomy, texts)
        except (TablesError, OSError) as error:
            problems.append(f"{path}: {error}")
            continue
        if new != old and options.check:
            problems.append(f"{path}: stale; run python -m benchmarks.tables")
        elif new != old:
            (options.root / path).write_text(new, "utf-8")
            print(f"{path} written", file=sys.stderr)
    for path, drawn in pictures(folder).items():
        old = (options.root / path).read_text("utf-8") if (options.root / path).is_file() else None
        if drawn != old and options.check:
            problems.append(f"{path}: stale; run python -m benchmarks.tables")
        elif drawn != old:
            (options.root / path).write_text(drawn, "utf-8", newline="\n")
            print(f"{path} written", file=sys.stderr)
    problems += [f"expected {folder / name}, found none" for name in OTHERS if not (folder / name).is_file()]
    wrong = other_checkpoint(results, folder, options.root / CARD.parent)
    if wrong:
        problems.append(f"{wrong}; measure again")
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
