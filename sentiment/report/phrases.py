"""6. Phrases that set negative from positive apart, in the words of jieba."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from sentiment.report.model import Figure, Phrase

SHOWN = 15
LEAST_TEXTS = 3
LEAST_Z = 1.96
PRIOR = 1000.0
_WORD = re.compile(r"^[\u3400-\u9fffA-Za-z0-9]+$")


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# Words that say nothing by themselves, in both scripts.
_STOP = frozenset(
    _words(
        "我们 你们 他们 她们 我們 你們 他們 她們 自己 这个 那个 這個 那個 这里 那里 這裡 那裡 这样 那样 這樣 "
        "那樣 一个 一個 一些 还有 還有 就是 但是 不过 不過 而且 因为 因為 所以 如果 虽然 雖然 然后 然後 已经 "
        "已經 还是 還是 只是 可以 没有 沒有 什么 什麼 怎么 怎麼 时候 時候 真的 觉得 覺得 感觉 感覺 知道 出来 "
        "出來 起来 起來 电影 電影 影院 电影院 電影院 今天 昨天 我 你 他 她 它 的 了 着 著 过 過 是 在 有 也 "
        "都 就 和 与 與 跟 把 被 让 讓 给 給 对 對 从 從 到 去 来 來 又 再 才 很 太 最 更 吧 呢 啊 吗 嗎 呀 "
        "哦 嘛 这 那 這 之 个 個 们 們 上 下 里 裡 中 说 說 看 人"
    )
)

_NOT = frozenset(["没", "不", "没有", "沒", "沒有", "太", "很", "别", "無", "无"])


@dataclass(frozen=True)
class Contrast:
    """A term in two sets of texts: z and log-odds (positive: more in the first), texts of each that hold it."""

    term: str
    z: float
    log_odds: float
    first: int
    second: int


def cutter() -> Callable[[str], list[str]]:
    """jieba's `lcut`, quiet."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own use of deprecated modules
        import jieba
    jieba.setLogLevel(logging.WARNING)
    return lambda text: list(jieba.lcut(text))


def terms(text: str, cut: Callable[[str], list[str]]) -> set[str]:
    """Words of two or more characters, and neighbouring words together up to eight, without words that say nothing."""
    found: set[str] = set()
    before = ""
    for word in cut(text):
        if not _WORD.match(word):
            before = ""
            continue
        dull = word.lower() in _STOP
        if len(word) >= 2 and not dull and not word.isdecimal():
            found.add(word)
        joins = not dull and before and (before.lower() not in _STOP or before in _NOT)
        if joins and 3 <= len(before + word) <= 8:
            found.add(before + word)
        before = word
    return found


def contrast(first: Iterable[set[str]], second: Iterable[set[str]], least: int = LEAST_TEXTS) -> list[Contrast]:
    """Log-odds ratio with an informative Dirichlet prior (Monroe, Colaresi & Quinn 2008, Fightin' Words, eqs. 16–22):

    δ = log((y₁+α)/(n₁+α₀−y₁−α)) − log((y₂+α)/(n₂+α₀−y₂−α)), z = δ / √(1/(y₁+α) + 1/(y₂+α)), where y counts the texts
    that hold the term, n is the sum of all y, and α the term's share of both sets times α₀ = 1,000 (or n₁+n₂ if less).
    Only terms in at least `least` texts; sorted by z, greatest first.
    """
    counts = [Counter(term for found in texts for term in found) for texts in (first, second)]
    n1, n2 = (float(sum(count.values())) for count in counts)
    every = counts[0] + counts[1]
    words = [word for word, n in every.items() if n >= least]
    if not words or n1 == 0 or n2 == 0 or len(every) == 1:  # all that is said has no odds
        return []
    y1, y2 = (np.array([count[word] for word in words], np.float64) for count in counts)
    total = min(PRIOR, n1 + n2)
    prior = total * (y1 + y2) / (n1 + n2)
    delta = np.log((y1 + prior) / (n1 + total - y1 - prior)) - np.log((y2 + prior) / (n2 + total - y2 - prior))
    z = delta / np.sqrt(1 / (y1 + prior) + 1 / (y2 + prior))
    order = sorted(range(len(words)), key=lambda i: (-z[i], words[i]))
    return [Contrast(words[i], float(z[i]), float(delta[i]), int(y1[i]), int(y2[i])) for i in order]


def without_parts(found: Sequence[Contrast]) -> list[Contrast]:
    """All but the terms that are part of a surer one, or hold one."""
    kept: list[Contrast] = []
    for item in found:
        if not any(item.term in other.term or other.term in item.term for other in kept):
            kept.append(item)
    return kept


def phrase_lists(
    negative: list[set[str]], positive: list[set[str]], shown: int = SHOWN
) -> tuple[list[Phrase], list[Phrase], tuple[int, int]]:
    """The phrases of the negative texts, and those of the positive ones, surest first, |z| at least 1.96: at most
    `shown`, and how many of each side there are."""
    found = contrast(negative, positive)
    first = without_parts([c for c in found if c.z >= LEAST_Z])
    second = without_parts([c for c in reversed(found) if c.z <= -LEAST_Z])
    return (
        [_phrase(c, 1) for c in first[:shown]],
        [_phrase(c, -1) for c in second[:shown]],
        (len(first), len(second)),
    )


def _phrase(found: Contrast, sign: int) -> Phrase:
    """The contrast seen from its own side. The standard error is that of `contrast`, δ/z."""
    z, log_odds = sign * found.z, sign * found.log_odds
    half = 1.96 * log_odds / z
    figure = Figure(log_odds, log_odds - half, log_odds + half, found.first + found.second)
    return Phrase(found.term, z, figure, found.first, found.second)
