"""Words that page and workbook print around the figures, in Chinese and English: labels.yaml."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import yaml

from sentiment.report.model import Lang


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
