"""The page in both languages, light and dark, narrow and wide; read by axe as by a screen reader's user."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

pytestmark = pytest.mark.browser

TEXT = "座椅太硬，票价贵，IMAX厅效果震撼。" * 3
FOUND = {"seating": ("negative", "座椅太硬"), "price": ("neutral", "票价贵"), "picture": ("positive", "IMAX厅效果震撼")}


def _faults(page: Any) -> list[str]:
    """What axe finds serious or critical, with the place."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response
    assert len(found["passes"]) > 10
    return [
        f"{fault['id']}: {node['target']} {node['failureSummary']}"
        for fault in found["violations"]
        if fault["impact"] in ("serious", "critical")
        for node in fault["nodes"]
    ]


@pytest.mark.parametrize(("locale", "theme"), [("zh-CN", "light"), ("en-GB", "dark")])
def test_looks_have_no_serious_fault_for_axe(
    visit: Any, record: Any, require_tool: Any, locale: str, theme: str
) -> None:
    if importlib.util.find_spec("axe_playwright_python") is None:
        require_tool("browser", 'there is no axe: pip install "cinesent[dev]"')
    # The page's headers keep axe from running; the page itself is the same without them.
    found = visit(locale=locale, color_scheme=theme, bypass_csp=True, reduced_motion="reduce")
    page = found.page
    found.answer(
        "/v1/analyze", (200, record(TEXT, FOUND, uncertain=True, escalation={"label": True, "confidence": 0.8}), {})
    )
    found.score(TEXT)
    page.click('[data-at="list seating"]')
    assert _faults(page) == []
    page.click('.menu [data-value="none"]')
    page.wait_for_selector(".toast")
    assert _faults(page) == []
    page.click("#add")
    assert _faults(page) == []
    page.keyboard.press("Escape")
    found.answer("/v1/analyze", (429, {"code": "queue_full"}, {"Retry-After": "60"}))
    page.click("#analyse")
    page.wait_for_selector("#text-notice .notice")
    assert _faults(page) == []
    page.click("#tab-file")
    assert _faults(page) == []


@pytest.mark.parametrize("locale", ["zh-CN", "en-GB"])
def test_looks_fit_a_telephone(visit: Any, record: Any, locale: str) -> None:
    found = visit(locale=locale, width=390, has_touch=True, is_mobile=True)
    page = found.page

    def fits() -> None:
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        cut = page.evaluate(
            """() => [...document.querySelectorAll('button, h1, h2, .chip, .sure, .owner, dt, label')]
                .filter((node) => node.checkVisibility() && node.scrollWidth > node.clientWidth + 1 && node.clientWidth)
                .map((node) => node.textContent)"""
        )
        assert cut == []
        small = page.evaluate(
            """() => [...document.querySelectorAll('main button:not(.tag), header button')]
                .filter((node) => node.checkVisibility() && node.getBoundingClientRect().height < 28)
                .map((node) => node.textContent)"""
        )
        assert small == []

    fits()
    found.answer("/v1/analyze", (200, record(TEXT, FOUND, uncertain=True), {}))
    found.score(TEXT)
    fits()
    page.tap('[data-at="list seating"]')
    menu = page.locator(".menu").bounding_box()
    assert menu["x"] >= 0
    assert menu["x"] + menu["width"] <= 390
    page.tap('.menu [data-value="positive"]')
    page.wait_for_selector(".toast")
    fits()
    page.tap("#add")
    fits()
    page.keyboard.press("Escape")
    page.tap("#tab-file")
    fits()


def test_looks_language_and_colours_are_remembered(visit: Any) -> None:
    found = visit(locale="en-GB", color_scheme="light")
    page = found.page
    assert page.locator("#analyse").text_content() == "Analyse"
    assert page.get_attribute("html", "lang") == "en"
    assert page.get_attribute("html", "data-theme") == "light"
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    page.click("#language")
    page.click("#theme")
    for _ in range(2):
        assert page.locator("#analyse").text_content() == "分析"
        assert page.get_attribute("html", "lang") == "zh-CN"
        assert page.title().endswith("影院评论与投诉分析")
        assert page.evaluate(background) != light
        page.reload()


def test_looks_follow_the_system(visit: Any) -> None:
    page = visit(color_scheme="dark").page
    assert page.get_attribute("html", "data-theme") == "dark"
    page.emulate_media(color_scheme="light")
    page.wait_for_selector('html[data-theme="light"]')


def test_looks_every_word_is_there_in_both_languages(visit: Any) -> None:
    """What the code asks for by name exists, and nothing is shown by its name."""
    found = visit()
    missing = found.page.evaluate(
        r"""async () => {
            const { t } = await import('/page/words.js');
            const sources = ['app', 'files', 'key', 'missing', 'notice', 'result', 'text'];
            const urls = ['/', ...sources.map((name) => `/page/${name}.js`)];
            const texts = await Promise.all(urls.map(async (url) => (await fetch(url)).text()));
            const names = texts.flatMap((text) =>
                [...text.matchAll(/\bt\("(\w+)"|data-t(?:-\w+)?="(\w+)"/g)].map((hit) => hit[1] ?? hit[2]));
            return { count: names.length, unknown: names.filter((name) => t(name) === name) };
        }"""
    )
    assert missing["count"] > 80
    assert missing["unknown"] == []


def test_looks_storage_may_be_blocked(visit: Any) -> None:
    found = visit(load=False)
    found.page.add_init_script(
        "for (const name of ['localStorage', 'sessionStorage']) "
        "Object.defineProperty(window, name, { get() { throw new DOMException('', 'SecurityError'); } });"
    )
    found.page.goto(found.url)
    found.page.click("#language")
    found.page.click("#theme")
    assert found.page.locator("#analyse").text_content() == "Analyse"
