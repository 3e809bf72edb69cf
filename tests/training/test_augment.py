from __future__ import annotations

import random

import pytest

from training.augment import EDITS, SLIPS, TURNS, augmented
from training.example import Example

TEXT = "座椅太硬了，坐得腰疼，不过音响没得挑，散场时停车场出口堵了半小时。"
EXAMPLE = Example(
    text=TEXT,
    labels={
        "seating": ("negative", TEXT.index("坐得"), TEXT.index("坐得") + 4),
        "sound": ("positive", TEXT.index("音响"), TEXT.index("音响") + 5),
        "parking": ("negative", -1, -1),
    },
    annotated=frozenset({"seating", "sound", "parking"}),
    overall="negative",
)


def variants(example: Example, count: int = 300) -> list[Example]:
    return [augmented(example, random.Random(seed)) for seed in range(count)]


def test_augment_keeps_labels_and_changes_the_text() -> None:
    made = variants(EXAMPLE)
    assert all(v.overall == "negative" and v.annotated == EXAMPLE.annotated for v in made)
    assert all(
        {k: s for k, (s, _, _) in v.labels.items()} == {k: s for k, (s, _, _) in EXAMPLE.labels.items()} for v in made
    )
    assert sum(v.text != TEXT for v in made) > 280
    assert len({v.text for v in made}) > 100


def test_augment_moves_evidence_along() -> None:
    for variant in variants(EXAMPLE):
        assert variant.labels["parking"][1:] == (-1, -1)
        for key, first in (("seating", "坐座腰"), ("sound", "音響响")):
            _, start, end = variant.labels[key]
            span = variant.text[start:end]
            # At most two edits: the words are still there, but for a character or two.
            assert 3 <= len(span) <= 8, (key, span, variant.text)
            assert any(character in span for character in first), (key, span, variant.text)


def test_augment_of_an_opening_shifts_every_span() -> None:
    shifted = [v for v in variants(EXAMPLE) if v.text.endswith(TEXT) and v.text != TEXT]
    assert shifted
    for variant in shifted:
        _, start, end = variant.labels["seating"]
        assert variant.text[start:end] == "坐得腰疼"


def test_augment_never_touches_words_that_turn_a_meaning() -> None:
    for variant in variants(Example(text="服务不错，座位没有不舒服，不推荐别人来这家影院看晚场")):
        turns = [c for c in variant.text if c in TURNS]
        assert "".join(turns).replace("沒", "没").replace("別", "别") == "不没不不别"


def test_augment_speaks_as_in_taiwan_with_evidence_in_place() -> None:
    text = "网上订票的软件老是崩溃，服务员也不管"
    example = Example(text=text, labels={"ticketing": ("negative", 0, 11)})
    spans = {v.text[slice(*v.labels["ticketing"][1:])] for v in variants(example, 400)}
    assert "網上訂票的軟體老是崩潰" in spans


@pytest.mark.parametrize("text", ["好", "!!!", "ok", "不", "👍👍"])
def test_augment_survives_what_is_too_short(text: str) -> None:
    for variant in variants(Example(text=text, labels={"film": ("positive", 0, len(text))}), 60):
        _, start, end = variant.labels["film"]
        assert variant.text.strip()
        assert (start, end) == (-1, -1) or 0 <= start < end <= len(variant.text)


def test_augment_edits_are_one_to_one() -> None:
    typed = [(character, i) for i, character in enumerate(TEXT)]
    for edit in EDITS:
        places = [old for _, old in edit(typed, random.Random(1)) if old is not None]
        assert len(places) == len(set(places))
    assert all(len(a) == len(b) == 1 and a != b for a, b in SLIPS.items())
