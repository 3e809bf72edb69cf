"""The committed proof of the report's statistics holds what was asked for, of every study that there is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks.report_statistics import MODES, RESULTS, STUDIES

PROOF: dict[str, Any] = json.loads((RESULTS / "statistics.json").read_text("utf-8"))
CORRECT = ("no errors", "errors, probabilities")  # counted labels are measured to show what they cost, not held to it
# What each study must have measured; coverages are recognised by their name.
COVERAGES = {
    "index": 6, "cinemas": 1, "comparison": 1, "kano": 0, "league": 1, "change points": 0, "gain": 1,
}  # fmt: skip
FALSE = {"comparison": "false discoveries", "change points": "false change points"}


def test_statistics_all_studies_were_run_a_thousand_times() -> None:
    assert set(COVERAGES) == set(STUDIES)
    assert PROOF["simulations"] >= 1000
    missing = [(study, mode) for study in STUDIES for mode in MODES if not PROOF.get(study, {}).get(mode)]
    assert missing == []


@pytest.mark.parametrize("mode", CORRECT)
@pytest.mark.parametrize("study", COVERAGES)
def test_statistics_intervals_cover_the_truth(study: str, mode: str) -> None:
    found = {name: share for name, share in PROOF[study][mode].items() if name.startswith("coverage")}
    assert len(found) == COVERAGES[study]
    assert {name: share for name, share in found.items() if not 0.93 <= share <= 0.97} == {}


@pytest.mark.parametrize("mode", CORRECT)
def test_statistics_kano_classes_are_recovered(mode: str) -> None:
    assert PROOF["kano"][mode]["kano classes recovered"] >= 0.90


@pytest.mark.parametrize("mode", CORRECT)
@pytest.mark.parametrize("study", FALSE)
def test_statistics_false_discoveries_are_few(study: str, mode: str) -> None:
    assert PROOF[study][mode][FALSE[study]] <= 0.05
