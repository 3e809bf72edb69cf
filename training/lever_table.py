"""The table of `benchmarks/levers.py`: results in, Markdown out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.ablation_table import change
from training.quality_tables import MISSING, Language, busy_note, row, table

VERDICTS: Mapping[str, tuple[str, str]] = {
    "gains": ("faster", "更快"),
    "even": ("no difference", "无差别"),
    "undecided": ("not decided", "未定"),
    "loses": ("slower", "更慢"),
    "mixed": ("faster on one kind, slower on the other", "一类更快，一类更慢"),
}
SCOPES: Mapping[str, tuple[str, str]] = {
    "scoring": ("", ""),
    "job": (" (a whole CSV)", "（整个 CSV）"),
}


def levers_block(found: Mapping[str, Any], lang: Language = "en") -> str:
    """A row for each lever and each depth: ratios for short and for long texts and what was found, then whether it is
    used, and why; below what else was found. What depths are worth is there after `with_depth_quality`.
    """
    heads = (
        "short comments, ×|long texts, ×|found|used|why or why not",
        "短评，倍|长文，倍|结果|采用|理由",
    )
    lines = table(_say(lang, "lever", "手段"), _say(lang, *heads).split("|"))
    for entry in found["levers"]:
        title = f"{entry['zh']}{SCOPES[entry['scope']][1]}" if lang == "zh" else _title(entry)
        used = _say(lang, "yes", "是") if entry["used"] else _say(lang, "no", "否")
        reason = entry["reason_zh" if lang == "zh" else "reason"]
        lines.append(row(title, [*_cells(entry, lang), used, reason]))
    lines += [_depth(entry, found, lang) for entry in found["depths"]]
    return "\n".join([*lines, "", _note(found, lang)])


def _cells(entry: Mapping[str, Any], lang: Language) -> list[str]:
    """The ratios of a lever in the one precision in which it was measured, and what was found; bold where what the
    product does is the slower."""
    (measured,) = entry["runtimes"].values()
    if "skipped" in measured:
        return [MISSING, MISSING, _say(lang, "not measured", "未测")]
    told = _say(lang, *VERDICTS[measured["verdict"]])
    if {"gains": not entry["used"], "loses": entry["used"]}.get(measured["verdict"], False):
        told = f"**{told}**"
    if measured["records"] and not measured["records"]["equal"]:
        told += _say(lang, ", other records", "，结果不同")
    return [_ratio(measured["short"]), _ratio(measured["long"]), told]


def with_depth_quality(found: Mapping[str, Any], ablation: Mapping[str, Any] | None) -> dict[str, Any]:
    """The results with what `benchmarks.ablation` found of each depth, where that was run.

    Of several trainings of a depth the one of most runs stands for it, the first of equals; one by distillation stands
    beside it.
    """
    entries = []
    for entry in found["depths"]:
        same = [one for one in (ablation or {}).get("variants", ()) if one.get("layers") == entry["layers"]]
        distilled = [one for one in same if "distil" in one["name"]]
        plain = [one for one in same if one["group"] in ("depth", "both") and one not in distilled]
        chosen = {"plain": plain, "distilled": distilled}
        quality = {name: max(ones, key=lambda one: int(one["seeds"])) for name, ones in chosen.items() if ones}
        entries.append({**entry, "quality": quality})
    return {**found, "depths": entries}


def _depth(entry: Mapping[str, Any], found: Mapping[str, Any], lang: Language) -> str:
    own = next(one["layers"] for one in found["depths"] if one["used"])
    layers = entry["layers"]
    title = _say(lang, f"{layers} layers in place of {own}", f"{layers} 层，代替 {own} 层")
    if entry["used"]:
        title = _say(lang, f"{own} layers, as packaged", f"{own} 层（随包）")
    title += _say(lang, " (inference alone, random weights)", "（仅推理，随机权重）")
    told = "" if entry["used"] else _say(lang, *VERDICTS[entry["verdict"]])
    used = _say(lang, "yes", "是") if entry["used"] else _say(lang, "no", "否")
    return row(title, [_ratio(entry["short"]), _ratio(entry["long"]), told, used, _worth(entry, lang)])


def _worth(entry: Mapping[str, Any], lang: Language) -> str:
    """What a depth gains or loses in quality, in points."""
    parts = []
    for name, one in entry.get("quality", {}).items():
        gained = one.get("differences", {})
        if not gained:
            parts.append(_say(lang, "what the others are held against in quality", "其他层数的质量以此为准"))
            continue
        said = _say(
            lang,
            f"with sentiment {change(gained['joint'])}, overall {change(gained['overall'])} points",
            f"提及且情感正确 {change(gained['joint'])}，整体情感 {change(gained['overall'])} 个百分点",
        )
        parts.append(said if name == "plain" else _say(lang, f"distilled: {said}", f"蒸馏：{said}"))
    return _say(lang, "; ", "；").join(parts) or _say(lang, "quality: not measured", "质量：未测")


def _title(entry: Mapping[str, Any]) -> str:
    return f"{entry['title']}{SCOPES[entry['scope']][0]}"


def _ratio(part: Mapping[str, float]) -> str:
    return f"{part['ratio']:.2f} [{part['low']:.2f}–{part['high']:.2f}]"


def _note(found: Mapping[str, Any], lang: Language) -> str:
    entries = {entry["name"]: entry for entry in found["levers"]}
    runtimes = list(found["runtimes"].values())
    said = [
        _say(
            lang,
            f"On {runtimes[-1]}. The rate with the lever over that without it, round by round, medians of "
            f"{found['rounds']} interleaved rounds, in brackets the least and the greatest; faster "
            f"or slower is what is so by more than {found['noise']:.0%} in every round, no difference what is so in "
            "none, and the rest is not decided.",
            f"运行于 {runtimes[-1]}。采用该手段与不采用的速率之比，逐轮计算，{found['rounds']} 轮交错运行取中位数，"
            f"方括号内为最小与最大的一轮；每一轮都相差 {found['noise']:.0%} 以上才算更快或更慢，"
            "没有一轮相差这么多才算无差别，其余未定。",
        )
    ]
    if len(runtimes) > 1:
        graphs = [entry["zh" if lang == "zh" else "title"] for entry in found["levers"] if entry["graph"]]
        said.append(
            _say(
                lang,
                f"Measured on {runtimes[0]}: what changes the ONNX graph ({'; '.join(graphs)}), and depths.",
                f"改变 ONNX 计算图的手段（{'；'.join(graphs)}）以及层数，在 {runtimes[0]} 上测量。",
            )
        )
    if "alone" in entries.get("tokenising", {}):
        short, long = (_ratio(entries["tokenising"]["alone"][part]) for part in ("short", "long"))
        said.append(
            _say(
                lang,
                f"Tokenising alone: in batches {short} × the rate on short comments, {long} × on long texts.",
                f"仅分词：成批的速率在短评上为 {short} 倍，长文上为 {long} 倍。",
            )
        )
    portables = (entries.get(name, {}).get("runtimes", {}) for name in ("packing", "vocabulary", "attention"))
    packing, vocabulary, attention = (one.get("onnxruntime", {}) for one in portables)
    if "bound" in packing:
        share = packing["short"]["padding"]
        said.append(
            _say(
                lang,
                f"Packing leaves {share['pulled']:.1%} of padding on short comments, the packaged batches "
                f"{share['released']:.1%}: where every token costs the same, removing all of it gives "
                f"{packing['bound']['short']:.2f} × the rate.",
                f"短评上，拼行后填充占 {share['pulled']:.1%}，随包批次占 {share['released']:.1%}："
                f"若每个词元耗时相同，全部省去后速率为 {packing['bound']['short']:.2f} 倍。",
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
    if any(entry.get("quality") for entry in found["depths"]):
        said.append(
            _say(
                lang,
                "Quality of a depth: small trainings of `benchmarks/ablation.py`, service dimensions, differences to "
                "the reference with 95% intervals, texts that were not trained on.",
                "各层数的质量：`benchmarks/ablation.py` 的小规模训练，服务维度，与参照之差及 95% 区间，"
                "文本均未参与训练。",
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
    return _say(lang, " ", "").join(said + busy_note(found.get("circumstances", []), lang))


def _say(lang: Language, en: str, zh: str) -> str:
    return zh if lang == "zh" else en
