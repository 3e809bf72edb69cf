"""Words that page and workbook print around the figures, in Chinese and English (labels.yaml), and numbers as people
read them."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import yaml

from sentiment.report.model import Figure, Lang


@cache
def labels(lang: Lang) -> dict[str, str]:
    """All words of one language by key."""
    both: dict[str, list[str]] = yaml.safe_load((files("sentiment") / "report" / "labels.yaml").read_text("utf-8"))
    return {key: pair[lang == "en"] for key, pair in both.items()}


def label(key: str, lang: Lang, **values: object) -> str:
    """The words for `key`, `{names}` in them replaced by `values`."""
    text = labels(lang)[key]
    return text.format(**values) if values else text


def kano_label(kano: str, lang: Lang) -> str:
    """The Kano class; "performance" is a question of the report, too."""
    return label("kano_performance" if kano == "performance" else kano, lang)


def number(value: float | None, digits: int = 1, *, sign: bool = False) -> str:
    """`value` with `digits` decimals, thousands apart, a real minus; "–" where there is none. −0.0 is 0.0."""
    if value is None:
        return "–"
    rounded = round(value, digits)
    text = f"{abs(rounded):,.{digits}f}"
    if rounded < 0:
        return f"−{text}"
    return f"+{text}" if sign and rounded > 0 else text


def interval(figure: Figure, digits: int = 1) -> str:
    """`[57.4, 65.4]`; empty where there is none."""
    if figure.value is None or figure.low is None or figure.high is None:
        return ""
    return f"[{number(figure.low, digits)}, {number(figure.high, digits)}]"


GAIN_DIGITS = 2  # of a gain of the index, wherever it stands


def unsure(gain: Figure) -> bool:
    """Whether a gain's interval holds 0, as its low end is printed."""
    return gain.low is not None and round(gain.low, GAIN_DIGITS) <= 0


def probability(value: float | None) -> str:
    """p and q: three decimals, "<0.001" below."""
    if value is None:
        return "–"
    return "<0.001" if value < 0.001 else f"{value:.3f}"
