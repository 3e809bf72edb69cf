"""The model card of a checkpoint and the tables of measured quality: numbers in, Markdown out.

Only `write_card` touches a file. The tables stand between markers, so that `benchmarks/tables.py` can renew them
from results without writing the card again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from sentiment.taxonomy import Taxonomy, load_taxonomy, taxonomy_from_dict

Language = Literal["en", "zh"]
Results = Sequence[Mapping[str, Any]]  # of benchmarks/quality.py first, then of training/baselines.py

BASE_MODEL = "intfloat/multilingual-e5-small"
TAGS = (
    *("sentiment-analysis", "aspect-based-sentiment-analysis", "chinese", "customer-reviews", "complaints"),
    *("onnx", "int8"),
)
# The mean F1 of a dimension with fewer mentions says little.
FEW_MENTIONS = 30

# The five figures of the comparison: where each is in a report, and its heading.
COLUMNS: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (("service", "mention", "f1"), "service mentions, F1", "服务维度提及 F1"),
    (("service", "joint", "f1"), "with sentiment, F1", "提及且情感正确 F1"),
    (("overall", "accuracy"), "overall, accuracy", "整体情感准确率"),
    (("intent", "accuracy"), "intent, accuracy", "诉求类型准确率"),
    (("escalation", "f1"), "escalation, F1", "升级处理 F1"),
)
SETS = {"real": ("real comments", "真实评论"), "written": ("written texts", "自撰文本")}
SPLITS = {"development": ("development", "开发集"), "test": ("test", "测试集")}
RULES = {
    "cross-fitted": (
        "thresholds fitted on the other folds of the development texts",
        "阈值在开发集其余各折上拟合",
    ),
    "packaged": ("thresholds fitted on the development texts", "阈值在开发集上拟合"),
    "development": ("thresholds fitted on the development texts", "阈值在开发集上拟合"),
    "training": ("thresholds fitted on the training texts", "阈值在训练集上拟合"),
}
MISSING = "–"


class CardError(ValueError):
    """Results or a document that do not fit; the message says what was expected, what was found, what to do."""


def insert(text: str, name: str, body: str) -> str:
    """`text` with `body` between `<!-- name:begin -->` and `<!-- name:end -->`.

    Raises:
        CardError: the markers are not there, once each and in order.
    """
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise CardError(f"expected {begin} and {end} once each and in this order, found them otherwise")
    head, _, rest = text.partition(begin)
    tail = rest.partition(end)[2]
    return f"{head}{begin}\n{body.strip()}\n{end}{tail}"


def quality_block(results: Results, lang: Language = "en", *, detailed: bool = False) -> str:
    """One table a set: a row for each model, a column for each figure with its interval.

    Args:
        detailed: add what is measured of the checkpoint alone: calibration, errors among unsure texts, evidence.

    Raises:
        CardError: two results were measured on different texts of one name.
    """
    if not results:
        return _say(
            lang, "Not measured yet: `python -m benchmarks.quality`.", "尚未评测：`python -m benchmarks.quality`。"
        )
    rows = [model for result in results for model in result["models"]]
    lines: list[str] = []
    for name, facts in _sets(results).items():
        rules = next(model["sets"][name]["rules"] for model in rows if name in model["sets"])
        lines += [
            f"**{_set_title(name, facts, lang)}** {_say(lang, f'({RULES[rules][0]})', f'（{RULES[rules][1]}）')}",
            "",
        ]
        lines += _table(_say(lang, "model", "模型"), [_say(lang, en, zh) for _, en, zh in COLUMNS])
        for model in rows:
            report = model["sets"].get(name, {})
            cells = [percent(_find(report, path)) for path, _, _ in COLUMNS]
            title = model.get("zh", model["title"]) if lang == "zh" else model["title"]
            lines.append(_row(f"**{title}**" if model["kind"] == "checkpoint" else title, cells))
        lines.append("")
    lines.append(
        _say(
            lang,
            "In percent; in brackets 95% intervals (bootstrap over texts). Service: all dimensions but the film "
            "itself, mentions counted together.",
            "单位为百分比；方括号内为 95% 区间（对文本自助抽样）。服务维度：影片内容以外的各维度，按提及合并计算。",
        )
    )
    if detailed:
        lines += ["", *_details(results, lang)]
    return "\n".join(lines)


def dimension_block(results: Results, taxonomy: Taxonomy, lang: Language = "en") -> str:
    """The checkpoint's figures for each dimension: gold mentions, mention F1, joint F1 on each set."""
    models = [model for result in results for model in result["models"] if model["kind"] == "checkpoint"]
    if not models:
        return quality_block([], lang)
    sets = {name: facts for name, facts in _sets(results).items() if name in models[0]["sets"]}
    headings = _say(lang, "mentions|mention F1|joint F1", "提及数|提及 F1|联合 F1").split("|")
    columns = [
        f"{_set_label(name, facts, lang)}{_say(lang, ', ', '：')}{heading}"
        for name, facts in sets.items()
        for heading in headings
    ]
    lines = _table(_say(lang, "dimension", "维度"), columns)
    for dimension in taxonomy.dimensions:
        cells = []
        for name in sets:
            entry = models[0]["sets"][name].get("dimensions", {}).get(dimension.key)
            cells += [MISSING] * 3 if entry is None else [
                str(entry["support"]), *(percent(_find(entry, (kind, "f1"))) for kind in ("mention", "joint"))
            ]  # fmt: skip
        lines.append(_row(f"{dimension.zh} `{dimension.key}`", cells))
    return "\n".join(lines)


