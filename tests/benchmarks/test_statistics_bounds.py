"""The committed proof of the report's statistics holds what was asked for, of every study that there is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import report_statistics
from benchmarks.report_statistics import MODES, RESULTS, STATES, STUDIES, measured_confusion

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


def test_statistics_are_of_the_errors_that_the_packaged_checkpoint_makes() -> None:
    """Fails after a checkpoint is replaced and its quality measured, until `python -m benchmarks.report_statistics` is
    run again."""
    told = np.round(measured_confusion(), 4).tolist()
    assert PROOF["confusion"] == {"states": list(STATES), "said_given_truth": told}, (
        "statistics.json was drawn from the errors of another checkpoint than quality.json: run "
        "python -m benchmarks.report_statistics"
    )


def test_statistics_of_other_errors_are_not_kept_beside_new_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "statistics.json"
    studies = {name: lambda *_: {"coverage": 0.95} for name in ("one", "two")}
    monkeypatch.setattr(report_statistics, "STUDIES", studies)
    confusion = np.eye(4)
    monkeypatch.setattr(report_statistics, "measured_confusion", lambda: confusion)

    def run(*only: str) -> list[str]:
        monkeypatch.setattr("sys.argv", ["report_statistics", "--output", str(path), "--only", *only])
        report_statistics.main()
        return [name for name in json.loads(path.read_text("utf-8")) if name in studies]

    assert run("one") == ["one"] and run("two") == ["one", "two"]
    confusion = np.full((4, 4), 0.25)
    assert run("two") == ["two"]


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
