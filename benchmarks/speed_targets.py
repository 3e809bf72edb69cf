"""The targets of speed: each a figure of the results beside its bound, met or not, or not measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from training.quality_tables import SETS

Results = Mapping[str, Any]
Target = dict[str, Any]

OURS = "ours"
JOBS = ("onnxruntime-int8", "onnxruntime")  # the large file on each runtime, by name
POINT = 1.0  # percent, that joint and overall may lose
APART = 0.002  # of a probability, alone or among others: the record's bound


def rate(found: Results, names: Sequence[str], part: str) -> float | None:
    """Texts a second of the fastest of these contestants on one set of texts."""
    entries = [entry[part] for entry in found["contestants"] if entry["name"] in names and entry.get(part)]
    return max((float(entry["texts_per_second"]) for entry in entries), default=None)


def _over(found: Results, names: Sequence[str], part: str) -> float | None:
    """How many times as fast as the fastest of these contestants ours is, with all threads."""
    ours, theirs = rate(found, (OURS,), part), rate(found, names, part)
    return None if ours is None or theirs is None else ours / theirs


def ceiling_kind(found: Results) -> str:
    """bfloat16, or float32 where that is faster: a processor without bfloat16 units imitates it slowly."""
    kinds = found["ceiling"]["kinds"]
    return max(("bfloat16", "float32"), key=lambda kind: float(kinds[kind]["operations_per_second"]["all"]))


def _of_ceiling(found: Results, part: str) -> float | None:
    ours = rate(found, (OURS,), part)
    most = found["ceiling"]["kinds"][ceiling_kind(found)]["texts_per_second"][part]["median"]
    return None if ours is None else ours / float(most)


def _gain(found: Results, part: str) -> float:
    """Our gain by all threads over one, as a share of that of the bare product in the runtime's own precision."""
    return float(found["gain"][OURS][part]) / float(found["ceiling"]["kinds"][_precision(found)]["gain"])


def _precision(found: Results) -> str | None:
    """What ours multiplied in beside the other programs; None where that was not measured."""
    named = {entry["name"]: entry for entry in found.get("contestants", ())}
    return str(named[OURS]["runtime"]).rpartition(", ")[2] if OURS in named else None


def _job(found: Results) -> Results | None:
    """The large file of ours, in the precision in which it ran beside the other programs where there are several."""
    jobs = [found["jobs"][name] for name in JOBS if name in found.get("jobs", {})]
    wanted = _precision(found)
    alike = [job for job in jobs if wanted is not None and job["runtime"].endswith(f", {wanted}")]
    return next(iter([*alike, *jobs]), None)


def _not_inference(found: Results, part: str) -> float:
    return 1 - float(found["stages"][OURS][part]["shares"]["inference"]["median"])


def _cold(found: Results) -> float:
    cold = found["cold_start"]
    return float(cold[OURS]["median"]) / float(cold["pipeline"]["median"])


def targets(found: Results) -> list[Target]:
    """Every target of the issue: `value` on the short texts (which decide), `long` on the long ones, `bound`, whether
    the value shall be `at_least` or at most that, and `met`: null where it was not measured."""
    rows: list[Target] = []

    def add(name: str, en: str, zh: str, at_least: bool, bound: float, figure: Callable[[str], float | None]) -> None:
        rows.append(target(name, en, zh, at_least, bound, figure("short"), figure("long")))

    if found.get("contestants"):
        plain, int8 = ("bert-1", "bert-32"), ("bert-int8-1", "bert-int8-32")
        for name, en, zh, bound, others in (
            ("aspects", "times as fast as one pass per aspect", "相对逐维度推理的倍数", 100, ("bert-aspects",)),
            ("plain", "times as fast as the plain BERT-base pipeline", "相对普通 BERT-base pipeline 的倍数", 15, plain),
            ("int8", "times as fast as BERT-base in int8", "相对 int8 BERT-base 的倍数", 6, int8),
            ("snownlp", "times as fast as SnowNLP", "相对 SnowNLP 的倍数", 1, ("snownlp",)),
            ("snownlp-aim", "times as fast as SnowNLP (aim)", "相对 SnowNLP 的倍数（期望）", 3, ("snownlp",)),
        ):
            add(name, en, zh, True, bound, partial(_over, found, others))
        kind = ceiling_kind(found)
        en, zh = f"rate over the {kind} ceiling (int8 may exceed it)", f"速率与 {kind} 上限之比（int8 可超过 1）"
        add("ceiling", en, zh, True, 0.4, partial(_of_ceiling, found))
        add(
            "threads", "gain by threads, of that of the bare product in the same precision",
            "多线程增益与同精度单纯矩阵乘法增益之比", True, 0.9, partial(_gain, found),
        )  # fmt: skip
        add(
            "not-inference", "of the time is not inference", "推理以外的时间占比", False, 0.2,
            partial(_not_inference, found),
        )  # fmt: skip
        en, zh = "of the pipeline's cold start", "相对 pipeline 的冷启动时间"
        rows.append(target("cold-start", en, zh, False, 0.2, _cold(found)))
    if (job := _job(found)) is not None:
        n, on, zh_on = f"{job['rows']:,}", "", ""
        if job["sittings"] > 1:  # one that was started in the middle has had less time to grow: the longest is judged
            on = f"; of the {job['judged_rows']:,} rows of one sitting"
            zh_on = f"；取其中一次运行的 {job['judged_rows']:,} 行"
        en, zh = f"GB of memory at most, scoring {n} rows", f"打分 {n} 行的内存峰值（GB）"
        rows.append(target("memory", en, zh, False, 1, float(job["peak_mb"]) * 2**20 / 1e9))
        en, zh = f"memory in the last tenth over the first{on}", f"最后十分之一与最初十分之一的内存之比{zh_on}"
        rows.append(target("flat", en, zh, False, 1.03, float(job["resident_mb"][-1]) / float(job["resident_mb"][0])))
        en, zh = f"rate of the last tenth over the first{on}", f"最后十分之一与最初十分之一的速度之比{zh_on}"
        rows.append(target("steady", en, zh, True, 0.95, float(job["last_over_first"])))
        en, zh = f"{en}, at the pace of a second process", f"{zh}（按另一进程的同期速度折算）"
        rows.append(target("steady-at-one-pace", en, zh, True, 0.95, job.get("last_over_first_at_one_pace")))
    return rows


