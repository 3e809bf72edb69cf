"""The targets of quality: from results to verdicts, a table and a paragraph."""

from __future__ import annotations

from typing import Any

import pytest
from quality_facts import rate

from sentiment.taxonomy import Taxonomy
from training.quality_targets import Target, quality_targets, targets_block, targets_line

ROBUSTNESS: dict[str, Any] = {
    "pairs": {"pairs": 304, "differences": {"joint": rate(-0.021), "overall": rate(0.02)}},
    "film_talk": {"texts": 84, "labelled": 2, "rate": rate(0.0238)},
}


def of(targets: list[Target], title: str, texts: str = "real comments") -> Target:
    (found,) = (t for t in targets if t.title == title and t.texts == texts)
    return found


def test_a_value_is_met_at_its_bound_and_missed_below(results: list[dict[str, Any]], taxonomy: Taxonomy) -> None:
    title = "service mentions, micro-F1"
    for value, verdict in ((0.9, "met"), (0.8999, "missed")):
        results[0]["models"][0]["sets"]["real"]["service"]["mention"]["f1"] = rate(value)
        assert of(quality_targets(results, taxonomy), title).verdict == verdict
    sets = results[0]["models"][0]["sets"]
    sets["written"]["service"]["mention"]["f1"] = sets["written-test"]["service"]["mention"]["f1"] = rate(0.91)
    found = quality_targets(results, taxonomy)
    for texts in ("written texts", "written texts (test)"):
        assert (of(found, title, texts).bound, of(found, title, texts).verdict) == ("≥ 92", "missed")


@pytest.mark.parametrize(("ece", "verdict"), [(0.03, "met"), (0.0301, "missed")])
def test_calibration_is_judged_debiased_and_shown_plain_too(
    ece: float, verdict: str, results: list[dict[str, Any]], taxonomy: Taxonomy
) -> None:
    entry = results[0]["models"][0]["sets"]["real"]["calibration"]["overall"]
    entry.update(ece=ece, plain=0.05)
    found = of(quality_targets(results, taxonomy), "calibration error of overall, debiased ECE")
    assert (found.verdict, found.value) == (verdict, "3.0 (plain 5.0)")


def test_few_cases_say_nothing_and_are_counted(results: list[dict[str, Any]], taxonomy: Taxonomy) -> None:
    report = results[0]["models"][0]["sets"]["real"]
    report["calibration"]["escalation"] = {"labels": 400, "ece": 0.0, "plain": 0.01}
    found = quality_targets(results, taxonomy)
    for title in ("escalation, F1", "calibration error of escalation, debiased ECE"):
        assert (of(found, title).verdict, of(found, title).cases) == ("too few", "5 to be escalated")
    macro = of(found, "with sentiment, macro-F1 over dimensions")
    assert (macro.verdict, macro.cases) == ("too few", "1 of 17 dimensions")
    # A mean over classes rests on the rarest that occurs.
    intent = "intent, macro-F1"
    assert (of(found, intent).verdict, of(found, intent).cases) == ("missed", "48 of the rarest, complaint")
    report["intent"]["confusion"] = [[390, 0, 0], [1, 28, 0], [0, 0, 0]]
    assert of(quality_targets(results, taxonomy), intent).verdict == "too few"
    report["escalation"]["support"] = 30
    assert of(quality_targets(results, taxonomy), "escalation, F1").verdict == "missed"
    report["service"]["macro_joint"] |= {"value": 0.9, "dimensions": list(taxonomy.service_keys[:9])}
    assert of(quality_targets(results, taxonomy), macro.title).verdict == "met"


def test_what_changes_nothing_and_what_cannot_be_read(taxonomy: Taxonomy) -> None:
    tests = [{"test": name, "rate": rate} for name, rate in (("irony", 0.16), ("negation", 0.15), ("noise", 0.0))]
    joint, overall, talk, capabilities = quality_targets([], taxonomy, ROBUSTNESS, {"tests": tests})
    assert (joint.verdict, overall.verdict, talk.verdict) == ("missed", "met", "met")  # either way, at the bound, below
    assert (capabilities.value, capabilities.cases, capabilities.verdict) == ("1", "3 tests", "missed")
    tests[0]["rate"] = 0.15
    assert quality_targets([], taxonomy, None, {"tests": tests})[0].verdict == "met"


def test_table_and_paragraph_say_the_same(results: list[dict[str, Any]], taxonomy: Taxonomy) -> None:
    del results[0]["models"][0]["sets"]["written-test"]
    targets = quality_targets(results, taxonomy, ROBUSTNESS)
    block = targets_block(targets)
    assert {line.count("|") for line in block.splitlines() if line.startswith("|")} == {7}
    assert block.count("**missed**") == [t.verdict for t in targets].count("missed")
    assert "| overall, accuracy of the other 85% | real comments | – | 90.0 [86.0–93.0] | 340 texts |  |" in block
    titles = [t.title for t in targets]
    assert titles[:4] == [titles[0]] * 2 + [titles[2]] * 2  # the sets of a target one under the other
    # Of both sets: overall and caught are met or missed, mentions, joint, intent and evidence missed, two too few.
    line = targets_line(targets)
    met, missed = ([t.verdict for t in targets].count(verdict) for verdict in ("met", "missed"))
    assert line.startswith(
        f"Targets met: {met} of {met + missed}, each set counted apart; 4 more rest on too few cases."
    )
    assert (
        "Missed: service mentions (real comments, written texts), with sentiment (real comments, written texts),"
        in line
    )
    assert (
        "with sentiment, F1 by wording. Too few cases to say: macro-F1 over dimensions (real comments, written" in line
    )
    chinese = targets_line(targets, "zh")
    assert f"{met + missed} 项中达到 {met} 项" in chinese and "升级处理（真实评论、自撰文本）。" in chinese
    assert not any(word in chinese for word in ("real", "missed", "Targets met"))
    assert "not measured" in targets_line([]) and "Not measured" in targets_block([])
