"""The trade-off of `benchmarks/tradeoff.py` as a table with its picture: results in, Markdown out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.ablation_table import change
from training.quality_tables import SETS, Language, busy_note, find, percent, row, table

PICTURES: Mapping[Language, str] = {"en": "tradeoff.svg", "zh": "tradeoff.zh.svg"}  # in docs/
COMMAND = "python -m training.reproduce --annotations DIR --corpora DIR --members {} -o runs/large"
FIGURES: Mapping[str, tuple[str, str]] = {
    "joint": ("with sentiment", "提及且情感正确"),
    "overall": ("overall", "整体情感"),
}
NAMES: Mapping[str, tuple[str, str]] = {"packaged": ("packaged", "随包"), "large": ("large", "大模型")}


def tradeoff_block(found: Mapping[str, Any], lang: Language = "en") -> str:
    """The picture with its caption, a row for each checkpoint, and how the larger one is made."""
    caption = _say(
        lang,
        "Figures against rate: to the right is faster, upwards is better; bars are 95% intervals.",
        "质量与速率：越靠右越快，越靠上越好；竖线为 95% 区间。",
    )
    sets = list(found["sets"])
    columns = _say(lang, "layers|MB|short comments, texts/s|long texts, texts/s", "层数|MB|短评，条/秒|长文，条/秒")
    heads = columns.split("|")
    for name in sets:
        title = _say(lang, *SETS.get(name, (name, name)))
        heads += [f"{title}{_say(lang, ', ', '：')}{_say(lang, *figure)}" for figure in FIGURES.values()]
    lines = table(_say(lang, "checkpoint", "模型"), heads)
    for entry in found["checkpoints"]:
        cells = [depth(entry), f"{entry['mb']:.0f}"]
        cells += [f"{entry[part]['texts_per_second']:,.0f}" for part in ("short", "long")]
        for name in sets:
            for figure in FIGURES:
                gained = find(entry, ("sets", name, "differences", figure))
                cells.append(change(gained) if gained else percent(find(entry, ("sets", name, "figures", figure))))
        lines.append(row(_say(lang, *NAMES.get(entry["name"], (entry["name"],) * 2)), cells))
    members = max(int(entry.get("members", 1)) for entry in found["checkpoints"])
    command, made = COMMAND.format(members), "export" if members == 1 else f"ensemble-{members}"
    folder = f"runs/large/{made}"
    note = _say(
        lang,
        "First checkpoint: F1 of service mentions with their sentiment and accuracy of the overall sentiment, in "
        "percent, 95% intervals, development texts, thresholds cross-fitted; others: differences to it in points, "
        f"paired; all on {found['runtime']}. Rates are of one run, and compare within this table only. The "
        f"larger one is not in the package: `{command}` makes it, `--model "
        f"{folder}` takes it.",
        "第一行为服务维度提及且情感正确的 F1 与整体情感准确率（百分比，95% 区间，开发集，阈值交叉拟合）；"
        f"其余为与之相差的百分点（配对）；均运行于 {found['runtime']}。速率出自同一次运行，只宜在本表内比较。"
        f"大模型不在包内：`{command}` 制作，`--model {folder}` 选用。",
    )
    note = _say(lang, " ", "").join([note, *busy_note(found.get("circumstances", []), lang)])
    picture = f"![{caption}](docs/{PICTURES[lang]})"
    return "\n".join([picture, "", f"*{caption}*", "", *lines, "", note])


def depth(entry: Mapping[str, Any]) -> str:
    """Layers, of each member where there are several."""
    members = entry.get("members", 1)
    return f"{members} × {entry['layers']}" if members > 1 else str(entry["layers"])


def _say(lang: Language, en: str, zh: str) -> str:
    return zh if lang == "zh" else en
