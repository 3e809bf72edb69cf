"""The tables of `benchmarks/ablation.py`: results in, Markdown out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.quality_tables import percent, row, table

COLUMNS = ("joint", "mention", "overall")
GROUPS = {
    "depth": "Depth (differences to the first 8 layers, mean of the same seeds)",
    "part": "Parts (differences to the plain training, mean of the seeds)",
}


def ablation_block(found: Mapping[str, Any]) -> str:
    """Two tables: depths, and parts of the recipe."""
    lines = [
        f"Small trainings from the base: {found['fitted']:,} texts, {found['epochs']:g} epochs, judged on "
        f"{found['judged']:,} others of the training texts; service dimensions, thresholds cross-fitted, in percent, "
        "differences in points; in brackets 95% intervals (bootstrap over texts, paired). "
        f"Pretraining read {found['tokens']:,} tokens, distillation {found['unlabelled']:,} comments.",
    ]
    for group, title in GROUPS.items():
        entries = [entry for entry in found["variants"] if entry["group"] in (group, "both")]
        if len(entries) < 2:
            continue
        lines += ["", f"{title}:", ""]
        lines += table("training", ["runs", *COLUMNS, "joint, difference", "overall, difference", "minutes"])
        for entry in entries:
            gained = entry.get("differences", {})
            cells = [str(entry["seeds"]), *(percent(entry["figures"].get(name)) for name in COLUMNS)]
            cells += [change(gained.get("joint")), change(gained.get("overall"))]
            cells.append(f"{entry['minutes']:.1f}" if "minutes" in entry else "")
            lines.append(row(entry["what"], cells))
    return "\n".join(lines)


def change(rate: Mapping[str, float] | None) -> str:
    """`+1.2 [-0.3, +2.7]` in points, or nothing."""
    if rate is None:
        return ""
    value, low, high = (100 * rate[name] for name in ("value", "low", "high"))
    return f"{value:+.1f} [{low:+.1f}, {high:+.1f}]"
