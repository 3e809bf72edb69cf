"""The model card of a checkpoint: numbers in, Markdown out; only `write_card` touches a file.

The tables stand between markers, so that `benchmarks/tables.py` can renew them without writing the card again.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sentiment.scaling import not_service
from sentiment.taxonomy import Taxonomy, load_taxonomy, taxonomy_from_dict
from training.quality_tables import (
    MISSING,
    Results,
    dimension_block,
    quality_block,
    row,
    table,
)

BASE_MODEL = "intfloat/multilingual-e5-small"
TAGS = (
    *("sentiment-analysis", "aspect-based-sentiment-analysis", "chinese", "customer-reviews", "complaints"),
    *("onnx", "int8"),
)
# The mean F1 of a dimension with fewer mentions says little.
FEW_MENTIONS = 30
SOURCES = {"unnamed": "texts that name no source"}  # as `training.run` counts those that were written for a training


def card_text(config: Mapping[str, Any], metrics: Mapping[str, Any], results: Results) -> str:
    """The card of a checkpoint as Markdown with the YAML header of a model hub.

    Args:
        config: the checkpoint's config.json; its `training` and `metrics` tell the training, where both say something
            `metrics` counts.
        metrics: the run's metrics.json: `recipe`, `texts`, `start` (of a training in several stages with `stages`),
            `sources`, and, where known, `hours` and `machine`.
        results: what was measured, may be empty.

    What is true of cinemas and of our own texts alone is said only if the label space is the packaged one.
    """
    taxonomy = taxonomy_from_dict(config["taxonomy"])
    cinema = taxonomy.keys == load_taxonomy().keys
    told = {**config.get("training", {}), **metrics}
    parts = [
        _header(told, cinema),
        _introduction(config, taxonomy, cinema),
        _label_space(taxonomy),
        _training(config, told),
        _decision_rules(config, taxonomy),
        _results(results, taxonomy, training_texts(config)),
        _limits(results, taxonomy, cinema),
        _citation(config, told),
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def training_texts(config: Mapping[str, Any]) -> Mapping[str, int] | None:
    """How many texts a checkpoint was fitted to, by its config.json: `fitted` (of these `weak`) and `held_out`."""
    found: Mapping[str, int] | None = config.get("training", {}).get("texts")
    return found


def write_card(folder: Path, config: Mapping[str, Any], metrics: Mapping[str, Any], results: Results = ()) -> Path:
    """Writes README.md of a checkpoint folder; see `card_text`."""
    path = folder / "README.md"
    path.write_text(card_text(config, metrics, results), "utf-8")
    return path


def _base(told: Mapping[str, Any]) -> str:
    """The hub id of the encoder: the start of the training if it is one, else the one that our own bases come from."""
    base = str((told.get("start") or {}).get("base") or "")
    return base if base.count("/") == 1 and not base.startswith((".", "/")) else BASE_MODEL


def _header(told: Mapping[str, Any], cinema: bool) -> str:
    tags = "\n".join(f"  - {tag}" for tag in (*TAGS, *(["cinema"] if cinema else [])))
    return (
        f"---\nlanguage:\n  - zh\nlicense: apache-2.0\nbase_model: {_base(told)}\npipeline_tag: text-classification\n"
        f"metrics:\n  - f1\n  - accuracy\ntags:\n{tags}\n---"
    )


def _introduction(config: Mapping[str, Any], taxonomy: Taxonomy, cinema: bool) -> str:
    return f"""
# {config["name"]}

Reads Chinese reviews and complaints{" about cinemas" if cinema else ""}. In one pass it says which of \
{len(taxonomy.keys)} dimensions a text mentions,
with sentiment, confidence and the words that say so; the sentiment of the whole; what the author wants; and whether
somebody should act.

读中文{"影院" if cinema else ""}评论与投诉：一次给出 {len(taxonomy.keys)} 个维度中提到了哪些、情感如何、
依据原文哪几个字，以及整体情感、诉求类型、是否需升级处理。

```python
from sentiment import Analyzer

Analyzer.load("path/to/this/folder").analyze("{"座椅太硬，坐得腰疼" if cinema else "……"}")
```

