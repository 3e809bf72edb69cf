"""Why figures are missing: every reason that a figure or row of the report gives becomes a note that names them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

from sentiment.report.labels import labels
from sentiment.report.model import Comparison, Figure, IndexRow, Label, Lang, LedgerLine, Note, Question, Report
from sentiment.report.notes import Notes, ordered, reason_note

QUESTIONS: tuple[Question, ...] = ("performance", "priorities", "changes", "action", "lenses", "voices")
SHOWN = 6  # names after a figure; beyond it their number
_SUBJECTS = ("cinema", "key", "name", "owner", "customer", "words")  # what a row is about
_NOTHING = Label("", "")
# Fields that are not called in labels.yaml what they are called in the model.
_HEADINGS = {
    "values": "trend_title", "changes": "change_points", "performance": "index_short", "ledger": "ledger_title",
    "sentiment": "overall_mood", "uncovered": "uncovered_texts", "dimensions": "league_title", "share": "share_of",
}  # fmt: skip


def add_reasons(report: Report, notes: Notes) -> Report:
    """The report with all its notes: those of `notes`, and for each question those that its figures give as their
    reason, with what they speak of: "Too few mentions for an estimate – Trend: parking (3), refund (5)"."""
    found: list[Note] = notes.found()
    for question in QUESTIONS:
        about: dict[str, dict[Label, dict[Label, int]]] = {}
        for code, subject, figure in _missing(getattr(report, question), _names(report), _NOTHING, _NOTHING):
            counts = about.setdefault(code, {}).setdefault(figure, {})
            counts[subject] = counts.get(subject, 0) + 1
        for code, figures in about.items():
            alike: dict[tuple[tuple[Label, int], ...], list[Label]] = {}  # figures that are missing for the same rows
            for figure, counts in figures.items():
                alike.setdefault(tuple(counts.items()), []).append(figure)
            zh = "；".join(
                _listed([f.zh for f in some], [(s.zh, n) for s, n in rows], "zh") for rows, some in alike.items()
            )
            en = "; ".join(
                _listed([f.en for f in some], [(s.en, n) for s, n in rows], "en") for rows, some in alike.items()
            )
            found.append(reason_note(code, question, Label(zh, en)))
    return replace(report, notes=ordered(found))


def _listed(figures: list[str], rows: list[tuple[str, int]], lang: Lang) -> str:
    """`Index, Trend: parking (3), refund (5) and 4 more`."""
    comma, words = "、" if lang == "zh" else ", ", labels(lang)
    names = [name + (f" ({n})" if n > 1 else "") for name, n in rows if name]
    shown = comma.join(names[:SHOWN])
    if len(names) > SHOWN:
        shown += words["and_more"].format(n=len(names) - SHOWN)
    figure = comma.join(name for name in figures if name)
    return f"{figure}{words['colon']}{shown}" if figure and shown else figure or shown


def _names(report: Report) -> dict[str, Label]:
    service = Label(labels("zh")["service"], labels("en")["service"])
    return report.labels | {d.key: Label(d.zh, d.en) for d in report.dimensions} | {"service": service}


def _missing(value: Any, names: dict[str, Label], subject: Label, figure: Label) -> Iterator[tuple[str, Label, Label]]:
    """Every reason at any depth, what the row is about, and what the figure is called."""
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from _missing(item, names, subject, figure)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _missing(item, names, _joined(subject, _called(key, names)), figure)
    elif isinstance(value, Figure):
        if value.reason:
            yield value.reason, subject, figure
    elif is_dataclass(value) and not isinstance(value, type):
        if isinstance(value, (IndexRow, LedgerLine)):
            subject = _joined(subject, Label(value.zh, value.en))
        else:
            for name in _SUBJECTS:
                own = getattr(value, name, None)
                if isinstance(own, str):
                    subject = _joined(subject, _called(own, names))
        if isinstance(value, Comparison):
            subject = _joined(subject, value.after)
        reason = getattr(value, "reason", None)
        if reason:
            yield reason, subject, _heading("kano")
        for field in fields(value):
            item = getattr(value, field.name)
            if isinstance(item, (Figure, dict, list, tuple)) or is_dataclass(item):
                yield from _missing(item, names, subject, _heading(field.name, figure))


def _called(key: str, names: dict[str, Label]) -> Label:
    known = names.get(key)
    if known is None and key in labels("zh"):
        return _heading(key)
    return known or Label(key, key)


def _joined(first: Label, second: Label) -> Label:
    return Label(*(f"{a} · {b}" if a else b for a, b in ((first.zh, second.zh), (first.en, second.en))))


def _heading(field: str, otherwise: Label = _NOTHING) -> Label:
    """What a field is called in tables; the enclosing one's name where it has none of its own (`values`, `rows`)."""
    key = _HEADINGS.get(field, field)
    if key not in labels("zh"):
        return otherwise
    return Label(labels("zh")[key], labels("en")[key])
