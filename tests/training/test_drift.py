"""How far a packed model may be from the exact one."""

from __future__ import annotations

import pytest

from training.drift import ExportError, check_drift


@pytest.mark.parametrize(
    ("name", "bound"),
    [("changed_cells", 0.03), ("changed_overall", 0.015), ("joint_lost", 0.01), ("overall_lost", 0.01)],
)
def test_drift_bounds_are_exceeded_not_reached(name: str, bound: float) -> None:
    check_drift({name: bound})
    check_drift({"changed_cells": 0.0, "joint_lost": -0.5})
    with pytest.raises(ExportError, match=f"expected {name} of at most {bound:.1%}"):
        check_drift({name: bound + 0.001})


def test_drift_one_label_of_few_is_no_loss_and_two_are() -> None:
    check_drift({"overall_lost": 1 / 80}, {"overall_lost": 80})
    check_drift({"overall_lost": round(1 / 60, 5)}, {"overall_lost": 60})  # as drift is rounded
    with pytest.raises(ExportError, match=r"expected overall_lost of at most 1\.2%"):
        check_drift({"overall_lost": 2 / 80}, {"overall_lost": 80})
    with pytest.raises(ExportError, match=r"expected joint_lost of at most 1\.0%"):
        check_drift({"joint_lost": 0.0125}, {"joint_lost": 1000})


def test_drift_two_changed_labels_of_few_are_no_damage_and_three_are() -> None:
    check_drift({"changed_overall": 2 / 80}, {"changed_overall": 80})
    with pytest.raises(ExportError, match=r"expected changed_overall of at most 2\.5%"):
        check_drift({"changed_overall": 3 / 80}, {"changed_overall": 80})
    with pytest.raises(ExportError, match=r"expected changed_overall of at most 1\.5%"):
        check_drift({"changed_overall": 0.016}, {"changed_overall": 1000})
