"""A text on the page: scored, marked, corrected."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import httpx
import pytest

from serve.store import read_feedback

pytestmark = pytest.mark.browser

TEXT = "周六👍带老人看，7号厅出口的灯坏了，我妈下台阶差点摔倒；找值班经理反映，对方爱理不理。片子好看。否则投诉到消协！"
SEATS = "👍座椅太硬，\n票价贵"
FOUND = {"seating": ("negative", "座椅太硬"), "price": ("negative", "票价贵")}
SENTIMENTS = {"positive": "正面", "neutral": "中性", "negative": "负面"}


def _marked(page: Any, key: str) -> str:
    """The words that are marked for a dimension."""
    return "".join(page.locator(f'mark[data-keys~="{key}"]').all_text_contents())


def test_text_is_marked_up_as_the_service_reads_it(visit: Any, service: str) -> None:
    answer = httpx.post(f"{service}v1/analyze", json={"text": TEXT}).json()
    space = {entry["key"]: entry for entry in httpx.get(f"{service}v1/taxonomy").json()["dimensions"]}
    assert len(answer["dimensions"]) >= 3
    found = visit()
    page = found.page
    found.score(TEXT)
    text = page.evaluate("[...document.querySelectorAll('#marked [data-start]')].map((n) => n.textContent).join('')")
    assert text == TEXT
    for mention in answer["dimensions"]:
        key = mention["dimension"]
        assert _marked(page, key) == mention["evidence"]
        entry = page.locator(f'.mention[data-key="{key}"]')
        assert entry.locator(".name").text_content() == space[key]["zh"]
        assert entry.locator(".chip").text_content() == SENTIMENTS[mention["sentiment"]]
        assert entry.locator(".sure").text_content() == f"{round(100 * mention['confidence'])}%"
        assert entry.locator(".owner").text_content() == mention["owner"]
        assert page.locator(f'.tag[data-key="{key}"]').text_content().startswith(space[key]["zh"])
    colours = page.locator(".mention .swatch").evaluate_all(
        "(nodes) => nodes.map((node) => getComputedStyle(node).backgroundColor)"
    )
    assert len(set(colours)) == len(answer["dimensions"])
    verdict = page.locator(".verdict")
    assert SENTIMENTS[answer["overall"]["sentiment"]] in verdict.locator('[data-field="overall"]').text_content()
    assert f"{round(100 * answer['intent']['confidence'])}%" in verdict.locator('[data-field="intent"]').text_content()
    assert answer["escalation"]["label"] is True
    assert "需要升级" in verdict.locator('[data-field="escalation"]').text_content()
    blamed = {mention["owner"] for mention in answer["dimensions"] if mention["sentiment"] == "negative"}
    assert set(verdict.locator(".owners li").all_text_contents()) == blamed
    assert answer["model"] in page.locator(".foot").text_content()
    assert found.console == []
    assert len(found.requests) > 10


def test_text_all_dimensions_have_colours_of_their_own(visit: Any) -> None:
    page = visit().page
    hues = page.evaluate("import('/page/marks.js').then((module) => module.hues(18))")
    assert len({round(hue) for hue in hues}) == 18
    assert len(set(page.evaluate("import('/page/marks.js').then((module) => module.hues(40))"))) == 40


def test_text_evidence_may_overlap(visit: Any, record: Any) -> None:
    text = "前台爱理不理，退票也没人管。"
    overlapping = {
        "staff": ("negative", "前台爱理不理，退票也没人管"),
        "refund": ("neutral", "退票也没人管"),
        "film": ("positive", "理不理，退"),
    }
    found = visit()
    found.answer("/v1/analyze", (200, record(text, overlapping), {}))
    found.score(text)
    page = found.page
    assert {key: _marked(page, key) for key in overlapping} == {key: word for key, (_, word) in overlapping.items()}
    lines = page.locator("mark").evaluate_all(
        "(nodes) => nodes.map((n) => n.style.backgroundPosition.split(',').length)"
    )
    assert max(lines) == 3
    assert page.locator(".tag").count() == 3


def test_text_two_clicks_correct_a_label(visit: Any, record: Any, data_dir: Path) -> None:
    found = visit()
    page = found.page
    found.answer("/v1/analyze", (200, record(SEATS, FOUND), {}))
    found.score(SEATS)
    page.click('[data-at="list seating"]')
    page.click('.menu [data-value="neutral"]')
    page.wait_for_selector(".toast")
    before = {
        "overall": "negative",
        "intent": "complaint",
        "escalation": False,
        "labels": [
            {"dimension": "seating", "sentiment": "negative", "start": 2, "end": 6},
            {"dimension": "price", "sentiment": "negative", "start": 8, "end": 11},
        ],
    }
    assert found.feedback == [
        {
            "sha256": hashlib.sha256(SEATS.encode()).hexdigest(),
            "text": SEATS,
            "offsets": "utf16",
            "before": before | {"model": "cinesent-zh@1a2b3c4d"},
            "after": {"annotated": ["seating"], "labels": [before["labels"][0] | {"sentiment": "neutral"}]},
        }
    ]
    assert "座椅视野 → 中性" in page.locator(".toast").text_content()
    assert page.locator('.mention[data-key="seating"] .sure').text_content() == "人工更正"
    assert page.evaluate("document.activeElement.dataset.at") == "list seating"

    page.click('[data-at="tag price"]')
    page.click('.menu [data-value="none"]')
    page.wait_for_selector('.mention[data-key="price"].gone')
    assert page.locator('mark[data-keys="price"]').count() == 0
    page.click('[data-at="verdict escalation"]')
    page.click('.menu [data-value="true"]')
    page.wait_for_selector(".verdict.escalated")
    found.wait("document.querySelector('.toast')?.textContent.includes('升级')")
    assert found.feedback[-1]["after"] == {
        "escalation": True,
        "annotated": ["seating", "price"],
        "labels": [before["labels"][0] | {"sentiment": "neutral"}],
    }

    page.click("#confirm")
    found.wait("document.querySelector('.toast')?.textContent.includes('已确认')")
    assert found.feedback[-1]["after"] == {
        "overall": "negative",
        "intent": "complaint",
        "escalation": True,
        "labels": [before["labels"][0] | {"sentiment": "neutral"}],
    }
    assert page.locator("#confirm").is_disabled()
    kept = [entry for entry in read_feedback(str(data_dir / "cinesent.sqlite")) if entry["text"] == SEATS]
    judged = [entry["after"].get("annotated") for entry in kept[-4:]]
    assert judged == [["seating"], ["seating", "price"], ["seating", "price"], None]
    assert kept[-1]["after"]["labels"] == [{"dimension": "seating", "sentiment": "neutral", "start": 1, "end": 5}]
    assert kept[-1]["model"] == "cinesent-zh@1a2b3c4d"
    assert found.console == []


def test_text_a_correction_is_undone(visit: Any, record: Any) -> None:
    found = visit()
    page = found.page
    found.answer("/v1/analyze", (200, record(SEATS, FOUND), {}))
    found.score(SEATS)
    page.click('[data-at="verdict overall"]')
    page.click('.menu [data-value="positive"]')
    page.click(".toast button")
    page.wait_for_selector('.verdict [data-field="overall"] .chip.negative')
    found.wait("document.querySelector('.toast')?.textContent.includes('负面')")
    assert [sent["after"] for sent in found.feedback] == [{"overall": "positive"}, {"overall": "negative"}]
    assert [sent["before"]["overall"] for sent in found.feedback] == ["negative", "positive"]


def test_text_what_was_missed_is_added_with_the_selected_words(visit: Any, record: Any) -> None:
    found = visit()
    page = found.page
    found.answer("/v1/analyze", (200, record(SEATS, {"price": FOUND["price"]}), {}))
    found.score(SEATS)
    page.evaluate(
        """() => {
            const node = document.querySelector('#marked [data-start="0"]').firstChild;
            document.getSelection().setBaseAndExtent(node, 2, node, 6);
        }"""
    )
    page.click("#add")
    assert "座椅太硬" in page.locator("#missing").text_content()
    assert page.locator('[data-choice^="price"]').count() == 0
    page.click('[data-choice="seating negative"]')
    page.wait_for_selector(".toast")
    assert found.feedback[0]["after"] == {
        "annotated": ["seating"],
        "labels": [{"dimension": "seating", "sentiment": "negative", "start": 2, "end": 6}],
    }
    assert _marked(page, "seating") == "座椅太硬"
    assert page.locator('.mention[data-key="seating"] .owner').text_content() == "工程"
    page.click("#add")
    page.keyboard.press("Escape")
    page.wait_for_selector("#missing", state="hidden")
    assert len(found.feedback) == 1


def test_text_a_correction_that_is_not_stored_is_taken_back(visit: Any, record: Any) -> None:
    found = visit()
    page = found.page
    found.answer("/v1/analyze", (200, record(SEATS, FOUND), {}))
    found.answer("/v1/feedback", (503, {"code": "loading", "detail": ""}, {"Retry-After": "60"}), (201, {}, {}))
    found.score(SEATS)
    page.click('[data-at="list seating"]')
    page.click('.menu [data-value="positive"]')
    page.wait_for_selector('#result-notice [data-status="503"]')
    assert page.locator('.mention[data-key="seating"] .chip').text_content() == "负面"
    page.click("#result-notice .ways button >> nth=0")
    page.wait_for_selector(".toast")
    assert page.locator('.mention[data-key="seating"] .chip').text_content() == "正面"
    assert page.locator("#result-notice > *").count() == 0


def test_text_doubt_is_flagged_until_it_is_settled(visit: Any, record: Any) -> None:
    found = visit()
    page = found.page
    found.answer("/v1/analyze", (200, record(SEATS, FOUND, uncertain=True, truncated=True), {}))
    found.score(SEATS)
    assert "请人工复核" in page.locator(".banner.doubt").text_content()
    assert "没有读" in page.locator(".banner.quiet").text_content()
    page.click("#confirm")
    page.wait_for_selector(".banner.doubt", state="detached")


@pytest.mark.parametrize(("text", "words"), [("\u200b", "没有可读的内容"), ("Great seats!", "这段文字不是中文")])
def test_text_that_is_not_read_is_explained(visit: Any, text: str, words: str) -> None:
    found = visit()
    found.score(text)
    assert words in found.page.locator("#result").text_content()
    assert found.page.locator(".verdict").count() == 0
    assert found.console == []


def test_text_blank_is_not_sent(visit: Any) -> None:
    found = visit()
    found.page.fill("#text", " \n ")
    found.page.click("#analyse")
    assert found.page.evaluate("document.activeElement.id") == "text"
    assert not any(url.endswith("v1/analyze") for url in found.requests)


HOSTILE = '座椅<img src=x onerror=window.hit=1><script>window.hit=1</script>&amp;<b>硬</b>"><svg onload=window.hit=1>'


def test_text_nothing_in_it_is_executed(visit: Any, record: Any) -> None:
    found = visit()
    page = found.page
    answer = record(HOSTILE, {"seating": ("negative", HOSTILE)}, model=HOSTILE)
    answer["dimensions"][0]["owner"] = HOSTILE
    answer["dimensions"].append(answer["dimensions"][0] | {"dimension": HOSTILE, "sentiment": HOSTILE})
    answer["intent"]["label"] = HOSTILE
    found.answer("/v1/analyze", (200, answer, {}))
    found.answer("/v1/feedback", (422, {"code": HOSTILE, "detail": HOSTILE}, {}))
    found.score(HOSTILE)
    page.click('[data-at="verdict overall"]')
    page.click('.menu [data-value="positive"]')
    page.wait_for_selector("#result-notice .detail")
    assert HOSTILE in page.locator("#result-notice").text_content()
    assert page.locator("#marked [data-start]").all_text_contents()[0][:3] == HOSTILE[:3]
    assert page.locator("main img, main script, main svg, #marked b:not([class])").count() == 0
    assert page.evaluate("window.hit") is None


def test_text_markup_from_strings_is_refused_by_the_browser(visit: Any) -> None:
    """The page's headers, not its code: even a slip of ours could not run what a review holds."""
    found = visit()
    refused = found.page.evaluate(
        """() => {
            try { document.createElement('div').innerHTML = '<b>x</b>'; } catch (error) { return error.name; }
        }"""
    )
    assert refused == "TypeError"
    found.console.clear()


