from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.example import Example
from training.near_duplicates import (
    near_duplicate_groups,
    near_duplicates_of,
    shingles,
    split_groups,
    without_near_duplicates,
)

BASE = "座椅太硬，坐得腰疼，前面的人还一直打电话没人管"


def jaccard(first: str, second: str) -> float:
    a, b = shingles(first), shingles(second)
    return len(a & b) / len(a | b)


def test_near_duplicates_share_a_group() -> None:
    variants = [f"{BASE}！", f"【{BASE}】", BASE.replace("硬", "软"), "座椅太硬，坐得腰疼，前面的人還一直打電話沒人管"]
    others = ["电影本身很好看，哭湿了两包纸巾", "停车免费两小时，很方便", "座椅太硬，坐得腰疼"]
    groups = near_duplicate_groups([BASE, *variants, *others])
    assert len(set(groups[:5])) == 1
    assert len({*groups[5:], groups[0]}) == 4


def test_near_duplicates_texts_of_emoji_alone_are_no_near_duplicates_of_others() -> None:
    assert len(set(near_duplicate_groups(["😡😡😡", "😍", "👏👏", "！！！", "😡 😡 😡"]))) == 4


def test_near_duplicates_chain() -> None:
    letters = [chr(0x4E00 + i) for i in range(60)]
    texts = ["".join(letters[i : i + 24]) for i in range(0, 36, 4)]
    assert jaccard(texts[0], texts[1]) > 0.5 and jaccard(texts[0], texts[-1]) == 0
    assert len(set(near_duplicate_groups(texts))) == 1
    assert len(set(near_duplicate_groups([texts[0], texts[-1]]))) == 2


@given(st.lists(st.integers(0, 30), min_size=2, max_size=12))
def test_near_duplicates_groups_are_named_by_their_first_text(starts: list[int]) -> None:
    # Whatever the order in which a set yields its shingles: else no split could be drawn twice.
    letters = [chr(0x4E00 + i) for i in range(60)]
    groups = near_duplicate_groups(["".join(letters[start : start + 24]) for start in starts])
    assert groups == [groups.index(group) for group in groups]


def test_near_duplicates_threshold_is_exceeded_not_reached() -> None:
    # 10 and 10 shingles of which 8 are shared: 8 / 12
    first, second = "".join(map(chr, range(0x4E00, 0x4E0E))), "".join(map(chr, range(0x4E02, 0x4E10)))
    assert jaccard(first, second) == pytest.approx(2 / 3)
    assert len(set(near_duplicate_groups([first, second], 8 / 12))) == 2
    assert len(set(near_duplicate_groups([first, second], 0.66))) == 1


@given(
    st.lists(st.text(st.sampled_from("甲乙丙丁戊"), max_size=12), max_size=12),
    st.lists(st.text(st.sampled_from("甲乙丙丁戊"), max_size=12), max_size=12),
)
def test_near_duplicates_of_others_are_the_nearest_over_the_threshold(texts: list[str], of: list[str]) -> None:
    found = dict(near_duplicates_of(texts, of))
    for i, text in enumerate(texts):
        likeness = [jaccard(text, other) for other in of]
        best = max(likeness, default=0.0)
        assert found.get(i) == (likeness.index(best) if best > 0.5 else None)


@given(st.lists(st.text(st.sampled_from("甲乙丙丁戊"), max_size=12), max_size=25), st.integers(0, 5), st.floats(0, 1))
def test_near_duplicates_split_never_straddles(texts: list[str], seed: int, fraction: float) -> None:
    groups = near_duplicate_groups(texts)
    rest, held = split_groups(groups, fraction, seed)
    assert sorted(rest + held) == list(range(len(texts)))
    assert not {groups[i] for i in rest} & {groups[i] for i in held}
    assert all(jaccard(texts[i], texts[j]) <= 0.5 for i in rest for j in held)
    assert len(held) >= fraction * len(texts) or not rest


def test_near_duplicates_split_holds_out_about_the_fraction_and_follows_the_seed() -> None:
    groups = list(range(1000))
    rest, held = split_groups(groups, 0.1, 1)
    assert len(held) == 100 and (rest, held) == split_groups(groups, 0.1, 1)
    assert held != split_groups(groups, 0.1, 2)[1]
    assert split_groups(groups, 0.0, 1)[1] == []


def test_near_duplicates_split_does_not_hold_out_one_large_group_of_duplicates() -> None:
    groups = [0] * 400 + list(range(400, 1000))
    for seed in range(20):
        rest, held = split_groups(groups, 0.1, seed)
        assert len(held) == 100 and len(rest) == 900
    assert split_groups([0, 0, 0, 0, 4], 0.1, 1)[1] == split_groups([0, 0, 0, 0, 4], 0.1, 2)[1] == [4]
    assert len(split_groups([0, 0, 0, 3, 3, 3], 0.1, 1)[1]) == 3  # there are only large ones


def test_near_duplicates_dropping_drops_those_alone() -> None:
    examples = [Example(f"{BASE}。"), Example("停车免费两小时，很方便"), Example("电影本身很好看，哭湿了两包纸巾")]
    kept = without_near_duplicates(examples, [Example(BASE), Example("别的")])
    assert kept == examples[1:]
    assert without_near_duplicates(examples, []) == examples
