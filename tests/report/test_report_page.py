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
from sentiment.report.model import Figure, Label, Lang, Priorities, QuoteList, RepeatRow, Report, ShareRow
from sentiment.report.page import MAX_BYTES, render, shortened, write_page
from sentiment.report.sentences import sentences
from sentiment.report.views import views
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


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_page_calls_a_difference_between_groups_no_change(lang: Lang) -> None:
    report = example_report()
    one = report.changes.comparisons[0]
    by = replace(
        one, kind="by", column="城市", before=Label("其余", "all others"), after=Label("甲市", "Jia"), cinemas=[]
    )
    found = replace(
        report,
        meta=replace(report.meta, lang=lang),
        changes=replace(report.changes, comparisons=[by], trend=None, league=None),
    )
    said = sentences(found)[2]
    assert (
        "甲市的座椅视野是 66.0，其余是 30.0" if lang == "zh" else "seating is 66.0 at Jia and 30.0 elsewhere"
    ) in said
    assert not re.search("由 .* 变为|变化|went from|change", said)
    heads = [column.header for column in views(found)["comparison-0"].columns[1:3]]
    assert heads == (["其余", "甲市"] if lang == "zh" else ["all others", "Jia"])
    plain = [replace(row, significant=False) for row in by.rows]
    said = sentences(replace(found, changes=replace(found.changes, comparisons=[replace(by, rows=plain)])))[2]
    assert ("没有哪一组" if lang == "zh" else "No group stands apart") in said
    both = replace(found, changes=replace(found.changes, comparisons=[by, one]))
    assert ("由 30.0 变为 66.0" if lang == "zh" else "went from 30.0 to 66.0") in sentences(both)[2]


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_page_first_screen_says_interval_and_n_of_every_figure(lang: Lang) -> None:
    report = example_report()
    found = replace(report, meta=replace(report.meta, lang=lang))
    first = render(found).decode("utf-8").split('class="first"')[1].split("</section>")[0]
    for n in ("[1.50, 2.70]", "[7.0, 11.0]", "[3.5, 5.5]"):  # gain, rate and target of parking, in the list
        assert f'{n} <span class="n">n&nbsp;640</span>' in first
    standing, fix, worked = sentences(found)
    rate, target = "9.0% [7.0, 11.0]", "4.5% [3.5, 5.5]"
    if lang == "zh":
        assert "停车（84 [80, 88]，n 120）" in standing
        assert f"从 {rate} 降到一半，即 {target}" in fix
        assert "2.10 点（95% 区间 1.50 至 2.70，640 条评论）" in fix
        assert "变为 66.0（+36.0，95% 区间 32.0 至 40.0，120 处提及）" in worked
    else:
        assert "parking (84 [80, 88], n 120)" in standing
        assert f"from {rate} of texts to half of that, {target}," in fix
        assert "2.10 points (95% interval 1.50 to 2.70, 640 texts)" in fix
        assert "+36.0, 95% interval 32.0 to 40.0, 120 mentions" in worked


@pytest.mark.parametrize(("low", "unsure"), [(-0.2, True), (0.0, True), (0.004, True), (0.03, False)])
def test_page_and_sentence_agree_on_an_interval_that_holds_0(low: float, unsure: bool) -> None:
    report = example_report()
    fix = replace(report.priorities.fix_first[0], gain=Figure(0.3, low, 0.6, 640.0))
    found = replace(report, priorities=replace(report.priorities, fix_first=[fix]))
    first = render(found).decode("utf-8").split('class="fix"')[1].split("</section>")[0]
    assert ("区间含 0" in first) == unsure
    said = sentences(found)[1]
    assert ("区间含 0" in said) == unsure
    assert f"{max(low, 0):.2f} 至 0.60" in said or low < 0


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_page_has_sentences_without_intervals(lang: Lang) -> None:
    report = example_report()
    bare = Figure(40.0, None, None, 8.0, "one_unit")
    found = replace(
        report,
        meta=replace(report.meta, lang=lang),
        performance=replace(report.performance, overall=replace(report.performance.overall, index=bare)),
        priorities=replace(
            report.priorities, fix_first=[replace(report.priorities.fix_first[0], gain=replace(bare, value=2.0))]
        ),
    )
    for said in sentences(found)[:2]:
        assert "95%" not in said and "含 0" not in said and "holds 0" not in said
        assert ("无法给出区间" if lang == "zh" else "without an interval") in said


def test_page_leaves_the_names_of_cinemas_as_they_are() -> None:
    report = example_report()
    silent = report.action.silent
    assert silent is not None
    named = replace(silent, cinemas=[ShareRow("parking", 25, silent.cinemas[0].share)])
    table = views(replace(report, action=replace(report.action, silent=named)))["silent-where"]
    assert table.rows[0][0] == "parking"
