from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import tables
from benchmarks.cost import Assumptions, cost
from sentiment.taxonomy import Taxonomy
from training.scale_table import scale_block


@pytest.fixture
def found() -> dict[str, Any]:
    """Results of ten jobs with a killed worker, one of which lost rows."""

    def job(rate: float, digest: str) -> dict[str, Any]:
        return {
            "rows": 50_000, "rows_per_second": rate, "first_block_seconds": 9.84, "assembling_seconds": 4.0,
            "sha256": digest,
        }  # fmt: skip

    fine = {"killed": 1, "lost": 0, "doubled": 0, "bytes_equal": True}
    return {
        "model": "tiny@00000000",
        "machine": {"processor": "Some CPU", "cpus": 2},
        "reading_rows_per_second": 9000.0,
        "local": job(410.0, "aa"), "workers_1": job(400.0, "aa"), "workers_2": job(720.4, "bb"),
        "worker_kills": [*[fine] * 8, fine | {"killed": 0}, fine | {"lost": 7, "bytes_equal": False}],
        "driver_kill": {"blocks_kept": 2, "bytes_equal": True},
    }  # fmt: skip


def test_scale_table_has_every_figure(found: dict[str, Any]) -> None:
    block = scale_block(found, None)
    assert block.startswith("| 50,000 rows of CSV into Parquet | rows/s |")
    assert "| local engine, one thread | 410 | 9.8 | 4.0 | yes |" in block
    assert "| Ray, two workers | 720 | 9.8 | 4.0 | **no** |" in block
    # A job in which nobody was killed shows nothing.
    assert "On 2 CPUs of Some CPU. In 10 more jobs a worker was killed" in block
    assert "7 rows lost, 0 doubled, the same bytes in 8." in block
    assert "killed with 2 blocks done; `--resume` went on and gave the same bytes." in block
    found["driver_kill"]["bytes_equal"] = False
    assert "**other bytes**" in scale_block(found, None) and "**字节不同**" in scale_block(found, None, "zh")


def test_scale_table_has_the_cost_where_it_was_reckoned(found: dict[str, Any]) -> None:
    reckoned = cost(found, Assumptions(cpus_a_node=10, hourly_price=0.1, used=0.5))
    block, chinese = scale_block(found, reckoned), scale_block(found, reckoned, "zh")
    assert "| **a billion rows a day**: nodes | 7 |" in block and "| **每天十亿行**：节点 | 7 |" in chinese
    assert block.count("\n| ") == chinese.count("\n| ")


def test_scale_tables_come_into_the_pages_once_measured(
    found: dict[str, Any], tmp_path: Path, taxonomy: Taxonomy
) -> None:
    languages: tuple[tables.Language, ...] = ("en", "zh")
    for path, lang in zip(tables.SCALE, languages, strict=True):
        (tmp_path / "distributed.json").unlink(missing_ok=True)
        page = (tables.ROOT / path).read_text("utf-8").partition("\n<!-- scale:begin -->")[0]
        assert tables.renewed(page, path, lang, [], tmp_path, taxonomy) == page
        (tmp_path / "distributed.json").write_text(json.dumps(found), "utf-8")
        first = tables.renewed(page, path, lang, [], tmp_path, taxonomy)
        assert first.startswith(page.rstrip()) and first.endswith("<!-- scale:end -->\n") and "| 410 |" in first
        assert tables.renewed(first, path, lang, [], tmp_path, taxonomy) == first
