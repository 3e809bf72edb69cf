"""The sentences of the first screen claim no more than holds for the extremes of many."""

from __future__ import annotations

from dataclasses import replace

import pytest
from example import example_report, index_row
from scipy import stats

from sentiment.report.intervals import widening
from sentiment.report.model import IndexRow, Lang, Report
from sentiment.report.sentences import sentences


def test_sentences_intervals_are_widened_by_bonferroni() -> None:
    assert widening(1) == pytest.approx(1)
    assert widening(17) == pytest.approx(stats.norm.ppf(1 - 0.025 / 17) / stats.norm.ppf(0.975))


def _of(report: Report, lang: Lang, rows: list[IndexRow]) -> str:
    found = replace(
        report, meta=replace(report.meta, lang=lang), performance=replace(report.performance, dimensions=rows)
    )
    return sentences(found)[0]


@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize(("shift", "word"), [(5.0, ("更好", "better")), (-5.0, ("更差", "worse"))])
def test_sentences_call_an_extreme_of_many_no_difference(lang: Lang, shift: float, word: tuple[str, str]) -> None:
    """Of 17 dimensions one is 5 points off the whole, with 4 points either way: alone that says something."""
    report = example_report()
    overall = report.performance.overall.index.value or 0.0
    names = [(row.key, row.zh, row.en) for row in report.performance.dimensions]
    assert len(names) > 15
    near, far = index_row(*names[0], overall + shift), index_row(*names[0], overall + 2 * shift)
    others = [index_row(*name, overall) for name in names[1:]]
    none = "没有哪个维度与总体明显不同" if lang == "zh" else "no dimension stands clearly apart"
    claimed = f"明显{word[0]}" if lang == "zh" else f"clearly {word[1]}"
    assert none in _of(report, lang, [near, *others])
    assert claimed in _of(report, lang, [far, *others])
    assert claimed in _of(report, lang, [near])
