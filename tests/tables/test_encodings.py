"""Encodings are found in the stated order, and GB18030 is told from Big5 by the Chinese it makes."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentiment.tables.base import TableError
from sentiment.tables.encodings import decode, find_encoding

SIMPLIFIED = [
    "座位很舒服，但是厕所太脏了，工作人员态度也不好。",
    "银幕很大，音效震撼，票价有点贵",
    "退票流程太麻烦，客服电话打不通",
    "爆米花不新鲜，饮料全是冰",
    "3号厅空调太冷，冻得发抖",
    "电影很好看，推荐",
]
TRADITIONAL = [
    "座位很舒服，但是廁所太髒了，工作人員態度也不好。",
    "銀幕很大，音效震撼，票價有點貴",
    "退票流程太麻煩，客服電話打不通",
    "爆米花不新鮮，飲料全是冰",
    "3號廳空調太冷，凍得發抖",
    "電影很好看，推薦",
]


def _found(data: bytes, *, complete: bool = True, wanted: str | None = None) -> str:
    return find_encoding(data, "f.csv", complete=complete, wanted=wanted).label


@pytest.mark.parametrize("line", SIMPLIFIED)
@pytest.mark.parametrize(("codec", "label"), [("gb18030", "GB18030"), ("gbk", "GB18030"), ("utf-8", "UTF-8")])
def test_encodings_simplified_line_by_line(line: str, codec: str, label: str) -> None:
    assert _found(line.encode(codec)) == label


@pytest.mark.parametrize("line", TRADITIONAL)
@pytest.mark.parametrize(
    ("codec", "label"), [("big5", "Big5"), ("cp950", "Big5"), ("gb18030", "GB18030"), ("utf-8", "UTF-8")]
)
def test_encodings_traditional_line_by_line(line: str, codec: str, label: str) -> None:
    assert _found(line.encode(codec)) == label


@given(st.lists(st.sampled_from(SIMPLIFIED), min_size=1, max_size=5), st.sampled_from(["gb18030", "utf-8"]))
def test_encodings_any_mix_of_simplified_lines(lines: list[str], codec: str) -> None:
    assert find_encoding("\n".join(lines).encode(codec), "f", complete=True).codec == codec


@given(st.lists(st.sampled_from(TRADITIONAL), min_size=1, max_size=5), st.sampled_from(["big5hkscs", "utf-8"]))
def test_encodings_any_mix_of_traditional_lines(lines: list[str], codec: str) -> None:
    assert find_encoding("\n".join(lines).encode(codec), "f", complete=True).codec == codec


def test_encodings_short_file() -> None:
    assert _found("评论\n好\n".encode("gbk")) == "GB18030"
    assert _found("評論\n好\n".encode("big5")) == "Big5"


def test_encodings_hong_kong_characters() -> None:
    line = "啲座位好唔舒服，係咁凍，廁所仲好污糟㗎"
    found = find_encoding(line.encode("big5hkscs"), "f", complete=True)
    assert decode(line.encode("big5hkscs"), found.codec) == line


@pytest.mark.parametrize(
    ("bom", "codec", "label"),
    [
        (codecs.BOM_UTF8, "utf-8", "UTF-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le", "UTF-16 LE"),
        (codecs.BOM_UTF16_BE, "utf-16-be", "UTF-16 BE"),
    ],
)
def test_encodings_byte_order_mark(bom: bytes, codec: str, label: str) -> None:
    found = find_encoding(bom + "id,评论\n".encode(codec), "f", complete=True)
    assert (found.label, found.bom, found.reason) == (label, len(bom), "byte order mark")


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("text", ["id,评论\r\n1,座位很舒服\r\n", "id,text\n1,good\n", "\n".join(SIMPLIFIED)])
def test_encodings_utf16_without_mark(codec: str, text: str) -> None:
    assert find_encoding(text.encode(codec), "f", complete=True).codec == codec


def test_encodings_stray_nul_is_not_utf16() -> None:
    assert _found("id,评论\n1,好\0看的电影\n".encode()) == "UTF-8"
    assert _found("id,评论\n1,好\0看的电影\n".encode("gbk")) == "GB18030"


def test_encodings_one_bad_line_does_not_change_utf8() -> None:
    assert _found("\n".join(SIMPLIFIED).encode() + b"\n\xff\xfe\xb0\n") == "UTF-8"


def test_encodings_sample_cut_within_a_character() -> None:
    data = ("很好\n" * 10).encode()[:-2]
    assert _found(data, complete=False) == "UTF-8"
    assert _found("很好看的电影".encode()[:-1], complete=False) == "UTF-8"


def test_encodings_ascii_is_utf8() -> None:
    assert _found(b"id,text\n1,good\n") == "UTF-8"


@pytest.mark.parametrize(
    "data", ["naïve café, très déçu, où êtes-vous".encode("latin-1"), "とても良い映画でした".encode("shift-jis")]
)
def test_encodings_others_are_refused(data: bytes) -> None:
    with pytest.raises(TableError, match="--encoding"):
        _found(data)


def test_encodings_utf32_is_refused_unless_wanted() -> None:
    data = "id,评论\n".encode("utf-32")
    with pytest.raises(TableError, match="UTF-32"):
        _found(data)
    assert find_encoding(data, "f", complete=True, wanted="utf-32").bom == 4


@pytest.mark.parametrize(
    ("wanted", "codec"),
    [
        ("gbk", "gb18030"),
        ("GB2312", "gb18030"),
        ("big5", "big5hkscs"),
        ("utf8", "utf-8"),
        ("latin-1", "iso8859-1"),
        ("utf-16", "utf-16-le"),
    ],
)
def test_encodings_wanted(wanted: str, codec: str) -> None:
    assert find_encoding("a,b".encode("utf-16-le"), "f", complete=True, wanted=wanted).codec == codec


@pytest.mark.parametrize("wanted", ["nope", "hex", "cp037", "", "utf-8\0"])
def test_encodings_wanted_is_no_text_encoding(wanted: str) -> None:
    with pytest.raises(TableError, match="--encoding"):
        _found(b"a,b", wanted=wanted)
