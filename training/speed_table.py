"""The tables of `benchmarks/speed.py` and of what is measured beside it: results in, Markdown out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from training.ablation_table import change
from training.lever_table import levers_block
from training.quality_tables import MISSING, SETS, Language, find, percent, row, table
from training.tradeoff_table import tradeoff_block

STAGES: Mapping[str, tuple[str, str]] = {
    "reading": ("reading", "读取"),
    "normalising": ("normalising", "规范化"),
    "tokenising": ("tokenising", "分词"),
    "inference": ("inference", "推理"),
    "decoding": ("decoding", "解码"),
    "writing": ("writing", "写出"),
    "other": ("other", "其他"),
}
LENGTHS: Mapping[str, tuple[str, str]] = {"short": ("short comments", "短评"), "long": ("long texts", "长文")}


def speed_block(
    found: Mapping[str, Any],
    engines: Mapping[str, Any] | None = None,
    lang: Language = "en",
    *,
    levers: Mapping[str, Any] | None = None,
    tradeoff: Mapping[str, Any] | None = None,
    beside: Sequence[Mapping[str, Any]] = (),
    complaints: Sequence[Mapping[str, Any]] = (),
) -> str:
    """Contestants and ceilings, where the time goes, a large file, targets and complaints; then engines, levers and
    checkpoints, where measured.

    Args:
        beside: targets of other results (`benchmarks.speed_targets`). complaints: likewise, what users complain of.
    """
    parts = []
    if found.get("contestants"):
        parts += [_intro(found, lang), _contestants(found, lang), _stages(found, lang)]
    if found.get("job"):
        parts.append(job_block(found["job"], lang))
    parts.append(_targets([*found["targets"], *beside], lang))
    if complaints:
        parts.append(_complaints(complaints, lang))
    if engines is not None:
        parts.append(engines_block(engines, lang))
    if levers is not None:
        parts.append(levers_block(levers, lang))
    if tradeoff is not None:
        parts.append(tradeoff_block(tradeoff, lang))
    return "\n\n".join(parts)


def engines_block(found: Mapping[str, Any], lang: Language = "en") -> str:
    """A row for each engine: rates, what each set gains or loses, and whether a record depends on its neighbours."""
    sets = list(found["sets"])
    names = {name: _say(lang, *SETS.get(name, (name, name))) for name in sets}
    columns = [_say(lang, f"{en}, texts/s", f"{zh}，条/秒") for en, zh in LENGTHS.values()]
    columns += [
        f"{names[name]}{_say(lang, ', ', '：')}{figure}"
        for name in sets
        for figure in _say(lang, "with sentiment|overall", "提及且情感正确|整体情感").split("|")
    ]
    columns.append(_say(lang, "largest change by neighbours", "受相邻文本影响的最大变化"))
    lines = table(_say(lang, "engine, the same checkpoint", "引擎（同一模型）"), columns)
    for entry in found["engines"]:
        title = entry["zh"] if lang == "zh" else entry["title"]
        if entry.get("skipped"):
            lines.append(row(title, [MISSING] * len(columns)))
            continue
        asked = {"openvino-bf16": "bf16"}.get(entry["name"])
        if asked and entry["settings"]["precision"] != asked:
            computed = entry["settings"]["precision"]
            title += _say(lang, f" (no such units: ran in {computed})", f"（无此单元，实际以 {computed} 运行）")
        cells = [f"{entry[part]['texts_per_second']:,.0f}" for part in LENGTHS]
        for name in sets:
            for figure in ("joint", "overall"):
                gained = find(entry, ("sets", name, "differences", figure))
                cells.append(change(gained) if gained else percent(find(entry, ("sets", name, "figures", figure))))
        cells.append(f"{entry['neighbours']['largest_difference']:.0e}")
        if entry["neighbours"]["changed_labels"]:
            cells[-1] += _say(
                lang,
                f", {entry['neighbours']['changed_labels']} records",
                f"，{entry['neighbours']['changed_labels']} 条",
            )
        lines.append(row(title, cells))
    note = _say(
        lang,
        "First engine: F1 and accuracy in percent, 95% intervals; others: differences to it in points, paired. "
        "Last column: probabilities of the same text alone and among others.",
        "第一行为 F1 与准确率（百分比，95% 区间）；其余为与之相差的百分点（配对）。"
        "末列：同一文本单独与成批时概率之差。",
    )
    return "\n".join([*lines, "", note])


def _intro(found: Mapping[str, Any], lang: Language) -> str:
    texts, machine = found["texts"], found["measured"]["machine"]
    short, long = texts["short"], texts["long"]
    said = _say(
        lang,
        f"{short['texts']:,} short comments ({short['mean_tokens']:g} tokens on average) and {long['texts']:,} long "
        f"texts ({long['mean_characters']:.0f} characters) on {found['threads']} threads of {machine['processor']} "
        f"({', '.join(found['measured']['units']) or 'no vector units named'}); interleaved rounds, medians.",
        f"{short['texts']:,} 条短评（平均 {short['mean_tokens']:g} 个词元）与 {long['texts']:,} 条长文"
        f"（平均 {long['mean_characters']:.0f} 字），{found['threads']} 线程，{machine['processor']}"
        f"（{'、'.join(found['measured']['units']) or '无向量单元信息'}）；交错运行，取中位数。",
    )
    if short["cycled"] or "note" in texts:
        said += _say(lang, " The texts are our own, not real comments.", "文本为自撰，并非真实评论。")
    return said


def _contestants(found: Mapping[str, Any], lang: Language) -> str:
    ours = next(entry for entry in found["contestants"] if entry["name"] == "ours")
    columns = []
    for en, zh in LENGTHS.values():
        columns += [_say(lang, f"{en}, texts/s", f"{zh}，条/秒"), _say(lang, "ours is × as fast", "我们的倍数")]
    lines = table(_say(lang, "program", "程序"), columns)
    left_out = []
    for entry in found["contestants"]:
        title = entry["zh"] if lang == "zh" else entry["title"]
        if entry.get("skipped"):
            left_out.append(title)
        cells = []
        for part in LENGTHS:
            if entry[part] is None:
                cells += [MISSING] * 2
                continue
            rate = entry[part]["texts_per_second"]
            cells += [_number(rate), _number(ours[part]["texts_per_second"] / rate)]
        lines.append(row(f"**{title}**" if entry["kind"] == "checkpoint" else title, cells))
    for kind, entry in found["ceiling"]["kinds"].items():
        cells = []
        for part in LENGTHS:
            most = entry["texts_per_second"][part]
            cells += [_number(most), _number(ours[part]["texts_per_second"] / most)]
        gflops = f"{entry['gflops']['all']:,.0f} GFLOP/s"
        title = _say(lang, f"*ceiling: bare {kind} products, {gflops}*", f"*上限：仅 {kind} 矩阵乘法，{gflops}*")
        lines.append(row(title, cells))
    if left_out:
        lines += ["", _say(lang, f"Not measured: {', '.join(left_out)}.", f"未评测：{'、'.join(left_out)}。")]
    return "\n".join(lines)


def _stages(found: Mapping[str, Any], lang: Language) -> str:
    lines = table(
        _say(lang, "where the time of `cinesent score` goes", "`cinesent score` 的时间分布"),
        [_say(lang, *names) for names in STAGES.values()],
    )
    for part, names in LENGTHS.items():
        shares = found["stages"][part]["shares"]
        lines.append(row(_say(lang, *names), [f"{shares[name]:.1%}" for name in STAGES]))
    return "\n".join(lines)


def job_block(job: Mapping[str, Any], lang: Language = "en") -> str:
    """What `cinesent score` takes for a large CSV: rate, time, memory, disk."""
    columns = _say(
        lang,
        "rows/s|hours|peak memory, MB|input, MB|output, MB|disk beside both while it runs, MB",
        "行/秒|小时|内存峰值，MB|输入，MB|输出，MB|运行期间另占磁盘，MB",
    ).split("|")
    disk = job["disk_mb"]
    title = _say(lang, f"`cinesent score`, a CSV of {job['rows']:,} rows", f"`cinesent score`，{job['rows']:,} 行 CSV")
    cells = [_number(job["rows_per_second"]), _number(job["seconds"] / 3600), f"{job['peak_mb'] * 2**20 / 1e6:,.0f}"]
    cells += [f"{disk[name]:,.0f}" for name in ("input", "output", "meanwhile")]
    lines = [*table(_say(lang, "a large file", "大文件"), columns), row(title, cells)]
    if job["sittings"] > 1:
        said = f"Measured in {job['sittings']} sittings, each going on with `--resume`."
        lines += ["", _say(lang, said, f"分 {job['sittings']} 次运行测得，后一次以 `--resume` 接续。")]
    return "\n".join(lines)


def _complaints(entries: Sequence[Mapping[str, Any]], lang: Language) -> str:
    columns = _say(lang, "on|measured|has to be|", "运行于|实测|要求|").split("|")
    lines = table(_say(lang, "what users of such tools complain of", "此类工具用户的抱怨"), columns)
    for entry in entries:
        value = MISSING if entry["value"] is None else _number(entry["value"])
        if "low" in entry:
            value += f" [{_number(entry['low'])}–{_number(entry['high'])}]"
        cells = [entry["runtime"], value, _bound(entry), _met(entry, lang)]
        lines.append(row(entry["zh" if lang == "zh" else "title"], cells))
    if any("low" in entry for entry in entries):
        said = "A ratio is one of medians over interleaved rounds; in brackets the least and the greatest of a round."
        lines += ["", _say(lang, said, "比值取交错运行各轮的中位数之比；方括号内为最小与最大的一轮。")]
    return "\n".join(lines)


def _bound(entry: Mapping[str, Any]) -> str:
    return f"{'≥' if entry['at_least'] else '≤'} {entry['bound']:,g}"


def _met(entry: Mapping[str, Any], lang: Language) -> str:
    return {
        True: _say(lang, "met", "达到"),
        False: _say(lang, "**not met**", "**未达到**"),
        None: _say(lang, "not measured", "未测"),
    }[entry["met"]]


def _targets(entries: Sequence[Mapping[str, Any]], lang: Language) -> str:
    columns = _say(lang, "measured|on long texts|target|", "实测|长文|目标|").split("|")
    lines = table(_say(lang, "target", "指标"), columns)
    for entry in entries:
        figures = [MISSING if entry[name] is None else _number(entry[name]) for name in ("value", "long")]
        cells = [*figures, _bound(entry), _met(entry, lang)]
        lines.append(row(entry["zh" if lang == "zh" else "title"], cells))
    return "\n".join(lines)


def _number(value: float) -> str:
    """Three digits that count, or the order of what is next to nothing."""
    if 0 < abs(value) < 0.005:
        return f"{value:.0e}"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _say(lang: Language, en: str, zh: str) -> str:
    return zh if lang == "zh" else en