def percent(rate: Mapping[str, float] | None) -> str:
    """`77.1 [73.2–80.5]`, or a dash."""
    if rate is None:
        return MISSING
    value, low, high = (f"{100 * rate[name]:.1f}" for name in ("value", "low", "high"))
    return f"{value} [{low}–{high}]"


def _say(lang: Language, en: str, zh: str) -> str:
    return zh if lang == "zh" else en


def _row(first: str, cells: Sequence[str]) -> str:
    return f"| {first} | {' | '.join(cells)} |"


def _table(first: str, columns: Sequence[str]) -> list[str]:
    return [_row(first, columns), _row("---", ["---:"] * len(columns))]


def _find(report: Mapping[str, Any], path: Sequence[str]) -> Any:
    value: Any = report
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _sets(results: Results) -> dict[str, Mapping[str, Any]]:
    """The sets of all results by name, in order; checks that a name means the same texts everywhere."""
    sets: dict[str, Mapping[str, Any]] = {}
    for result in results:
        for name, facts in result["sets"].items():
            known = sets.setdefault(name, facts)
            if known["sha256"] != facts["sha256"]:
                raise CardError(
                    f"expected all results on the same {name} texts, found {known['file']} ({known['sha256'][:8]}) and "
                    f"{facts['file']} ({facts['sha256'][:8]}); measure again"
                )
    return sets


def _set_name(name: str, lang: Language) -> str:
    known = SETS.get(name.removesuffix("-test"))
    return _say(lang, *known) if known else name


def _set_label(name: str, facts: Mapping[str, Any], lang: Language) -> str:
    return _set_name(name, lang) + (_say(lang, " (test)", "（测试集）") if facts["split"] == "test" else "")


def _set_title(name: str, facts: Mapping[str, Any], lang: Language) -> str:
    split = _say(lang, *SPLITS[facts["split"]])
    title = _set_name(name, lang)
    return _say(
        lang,
        f"{title[:1].upper()}{title[1:]}, {split}, {facts['texts']} texts",
        f"{title}，{split}，{facts['texts']} 条",
    )


