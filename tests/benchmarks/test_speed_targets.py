from __future__ import annotations

from typing import Any

import pytest

from benchmarks.speed_targets import ceiling_kind, complained_of, paid_by_quality, targets


def results() -> dict[str, Any]:
    """Made-up figures, whose targets are easily reckoned."""
    rates = {
        "ours-1": (500, 60), "ours": (900, 100), "bert-1": (50, 4), "bert-32": (90, 5), "bert-int8-1": (100, 10),
        "bert-int8-32": (120, 12), "bert-aspects": (5, 0.5), "tfidf": (9000, 2000), "snownlp": (450, None),
    }  # fmt: skip
    return {
        "contestants": [
            {"name": name, "short": {"texts_per_second": short},
             "long": None if long is None else {"texts_per_second": long}}
            for name, (short, long) in rates.items()
        ],
        "ceiling": {"kinds": {
            name: {
                "gain": both / one,
                "operations_per_second": {"1": one, "all": both},
                "texts_per_second": {"short": short, "long": long},
            }
            for name, one, both, short, long in (
                ("float32", 50e9, 100e9, 1800, 200), ("bfloat16", 1e9, 2e9, 36, 4), ("int8", 2e9, 3e9, 54, 6)
            )
        }},
        "gain": {"short": 1.8, "long": 1.6},
        "stages": {"short": {"shares": {"inference": 0.85}}, "long": {"shares": {"inference": 0.9}}},
        "cold_start": {"ours": {"seconds": 1.0}, "pipeline": {"seconds": 4.0}},
        "job": {
            "rows": 1_000_000, "sittings": 1, "peak_mb": 640.0, "resident_mb": [600.0, 610.0], "last_over_first": 0.97,
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
        "threads": (0.9, 0.8, True),
        "not-inference": (0.15, 0.1, True),
        "cold-start": (0.25, None, False),
        "memory": (0.6711, None, True),
        "flat": (1.017, None, True),
        "steady": (0.97, None, True),
    }


@pytest.mark.parametrize(("speed", "kind"), [(2e9, "float32"), (900e9, "bfloat16")])
def test_targets_take_the_faster_ceiling(speed: float, kind: str) -> None:
    """A processor that imitates bfloat16 slowly must not make the target easy."""
    found = results()
    found["ceiling"]["kinds"]["bfloat16"]["operations_per_second"]["all"] = speed
    assert ceiling_kind(found) == kind


def test_targets_of_memory_are_gigabytes_of_one_sitting() -> None:
    found = results()
    found["job"]["peak_mb"] = 960.0  # mebibytes: more than 10⁹ bytes
    entries = {entry["name"]: entry for entry in targets(found)}
    assert (entries["memory"]["value"], entries["memory"]["met"]) == (1.007, False)
    found["job"]["sittings"] = 2
    entries = {entry["name"]: entry for entry in targets(found)}
    assert entries["flat"]["value"] is None and entries["flat"]["met"] is None and entries["steady"]["met"]


def test_targets_say_what_speed_costs_in_quality() -> None:
    def sets(joint: float, overall: float) -> dict[str, Any]:
        return {"differences": {"joint": {"value": joint}, "overall": {"value": overall}}}

    tradeoff = {"checkpoints": [
        {"sets": {"real": {"figures": {}}}},
        {"sets": {"real": sets(0.004, -0.02), "written": sets(0.012, 0.0)}},
    ]}  # fmt: skip
    engines = {"engines": [{"neighbours": {"largest_difference": 2e-8}}, {"neighbours": {"largest_difference": 0.5}}]}
    found = {entry["name"]: (entry["value"], entry["met"]) for entry in paid_by_quality(engines, tradeoff)}
    assert found == {"quality-joint": (1.2, False), "quality-overall": (0.0, True), "independent": (2e-8, True)}
    engines["engines"][0]["neighbours"]["largest_difference"] = 2e-5
    assert [entry["met"] for entry in paid_by_quality(engines, None)] == [False]
    assert paid_by_quality(None, None) == []


def test_targets_of_complaints_take_the_growth_of_memory() -> None:
    memory = {"rows": 600_000, "score csv 5000": {"peak_mb": 600.0}, "mixed texts 100000": {"growth_percent": 3.4}}
    batching = {"complaints": [{"name": "effect", "met": True}]}
    first, second = complained_of(batching, memory)
    assert first["name"] == "effect"
    assert (second["name"], second["value"], second["met"]) == ("growth", 3.4, False)
    assert "100,000" in second["title"] and "100,000" in second["zh"]
    assert complained_of(None, None) == []


def test_targets_not_measured_are_neither_met_nor_missed() -> None:
    found = results()
    found["contestants"] = [entry for entry in found["contestants"] if entry["name"] != "snownlp"]
    del found["job"]
    entries = {entry["name"]: entry for entry in targets(found)}
    assert entries["snownlp"]["value"] is None and entries["snownlp"]["met"] is None
    assert "memory" not in entries
    assert [entry["name"] for entry in targets({"job": results()["job"]})] == ["memory", "flat", "steady"]
