from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentiment.decode import _TRIMMED, MAX_EVIDENCE, EvidenceFinder, join, join_all, sigmoid, softmax
from sentiment.engine import Logits
from sentiment.scaling import Scaling

LN2, LN3, LN7 = np.log([2.0, 3.0, 7.0])
WEAK = -9.0  # log attention of a token that says nothing


def window(mention: Any, polarity: Any, overall: Any, intent: Any, escalation: float, tokens: int = 1) -> Logits:
    values = (np.asarray(value, np.float32) for value in (mention, polarity, overall, intent, escalation))
    return Logits(*values, np.zeros((tokens, len(mention)), np.float32))


FIRST = window([0], [[LN2, 0, 0]], [LN2, 0, 0], [LN2, 0, 0, 0], 0.0)
SECOND = window([LN3], [[0, 0, 0]], [0, 0, 0], [0, LN7, 0, 0], -LN3, tokens=3)


def test_decode_functions_are_stable_at_the_ends() -> None:
    assert softmax(np.array([[LN3, 0.0, 0.0]])) == pytest.approx(np.array([[0.6, 0.2, 0.2]]))
    assert softmax(np.array([1000.0, 0.0])) == pytest.approx([1, 0])
    assert sigmoid(np.array([-1000.0, 0.0, LN3, 1000.0])) == pytest.approx([0, 0.5, 0.75, 1])


def test_decode_one_window_is_taken_as_it_is() -> None:
    decoded = join([FIRST], Scaling())
    assert decoded.mention == pytest.approx([0.5]) and decoded.polarity[0] == pytest.approx([0.5, 0.25, 0.25])
    assert decoded.overall == pytest.approx([0.5, 0.25, 0.25]) and decoded.intent == pytest.approx([0.4, 0.2, 0.2, 0.2])
    assert decoded.escalation == pytest.approx(0.5) and decoded.best.tolist() == [0]


def test_decode_temperature_divides_its_own_head_only() -> None:
    single = window([2 * LN3], [[2 * LN3, 0, 0]], [2 * LN3, 0, 0], [2 * LN3, 0, 0], 2 * LN3)
    for name in ("mention", "polarity", "overall", "intent", "escalation"):
        cold, plain = join([single], Scaling({name: 2.0})), join([single], Scaling())
        for head in ("mention", "polarity", "overall", "intent", "escalation"):
            expected = {True: (0.75, 0.6), False: (0.9, 9 / 11)}[head == name][head not in ("mention", "escalation")]
            assert np.max(getattr(cold, head)) == pytest.approx(expected), (name, head)
            assert np.max(getattr(plain, head)) == pytest.approx((0.9, 9 / 11)[head not in ("mention", "escalation")])


def test_decode_joins_two_windows_by_the_rules() -> None:
    decoded = join([FIRST, SECOND], Scaling())
    # mention: 1/2 and 3/4
    assert decoded.mention == pytest.approx([0.75]) and decoded.best.tolist() == [1]
    # polarity: (1/2 · 1/4 + 1/3 · 9/16) / (1/4 + 9/16)
    assert decoded.polarity[0] == pytest.approx([5 / 13, 4 / 13, 4 / 13])
    # overall: 1 token of 1/2, 3 tokens of 1/3
    assert decoded.overall == pytest.approx([0.375, 0.3125, 0.3125])
    # intent: (.4 .2 .2 .2) and (.1 .7 .1 .1): the least of the first, the most of the others, over their sum 1.2
    assert decoded.intent == pytest.approx([1 / 12, 7 / 12, 1 / 6, 1 / 6])
    assert decoded.escalation == pytest.approx(0.5)


def test_decode_join_does_not_depend_on_the_order_of_windows() -> None:
    one, other = join([FIRST, SECOND], Scaling()), join([SECOND, FIRST], Scaling())
    for name in ("mention", "polarity", "overall", "intent", "escalation"):
        assert getattr(one, name) == pytest.approx(getattr(other, name))
    assert other.best.tolist() == [0]


def test_decode_each_dimension_has_its_own_best_window() -> None:
    first = window([3, -3], np.zeros((2, 3)), np.zeros(3), np.zeros(2), 0)
    second = window([-3, 3], np.zeros((2, 3)), np.zeros(3), np.zeros(2), 0)
    assert join([first, second], Scaling()).best.tolist() == [0, 1]


def test_decode_dimension_that_no_window_mentions_has_a_polarity_all_the_same() -> None:
    silent = window([-400.0], [[LN3, 0, 0]], np.zeros(3), np.zeros(2), 0)
    decoded = join([silent, silent], Scaling({"mention": 0.25}))
    assert decoded.mention == pytest.approx([0]) and decoded.polarity[0] == pytest.approx([0.6, 0.2, 0.2])