def target(
    name: str, en: str, zh: str, at_least: bool, bound: float, value: float | None, long: float | None = None
) -> Target:
    """A row of the table of targets."""
    return {
        "name": name, "title": en, "zh": zh, "at_least": at_least, "bound": bound,
        "value": None if value is None else _rounded(value),
        "long": None if long is None else _rounded(long),
        "met": None if value is None else (value >= bound if at_least else value <= bound),
    }  # fmt: skip


def _rounded(value: float) -> float:
    return float(f"{value:.4g}") + 0.0  # no -0.0


def lost(name: str, en: str, zh: str, sets: Mapping[str, tuple[float, float, float]]) -> Target:
    """A row on points lost, at most one: set → loss and its paired 95% interval, in points.

    Judged is the interval, on every set: met where all of them end at a point or below, not met where one begins above
    it, else not decided. The row has the set that speaks loudest against it.
    """
    if not sets:
        return target(name, en, zh, False, POINT, None)
    part, (value, low, high) = max(
        sets.items(), key=lambda item: (item[1][1] > POINT, item[1][2] > POINT, item[1][0])
    )  # fmt: skip
    labels = [", ".join(SETS.get(name, (name, name))[at] for name in part.split(", ")) for at in (0, 1)]
    row = target(name, f"{en} ({labels[0]})", f"{zh}（{labels[1]}）", False, POINT, value)
    row["interval"] = [_rounded(low), _rounded(high)]
    row["met"] = False if low > POINT else True if high <= POINT else None
    return row


def paid_by_quality(engines: Results | None, tradeoff: Results | None) -> list[Target]:
    """What speed may cost: at most a point of joint F1 and of overall accuracy, and no record depends on others.

    Of what a plain installation runs against the same checkpoint in float32, and of the packaged checkpoint against the
    larger ones of `tradeoff`: paired differences with their intervals (`lost`), on development texts.
    """
    rows = []
    figures = (("joint", "joint F1", "提及且情感正确 F1"), ("overall", "overall accuracy", "整体情感准确率"))
    entries = {entry["name"]: entry for entry in (engines or {}).get("engines", ())}
    if same := entries.get("plain", {}).get("same_as"):  # float32, what the others are held against
        entries["plain"] = entries[same]
    plain = entries.get("plain", {"skipped": "not among them"})
    for figure, en, zh in figures if engines is not None else ():
        name, title, zh_title = (
            f"runtime-{figure}",
            f"points of {en} lost against float32, each by its thresholds",
            f"相对 float32 损失的{zh}（百分点，各按自己的阈值）",
        )
        if plain.get("skipped"):
            rows.append(target(name, title, zh_title, False, POINT, None))
        elif plain is entries.get("onnxruntime"):
            rows.append(target(name, title, zh_title, False, POINT, 0.0))
        else:
            rows.append(lost(name, title, zh_title, _losses([{"sets": plain["packaged"]}], figure, -100)))
    if tradeoff is not None:
        for figure, en, zh in figures:
            title, zh_title = f"points of {en} that a larger checkpoint gains", f"更大的模型提高的{zh}（百分点）"
            rows.append(lost(f"quality-{figure}", title, zh_title, _losses(tradeoff["checkpoints"], figure, 100)))
    if engines is not None:
        rows.append(_independent(None if plain.get("skipped") else plain))
    return rows


def _losses(entries: Sequence[Results], figure: str, sign: int) -> dict[str, tuple[float, float, float]]:
    """Set (and whose, with several entries) → what is lost in points, and its interval."""
    found = {}
    for entry in entries:
        for name, part in entry["sets"].items():
            if figure in part.get("differences", {}):
                value, low, high = (sign * float(part["differences"][figure][key]) for key in ("value", "low", "high"))
                label = name if len(entries) == 1 else f"{entry['name']}, {name}"
                found[label] = (value, min(low, high), max(low, high))
    return found


def _independent(entry: Results | None = None) -> Target:
    """Same labels, and no probability further apart than the record allows; without an entry it was not measured."""
    beside = {} if entry is None else entry["neighbours"]
    row = target(
        "independent", "largest change of a probability by the neighbours in a batch, with the same labels",
        "同批相邻文本引起的最大概率变化（标签须不变）", False, APART, beside.get("largest_difference"),
    )  # fmt: skip
    return row if entry is None else row | {"met": bool(row["met"] and beside["changed_labels"] == 0)}
