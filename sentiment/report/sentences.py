"""The three sentences of the first screen, made from the figures: how it stands, what to fix first, did it work.

They claim no more than the intervals allow: a dimension is called better or worse than the whole only if its interval,
widened for how many dimensions it was chosen from, does not reach the overall index; a change is called one only if it
holds after correction.
"""

from __future__ import annotations

from sentiment.report.intervals import widening
from sentiment.report.labels import GAIN_DIGITS, interval, kano_label, number, unsure
from sentiment.report.model import Figure, IndexRow, Report

_MIN_MENTIONS = 30


def sentences(report: Report) -> list[str]:
    """Three plain sentences in the language of the report."""
    return [_standing(report), _first(report), _worked(report)]


def _range(figure: Figure, zh: bool, digits: int = 1) -> str:
    """`95% interval 57.4 to 65.4`."""
    if figure.low is None or figure.high is None:
        return "无法给出区间" if zh else "without an interval"
    ends = number(figure.low, digits), number(figure.high, digits)
    return f"95% 区间 {ends[0]} 至 {ends[1]}" if zh else f"95% interval {ends[0]} to {ends[1]}"


def _percent(figure: Figure) -> str:
    """`9.0% [7.0, 11.0]`."""
    return f"{number(figure.value)}% {interval(figure)}".rstrip()


def _names(report: Report) -> dict[str, str]:
    zh = report.meta.lang == "zh"
    names = {d.key: d.zh if zh else d.en for d in report.dimensions}
    return {**names, "service": "服务总体" if zh else "the service overall"}


def _standing(report: Report) -> str:
    zh, overall = report.meta.lang == "zh", report.performance.overall
    if overall.index.value is None:
        return "没有足够的评论来给服务打分。" if zh else "There are not enough texts to rate the service."
    value, bounds, n = overall.index, _range(overall.index, zh), number(overall.index.n, 0)
    best = _apart(report, overall.index.value, better=True)
    worst = _apart(report, overall.index.value, better=False)
    if zh:
        text = f"服务评价指数是 {number(value.value)}（满分 100，{bounds}，{n} 处提及）"
        said = [f"{best}明显更好" if best else "", f"{worst}明显更差" if worst else ""]
        tail = "，".join(part for part in said if part) or "没有哪个维度与总体明显不同"
        return f"{text}；{tail}。"
    text = f"The service index is {number(value.value)} of 100 ({bounds}, {n} mentions)"
    said = [f"{best} clearly better" if best else "", f"{worst} clearly worse" if worst else ""]
    tail = " and ".join(part for part in said if part)
    return f"{text}, with {tail}." if tail else f"{text}; no dimension stands clearly apart."


def _apart(report: Report, overall: float, *, better: bool) -> str:
    """Up to two dimensions whose whole interval, widened for the number of dimensions, lies on one side of the overall
    index."""
    zh, names = report.meta.lang == "zh", _names(report)
    tested: list[tuple[float, float, float, IndexRow]] = []
    for row in report.performance.dimensions:
        index = row.index
        if index.value is None or index.low is None or index.high is None or index.n < _MIN_MENTIONS:
            continue
        tested.append((index.value, index.low, index.high, row))
    wider = widening(len(tested))
    found: list[tuple[float, IndexRow]] = []
    for value, low, high, row in tested:
        end = value - wider * (value - low) if better else value + wider * (high - value)
        if (end > overall) if better else (end < overall):
            found.append((value, row))
    found.sort(key=lambda pair: pair[0], reverse=better)
    chosen = []
    for value, row in found[:2]:
        said = f"{number(value, 0)} {interval(row.index, 0)}，n {number(row.index.n, 0)}"
        chosen.append(f"{names[row.key]}（{said}）" if zh else f"{names[row.key]} ({said.replace('，', ', ')})")
    return ("、" if zh else " and ").join(chosen)


def _first(report: Report) -> str:
    zh, names = report.meta.lang == "zh", _names(report)
    fixes = report.priorities.fix_first
    if not fixes or fixes[0].gain.value is None:
        return "看不出先改哪一项会有多大好处。" if zh else "What to fix first cannot be told from these texts."
    fix = fixes[0]
    kano = next((row.kano for row in report.priorities.impact if row.key == fix.key), None)
    name, gain, n = names[fix.key], number(fix.gain.value, GAIN_DIGITS), number(fix.gain.n, 0)
    bounds, rate, target = _range(fix.gain, zh, GAIN_DIGITS), _percent(fix.rate), _percent(fix.target)
    best, known = report.priorities.benchmark == "best_quarter", fix.target.value is not None
    if zh:
        goal = f"从 {rate} 降到" + (f"最好的四分之一影院的 {target}" if best else f"一半，即 {target}")
        means = f"差评率{goal}" if known else "差评率高于最好的四分之一的影院都降到它们的水平"
        text = f"先改{name}：{means}，总指数约可升 {gain} 点（{bounds}，{n} 条评论）"
        text += "，但区间含 0，并不确定" if unsure(fix.gain) else ""
        why = {
            "basic": "；它是必备项，坏了扣分，好了不加分",
            "performance": "；它是期望项，好坏都影响评价",
            "excitement": "；它是兴奋项，做好了更加分",
        }.get(kano or "", "")
        return f"{text}{why}。"
    goal = f"the {target} of the best quarter of cinemas" if best else f"half of that, {target},"
    means = f"down from {rate} of texts to {goal}" if known else "in the other cinemas down to the best quarter's rate"
    text = f"Fix {name} first: bringing complaints {means} "
    text += f"would lift the index by about {gain} points ({bounds}, {n} texts)"
    text += ", though the interval holds 0, so this is not certain" if unsure(fix.gain) else ""
    why = {
        "basic": f"; it is a {kano_label('basic', 'en')} need, which costs when bad and earns nothing when good",
        "performance": "; it counts both ways, when good and when bad",
        "excitement": "; it delights, and earns more when good than it costs when bad",
    }.get(kano or "", "")
    return f"{text}{why}."


