"""What the page says, and does, when the service says no."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.browser

TEXT = "座椅太硬"
FOUND = {"seating": ("negative", "座椅太硬")}
BUSY = (429, {"code": "queue_full", "detail": "expected room in the queue, found it full"}, {"Retry-After": "1"})


def _problem(status: int, code: str = "", detail: str = "") -> tuple[int, dict[str, Any], dict[str, str]]:
    return status, {"status": status, "code": code, "detail": detail}, {"Content-Type": "application/problem+json"}


def _send(found: Any) -> Any:
    """The notice that a text brings up."""
    found.page.fill("#text", TEXT)
    found.page.click("#analyse")
    found.page.wait_for_selector("#text-notice .notice")
    return found.page.locator("#text-notice .notice")


@pytest.mark.parametrize("answer", [BUSY, (503, {"code": "loading"}, {"Retry-After": "1"})])
def test_errors_that_pass_are_waited_for(visit: Any, record: Any, answer: Any) -> None:
    found = visit()
    count = found.answer("/v1/analyze", answer, answer, (200, record(TEXT, FOUND), {}))
    notice = _send(found)
    assert "自动重试" in notice.text_content()
    found.page.wait_for_selector(".verdict")
    assert count == [3]
    assert notice.count() == 0


def test_errors_of_a_full_queue_need_not_be_waited_for(visit: Any) -> None:
    found = visit(locale="en-GB")
    count = found.answer("/v1/analyze", (*BUSY[:2], {"Retry-After": "90"}))
    notice = _send(found)
    assert "Too many requests" in notice.text_content()
    found.wait("document.querySelector('[data-left]').textContent === 'Trying again in 89 s'")
    found.page.click("text=Try now")
    found.wait("document.querySelector('[data-left]')?.textContent === 'Trying again in 90 s'")
    assert count == [2]
    found.page.click("text=Stop waiting")
    assert "What you wrote is still here" in notice.text_content()
    assert found.page.locator("[data-left]").count() == 0
    assert found.page.input_value("#text") == TEXT


@pytest.mark.parametrize(
    ("answer", "words", "again"),
    [
        (_problem(413, "text_too_large"), "最多 20,000 字", False),
        (_problem(413, "body_too_large"), "请分成几份再试", False),
        (_problem(422, "invalid_request", "expected a string, at #/text"), "expected a string, at #/text", False),
        (_problem(422, "invalid_unicode"), "损坏的字符", False),
        (_problem(403, "forbidden"), "没有这项权限", False),
        (_problem(408, "body_timeout"), "连不上服务", True),
        (_problem(503, "failed"), "没有加载成功", True),
        (_problem(504, "deadline"), "分析超时", True),
        (_problem(500, "internal"), "服务出错了", True),
        ((502, "<html>Bad gateway</html>", {"Content-Type": "text/html"}), "服务出错了", True),
    ],
)
def test_errors_are_in_plain_words(visit: Any, answer: Any, words: str, again: bool) -> None:
    found = visit()
    found.wait("import('/page/model.js').then((module) => module.knownModel() !== null)")
    found.answer("/v1/analyze", answer)
    notice = _send(found)
    assert words in notice.text_content()
    assert "undefined" not in notice.text_content()
    assert notice.locator("[role=alert]").count() == 1
    assert notice.locator("button").count() == int(again)
    assert notice.locator("[data-left]").count() == 0


def test_errors_speak_the_language_that_is_chosen(visit: Any) -> None:
    found = visit()
    found.answer("/v1/analyze", _problem(504, "deadline"))
    notice = _send(found)
    assert "分析超时" in notice.text_content()
    found.page.click("#language")
    assert "It took too long" in notice.text_content()


def test_errors_of_the_network_lose_nothing(visit: Any, record: Any) -> None:
    found = visit()
    found.answer("/v1/analyze", (0, None, {}), (200, record(TEXT, FOUND), {}))
    notice = _send(found)
    assert "连不上服务" in notice.text_content()
    assert "您写的内容还在" in notice.text_content()
    assert found.page.input_value("#text") == TEXT
    found.page.click("#text-notice button")
    found.page.wait_for_selector(".verdict")
    assert notice.count() == 0


def test_errors_while_the_checkpoint_loads_go_away(visit: Any) -> None:
    found = visit(load=False)
    loading = (503, {"code": "loading"}, {"Retry-After": "1"})
    found.answer("/v1/taxonomy", loading, (200, {"dimensions": [], "sentiments": []}, {}))
    found.page.goto(found.url)
    found.page.wait_for_selector('#text-notice [data-status="503"]')
    found.page.wait_for_selector("#text-notice .notice", state="detached")
    found.wait("import('/page/model.js').then((module) => module.knownModel() !== null)")


def test_errors_of_a_later_text_do_not_show_for_an_earlier_one(visit: Any, record: Any) -> None:
    found = visit()
    found.answer("/v1/analyze", BUSY, (200, record(TEXT, FOUND), {}))
    _send(found)
    found.page.click("#clear")
    assert found.page.locator("#text-notice .notice").count() == 0
    found.page.wait_for_timeout(1500)
    assert found.page.locator(".verdict").count() == 0


class _Keys:
    """A service that wants the key `right`; `seen` are the keys that it got."""

    def __init__(self, page: Any) -> None:
        self.seen: list[str | None] = []
        page.route("**/v1/**", self._handle)

    def _handle(self, route: Any) -> None:
        key = route.request.headers.get("x-api-key")
        self.seen.append(key)
        if key == "right":
            route.fallback()
        else:
            status, body, headers = _problem(401, "unauthorized")
            route.fulfill(status=status, json=body, headers=headers)


def test_errors_without_a_key_ask_for_one(visit: Any) -> None:
    found = visit(load=False)
    page = found.page
    keys = _Keys(page)
    page.goto(found.url)
    page.wait_for_selector("#key[open]")
    assert page.evaluate("document.activeElement.id") == "key-input"
    page.fill("#key-input", "wrong")
    page.keyboard.press("Enter")
    found.wait(
        "document.querySelector('#key-wrong').textContent.includes('不对') && document.querySelector('#key').open"
    )
    assert page.get_attribute("#key-input", "aria-invalid") == "true"
    page.fill("#key-input", "密钥")
    page.keyboard.press("Enter")
    assert "不对" in page.locator("#key-wrong").text_content()
    assert "密钥" not in keys.seen
    page.fill("#key-input", " right ")
    page.click("#key button[type=submit]")
    page.wait_for_selector("#key", state="hidden")
    found.score(TEXT)
    page.wait_for_selector(".verdict")
    page.reload()
    found.score(TEXT)
    page.wait_for_selector(".verdict")
    assert keys.seen[-1] == "right"
    assert page.evaluate("[...Object.values(localStorage)]") == []
    page.click("#forget")
    page.wait_for_selector("#key[open]")


def test_errors_without_a_key_say_so_if_none_is_given(visit: Any) -> None:
    found = visit(load=False)
    _Keys(found.page)
    found.page.goto(found.url)
    found.page.wait_for_selector("#key[open]")
    found.page.keyboard.press("Escape")
    found.page.wait_for_selector('#text-notice [data-status="401"]')
    found.page.click("#text-notice button")
    found.page.wait_for_selector("#key[open]")
