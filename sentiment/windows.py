"""Long texts are read whole, in windows of tokens that end where a sentence or a clause does."""

from __future__ import annotations

from collections.abc import Sequence

_SENTENCE_ENDS = frozenset("。！？!?…\n；;")
_CLAUSE_ENDS = frozenset("，,、 ")
# What closes a quotation belongs to the sentence before it.
_CLOSING = frozenset("”’」』）)】》\"'")
_NONE, _CLAUSE, _SENTENCE = 0, 1, 2


def split_windows(text: str, offsets: Sequence[tuple[int, int]], size: int) -> list[tuple[int, int]]:
    """Windows of at most `size` tokens over a text, as half-open ranges of token indices, in order.

    `offsets` gives for every token, without special tokens, its code points `(start, end)` in `text`. A window ends
    after the last sentence end (。！？!?… ；; or a line break) in its second half, else after the last clause end there
    (，,、 or a space), else where it is full. The next one begins there, or one clause earlier if that clause has at
    most `size // 8` tokens. Together the windows cover every token; each begins and ends later than the one before.
    Without tokens the only window is `(0, 0)`.

    Raises:
        ValueError: `size` is less than 1.
    """
    if size < 1:
        raise ValueError(f"expected a window of at least 1 token, found {size}")
    count = len(offsets)
    if count <= size:
        return [(0, count)]
    ends = _ends(text, offsets)
    windows: list[tuple[int, int]] = []
    start = 0
    while count - start > size:
        cut = _cut(ends, start + size // 2, start + size)
        windows.append((start, cut))
        start = _clause_start(ends, cut, size // 8)
    return [*windows, (start, count)]


def _ends(text: str, offsets: Sequence[tuple[int, int]]) -> list[int]:
    """For every token but the last, what ends after it: a sentence, a clause or nothing."""
    ends: list[int] = []
    for i in range(len(offsets) - 1):
        (start, end), (following, _) = offsets[i], offsets[i + 1]
        # The token's last character, and what lies between it and the next; pieces of words may begin with the space.
        between = text[max(start, end - 1) : following + text[following : following + 1].isspace()]
        found = _SENTENCE if not _SENTENCE_ENDS.isdisjoint(between) else _CLAUSE
        if found == _CLAUSE and _CLAUSE_ENDS.isdisjoint(between):
            found = _NONE
        if ends and text[start:end] and _CLOSING.issuperset(text[start:end]) and ends[-1] > found:
            found, ends[-1] = ends[-1], _NONE
        ends.append(found)
    return ends


def _cut(ends: list[int], after: int, last: int) -> int:
    """Where a window ends that may end at `after` + 1 … `last`."""
    for wanted in (_SENTENCE, _CLAUSE):
        for cut in range(last, after, -1):
            if ends[cut - 1] == wanted:
                return cut
    return last


def _clause_start(ends: list[int], cut: int, longest: int) -> int:
    """Where the clause before `cut` begins; `cut` itself if it has more than `longest` tokens."""
    for start in range(cut - 1, max(cut - longest, 1) - 1, -1):
        if ends[start - 1] != _NONE:
            return start
    return cut