HEADS = ("mention", "polarity", "overall", "intent", "escalation", "best")


def drawn(count: int, keys: int, intents: int, spread: float) -> list[Logits]:
    draw = np.random.default_rng(count)
    sizes: tuple[Any, ...] = (keys, (keys, 3), 3, intents, ())
    return [
        Logits(*(np.asarray(draw.normal(0, spread, size), np.float32) for size in sizes), np.zeros((1 + i % 7, keys)))
        for i in range(count)
    ]


@pytest.mark.parametrize(("keys", "intents"), [(18, 4), (1, 2), (3, 11)])
def test_decode_texts_joined_together_have_the_bits_of_texts_joined_alone(keys: int, intents: int) -> None:
    """Wherever in the array a text lies: vector instructions may take its first and its last elements another way."""
    heads = HEADS[:5]
    scaling = Scaling(dict.fromkeys(heads, 1.37), dict.fromkeys(heads, 0.71), {"escalation": (0.3,)}, (0,))
    for spread in (1.0, 12.0):
        windows = iter(drawn(900, keys, intents, spread))
        texts = [[next(windows) for _ in range(1 + (i % 11 == 0) * (1 + i % 5))] for i in range(600)]
        alone = [join(text, scaling) for text in texts]
        for first, size in itertools.product((0, 1, 2, 3, 5, 7), (1, 2, 3, 4, 7, 8, 9, 16, 17, 33, 100, 590)):
            together = join_all(texts[first : first + size], scaling)
            for name in HEADS:
                expected = b"".join(getattr(one, name).tobytes() for one in alone[first : first + size])
                assert getattr(together, name).tobytes() == expected, (name, first, size)


def spread(text: str, strong: dict[int, float]) -> tuple[Any, list[tuple[int, int]]]:
    """A token a character; `strong` gives the attention of some, relative to the peak's 1."""
    attention = np.full(len(text), WEAK)
    for token, share in strong.items():
        attention[token] = np.log(share)
    return attention, [(i, i + 1) for i in range(len(text))]


def evidence_span(attention: Any, offsets: list[tuple[int, int]], text: str) -> tuple[int, int]:
    return EvidenceFinder(offsets, text).span(attention)


def cut(text: str, strong: dict[int, float]) -> str:
    start, end = evidence_span(*spread(text, strong), text)
    return text[start:end]


def test_decode_evidence_is_the_run_that_the_attention_is_even_over() -> None:
    assert cut("零一二三四五六", {3: 1.0}) == "三"
    assert cut("零一二三四五六", {2: 0.9, 3: 1.0, 4: 0.9, 5: 0.8}) == "二三四五"
    assert cut("零一二三四五六", {2: 0.05, 3: 1.0, 4: 0.05}) == "三"
    assert cut("零一二", dict.fromkeys(range(3), 1.0)) == "零一二"


def test_decode_evidence_bridges_a_weak_token_but_no_gap() -> None:
    assert cut("零一二三四五六", {1: 0.9, 3: 1.0, 4: 0.9, 5: 0.9}) == "一二三四五"
    assert cut("零一二三四五六七八九十", {0: 0.3, 7: 1.0, 8: 1.0}) == "七八"


def test_decode_evidence_prefers_whole_clauses() -> None:
    inside = {3: 1.0, 4: 1.0, 5: 1.0, 6: 0.4}
    assert cut("零一，三四五六，八", inside) == "三四五六"
    assert cut("零一二三四五六七八", inside) == "三四五"
    across = {3: 1.0, 4: 1.0, 5: 1.0, 6: 1.0, 8: 0.8, 9: 0.8}
    assert cut("零一，三四五六，八九十", across) == "三四五六"
    assert cut("零一二三四五六七八九十", across) == "三四五六七八九"


def test_decode_evidence_of_a_window_heeds_the_characters_beside_it() -> None:
    attention, offsets = np.log([1e-4, 1.0, 1.0, 1.0, 0.38]), [(i, i + 1) for i in range(2, 7)]
    for text, front, back in (("零一二三四五六七", 3, 6), ("零，二三四五六七", 2, 6), ("零一二三四五六，", 3, 7),
                              ("零一二三四五六", 3, 7)):  # fmt: skip
        assert EvidenceFinder(offsets, text).span(attention[::-1])[0] == front, text
        assert EvidenceFinder(offsets, text).span(attention)[1] == back, text


