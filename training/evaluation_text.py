"""An evaluation report as tables that people read in a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from training.rates import BINS, has_width

if TYPE_CHECKING:
    from sentiment.taxonomy import Taxonomy

SUMS = {"service": "service dimensions", "all": "all dimensions"}
FIGURES = ("precision", "recall", "f1")
INTERVALS = "In brackets: 95% intervals, bootstrap over texts; a dash where every resample gave the same."
RULES = {
    "packaged": "the checkpoint's own thresholds and scaling",
    "cross-fitted": "thresholds and scaling refitted for each of five folds without its texts "
    "(whole near-duplicate groups)",
    "development": "thresholds and scaling fitted on the development texts",
    "training": "thresholds and scaling from cross-validation on the training texts",
}


def write_report(
    report: Mapping[str, Any], taxonomy: Taxonomy, file: TextIO, heading: Iterable[tuple[str, str]] = ()
) -> None:
    """Prints a report as tables. `heading`: facts to begin with, such as the checkpoint's name."""
    from rich.console import Console
    from rich.table import Table

    console = Console(file=file, width=None if file.isatty() else 120, markup=False, highlight=False, soft_wrap=False)

    def table(title: str, *columns: str, rows: Iterable[Sequence[str]]) -> None:
        shown = Table(box=None, pad_edge=False)
        for number, column in enumerate(columns):
            shown.add_column(column, justify="left" if number == 0 else "right", no_wrap=number == 0)
        for row in rows:
            shown.add_row(*row)
        console.print()
        console.print(title, style="bold")
        console.print(shown)

    facts = [
        *heading,
        ("texts", f"{report['texts']:,}" + (f", {report['unread']} not read" if report["unread"] else "")),
    ]
    if "rules" in report:
        facts.append(("rules", RULES[report["rules"]]))
    for name, fact in facts:
        console.print(f"{name}: {fact}")
    console.print(INTERVALS)

    if "dimensions" in report:
        entries = [(name, report[key]) for key, name in SUMS.items() if key in report]
        entries += [(f"{key} ({taxonomy[key].zh})", entry) for key, entry in report["dimensions"].items()]
        for kind, title in (("mention", "Mentions"), ("joint", "Joint: mentions with their sentiment")):
            table(
                title, "", "mentions", "called", *FIGURES,
                rows=[
                    (name, f"{entry['support']:,}", f"{entry['called']:,}", *_row(entry[kind]))
                    for name, entry in entries
                ],
            )  # fmt: skip
        for line in macro_lines(report):
            console.print(line)
        table(
            "Confusions: truth → said, most frequent first", "", "right", "wrong",
            rows=[
                (f"{key} ({taxonomy[key].zh})", f"{right:,}", wrong or "-")
                for key, entry in report["dimensions"].items()
                for right, wrong in [confusion_text(entry["confusion"], report["dimension_labels"])]
            ],
        )  # fmt: skip
    for head in ("overall", "intent"):
        if head in report:
            entry = report[head]
            table(
                f"{head.capitalize()}: accuracy {rate_text(entry['accuracy'])}, "
                f"macro-F1 {rate_text(entry['macro_f1'])}",
                "truth, then said", *entry["labels"],
                rows=[
                    (label, *(f"{n:,}" for n in row))
                    for label, row in zip(entry["labels"], entry["confusion"], strict=True)
                ],
            )  # fmt: skip
    if "escalation" in report:
        entry = report["escalation"]
        table(
            "Escalation", "", "texts", "should be", "called", *FIGURES,
            rows=[("escalation", *(f"{entry[name]:,}" for name in ("texts", "support", "called")),
                   *_row(entry))],
        )  # fmt: skip
    heads = {name: entry for name, entry in report["calibration"].items() if name != "estimator"}
    if heads:
        shown = ("confidence", "accuracy", "ece", "rms", "plain")
        table(
            "Calibration of the labels given", "", "labels", "mean confidence", "share right", "ECE", "RMS", "biased",
            rows=[
                (name, f"{entry['labels']:,}", *(f"{entry[key]:.3f}" for key in shown))
                for name, entry in heads.items()
            ],
        )  # fmt: skip
        console.print(f"{BINS} {report['calibration']['estimator']}.")
    console.print()
    for line in closing_lines(report):
        console.print(line)
    if report["mistakes"]:
        quoted = "text" in report["mistakes"][0]
        table(
            "Surest mistakes", "id", "head", "said", "truth", "confidence", *(["text"] if quoted else []),
            rows=[
                (m["id"], m["head"], m["said"], m["gold"], f"{m['confidence']:.3f}", *([m["text"]] if quoted else []))
                for m in report["mistakes"]
            ],
        )  # fmt: skip


def confusion_text(counts: Sequence[Sequence[int]], labels: Sequence[str]) -> tuple[int, str]:
    """(mentions whose label is right, `none → negative 4, …`), from counts by truth and said, not mentioned first."""
    cells = [(n, i, j) for i, line in enumerate(counts) for j, n in enumerate(line)]
    right = sum(n for n, i, j in cells if i == j and i > 0)
    wrong = sorted((cell for cell in cells if cell[0] and cell[1] != cell[2]), key=lambda c: (-c[0], c[1], c[2]))
    return right, ", ".join(f"{labels[i]} → {labels[j]} {n:,}" for n, i, j in wrong)


def macro_lines(report: Mapping[str, Any]) -> list[str]:
    """The mean over dimensions, a sentence each for the service dimensions and for all."""
    return [
        f"Mean joint F1 over {name} with at least {macro['least_mentions']} mentions ({len(macro['dimensions'])}): "
        f"{rate_text(macro)}"
        for key, name in SUMS.items()
        if (macro := report.get(key, {}).get("macro_joint"))
    ]


def closing_lines(report: Mapping[str, Any]) -> list[str]:
    """What is told of the least certain texts and of evidence, a sentence each."""
    lines = []
    if "risk_coverage" in report:
        entry = report["risk_coverage"]
        lines.append(
            f"Least certain {entry['share']:.0%} by overall ({entry['texts']} texts): {entry['errors_caught']} of "
            f"{entry['errors']} overall errors, {rate_text(entry.get('caught'))}; accuracy of the rest "
            f"{rate_text(entry.get('accuracy_of_the_rest'))}"
        )
    if "evidence" in report:
        entry = report["evidence"]
        lines.append(
            f"Evidence: character F1 with the labelled span {rate_text(entry['f1'])} over {entry['mentions']:,} found "
            "mentions"
        )
    return lines


def _row(entry: Mapping[str, Any]) -> list[str]:
    return [rate_text(entry.get(figure)) for figure in FIGURES]


def rate_text(rate: Mapping[str, float] | None) -> str:
    """`0.753 [0.71–0.79]`, or a dash; `1.000 [-]` where all resamples gave the same, which is no interval."""
    if rate is None:
        return "-"
    interval = f"{rate['low']:.2f}–{rate['high']:.2f}" if has_width(rate) else "-"
    return f"{rate['value']:.3f} [{interval}]"
