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
    "mean_characters": 44.9,
    "workers_1": {"rows_per_second": 400.0},
    "workers_2": {"rows_per_second": 720.0},
    # A million rows take a driver 20 s to read, 40 s with handing them out, and 100 s to assemble.
    "driver": {
        "rows": 200_000,
        "reading_rows_per_second": {"median": 50_000.0, "least": 40_000.0, "greatest": 51_000.0},
        "keeping_rows_per_second": {"median": 25_000.0, "least": 24_000.0, "greatest": 26_000.0},
        "assembling_seconds": {"median": 20.0, "least": 19.0, "greatest": 22.0},
    },
}


def test_cost_follows_from_rates_and_assumptions() -> None:
    found = cost(MEASURED, Assumptions(cpus_a_node=10, hourly_price=0.1, used=0.5))
    # 400 rows a second, of which two workers keep 720 / 800 each, half of the time: 180 a CPU.
    assert found["assumed"]["efficiency"] == 0.9
    seconds = found["measured"]["driver_seconds_per_million_rows"]
    assert seconds == {"read": 20.0, "hand_out": 20.0, "assemble": 100.0}
    # Workers 5,556 s and a driver twice 140 s, as it too is used half of the time.
    assert found["per_million_rows"] == {"cpu_hours": 1.621, "cost": 0.1621}
    day = found["billion_rows_a_day"]
    # Where and of what the rates are goes with them.
    assert found["trial"] and found["measured"]["runtime"] == "ONNX Runtime 1.0, float32"
    assert found["measured"]["mean_characters"] == 44.9
    # 1,000 million rows of 280 s are 3.2 days of a driver: four, and 64.3 workers.
    assert (day["rows_per_second"], day["drivers"], day["cpus"], day["nodes"]) == (11574, 4, 69, 7)
    assert day["cost_a_day"] == 165.6  # 69 CPUs, 24 hours


def test_cost_of_a_driver_has_no_part_below_nothing_and_no_fewer_drivers_than_assumed() -> None:
    quick = dict(MEASURED["driver"], keeping_rows_per_second={"median": 60_000.0})  # noise: more than it reads alone
    quick["assembling_seconds"] = {"median": 0.2}
    found = cost(MEASURED | {"driver": quick}, Assumptions(used=1.0))
    seconds = found["measured"]["driver_seconds_per_million_rows"]
    assert seconds == {"read": 20.0, "hand_out": 0.0, "assemble": 1.0}
    # 21,000 s a day are one driver's, who would leave the CPUs idle while it assembles.
    assert found["billion_rows_a_day"]["drivers"] == found["assumed"]["least_drivers"] == 2
    alone = cost(MEASURED | {"driver": quick}, Assumptions(used=1.0, least_drivers=1))
    assert alone["billion_rows_a_day"]["drivers"] == 1


def test_cost_of_repeated_texts_is_less() -> None:
    all_new, half = (cost(MEASURED, Assumptions(distinct=share)) for share in (1.0, 0.5))
    driver = 140 / 0.8 / 3600  # has every row
    assert half["per_million_rows"]["cpu_hours"] - driver == pytest.approx(
        (all_new["per_million_rows"]["cpu_hours"] - driver) / 2, abs=1e-3
    )
    assert half["billion_rows_a_day"]["drivers"] == all_new["billion_rows_a_day"]["drivers"]


def test_cost_command_writes_and_shows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    measured, output = tmp_path / "distributed.json", tmp_path / "cost.json"
    measured.write_text(json.dumps(MEASURED), "utf-8")
    assert main(["--measured", str(measured), "--json", str(output), "--used", "1"]) == 0
    assert json.loads(output.read_text("utf-8"))["assumed"]["used"] == 1
    shown = capsys.readouterr().out
    # 32.2 workers and 1.6 drivers.
    assert "drivers | 2 |" in shown and "CPUs, those of the drivers among them | 35 |" in shown
    assert "| **a billion rows a day**: nodes | 3 |" in shown
    assert "divided by input files over the drivers" in shown and "reads all of the input" in shown


@pytest.mark.parametrize("arguments", [["--used", "0"], ["--distinct", "1.5"], ["--least-drivers", "0"], []])
def test_cost_refuses_what_makes_no_sense(
    tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["--measured", str(tmp_path / "none.json"), "--json", str(tmp_path / "cost.json"), *arguments])
    assert "expected" in capsys.readouterr().err
    assert not (tmp_path / "cost.json").exists()
