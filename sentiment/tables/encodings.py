"""The encoding of a text file, found from a sample in a stated order.

Byte order mark (UTF-8, UTF-16) → UTF-16 without one, by its pattern of NUL bytes → UTF-8 → GB18030 or Big5, whichever
decodes the sample into more of the characters that Chinese really uses → an error that asks for `--encoding`.
"""

from __future__ import annotations

import codecs
from collections import Counter
from dataclasses import dataclass
from functools import cache

from sentiment.tables.base import TableError

SAMPLE = 1 << 20
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_NAMES = {
    "utf-8": "UTF-8",
    "utf-16-le": "UTF-16 LE",
    "utf-16-be": "UTF-16 BE",
    "gb18030": "GB18030",
    "big5hkscs": "Big5",
}
# Subsets and look-alikes are read as the whole; Big5 with the Hong Kong characters, whose reviews need them.
_ALIASES = {
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "big5": "big5hkscs",
    "cp950": "big5hkscs",
    "utf-8-sig": "utf-8",
    "ascii": "utf-8",
}
_FREQUENT = frozenset(
    "的一是不了在有人我他这这個这个們们来來到时時大地为為子中你说說生国國年着著就那和要她出也得里裡后後自以会會家可下而过過天去能对對小多然于於心学學么麼之都"
    "好看起发發当當没沒成只如事把还還用第样樣道想作种種开開美总總从從无無情己面最女但现現前些所同日手又行意动動方期它头頭经經长長儿兒回位分爱愛老因很给給名法间間"
    "影院片电電座位服务務员員票价價差评評论論内內容容声聲音屏幕银銀银幕厅廳场場环環境卫衛洗手间爆米花饮飲料停车車排队隊退改签簽投诉訴建议議值得推荐薦感觉覺"
    "比较較真太点點次等几幾個让讓被更再才吧啊呢吗嗎哦非常喜欢歡编編号號用户戶名称稱"
)
_PLAIN = frozenset("，。！？、；：“”‘’（）《》—…～·　「」『』【】％＋－／０１２３４５６７８９")


@dataclass(frozen=True, slots=True)
class Encoding:
    """A codec, how messages call it, the length of the byte order mark to skip, and why it was chosen."""

    codec: str
    label: str
    bom: int
    reason: str

    @property
    def wide(self) -> bool:
        """Whether a line break is more than one byte."""
        return self.codec.startswith(("utf-16", "utf-32"))


def find_encoding(sample: bytes, name: str, *, complete: bool, wanted: str | None = None) -> Encoding:
    """The encoding of a file whose first bytes are `sample` (all of it where `complete`).

    Raises:
        TableError: `wanted` is no usable encoding, or none of those we know makes sense of the sample.
    """
    if wanted is not None:
        return _as_wanted(sample, wanted)
    if sample.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        raise TableError(
            f"expected UTF-8, UTF-16, GB18030 or Big5, found {name} in UTF-32; save it as UTF-8, or --encoding utf-32"
        )
    for bom, codec in _BOMS:
        if sample.startswith(bom):
            return Encoding(codec, _NAMES[codec], len(bom), "byte order mark")
    wide = _wide(sample)
    if wide is not None:
        return Encoding(wide, _NAMES[wide], 0, "pattern of NUL bytes")
    lines = _whole_lines(sample, complete)
    foreign = [line for line in lines if not line.isascii()]
    if not foreign:
        return Encoding("utf-8", "UTF-8", 0, "only ASCII in the sample")
    sound = sum(len(line) for line in foreign if _decodes(line, "utf-8"))
    total = sum(map(len, foreign))
    if sound * 2 >= total:
        return Encoding("utf-8", "UTF-8", 0, "decodes" if sound == total else "most lines decode")
    scores = {codec: _plausibility(foreign, codec) for codec in ("gb18030", "big5hkscs")}
    best = max(scores, key=lambda codec: scores[codec])
    if scores[best] < 0.2:
        raise TableError(
            f"expected Chinese text in UTF-8, UTF-16, GB18030 or Big5, found {name} makes no sense in any; "
            "name its --encoding"
        )
    return Encoding(best, _NAMES[best], 0, "gives more frequent Chinese characters than the other")


