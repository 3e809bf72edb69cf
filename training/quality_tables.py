"""Tables of measured quality, for the README and the card of a checkpoint: results in, Markdown out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from sentiment.taxonomy import Taxonomy
from training.rates import has_width

Language = Literal["en", "zh"]
Results = Sequence[Mapping[str, Any]]  # of benchmarks/quality.py first, then of training/baselines.py

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
MEBIBYTE = 2**20 / 1e6  # in MB, which are 10⁶ bytes in every table; measured peaks (`peak_mb`) are in MiB


class TablesError(ValueError):
    """Results or a document that do not fit; the message says what was expected, what was found, what to do."""


def insert(text: str, name: str, body: str) -> str:
    """`text` with `body` between `<!-- name:begin -->` and `<!-- name:end -->`.

    Raises:
        TablesError: the markers are not there, once each and in order.
    """
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise TablesError(f"expected {begin} and {end} once each and in this order, found them otherwise")
    head, _, rest = text.partition(begin)
    tail = rest.partition(end)[2]
    return f"{head}{begin}\n{body.strip()}\n{end}{tail}"


def quality_block(
    results: Results, lang: Language = "en", *, detailed: bool = False, texts: Mapping[str, int] | None = None
) -> str:
    """One table a set: a row for each model, how many texts it was fitted to, each figure with its interval.

    Args:
        detailed: add what is measured of the checkpoint alone: calibration, errors among unsure texts, evidence.
        texts: `training.texts` of the checkpoint's config.json: how many were fitted, held out and weakly labelled.

    Raises:
        TablesError: two results were measured on different texts of one name.
    """
    if not results:
        return _say(
            lang, "Not measured yet: `python -m benchmarks.quality`.", "尚未评测：`python -m benchmarks.quality`。"
        )
    rows = [(model, _fitted(model, result, texts or {})) for result in results for model in result["models"]]
    lines: list[str] = []
    for name, facts in sets_of(results).items():
        rules = next(model["sets"][name]["rules"] for model, _ in rows if name in model["sets"])
        lines += [
            f"**{_set_title(name, facts, lang)}** {_say(lang, f'({RULES[rules][0]})', f'（{RULES[rules][1]}）')}",
            "",
        ]
        headings = [_say(lang, "texts fitted to", "训练文本数"), *(_say(lang, en, zh) for _, en, zh in COLUMNS)]
        lines += table(_say(lang, "model", "模型"), headings)
        for model, fitted in rows:
            report = model["sets"].get(name, {})
            cells = [MISSING if fitted is None else f"{fitted:,}"]
            cells += [percent(find(report, path)) for path, _, _ in COLUMNS]
            title = model.get("zh", model["title"]) if lang == "zh" else model["title"]
            lines.append(row(f"**{title}**" if model["kind"] == "checkpoint" else title, cells))
        lines.append("")
    lines.append(
        _say(
            lang,
            "In percent; in brackets 95% intervals (bootstrap over texts), a dash where every resample gave the same. "
            "Service: all dimensions but the film itself, mentions counted together.",
            "单位为百分比；方括号内为 95% 区间（对文本自助抽样），各次抽样结果全同则记“–”。"
            "服务维度：影片内容以外的各维度，按提及合并计算。",
        )
    )
    unequal = _unequal(results, texts or {}, lang)
    if unequal:
        lines += ["", unequal]
    if detailed:
        lines += ["", *_details(results, lang)]
    return "\n".join(lines)


def dimension_block(results: Results, taxonomy: Taxonomy, lang: Language = "en") -> str:
    """The checkpoint's figures for each dimension: gold mentions, mention F1, joint F1 on each set."""
    models = checkpoints(results)
    if not models:
        return quality_block([], lang)
    sets = {name: facts for name, facts in sets_of(results).items() if name in models[0]["sets"]}
    headings = _say(lang, "mentions|mention F1|joint F1", "提及数|提及 F1|联合 F1").split("|")
    columns = [
        f"{set_label(name, facts, lang)}{_say(lang, ', ', '：')}{heading}"
        for name, facts in sets.items()
        for heading in headings
    ]
    lines = table(_say(lang, "dimension", "维度"), columns)
    for dimension in taxonomy.dimensions:
        cells = []
        for name in sets:
            entry = models[0]["sets"][name].get("dimensions", {}).get(dimension.key)
            cells += [MISSING] * 3 if entry is None else [
                str(entry["support"]), *(percent(find(entry, (kind, "f1"))) for kind in ("mention", "joint"))
            ]  # fmt: skip
        lines.append(row(f"{dimension.zh} `{dimension.key}`", cells))
    return "\n".join(lines)


