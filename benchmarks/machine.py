"""On which machine a measurement was made, and whether it had the machine to itself."""

from __future__ import annotations

import os
import platform
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

QUIET = 0.2  # of a core that other processes may take
WATCHED_SECONDS, LEAST_SECONDS = 2.0, 0.9
# Limits on threads of libraries. These would keep somebody from cores that the results say were used: refused.
TOKENIZERS, LIMITS = "TOKENIZERS_PARALLELISM", ("RAYON_NUM_THREADS", "OMP_THREAD_LIMIT")
# These would not, since threads are set where they are counted, and a fresh process does not inherit them: recorded.
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
OFF = ("", "off", "false", "f", "no", "n", "0")  # as the tokenizers library reads it


class MachineError(RuntimeError):
    """A machine or an environment that would falsify a measurement: what was expected, found, and what to do."""


def machine() -> dict[str, object]:
    """Processor with family, model and stepping, number of CPUs, Python and system, and the load at this moment: above
    the CPUs it was not alone."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text("utf-8").splitlines() if cpuinfo.is_file() else []
    told = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    kind = [told[name] for name in ("cpu family", "model", "stepping") if name in told]
    return {
        "processor": told.get("model name", platform.processor()),
        "kind": "/".join(kind),  # of x86: several are sold under one name, and some hosts tell that name alone
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.system(),
        "load_average": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
    }


def processor() -> str:
    """Tells the processor from others, under whose rates its own shall not stand."""
    found = machine()
    return f"{found['processor']} {found['kind']}".strip()


class Others:
    """How many cores other processes keep busy from now on: neither this one, nor its children that it has waited for,
    of which all that they did since their start counts. Children that go on, as servers do, are taken for others. What
    the host of a virtual machine took away counts as theirs. Linux only."""

    def __init__(self) -> None:
        self._started, self._before = time.monotonic(), _others_seconds()

    def load(self) -> float | None:
        """Cores, on average; None where it cannot be told, as of so short a time that the system's ticks decide."""
        now, passed = _others_seconds(), time.monotonic() - self._started
        if now is None or self._before is None or passed < LEAST_SECONDS:
            return None
        return round(max((now - self._before) / passed, 0.0), 2)


def _others_seconds() -> float | None:
    stat = Path("/proc/stat")
    if not stat.is_file():
        return None
    values = [int(value) for value in stat.read_text("utf-8").split(maxsplit=9)[1:9]]
    user, nice, system, stolen = *values[:3], values[7]
    own = os.times()
    taken = own.user + own.system + own.children_user + own.children_system
    return (user + nice + system + stolen) / os.sysconf("SC_CLK_TCK") - taken


def others_load(seconds: float = WATCHED_SECONDS) -> float | None:
    """Cores that other processes keep busy, over so many seconds in which this one sleeps. Linux only, else None."""
    others = Others()
    time.sleep(seconds)
    return others.load()


def conditions(*, busy: bool = False) -> dict[str, Any]:
    """What a benchmark records of the circumstances it starts in; it starts in no others.

    `other_load`: cores that other processes keep busy; `busy`: whether that is more than a fifth of a core.
    `environment`: limits on threads that were set, and `falsifies`, whether one of them changes a figure; those that
    would are refused.

    Args:
        busy: go on although others are at work.

    Raises:
        MachineError: others are at work, or the environment keeps somebody to fewer cores.
    """
    if os.environ.get(TOKENIZERS, "true").lower() in OFF:
        raise MachineError(f"expected a tokeniser on all cores, found {TOKENIZERS}={os.environ[TOKENIZERS]}; unset it")
    for name in LIMITS:
        if name in os.environ:
            raise MachineError(f"expected no limit on threads, found {name}={os.environ[name]}; unset it")
    load = others_load()
    loud = load is not None and load > QUIET
    if loud and not busy:
        raise MachineError(
            f"expected the machine to itself, found others busy on {load:.2f} cores (at most {QUIET:g}); "
            "end them, or give --busy to go on and have it recorded"
        )
    limits = {name: os.environ.get(name) for name in (TOKENIZERS, *THREADS)}
    return {"other_load": load, "busy": loud, "environment": limits, "falsifies": False}


def add_busy(parser: ArgumentParser) -> None:
    """Adds --busy, which `conditions` takes."""
    parser.add_argument("--busy", action="store_true", help="go on beside other processes, and record it")


def fresh_environment() -> dict[str, str]:
    """The environment of a process to be timed: none of our limits on threads, no runtime chosen beforehand."""
    dropped = (TOKENIZERS, *LIMITS, *THREADS, "CINESENT_RUNTIME")
    return {name: value for name, value in os.environ.items() if name not in dropped}


@contextmanager
def tokenising_as_before() -> Iterator[None]:
    """Undoes what is done meanwhile to the tokenizers library's variable: the pipeline of transformers sets it to false
    for all that comes after."""
    before = os.environ.get(TOKENIZERS)
    try:
        yield
    finally:
        os.environ.pop(TOKENIZERS, None)
        if before is not None:
            os.environ[TOKENIZERS] = before


@contextmanager
def tokenising_on_one_core() -> Iterator[None]:
    """The tokenizers library works in the calling thread alone meanwhile; it reads its variable at each call."""
    with tokenising_as_before():
        os.environ[TOKENIZERS] = "false"
        yield
