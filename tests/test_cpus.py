"""How many CPUs a process may use, from files as the kernel shows them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sentiment import cpus
from sentiment.cpus import usable_cpus

Put = Callable[[str, dict[str, str]], None]


@pytest.fixture
def put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Put:
    """(groups of the process, files below the mounted groups) → a process there, on a machine that lends it 8 CPUs."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    monkeypatch.setattr(cpus, "_GROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(cpus, "_MOUNT", tmp_path / "mount")

    def write(groups: str, files: dict[str, str]) -> None:
        (tmp_path / "cgroup").write_text(groups)
        for name, content in files.items():
            path = tmp_path / "mount" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)

    return write


def _v1(folder: str, quota: int) -> dict[str, str]:
    return {f"{folder}/cpu.cfs_quota_us": f"{quota}\n", f"{folder}/cpu.cfs_period_us": "100000\n"}


@pytest.mark.parametrize(
    ("groups", "files", "found"),
    [
        ("0::/\n", {"cpu.max": "200000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "10000 100000\n"}, 1),
        ("0::/\n", {"cpu.max": "1200000 100000\n"}, 8),
        ("0::/\n", {"cpu.max": "max 100000\n"}, 8),
        ("0::/\n", {}, 8),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "300000 100000\n"}, 3),
        ("0::/a/b\n", {"a/b/cpu.max": "200000 100000\n", "a/cpu.max": "300000 100000\n"}, 2),
        ("0::/of/the/host\n", {"cpu.max": "300000 100000\n"}, 3),
        ("0::/a\n", {"b/cpu.max": "300000 100000\n"}, 8),
        ("5:memory:/m\n4:cpu,cpuacct:/c/x\n", _v1("cpu,cpuacct/c/x", 250_000), 3),
        ("4:cpu,cpuacct:/c/x\n", _v1("cpu/c", 400_000), 4),
        ("2:cpu:/\n0::/\n", _v1("cpu", -1), 8),
        ("3:cpuset:/\n2:cpuacct:/\n", {**_v1("cpuset", 100_000), **_v1("cpu", 100_000)}, 8),
        ("0::/\n", {"cpu.max": "a few\n"}, 8),
        ("0::/\n", {"cpu.max": "100000 0\n"}, 8),
        ("nonsense\n", _v1("cpu", 300_000), 8),
    ],
)
def test_cpus_are_bounded_by_the_quota_of_every_group(put: Put, groups: str, files: dict[str, str], found: int) -> None:
    put(groups, files)
    assert usable_cpus() == found


def test_cpus_are_those_that_the_process_may_run_on(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    assert usable_cpus() == 8, "no control groups at all"
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {1, 5, 7}, raising=False)
    put("0::/\n", {"cpu.max": "700000 100000\n"})
    assert usable_cpus() == 3


@pytest.mark.parametrize(("machine", "found"), [(5, 5), (None, 1)])
def test_cpus_are_the_machines_where_the_system_does_not_say(
    put: Put, monkeypatch: pytest.MonkeyPatch, machine: int | None, found: int
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: machine)
    assert usable_cpus() == found
