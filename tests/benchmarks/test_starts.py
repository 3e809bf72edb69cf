from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.starts import OURS, TEXT, cold_start, large_job, tenths

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def test_starts_tenths_compare_first_and_last_and_leave_loading_out() -> None:
    # 100 rows a block; the first takes 50 s of loading, then 1 s each, the last ten 2 s each.
    seen, now = [], 50.0
    for i in range(101):
        seen.append((now, 100 * (i + 1), 500.0 + i))
        now += 1.0 if i < 90 else 2.0
    found = tenths(seen)
    assert found["first_tenth_rows_per_second"] == 100 and found["last_tenth_rows_per_second"] == 50
    assert found["last_over_first"] == 0.5 and found["rows_per_second"] == round(10_000 / 110, 1)
    assert found["resident_mb"] == [500.0 + 10 * i for i in range(1, 11)]


def test_starts_tenths_need_blocks() -> None:
    with pytest.raises(ValueError, match="expected at least 21 blocks to compare tenths, found 20"):
        tenths([(float(i), i, 1.0) for i in range(20)])


def test_starts_cold_start_is_timed_to_the_first_line(tiny_checkpoint: Path) -> None:
    quick = cold_start("print('x', flush=True); import time; time.sleep(0.7)")
    slow = cold_start("import time; time.sleep(0.7); print('x', flush=True)")
    assert slow >= 0.7 and slow > quick  # what comes after the first line does not count
    assert cold_start(OURS, TEXT, str(tiny_checkpoint)) > 0
    for code in ("pass", "print(1); raise SystemExit(3)"):
        with pytest.raises(RuntimeError, match="expected a record of a fresh process"):
            cold_start(code)


@linux
def test_starts_large_job_reads_the_command_s_own_progress(tiny_checkpoint: Path) -> None:
    found = large_job(105, tiny_checkpoint)
    assert found["rows"] == 105 and found["block_rows"] == 5
    assert len(found["resident_mb"]) == 10 and max(found["resident_mb"]) <= found["peak_mb"] + 0.1
    assert found["last_over_first"] > 0 and found["rows_per_second"] > 0