def decode(line: bytes, codec: str) -> str:
    """Strict decoding, with the few extra characters that Windows has in Big5.

    Raises:
        UnicodeDecodeError: the line is not in this encoding.
    """
    try:
        return line.decode(codec)
    except UnicodeDecodeError:
        if codec != "big5hkscs":
            raise
        try:
            return line.decode("cp950")
        except UnicodeDecodeError:
            pass
        raise


def _as_wanted(sample: bytes, wanted: str) -> Encoding:
    try:
        codec = codecs.lookup(wanted).name
        codec = {"utf-16": _which_utf16(sample), "utf-32": "utf-32-le"}.get(codec, _ALIASES.get(codec, codec))
        usable = codec.startswith(("utf-16", "utf-32")) or b'\n\r,\t;|"09az'.decode(codec) == '\n\r,\t;|"09az'
    except (LookupError, ValueError):
        usable = False
    if not usable:
        raise TableError(
            f"expected --encoding to name a text encoding such as utf-8, gb18030, big5, utf-16, found {wanted!r}"
        )
    if codec == "utf-32-le" and sample.startswith(codecs.BOM_UTF32_BE):
        codec = "utf-32-be"
    bom = len("\ufeff".encode(codec)) if codec.startswith("utf-") and sample.startswith("\ufeff".encode(codec)) else 0
    return Encoding(codec, _NAMES.get(codec, codec.upper()), bom, "--encoding")


def _which_utf16(sample: bytes) -> str:
    if sample.startswith(codecs.BOM_UTF16_BE):
        return "utf-16-be"
    if sample.startswith(codecs.BOM_UTF16_LE):
        return "utf-16-le"
    return _wide(sample) or "utf-16-le"


def _wide(sample: bytes) -> str | None:
    if 0 not in sample:
        return None
    shares = {}
    for codec in ("utf-16-le", "utf-16-be"):
        seen = Counter(sample[: len(sample) // 2 * 2].decode(codec, "replace"))
        # In a one-byte encoding with stray NULs, pairs of bytes make characters that are hardly ever these.
        known = (n for c, n in seen.items() if " " <= c <= "~" or c in "\t\r\n\ufeff" or c in _ordinary())
        shares[codec] = sum(known) / max(1, seen.total())
    best = max(shares, key=lambda codec: shares[codec])
    return best if shares[best] >= 0.7 else None


def _whole_lines(sample: bytes, complete: bool) -> list[bytes]:
    lines = sample.splitlines()
    if complete:
        return lines
    if len(lines) > 1:
        return lines[:-1]
    cut = [sample[: len(sample) - drop] for drop in range(4)]  # one huge line, perhaps cut within a character
    return [
        next((line for codec in ("utf-8", "gb18030", "big5hkscs") for line in cut if _decodes(line, codec)), sample)
    ]


def _decodes(line: bytes, codec: str) -> bool:
    try:
        decode(line, codec)
    except UnicodeDecodeError:
        return False
    return True


@cache
def _ordinary() -> frozenset[str]:
    """The characters of everyday Chinese: level 1 of GB 2312 and of Big5, and full-width punctuation."""
    rows = [bytes((lead, trail)) for lead in range(0xB0, 0xD8) for trail in range(0xA1, 0xFF)]
    simplified = b"".join(rows).decode("gb2312", "ignore")
    trails = (*range(0x40, 0x7F), *range(0xA1, 0xFF))
    rows = [bytes((lead, trail)) for lead in range(0xA4, 0xC7) for trail in trails if (lead, trail) <= (0xC6, 0x7E)]
    traditional = b"".join(rows).decode("big5", "ignore")
    return frozenset(simplified) | frozenset(traditional) | _PLAIN


def _plausibility(lines: list[bytes], codec: str) -> float:
    """The mean weight of the characters beyond ASCII: 1 frequent, 0.4 ordinary, 0.2 other symbols, 0 rare or broken."""
    weight, characters = 0.0, 0.0
    seen: Counter[str] = Counter()
    for line in lines:
        try:
            seen.update(decode(line, codec))
        except UnicodeDecodeError:
            characters += sum(byte > 0x7F for byte in line) / 1.5
    for character, count in seen.items():
        if character >= "\x80":
            characters += count
            weight += count * _weight(character)
    return weight / characters if characters else 0.0


def _weight(character: str) -> float:
    if character in _FREQUENT or character in _PLAIN:
        return 1.0
    if character in _ordinary():
        return 0.4
    return 0.2 if "\u2000" <= character <= "\u2bff" or character >= "\U0001f000" else 0.0
