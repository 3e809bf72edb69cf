"""The targets of speed: each a figure of the results beside its bound, met or not, or not measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Results = Mapping[str, Any]


def rate(found: Results, names: Sequence[str], part: str) -> float | None:
    """Texts a second of the fastest of these contestants on one set of texts."""
    entries = [entry[part] for entry in found["contestants"] if entry["name"] in names and entry.get(part)]
    return max((float(entry["texts_per_second"]) for entry in entries), default=None)


def _over(found: Results, names: Sequence[str], part: str) -> float | None:
    """How many times as fast as the fastest of these contestants ours is, with all threads."""
    ours, theirs = rate(found, ("ours",), part), rate(found, names, part)
    return None if ours is None or theirs is None else ours / theirs


def ceiling_kind(found: Results) -> str:
    """bfloat16, or float32 where that is faster: a processor without bfloat16 units imitates it slowly."""
    kinds = found["ceiling"]["kinds"]
    return max(("bfloat16", "float32"), key=lambda kind: float(kinds[kind]["operations_per_second"]["all"]))


def _of_ceiling(found: Results, part: str) -> float | None:
    ours = rate(found, ("ours",), part)
    most = found["ceiling"]["kinds"][ceiling_kind(found)]["texts_per_second"][part]
    return None if ours is None else ours / float(most)


def _gain(found: Results, part: str) -> float:
    """Our gain by all threads over one, as a share of the float32 product's: that is what our engine computes in."""
    return float(found["gain"][part]) / float(found["ceiling"]["kinds"]["float32"]["gain"])


def targets(found: Results) -> list[dict[str, Any]]:
    """Every target of the issue: `value` on the short texts (which decide), `long` on the long ones, `bound`, whether
    the value shall be `at_least` or at most that, and `met`: null where it was not measured."""
    rows: list[tuple[str, str, str, bool, float, float | None, float | None]] = []

    def both(name: str, en: str, zh: str, at_least: bool, bound: float, figure: Any) -> None:
        rows.append((name, en, zh, at_least, bound, figure("short"), figure("long")))

    measured = bool(found.get("contestants"))
    if measured:
        plain, int8 = ("bert-1", "bert-32"), ("bert-int8-1", "bert-int8-32")
        for name, en, zh, bound, others in (
            ("aspects", "times as fast as one pass per aspect", "相对逐维度推理的倍数", 100, ("bert-aspects",)),
            ("plain", "times as fast as the plain BERT-base pipeline", "相对普通 BERT-base pipeline 的倍数", 15, plain),
            ("int8", "times as fast as BERT-base in int8", "相对 int8 BERT-base 的倍数", 6, int8),
            ("snownlp", "times as fast as SnowNLP", "相对 SnowNLP 的倍数", 1, ("snownlp",)),
            ("snownlp-aim", "times as fast as SnowNLP (aim)", "相对 SnowNLP 的倍数（期望）", 3, ("snownlp",)),
        ):
            both(name, en, zh, True, bound, lambda part, others=others: _over(found, others, part))
        kind = ceiling_kind(found)
        both(
            "ceiling", f"of the {kind} ceiling", f"占 {kind} 上限的比例", True, 0.4,
            lambda part: _of_ceiling(found, part),
        )  # fmt: skip
        both(
            "threads", "gain by threads, of the bare product's", "多线程增益与单纯矩阵乘法增益之比", True, 0.9,
            lambda part: _gain(found, part),
        )  # fmt: skip
        both(
            "not-inference", "of the time is not inference", "推理以外的时间占比", False, 0.2,
            lambda part: 1 - found["stages"][part]["shares"]["inference"],
        )  # fmt: skip
        cold = found["cold_start"]
        share = cold["ours"]["seconds"] / cold["pipeline"]["seconds"]
        rows.append(
            ("cold-start", "of the pipeline's cold start", "相对 pipeline 的冷启动时间", False, 0.2, share, None)
        )
    job = found.get("job")
    if job:
        n = f"{job['rows']:,}"
        rows += [
            ("memory", f"GB of memory at most, scoring {n} rows", f"打分 {n} 行的内存峰值（GB）", False, 1,
             job["peak_mb"] * 2**20 / 1e9, None),
            # A process that was started in the middle has had less time to grow.
            ("flat", "memory in the last tenth over the first", "最后十分之一与最初十分之一的内存之比", False, 1.03,
             job["resident_mb"][-1] / job["resident_mb"][0] if job["sittings"] == 1 else None, None),
            ("steady", "rate of the last tenth over the first", "最后十分之一与最初十分之一的速度之比", True, 0.95,
             job["last_over_first"], None),
        ]  # fmt: skip
    return [target(*row) for row in rows]


def target(
    name: str, en: str, zh: str, at_least: bool, bound: float, value: float | None, long: float | None = None
) -> dict[str, Any]:
    """A row of the table of targets."""
    return {
        "name": name, "title": en, "zh": zh, "at_least": at_least, "bound": bound,
        "value": None if value is None else float(f"{value:.4g}"),
        "long": None if long is None else float(f"{long:.4g}"),
        "met": None if value is None else (value >= bound if at_least else value <= bound),
    }  # fmt: skip


def paid_by_quality(engines: Results | None, tradeoff: Results | None) -> list[dict[str, Any]]:
    """What speed may cost: at most a point of joint F1 and of overall accuracy, and no record depends on others.

    The loss is the worst over the development sets: of the packaged checkpoint against the larger ones of `tradeoff`.
    """
    rows = []
    if tradeoff is not None:
        for figure, en, zh in (
            ("joint", "joint F1", "提及且情感正确 F1"),
            ("overall", "overall accuracy", "整体情感准确率"),
        ):
            lost = [
                100 * float(found["differences"][figure]["value"])
                for entry in tradeoff["checkpoints"] for found in entry["sets"].values()
                if figure in found.get("differences", {})
            ]  # fmt: skip
            rows.append(
                target(
                    f"quality-{figure}", f"points of {en} that a larger checkpoint gains at most",
                    f"大模型至多提高的{zh}（百分点）", False, 1, max(lost, default=None),
                )
            )  # fmt: skip
    if engines is not None:
        packaged = engines["engines"][0]["neighbours"]
        rows.append(
            target(
                "independent", "largest change of a probability by the neighbours in a batch",
                "同批相邻文本引起的最大概率变化", False, 1e-5, packaged["largest_difference"],
            )
        )  # fmt: skip
    return rows


def complained_of(batching: Results | None, memory: Results | None) -> list[dict[str, Any]]:
    """The complaints of `benchmarks.batching`, and whether memory grows (`benchmarks.memory --mixed`)."""
    rows = [dict(entry) for entry in batching["complaints"]] if batching is not None else []
    grown = {name: found for name, found in (memory or {}).items() if name.startswith("mixed texts ")}
    for name, found in grown.items():
        count = int(name.rsplit(" ", 1)[1])
        rows.append(
            target(
                "growth", f"memory grows: percent over {count:,} texts of mixed length, after a tenth to warm up",
                f"内存不断增长：预热十分之一后，{count:,} 条长短不一的文本期间的增幅（%）", False, 3,
                found["growth_percent"],
            )
        )  # fmt: skip
    return rows
