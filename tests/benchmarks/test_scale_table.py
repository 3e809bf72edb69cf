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

    def job(rate: float, equal: bool) -> dict[str, Any]:
        return {
            "rows": 8192, "rows_per_second": rate, "low": rate - 20, "high": rate + 10, "first_block_seconds": 9.84,
            "assembling_seconds": 4.0, "bytes_equal": equal,
        }  # fmt: skip

    fine = {"killed": 1, "lost": 0, "doubled": 0, "bytes_equal": True}
    return {
        "model": "tiny@00000000", "trial": False, "runtime": "ONNX Runtime 1.0, float32",
        "machine": {"processor": "Some CPU", "cpus": 2},
        "rows": 8192, "block_rows": 1024, "rounds": 3, "kill_rows": 6144,
        "ray_start_seconds": 3.14,
        "mean_characters": 44.9,
        "driver": {
            "rows": 200_000,
            "reading_rows_per_second": {"median": 50_000.0, "least": 40_000.0, "greatest": 51_000.0},
            "keeping_rows_per_second": {"median": 25_000.0, "least": 24_000.0, "greatest": 26_000.0},
            "assembling_seconds": {"median": 20.0, "least": 19.0, "greatest": 22.0},
        },
        "local": job(410.0, True), "workers_1": job(400.0, True), "workers_2": job(720.4, False),
        "worker_kills": [*[fine] * 8, fine | {"killed": 0}, fine | {"lost": 7, "bytes_equal": False}],
        "driver_kill": {
            "exit_code": -9, "blocks_kept": 2, "rows_kept": 1024, "exit_code_of_resume": 0, "rows": 6144,
            "rows_scored_by_resume": 5120, "bytes_equal": True,
        },
    }  # fmt: skip


def test_scale_table_has_every_figure(found: dict[str, Any]) -> None:
    block = scale_block(found, None)
    assert block.startswith("| 8,192 rows of CSV into Parquet | rows/s |")
    assert "| local engine, one thread | 410 [390–420] | 9.8 | 4.0 | yes |" in block
    assert "| Ray, two workers | 720 [700–730] | 9.8 | 4.0 | **no** |" in block
    assert "On 2 CPUs of Some CPU, ONNX Runtime 1.0, float32; blocks of 1,024 rows; medians of 3 interleaved" in block
    assert (
        "the loading of the model, which the seconds to the first block have. In neither is the start of Ray" in block
    )
    assert "Ray itself: 3.1 s." in block and "Ray 本身的启动：3.1 秒" in scale_block(found, None, "zh")
    # A job in which nobody was killed shows nothing.
    assert (
        "| jobs in which a worker was killed (SIGKILL) midway | 9 |\n| rows lost | 7 |\n| rows doubled | 0 |" in block
    )
    assert "| of these jobs, those that wrote the same bytes | 8 |" in block
    assert "| exit code of a driver that was killed | -9 |\n| blocks that it left finished | 2 |" in block
    assert "`--resume` | 0 |\n| rows that it scored again | 0 |\n| the same bytes | yes |" in block


def test_scale_table_shows_a_driver_that_went_wrong(found: dict[str, Any]) -> None:
    found["driver_kill"] |= {"exit_code": 0, "rows_kept": 2048, "exit_code_of_resume": None, "bytes_equal": False}
    block = scale_block(found, None)
    assert "killed | 0 |" in block and "`--resume` | – |\n| rows that it scored again | 1024 |" in block
    assert "| the same bytes | **no** |" in block and "| 字节相同 | **否** |" in scale_block(found, None, "zh")


def test_scale_table_says_that_the_machine_was_busy(found: dict[str, Any]) -> None:
    assert "not idle" not in scale_block(found, None)
    found["circumstances"] = [{"other_load": 0.61, "busy": True}]
    assert "not idle: other processes were busy on 0.61 cores" in scale_block(found, None)
    assert "其他进程占用 0.61 核" in scale_block(found, None, "zh")


def test_scale_table_has_the_cost_where_it_was_reckoned(found: dict[str, Any]) -> None:
    reckoned = cost(found, Assumptions(cpus_a_node=10, hourly_price=0.1, used=0.5))
    block, chinese = scale_block(found, reckoned), scale_block(found, reckoned, "zh")
    assert "| measured on texts of, characters on average | 44.9 |" in block
    assert "first read of its input" in block and "SHA-256" in chinese
    assert "| **a billion rows a day**: nodes | 7 |" in block and "| **每天十亿行**：节点 | 7 |" in chinese
    assert "| measured on | Some CPU, ONNX Runtime 1.0, float32 |" in block
    assert "reads | 50,000 [40,000–51,000] |" in block and "读取，行/秒 | 50,000 [40,000–51,000] |" in chinese
    assert "| 20.0 + 20.0 + 100.0 |" in block and "| 20.0 + 20.0 + 100.0 |" in chinese
    assert "drivers | 4 |" in block and "divided by input files over the drivers" in block
    assert "驱动进程 | 4 |" in chinese and "按输入文件分给几个驱动进程" in chinese
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
        assert (
            first.startswith(page.rstrip()) and first.endswith("<!-- scale:end -->\n") and "| 410 [390–420] |" in first
        )
        assert tables.renewed(first, path, lang, [], tmp_path, taxonomy) == first
