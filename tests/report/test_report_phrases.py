"""Terms and phrases that set two groups of texts apart."""

from __future__ import annotations

import math

import pytest

from sentiment.report.phrases import contrast, phrase_lists, terms, without_parts


def test_log_odds_follow_the_formula() -> None:
    first, second = [{"座椅"}] * 8 + [{"停车"}] * 4, [{"座椅"}] * 2 + [{"停车"}] * 6
    found = {c.term: c for c in contrast(first, second)}
    alpha = {"座椅": 10.0, "停车": 10.0}  # pooled counts, as n₁ + n₂ = 20 is under 1,000
    y1, y2, n1, n2, a0 = 8, 2, 12, 8, 20
    delta = math.log((y1 + alpha["座椅"]) / (n1 + a0 - y1 - alpha["座椅"])) - math.log(
        (y2 + alpha["座椅"]) / (n2 + a0 - y2 - alpha["座椅"])
    )
    assert found["座椅"].log_odds == pytest.approx(delta)
    assert found["座椅"].z == pytest.approx(delta / math.sqrt(1 / 18 + 1 / 12))
    assert contrast([], second) == []


def test_phrases_leave_out_parts_of_surer_ones() -> None:
    words = [{"停车", "停车场"}] * 30 + [set()] * 10, [{"热情"}] * 40
    negative, positive, found = phrase_lists(*words)
    assert len(negative) == 1
    assert [phrase.words for phrase in positive] == ["热情"]
    for phrase in (*negative, *positive):
        figure = phrase.log_odds
        assert figure.value is not None and figure.low is not None and figure.high is not None
        assert figure.high - figure.value == pytest.approx(1.96 * figure.value / phrase.z)
        assert figure.low > 0  # on its own side, and surely so
        assert figure.n == phrase.negative + phrase.positive
    assert found == (1, 1)
    assert without_parts([]) == []


def test_a_single_term_sets_nothing_apart() -> None:
    assert contrast([{"爆米花"}] * 8, [{"爆米花"}] * 5) == []


def test_terms_are_words_and_neighbours() -> None:
    found = terms("座椅 太 硬，停车", lambda text: ["座椅", "太", "硬", "，", "停车"])
    assert found == {"座椅", "停车"}
