"""Texts that nearly repeat one another: found by shared n-grams, and kept on one side of a split."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Sequence

from sentiment.text import normalise
from training.example import Example


def shingles(text: str, size: int = 5) -> set[str]:
    """Character n-grams of the normalised text without punctuation, lower case: what near-duplicates share. Of a text
    that is nothing but marks and emoji they are the n-grams of these."""
    plain = normalise(text).text.lower()
    bare = re.sub(r"\W+", "", plain) or re.sub(r"\s+", "", plain)
    return {bare[i : i + size] for i in range(max(1, len(bare) - size + 1))}


def near_duplicate_groups(texts: Sequence[str], threshold: float = 0.5) -> list[int]:
    """A group number a text; texts with a 5-gram Jaccard similarity over `threshold`, or a chain of such, share one."""
    sets = [shingles(text) for text in texts]
    index: dict[str, list[int]] = defaultdict(list)
    parent = list(range(len(texts)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for i, grams in enumerate(sets):
        shared: dict[int, int] = defaultdict(int)
        for gram in grams:
            for j in index[gram]:
                shared[j] += 1
            index[gram].append(i)
        for j, count in shared.items():
            if count / (len(grams) + len(sets[j]) - count) > threshold:
                # The first text names the group: sets have another order in every process, numbers must not.
                first, second = sorted((root(i), root(j)))
                parent[second] = first
    return [root(i) for i in range(len(texts))]


def near_duplicates_of(texts: Sequence[str], of: Sequence[str], threshold: float = 0.5) -> list[tuple[int, int]]:
    """(index in `texts`, index in `of`) of each text's nearest counterpart with a 5-gram Jaccard similarity over
    `threshold`. No chains: where `of` is small this is far quicker than groups over all."""
    sets = [shingles(text) for text in of]
    index: dict[str, list[int]] = defaultdict(list)
    for j, grams in enumerate(sets):
        for gram in grams:
            index[gram].append(j)
    found = []
    for i, text in enumerate(texts if sets else ()):
        grams = shingles(text)
        shared: dict[int, int] = defaultdict(int)
        for gram in grams:
            for j in index.get(gram, ()):
                shared[j] += 1
        near = [(count / (len(grams) + len(sets[j]) - count), -j) for j, count in shared.items()]
        likeness, number = max(near, default=(0.0, 0))
        if likeness > threshold:
            found.append((i, -number))
    return found


def split_groups(groups: Sequence[int], fraction: float, seed: int) -> tuple[list[int], list[int]]:
    """Indices of (rest, held out): whole groups are drawn until `fraction` of the texts is held out. One that would
    make it more than twice as many is drawn only if there are no others."""
    members: dict[int, list[int]] = defaultdict(list)
    for index, group in enumerate(groups):
        members[group].append(index)
    order = sorted(members)
    random.Random(seed).shuffle(order)
    wanted = fraction * len(groups)
    held: list[int] = []
    aside: list[int] = []
    for group in order:
        if len(held) >= wanted:
            break
        if len(held) + len(members[group]) > max(2 * wanted, 1):
            aside.append(group)
        else:
            held.extend(members[group])
    for group in sorted(aside, key=lambda group: len(members[group])):
        if len(held) >= wanted:
            break
        held.extend(members[group])
    chosen = set(held)
    return [i for i in range(len(groups)) if i not in chosen], sorted(held)


def without_near_duplicates(examples: Sequence[Example], of: Sequence[Example]) -> list[Example]:
    """The examples that are no near-duplicates of any text in `of`."""
    groups = near_duplicate_groups([e.text for e in of] + [e.text for e in examples])
    taken = set(groups[: len(of)])
    return [e for e, group in zip(examples, groups[len(of) :], strict=True) if group not in taken]
