from __future__ import annotations

from typing import Any

import pytest

from benchmarks.speed_targets import ceiling_kind, lost, paid_by_quality, targets


def results() -> dict[str, Any]:
    """Made-up figures, whose targets are easily reckoned."""
    rates = {
        "ours-1": (500, 60), "ours": (900, 100), "bert-1": (50, 4), "bert-32": (90, 5), "bert-int8-1": (100, 10),
        "bert-int8-32": (120, 12), "bert-aspects": (5, 0.5), "tfidf": (9000, 2000), "snownlp": (450, None),
    }  # fmt: skip
    return {
        "contestants": [
            {"name": name, "runtime": f"{name} 1.0, float32", "short": {"texts_per_second": short},
             "long": None if long is None else {"texts_per_second": long}}
            for name, (short, long) in rates.items()
        ],
        "ceiling": {"kinds": {
            name: {
                "gain": both / one,
                "operations_per_second": {"1": one, "all": both},
                "texts_per_second": {"short": {"median": short}, "long": {"median": long}},
            }
            for name, one, both, short, long in (
                ("float32", 50e9, 100e9, 1800, 200), ("bfloat16", 1e9, 1.5e9, 36, 4), ("int8", 2e9, 3e9, 54, 6)
            )
        }},
        "gain": {"ours": {"short": 1.8, "long": 1.6}},
        "stages": {
            "ours": {part: {"shares": {"inference": {"median": share}}} for part, share in
                     (("short", 0.85), ("long", 0.9))},
        },
        "cold_start": {"ours": {"median": 1.0}, "pipeline": {"median": 4.0}},
        "jobs": {
            "onnxruntime": {
                "rows": 1_000_000, "sittings": 1, "judged_rows": 990_000, "runtime": "ONNX Runtime 1, float32",
                "peak_mb": 640.0, "resident_mb": [600.0, 610.0], "last_over_first": 0.97,
                "last_over_first_at_one_pace": 0.99,
            },
            "onnxruntime-int8": {
                "rows": 2_000_000, "sittings": 1, "judged_rows": 990_000, "runtime": "ONNX Runtime 1, int8",
                "peak_mb": 1000.0, "resident_mb": [800.0, 840.0], "last_over_first": 0.9,
            },
        },
    }  # fmt: skip


def test_targets_are_ratios_to_the_fastest_of_a_kind() -> None:
    found = {entry["name"]: entry for entry in targets(results())}
    value = {name: (entry["value"], entry["long"], entry["met"]) for name, entry in found.items()}
    assert value == {
        "aspects": (180.0, 200.0, True),
        "plain": (10.0, 20.0, False),
        "int8": (7.5, 8.333, True),
        "snownlp": (2.0, None, True),
        "snownlp-aim": (2.0, None, False),
        "ceiling": (0.5, 0.5, True),
        "threads": (0.9, 0.8, True),  # of the float32 product's gain
        "not-inference": (0.15, 0.1, True),
        "cold-start": (0.25, None, False),
        "memory": (0.6711, None, True),
        "flat": (1.017, None, True),
        "steady": (0.97, None, True),
        "steady-at-one-pace": (0.99, None, True),
    }
    assert found["memory"]["title"] == "GB of memory at most, scoring 1,000,000 rows"


@pytest.mark.parametrize(("speed", "kind"), [(2e9, "float32"), (900e9, "bfloat16")])
def test_targets_take_the_faster_ceiling(speed: float, kind: str) -> None:
    """A processor that imitates bfloat16 slowly must not make the target easy."""
    found = results()
    found["ceiling"]["kinds"]["bfloat16"]["operations_per_second"]["all"] = speed
    assert ceiling_kind(found) == kind


def test_targets_of_memory_are_gigabytes_and_name_the_rows_of_one_sitting() -> None:
    found = results()
    found["jobs"]["onnxruntime"]["peak_mb"] = 960.0  # mebibytes: more than 10⁹ bytes
    entries = {entry["name"]: entry for entry in targets(found)}
    assert (entries["memory"]["value"], entries["memory"]["met"]) == (1.007, False)
    assert "sitting" not in entries["flat"]["title"]
    found["jobs"]["onnxruntime"] |= {"sittings": 2, "judged_rows": 600_000}
    entries = {entry["name"]: entry for entry in targets(found)}
    for name in ("flat", "steady", "steady-at-one-pace"):
        assert entries[name]["met"] and "of the 600,000 rows of one sitting" in entries[name]["title"]
        assert "600,000" in entries[name]["zh"]


def test_targets_of_the_large_file_are_of_the_contestants_precision() -> None:
    found = results()
    for runtime, value in (("float32", 0.6711), ("int8", 1.049)):
        for entry in found["contestants"]:
            entry["runtime"] = f"ONNX Runtime 1, {runtime}"
        memory = next(entry for entry in targets(found) if entry["name"] == "memory")
        assert memory["value"] == value
    alone = targets({"jobs": {"onnxruntime": found["jobs"]["onnxruntime"]}})
    assert [entry["name"] for entry in alone] == ["memory", "flat", "steady", "steady-at-one-pace"]
    assert alone[0]["value"] == 0.6711
    both = targets({"jobs": found["jobs"]})  # no contestant yet: as a plain installation runs here
    assert "scoring 2,000,000 rows" in both[0]["title"]