The folder holds `model.onnx` (int8 weights, float arithmetic), `tokenizer.json` and `config.json` (label space,
decision rules, hashes); with `int8.onnx` and `int8.safetensors` beside them, products are in int8 where a processor
adds them exactly. It runs offline on a CPU by ONNX Runtime; PyTorch is not needed. Meant for sorting and
counting feedback; not meant for judging single employees or customers.
"""


def _label_space(taxonomy: Taxonomy) -> str:
    lines = ["## Label space", "", *table("key", ["中文", "English", "group"])]
    lines[-1] = row("---", ["---"] * 3)
    lines += [row(f"`{d.key}`", [d.zh, d.en, d.group or MISSING]) for d in taxonomy.dimensions]
    lines += [
        "",
        f"- sentiment of a mention: {', '.join(taxonomy.sentiments)}; a dimension that is not listed is not mentioned",
        f"- overall: {', '.join(taxonomy.overall)}",
        f"- intent: {', '.join(taxonomy.intents)}",
        "- escalation: false, true",
    ]
    return "\n".join(lines)


def _training(config: Mapping[str, Any], told: Mapping[str, Any]) -> str:
    encoder = config.get("encoder", {})
    lines = ["## Training", ""]
    shape = [
        f"{encoder[name]:,} {label}"
        for name, label in (("num_hidden_layers", "layers"), ("hidden_size", "hidden units"), ("vocab_size", "pieces"))
        if name in encoder
    ]
    lines.append(
        f"- Encoder: from `{_base(told)}`{': ' + ', '.join(shape) if shape else ''}. On top, for every dimension, an "
        "attention over the tokens that is trained on labelled evidence, a mention and a sentiment; heads for the "
        "whole text."
    )
    if config.get("members", 1) > 1:
        lines.append(
            f"- Members: {config['members']} trainings{_apart(told)}; the checkpoint answers with the mean of their"
            " logits. What follows is said of the first."
        )
    texts, sources, recipe = (told.get(name) or {} for name in ("texts", "sources", "recipe"))
    if texts:
        names = {
            "fitted": "fitted",
            "held_out": f"held out {'for early stopping' if _stops_early(recipe) else 'to choose the best step'}",
            "weak": "of the fitted weakly labelled",
            "soft": "of the fitted with soft labels",
        }
        counts = ", ".join(f"{texts[key]:,} {name}" for key, name in names.items() if texts.get(key))
        lines.append(f"- Texts: {counts}. Near-duplicates of development texts were left out before.")
    if sources:
        ordered = sorted(sources.items(), key=lambda item: (-item[1], item[0]))
        counted = ", ".join(f"{SOURCES.get(name, name)} {count:,}" for name, count in ordered)
        lines.append(f"- Sources: {counted}.")
    if recipe:
        settings = ", ".join(
            f"{name.replace('_', ' ')} {value:g}" for name, value in recipe.items() if _active(name, recipe, texts)
        )
        lines.append(f"- Recipe: AdamW, linear decay; {settings}.")
    start = told.get("start") or {}
    if start.get("warm_start"):
        lines.append(f"- Started from the checkpoint `{start['warm_start']}`.")
    lines += [f"- Stage {number}: {stage}." for number, stage in enumerate(start.get("stages") or (), 1)]
    # An earlier stage may have been fitted to what the last one held out: figures on it would flatter.
    staged = start.get("warm_start") or start.get("stages")
    held = {name.removeprefix("eval_"): value for name, value in (told.get("held_out") or {}).items() if not staged}
    figures = [
        f"{name} {held[name]:.3f}" for name in ("mention", "joint", "overall", "intent") if _is_number(held.get(name))
    ]
    if figures:
        lines.append(f"- On the held-out part of the training texts (not a test): {', '.join(figures)}.")
    if _is_number(told.get("hours")):
        lines.append(f"- Time: {told['hours']:g} hours{' on ' + str(told['machine']) if told.get('machine') else ''}.")
    elif told.get("machine"):
        lines.append(f"- Machine: {told['machine']}.")
    if len(lines) == 3:
        lines.append("- The run left no record of its data and recipe.")
    return "\n".join(lines)


def _apart(told: Mapping[str, Any]) -> str:
    """What tells the members of an ensemble from one another, where all of them left a record."""
    runs = [told, *(told.get("others") or ())]
    recipes = [dict(run.get("recipe") or {}) for run in runs]
    seeds = [recipe.pop("seed", None) for recipe in recipes]
    if None in seeds or len(runs) == 1:
        return ""
    rest = [(recipe, run.get("sources"), run.get("start")) for recipe, run in zip(recipes, runs, strict=True)]
    if any(one != rest[0] for one in rest) or len(set(seeds)) < len(seeds):
        return ", of which some have another recipe, other texts or another start than the first"
    return f" that differ in their seeds ({', '.join(map(str, seeds))})"


def _active(name: str, recipe: Mapping[str, Any], texts: Mapping[str, int]) -> bool:
    """Whether a setting of the recipe changed anything: others are defaults that the run had no use for."""
    if not _is_number(recipe[name]):
        return False
    if not recipe[name] and name != "seed":  # of checkpoints before, also of settings that are no more
        return False
    if name == "soft":
        return bool(texts.get("soft"))
    return name != "patience" or _stops_early(recipe)


def _stops_early(recipe: Mapping[str, Any]) -> bool:
    """Whether the run could have ended before its last epoch."""
    patience, epochs = recipe.get("patience"), recipe.get("epochs")
    return patience is None or epochs is None or patience < epochs * recipe.get("evaluations_per_epoch", 1)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _decision_rules(config: Mapping[str, Any], taxonomy: Taxonomy) -> str:
    thresholds = config["thresholds"]
    shown = ", ".join(f"{key} {thresholds[key]:g}" for key in (*taxonomy.keys, "escalation") if key in thresholds)
    temperatures, factors = (
        ", ".join(f"{name} {value:g}" for name, value in config.get(part, {}).items())
        for part in ("temperatures", "factors")
    )
    biases = "; ".join(
        f"{name} {', '.join(f'{value:g}' for value in values)}" for name, values in config.get("biases", {}).items()
    )
    lines = [
        "## Decision rules",
        "",
        "Kept in `config.json`, fitted on the development texts. For products in int8 the same rules have numbers "
        "of their own, fitted likewise and kept in `int8.safetensors`; where it has none, these hold.",
        "",
        f"- A dimension is mentioned, a text escalated, from these probabilities on: {shown}.",
        f"- Temperatures by which the logits are divided (Guo et al. 2017): {temperatures or 'none'}; then these are "
        f"added: {biases or 'none'}.",
        f"- Texts are read in windows of at most {config['max_tokens']} tokens, whose answers are joined.",
    ]
    if factors:
        aside = " or ".join(taxonomy.dimensions[i].en for i in not_service(taxonomy))
        lines.insert(-1, f"- Where a text speaks of {aside}, the temperatures are taken times these: {factors}.")
    bounds = config.get("uncertain") or {}
    if bounds:
        values = ", ".join(f"{name} {value:g}" for name, value in bounds.items())
        lines.append(
            f"- `uncertain`: a confidence below its bound, or escalation nearer to its threshold than that: {values}."
        )
    return "\n".join(lines)


def _results(results: Results, taxonomy: Taxonomy, texts: Mapping[str, int] | None) -> str:
    return f"""
