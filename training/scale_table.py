"""The tables of `benchmarks/distributed.py` and `benchmarks/cost.py`: results in, Markdown out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.quality_tables import Language, busy_note, row, table


def scale_block(found: Mapping[str, Any], cost: Mapping[str, Any] | None, lang: Language = "en") -> str:
    """Rates of the local engine and of one and two workers, what killing did, and, where reckoned, what it costs."""
    columns = _say(
        lang,
        "rows/s|seconds to the first block|seconds to assemble|same bytes",
        "行/秒|首块用时，秒|合并用时，秒|字节相同",
    ).split("|")
    title = f"{found['rows']:,}"
    lines = table(_say(lang, f"{title} rows of CSV into Parquet", f"{title} 行 CSV 写成 Parquet"), columns)
    for name, en, zh in (
        ("local", "local engine, one thread", "本地引擎，一个线程"),
        ("workers_1", "Ray, one worker", "Ray，一个工作进程"),
        ("workers_2", "Ray, two workers", "Ray，两个工作进程"),
    ):
        job = found[name]
        cells = [
            f"{job['rows_per_second']:,.0f} [{job['low']:,.0f}–{job['high']:,.0f}]",
            f"{job['first_block_seconds']:.1f}",
            f"{job['assembling_seconds']:.1f}",
        ]
        lines.append(row(_say(lang, en, zh), [*cells, _yes(job["bytes_equal"], lang)]))
    parts = ["\n".join(lines), _how(found, lang), _kills(found, lang)]
    if cost is not None:
        parts.append(cost_block(cost, lang))
    return "\n\n".join(parts)


def _how(found: Mapping[str, Any], lang: Language) -> str:
    processor, cpus = found["machine"]["processor"], found["machine"]["cpus"]
    said = _say(
        lang,
        f"On {cpus} CPUs of {processor}, {found['runtime']}; blocks of {found['block_rows']:,} rows; medians of "
        f"{found['rounds']} interleaved jobs, in brackets the least and the greatest; rates without the start of the "
        "workers and the loading of the model, which the seconds to the first block have. In neither is the start of "
        f"Ray itself: {found['ray_start_seconds']:.1f} s.",
        f"{processor}，{cpus} 个 CPU，{found['runtime']}；每块 {found['block_rows']:,} 行；"
        f"{found['rounds']} 次交错运行取中位数，方括号内为最小与最大；速率不含工作进程的启动和模型的加载，"
        f"首块用时含。两者都不含 Ray 本身的启动：{found['ray_start_seconds']:.1f} 秒。",
    )
    return _say(lang, " ", "").join([said, *busy_note(found.get("circumstances", []), lang)])


def _kills(found: Mapping[str, Any], lang: Language) -> str:
    """What was killed and what became of it; a count that is not what it should be stands out by itself."""
    kills, driver = found["worker_kills"], found["driver_kill"]
    lost, doubled = (sum(kill[name] for kill in kills) for name in ("lost", "doubled"))
    killed = [kill for kill in kills if kill["killed"] == 1]
    equal = sum(kill["bytes_equal"] for kill in killed)
    again = driver["rows_scored_by_resume"] - (driver["rows"] - driver["rows_kept"])
    lines = [
        ("jobs in which a worker was killed (SIGKILL) midway", "中途杀掉（SIGKILL）一个工作进程的任务", len(killed)),
        ("rows lost", "丢失的行", lost),
        ("rows doubled", "重复的行", doubled),
        ("of these jobs, those that wrote the same bytes", "其中字节相同的任务", equal),
        ("exit code of a driver that was killed", "被杀的驱动进程的退出码", driver["exit_code"]),
        ("blocks that it left finished", "它留下的已完成块", driver["blocks_kept"]),
        ("exit code of the same command with `--resume`", "同一命令加 `--resume` 的退出码",
         "–" if driver["exit_code_of_resume"] is None else driver["exit_code_of_resume"]),
        ("rows that it scored again", "它重复打分的行", again),
        ("the same bytes", "字节相同", _yes(driver["bytes_equal"], lang)),
    ]  # fmt: skip
    title = _say(lang, f"killed, over {found['kill_rows']:,} rows each", f"杀进程，每个任务 {found['kill_rows']:,} 行")
    return "\n".join([*table(title, [""]), *(row(_say(lang, en, zh), [str(value)]) for en, zh, value in lines)])


def _yes(same: bool, lang: Language) -> str:
    return _say(lang, *(("yes", "是") if same else ("**no**", "**否**")))


def cost_block(found: Mapping[str, Any], lang: Language = "en") -> str:
    """The cost model: what was measured, what is assumed, what follows."""
    measured, assumed = found["measured"], found["assumed"]
    driver, seconds = measured["driver"], measured["driver_seconds_per_million_rows"]
    million, day = found["per_million_rows"], found["billion_rows_a_day"]
    rows = [
        ("measured on", "测于", f"{measured['machine']['processor']}, {measured['runtime']}"),
        ("measured on texts of, characters on average", "所测文本的平均字符数", f"{measured['mean_characters']:.1f}"),
        ("measured: rows a second, one worker on one CPU", "测得：一个工作进程（一个 CPU），行/秒",
         f"{measured['rows_per_second_one_worker']:,.0f}"),
        ("measured: rows a second, two workers", "测得：两个工作进程，行/秒",
         f"{measured['rows_per_second_two_workers']:,.0f}"),
        ("measured: rows a second that one driver reads", "测得：一个驱动进程读取，行/秒",
         _spread(driver["reading_rows_per_second"])),
        ("measured: rows a second that one driver reads, hands out and keeps",
         "测得：一个驱动进程读取、分发并保存，行/秒", _spread(driver["keeping_rows_per_second"])),
        (f"measured: seconds to assemble {driver['rows']:,} rows", f"测得：合并 {driver['rows']:,} 行，秒",
         _spread(driver["assembling_seconds"], 1)),
        ("so a driver's seconds for a million rows: to read + to hand out + to assemble",
         "即每一百万行驱动进程所用秒数：读取 + 分发 + 合并",
         " + ".join(f"{seconds[name]:.1f}" for name in ("read", "hand_out", "assemble"))),
        ("assumed: CPUs a node", "假定：每个节点的 CPU 数", f"{assumed['cpus_a_node']}"),
        ("assumed: share of the time in use", "假定：实际在用的时间占比", f"{assumed['used']:.0%}"),
        ("assumed: share of texts that repeat no other of their block", "假定：与同块其他文本都不重复的文本占比",
         f"{assumed['distinct']:.0%}"),
        ("assumed: rate of a worker among others over its rate alone", "假定：工作进程与别的同跑 ÷ 单独跑的速度",
         f"{assumed['efficiency']:.2f}"),
        ("assumed: drivers at least, so that the CPUs score for one while another assembles",
         "假定：驱动进程至少几个，使一个合并时 CPU 能为另一个打分", f"{assumed['least_drivers']}"),
        ("assumed: price of a CPU hour", "假定：每 CPU 小时的价格", f"{assumed['hourly_price']:.3f}"),
        ("**a million rows**: CPU hours", "**一百万行**：CPU 小时", f"{million['cpu_hours']:.2f}"),
        ("**a million rows**: price", "**一百万行**：价格", f"{million['cost']:.3f}"),
        ("**a billion rows a day**: drivers", "**每天十亿行**：驱动进程", f"{day['drivers']:,}"),
        ("**a billion rows a day**: CPUs, those of the drivers among them", "**每天十亿行**：CPU（含驱动进程所用）",
         f"{day['cpus']:,}"),
        ("**a billion rows a day**: nodes", "**每天十亿行**：节点", f"{day['nodes']:,}"),
        ("**a billion rows a day**: price a day", "**每天十亿行**：每天的价格", f"{day['cost_a_day']:,.0f}"),
    ]  # fmt: skip
    note = _say(
        lang,
        "A job of that size is divided by input files over the drivers, each with an `OUT` of its own, and not by "
        "`--shard`, whose every part reads all of the input. It holds for texts of that length, from a local "
        "CSV into Parquet; longer ones take longer. Not in it: a driver's first read of its input, for the SHA-256 by "
        "which `--resume` knows it.",
        "这样大的任务按输入文件分给几个驱动进程，各写各的 `OUT`；不能用 `--shard`，因为每一片都要读完整个输入。"
        "以上只适用于这样长短的文本、从本地 CSV 到 Parquet，更长的更慢。"
        "未计入：驱动进程先通读一遍输入，算出 `--resume` 用以辨认输入的 SHA-256。",
    )
    lines = ["| | |", "| --- | ---: |", *(row(_say(lang, en, zh), [value]) for en, zh, value in rows)]
    return "\n".join([*lines, "", note])


def _spread(entry: Mapping[str, float], digits: int = 0) -> str:
    """The median, in brackets the least and the greatest."""
    return f"{entry['median']:,.{digits}f} [{entry['least']:,.{digits}f}–{entry['greatest']:,.{digits}f}]"


def _say(lang: Language, en: str, zh: str) -> str:
    return zh if lang == "zh" else en
