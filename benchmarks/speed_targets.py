"""The targets of speed: each a figure of the results beside its bound, met or not, or not measured.

Most are reckoned for both runtimes: `value`, `long` and `met` are those of ONNX Runtime as a plain installation runs
it, and `fast` has the same three of OpenVINO in int8, or is null where that was not measured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Results = Mapping[str, Any]
Target = dict[str, Any]

OURS, FAST = "ours", "ours-fast"
JOBS = {OURS: ("onnxruntime-int8", "onnxruntime"), FAST: ("openvino",)}  # the large file on each runtime, by name
POINT = 1.0  # percent, that joint and overall may lose
APART = 0.002  # of a probability, alone or among others: the record's bound


def rate(found: Results, names: Sequence[str], part: str) -> float | None:
    """Texts a second of the fastest of these contestants on one set of texts."""
    entries = [entry[part] for entry in found["contestants"] if entry["name"] in names and entry.get(part)]
    return max((float(entry["texts_per_second"]) for entry in entries), default=None)


def _over(found: Results, own: str, names: Sequence[str], part: str) -> float | None:
    """How many times as fast as the fastest of these contestants ours is, with all threads."""
    ours, theirs = rate(found, (own,), part), rate(found, names, part)
    return None if ours is None or theirs is None else ours / theirs


def ceiling_kind(found: Results) -> str:
    """bfloat16, or float32 where that is faster: a processor without bfloat16 units imitates it slowly."""
    kinds = found["ceiling"]["kinds"]
    return max(("bfloat16", "float32"), key=lambda kind: float(kinds[kind]["operations_per_second"]["all"]))


def _of_ceiling(found: Results, own: str, part: str) -> float | None:
    ours = rate(found, (own,), part)
    most = found["ceiling"]["kinds"][ceiling_kind(found)]["texts_per_second"][part]["median"]
    return None if ours is None else ours / float(most)


def _gain(found: Results, own: str, part: str) -> float | None:
    """Our gain by all threads over one, as a share of that of the bare product in the runtime's own precision."""
    if own not in found["gain"]:
        return None
    return float(found["gain"][own][part]) / float(found["ceiling"]["kinds"][_precision(found, own)]["gain"])


def _precision(found: Results, own: str) -> str | None:
    """What ours multiplied in beside the other programs; None where that was not measured."""
    named = {entry["name"]: entry for entry in found.get("contestants", ())}
    return str(named[own]["runtime"]).rpartition(", ")[2] if named.get(own, {}).get("runtime") else None


def _job(found: Results, own: str) -> Results | None:
    """The large file of ours, in the precision in which it ran beside the other programs where there are several."""
    jobs = [found["jobs"][name] for name in JOBS[own] if name in found.get("jobs", {})]
    wanted = _precision(found, own)
    alike = [job for job in jobs if wanted is not None and job["runtime"].endswith(f", {wanted}")]
    return next(iter([*alike, *jobs]), None)


def _not_inference(found: Results, own: str, part: str) -> float | None:
    stages = found["stages"].get(own)
    return None if stages is None else 1 - float(stages[part]["shares"]["inference"]["median"])


def _cold(found: Results, own: str) -> float | None:
    cold = found["cold_start"]
    return None if own not in cold else float(cold[own]["median"]) / float(cold["pipeline"]["median"])


