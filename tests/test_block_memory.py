"""What a block of texts took is given back when it is done."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from sentiment.analyzer import MANY, Analyzer

BLOCK = """
import ctypes, sys
from sentiment.analyzer import Analyzer

def resident():
    with open("/proc/self/status") as status:
        return int(next(line.split()[1] for line in status if line.startswith("VmRSS")))

analyzer = Analyzer.load(sys.argv[1], threads=1)
analyzer.analyze_block([f"座椅太硬，坐得腰疼 {number}。" * 60 for number in range(300)])
found = resident()
ctypes.CDLL(None).malloc_trim(ctypes.c_size_t(0))
print(found, resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library keeps nothing that was freed")
def test_block_memory_is_given_back(tiny_checkpoint: Path) -> None:
    command, root = [sys.executable, "-c", BLOCK, str(tiny_checkpoint)], Path(__file__).parent.parent
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    found, trimmed = map(int, done.stdout.split())
    assert trimmed > 0.97 * found


def test_block_memory_stays_after_a_few_texts(tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would cost more than they do."""
    given: list[None] = []
    analyzer = Analyzer.load(tiny_checkpoint, threads=1)
    monkeypatch.setattr("sentiment.analyzer.give_back", lambda: given.append(None))
    for number in range(3):
        analyzer.analyze(f"座椅太硬 {number}")
    analyzer.analyze_block(["座椅太硬"] * (MANY - 1))
    assert given == []
    assert len(list(analyzer.analyze_many(f"座椅太硬 {number}" for number in range(2 * 1024)))) == 2048
    assert len(given) == 2
