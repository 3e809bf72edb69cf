"""An evaluation report as one HTML file: tables, confusions, reliability plots; nothing is loaded from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from training.evaluation_text import FIGURES, INTERVALS, RULES, SUMS, closing_lines, macro_lines, rate_text

if TYPE_CHECKING:
    from sentiment.taxonomy import Taxonomy

STYLE = """
body { font: 15px/1.5 system-ui, "Noto Sans CJK SC", "Microsoft YaHei", sans-serif; margin: 2rem auto; max-width: 72rem;
  padding: 0 1rem; color: #1c2733; background: #fff; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
table { border-collapse: collapse; margin: .6rem 0; } caption { text-align: left; font-weight: 600; }
th, td { padding: .2rem .7rem; border-bottom: 1px solid #e3e8ee; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } td.text { text-align: left; white-space: normal; }
td.right { background: #e6f4ea; } .plots, .confusions { display: flex; flex-wrap: wrap; gap: 1.5rem; }
figure { margin: 0; } figcaption { font-size: .85rem; color: #52606d; } p.note { color: #52606d; }
"""
SIDE = 220  # of a reliability plot, in pixels


def html_report(report: Mapping[str, Any], taxonomy: Taxonomy, heading: Iterable[tuple[str, str]] = ()) -> str:
    """The page. `heading`: facts to begin with, such as the checkpoint's name."""
    facts = [*heading, ("texts", f"{report['texts']:,}")]
    if "rules" in report:
        facts.append(("rules", RULES[report["rules"]]))
    body = ["<h1>Evaluation</h1>", *(f"<p>{escape(name)}: {escape(fact)}</p>" for name, fact in facts)]
    body.append(f'<p class="note">{INTERVALS}</p>')
    if "dimensions" in report:
        body += _dimensions(report, taxonomy)
    for head in ("overall", "intent"):
        if head in report:
            entry = report[head]
            body += [
                f"<h2>{head.capitalize()}</h2>",
                f"<p>Accuracy {rate_text(entry['accuracy'])}, macro-F1 {rate_text(entry['macro_f1'])}</p>",
                _confusion(entry["confusion"], entry["labels"], "rows: truth, columns: said"),
            ]
    if "escalation" in report:
        entry = report["escalation"]
        body += ["<h2>Escalation</h2>", _table(
            ("", "texts", "should be", "called", *FIGURES),
            [("escalation", *(f"{entry[name]:,}" for name in ("texts", "support", "called")), *_rates(entry))],
        )]  # fmt: skip
    body += _calibration(report)
    if report["mistakes"]:
        quoted = "text" in report["mistakes"][0]
        columns = ("id", "head", "said", "truth", "confidence", *(["text"] if quoted else []))
        names = ("id", "head", "said", "gold")
        rows = [
            (*(str(m[name]) for name in names), f"{m['confidence']:.3f}", *([m["text"]] if quoted else []))
            for m in report["mistakes"]
        ]
        body += ["<h2>Surest mistakes</h2>", _table(columns, rows, text_from=5)]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>cinesent evaluation</title>'
        '<meta name="viewport" content="width=device-width">'
        f"<style>{STYLE}</style></head>\n<body>\n" + "\n".join(body) + "\n</body></html>\n"
    )


def _dimensions(report: Mapping[str, Any], taxonomy: Taxonomy) -> list[str]:
    entries = [(name, report[key]) for key, name in SUMS.items() if key in report]
    entries += [(f"{key} {taxonomy[key].zh}", entry) for key, entry in report["dimensions"].items()]
    parts = ["<h2>Dimensions</h2>"]
    for kind, title in (("mention", "Mentions"), ("joint", "Joint: mentions with their sentiment")):
        rows = [
            (name, f"{entry['support']:,}", f"{entry['called']:,}", *_rates(entry[kind])) for name, entry in entries
        ]
        parts.append(_table(("", "mentions", "called", *FIGURES), rows, caption=title))
    parts += [f"<p>{escape(line)}</p>" for line in macro_lines(report)]
    confusions = [
        _confusion(entry["confusion"], report["dimension_labels"], f"{key} {taxonomy[key].zh}")
        for key, entry in report["dimensions"].items()
        if entry["support"] or entry["called"]
    ]
    return [
        *parts,
        "<h2>Confusions (rows: truth, columns: said)</h2>",
        f'<div class="confusions">{"".join(confusions)}</div>',
    ]


def _calibration(report: Mapping[str, Any]) -> list[str]:
    heads = {name: entry for name, entry in report["calibration"].items() if name != "estimator"}
    if not heads:
        return []
    columns = ("", "labels", "mean confidence", "share right", "ECE", "RMS", "biased")
    figures = ("confidence", "accuracy", "ece", "rms", "plain")
    rows = [(name, f"{entry['labels']:,}", *(f"{entry[key]:.3f}" for key in figures)) for name, entry in heads.items()]
    parts = ["<h2>Calibration of the labels given</h2>", _table(columns, rows)]
    parts.append(f'<div class="plots">{"".join(_reliability(name, entry) for name, entry in heads.items())}</div>')
    parts.append(f'<p class="note">{escape(report["calibration"]["estimator"])}.</p>')
    parts += [f"<p>{escape(line)}</p>" for line in closing_lines(report)]
    return parts


def _reliability(name: str, entry: Mapping[str, Any]) -> str:
    """Share of right labels over mean confidence, a point a bin; the diagonal is perfect calibration."""
    points = [(SIDE * b["confidence"], SIDE * (1 - b["accuracy"]), b["labels"]) for b in entry["bins"]]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in points)
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="#1f6feb"><title>{n} labels</title></circle>'
        for x, y, n in points
    )
    return (
        f'<figure><svg width="{SIDE}" height="{SIDE}" role="img" aria-label="Reliability of {escape(name)}">'
        f'<rect width="{SIDE}" height="{SIDE}" fill="none" stroke="#9aa5b1"/>'
        f'<line x1="0" y1="{SIDE}" x2="{SIDE}" y2="0" stroke="#9aa5b1" stroke-dasharray="4"/>'
        f'<polyline points="{line}" fill="none" stroke="#1f6feb"/>{dots}</svg>'
        f"<figcaption>{escape(name)}: share right (up) over confidence, 0 to 1</figcaption></figure>"
    )


def _confusion(counts: Sequence[Sequence[int]], labels: Sequence[str], caption: str) -> str:
    head = "".join(f"<th>{escape(label)}</th>" for label in ("", *labels))
    rows = "".join(
        f"<tr><td>{escape(label)}</td>"
        + "".join(f"<td{' class=right' if i == j else ''}>{n:,}</td>" for j, n in enumerate(row))
        + "</tr>"
        for i, (label, row) in enumerate(zip(labels, counts, strict=True))
    )
    return f"<table><caption>{escape(caption)}</caption><tr>{head}</tr>{rows}</table>"


def _table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, caption: str = "", text_from: int | None = None
) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(
        "<tr>"
        + "".join(
            f"<td{' class=text' if text_from is not None and i >= text_from else ''}>{escape(cell)}</td>"
            for i, cell in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f"<table>{title}<tr>{head}</tr>{body}</table>"


def _rates(entry: Mapping[str, Any]) -> list[str]:
    return [rate_text(entry.get(figure)) for figure in FIGURES]