def test_text_page_works_by_keyboard_alone(visit: Any, record: Any) -> None:
    found = visit()
    page = found.page
    found.answer("/v1/analyze", (200, record(SEATS, FOUND), {}))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    for _ in range(20):
        if page.evaluate("document.activeElement.id") == "text":
            break
        page.keyboard.press("Tab")
    page.keyboard.insert_text(SEATS)
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".verdict")
    for _ in range(20):
        if page.evaluate("document.activeElement.dataset.at") == "list seating":
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.dataset.value") == "negative"
    page.keyboard.press("Escape")
    assert page.locator(".menu").count() == 0
    assert page.evaluate("document.activeElement.dataset.at") == "list seating"
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    page.wait_for_selector(".toast")
    assert found.feedback[0]["after"]["labels"][0]["sentiment"] == "neutral"
    assert page.evaluate("document.activeElement.dataset.at") == "list seating"


def test_text_id_is_the_hash_of_its_utf8(visit: Any) -> None:
    texts = ["", "座", "👍座椅\n", *("票" * length for length in (18, 19, 21, 22, 40, 5000)), "a" * 55, "a" * 64]
    found = visit().page.evaluate("(texts) => import('/page/sha256.js').then((m) => texts.map(m.sha256))", texts)
    assert found == [hashlib.sha256(text.encode()).hexdigest() for text in texts]


def test_text_long_ones_show_how_much_is_allowed(visit: Any) -> None:
    found = visit()
    found.page.fill("#text", "座" * 20_001)
    assert found.page.locator("#count.over").text_content() == "20,001 / 20,000 字"
    found.page.click("#analyse")
    found.page.wait_for_selector('#text-notice [data-status="413"]')
    assert "最多 20,000 字" in found.page.locator("#text-notice").text_content()


def test_text_samples_are_scored_in_one_click(visit: Any) -> None:
    found = visit()
    for index in range(3):
        found.page.click(f"#samples button >> nth={index}")
        found.wait("(text) => document.querySelector('#marked')?.textContent.includes(text)", _start(found.page))
    assert found.page.locator("#marked").get_attribute("lang") == "zh-Hant"
    found.page.click("#clear")
    assert found.page.locator("#welcome").is_visible()
    assert found.page.locator("#result > *").count() == 0
    assert found.console == []


def _start(page: Any) -> str:
    return page.input_value("#text")[:4]