def tutorial_block(found: Mapping[str, Any] | None, taxonomy: Taxonomy, lang: Language = "en") -> str:
    """Figures of the tutorial's checkpoint (what its `cinesent evaluate --json` wrote)."""
    if found is None:
        return _say(lang, "Not measured yet.", "尚未评测。")
    columns = _say(lang, "mentions|mention F1|joint F1", "提及数|提及 F1|联合 F1").split("|")
    lines = table(_say(lang, f"{found['texts']} development texts", f"{found['texts']} 条开发集文本"), columns)
    named = [(f"{d.zh} `{d.key}`", found["dimensions"].get(d.key)) for d in taxonomy.dimensions]
    for title, entry in [*named, (_say(lang, "**all together**", "**合计**"), found["all"])]:
        if entry is not None:
            cells = [percent(find(entry, (kind, "f1"))) for kind in ("mention", "joint")]
            lines.append(row(title, [str(entry["support"]), *cells]))
    accuracy = percent(find(found, ("overall", "accuracy")))
    note = _say(
        lang,
        f"Overall accuracy {accuracy}. In percent; in brackets 95% intervals, which are wide: so few texts say whether "
        "something works, not how well. Thresholds are cross-fitted.",
        f"整体情感准确率 {accuracy}。单位为百分比；方括号内为 95% 区间，都很宽："
        "这么少的文本只能说明行不行得通，说明不了有多好。阈值由交叉拟合得出。",
    )
    return "\n".join([*lines, "", note])


def memory_block(found: Mapping[str, Any] | None, lang: Language = "en") -> str:
    """Peak resident memory in MB by format and rows (results of `benchmarks.memory`)."""
    if found is None:
        return _say(
            lang, "Not measured yet: `python -m benchmarks.memory`.", "尚未测量：`python -m benchmarks.memory`。"
        )
    kinds: dict[str, dict[int, float]] = {}
    for name, entry in found.items():
        if isinstance(entry, Mapping) and "peak_mb" in entry:
            kind, rows = name.rsplit(" ", 1)
            kinds.setdefault(kind, {})[int(rows)] = entry["peak_mb"] * MEBIBYTE
    lines = table(
        _say(lang, "peak resident memory", "常驻内存峰值"),
        [_say(lang, "rows", "行数"), "MB", _say(lang, "rows", "行数"), "MB"],
    )
    for kind, peaks in kinds.items():
        action, _, form = kind.partition(" ")
        title = _say(lang, f"{action} {form.upper()}", f"{'读取' if action == 'read' else '打分'} {form.upper()}")
        cells = [text for rows, peak in sorted(peaks.items()) for text in (f"{rows:,}", f"{peak:,.0f}")]
        lines.append(row(title, cells))
    said = []
    if "runtime" in found and any(kind.startswith("score ") for kind in kinds):
        said.append(_say(lang, f"Scored on {found['runtime']}.", f"打分运行于 {found['runtime']}。"))
    if loaded := found.get("loaded"):
        sizes = [(entry["runtime"], f"{entry['resident_mb'] * MEBIBYTE:,.0f} MB") for entry in loaded]
        en = "; ".join(f"{size} on {runtime}" for runtime, size in sizes)
        zh = "；".join(f"{runtime} 上 {size}" for runtime, size in sizes)
        en, zh = (
            f"A process that has loaded the model and read no text yet: {en}.",
            f"进程加载模型后、尚未读文本时：{zh}。",
        )
        said.append(_say(lang, en, zh))
    return "\n".join([*lines, "", _say(lang, " ", "").join(said)] if said else lines)


def percent(rate: Mapping[str, float] | None) -> str:
    """`77.1 [73.2–80.5]`, or a dash; `100.0 [–]` where all resamples gave the same, which is no interval."""
    if rate is None:
        return MISSING
    value, low, high = (f"{100 * rate[name]:.1f}" for name in ("value", "low", "high"))
    return f"{value} [{low}–{high}]" if has_width(rate) else f"{value} [{MISSING}]"


def _say(lang: Language, en: str, zh: str) -> str:
    return zh if lang == "zh" else en


def busy_note(circumstances: Sequence[Mapping[str, Any]], lang: Language) -> list[str]:
    """A sentence where others were at work beside a measurement (`benchmarks.machine.conditions`), and one where it is
    not known of a part of it whether they were; else none."""
    busy = [entry["other_load"] for entry in circumstances if entry.get("busy")]
    said = []
    if busy:
        en = f"**The machine was not idle: other processes were busy on {max(busy):.2f} cores.**"
        said.append(_say(lang, en, f"**测量时机器并不空闲：其他进程占用 {max(busy):.2f} 核。**"))
    if any(entry.get("other_load", 0) is None for entry in circumstances):
        en = "For a part of the measurement it is not known whether other processes were busy."
        said.append(_say(lang, en, "部分测量期间其他进程是否繁忙未知。"))
    return said


def row(first: str, cells: Sequence[str]) -> str:
    return f"| {first} | {' | '.join(cells)} |"


def table(first: str, columns: Sequence[str]) -> list[str]:
    return [row(first, columns), row("---", ["---:"] * len(columns))]