def _worked(report: Report) -> str:
    """The surest change that holds, else the surest difference between groups; then who waits."""
    zh = report.meta.lang == "zh"
    change = _change(report) or _difference(report) or _no_change(report)
    waiting = report.action.escalations
    if zh:
        urgent = f"有 {waiting} 条评论需要立即升级处理" if waiting else "没有评论需要立即升级处理"
        return f"{change}；{urgent}。"
    texts = "text needs" if waiting == 1 else "texts need"
    urgent = f"{waiting:,} {texts} to be escalated now" if waiting else "no text needs to be escalated"
    return f"{change}; {urgent}."


def _no_change(report: Report) -> str:
    zh, part = report.meta.lang == "zh", report.changes
    if part.trend is not None or any(comparison.kind != "by" for comparison in part.comparisons):
        return "没有发现确实的变化" if zh else "No change stands out with certainty"
    if part.comparisons:
        return "没有哪一组与其余确实不同" if zh else "No group stands apart from the others with certainty"
    return (
        "没有足够的日期，也没有对比，看不出是否有变化" if zh else "Nothing to compare: what has changed cannot be told"
    )


def _change(report: Report) -> str | None:
    zh, names = report.meta.lang == "zh", _names(report)
    found: list[tuple[float, float, str, str, str, Figure, Figure, Figure]] = []
    for comparison in report.changes.comparisons:
        if comparison.kind == "by":
            continue
        when = comparison.after.zh if zh else comparison.after.en
        for change in comparison.cinemas:
            if change.significant and change.difference.value is not None:
                size = -abs(change.difference.value)
                figures = change.before, change.after, change.difference
                found.append((change.q, size, change.cinema, change.key, when, *figures))
        for row in comparison.rows:
            if row.significant and row.q is not None and row.difference.value is not None:
                size = -abs(row.difference.value)
                found.append((row.q, size, "", row.key, when, row.before, row.after, row.difference))
    for series in report.changes.trend.series if report.changes.trend else ():
        for point in series.changes:
            if point.difference.value is not None and (series.cinema or series.key == "service"):
                when = f"{point.at} 起" if zh else f"from {point.at}"
                size = -abs(point.difference.value)
                figures = point.before, point.after, point.difference
                found.append((point.q, size, series.cinema or "", series.key, when, *figures))
    if not found:
        return None
    # Resampling cannot tell small probabilities apart: below 0.001 the larger change goes first.
    surest = min(found, key=lambda item: (max(item[0], 0.001), item[1]))
    _, _, cinema, key, when, before, after, spread = surest
    name, old, new = names.get(key, key), number(before.value), number(after.value)
    if zh:
        return f"{cinema}{'的' if cinema else ''}{name}在“{when}”由 {old} 变为 {new}（{_spread(spread, zh)}），变化可信"
    where = f" of {cinema}" if cinema else ""
    return f"The index for {name}{where} went from {old} to {new} ({when}; {_spread(spread, zh)}), a change that holds"


def _spread(figure: Figure, zh: bool) -> str:
    """`+5.0, 95% interval 1.0 to 9.0, 120 mentions`."""
    value, n = number(figure.value, sign=True), number(figure.n, 0)
    return f"{value}，{_range(figure, zh)}，{n} 处提及" if zh else f"{value}, {_range(figure, zh)}, {n} mentions"


def _difference(report: Report) -> str | None:
    """The surest difference of a group (`--by`) from all others: no change, as nothing need have been different."""
    zh, names = report.meta.lang == "zh", _names(report)
    found = [
        (max(row.q, 0.001), -abs(row.difference.value), comparison, row)
        for comparison in report.changes.comparisons
        for row in comparison.rows
        if comparison.kind == "by" and row.significant and row.q is not None and row.difference.value is not None
    ]
    if not found:
        return None
    _, _, comparison, row = min(found, key=lambda item: item[:2])
    name, own, others = names.get(row.key, row.key), number(row.after.value), number(row.before.value)
    where, spread = comparison.after, _spread(row.difference, zh)
    if zh:
        return f"{where.zh}的{name}是 {own}，其余是 {others}（{spread}），差别可信"
    return f"The index for {name} is {own} at {where.en} and {others} elsewhere ({spread}), a difference that holds"
