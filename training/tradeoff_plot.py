"""The trade-off of `benchmarks/tradeoff.py` as a picture: results in, SVG out, without a library for charts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from training.quality_tables import SETS, Language, find
from training.tradeoff_table import FIGURES, NAMES, depth

WIDTH, PLOT = 420, 214  # of a panel, and how high its axis is
LEFT, RIGHT, HEAD, BOTTOM = 56, 24, 62, 52
LINE = 17  # pixels for the name of a checkpoint, above the plot
COLOURS: Mapping[str, str] = {"joint": "#1f5fa8", "overall": "#b4510f"}  # 4.5 : 1 on white
INK, GRID = "#333333", "#dddddd"
APART = 7  # pixels between the two figures of one checkpoint, whose rate is the same


@dataclass(frozen=True)
class Scale:
    """From a value to a pixel."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers over a range that they enclose, some `count` of them."""
    step = max((high - low) / count, 1e-6)
    power = 10 ** math.floor(math.log10(step))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 9) for number in range(first, max(last, first + 1) + 1)]


def tradeoff_plot(found: Mapping[str, Any], lang: Language = "en") -> str:
    """A panel for each development set: rate on short comments to the right, the two figures upwards."""
    sets = [name for name in found["sets"] if _points(found, name)]
    title = _say(lang, "Quality against rate, by checkpoint", "各模型的质量与速率")
    width, height = max(len(sets), 1) * WIDTH, HEAD + LINE * len(found["checkpoints"]) + PLOT + BOTTOM
    body = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'role="img" aria-labelledby="title" font-family="Helvetica, Arial, \'Noto Sans CJK SC\', sans-serif" '
        'font-size="12">',
        f'<title id="title">{escape(title)}</title>',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    top = max(entry["short"]["texts_per_second"] for entry in found["checkpoints"])
    for number, name in enumerate(sets):
        body += [f'<g transform="translate({number * WIDTH} 0)">', *_panel(found, name, top, lang), "</g>"]
    return "\n".join([*body, "</svg>"]) + "\n"


def _points(found: Mapping[str, Any], name: str) -> list[tuple[Mapping[str, Any], str, Mapping[str, float]]]:
    """(checkpoint, figure, its value and interval) of a set, where there is one."""
    points = []
    for entry in found["checkpoints"]:
        for figure in FIGURES:
            rate = find(entry, ("sets", name, "figures", figure))
            if rate is not None:
                points.append((entry, figure, rate))
    return points


def _panel(found: Mapping[str, Any], name: str, top: float, lang: Language) -> list[str]:
    points = _points(found, name)
    across = ticks(0, top * 1.15)  # room for the name beside the fastest
    up = ticks(100 * min(rate["low"] for _, _, rate in points), 100 * max(rate["high"] for _, _, rate in points))
    x = Scale(across[0], across[-1], LEFT, WIDTH - RIGHT)
    top_of_plot = HEAD + LINE * len(found["checkpoints"])
    y = Scale(up[0], up[-1], top_of_plot + PLOT, top_of_plot)
    title = _say(lang, *SETS.get(name, (name, name)))
    split = _say(lang, f"{title[:1].upper()}{title[1:]}, development", f"{title}，开发集")
    lines = [_text(LEFT, 22, split, weight="bold"), *_legend(lang), *_axes(across, up, x, y, lang)]
    for entry, figure, rate in points:
        at = x(entry["short"]["texts_per_second"]) + (APART if figure == "overall" else -APART) / 2
        low, value, high = (y(100 * rate[end]) for end in ("low", "value", "high"))
        colour = COLOURS[figure]
        lines.append(f'<path d="M{at:.1f} {low:.1f}V{high:.1f}" stroke="{colour}" stroke-width="1.5"/>')
        lines.append(_mark(figure, at, value))
    return [*lines, *_names(found, points, x, y, lang)]


def _names(
    found: Mapping[str, Any], points: Sequence[tuple[Mapping[str, Any], str, Mapping[str, float]]], x: Scale, y: Scale,
    lang: Language,
) -> list[str]:  # fmt: skip
    """A line above the plot for each checkpoint, led down to its marks.

    Names to the left of their leaders come first, the fastest above; then those to the right, the slowest above: so no
    leader crosses the name of its neighbour.
    """
    middle = (LEFT + WIDTH - RIGHT) / 2
    placed = [(x(entry["short"]["texts_per_second"]), entry) for entry in found["checkpoints"]]
    placed.sort(key=lambda one: (one[0] <= middle, -one[0] if one[0] > middle else one[0]))
    lines = []
    for number, (at, entry) in enumerate(placed):
        label = _say(lang, *NAMES.get(entry["name"], (entry["name"],) * 2))
        label += _say(
            lang, f", {depth(entry)} layers, {entry['mb']:.0f} MB", f"，{depth(entry)} 层，{entry['mb']:.0f} MB"
        )
        line = HEAD + LINE * number + 12
        end = min((y(100 * rate["high"]) for other, _, rate in points if other is entry), default=line)
        side = (-4, "end") if at > middle else (4, "start")
        lines.append(f'<path d="M{at:.1f} {line - 9}V{end:.1f}" stroke="{INK}" stroke-dasharray="2 3"/>')
        lines.append(_text(at + side[0], line, label, anchor=side[1]))
    return lines


def _axes(across: Sequence[float], up: Sequence[float], x: Scale, y: Scale, lang: Language) -> list[str]:
    lines, bottom = [], y(up[0])
    for value in up:
        lines.append(f'<path d="M{LEFT} {y(value):.1f}H{WIDTH - RIGHT}" stroke="{GRID}"/>')
        lines.append(_text(LEFT - 6, y(value) + 4, f"{value:g}%", anchor="end"))
    for value in across:
        lines.append(_text(x(value), bottom + 18, f"{value:,.0f}", anchor="middle"))
    lines.append(f'<path d="M{LEFT} {bottom:.1f}H{WIDTH - RIGHT}" stroke="{INK}"/>')
    said = _say(lang, "short comments a second", "每秒短评条数")
    lines.append(_text((LEFT + WIDTH - RIGHT) / 2, bottom + 40, said, anchor="middle"))
    return lines


def _legend(lang: Language) -> list[str]:
    lines, at = [], float(LEFT + 5)
    titles = {
        "joint": _say(lang, "mentions with sentiment, F1", "提及且情感正确，F1"),
        "overall": _say(lang, "overall, accuracy", "整体情感，准确率"),
    }
    for figure, title in titles.items():
        lines += [_mark(figure, at, 40), _text(at + 9, 44, title)]
        at += 190 if lang == "en" else 150
    return lines


def _mark(figure: str, x: float, y: float) -> str:
    """A disc or a square: the two can be told apart without colour."""
    colour = COLOURS[figure]
    if figure == "joint":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{colour}"/>'
    return f'<rect x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8" fill="{colour}"/>'


def _text(x: float, y: float, said: str, *, anchor: str = "start", weight: str = "normal") -> str:
    style = f'text-anchor="{anchor}" font-weight="{weight}" fill="{INK}" stroke="#ffffff" stroke-width="3" '
    style += 'paint-order="stroke"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(said)}</text>'


def _say(lang: Language, en: str, zh: str) -> str:
    return zh if lang == "zh" else en