## Results

<!-- quality:begin -->
{quality_block(results, detailed=True, texts=texts)}
<!-- quality:end -->

<!-- dimensions:begin -->
{dimension_block(results, taxonomy)}
<!-- dimensions:end -->
"""


def _limits(results: Results, taxonomy: Taxonomy, cinema: bool) -> str:
    limits = [
        "Irony, comparisons with others and what is only implied are often missed.",
        "Cantonese and other spoken varieties are read as far as they share words with the written language.",
        "Evidence is one stretch where the model looked, at most 40 characters as it reads them, not a proof.",
        "Escalation misses some: it sorts an inbox and must not be the only reader of reports of injuries.",
        "Confidence is calibrated on texts like the development texts; another source shifts it.",
        "Text that is not Chinese is not scored; beyond 20,000 characters the rest is not read.",
    ]
    biases = [
        "Traditional Chinese is converted to Simplified before it is read.",
        "Labels follow one set of guidelines. Where a house counts differently, it needs labels of its own.",
        "It does not know who writes. Do not use it to rate single employees or to treat customers differently.",
    ]
    if cinema:
        limits = [
            "One trade: cinemas. Restaurants and hotels are read at your own risk.",
            "Real development comments have served to choose between models and to fit thresholds; figures on them are "
            "cross-fitted. The written texts are invented and tidier than life. Label 300 of your own before you rely "
            "on a number.",
            *limits,
        ]
        biases = [
            "Those who post on film and ticket sites are no sample of the guests, and write about the film more than "
            "the house.",
            "What public comments hardly mention (parking, safety, refunds, complaint handling) was learned mostly "
            "from invented texts, and with it their authors' idea of an angry guest.",
            *biases,
        ]
    rare = _rare(results, taxonomy)
    if rare:
        limits.append(
            f"Fewer than {FEW_MENTIONS} mentions in every measured set, so hardly measured: {', '.join(rare)}."
        )
    return "\n".join(
        ["## Limits", "", *(f"- {line}" for line in limits), "", "## Biases", "", *(f"- {line}" for line in biases)]
    )


def _rare(results: Results, taxonomy: Taxonomy) -> list[str]:
    models = [model for result in results for model in result["models"] if model["kind"] == "checkpoint"]
    if not models:
        return []
    reports = [report.get("dimensions", {}) for report in models[0]["sets"].values()]
    return [
        key for key in taxonomy.keys if all(report.get(key, {}).get("support", 0) < FEW_MENTIONS for report in reports)
    ]


def _citation(config: Mapping[str, Any], told: Mapping[str, Any]) -> str:
    encoder = f"The encoder is derived from `{BASE_MODEL}` (MIT), the tokeniser from XLM-RoBERTa's (MIT); see NOTICE."
    if _base(told) != BASE_MODEL:
        encoder = f"The encoder is derived from `{_base(told)}`, whose licence holds for it."
    lines = [
        "## Licence and citation",
        "",
        f"Apache-2.0. {encoder}",
        "",
        "```bibtex",
        "@software{cinesent,",
        "  title = {cinesent: service dimensions, sentiment and complaints in Chinese cinema reviews},",
        "  author = {{The cinesent authors}},",
        "  year = {2026},",
        f"  note = {{Checkpoint {config['name']}}}",
        "}",
        "```",
    ]
    if _base(told) == BASE_MODEL:
        lines += ["", "The encoder: Wang et al. 2024, *Multilingual E5 Text Embeddings* (arXiv 2402.05672)."]
    return "\n".join(lines)
