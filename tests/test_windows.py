from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentiment.windows import split_windows


def characters(text: str) -> list[tuple[int, int]]:
    return [(i, i + 1) for i in range(len(text))]


@st.composite
def tokenised(draw: st.DrawFn) -> tuple[str, list[tuple[int, int]]]:
    text = draw(st.text(st.sampled_from("座位太挤a，,、。！？… \n；”）"), max_size=200))
    offsets, position = [], 0
    while position < len(text):
        start = position + draw(st.integers(0, 1))
        position = start + draw(st.integers(1, 3))
        if position <= len(text):
            offsets.append((start, position))
    return text, offsets


@given(tokenised(), st.integers(1, 64))
def test_windows_cover_every_token_in_order(sample: tuple[str, list[tuple[int, int]]], size: int) -> None:
    text, offsets = sample
    windows = split_windows(text, offsets, size)
    assert windows[0][0] == 0 and windows[-1][1] == len(offsets)
    assert all(0 <= end - start <= size for start, end in windows)
    for (start, end), (next_start, next_end) in pairwise(windows):
        assert start < next_start <= end < next_end
        assert end - next_start <= size // 8
    if len(offsets) <= size:
        assert windows == [(0, len(offsets))]


@given(st.integers(1, 20))
def test_windows_of_no_token_are_one(size: int) -> None:
    assert split_windows("", [], size) == [(0, 0)]
    assert split_windows("  ", [], size) == [(0, 0)]


def test_windows_end_after_the_last_sentence_of_the_second_half() -> None:
    text = "一二三四五六七八九。一二。三四五，六七八九十"
    assert split_windows(text, characters(text), 18) == [(0, 13), (13, len(text))]


def test_windows_end_after_a_clause_without_a_sentence() -> None:
    text = "一二。三四五六七八九，一二三四五六七八九十"
    assert split_windows(text, characters(text), 16) == [(0, 11), (11, len(text))]


def test_windows_end_when_full_without_a_clause() -> None:
    text = "一" * 25
    assert split_windows(text, characters(text), 10) == [(0, 10), (10, 20), (20, 25)]


def test_windows_overlap_by_a_short_last_clause() -> None:
    text = "一二三四五六七八九，很好。" + "一二三四五六七八九十"
    assert split_windows(text, characters(text), 16) == [(0, 13), (13, 23)]  # three tokens are over 16 // 8
    text = "一二三四五六七八九十一二三四五六七八九，很好。" + "一二三四五六七八九十"
    assert split_windows(text, characters(text), 24) == [(0, 23), (20, 33)]


def test_windows_see_line_breaks_and_spaces_that_no_token_covers() -> None:
    text = "一二三四五六七\n八九 十一二三四五"
    offsets = [(i, i + 1) for i, character in enumerate(text) if not character.isspace()]
    windows = split_windows(text, offsets, 10)
    assert text[: offsets[windows[0][1] - 1][1]] == "一二三四五六七"
    # Pieces of words: the space begins the next token.
    offsets = [(i - (i > 0 and text[i - 1].isspace()), i + 1) for i, c in enumerate(text) if not c.isspace()]
    assert split_windows(text, offsets, 10) == windows


def test_windows_keep_a_closing_quotation_mark_with_its_sentence() -> None:
    text = "一二三四五说“七八。”二三四五六七八九"
    assert split_windows(text, characters(text), 14)[0] == (0, text.index("”") + 1)


def test_windows_refuse_an_empty_window() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        split_windows("一", [(0, 1)], 0)


@pytest.mark.parametrize("clause", ["一二三四五六七八九，", "一", "，", "。"])
def test_windows_take_linear_time(clause: str) -> None:
    text = clause * (100_000 // len(clause))
    began = time.process_time()
    split_windows(text, characters(text), 500)
    assert time.process_time() - began < 5
