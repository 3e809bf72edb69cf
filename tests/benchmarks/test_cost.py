from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.cost import Assumptions, cost, main

MEASURED: dict[str, Any] = {
    "model": "cinesent-zh@00000000",
    "trial": True,
    "runtime": "ONNX Runtime 1.0, float32",
    "machine": {"processor": "Some CPU", "cpus": 2},
    "workers_1": {"rows_per_second": 400.0},
    "workers_2": {"rows_per_second": 720.0},
    "reading_rows_per_second": 9000.0,
}


def test_cost_follows_from_rates_and_assumptions() -> None:
    found = cost(MEASURED, Assumptions(cpus_a_node=10, hourly_price=0.1, used=0.5))
    # 400 rows a second, of which two workers keep 720 / 800 each, half of the time: 180 a CPU.
    assert found["assumed"]["efficiency"] == 0.9
    assert found["per_million_rows"] == {"cpu_hours": 1.543, "cost": 0.1543}
    day = found["billion_rows_a_day"]
    # Where and of what the rates are goes with them.
    assert found["trial"] and found["measured"]["runtime"] == "ONNX Runtime 1.0, float32"
    assert (day["rows_per_second"], day["cpus"], day["nodes"], day["drivers"]) == (11574, 65, 7, 2)
    assert day["cost_a_day"] == pytest.approx(154.32, abs=0.01)


def test_cost_of_repeated_texts_is_less() -> None:
    all_new, half = (cost(MEASURED, Assumptions(distinct=share)) for share in (1.0, 0.5))
    assert half["per_million_rows"]["cpu_hours"] == pytest.approx(
        all_new["per_million_rows"]["cpu_hours"] / 2, abs=1e-3
    )


def test_cost_command_writes_and_shows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    measured, output = tmp_path / "distributed.json", tmp_path / "cost.json"
    measured.write_text(json.dumps(MEASURED), "utf-8")
    assert main(["--measured", str(measured), "--json", str(output), "--used", "1"]) == 0
    assert json.loads(output.read_text("utf-8"))["assumed"]["used"] == 1
    assert "| **a billion rows a day**: nodes | 3 |" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--used", "0"], ["--distinct", "1.5"], []])
def test_cost_refuses_what_makes_no_sense(
    tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["--measured", str(tmp_path / "none.json"), "--json", str(tmp_path / "cost.json"), *arguments])
    assert "expected" in capsys.readouterr().err
    assert not (tmp_path / "cost.json").exists()