def targets(found: Results) -> list[Target]:
    """Every target of the issue: `value` on the short texts (which decide), `long` on the long ones, `bound`, whether
    the value shall be `at_least` or at most that, and `met`: null where it was not measured; and `fast`."""
    rows: list[Target] = []

    def both(name: str, en: str, zh: str, at_least: bool, bound: float, figure: Any, long: bool = True) -> None:
        sides = {}
        for own in (OURS, FAST):
            values = [figure(own, part) for part in (("short", "long") if long else ("short",))]
            sides[own] = target(name, en, zh, at_least, bound, *values)
        rows.append(by_runtime(sides[OURS], sides[FAST]))

    if found.get("contestants"):
        plain, int8 = ("bert-1", "bert-32"), ("bert-int8-1", "bert-int8-32")
        for name, en, zh, bound, others in (
            ("aspects", "times as fast as one pass per aspect", "相对逐维度推理的倍数", 100, ("bert-aspects",)),
            ("plain", "times as fast as the plain BERT-base pipeline", "相对普通 BERT-base pipeline 的倍数", 15, plain),
            ("int8", "times as fast as BERT-base in int8", "相对 int8 BERT-base 的倍数", 6, int8),
            ("snownlp", "times as fast as SnowNLP", "相对 SnowNLP 的倍数", 1, ("snownlp",)),
            ("snownlp-aim", "times as fast as SnowNLP (aim)", "相对 SnowNLP 的倍数（期望）", 3, ("snownlp",)),
        ):
            both(name, en, zh, True, bound, lambda own, part, others=others: _over(found, own, others, part))
        kind = ceiling_kind(found)
        both(
            "ceiling", f"of the {kind} ceiling", f"占 {kind} 上限的比例", True, 0.4,
            lambda own, part: _of_ceiling(found, own, part),
        )  # fmt: skip
        both(
            "threads", "gain by threads, of that of the bare product in the same precision",
            "多线程增益与同精度单纯矩阵乘法增益之比", True, 0.9, lambda own, part: _gain(found, own, part),
        )  # fmt: skip
        both(
            "not-inference", "of the time is not inference", "推理以外的时间占比", False, 0.2,
            lambda own, part: _not_inference(found, own, part),
        )  # fmt: skip
        both(
            "cold-start", "of the pipeline's cold start", "相对 pipeline 的冷启动时间", False, 0.2,
            lambda own, part: _cold(found, own), long=False,
        )  # fmt: skip
    jobs = {own: job for own in JOBS if (job := _job(found, own)) is not None}
    if jobs:
        n = " / ".join(dict.fromkeys(f"{job['rows']:,}" for job in jobs.values()))
        # A process that was started in the middle has had less time to grow: the longest sitting is judged.
        parts = [(job["runtime"], f"{job['judged_rows']:,}") for job in jobs.values() if job["sittings"] > 1]
        on = "".join(f"; on {runtime}, of the {judged} rows of one sitting" for runtime, judged in parts)
        zh_on = "".join(f"；{runtime} 取其中一次运行的 {judged} 行" for runtime, judged in parts)

        def of(figure: Callable[[Results], float]) -> Callable[[str, str], float | None]:
            return lambda own, part: figure(jobs[own]) if own in jobs else None

        both(
            "memory", f"GB of memory at most, scoring {n} rows", f"打分 {n} 行的内存峰值（GB）", False, 1,
            of(lambda job: float(job["peak_mb"]) * 2**20 / 1e9), long=False,
        )  # fmt: skip
        both(
            "flat", f"memory in the last tenth over the first{on}", f"最后十分之一与最初十分之一的内存之比{zh_on}",
            False, 1.03, of(lambda job: float(job["resident_mb"][-1]) / float(job["resident_mb"][0])), long=False,
        )  # fmt: skip
        both(
            "steady", f"rate of the last tenth over the first{on}", f"最后十分之一与最初十分之一的速度之比{zh_on}",
            True, 0.95, of(lambda job: float(job["last_over_first"])), long=False,
        )  # fmt: skip
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


def by_runtime(plain: Target, fast: Target | None) -> Target:
    """ONNX Runtime's row with what is reckoned anew for OpenVINO."""
    own = {key: fast[key] for key in ("value", "long", "met", "interval") if key in fast} if fast is not None else None
    return plain | {"fast": own if own is not None and own["value"] is not None else None}


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
    row = target(name, f"{en} ({part})", f"{zh}（{part}）", False, POINT, value)
    row["interval"] = [_rounded(low), _rounded(high)]
    row["met"] = False if low > POINT else True if high <= POINT else None
    return row


def paid_by_quality(engines: Results | None, tradeoff: Results | None) -> list[Target]:
    """What speed may cost: at most a point of joint F1 and of overall accuracy, and no record depends on others.

    Of each runtime against the same checkpoint in float32, and of the packaged checkpoint against the larger ones of
    `tradeoff`: paired differences with their intervals (`lost`), on development texts.
    """
    rows = []
    figures = (("joint", "joint F1", "提及且情感正确 F1"), ("overall", "overall accuracy", "整体情感准确率"))
    entries = {entry["name"]: entry for entry in (engines or {}).get("engines", ())}
    if same := entries.get("plain", {}).get("same_as"):  # float32, what the others are held against
        entries["plain"] = entries[same]
    plain, fast = (
        None if name not in entries or entries[name].get("skipped") else entries[name] for name in ("plain", "fast")
    )
    for figure, en, zh in figures if engines is not None else ():
        title = (
            f"points of {en} lost against float32, by its thresholds",
            f"沿用 float32 的阈值，相对它损失的{zh}（百分点）",
        )
        sides = [
            None
            if side is None or side is entries.get("onnxruntime")
            else lost(f"runtime-{figure}", *title, _losses([{"sets": side["packaged"]}], figure, -100))
            for side in (plain, fast)
        ]
        told = next((side for side in sides if side is not None), {"title": title[0], "zh": title[1]})
        value = 0.0 if plain is not None and plain is entries.get("onnxruntime") else None
        own = sides[0] or target(f"runtime-{figure}", told["title"], told["zh"], False, POINT, value)
        rows.append(by_runtime(own, sides[1]))
    if tradeoff is not None:
        for figure, en, zh in figures:
            title = (f"points of {en} that a larger checkpoint gains", f"更大的模型提高的{zh}（百分点）")
            rows.append(lost(f"quality-{figure}", *title, _losses(tradeoff["checkpoints"], figure, 100)))
    if engines is not None:
        first, other = (None if entry is None else _independent(entry) for entry in (plain, fast))
        rows.append(by_runtime(first or _independent(), other))
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
