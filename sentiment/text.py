"""Normalisation: what the tokeniser reads, with a map back to the code points that the caller sent.

The work is a row of edits, each of which replaces a piece of the text and remembers which of the caller's
characters the new piece stands for. Texts that need nothing, most of them, take a path without edits.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from functools import cache
from html import unescape
from html.entities import html5
from typing import Any, NamedTuple

from sentiment.records import Script, Status

# Code points of a text that are read; the rest is left unread and `truncated` is true.
MAX_CHARACTERS = 20_000

# Each pass may uncover work for the next ("&amp;lt;br&gt;"); nobody nests deeper than this but to do harm.
_MAX_PASSES = 8

_HAN = "〇㐀-䶿一-鿿豈-\ufaff\U00020000-\U000323af"
_KANA = "ぁ-ゖゝ-ゟァ-ヺヽ-ヿㇰ-ㇿｦ-ﾟ"
_HANGUL = "\u1100-\u11ff\u3130-\u318f\ua960-\ua97f\uac00-\ud7ff"
# Pictographs. The stars ★☆ are missing: they are ratings.
_EMOJI = (
    "\u231a\u231b\u23e9-\u23fa\u2600-\u2604\u2607-\u27bf\u2b1b\u2b1c\u2b50\u2b55"
    "\U0001f000-\U0001f3fa\U0001f400-\U0001faff"
)
# What modifies the character before it without being one: variation selectors, skin tones, tags.
_MODIFIER = "\ufe00-\ufe0f\U0001f3fb-\U0001f3ff\U000e0000-\U000e007f\U000e0100-\U000e01ef"
_REMOVED = (
    "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff"
    f"{_MODIFIER}"
)
_KEPT_FULL_WIDTH = "，！？：；（）"
_ONE_TO_ONE = {
    **{code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F) if chr(code) not in _KEPT_FULL_WIDTH},
    **dict.fromkeys(range(0xD800, 0xE000), 0xFFFD),
}
_LINE_BREAKS = frozenset("\n\r\u2028\u2029")
_USER = "@用户"

# One alternative each: a ZWJ sequence, a character with its modifiers, anything else that goes.
_INVISIBLE = re.compile(
    f"(?P<joined>[{_EMOJI}][{_MODIFIER}]*(?:\u200d[{_EMOJI}][{_MODIFIER}]*)+)"
    f"|(?P<base>[^\\s{_REMOVED}])[{_MODIFIER}]+|[{_REMOVED}]+"
)
_REMOVED_RE = re.compile(f"[{_REMOVED}]")
_TRANSLATED = re.compile("[\ud800-\udfff\uff02-\uff07\uff0a\uff0b\uff0d-\uff19\uff1c-\uff1e\uff20-\uff5e]")
_TAG = re.compile(
    r"</?(?:(?P<line>br|p|div|li|ul|ol|tr|table|hr|h[1-6]|blockquote|section)|a|b|i|u|s|em|strong|span|font|small|big|sub"
    r"|sup|del|ins|img|code|pre|center|td|th|tbody|thead|label|mark|html|body|article)(?:\s[^<>]*)?/?>",
    re.ASCII | re.IGNORECASE,
)
# "&amp;amp;lt;" is one entity, escaped three times. Without ";" only the commonest count: "A&reg" is a name.
_ENTITY = re.compile(
    r"&(?:amp;)*(?P<tail>#[0-9]{1,7};?|#[xX][0-9a-fA-F]{1,6};?|[A-Za-z][A-Za-z0-9]{1,31};"
    r"|(?:nbsp|lt|gt|amp|quot)(?![A-Za-z0-9=;]))"
)
_SPACE = re.compile(r"\s{2,}|\A\s|\s\Z|[^\S \n]")
_URL = re.compile(r"(?:https?://|(?<![a-z0-9])www\.)[!-;=?-~]*[a-z0-9/_=&#%+-]", re.ASCII | re.IGNORECASE)
# Not after what could be the name of an e-mail address, nor before its domain, nor what stands for a user already.
_NAME = r"@(?!用户)(?![A-Za-z0-9-]{1,40}\.[A-Za-z])[\w-]{1,20}"
_MENTION = re.compile(rf"(?<![A-Za-z0-9._%+-]){_NAME}(?:{_NAME})*")
_RUN = re.compile(rf"([{_EMOJI}])\1{{3,}}|(\D)\2{{4,}}")
_SPACED = re.compile(rf"(?<!\w)[{_HAN}](?: [{_HAN}]){{2,}}(?!\w)")

_HAN_RUN = re.compile(f"[{_HAN}]+")
_EASTERN = re.compile(f"[{_HAN}{_KANA}{_HANGUL}]")
_WORD = re.compile(r"[^\W\d_]+")
# Holds all letters but Han, and a few signs: what it does not find needs no counting.
_FOREIGN = re.compile(
    "[A-Za-z\u00aa-\u1fff\u2c00-\u2dff\u3031-\u318f\ua000-\ud7ff\ufb00-\ufdff\ufe70-\ufefc\uff66-\uffdc\U00010000-\U0001efff]"
)
# Quick looks that spare most texts the slower search.
_TOO_MANY = re.compile(rf"(\D)\1\1\1(?:\1|(?<=[{_EMOJI}]))")
_SPACES = re.compile("[\t\r\x1c-\x1f\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]|[ \n][ \n]")
_SINGLES = re.compile(r"\S \S \S")


@dataclass(frozen=True, slots=True)
class NormalisedText:
    """A text as the tokeniser reads it.

    `text` is the normalised text; `script` describes the caller's text before Traditional became Simplified;
    `truncated` is true if more than `MAX_CHARACTERS` code points were sent and the rest was left unread.
    """

    text: str
    script: Script
    status: Status
    truncated: bool
    # The caller's code points that each normalised character stands for; None if they are the same.
    _starts: array[int] | None = field(default=None, repr=False, compare=False)
    _ends: array[int] | None = field(default=None, repr=False, compare=False)

    def original_span(self, start: int, end: int) -> tuple[int, int]:
        """The code points `(a, b)` of the caller's text, `a < b`, for which `self.text[start:end]` stands.

        What was replaced as a whole (an entity, a web address, an emoji sequence) is never cut.

        Raises:
            IndexError: the span is empty or does not lie within `self.text`.
        """
        if not 0 <= start < end <= len(self.text):
            raise IndexError(f"expected 0 <= start < end <= {len(self.text)}, found start {start} and end {end}")
        if self._starts is None or self._ends is None:
            return start, end
        return self._starts[start], self._ends[end - 1]


def normalise(text: str) -> NormalisedText:
    """Cleans `text` for the tokeniser and says what it is; never raises for a `str`, whatever it holds.

    In this order: only the first 20,000 characters are read; invisible characters go (control, zero-width and
    direction characters, variation selectors, skin tones); full-width letters, digits and symbols become half-width,
    except ，！？：；（）; HTML tags go, paragraphs and <br> become line breaks, entities become their characters;
    white space becomes one space or one line break; web addresses become "URL" and @names "@用户"; more than four of
    a character in a row (three of an emoji; digits stay) become four; spaced-out text (差 评 太 差) is joined;
    Traditional becomes Simplified.

    `script`: "hans" = Chinese characters, none of them exclusively Traditional; "hant" = at least one that is, and
    none that is exclusively Simplified (in texts with ten or more exclusive characters: under 10%); "mixed" = both;
    "other" = no Chinese character.

    `status`: "empty" = nothing is left. "not_chinese" = no Chinese character (emoji alone are "ok"), or kana are
    over 30% of kana and Chinese characters, or hangul over 30% of hangul and Chinese characters, or Chinese characters
    are under 5% of all letters, where a word of another script (Latin, Cyrillic, …) counts as one letter and
    "@用户" and "URL" do not count. Everything else is "ok".
    """
    if len(text) <= MAX_CHARACTERS and _is_clean(text) and _HAN_RUN.search(text):
        return NormalisedText(text, "hans", _status(text), False)
    truncated = len(text) > MAX_CHARACTERS
    work = _Work(text[:MAX_CHARACTERS])
    _clean(work)
    script = _script(work.text)
    for _ in range(_MAX_PASSES):
        _simplify(work)
        if _is_clean(before := work.text):
            break
        _clean(work)
        if work.text == before:
            break
    if len(work.text) > MAX_CHARACTERS:  # "@a" is shorter than "@用户"
        truncated = True
        work.edit([(len(work.text[:MAX_CHARACTERS].rstrip()), len(work.text), "")])
    return NormalisedText(work.text, script, _status(work.text), truncated, *work.map())


def _is_clean(text: str) -> bool:
    """Whether no rule changes `text`, told quickly: a few texts that none would change are not recognised."""
    return not (
        _tables().unusual.search(text)
        or _TOO_MANY.search(text)
        or ((" " in text or "\n" in text) and (_white_space_trouble(text) or _SINGLES.search(text)))
    )


class _Work:
    """A text under edit, with the original (start, end) of every character."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._starts: list[int] | None = None
        self._ends: list[int] | None = None

    def edit(self, edits: Iterable[tuple[int, int, str]]) -> None:
        """Replaces each `text[start:end]`, in order and apart, by a string that stands for all of it; `start < end`."""
        if not (edits := list(edits)):
            return
        text, done, pieces = self.text, 0, [""]
        old_starts: Any = range(len(text)) if self._starts is None else self._starts
        old_ends: Any = range(1, len(text) + 1) if self._ends is None else self._ends
        starts: list[int] = []
        ends: list[int] = []
        for start, end, new in edits:
            pieces += (text[done:start], new)
            starts += old_starts[done:start]
            ends += old_ends[done:start]
            if new:
                starts += [old_starts[start]] * len(new)
                ends += [old_ends[end - 1]] * len(new)
            done = end
        pieces.append(text[done:])
        starts += old_starts[done:]
        ends += old_ends[done:]
        self.text, self._starts, self._ends = "".join(pieces), starts, ends

    def replace_all(self, pattern: re.Pattern[str], replace: Callable[[re.Match[str]], str]) -> None:
        edits = ((*match.span(), replace(match)) for match in pattern.finditer(self.text))
        self.edit(edit for edit in edits if edit[2] != self.text[edit[0] : edit[1]])

    def map(self) -> tuple[array[int] | None, array[int] | None]:
        """The map, in which two characters stand for the same or for what lies apart."""
        starts, ends = self._starts, self._ends
        if starts is None or ends is None:
            return None, None
        first = 0  # of the characters that stand for the same; a later edit may have cut what an earlier one made
        for i in range(1, len(starts) + 1):
            if i == len(starts) or starts[i] >= ends[i - 1]:
                if i - first > 1:
                    starts[first:i] = [starts[first]] * (i - first)
                    ends[first:i] = [ends[i - 1]] * (i - first)
                first = i
        return array("I", starts), array("I", ends)