def find(report: Mapping[str, Any], path: Sequence[str]) -> Any:
    """What a report holds under nested names, or None."""
    value: Any = report
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def checkpoints(results: Results) -> list[Mapping[str, Any]]:
    """The checkpoint in float32, where it is among the models; there is one at most."""
    return [model for result in results for model in result["models"] if model["kind"] == "checkpoint"]


def sets_of(results: Results) -> dict[str, Mapping[str, Any]]:
    """The sets of all results by name, in order; checks that a name means the same texts everywhere."""
    sets: dict[str, Mapping[str, Any]] = {}
    for result in results:
        for name, facts in result["sets"].items():
            known = sets.setdefault(name, facts)
            if known["sha256"] != facts["sha256"]:
                raise TablesError(
                    f"expected all results on the same {name} texts, found {known['file']} ({known['sha256'][:8]}) and "
                    f"{facts['file']} ({facts['sha256'][:8]}); measure again"
                )
    return sets


def _fitted(model: Mapping[str, Any], result: Mapping[str, Any], texts: Mapping[str, int]) -> int | None:
    """How many texts a model was fitted to: those of its own settings, if it took a part, else of its results."""
    if model["kind"].startswith("checkpoint"):
        return texts.get("fitted")
    found = find(model, ("settings", "texts")) or find(result, ("training", "texts"))
    return None if found is None else int(found)


def _unequal(results: Results, texts: Mapping[str, int], lang: Language) -> str | None:
    """A warning where baselines and checkpoint were not given the same number of labelled texts.

    A baseline is fitted to all that it is given; a checkpoint holds some out, and weak labels are its own.
    """
    if "fitted" not in texts:
        return None
    ours = texts["fitted"] - texts.get("weak", 0) + texts.get("held_out", 0)
    for result in results:
        theirs = find(result, ("training", "texts"))
        if theirs is not None and theirs != ours:
            return _say(
                lang,
                f"**Not on equal terms**: the baselines were given {theirs:,} training texts, the checkpoint {ours:,} "
                f"({texts.get('held_out', 0):,} of them held out). Their figures are to be measured again.",
                f"**条件不等**：基线用了 {theirs:,} 条训练文本，本模型用了 {ours:,} 条"
                f"（其中留出 {texts.get('held_out', 0):,} 条）。基线尚待重新评测。",
            )
    return None


def _set_name(name: str, lang: Language) -> str:
    known = SETS.get(name.removesuffix("-test"))
    return _say(lang, *known) if known else name


def set_label(name: str, facts: Mapping[str, Any], lang: Language) -> str:
    """`real comments`, `written texts (test)`."""
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
    models = checkpoints(results)
    if not models:
        return []
    heads = ("dimensions", "overall", "intent", "escalation")
    rows: dict[str, list[str]] = {}
    sets = {name: facts for name, facts in sets_of(results).items() if name in models[0]["sets"]}
    for name in sets:
        report = models[0]["sets"][name]
        for head in heads:
            entry = report["calibration"].get(head)
            cell = f"{100 * entry['ece']:.1f}; {100 * entry['plain']:.1f} ({entry['labels']})" if entry else MISSING
            title = _say(
                lang,
                f"calibration error of {head}: debiased; plain (labels)",
                f"{head} 校准误差：去偏；未去偏（标签数）",
            )
            rows.setdefault(title, []).append(cell)
        caught = percent(find(report, ("risk_coverage", "caught")))
        title = _say(lang, "overall errors among the least certain 15%", "整体情感错误落在最不确定的 15% 中的比例")
        rows.setdefault(title, []).append(caught)
        title = _say(
            lang,
            "macro joint F1, dimensions with 30 mentions or more (how many)",
            "30 次提及以上各维度联合 F1 的平均（维度数）",
        )
        macro = find(report, ("service", "macro_joint"))
        over = "" if macro is None else _say(lang, " ({})", "（{}）").format(len(macro["dimensions"]))
        rows.setdefault(title, []).append(percent(macro) + over)
        title = _say(lang, "evidence, character F1 with the labelled span", "依据与标注片段的字符 F1")
        rows.setdefault(title, []).append(percent(find(report, ("evidence", "f1"))))
    lines = table(
        _say(lang, "of this checkpoint", "本模型"), [set_label(name, facts, lang) for name, facts in sets.items()]
    )
    lines += [row(title, cells) for title, cells in rows.items()]
    note = _say(
        lang,
        "Calibration error (ECE): the mean distance of confidence and share of right labels over ten bins of equal "
        "size (Roelofs et al. 2022). Debiased: less what chance adds with so few labels, by the normal approximation "
        "of the library of Kumar et al. 2019; 0.0 says that chance alone explains the plain error, not that there is "
        "none.",
        "校准误差（ECE）：十个等量分箱（Roelofs 等 2022）上置信度与正确率之差的平均。"
        "去偏：减去标签少时偶然造成的部分，用 Kumar 等 2019 的程序库中的正态近似；"
        "0.0 表示未去偏的误差可由偶然解释，并非没有误差。",
    )
    return [*lines, "", note]
