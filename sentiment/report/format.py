"""Numbers as people read them: the same on page and in sentences."""

from __future__ import annotations

from sentiment.report.model import Figure


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


def probability(value: float | None) -> str:
    """p and q: three decimals, "<0.001" below."""
    if value is None:
        return "–"
    return "<0.001" if value < 0.001 else f"{value:.3f}"
