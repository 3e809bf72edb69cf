from __future__ import annotations

import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import sentiment.text as module
from sentiment.text import MAX_CHARACTERS, NormalisedText, normalise

FRAGMENTS = [
    *"座位太挤音响不错，。！？：；（）这这個個後后乾着著髮发",
    *"ＡｚＺ０９＠＜＞＆．／　 \t\n\r\x0b\x00\x85\u200b\u200d\u202e\ufeff\u2028\u3000\xa0",
    *"aZ09@<>&;#/.:_-'\"￥★♥❤✓ー",
    *"😍👍👨👩🏽🇨🇳\ufe0f\u20e3𠁞𝔸あアハ한글Жé\ud83d\ude00\ud800",
    *[
        "<br>",
        "</p>",
        "<b>",
        "<SPAN class='x'>",
        "<foo>",
        "&amp;",
        "&lt;",
        "&gt;",
        "&nbsp;",
        "&#39;",
        "&#x3000;",
        "&no;",
    ],
    *[
        "http://a.cn/b",
        "www.",
        "https://",
        "@小明",
        "@用户",
        "@a",
        "x@y.com",
        "差 评 太 差",
        "哈哈哈哈哈哈",
        "😍😍😍😍",
        "URL",
        "一目瞭然",
    ],
]
texts = st.one_of(st.text(), st.lists(st.sampled_from(FRAGMENTS), max_size=30).map("".join))
any_code_point = st.text(st.integers(0, sys.maxunicode).map(chr))


def evidence(text: str, wanted: str) -> str:
    """The caller's words for `wanted`, a part of the normalised text."""
    result = normalise(text)
    start = result.text.index(wanted)
    first, last = result.original_span(start, start + len(wanted))
    return text[first:last]


def check_map(text: str, result: NormalisedText) -> None:
    spans = [result.original_span(i, i + 1) for i in range(len(result.text))]
    assert all(0 <= start < end <= len(text) for start, end in spans)
    for before, after in pairwise(spans):
        assert before[0] <= after[0] and before[1] <= after[1]
        # Characters either share what they stand for or lie apart: no span begins or ends inside a replaced piece.
        assert before == after or before[1] <= after[0]
    for start in range(0, len(spans), 7):
        for end in range(start + 1, len(spans) + 1, 5):
            assert result.original_span(start, end) == (spans[start][0], spans[end - 1][1])


@given(st.one_of(texts, any_code_point))
@example("\ud83d\ude00")
@example("&amp;amp;lt;b&gt;a &#38;nbsp; b")
@example("@a@b@用户@c")
@example("後后後后后後 很 好 好 好 好 好 好")
@example("👨‍👩‍👧👍🏽👍🏽👍🏽👍🏽❤️")
def test_text_every_span_maps_into_the_callers_text(text: str) -> None:
    check_map(text, normalise(text))


@given(st.one_of(texts, any_code_point))
def test_text_normalising_twice_changes_nothing(text: str) -> None:
    once = normalise(text).text
    twice = normalise(once)
    assert twice.text == once
    assert all(twice.original_span(i, i + 1) == (i, i + 1) for i in range(len(once)))


@given(texts)
def test_text_holds_nothing_that_should_be_gone(text: str) -> None:
    result = normalise(text)
    assert result.text == result.text.strip()
    assert not any(c in result.text for c in "\u200b\u200d\ufe0f\x00\r\t\u3000Ａ") and "  " not in result.text
    result.text.encode("utf-8")
    assert (result.status == "empty") == (not result.text)
    assert not result.truncated