def _clean(work: _Work) -> None:
    """All rules but Simplified, once each."""
    if _REMOVED_RE.search(work.text):
        work.replace_all(_INVISIBLE, lambda m: _REMOVED_RE.sub("", m["joined"]) if m["joined"] else m["base"] or "")
    if _TRANSLATED.search(work.text):
        work.text = work.text.translate(_ONE_TO_ONE)
    if "<" in work.text:
        work.replace_all(_TAG, lambda m: "\n" if m["line"] else "")
    if "&" in work.text:
        work.replace_all(_ENTITY, _entity)
    if _white_space_trouble(work.text):
        work.replace_all(_SPACE, _white_space)
    if "/" in work.text or "." in work.text:
        work.replace_all(_URL, lambda _: "URL")
    if "@" in work.text:
        work.replace_all(_MENTION, lambda _: _USER)
    if _TOO_MANY.search(work.text):
        work.edit((m.start() + (2 if m[1] else 3), m.end(), m[0][0]) for m in _RUN.finditer(work.text))
    if _SINGLES.search(work.text):
        work.edit((i, i + 1, "") for m in _SPACED.finditer(work.text) for i in range(m.start() + 1, m.end(), 2))


def _entity(match: re.Match[str]) -> str:
    tail = match["tail"]
    return unescape("&" + tail) if tail[0] == "#" or tail in html5 or tail + ";" in html5 else match[0]


