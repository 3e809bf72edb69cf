"""The report's page in a real browser: quiet, offline, operable, accessible, and deaf to markup in reviews."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sentiment.report.model import Label, Lang, Quote, QuoteList, Report
from sentiment.report.page import write_page
from tests.report.example import example_report

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

HOSTILE = (
    '停车</script><script>window.hacked = 1</script><img src=x onerror="window.hacked = 2">&amp;\u2028😀<b>太贵</b>',
    "javascript:window.hacked = 3",
)


def hostile_report(lang: Lang) -> Report:
    """The example, with markup wherever a user's words reach the page."""
    report = example_report()
    texts = list(report.voices.texts)
    first: Quote = texts[0]
    start = HOSTILE[0].index("太贵")
    texts[0] = replace(
        first,
        text=HOSTILE[0],
        cinema=HOSTILE[0],
        mentions=[replace(first.mentions[0], start=start, end=start + 2)],
    )
    key = f"cinema/{HOSTILE[0]}"
    league = report.changes.league
    assert league is not None
    rows = [replace(league.rows[0], name=HOSTILE[0], quotes=key), *league.rows[1:]]
    return replace(
        report,
        meta=replace(report.meta, lang=lang, models=[HOSTILE[0]]),
        labels=report.labels | {"<b>": Label("<b>", "<b>")},
        changes=replace(report.changes, league=replace(league, rows=rows)),
        voices=replace(report.voices, texts=texts, quotes=report.voices.quotes | {key: QuoteList([0], 1)}),
    )


@dataclass
class Opened:
    """A page with what it said and asked for."""

    page: Page
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@pytest.fixture(scope="module", params=["zh", "en"])
def opened(request: pytest.FixtureRequest, browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_page(hostile_report(request.param), path, rows=None)
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(180_000)  # a busy machine is no fault
    page = context.new_page()
    opened = Opened(page)
    page.on("console", lambda message: opened.said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: opened.said.append(str(error)))
    page.on("request", lambda sent: opened.asked.append(sent.url))
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready]")
    yield opened
    context.close()


def test_page_is_quiet_and_asks_for_nothing(opened: Opened) -> None:
    assert opened.said == []
    assert [url for url in opened.asked if not url.startswith(("file:", "data:"))] == []
    assert sum(url.startswith("file:") for url in opened.asked) == 1


def test_page_draws_every_chart(opened: Opened) -> None:
    boxes = opened.page.locator("[data-chart]")
    assert boxes.count() >= 8
    for at in range(boxes.count()):
        assert boxes.nth(at).locator("svg").count() >= 1, boxes.nth(at).get_attribute("data-chart")
    assert "NaN" not in opened.page.locator("main").inner_html()


def test_page_filters_and_sorts_tables(opened: Opened) -> None:
    page = opened.page
    table = page.locator("#table-dimensions")
    details = page.locator("details", has=table)
    details.locator("input[type=search]").fill("parking" if page.locator("html[lang=en]").count() else "停车")
    assert table.locator("tbody tr:visible").count() == 1
    assert details.get_by_role("status").inner_text().startswith(("1 ", "显示 1 "))
    details.locator("input[type=search]").fill("")
    assert table.locator("tbody tr:visible").count() == 19
    head = table.locator("thead th").nth(1)
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    values = [float(cell.get_attribute("data-sort") or "nan") for cell in table.locator("tbody td:nth-child(2)").all()]
    assert values == sorted(values, reverse=True)
    head.locator("button").focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"


def test_page_opens_the_texts_behind_a_number_and_marks_the_evidence(opened: Opened) -> None:
    page = opened.page
    button = page.locator(".fix button.quotes").first
    button.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    assert dialog.is_visible()
    assert dialog.locator("li").count() == 2
    assert "36" in dialog.get_by_role("status").inner_text()
    assert dialog.locator("li").first.locator("mark.negative").inner_text() == "太贵"
    dialog.locator("input[type=search]").fill("收费太贵")
    assert dialog.locator("li:visible").count() == 1
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
    assert page.evaluate("document.activeElement.className") == "quotes"