@given(texts)
def test_text_fast_path_agrees_with_the_rules(text: str) -> None:
    if module._is_clean(text):
        work = module._Work(text)
        module._clean(work)
        module._simplify(work)
        assert work.text == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("座位太挤，音响不错！", "座位太挤，音响不错！"),
        ("好\x00看\x07的\u200b电\ufeff影\u202e", "好看的电影"),
        ("好❤️👍🏽", "好❤👍"),
        ("👨‍👩‍👧来看", "👨👩👧来看"),
        ("好\ud800看", "好\ufffd看"),
        ("ＩＭＡＸ３Ｄ厅，真好！（Ａ）：；？", "IMAX3D厅，真好！（A）：；？"),
        ("１０％＋５", "10%+5"),
        ("　座位 \t 挤\u00a0\u00a0了  ", "座位 挤 了"),
        ("座位挤 \r\n\r\n 音响好\u2028完", "座位挤\n音响好\n完"),
        ("座位<br>挤<BR/>音响<p>好</p>", "座位\n挤\n音响\n好"),
        ("<b>座位</b><span class=x>挤</span><foo>", "座位挤<foo>"),
        ("1<2 又 3>2", "1<2 又 3>2"),
        ("A&amp;B&nbsp;好&#39;&#x597D;&hellip;&nope;", "A&B 好'好…&nope;"),
        ("&amp;lt;br&amp;gt;好", "好"),
        ("看http://a.cn/b?c=1&d=2，好www.b.com吧", "看URL，好URL吧"),
        ("见https://a.cn/真好", "见URL真好"),
        ("@小明_1 来看", "@用户 来看"),
        ("＠小明，来看@b@c！", "@用户，来看@用户！"),
        ("@" + "好" * 3 + "一二三四五六七八九十" * 2, "@用户八九十"),
        ("写信a.b@c.com或客服@qq.com", "写信a.b@c.com或客服@qq.com"),
        ("哈哈哈哈哈哈", "哈哈哈哈"),
        ("哈哈哈哈", "哈哈哈哈"),
        ("5555555……………", "5555555……………"[:7] + "…" * 4),
        ("😍😍😍😍😍", "😍😍😍"),
        ("差 评 太 差", "差评太差"),
        ("差 评 太 差，太 挤", "差评太差，太 挤"),
        ("很 好 看啊", "很 好 看啊"),
        ("座位 音响 画面", "座位 音响 画面"),
        ("座位\n挤\n了", "座位\n挤\n了"),
        ("這部電影很好看，頭髮後面", "这部电影很好看，头发后面"),
        ("乾坤一目瞭然，乾淨", "乾坤一目了然，干净"),
    ],
)
def test_text_rules(text: str, expected: str) -> None:
    result = normalise(text)
    assert result.text == expected
    check_map(text, result)


@pytest.mark.parametrize(
    ("text", "wanted", "expected"),
    [
        ("這家ＩＭＡＸ廳😍😍😍😍座椅坐得腰疼，　差！", "座椅坐得腰疼", "座椅坐得腰疼"),
        ("這家ＩＭＡＸ廳😍😍😍😍座椅坐得腰疼，　差！", "IMAX厅😍😍😍", "ＩＭＡＸ廳😍😍😍😍"),
        ("音響&nbsp;&amp;<b>畫面</b>一流", "画面", "畫面"),
        ("音響&nbsp;&amp;<b>畫面</b>一流", "音响 &画", "音響&nbsp;&amp;<b>畫"),
        ("太&#24460;了", "后", "&#24460;"),
        ("哈哈哈哈哈哈，笑死", "哈哈哈哈，", "哈哈哈哈哈哈，"),
        ("👨‍👩‍👧很开心", "👩", "👨‍👩‍👧"),
        ("服务👍🏽很好", "👍", "👍🏽"),
        ("看http://a.cn/b吧", "R", "http://a.cn/b"),
        ("问@小明 吧", "用户", "@小明"),
        ("差 评 太 差", "评太", "评 太"),
        ("座位\r\n\r\n挤", "\n", "\r\n\r\n"),
    ],
)
def test_text_evidence_comes_back_as_sent(text: str, wanted: str, expected: str) -> None:
    assert evidence(text, wanted) == expected


@pytest.mark.parametrize("span", [(0, 0), (1, 1), (2, 1), (-1, 1), (0, 3), (5, 6)])
@pytest.mark.parametrize("text", ["好看", " 好看"])
def test_text_refuses_spans_outside(text: str, span: tuple[int, int]) -> None:
    with pytest.raises(IndexError, match="expected 0 <= start < end <= 2"):
        normalise(text).original_span(*span)


