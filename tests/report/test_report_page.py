"""The page without a browser: markup in texts stays text, the size is kept, what is missing is said."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sentiment.report.limits import LEAGUE_ENDS, MOST_ROWS, shown_series
from sentiment.report.model import Figure, Label, Lang, Priorities, QuoteList, RepeatRow, Report
from sentiment.report.page import MAX_BYTES, render, shortened, write_page
from tests.report.example import ExampleRows, example_report


def data_of(html: str) -> dict[str, object]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    assert found is not None
    value: dict[str, object] = json.loads(found[1])
    return value


def test_page_lets_run_only_the_scripts_it_names() -> None:
    html = render(example_report()).decode("utf-8")
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)
    assert policy is not None
    named = set(re.findall(r"sha256-([\w+/=]+)", policy[1]))
    scripts = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    assert {base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts} == named
    assert len(scripts) == 3
    assert policy[1].startswith("default-src &#39;none&#39;")
    assert re.findall(r'(?:src|href)="(?!#|data:)[^"]*"', html.split("<script>")[0]) == []


def test_page_keeps_markup_in_texts_as_text() -> None:
    report = example_report()
    hostile = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\u2028\ud800"
    texts = [replace(report.voices.texts[0], text=hostile, cinema=hostile), *report.voices.texts[1:]]
    owners = [replace(report.action.owners[0], owner=hostile)]
    html = render(
        replace(
            report,
            meta=replace(report.meta, models=[hostile]),
            action=replace(report.action, owners=owners),
            voices=replace(report.voices, texts=texts),
        )
    ).decode("utf-8")
    assert "<img" not in html
    assert html.count("</script>") == 4
    quoted = data_of(html)["texts"]
    assert isinstance(quoted, list)
    assert quoted[0]["text"].startswith("</script><script>alert(1)</script><img")


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_page_says_every_figure_with_interval_and_n(lang: Lang) -> None:
    report = example_report()
    html = render(replace(report, meta=replace(report.meta, lang=lang))).decode("utf-8")
    shown = html.split('<script type="application/json"')[0]
    assert "NaN" not in shown
    assert "None" not in shown
    assert "{" not in re.sub(r"<style>.*?</style>", "", shown, flags=re.DOTALL)
    assert '<b>61.4</b> <span class="ci">[57.4, 65.4] <span class="n">n&nbsp;120</span></span>' in shown
    note = report.notes[0].zh if lang == "zh" else report.notes[0].en
    assert note in shown


def test_page_stays_under_its_size_by_cutting_texts() -> None:
    report = example_report()
    many = [replace(report.voices.texts[3], id=str(i), text="停车收费太贵。" * 140) for i in range(2500)]
    lists = {f"cinema/{i}": QuoteList(list(range(20 * i, 20 * i + 20)), 500) for i in range(125)}
    grown = replace(report, voices=replace(report.voices, texts=many, quotes=lists))
    html = render(grown)
    assert len(html) <= MAX_BYTES
    kept = data_of(html.decode("utf-8"))
    assert isinstance(kept["texts"], list)
    assert len(kept["texts"]) >= 100
    assert all(text["cut"] for text in kept["texts"])


def test_page_shortened_keeps_what_lists_name_and_drops_marks_beyond_the_cut() -> None:
    report = example_report()
    short = shortened(report, 14, 1)
    assert [len(found.texts) for found in short.voices.quotes.values()] == [
        min(len(found.texts), 10 if key == "urgent" else 1) for key, found in report.voices.quotes.items()
    ]
    for key, found in short.voices.quotes.items():
        old = report.voices.quotes[key]
        assert found.total == old.total
        for at, before in zip(found.texts, old.texts, strict=False):
            assert report.voices.texts[before].text.startswith(short.voices.texts[at].text)
    cut = next(text for text in short.voices.texts if text.id == "4")
    assert (cut.cut, len(cut.text), cut.mentions[0].start) == (True, 14, None)


def test_page_cuts_long_tables_and_says_so() -> None:
    report = example_report()
    rows = [RepeatRow(f"K{n:04d}", 2, 0, 0, None, None, None, ["票务"]) for n in range(MOST_ROWS + 33)]
    shown = render(replace(report, action=replace(report.action, repeats=rows))).decode("utf-8")
    assert shown.count('<td data-sort="K0') == MOST_ROWS
    assert f"这里显示前 {MOST_ROWS} 行，共 {MOST_ROWS + 33} 行" in shown


def test_page_says_what_its_charts_leave_out() -> None:
    report = example_report()
    league, trend, fix = report.changes.league, report.changes.trend, report.priorities.fix_first
    assert league is not None and trend is not None
    cinemas = [replace(league.rows[0], name=f"影院{n}") for n in range(2 * LEAGUE_ENDS + 5)]
    most = shown_series(len(trend.starts))
    singles = [replace(trend.series[1], cinema=f"影院{n}") for n in range(most + 7)]
    changes = replace(
        report.changes,
        league=replace(league, rows=cinemas),
        trend=replace(trend, series=[trend.series[0], *singles]),
    )
    priorities = replace(report.priorities, fix_first=[replace(fix[0], rank=n) for n in range(1, 9)])
    html = render(replace(report, changes=changes, priorities=priorities)).decode("utf-8")
    drawn: Any = data_of(html)["changes"]
    assert [row["name"] for row in drawn["league"]["rows"]] == [
        f"影院{n}" for n in (*range(LEAGUE_ENDS), *range(LEAGUE_ENDS + 5, 2 * LEAGUE_ENDS + 5))
    ]
    assert f"图里是最前和最后各 {LEAGUE_ENDS} 家，共 {2 * LEAGUE_ENDS + 5} 家" in html
    assert len(drawn["trend"]["series"]) == 1 + most
    assert f"共 {most + 7} 条，这里是最确定的 {most} 条" in html
    assert "这里是前 5 项，共 8 项" in html
    assert "差评里多</h4>" in html
    assert "好评里多（1 / 共 31）</h4>" in html


def test_page_lists_the_weakest_dimensions_of_cinemas_first() -> None:
    table = re.search(r'<table id="table-league-dimensions".*?</table>', render(example_report()).decode("utf-8"), re.S)
    assert table is not None
    shown = [float(value) for value in re.findall(r'<td[^>]*data-sort="([\d.]+)"', table[0])]
    league = example_report().changes.league
    assert league is not None
    assert shown == sorted(figure.value or 0.0 for row in league.rows for figure in row.dimensions.values())


def test_page_opens_the_texts_of_a_dimension_in_a_period() -> None:
    html = render(example_report()).decode("utf-8")
    table = html[html.index('id="table-trend"') :].split("</table>")[0]
    service, button = re.findall(r"<button[^>]*data-quotes=[^>]*>.*?</button>", table)
    assert 'data-quotes="trend/2026-03-01/negative"' in service
    assert 'data-quotes="trend/星河影城·锦江店/seating/2026-03-01/positive"' in button
    assert 'data-what="座椅视野 · 星河影城·锦江店 · 2026-03-01 · 正面"' in button
    assert "<b>78.0</b>" in button


def empty(report: Report) -> Report:
    """The same without anything that can be shown."""
    nothing = Figure(None, n=0, reason="few_mentions")
    row = replace(report.performance.overall, index=nothing, mention_share=nothing, net=nothing, negative_share=nothing)
    return replace(
        report,
        performance=replace(report.performance, overall=replace(row, quotes=None), groups=[], dimensions=[], film=None),
        priorities=Priorities(None, False, None, None, None, 0, [], None, None, [], None, []),
        changes=replace(report.changes, comparisons=[], league=None, trend=None),
        action=replace(report.action, owners=[], urgent=None, failures=[], silent=None, escalations=0),
        lenses=replace(report.lenses, lenses=[]),
        voices=replace(report.voices, texts=[], quotes={}, phrases=[], topics=[], uncovered=nothing),
    )


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_page_of_nothing_is_a_page(lang: Lang) -> None:
    report = empty(example_report())
    html = render(replace(report, meta=replace(report.meta, lang=lang, first=None, last=None))).decode("utf-8")
    shown = html.split('<script type="application/json"')[0]
    assert "NaN" not in shown
    assert "None" not in shown
    assert ("没有足够的评论来给服务打分" if lang == "zh" else "There are not enough texts to rate the service") in shown


def test_page_writes_all_rows_beside_it(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    report = replace(example_report(), labels={"=1+1": Label("=1+1", "=1+1")})
    write_page(report, page, rows=ExampleRows())
    beside = (tmp_path / "report.rows.csv").read_bytes()
    assert beside.startswith(b"\xef\xbb\xbf")
    assert beside.count(b"\r\n") == 6
    assert 'href="report.rows.csv"' in page.read_text("utf-8")
