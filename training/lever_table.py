"""The table of `benchmarks/levers.py`: results in, Markdown out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.quality_tables import MISSING, Language, row, table

VERDICTS: Mapping[str, tuple[str, str]] = {
    "gains": ("faster", "更快"),
    "even": ("no difference", "无差别"),
    "loses": ("slower", "更慢"),
    "mixed": ("faster on one kind, slower on the other", "一类更快，一类更慢"),
}
SCOPES: Mapping[str, tuple[str, str]] = {
    "scoring": ("", ""),
    "tokenising": (" (tokenising alone)", "（仅分词）"),
    "job": (" (a whole CSV)", "（整个 CSV）"),
}


def levers_block(found: Mapping[str, Any], lang: Language = "en") -> str:
    """A row for each lever: ratios on short and on long texts, whether it is used, why; then what else was found."""
    columns = _say(
        lang, "short comments, ×|long texts, ×|found|used|why or why not", "短评，倍|长文，倍|结果|采用|理由"
    ).split("|")
    lines = table(_say(lang, "lever", "手段"), columns)
    for entry in found["levers"]:
        title = f"{entry['zh']}{SCOPES[entry['scope']][1]}" if lang == "zh" else _title(entry)
        used = _say(lang, "yes", "是") if entry["used"] else _say(lang, "no", "否")
        reason = entry["reason_zh" if lang == "zh" else "reason"]
        if entry.get("skipped"):
            lines.append(row(title, [MISSING, MISSING, _say(lang, "not measured", "未测"), used, reason]))
            continue
        told = _say(lang, *VERDICTS[entry["verdict"]])
        if {"gains": not entry["used"], "loses": entry["used"]}.get(entry["verdict"], False):
            told = f"**{told}**"
        if entry["records"] and not entry["records"]["equal"]:
            told += _say(lang, ", other records", "，结果不同")
        lines.append(row(title, [_ratio(entry["short"]), _ratio(entry["long"]), told, used, reason]))
    return "\n".join([*lines, "", _note(found, lang)])


def _title(entry: Mapping[str, Any]) -> str:
    return f"{entry['title']}{SCOPES[entry['scope']][0]}"


def _ratio(part: Mapping[str, float]) -> str:
    return f"{part['ratio']:.2f} [{part['low']:.2f}–{part['high']:.2f}]"


def _note(found: Mapping[str, Any], lang: Language) -> str:
    entries = {entry["name"]: entry for entry in found["levers"]}
    said = [
        _say(
            lang,
            f"The rate with the lever over that without it, medians of {found['rounds']} interleaved rounds, in "
            f"brackets the least and the greatest round; a ratio within {found['noise']:.0%} of 1 is no difference.",
            f"采用该手段与不采用的速率之比，{found['rounds']} 轮交错运行取中位数，方括号内为最小与最大的一轮；"
            f"与 1 相差不足 {found['noise']:.0%} 视为无差别。",
        )
    ]
    packing, vocabulary, attention = (entries.get(name, {}) for name in ("packing", "vocabulary", "attention"))
    if "bound" in packing:
        share = packing["short"]["padding"]
        said.append(
            _say(
                lang,
                f"Packing leaves {share['pulled']:.1%} of padding on short comments, the packaged batches "
                f"{share['released']:.1%}: without any they were at most {packing['bound']['short']:.2f} × as fast.",
                f"短评上，拼行后填充占 {share['pulled']:.1%}，随包批次占 {share['released']:.1%}："
                f"全部省去也至多快到 {packing['bound']['short']:.2f} 倍。",
            )
        )
    if "kept" in vocabulary:
        whole, cut = (vocabulary[name]["memory_mb"] for name in ("whole", "cut"))
        said.append(
            _say(
                lang,
                f"The table has {vocabulary['pieces']:,} pieces ({vocabulary['whole']['file_mb']:.1f} MB in the file, "
                f"{whole:.1f} MB in memory), these texts use {vocabulary['kept']:,} ({cut:.1f} MB in memory).",
                f"词表有 {vocabulary['pieces']:,} 个词元（文件中 {vocabulary['whole']['file_mb']:.1f} MB，内存中 "
                f"{whole:.1f} MB），本次文本用到 {vocabulary['kept']:,} 个（内存中 {cut:.1f} MB）。",
            )
        )
    finds = attention.get("found_by_the_optimiser", {})
    if finds and not any(count for name, count in finds.items() if name.endswith("Attention")):
        said.append(
            _say(
                lang,
                "ONNX Runtime's own optimiser for transformers finds no attention in the exported graph; its operator "
                "was put in by `benchmarks/graphs.py`.",
                "ONNX Runtime 自带的 transformers 优化器在导出的计算图中找不到注意力；"
                "该算子由 `benchmarks/graphs.py` 置入。",
            )
        )
    return _say(lang, " ", "").join(said)


def _say(lang: Language, en: str, zh: str) -> str:
    return zh if lang == "zh" else en
