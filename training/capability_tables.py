"""Tables of what a checkpoint can and cannot read: capability tests, pairs of wordings, talk of the film."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.quality_tables import MISSING, percent, row, table

WEAK = 0.15  # a capability that fails more often is named


def checklist_block(found: Mapping[str, Any] | None) -> str:
    """Failure rates of the capability tests (results of `training.checklist`), the weakest first, named above 15%."""
    if found is None:
        return "Not run yet: `python -m training.checklist`."
    before = found.get("before")
    tests = sorted(found["tests"], key=lambda result: (-result["rate"], result["test"]))
    cases, failures = (sum(result[name] for result in tests) for name in ("cases", "failures"))
    weak = [result for result in tests if result["rate"] > WEAK]
    lines = [
        f"{len(tests)} tests of {min(result['cases'] for result in tests)} cases or more in the manner of CheckList "
        f"(Ribeiro et al. 2020); {failures} of {cases:,} cases fail ({failures / cases:.1%}). None was trained on. "
        f"{len(weak)} tests fail in more than {WEAK:.0%} of their cases: **do not rely on these capabilities**.",
        "",
    ]
    columns = ["capability", "failures", *([f"before ({before})"] if before else [])]
    lines += table("test", columns)
    for result in tests:
        rate = f"{result['rate']:.0%}"
        cells = [result["capability"], f"**{rate}**" if result in weak else rate]
        if before:
            cells.append(MISSING if result.get("before") is None else f"{result['before']:.0%}")
        lines.append(row(result["test"], cells))
    return "\n".join(lines)


def robustness_block(found: Mapping[str, Any] | None) -> str:
    """Pairs of wordings and talk of the film (results of `benchmarks.robustness`)."""
    if found is None:
        return "Not measured yet: `python -m benchmarks.robustness`."
    pairs, talk = found["pairs"], found["film_talk"]
    lines = table(
        f"{pairs['pairs']} pairs of texts", ["service mentions, F1", "with sentiment, F1", "overall, accuracy"]
    )
    shown = ("mention", "joint", "overall")
    for title, side in (("Taiwan and Hong Kong usage", "first"), ("the same in mainland wording", "second")):
        lines.append(row(title, [percent(pairs[side].get(name)) for name in shown]))
    lines.append(row("difference, paired", [percent(pairs["differences"].get(name)) for name in shown]))
    return "\n".join(
        [
            *lines,
            "",
            f"Of {talk['texts']} development texts on the film alone that use words of service, {talk['labelled']} get "
            f"a false service label: {percent(talk['rate'])}%. The thresholds were fitted on all development texts, "
            "these among them; on none of the pairs.",
        ]
    )