@pytest.mark.parametrize(
    ("old", "new"),
    [("計程車", "出租汽车"), ("電影", "电影院线"), ("電影院", "影"), ("電", ""), ("看電", "x看y电z")],
)
def test_text_maps_conversions_that_change_the_length(monkeypatch: pytest.MonkeyPatch, old: str, new: str) -> None:
    monkeypatch.setattr(module, "_convert", lambda text: text.replace(old, new))
    text = "坐計程車去看電影院，電影很好看"
    result = normalise(text)
    assert result.text == text.replace(old, new)
    check_map(text, result)
    assert evidence(text, "好看") == "好看"
    if new == "出租汽车":
        assert evidence(text, "坐出租汽车去") == "坐計程車去"
        assert evidence(text, "汽") in {"計程", "計程車"}


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("座位很好", "hans"),
        ("人山人海", "hans"),
        ("这个电影院", "hans"),
        ("這個電影院", "hant"),
        ("這個", "hant"),
        ("这个電影院", "mixed"),
        ("這個電影院觀眾場廳聲響還頭髮个", "hant"),
        ("這個電影院觀眾場廳聲響還頭髮个这们", "mixed"),
        ("Great movie 123", "other"),
        ("😍", "other"),
        ("", "other"),
        ("@小明", "other"),
    ],
)
def test_text_script(text: str, script: str) -> None:
    assert normalise(text).script == script


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("好", "ok"),
        ("😍", "ok"),
        ("😍😍！！", "ok"),
        ("", "empty"),
        (" \t\n\u200b\ufeff\x00", "empty"),
        ("<br>&nbsp;", "empty"),
        ("!!!", "not_chinese"),
        ("12345", "not_chinese"),
        ("Great movie", "not_chinese"),
        ("Great movie 😍", "not_chinese"),
        ("@小明 http://a.cn", "not_chinese"),
        ("@小明 great movie", "not_chinese"),
        ("IMAX厅", "ok"),
        ("I watched it in Beijing 好", "ok"),
        ("word " * 19 + "好", "ok"),
        ("word " * 20 + "好", "not_chinese"),
        ("слово " * 20 + "好", "not_chinese"),
        ("この映画はとても面白かったです", "not_chinese"),
        ("鲜の每日，座位舒服", "ok"),
        ("영화가 정말 좋았어요 好", "not_chinese"),
        ("韩国电影 영화 不错", "ok"),
    ],
)
def test_text_status(text: str, status: str) -> None:
    assert normalise(text).status == status


def test_text_reads_the_first_20_000_characters() -> None:
    text = "座位很好，" * (MAX_CHARACTERS // 5)
    assert normalise(text) == NormalisedText(text, "hans", "ok", False)
    result = normalise(text + "完")
    assert result == NormalisedText(text, "hans", "ok", True)
    assert result.original_span(MAX_CHARACTERS - 1, MAX_CHARACTERS) == (MAX_CHARACTERS - 1, MAX_CHARACTERS)
    assert normalise(" " * MAX_CHARACTERS + "好") == NormalisedText("", "other", "empty", True)
    with pytest.raises(IndexError):
        result.original_span(MAX_CHARACTERS, MAX_CHARACTERS + 1)


def test_text_is_never_longer_than_the_limit() -> None:
    text = "@a " * (MAX_CHARACTERS // 3)
    result = normalise(text)
    assert len(result.text) <= MAX_CHARACTERS and result.truncated
    assert normalise(result.text).text == result.text


@pytest.mark.parametrize(
    "piece",
    [
        "<b",
        "<",
        "&amp;",
        "&",
        "@a",
        "http://",
        "www.",
        "好 ",
        " ",
        "哈",
        "😍",
        "\u200b",
        "👨‍",
        "<<b>",
        "後个",
        "@",
        "/.",
    ],
)
def test_text_takes_linear_time(piece: str) -> None:
    normalise("這个")
    began = time.process_time()
    check = normalise(piece * (MAX_CHARACTERS // len(piece)))
    assert time.process_time() - began < 2
    assert len(check.text) <= MAX_CHARACTERS


def test_text_is_the_same_from_many_threads() -> None:
    for table in (module._converter, module._tables, module._simplified_only):
        table.cache_clear()
    samples = ["這個電影院", "这个電影院", "座位很好", "差 评 太 差😍😍😍😍"] * 50
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(normalise, samples))
    assert results == [normalise(sample) for sample in samples]


def test_text_import_loads_no_opencc() -> None:
    code = "import sys, sentiment.text; assert 'opencc' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@given(st.sets(st.integers(0x3400, 0x9FFF), min_size=1))
@example({0x4E00, 0x4E01, 0x4E02, 0x4E04, 0x4E06, 0x4E07})
def test_text_ranges_stand_for_their_characters_alone(codes: set[int]) -> None:
    pattern = re.compile(f"[{module._ranges(map(chr, sorted(codes)))}]")
    assert {code for code in range(0x3300, 0xA100) if pattern.fullmatch(chr(code))} == codes
