"""The targets of quality: each a figure of the results beside its bound, met, missed, or of too few cases to say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sentiment.taxonomy import Taxonomy
from training.capability_tables import WEAK
from training.quality_tables import (
    MISSING,
    SETS,
    Language,
    Results,
    checkpoints,
    find,
    percent,
    row,
    set_label,
    sets_of,
    table,
)

Verdict = Literal["met", "missed", "too few"]
FEW = 30  # cases; with fewer a figure says nothing
CARD = "sentiment/model/README.md#targets"

# Bound of each figure on each set, by where the figure is in a report; ECE and rates as shares.
F1S: tuple[tuple[str, str, str, tuple[str, ...], Mapping[str, float]], ...] = (
    ("service mentions, micro-F1", "service mentions", "服务维度提及", ("service", "mention", "f1"),
     {"real": 0.90, "written": 0.92}),
    ("with sentiment, micro-F1", "with sentiment", "提及且情感正确", ("service", "joint", "f1"),
     {"real": 0.86, "written": 0.88}),
    ("with sentiment, macro-F1 over dimensions", "macro-F1 over dimensions", "各维度宏平均 F1",
     ("service", "macro_joint"), {"real": 0.82, "written": 0.82}),
    ("overall, accuracy", "overall", "整体情感", ("overall", "accuracy"), {"real": 0.87, "written": 0.90}),
    ("intent, macro-F1", "intent", "诉求类型", ("intent", "macro_f1"), {"real": 0.93, "written": 0.93}),
    ("escalation, F1", "escalation", "升级处理", ("escalation", "f1"), {"real": 0.90, "written": 0.90}),
    ("overall errors among the least certain 15%", "overall errors among the least certain",
     "整体情感错误集中于最不确定者", ("risk_coverage", "caught"), {"real": 0.5, "written": 0.5}),
    ("evidence, character F1", "evidence", "依据", ("evidence", "f1"), {"real": 0.75, "written": 0.75}),
)  # fmt: skip
HEADS = {"dimensions": "维度", "overall": "整体情感", "intent": "诉求类型", "escalation": "升级处理"}
ECE_MOST = 0.03
WORDING_MOST = 0.02  # between Taiwan or Hong Kong usage and mainland wording
WORDINGS = {"joint": ("with sentiment, F1", "提及且情感正确"), "overall": ("overall, accuracy", "整体情感")}
FILM_TALK_MOST = 0.03


@dataclass(frozen=True)
class Target:
    """One target on one set of texts. `name` is what a list calls it, `sets` the set there if there is one for each
    set, both in English and Chinese; `verdict` None: there is no bound."""

    title: str
    name: tuple[str, str]
    texts: str
    sets: tuple[str, str] | None
    bound: str
    value: str
    cases: str
    verdict: Verdict | None


def quality_targets(
    results: Results,
    taxonomy: Taxonomy,
    robustness: Mapping[str, Any] | None = None,
    checklist: Mapping[str, Any] | None = None,
) -> list[Target]:
    """Every target on every set it is measured on; a value is met or missed whatever its interval.

    Args:
        results: of `benchmarks.quality`, with others or without. robustness, checklist: of the scripts of that name.
    """
    found: list[Target] = []
    models = checkpoints(results)
    if models:
        sets = {name: facts for name, facts in sets_of(results).items() if name in models[0]["sets"]}
        for name, facts in sets.items():
            found += _of_set(name, facts, models[0]["sets"][name], taxonomy)
        order = list(dict.fromkeys(target.title for target in found))
        found.sort(key=lambda target: order.index(target.title))
    return [*found, *_of_robustness(robustness), *_of_checklist(checklist)]


def targets_block(targets: Sequence[Target]) -> str:
    """The table for the card: a row for each target on each set."""
    if not targets:
        return "Not measured yet: `python -m benchmarks.quality`."
    lines = table("target", ["texts", "bound", "value", "cases", ""])
    words = {"met": "met", "missed": "**missed**", "too few": "too few to say", None: ""}
    for t in targets:
        lines.append(row(t.title, [t.texts, t.bound, t.value, t.cases, words[t.verdict]]))
    note = (
        f"{_counted(targets, 'en')} In percent, differences in points; in brackets 95% intervals (bootstrap over "
        "texts), where they are reckoned. Met or missed is said of the value: where the interval holds the bound, "
        f"chance may have decided. Fewer than {FEW} cases, of a macro mean less than half of the dimensions, say "
        "nothing; a head's calibration is held to the cases of the head."
    )
    return "\n".join([*lines, "", note])


def targets_line(targets: Sequence[Target], lang: Language = "en") -> str:
    """One paragraph for a README: how many targets are met, and which are not."""
    if not targets:
        return _say(lang, "Targets: not measured yet.", "目标：尚未评测。")
    parts = [_counted(targets, lang)]
    for verdict, en, zh in (("missed", "Missed", "未达到"), ("too few", "Too few cases to say", "样本太少，无从判断")):
        names = _listed(targets, verdict, lang)
        if names:
            parts.append(_say(lang, f"{en}: {names}.", f"{zh}：{names}。"))
    parts.append(_say(lang, f"Bounds and values: [card]({CARD}).", f"各项界限与数值见[模型卡]({CARD})。"))
    return _say(lang, " ", "").join(parts)


def _of_set(name: str, facts: Mapping[str, Any], report: Mapping[str, Any], taxonomy: Taxonomy) -> Iterator[Target]:
    kind = name.removesuffix("-test")
    sets = (set_label(name, facts, "en"), set_label(name, facts, "zh"))
    for title, en, zh, path, bounds in F1S:
        rate = find(report, path)
        if kind not in bounds or rate is None:
            continue
        cases, enough = _cases(report, path[0], taxonomy, macro=path[-1] == "macro_joint")
        yield Target(
            title, (en, zh), sets[0], sets, f"≥ {100 * bounds[kind]:g}", percent(rate), cases,
            _verdict(rate["value"] >= bounds[kind], enough),
        )  # fmt: skip
        if path[0] == "risk_coverage":
            rest, left = find(report, ("risk_coverage", "accuracy_of_the_rest")), report["texts"]
            left -= report["risk_coverage"]["texts"]
            title = "overall, accuracy of the other 85%"
            yield Target(title, (en, zh), sets[0], sets, MISSING, percent(rest), f"{left} texts", None)
    for head, zh in HEADS.items():
        entry = find(report, ("calibration", head))
        if kind in SETS and entry is not None:
            cases, enough = _cases(report, head, taxonomy)
            yield Target(
                f"calibration error of {head}, debiased ECE", (f"calibration of {head}", f"{zh}校准"), sets[0], sets,
                f"≤ {100 * ECE_MOST:g}", f"{100 * entry['ece']:.1f} (plain {100 * entry['plain']:.1f})", cases,
                _verdict(entry["ece"] <= ECE_MOST, enough),
            )  # fmt: skip


def _cases(report: Mapping[str, Any], part: str, taxonomy: Taxonomy, *, macro: bool = False) -> tuple[str, bool]:
    """(How many cases a figure rests on, in words; whether they are enough)."""
    if macro:
        count, of = len(report["service"]["macro_joint"]["dimensions"]), len(taxonomy.service_keys)
        return f"{count} of {of} dimensions", 2 * count >= of
    if part == "intent":  # a mean over the classes that occur: one case of the rarest weighs as much as all others
        entry = report[part]
        counts = {label: sum(line) for label, line in zip(entry["labels"], entry["confusion"], strict=True)}
        rarest = min((label for label in counts if counts[label]), key=counts.__getitem__)
        return f"{counts[rarest]} of the rarest, {rarest}", counts[rarest] >= FEW
    told = {
        "overall": (("overall", "texts"), "texts"),
        "service": (("service", "support"), "mentions"),
        "dimensions": (("calibration", "dimensions", "labels"), "mentions called"),
        "escalation": (("escalation", "support"), "to be escalated"),
        "risk_coverage": (("risk_coverage", "errors"), "errors"),
        "evidence": (("evidence", "mentions"), "mentions"),
    }
    path, unit = told[part]
    count = int(find(report, path))
    return f"{count} {unit}", count >= FEW


def _of_robustness(found: Mapping[str, Any] | None) -> Iterator[Target]:
    if found is None:
        return
    pairs, talk = found["pairs"], found["film_talk"]
    for name, (title, zh) in WORDINGS.items():
        rate = pairs["differences"][name]
        yield Target(
            f"{title}: mainland wording less Taiwan and Hong Kong usage", (f"{title} by wording", f"{zh}的用语之差"),
            "pairs of wordings", None, f"≤ {100 * WORDING_MOST:g} either way", percent(rate), f"{pairs['pairs']} pairs",
            _verdict(abs(rate["value"]) <= WORDING_MOST, pairs["pairs"] >= FEW),
        )  # fmt: skip
    yield Target(
        "film alone, yet a service label", ("film taken for service", "影片误作服务"), "talk of the film", None,
        f"≤ {100 * FILM_TALK_MOST:g}", percent(talk["rate"]), f"{talk['texts']} texts",
        _verdict(talk["rate"]["value"] <= FILM_TALK_MOST, talk["texts"] >= FEW),
    )  # fmt: skip


def _of_checklist(found: Mapping[str, Any] | None) -> Iterator[Target]:
    if found is None:
        return
    weak = sum(test["rate"] > WEAK for test in found["tests"])
    yield Target(
        f"capabilities that fail in more than {WEAK:.0%} of their cases", ("capabilities", "能力测试"),
        "capability tests", None, "0", str(weak), f"{len(found['tests'])} tests", _verdict(weak == 0, True),
    )  # fmt: skip


def _verdict(reached: bool, enough: bool) -> Verdict:
    if not enough:
        return "too few"
    return "met" if reached else "missed"


def _counted(targets: Sequence[Target], lang: Language) -> str:
    judged = [t.verdict for t in targets if t.verdict is not None]
    met, few = judged.count("met"), judged.count("too few")
    decided = len(judged) - few
    return _say(
        lang,
        f"Targets met: {met} of {decided}, each set counted apart; {few} more rest on too few cases.",
        f"目标：各组文本分别计，{decided} 项中达到 {met} 项，另有 {few} 项样本太少。",
    )


def _listed(targets: Sequence[Target], verdict: str, lang: Language) -> str:
    """`escalation (real comments, written texts), capabilities`: names with the sets of one verdict."""
    names: dict[str, list[str]] = {}
    for t in targets:
        if t.verdict == verdict:
            names.setdefault(_say(lang, *t.name), []).extend([] if t.sets is None else [_say(lang, *t.sets)])
    shown = [
        name + (_say(lang, f" ({', '.join(sets)})", f"（{'、'.join(sets)}）") if sets else "")
        for name, sets in names.items()
    ]
    return _say(lang, ", ", "；").join(shown)


def _say(lang: Language, en: str, zh: str) -> str:
    return zh if lang == "zh" else en
