"""Lines: every line end, every block boundary, and what does not decode stays in its line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentiment.tables import lines as module
from sentiment.tables.encodings import find_encoding
from sentiment.tables.files import InputFile
from sentiment.tables.lines import Line, Lines, split_lines
from sentiment.tables.packing import Packed


def _lines(tmp_path: Path, data: bytes, wanted: str) -> list[Line]:
    path = tmp_path / "f"
    path.write_bytes(data)
    return list(Lines(Packed(InputFile(path, "f")), find_encoding(data, "f", complete=True, wanted=wanted)))


@given(st.lists(st.text("ab\r\n", max_size=6), max_size=8))
def test_lines_do_not_depend_on_blocks(blocks: list[str]) -> None:
    whole = "".join(blocks)
    expected = re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+", whole)
    text = [line for line, cut in split_lines(iter(blocks), module._WIDE_LINE.findall, "\n", "\r") if cut is None]
    encoded = iter([block.encode() for block in blocks])
    narrow = [line for line, _ in split_lines(encoded, lambda block: block.splitlines(keepends=True), b"\n", b"\r")]
    assert text == expected
    assert narrow == [line.encode() for line in expected]


@pytest.mark.parametrize("codec", ["utf-8", "gb18030", "big5", "utf-16-le", "utf-16-be", "utf-32-le"])
def test_lines_keep_ends(tmp_path: Path, codec: str) -> None:
    text = "好\r\n看\r電影\n\n\u2028行"
    if codec == "big5":
        text = text.replace("\u2028", "")
    assert "".join(line.text for line in _lines(tmp_path, text.encode(codec), codec)) == text
    assert [line.number for line in _lines(tmp_path, text.encode(codec), codec)] == [1, 2, 3, 4, 5]


def test_lines_bad_bytes_spoil_one_line(tmp_path: Path) -> None:
    good, bad, after = _lines(tmp_path, "好看\n".encode("gbk") + b"ab\xff\n" + "行".encode("gbk"), "gb18030")
    assert (good.text, good.problem, after.text, after.problem) == ("好看\n", None, "行", None)
    assert bad == Line(2, "ab\\xff\n", "not valid GB18030 at byte 3 of the line")


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
def test_lines_bad_utf16(tmp_path: Path, codec: str) -> None:
    lone = "\ud83d".encode(codec, "surrogatepass")
    data = "好\n".encode(codec) + "x".encode(codec) + lone + "y\n".encode(codec) + "行".encode(codec) + b"\x4e"
    first, bad, last = _lines(tmp_path, data, codec)
    assert first.problem is None
    assert bad.problem == f"not valid UTF-16 {codec[-2:].upper()} at byte 3 of the line"
    assert bad.text.startswith("x\\x") and bad.text.endswith("y\n")
    assert last.problem is not None and last.text == "行\\x4e"


def test_lines_drop_and_count_nul(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"a\0b\n\0\0c")
    lines = Lines(Packed(InputFile(path, "f")), find_encoding(b"ab", "f", complete=True))
    assert [line.text for line in lines] == ["ab\n", "c"]
    assert lines.nuls == 3


@given(st.integers(1, 7), st.sampled_from(["\n", "\r", "\r\n"]))
def test_lines_too_long_are_cut_and_the_next_is_whole(block: int, end: str) -> None:
    whole = "short" + end + "x" * 50 + end + "next" + end
    blocks: Iterator[str] = iter([whole[i : i + block] for i in range(0, len(whole), block)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "LONGEST", 20)
        found = list(split_lines(blocks, module._WIDE_LINE.findall, "\n", "\r"))
    assert [line for line, cut in found if cut is None] == ["short" + end, "next" + end]
    assert len([line for line, cut in found if cut]) == 1
