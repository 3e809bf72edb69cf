"""Copies of a labelled text that another hand might have typed, with the same labels: typos, fillers, no punctuation,
Taiwan and Hong Kong wording.

Small edits of characters as in EDA (Wei and Zou 2019), without its synonyms; evidence offsets move along. Words that
turn a meaning round (不, 没 …) are never touched.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import pairwise

import opencc

from training.example import Example

TURNS = frozenset("不没无未别非勿莫沒無別冇唔否")
HAN = re.compile("[\u4e00-\u9fff]")
MARKS = re.compile("[，。、；：,;:]")
OPENINGS = (
    "说实话，", "讲真，", "嗯……", "额，", "那个，", "哈喽，", "话说", "唉，", "哈哈哈，", "刚看完，", "路过说一句：",
    "随便写写，", "p.s.", "1、",
)  # fmt: skip
ENDINGS = ("……", "～", "。。。", "！", " 以上", "，就这样", "，先这样吧", "👀", "🎬", "📝")
# Common slips of input methods: the same sound, another character.
SLIPS = dict(
    zip(
        "在再做作坐座的得地他她那哪带戴很像象已以帐账圆园近进厅听声生片骗排牌票漂场厂换还",
        "再在作做座坐得的的她他哪那戴带狠象像以已账帐园圆进近听厅生声骗片牌排漂票厂场还换",
        strict=True,
    )
)

# A typed text: its characters, each with its place in the original, or None where it was added.
Typed = list[tuple[str, int | None]]


def augmented(example: Example, rng: random.Random) -> Example:
    """The example as another hand might have typed it: one edit, or two in a text of more than 20 characters."""
    typed: Typed = [(character, i) for i, character in enumerate(example.text)]
    if rng.random() < 0.25:
        typed = _reworded(example, rng)
    else:
        for edit in rng.sample(EDITS, k=2 if len(typed) > 20 else 1):
            typed = edit(typed, rng)
    place: dict[int, list[int]] = {}
    for new, (_, old) in enumerate(typed):
        if old is not None:
            place.setdefault(old, []).append(new)
    labels = {}
    for key, (sentiment, start, end) in example.labels.items():
        inside = [new for old in range(max(start, 0), end) for new in place.get(old, ())]
        labels[key] = (sentiment, min(inside), max(inside) + 1) if start >= 0 and inside else (sentiment, -1, -1)
    return replace(example, text="".join(character for character, _ in typed), labels=labels)


def _drop(typed: Typed, rng: random.Random) -> Typed:
    places = _free(typed)
    if len(places) < 6:
        return typed
    at = rng.choice(places)
    return typed[:at] + typed[at + 1 :]


def _swap(typed: Typed, rng: random.Random) -> Typed:
    free = set(_free(typed))
    places = [i for i in free if i + 1 in free]
    if len(places) < 5:
        return typed
    at = rng.choice(sorted(places))
    return [*typed[:at], typed[at + 1], typed[at], *typed[at + 2 :]]


def _slip(typed: Typed, rng: random.Random) -> Typed:
    places = [i for i, (character, _) in enumerate(typed) if character in SLIPS]
    if not places:
        return typed
    at = rng.choice(places)
    return [*typed[:at], (SLIPS[typed[at][0]], typed[at][1]), *typed[at + 1 :]]


def _open(typed: Typed, rng: random.Random) -> Typed:
    return [*((character, None) for character in rng.choice(OPENINGS)), *typed]


def _close(typed: Typed, rng: random.Random) -> Typed:
    return [*typed, *((character, None) for character in rng.choice(ENDINGS))]


def _without_marks(typed: Typed, rng: random.Random) -> Typed:
    mark = rng.choice((" ", "，"))
    return [(mark if MARKS.fullmatch(character) else character, old) for character, old in typed]


EDITS: tuple[Callable[[Typed, random.Random], Typed], ...] = (_drop, _swap, _slip, _open, _close, _without_marks)


def _free(typed: Typed) -> list[int]:
    """Places of Chinese characters that turn no meaning round."""
    return [i for i, (character, _) in enumerate(typed) if HAN.match(character) and character not in TURNS]


@cache
def _converter(name: str) -> opencc.OpenCC:
    return opencc.OpenCC(name)


def _reworded(example: Example, rng: random.Random) -> Typed:
    """In Traditional characters and, for Taiwan, in its words; piece by piece between the ends of evidence."""
    text = example.text
    ends = {0, len(text), *(place for _, start, end in example.labels.values() if start >= 0 for place in (start, end))}
    convert = _converter(rng.choice(("s2twp", "s2twp", "s2hk")))
    typed: Typed = []
    cuts = sorted(ends)
    for start, end in pairwise(cuts):
        piece = convert.convert(text[start:end])
        # Within a piece only the ends matter: every character belongs to the piece's first place, the last to its last.
        typed += [(character, start if i < len(piece) - 1 else end - 1) for i, character in enumerate(piece)]
    return typed