def _white_space_trouble(text: str) -> bool:
    return text[:1].isspace() or text[-1:].isspace() or _SPACES.search(text) is not None


def _white_space(match: re.Match[str]) -> str:
    if match.start() == 0 or match.end() == len(match.string):
        return ""
    return " " if _LINE_BREAKS.isdisjoint(match[0]) else "\n"


def _simplify(work: _Work) -> None:
    """Traditional to Simplified, character by character where OpenCC allows it."""
    if _tables().traditional.isdisjoint(work.text):
        return
    text, new = work.text, _convert(work.text)
    if len(new) == len(text):
        work.text = new
        return
    # Run by run, of which only those that change their length are aligned: that keeps difflib's cost down.
    runs = ((match.start(), _differences(match[0], _convert(match[0]))) for match in _HAN_RUN.finditer(text))
    work.edit((at + i, at + j, new) for at, differences in runs for i, j, new in differences)


def _differences(old: str, new: str) -> list[tuple[int, int, str]]:
    """The pieces of `old` that differ in `new`, none of them empty, and what they became."""
    if len(old) == len(new):
        return [(i, i + 1, b) for i, (a, b) in enumerate(zip(old, new, strict=True)) if a != b]
    blocks: list[tuple[int, int, int, int]] = []
    for tag, i, j, k, m in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        if i == j:  # an insertion stands for its neighbour
            i, j, k, m = (i - 1, j, k - 1, m) if i else (i, j + 1, k, m + 1)
        if blocks and i < blocks[-1][1]:
            i, k = blocks[-1][0], blocks.pop()[2]
        blocks.append((i, j, k, m))
    return [(i, j, new[k:m]) for i, j, k, m in blocks]