def _details(results: Results, lang: Language) -> list[str]:
    """Calibration, coverage and evidence of the checkpoint."""
    models = [model for result in results for model in result["models"] if model["kind"] == "checkpoint"]
    if not models:
        return []
    heads = ("dimensions", "overall", "intent", "escalation")
    rows: dict[str, list[str]] = {}
    sets = {name: facts for name, facts in _sets(results).items() if name in models[0]["sets"]}
    for name in sets:
        report = models[0]["sets"][name]
        for head in heads:
            entry = report["calibration"].get(head)
            cell = f"{100 * entry['ece']:.1f} ({entry['labels']})" if entry else MISSING
            rows.setdefault(
                _say(lang, f"calibration error of {head} (labels)", f"{head} 校准误差（标签数）"), []
            ).append(cell)
        caught = percent(_find(report, ("risk_coverage", "caught")))
        title = _say(lang, "overall errors among the least certain 15%", "整体情感错误落在最不确定的 15% 中的比例")
        rows.setdefault(title, []).append(caught)
        title = _say(lang, "macro joint F1, dimensions with 30 mentions or more", "30 次提及以上各维度联合 F1 的平均")
        rows.setdefault(title, []).append(percent(_find(report, ("service", "macro_joint"))))
        title = _say(lang, "evidence, character F1 with the labelled span", "依据与标注片段的字符 F1")
        rows.setdefault(title, []).append(percent(_find(report, ("evidence", "f1"))))
    lines = _table(
        _say(lang, "of this checkpoint", "本模型"), [_set_label(name, facts, lang) for name, facts in sets.items()]
    )
    lines += [_row(title, cells) for title, cells in rows.items()]
    note = _say(
        lang,
        "Calibration error: debiased ECE over ten bins of equal size (Kumar et al. 2019; Roelofs et al. 2022).",
        "校准误差：十个等量分箱的去偏 ECE（Kumar 等 2019；Roelofs 等 2022）。",
    )
    return [*lines, "", note]


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
        _results(results, taxonomy),
        _limits(results, taxonomy, cinema),
        _citation(config, told),
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


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
decision rules, hashes). It runs offline on a CPU by ONNX Runtime; PyTorch is not needed. Meant for sorting and counting
feedback; not meant for judging single employees or customers.
"""


def _label_space(taxonomy: Taxonomy) -> str:
    lines = ["## Label space", "", *_table("key", ["中文", "English", "group"])]
    lines[-1] = _row("---", ["---"] * 3)
    lines += [_row(f"`{d.key}`", [d.zh, d.en, d.group or MISSING]) for d in taxonomy.dimensions]
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
    texts, sources, recipe = (told.get(name) or {} for name in ("texts", "sources", "recipe"))
    if texts:
        names = {"fitted": "fitted", "held_out": "held out for early stopping", "weak": "of the fitted weakly labelled"}
        counts = ", ".join(f"{texts[key]:,} {name}" for key, name in names.items() if texts.get(key))
        lines.append(f"- Texts: {counts}. Near-duplicates of development texts were left out before.")
    if sources:
        ordered = sorted(sources.items(), key=lambda item: (-item[1], item[0]))
        lines.append(f"- Sources: {', '.join(f'{name} {count:,}' for name, count in ordered)}.")
    if recipe:
        settings = ", ".join(
            f"{name.replace('_', ' ')} {value:g}" for name, value in recipe.items() if _is_number(value)
        )
        lines.append(f"- Recipe: AdamW, linear decay; {settings}.")
    start = told.get("start") or {}
    if start.get("warm_start"):
        lines.append(f"- Started from the checkpoint `{start['warm_start']}`.")
    lines += [f"- Stage {number}: {stage}." for number, stage in enumerate(start.get("stages") or (), 1)]
    held = {name.removeprefix("eval_"): value for name, value in (told.get("held_out") or {}).items()}
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


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _decision_rules(config: Mapping[str, Any], taxonomy: Taxonomy) -> str:
    thresholds = config["thresholds"]
    shown = ", ".join(f"{key} {thresholds[key]:g}" for key in (*taxonomy.keys, "escalation") if key in thresholds)
    temperatures = ", ".join(f"{name} {value:g}" for name, value in config["temperatures"].items())
    lines = [
        "## Decision rules",
        "",
        "Kept in `config.json`, fitted on the development texts.",
        "",
        f"- A dimension is mentioned, a text escalated, from these probabilities on: {shown}.",
        f"- Temperatures by which the logits are divided (Guo et al. 2017): {temperatures or 'none'}.",
        f"- Texts are read in windows of at most {config['max_tokens']} tokens, whose answers are joined.",
    ]
    bounds = config.get("uncertain") or {}
    if bounds:
        values = ", ".join(f"{name} {value:g}" for name, value in bounds.items())
        lines.append(
            f"- `uncertain`: a confidence below its bound, or escalation nearer to its threshold than that: {values}."
        )
    return "\n".join(lines)


def _results(results: Results, taxonomy: Taxonomy) -> str:
    return f"""
## Results

<!-- quality:begin -->
{quality_block(results, detailed=True)}
<!-- quality:end -->

<!-- dimensions:begin -->
{dimension_block(results, taxonomy)}
<!-- dimensions:end -->
"""


def _limits(results: Results, taxonomy: Taxonomy, cinema: bool) -> str:
    limits = [
        "Irony, comparisons with others and what is only implied are often missed.",
        "Cantonese and other spoken varieties are read as far as they share words with the written language.",
        "Evidence is one stretch of at most 40 characters where the model looked, not a proof.",
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
