"""What a million rows cost, and how many nodes a billion rows a day take: a model with stated assumptions.

`python -m benchmarks.cost` reads benchmarks/results/distributed.json, writes benchmarks/results/cost.json and prints a
table. The rates are measured there; everything else is an assumption, an option here, and in the output.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from training.scale_table import cost_block

FOLDER = Path(__file__).parent / "results"
DAY = 86_400.0
BILLION = 1_000_000_000


@dataclass(frozen=True)
class Assumptions:
    """What was not measured.

    `hourly_price` of one CPU, in any currency; `used`: the share of the time that workers really score and drivers
    really work (the rest is waiting, failures, and neighbours); `distinct`: the share of texts that do not repeat
    another of their block; `efficiency`: a worker's rate among many on a node, over its rate alone; by default what two
    workers lost against one where the rates were measured, and no more than 1; `least_drivers`: with two of them, the
    CPUs of a job that is being assembled score for another.
    """

    cpus_a_node: int = 16
    hourly_price: float = 0.04
    used: float = 0.8
    distinct: float = 1.0
    efficiency: float | None = None
    least_drivers: int = 2


def cost(measured: dict[str, Any], assumed: Assumptions) -> dict[str, Any]:
    """The model.

    All of it is for texts as long as those measured, and without the driver's first read of the input, for its SHA-256.
    A worker is one CPU, and so is a driver. A worker's rate is a median of several jobs without its start, which `used`
    stands for. One driver reads a job's rows, hands them out, and at last assembles the output, all by itself: what
    outgrows it is divided by input files over drivers, each with its own output. `--shard` would not do: every part
    reads all of the input, and one process assembles it all.
    """
    one, two = (float(measured[f"workers_{n}"]["rows_per_second"]) for n in (1, 2))
    efficiency = assumed.efficiency if assumed.efficiency is not None else min(1.0, two / (2 * one))
    worker = one * efficiency * assumed.used / assumed.distinct
    needed = BILLION / DAY
    driver = driver_seconds(measured["driver"])
    driving = sum(driver.values()) / assumed.used
    hours = (1_000_000 / worker + driving) / 3600
    drivers = max(assumed.least_drivers, math.ceil(needed / 1_000_000 * driving))
    cpus = math.ceil(needed / worker) + drivers
    return {
        "kind": "cost",
        "model": measured["model"],
        "trial": measured["trial"],
        "measured": {
            "machine": measured["machine"],
            "runtime": measured["runtime"],
            "mean_characters": measured["mean_characters"],
            "rows_per_second_one_worker": one,
            "rows_per_second_two_workers": two,
            "driver": measured["driver"],
            "driver_seconds_per_million_rows": {name: round(seconds, 2) for name, seconds in driver.items()},
        },
        "assumed": {**asdict(assumed), "efficiency": round(efficiency, 3)},
        "per_million_rows": {"cpu_hours": round(hours, 3), "cost": round(hours * assumed.hourly_price, 4)},
        "billion_rows_a_day": {
            "rows_per_second": round(needed),
            "drivers": drivers,
            "cpus": cpus,
            "nodes": math.ceil(cpus / assumed.cpus_a_node),
            "cost_a_day": round(cpus * 24 * assumed.hourly_price, 2),
        },
    }


def driver_seconds(measured: dict[str, Any]) -> dict[str, float]:
    """What a million rows take one driver, of the medians in `driver`.

    Its rate with a worker that is always ready is that of reading and handing out (and keeping what comes back).
    """
    read = 1e6 / measured["reading_rows_per_second"]["median"]
    both = 1e6 / measured["keeping_rows_per_second"]["median"]
    assemble = 1e6 * measured["assembling_seconds"]["median"] / measured["rows"]
    return {"read": read, "hand_out": max(0.0, both - read), "assemble": assemble}


def main(arguments: Sequence[str] | None = None) -> int:
    """Reads, computes, writes."""
    default = Assumptions()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cost", description=__doc__)
    parser.add_argument("--measured", type=Path, default=FOLDER / "distributed.json", metavar="FILE", help="the rates")
    parser.add_argument("--cpus-a-node", type=int, default=default.cpus_a_node, metavar="N")
    parser.add_argument("--price", type=float, default=default.hourly_price, metavar="P", help="of one CPU an hour")
    parser.add_argument("--used", type=float, default=default.used, metavar="SHARE")
    parser.add_argument("--distinct", type=float, default=default.distinct, metavar="SHARE")
    parser.add_argument("--efficiency", type=float, metavar="SHARE", help="default: two workers over twice one")
    parser.add_argument("--least-drivers", type=int, default=default.least_drivers, metavar="N")
    parser.add_argument("--json", type=Path, default=FOLDER / "cost.json", metavar="OUT", help="where the results go")
    options = parser.parse_args(arguments)
    for name in ("used", "distinct", "efficiency"):
        value = getattr(options, name)
        if value is not None and not 0 < value <= 1:
            parser.error(f"expected --{name} above 0 and at most 1, found {value}")
    if options.least_drivers < 1:
        parser.error(f"expected --least-drivers of at least 1, found {options.least_drivers}")
    if not options.measured.is_file():
        parser.error(f"expected rates in {options.measured}, found none; run python -m benchmarks.distributed")
    assumed = Assumptions(
        options.cpus_a_node, options.price, options.used, options.distinct, options.efficiency, options.least_drivers
    )
    found = cost(json.loads(options.measured.read_text("utf-8")), assumed)
    options.json.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", "utf-8")
    print(cost_block(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
