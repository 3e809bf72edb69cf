"""The tables of `benchmarks/speed.py` and of what is measured beside it: results in, Markdown out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from training.ablation_table import change
from training.lever_table import levers_block
from training.quality_tables import MEBIBYTE, MISSING, SETS, Language, busy_note, find, percent, row, table
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
OWN = "train.jsonl"
OURS = "ours"  # the contestant, with all threads
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
    """A large file, contestants and ceilings, targets and complaints; then where the time goes, cold starts, engines,
    levers and checkpoints, where measured.

    Args:
        beside: targets of other results (`benchmarks.speed_targets`). complaints: likewise, what users complain of.
    """
    parts = []
    if found.get("jobs"):
        parts.append(job_block(found["jobs"], lang))
    if found.get("contestants"):
        parts += [_intro(found, lang), _contestants(found, lang)]
    parts.append(_targets([*found["targets"], *beside], lang))
    if complaints:
        parts.append(_complaints(complaints, lang))
    if found.get("contestants"):
        parts += [_stages(found, lang), _cold_starts(found, lang)]
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
        cells = [_rate(entry[part]) for part in LENGTHS]
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
        "Texts/s: median of the rounds, and the slowest and the fastest. First engine: F1 and accuracy in percent, 95% "
        "intervals; others: differences to it in points, paired. Thresholds are cross-fitted for each engine, in other "
        "folds than under Quality, hence other figures. Last column: probabilities of the same text alone and "
        "among others; the record allows 0.002 and no other label.",
        "速度为各轮中位数，括号内为最慢与最快一轮。第一行为 F1 与准确率（百分比，95% 区间）；"
        "其余为与之相差的百分点（配对）。各引擎的阈值分别交叉拟合，分折与“质量”一节不同，故数字略异。"
        "末列：同一文本单独与成批时概率之差；记录允许 0.002，且标签须不变。",
    )
    note += "".join(_packaged(entry, names, lang) for entry in found["engines"] if entry["name"] == "plain")
    left_out = [entry for entry in found["engines"] if entry.get("skipped")]
    if left_out:
        reasons = "; ".join(f"{entry['title']} ({entry['skipped']})" for entry in left_out)
        zh = "、".join(entry["zh"] for entry in left_out)
        note += _say(lang, f" Not measured: {reasons}.", f"未评测：{zh}。")
    counts = [f"{found['texts'][part]['texts']:,}" for part in LENGTHS]
    said = [_say(lang, "{} short comments, {} long texts.", "短评 {} 条，长文 {} 条。").format(*counts)]
    said += [*_texts_note(found, found.get("circumstances", []), lang), note]
    return "\n".join([*lines, "", _say(lang, " ", "").join(said)])


def _packaged(entry: Mapping[str, Any], names: Mapping[str, str], lang: Language) -> str:
    """What users of an engine lose or gain by the thresholds that they have."""
    said = [
        _say(
            lang, "{}: mention F1 {}, joint F1 {}, overall {}", "{}：提及 F1 {}，提及且情感正确 F1 {}，整体情感 {}"
        ).format(
            names[part], *(change(found["differences"][figure]) for figure in ("mention", "joint", "overall"))
        )
        for part, found in entry.get("packaged", {}).items()
    ]  # fmt: skip
    if not said:
        return ""
    en, zh = (
        "By the thresholds that each has in the package, fitted to these texts,",
        "按各自随附的阈值（即在这些文本上拟合所得），",
    )
    return _say(
        lang,
        f" {en} {entry['title']} differs in points: {'; '.join(said)}.",
        f"{zh}{entry['zh']}与之相差（百分点）：{'；'.join(said)}。",
    )


def _intro(found: Mapping[str, Any], lang: Language) -> str:
    machine = found["measured"]["machine"]
    short, long = found["texts"]["short"], found["texts"]["long"]
    said = _say(
        lang,
        f"{short['texts']:,} short comments ({short['mean_tokens']:g} tokens on average) and {long['texts']:,} long "
        f"texts ({long['mean_characters']:.0f} characters) on {found['threads']} threads of {machine['processor']} "
        f"({', '.join(found['measured']['units']) or 'no vector units named'}); {found['rounds']} interleaved rounds, "
        "medians, in brackets the slowest and the fastest round.",
        f"{short['texts']:,} 条短评（平均 {short['mean_tokens']:g} 个词元）与 {long['texts']:,} 条长文"
        f"（平均 {long['mean_characters']:.0f} 字），{found['threads']} 线程，{machine['processor']}"
        f"（{'、'.join(found['measured']['units']) or '无向量单元信息'}）；{found['rounds']} 轮交错运行，取中位数，"
        "方括号内为最慢与最快一轮。",
    )
    return _say(lang, " ", "").join([said, *_texts_note(found, found["measured"].get("sittings", []), lang)])


def _texts_note(found: Mapping[str, Any], circumstances: Sequence[Mapping[str, Any]], lang: Language) -> list[str]:
    """Where the texts are from, which come several times, and whether the machine was busy."""
    texts = found.get("texts", {})
    said = []
    if "source" in texts:
        files = ", ".join(texts["source"])
        own = _say(
            lang, f"The texts are our own, not real comments: {files}.", f"文本为自撰（{files}），并非真实评论。"
        )
        real = _say(lang, f"The texts are real comments, from {files}.", f"文本为真实评论，取自 {files}。")
        said.append(own if texts["source"] == [OWN] else real)
    for part, (en, zh) in LENGTHS.items():
        facts = texts.get(part, {})
        if facts.get("cycled"):
            count = f"{facts['distinct']:,}"
            said.append(
                _say(lang, f"There are {count} different {en}; they are cycled.", f"{zh}仅 {count} 条，循环使用。")
            )
    return said + busy_note(circumstances, lang)


def _contestants(found: Mapping[str, Any], lang: Language) -> str:
    ours = next(entry for entry in found["contestants"] if entry["name"] == OURS)
    columns = [_say(lang, "threads", "线程"), _say(lang, "texts, short + long", "文本数，短 + 长")]
    for en, zh in LENGTHS.values():
        columns.append(_say(lang, f"{en}, texts/s", f"{zh}，条/秒"))
        columns.append(
            _say(lang, f"ours on {found['threads']} threads is × as fast", f"我们（{found['threads']} 线程）的倍数")
        )

    def beside(part: str, rate: float) -> str:
        return _number(ours[part]["texts_per_second"] / rate)

    lines = table(_say(lang, "program", "程序"), columns)
    notes = []
    alike: dict[str, list[str]] = {}  # how it was run → who
    for entry in found["contestants"]:
        title = entry["zh"] if lang == "zh" else entry["title"]
        if entry.get("skipped"):
            notes.append(_say(lang, f"Not measured: {title} ({entry['skipped']}).", f"未评测：{title}。"))
        else:
            alike.setdefault(entry["how_zh" if lang == "zh" else "how"], []).append(title)
        counts, cells = [], []
        for part, (en, zh) in LENGTHS.items():
            if entry[part] is None:
                counts.append(MISSING)
                cells += [MISSING] * 2
                continue
            counts.append(f"{entry[part]['texts']:,}")
            if entry[part].get("once"):
                counts[-1] += _say(lang, " (1 round)", "（1 轮）")
                notes.append(
                    _say(lang, f"{title}, {en}: {entry[part]['once']}.", f"{title}，{zh}：耗时过长，仅测一轮。")
                )
            cells += [_rate(entry[part]), beside(part, entry[part]["texts_per_second"])]
        bold = f"**{title}**" if entry["kind"] == "checkpoint" else title
        threads = MISSING if entry.get("skipped") else str(entry["threads"])
        lines.append(row(bold, [threads, MISSING if set(counts) == {MISSING} else " + ".join(counts), *cells]))
    for kind, entry in found["ceiling"]["kinds"].items():
        cells = [str(found["threads"]), MISSING]
        for part in LENGTHS:
            most = entry["texts_per_second"][part]
            cells += [_spread(most), beside(part, most["median"])]
        gflops = f"{_spread(entry['gflops']['all'])} GFLOP/s"
        title = _say(lang, f"*ceiling: bare {kind} products, {gflops}*", f"*上限：仅 {kind} 矩阵乘法，{gflops}*")
        lines.append(row(title, cells))
    if notes:
        lines += ["", _say(lang, " ", "").join(dict.fromkeys(notes))]
    colon, between = _say(lang, ": ", "："), _say(lang, "; ", "；")
    ceiling = _say(
        lang,
        "- ceiling: in PyTorch the products with the model's weights alone, of which a model reaches a part",
        "- 上限：在 PyTorch 中只做模型权重的矩阵乘法，模型只能达到其中一部分",
    )
    return "\n".join([*lines, "", *(f"- {between.join(who)}{colon}{how}" for how, who in alike.items()), ceiling])


def _stages(found: Mapping[str, Any], lang: Language) -> str:
    lines = table(
        _say(lang, "where the time of `cinesent score` goes", "`cinesent score` 的时间分布"),
        [_say(lang, *names) for names in STAGES.values()],
    )
    for part, names in LENGTHS.items():
        shares = found["stages"][OURS][part]["shares"]
        lines.append(row(_say(lang, *names), [_share(shares[stage]) for stage in STAGES]))
    return "\n".join(lines)


def _cold_starts(found: Mapping[str, Any], lang: Language) -> str:
    lines = table(
        _say(lang, "from the start of a process to its first record", "从进程启动到首条结果"), [_say(lang, "s", "秒")]
    )
    for name, seconds in found["cold_start"].items():
        plain = _say(lang, "BERT-base, transformers pipeline", "BERT-base，transformers pipeline")
        lines.append(row("**cinesent**" if name == OURS else plain, [_spread(seconds)]))
    return "\n".join(lines)


def job_block(jobs: Mapping[str, Mapping[str, Any]], lang: Language = "en") -> str:
    """What `cinesent score` takes for a large CSV: rate, time, memory, disk; a row for each runtime, by its name."""
    columns = _say(
        lang,
        "threads|rows/s|hours|peak memory, MB|input, MB|output, MB|disk beside both while it runs, MB",
        "线程|行/秒|小时|内存峰值，MB|输入，MB|输出，MB|运行期间另占磁盘，MB",
    ).split("|")
    lines, notes = table(_say(lang, "a large file", "大文件"), columns), []
    for _, job in sorted(jobs.items()):
        disk, on = job["disk_mb"], job["runtime"]
        n, mean = f"{job['rows']:,}", f"{job['texts']['mean_tokens']:g}"
        title = _say(
            lang,
            f"`cinesent score` on {on}, a CSV of {n} rows, none twice, {mean} tokens on average",
            f"`cinesent score`（{on}），{n} 行 CSV，各不相同，平均 {mean} 个词元",
        )
        cells = [str(job["threads"]), _number(job["rows_per_second"]), _number(job["seconds"] / 3600)]
        cells += [f"{job['peak_mb'] * MEBIBYTE:,.0f}"]
        cells += [f"{disk[name]:,.0f}" for name in ("input", "output", "meanwhile")]
        lines.append(row(title, cells))
        said = []
        if job.get("units"):  # which need not be the machine of the rounds
            processor, found = job["machine"]["processor"], _say(lang, ", ", "、").join(job["units"])
            said.append(
                _say(
                    lang,
                    f"On {processor} ({found}): the rows below may be of another.",
                    f"{processor}（{found}）；下面各表可能出自另一台机器。",
                )
            )
        if job["sittings"] > 1:
            n, count = f"{job['judged_rows']:,}", job["sittings"]
            en = f"Measured in {count} sittings, each going on with `--resume`; rows/s: the longest, {n} rows."
            zh = f"分 {count} 次运行测得，后一次以 `--resume` 接续；速度取最长一次的 {n} 行。"
            said.append(_say(lang, en, zh))
        said += _texts_note({}, job["circumstances"], lang)
        notes += [f"- {on}{_say(lang, ': ', '：')}{_say(lang, ' ', '').join(said)}"] if said else []
    return "\n".join([*lines, *(["", *notes] if notes else [])])


def _complaints(entries: Sequence[Mapping[str, Any]], lang: Language) -> str:
    columns = _say(lang, "measured|has to be|", "实测|要求|").split("|")
    lines = table(_say(lang, "what users of such tools complain of", "此类工具用户的抱怨"), columns)
    for entry in entries:
        value = MISSING if entry["value"] is None else _number(entry["value"])
        if "low" in entry:
            value += f" [{_number(entry['low'])}–{_number(entry['high'])}]"
        cells = [value, _bound(entry), _met(entry, lang)]
        lines.append(row(entry["zh" if lang == "zh" else "title"], cells))
    runtimes = ", ".join(dict.fromkeys(entry["runtime"] for entry in entries))
    notes = [_say(lang, f"On {runtimes}.", f"运行于 {runtimes}。")]
    if any("low" in entry for entry in entries):
        said = "A ratio is one of medians over interleaved rounds; in brackets the least and the greatest of a round."
        notes.append(_say(lang, said, "比值取交错运行各轮的中位数之比；方括号内为最小与最大的一轮。"))
    notes += busy_note([one for entry in entries for one in entry.get("circumstances", ())], lang)
    return "\n".join([*lines, *(["", _say(lang, " ", "").join(notes)] if notes else [])])


def _bound(entry: Mapping[str, Any]) -> str:
    return f"{'≥' if entry['at_least'] else '≤'} {entry['bound']:,g}"


def _met(entry: Mapping[str, Any], lang: Language) -> str:
    """The verdict; bold where something was missed."""
    said = verdict(entry, lang)
    return f"**{said}**" if entry["met"] is False and entry["value"] is not None else said


def verdict(entry: Mapping[str, Any], lang: Language = "en") -> str:
    """Met or not, in plain words."""
    words = {"met": "达到", "not met": "未达到", "not measured": "未测", "not decided": "未定（区间跨过界限）"}
    said = {True: "met", False: "not met", None: "not decided"}[entry["met"]]
    if entry["value"] is None:
        said = "not measured"
    return said if lang == "en" else words[said]


def _targets(entries: Sequence[Mapping[str, Any]], lang: Language) -> str:
    heads = ("measured|on long texts|target|", "实测|长文|目标|")
    lines = table(_say(lang, "target", "指标"), _say(lang, *heads).split("|"))
    for entry in entries:
        value, long = entry["value"], entry["long"]
        cell = MISSING if value is None else _number(value)
        if entry.get("interval"):
            cell += " [{}, {}]".format(*map(_number, entry["interval"]))
        cells = [cell, MISSING if long is None else _number(long), _bound(entry), _met(entry, lang)]
        lines.append(row(entry["zh" if lang == "zh" else "title"], cells))
    note = _say(lang, "Short comments decide; long ones are told.", "以短评为准，长文供参考。")
    if any(entry.get("interval") for entry in entries):
        note += _say(
            lang,
            " Points lost: the worst set; judged by its paired 95% interval: met where it ends at the target or below, "
            "not met where it begins above it, else not decided.",
            "损失的百分点取最差的数据集，按配对 95% 区间判断：区间全在界限内为达到，全在界限外为未达到，否则未定。",
        )
    return "\n".join([*lines, "", note])


def _rate(entry: Mapping[str, Any]) -> str:
    return f"{_number(entry['texts_per_second'])} [{_number(entry['least'])}–{_number(entry['greatest'])}]"


def _spread(entry: Mapping[str, float]) -> str:
    return f"{_number(entry['median'])} [{_number(entry['least'])}–{_number(entry['greatest'])}]"


def _share(entry: Mapping[str, float]) -> str:
    return f"{entry['median']:.1%} [{100 * entry['least']:.1f}–{100 * entry['greatest']:.1f}]"


def _number(value: float) -> str:
    """Three digits that count, or the order of what is next to nothing."""
    if 0 < abs(value) < 0.005:
        return f"{value:.0e}"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _say(lang: Language, en: str, zh: str) -> str:
    return zh if lang == "zh" else en