def test_page_switches_between_the_sentiments_behind_a_number(opened: Opened) -> None:
    page = opened.page
    page.locator(".fix button.quotes").first.click()
    dialog = page.get_by_role("dialog")
    kinds = dialog.locator("#quotes-kinds button")
    assert kinds.count() == 2
    assert kinds.first.get_attribute("aria-pressed") == "true"
    kinds.nth(1).click()
    assert kinds.nth(1).get_attribute("aria-pressed") == "true"
    assert dialog.locator("li").count() == 1
    assert "12" in dialog.get_by_role("status").inner_text()
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")


def test_page_opens_the_texts_behind_a_point_of_a_chart(opened: Opened) -> None:
    page = opened.page
    page.locator('[data-chart="dimensions"] circle[data-texts]').first.click()
    assert page.get_by_role("dialog").is_visible()
    assert page.url.endswith("report.html")
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")


@pytest.mark.parametrize("width", [1440, 520, 390])
def test_page_says_n_in_every_chart_at_any_width(opened: Opened, width: int) -> None:
    page = opened.page
    page.set_viewport_size({"width": width, "height": 900})
    for chart in ("dimensions", "impact", "league", "ledger", "lenses", "comparison-0"):
        written = page.locator(f'[data-chart="{chart}"] svg text').all_text_contents()
        figures = [words for words in written if " · n " in words]
        assert len(figures) >= 2, (chart, width, written[:9])
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [1440, 690, 390])
def test_page_says_n_at_every_point_of_importance_and_in_the_trend(opened: Opened, width: int) -> None:
    page = opened.page
    page.set_viewport_size({"width": width, "height": 900})
    chart = page.locator('[data-chart="ipa"]')
    points = chart.locator("circle").count()
    labels = [words for words in chart.locator("svg text").all_text_contents() if " n " in words]
    below = chart.locator("p").all_text_contents()
    assert points == 17
    assert len(labels) + sum(words.count(" · n ") for words in below) == points
    assert page.locator('[data-chart="trend"] p.ci').first.inner_text().endswith("120–120")


def test_page_opens_the_texts_behind_a_period_of_the_trend(opened: Opened) -> None:
    page = opened.page
    page.set_viewport_size({"width": 1440, "height": 900})
    dialog = page.get_by_role("dialog")
    page.locator('[data-chart="trend"] circle[data-texts]').first.click()
    assert "30" in dialog.get_by_role("status").inner_text()
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    details = page.locator("details", has=page.locator("#table-trend"))
    details.locator("summary").click()
    details.locator("button.quotes").last.focus()
    page.keyboard.press("Enter")
    assert "2026-03-01" in dialog.get_by_role("heading").inner_text()
    assert "7" in dialog.get_by_role("status").inner_text()
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    details.locator("summary").click()


def test_page_on_paper_is_no_wider_than_the_paper(opened: Opened) -> None:
    """What is wider makes the browser print everything smaller, and cuts tables."""
    page = opened.page
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 703, "height": 900})  # A4 without its margins
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    widths = page.evaluate(
        "[...document.querySelectorAll('table, svg')].map((one) => one.getBoundingClientRect().right)"
    )
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    page.emulate_media(media="screen")
    assert len(widths) > 20
    assert max(widths) <= 703


def test_page_never_runs_what_reviews_contain(opened: Opened) -> None:
    page = opened.page
    page.locator("#table-league button.quotes").first.click()
    shown = page.locator("#quotes-list li p").first
    assert shown.inner_text().startswith("停车</script><script>")
    assert page.locator("#quotes-list img, #quotes-list script, main img, main b b").count() == 0
    page.keyboard.press("Escape")
    assert page.evaluate("window.hacked") is None
    assert opened.said == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_page_is_accessible_and_fits(opened: Opened, width: int, scheme: Any) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = opened.page
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(page).response["violations"]
    serious = [
        (fault["id"], fault["nodes"][0]["html"][:200]) for fault in found if fault["impact"] in ("serious", "critical")
    ]
    assert serious == []


def test_page_prints_on_a4(opened: Opened, tmp_path: Path) -> None:
    page = opened.page
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 1440, "height": 900})
    printed = page.pdf(path=tmp_path / "report.pdf", prefer_css_page_size=True)
    assert printed.startswith(b"%PDF")
    assert b"/MediaBox [0 0 594" in printed or b"/MediaBox [0 0 595" in printed