def test_decode_evidence_takes_the_ends_of_the_text_for_ends_of_clauses() -> None:
    weak_last, offsets = np.log([1e-4, 1.0, 1.0, 1.0, 0.38]), [(i, i + 1) for i in range(5)]
    assert EvidenceFinder(offsets, "零一二三四").span(weak_last) == (1, 5)
    assert EvidenceFinder(offsets, "零一二三四五").span(weak_last) == (1, 4)
    assert EvidenceFinder(offsets, "零一二三四").span(weak_last[::-1]) == (0, 4)


def test_decode_evidence_of_an_even_long_stretch_is_its_best_part() -> None:
    text = "".join(map(chr, range(0x4E00, 0x4E00 + 100)))
    before, after = dict.fromkeys(range(10, 50), 0.5), dict.fromkeys(range(51, 90), 0.9)
    assert cut(text, {**before, 50: 1.0, **after}) == text[50:90]


def test_decode_evidence_does_not_depend_on_what_was_asked_before() -> None:
    text = "座椅太硬，坐得腰疼。音响好"
    attentions = [spread(text, {at: 1.0, at + 1: 0.8})[0] for at in (0, 5, 10)]
    offsets = [(i, i + 1) for i in range(len(text))]
    finder = EvidenceFinder(offsets, text)
    once = [EvidenceFinder(offsets, text).span(attention) for attention in attentions]
    assert [finder.span(attention) for attention in attentions * 2] == once * 2 and len(set(once)) == 3


def test_decode_evidence_drops_punctuation_at_the_ends() -> None:
    assert cut("，太硬！腰", dict.fromkeys(range(4), 1.0)) == "太硬"
    assert cut("太硬，腰疼", dict.fromkeys(range(5), 1.0)) == "太硬，腰疼"
    assert cut("“太硬”。", dict.fromkeys(range(5), 1.0)) == "太硬"


def test_decode_evidence_never_peaks_at_punctuation() -> None:
    assert cut("座椅太硬。音响好", {4: 1.0, 7: 0.01}) == "音响好"


def test_decode_evidence_is_bounded() -> None:
    text = "".join(map(chr, range(0x4E00, 0x4E00 + 100)))
    even = dict.fromkeys(range(100), 1.0)
    for peak in (0, 50, 99):
        assert len(cut(text, {**even, peak: 1.1})) == MAX_EVIDENCE == 40
        assert text[peak] in cut(text, {**even, peak: 1.1})
    assert evidence_span(np.zeros(1), [(0, 100)], text) == (0, 40)
    assert evidence_span(np.zeros(1), [(0, 100)], "，" * 50 + "好" * 50) == (50, 90)


def test_decode_evidence_of_a_window_of_punctuation_stays_in_the_window() -> None:
    text = "座椅太硬" + "！？" * 30
    assert evidence_span(np.zeros(10), [(i, i + 1) for i in range(10, 20)], text) == (10, 20)
    assert evidence_span(np.zeros(50), [(i, i + 1) for i in range(10, 60)], text) == (10, 50)


def test_decode_evidence_without_tokens_is_the_beginning() -> None:
    assert evidence_span(np.zeros(0), [], "座椅太硬") == (0, 4)
    assert evidence_span(np.zeros(0), [], "") == (0, 0)


@st.composite
def tokenised(draw: st.DrawFn) -> tuple[str, list[tuple[int, int]], list[float]]:
    text = draw(st.text(st.sampled_from("座位太挤a，,、。！ \n；”😊"), min_size=1, max_size=150))
    offsets, position = [], 0
    while position < len(text):
        start = position + draw(st.integers(0, 1))
        position = start + draw(st.sampled_from((1, 1, 2, 3, 60)))
        if start < len(text):
            offsets.append((start, min(position, len(text))))
    return text, offsets, draw(st.lists(st.floats(-20, 0), min_size=len(offsets), max_size=len(offsets)))


@given(tokenised())
def test_decode_evidence_is_always_some_of_the_tokens(sample: tuple[str, list[tuple[int, int]], list[float]]) -> None:
    text, offsets, attention = sample
    start, end = evidence_span(np.array(attention), offsets, text)
    assert 0 <= start < end <= min(len(text), start + MAX_EVIDENCE)
    if offsets:
        assert offsets[0][0] <= start and end <= offsets[-1][1]
    usable = [t for t, (a, b) in enumerate(offsets) if text[a:b].strip(_TRIMMED)]
    if usable:
        a, b = offsets[max(usable, key=lambda t: attention[t])]
        assert start < b and a < end  # the peak is part of it
        assert text[start] not in _TRIMMED and text[end - 1] not in _TRIMMED
