"""The committed proofs of the service are whole: as much was tried as is claimed, and nothing of it went wrong."""

from __future__ import annotations

import json
from typing import Any

from benchmarks import contract, hostile, serving, soak


def _committed(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((contract.ROOT / "benchmarks" / "results" / f"{name}.json").read_text("utf-8"))
    return found


def test_service_answered_ten_thousand_requests_as_described() -> None:
    found = _committed("contract")
    assert found["requests"] >= 10_000
    assert (found["server_errors"], found["wrong"]) == (0, {})
    described = json.loads((contract.ROOT / "docs" / "openapi.json").read_text("utf-8"))["paths"]
    labels = {f"{method.upper()} {path}" for path, methods in described.items() for method in methods}
    assert set(found["statuses"]) == labels


def test_service_survived_twenty_kills_of_each_kind() -> None:
    assert {kind: (run["kills"] >= 20, run["wrong"]) for kind, run in _committed("crash").items()} == {
        "feedback": (True, []),
        "score": (True, []),
    }


def test_service_refused_everything_hostile_that_the_script_has() -> None:
    found = _committed("hostile")
    assert found["wrong"] == []
    extra = {"formulas in a table", "afterwards, /health"}
    assert set(found["cases"]) == {name for name, _, _ in hostile.cases()} | extra


def test_service_stood_twice_the_load_a_hundred_thousand_texts_and_two_swaps() -> None:
    found = _committed("soak")
    parts = {name: part for name, part in found.items() if isinstance(part, dict)}
    assert parts.keys() == {"overload", "mixed", "swaps"}
    assert {name: part["wrong"] for name, part in parts.items()} == {name: [] for name in parts}
    overload = parts["overload"]
    assert overload["seconds"] >= 300
    assert overload["texts_per_second_offered"] >= 0.9 * soak.OVERLOAD * overload["texts_per_second_it_can_take"]
    mixed = parts["mixed"]
    assert mixed["requests"] >= 100_000 and mixed["growth"] < soak.GROWTH
    assert len(parts["swaps"]["reloads"]) == 2


def test_service_is_nearly_as_fast_as_the_bare_engine() -> None:
    found = _committed("serving")
    assert found["missed"] == [] and (found["clients"], len(found["rounds"])) == (32, 5)
    assert found["share_of_the_bare_rate"] >= serving.LEAST_SHARE
    assert found["p50_over_the_bare_call_ms"] <= serving.MOST_MILLISECONDS
