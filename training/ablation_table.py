"""The tables of `benchmarks/ablation.py`: results in, Markdown out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from training.quality_tables import percent, row, table

COLUMNS = ("joint", "mention", "overall")
COMMENTS = "joint, comments alone"
GROUPS = {
    "depth": "Depth (differences to the first 8 layers, mean of the same seeds)",
    "part": "Parts (differences to the plain training, mean of the same seeds)",
}
TO_BEST = "joint, to the best depth"


def ablation_block(found: Mapping[str, Any]) -> str:
    """Two tables: depths with the one that the rule names, and parts of the recipe."""
    lines = [
        f"Small trainings from the base: {found['fitted']:,} texts, {found['epochs']:g} epochs, judged on "
        f"{found['judged']:,} others of the training texts ({found['judged_comments']:,} are comments of other "
        "people); service dimensions, thresholds cross-fitted, in percent, differences in points; in brackets 95% "
        "intervals (bootstrap over texts and, where there are several, over runs; differences are paired by text and "
        "seed). The interval of one run leaves out how runs differ by chance, and three tell it roughly. Pretraining "
        f"read {found['tokens']:,} tokens, distillation {found['unlabelled']:,} comments where no other number stands.",
    ]
    for group, title in GROUPS.items():
        entries = [entry for entry in found["variants"] if entry["group"] in (group, "both")]
        if len(entries) < 2:
            continue
        rule = found.get("depth") if group == "depth" else None
        columns = [
            "runs",
            *COLUMNS,
            COMMENTS,
            "joint, difference",
            "overall, difference",
            *([TO_BEST] if rule else []),
            "minutes",
        ]
        lines += ["", f"{title}:", "", *table("training", columns)]
        for entry in entries:
            gained = entry.get("differences", {})
            cells = [str(entry["seeds"]), *(percent(entry["figures"].get(name)) for name in COLUMNS)]
            cells.append(percent(entry.get("comments", {}).get("figures", {}).get("joint")))
            cells += [change(gained.get("joint")), change(gained.get("overall"))]
            if rule:
                best = entry["name"] == rule["best"]
                cells.append("the best" if best else change(rule["to_best"][entry["name"]]))
            cells.append(f"{entry['minutes']:.1f}" if "minutes" in entry else "")
            lines.append(row(entry["what"], cells))
        if rule:
            lines += ["", verdict(rule, {entry["name"]: entry["what"] for entry in entries})]
        elif group == "part":
            lines += ["", gains(entries)]
    return "\n".join(lines)


def verdict(rule: Mapping[str, Any], what: Mapping[str, str]) -> str:
    """The depth that the rule names, in a sentence. `what` describes each depth."""
    return (
        f"The shallowest that loses less than {100 * rule['margin']:.1f} points of joint F1 against the best depth "
        f"({what[rule['best']]}), with its whole interval: **{what[rule['shallowest']]}**."
    )


def gains(entries: Sequence[Mapping[str, Any]]) -> str:
    """Which parts surely raise joint F1, in a sentence: the others are not in the recipe."""
    sure = [entry["what"] for entry in entries if entry.get("differences", {}).get("joint", {}).get("low", 0) > 0]
    if sure:
        return f"Joint F1 rises with the whole interval: {'; '.join(sure)}. The other parts are not in the recipe."
    return (
        "No part raises joint F1 with its whole interval: the recipe is the plain training. Weak labels, teachers, "
        "smoothing and other typings are no options of `cinesent train`; pretraining stays a command of its own, for "
        "other bases and other texts."
    )


def change(rate: Mapping[str, float] | None) -> str:
    """`+1.2 [-0.3, +2.7]` in points, or nothing."""
    if rate is None:
        return ""
    value, low, high = (100 * rate[name] for name in ("value", "low", "high"))
    return f"{value:+.1f} [{low:+.1f}, {high:+.1f}]"
