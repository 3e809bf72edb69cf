"""The table of `benchmarks/comparison.py`: results in, Markdown out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.ablation_table import change
from training.quality_tables import MISSING, SETS, Language, find, percent, row, table

NOTES: Mapping[Language, tuple[str, ...]] = {
    "en": (
        "Own sets: accuracy of the overall sentiment (three classes), and F1 of service mentions with sentiment. "
        "Public sets: accuracy and, after the semicolon, macro-F1 on the held-out rows (positive or negative). In "
        "percent; in brackets 95% intervals (bootstrap over texts); `n`: to how many texts a program was "
        "fitted (ours: less the tenth held out of them; mixed in: with texts of ours). A text without an "
        "answer counts as an error.",
        "The packaged checkpoint learnt from some *other* rows of the public sets ({learnt}), never from the held-out "
        "ones: where it did, it is not wholly zero-shot. SetFit and our fine-tuned rows start from its encoder.",
        "SnowNLP and cnsenti give one number a text; it is cut where a sample of other texts has the fewest errors.",
    ),
    "zh": (
        "自有数据：整体情感准确率（三分类），以及服务维度“提及且情感正确”的 F1。"
        "公开数据：留出行上的准确率，分号后为宏平均 F1（正负两类）。"
        "单位为百分比；方括号内为 95% 区间（对文本自助抽样）；"
        "`n` 为拟合所用的文本数（本项目的两行：已减去留出的十分之一；混入自有数据者连同自有文本）。"
        "没有回答的文本计为错误。",
        "随包模型学过公开数据中其余行的一部分（{learnt}），从未见过留出行；学过之处并非完全零样本。"
        "SetFit 与微调的模型都从它的编码器开始。",
        "SnowNLP 与 cnsenti 每条文本给一个数；切分点取在另一批抽样文本上错误最少处。",
    ),
}
RUNS = {"fine-tuned": ("that set alone", "仅该数据集"), "mixed": ("our texts mixed in", "混入自有数据")}


def comparison_block(found: Mapping[str, Any] | None, lang: Language = "en", *, detailed: bool = True) -> str:
    """One table: a row for each program, a column for each set; `detailed`: then what fine-tuning did to development
    figures."""
    if found is None:
        return _say(
            lang,
            "Not measured yet: `python -m benchmarks.comparison`.",
            "尚未评测：`python -m benchmarks.comparison`。",
        )
    columns = []
    for name, facts in found["sets"].items():
        title = _say(lang, *SETS.get(name.removesuffix("-test"), (name, name)))
        if facts["split"] == "test":
            title += _say(lang, " (test)", "（测试集）")
        columns += [
            _say(lang, f"{title}, overall", f"{title}：整体情感"),
            _say(lang, f"{title}, mentions with sentiment", f"{title}：提及且情感正确"),
        ]
    columns += [
        _say(lang, f"{name}, {facts['held_out']:,} rows", f"{name}，{facts['held_out']} 行")
        for name, facts in found["public"].items()
    ]
    lines = table(_say(lang, "program", "程序"), columns)
    for entry in found["contestants"]:
        cells = []
        for name in found["sets"]:
            report = entry["own"].get(name)
            cells += [MISSING] * 2 if report is None else [
                percent(find(report, ("overall", "accuracy"))), percent(report["joint"])
            ]  # fmt: skip
        for name, facts in found["public"].items():
            cells.append(_two_class(entry["public"].get(name), facts["held_out"], lang))
        title = entry["zh"] if lang == "zh" else entry["title"]
        lines.append(row(f"**{title}**" if entry["kind"] == "checkpoint" else title, cells))
    lines.append("")
    learnt = ", ".join(f"{name} {facts['learnt_from']:,}" for name, facts in found["public"].items())
    lines += [f"- {note.format(learnt=learnt)}" for note in NOTES[lang]]
    left_out = [entry["zh" if lang == "zh" else "title"] for entry in found["contestants"] if entry.get("skipped")]
    if left_out:
        lines.append(_say(lang, f"- Not measured: {', '.join(left_out)}.", f"- 未评测：{'、'.join(left_out)}。"))
    kept = kept_block(found, lang) if detailed else ""
    return "\n".join([*lines, "", kept] if kept else lines)


def kept_block(found: Mapping[str, Any], lang: Language = "en") -> str:
    """What fine-tuning on nothing but overall labels of a public set did to our development figures."""
    lines: list[str] = []
    entries = {entry["name"]: entry for entry in found["contestants"]}
    sets = [name for name, facts in found["sets"].items() if facts["split"] == "development"]
    for public in found["public"]:
        for name, titles in RUNS.items():
            development = find(entries.get(name, {}), ("public", public, "development"))
            if development is None:
                continue
            cells = [
                change(development[part]["after"]["differences"].get(figure)) or MISSING
                for part in sets
                for figure in ("mention", "joint", "overall")
            ]
            lines.append(row(f"{public}, {_say(lang, *titles)}", cells))
    if not lines:
        return ""
    figures = _say(lang, "mentions|with sentiment|overall", "提及|提及且情感正确|整体情感").split("|")
    names = [_say(lang, *SETS.get(name, (name, name))) for name in sets]
    columns = [_say(lang, f"{name}, {figure}", f"{name}：{figure}") for name in names for figure in figures]
    intro = _say(
        lang,
        "Development figures after `cinesent train --keep 0` (nothing of the start kept: made for that set alone) on "
        "texts that have an overall label alone, less those of the packaged checkpoint (points; paired 95% intervals; "
        "thresholds cross-fitted):",
        "在仅有整体情感标签的文本上 `cinesent train --keep 0`（不保留起点权重，只为该数据集而训）之后，"
        "开发集指标与随包模型之差（百分点；配对 95% 区间；阈值交叉拟合）：",
    )
    return "\n".join([intro, "", *table(_say(lang, "fitted on", "训练数据"), columns), *lines])


def _two_class(report: Mapping[str, Any] | None, held_out: int, lang: Language) -> str:
    if report is None:
        return MISSING
    cell = f"{percent(report['accuracy'])}; {100 * report['macro_f1']['value']:.1f}"
    if report.get("fitted"):
        cell += f"; n {report['fitted']:,}"
    if report["texts"] == held_out:
        return cell
    return cell + _say(lang, f" (of {report['texts']:,})", f"（{report['texts']} 行）")


def _say(lang: Language, en: str, zh: str) -> str:
    return zh if lang == "zh" else en
