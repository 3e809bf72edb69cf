"""The report as one HTML file that needs nothing else: template, style, scripts and figures are all inside.

Texts of customers are data, never markup: they travel in a JSON block whose `<` is escaped, reach the page through
`textContent` only, and a content security policy lets no script run but the three whose hashes it names, and no request
leave. Charts are drawn by Observable Plot (on D3), both vendored in `page/`.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import orjson
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from sentiment.report.files import appearing
from sentiment.report.labels import GAIN_DIGITS, interval, kano_label, label, labels, number, probability, unsure
from sentiment.report.limits import LEAGUE_ENDS, MOST_PERIODS, MOST_ROWS, shown_series
from sentiment.report.model import Changes, Figure, Lang, Note, QuoteList, Report, Rows, to_plain
from sentiment.report.notes import reason
from sentiment.report.sentences import sentences
from sentiment.report.view_parts import LinkedFigure, Quotes, View
from sentiment.report.views import views
from sentiment.report.views_changes import series_titles
from sentiment.tables.csv_writer import as_text, guard

MAX_BYTES = 5_000_000
_SCRIPTS = ("d3.min.js", "plot.umd.min.js", "report.js")
# Characters of a text and texts of a list, cut further until the page is small enough.
_BUDGETS = ((1000, 20), (500, 20), (500, 16), (300, 12), (200, 6), (120, 3), (0, 0))
_QUESTIONS = ("performance", "priorities", "changes", "action", "lenses", "voices")


def write_page(report: Report, output: Path, *, rows: Rows | None) -> None:
    """Writes the page to `output`; with `rows`, also all rows beside it as OUTPUT's name + `.rows.csv`.

    The page stays under 5 MB: texts are cut and lists shortened until it does.

    Raises:
        OSError: the file cannot be written.
    """
    beside = output.with_name(f"{output.stem}.rows.csv") if rows is not None else None
    html = render(report, rows_name=beside.name if beside else None)
    if rows is not None and beside is not None:
        _write_rows(rows, beside, report)
    with appearing(output) as stream:
        stream.write(html)


def render(report: Report, *, rows_name: str | None = None) -> bytes:
    """The page, UTF-8; `rows_name` is the file with all rows that it links to."""
    shown = fewer_series(report)
    for characters, most in _BUDGETS:
        html = _render(shortened(shown, characters, most), rows_name, changed_cinemas(report))
        if len(html) <= MAX_BYTES:
            break
    return html


def shortened(report: Report, characters: int, most: int) -> Report:
    """The report with texts of at most `characters`, `most` a list (urgent: tenfold), and none that no list names."""
    voices = report.voices
    lists = {
        key: QuoteList(found.texts[: most * (10 if key == "urgent" else 1)], found.total)
        for key, found in voices.quotes.items()
    }
    kept = sorted({at for found in lists.values() for at in found.texts})
    moved = {old: new for new, old in enumerate(kept)}
    texts = []
    for at in kept:
        quote = voices.texts[at]
        if len(quote.text) > characters:
            marks = [
                replace(m, start=None, end=None) if m.end is not None and m.end > characters else m
                for m in quote.mentions
            ]
            quote = replace(quote, text=quote.text[:characters], cut=True, mentions=marks)
        texts.append(quote)
    moved_lists = {key: QuoteList([moved[at] for at in found.texts], found.total) for key, found in lists.items()}
    return replace(report, voices=replace(voices, texts=texts, quotes=moved_lists))


def fewer_series(report: Report) -> Report:
    """The report with as many series of single cinemas as a page shows; the surest come first."""
    trend = report.changes.trend
    if trend is None:
        return report
    most = shown_series(len(trend.starts))
    series = [one for one in trend.series if one.cinema is None]
    series += [one for one in trend.series if one.cinema is not None][:most]
    return replace(report, changes=replace(report.changes, trend=replace(trend, series=series)))


def changed_cinemas(report: Report) -> int:
    """How many series of single cinemas there are."""
    return sum(one.cinema is not None for one in report.changes.trend.series) if report.changes.trend else 0


def _render(report: Report, rows_name: str | None, all_series: int) -> bytes:
    lang = report.meta.lang
    environment = Environment(
        loader=PackageLoader("sentiment.report", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    scripts = [_asset(name) for name in _SCRIPTS]
    hashes = " ".join(f"'sha256-{_sha256(script)}'" for script in scripts)
    policy = (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    tables = views(report)
    page = environment.get_template("report.html.j2").render(
        report=report,
        lang=lang,
        t=lambda key, **values: label(key, lang, **values),
        kano=lambda key: kano_label(key, lang),
        number=number,
        interval=interval,
        probability=probability,
        unsure=unsure,
        gain_digits=GAIN_DIGITS,
        sort_key=_sort_key,
        reason=lambda code: _reason(code, lang),
        most_rows=MOST_ROWS,
        most_periods=MOST_PERIODS,
        league_ends=LEAGUE_ENDS,
        series=changed_cinemas(report),
        all_series=all_series,
        kind_of=lambda cell: type(cell).__name__,
        views=tables,
        starting=lambda prefix: _starting(tables, prefix),
        questions=_QUESTIONS,
        sentences=sentences(report),
        notes=lambda question: _notes(report, question),
        names={d.key: d.zh if lang == "zh" else d.en for d in report.dimensions},
        policy=policy,
        style=Markup(_asset("report.css")),
        scripts=[Markup(script) for script in scripts],
        data=Markup(_json(_for_script(report))),
        rows_name=rows_name,
    )
    return page.encode("utf-8", "replace")


def _asset(name: str) -> str:
    return (files("sentiment") / "report" / "page" / name).read_text("utf-8")


def _sha256(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")


def _for_script(report: Report) -> dict[str, Any]:
    """What charts and dialogs need."""
    lang = report.meta.lang
    names = {key: value.zh if lang == "zh" else value.en for key, value in report.labels.items()}
    return {
        "lang": lang,
        "labels": labels(lang),
        "kano": {k: kano_label(k, lang) for k in ("basic", "performance", "excitement", "indifferent", "inconclusive")},
        "names": names | {d.key: d.zh if lang == "zh" else d.en for d in report.dimensions}
        | {"service": label("service", lang)},
        "dimensions": [d.key for d in report.dimensions],
        "series": series_titles(report),
        "performance": to_plain(report.performance),
        "priorities": to_plain(report.priorities),
        "changes": to_plain(_drawn(report.changes)),
        "lenses": to_plain(report.lenses),
        "texts": to_plain(report.voices.texts),
        "quotes": to_plain(report.voices.quotes),
    }  # fmt: skip


def _drawn(changes: Changes) -> Changes:
    """What the charts draw of them: tables have the cinemas, and the middle of a long league."""
    league = changes.league
    if league is not None:
        rows = league.rows
        if len(rows) > 2 * LEAGUE_ENDS:
            rows = [*rows[:LEAGUE_ENDS], *rows[-LEAGUE_ENDS:]]
        league = replace(league, rows=[replace(row, dimensions={}) for row in rows])
    comparisons = [replace(comparison, cinemas=[]) for comparison in changes.comparisons]
    return replace(changes, comparisons=comparisons, league=league)


def _json(value: Any) -> str:
    """JSON that cannot end the script element it stands in; lone surrogates become U+FFFD."""
    try:
        made = orjson.dumps(value)
    except TypeError:  # lone surrogates, which no UTF-8 can hold
        made = orjson.dumps(_valid(value))
    return made.decode("utf-8").replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _valid(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {_valid(key): _valid(item) for key, item in value.items()}
    return [_valid(item) for item in value] if isinstance(value, list) else value


def _reason(code: str | None, lang: Lang) -> str:
    """Why a figure is missing."""
    if code is None:
        return label("nothing", lang)
    words = reason(code)
    return words.zh if lang == "zh" else words.en


def _sort_key(cell: object) -> str:
    """By what a column is sorted; empty goes last."""
    if isinstance(cell, LinkedFigure):
        cell = cell.figure
    if isinstance(cell, Figure):
        cell = cell.value
    if isinstance(cell, Quotes):
        cell = sum(total for _, _, total in cell.lists)
    if cell is None:
        return ""
    return str(int(cell)) if isinstance(cell, bool) else str(cell)


def _starting(tables: dict[str, View], prefix: str) -> list[View]:
    return [view for key, view in tables.items() if key.startswith(prefix)]


def _notes(report: Report, question: str) -> list[Note]:
    """What cannot be answered first."""
    order = {"cannot": 0, "caution": 1, "info": 2}
    return sorted((n for n in report.notes if n.question == question), key=lambda note: order[note.level])


def _write_rows(rows: Rows, path: Path, report: Report) -> None:
    """CSV as `cinesent score` writes it: a byte order mark for Excel, formulas disarmed."""
    zh = report.meta.lang == "zh"
    with (
        appearing(path) as binary,
        io.TextIOWrapper(binary, encoding="utf-8-sig", errors="replace", newline="") as stream,
    ):
        writer = csv.writer(stream)
        writer.writerow([guard(column.zh if zh else column.en) for column in rows.columns])
        for row in rows:
            writer.writerow(["" if cell is None else guard(as_text(cell)) for cell in row])
