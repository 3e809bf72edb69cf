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
            ("memory", f"MB at most, scoring {n} rows", f"打分 {n} 行的内存峰值（MB）", False, 1000,
             job["peak_mb"], None),
            ("flat", "memory in the last tenth over the first", "最后十分之一与最初十分之一的内存之比", False, 1.03,
             job["resident_mb"][-1] / job["resident_mb"][0], None),
            ("steady", "rate of the last tenth over the first", "最后十分之一与最初十分之一的速度之比", True, 0.95,
             job["last_over_first"], None),
        ]  # fmt: skip
    return [
        {
            "name": name, "title": en, "zh": zh, "at_least": at_least, "bound": bound,
            "value": None if value is None else round(value, 3), "long": None if long is None else round(long, 3),
            "met": None if value is None else (value >= bound if at_least else value <= bound),
        }
        for name, en, zh, at_least, bound, value, long in rows
    ]  # fmt: skip