def _script(text: str) -> Script:
    text = text.replace(_USER, "")
    if not _HAN_RUN.search(text):
        return "other"
    if not (traditional := len(_tables().traditional_only.findall(text))):
        return "hans"
    simplified = len(_simplified_only().findall(text))
    few = traditional + simplified >= 10 and simplified < 0.1 * (traditional + simplified)
    return "hant" if few or not simplified else "mixed"


def _status(text: str) -> Status:
    """The rule of `normalise`, for a normalised text."""
    if not text:
        return "empty"
    text = text.replace(_USER, " ")
    if _HAN_RUN.search(text) and not _FOREIGN.search(text):
        return "ok"
    text = text.replace("URL", " ")
    han = sum(map(len, _HAN_RUN.findall(text)))
    kana, hangul = len(re.findall(f"[{_KANA}]", text)), len(re.findall(f"[{_HANGUL}]", text))
    letters = han + kana + hangul + len(_WORD.findall(_EASTERN.sub(" ", text)))
    if not letters:
        return "ok" if re.search(f"[{_EMOJI}]", text) else "not_chinese"
    if kana > 0.3 * (kana + han) or hangul > 0.3 * (hangul + han) or han < 0.05 * letters:
        return "not_chinese"
    return "ok"


class _Tables(NamedTuple):
    unusual: re.Pattern[str]  # keeps a text off the fast path
    traditional: frozenset[str]  # what t2s changes
    traditional_only: re.Pattern[str]  # and GB 2312 lacks


# Threads that race to the first call of one of these may build it twice, to the same result.
@cache
def _converter(config: str) -> Callable[[str], str]:
    import opencc  # here, because `import sentiment` must be cheap

    convert: Callable[[str], str] = opencc.OpenCC(config).convert
    return convert


def _convert(text: str) -> str:
    return _converter("t2s")(text)


@cache
def _tables() -> _Tables:
    # Beyond the first plane too: OpenCC simplifies some rare characters there. One call, a line each, so no phrases.
    han = [chr(code) for code in (0x3007, *range(0x3400, 0xA000), *range(0xF900, 0xFB00), *range(0x20000, 0x323B0))]
    simplified = _converter("t2s")("\n".join(han)).split("\n")
    changed = frozenset(a for a, b in zip(han, simplified, strict=True) if a != b)
    common = list(map(chr, range(0x4E00, 0xA000)))
    exclusive = [a for a in common if a in changed and not a.encode("gb2312", "ignore")]
    # "." and "/" may belong to a web address, "@", "<" and "&" to what else is replaced.
    plain = "".join(map(chr, range(0x20, 0x7F))).translate(dict.fromkeys(map(ord, "./@<&")))
    plain += _KEPT_FULL_WIDTH + "\n、。〈〉《》「」『』【】“”‘’…—～·"
    simple = _ranges(a for a in common if a not in changed)
    unusual = re.compile(f"[^{re.escape(plain)}{simple}{_EMOJI}]")
    return _Tables(unusual, changed, re.compile(f"[{_ranges(exclusive)}]"))


@cache
def _simplified_only() -> re.Pattern[str]:
    han = [chr(code) for code in range(0x4E00, 0xA000)]
    traditional = _converter("s2t")("\n".join(han)).split("\n")
    changed = _tables().traditional
    ours = [a for a, b in zip(han, traditional, strict=True) if a != b and a not in changed]
    return re.compile(f"[{_ranges(a for a in ours if not a.encode('big5', 'ignore'))}]")


def _ranges(characters: Iterable[str]) -> str:
    """Ascending characters as the inside of a character class, runs as ranges: these compile in half the time."""
    runs: list[list[str]] = []
    for character in characters:
        if runs and ord(character) == ord(runs[-1][-1]) + 1:
            runs[-1][1:] = [character]
        else:
            runs.append([character])
    return "".join("-".join(run) for run in runs)