@pytest.mark.parametrize(
    ("intervals", "value", "met"),
    [
        ({"a": (0.2, -0.3, 0.7), "b": (-0.5, -1.0, 0.0)}, 0.2, True),
        ({"a": (1.2, -0.3, 2.7), "b": (0.1, 0.0, 0.2)}, 1.2, None),  # noise alone does not miss a target
        ({"a": (1.5, 0.5, 2.5), "b": (1.2, 1.05, 1.35)}, 1.2, False),  # the set that decides is shown
        ({"a": (0.0, -1.5, 1.5)}, 0.0, None),  # nor does it meet one
        ({}, None, None),
    ],
)
def test_targets_of_quality_are_judged_by_the_interval(
    intervals: dict[str, tuple[float, float, float]], value: float | None, met: bool | None
) -> None:
    row = lost("x", "points", "百分点", intervals)
    assert (row["value"], row["met"]) == (value, met)
    assert ("interval" in row) == bool(intervals)


def engine(name: str, apart: float, changed: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "neighbours": {"largest_difference": apart, "changed_labels": changed},
        "packaged": {},
        **more,
    }


def differences(joint: tuple[float, float, float], overall: tuple[float, float, float]) -> dict[str, Any]:
    values = zip(("joint", "overall"), (joint, overall), strict=True)
    return {"differences": {name: dict(zip(("value", "low", "high"), value, strict=True)) for name, value in values}}


def test_targets_say_what_speed_costs_in_quality() -> None:
    tradeoff = {"checkpoints": [
        {"name": "packaged", "sets": {"real": {"figures": {}}}},
        {"name": "large", "sets": {
            "real": differences((0.004, -0.002, 0.009), (-0.02, -0.03, -0.01)),
            "written": differences((0.012, -0.01, 0.03), (0.0, -0.02, 0.009)),
        }},
    ]}  # fmt: skip
    fitted = {"real": differences((0.015, 0.01, 0.02), (0.0, 0.0, 0.0))}  # by thresholds that nobody has
    packaged = {"real": differences((-0.015, -0.02, -0.011), (0.001, -0.002, 0.003))}
    engines = {"engines": [engine("onnxruntime", 2e-8), engine("onnxruntime-minmax", 0.5, 9)]}
    within = {"written": differences((-0.002, -0.007, 0.003), (0.0, -0.002, 0.003))}
    for rules, value, met, interval, part in (
        (within, 0.2, True, [-0.3, 0.7], "written texts"), (packaged, 1.5, False, [1.1, 2.0], "real comments"),
    ):  # fmt: skip
        plain = {"engines": [*engines["engines"], engine("plain", 1e-7, sets=fitted, packaged=rules)]}
        row, *_, last = paid_by_quality(plain, None)
        assert (row["value"], row["met"], row["interval"]) == (value, met, interval) and f"({part})" in row["title"]
        assert (row["name"], last["name"], last["value"]) == ("runtime-joint", "independent", 1e-7)
    row = next(entry for entry in paid_by_quality(engines, None) if entry["name"] == "runtime-joint")
    assert row["value"] is row["met"] is None  # int8 was not measured
    engines["engines"].append({"name": "plain", "skipped": "here it is the first", "same_as": "onnxruntime"})
    found = {entry["name"]: entry for entry in paid_by_quality(engines, tradeoff)}
    assert {name: (entry["value"], entry["met"]) for name, entry in found.items()} == {
        "runtime-joint": (0.0, True),
        "runtime-overall": (0.0, True),
        "quality-joint": (1.2, None),
        "quality-overall": (0.0, True),
        "independent": (2e-8, True),
    }
    assert "(large, written texts)" in found["quality-joint"]["title"] and "自撰文本" in found["quality-joint"]["zh"]
    assert found["independent"]["bound"] == 0.002  # the record's
    assert paid_by_quality(None, None) == []


def test_targets_of_independence_take_labels_as_well() -> None:
    for entries, met in (
        ([engine("plain", 2.1e-3)], False),
        ([engine("plain", 1e-4, changed=1)], False),
        ([engine("plain", 1e-4)], True),
        ([engine("onnxruntime", 1e-8)], None),
        ([{"name": "plain", "skipped": "expected a processor"}], None),
    ):
        (row,) = [one for one in paid_by_quality({"engines": entries}, None) if one["name"] == "independent"]
        assert row["met"] is met and (row["value"] is None) == (met is None)


def test_targets_not_measured_are_neither_met_nor_missed() -> None:
    found = results()
    found["contestants"] = [entry for entry in found["contestants"] if entry["name"] != "snownlp"]
    del found["jobs"]
    entries = {entry["name"]: entry for entry in targets(found)}
    assert entries["snownlp"]["value"] is None and entries["snownlp"]["met"] is None
    assert "memory" not in entries
