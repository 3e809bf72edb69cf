"""Time and memory of `cinesent report` on a million scored rows, by format.

`python -m benchmarks.report` composes the rows (1,000,000; --rows) from our own training texts with made-up mentions,
300 cinemas and two years of dates, runs the report in a process of its own and writes benchmarks/results/report.json.
The bound is 2 GB and 3 minutes on 2 cores. Linux only.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import platform
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.memory import measure
from sentiment.tables.flat import FlatNames, FlatTable
from sentiment.tables.parquet_writer import _RECORD, probability_type
from sentiment.taxonomy import load_taxonomy

ROOT = Path(__file__).parent.parent
TEXTS = ROOT / "data" / "cinema" / "train.jsonl"
TAXONOMY = load_taxonomy()
BLOCK = 20_000
SENTIMENTS = ("negative", "neutral", "positive")
REPORT = """
import sys
from sentiment.cli import main
main(["report", sys.argv[1], "-o", sys.argv[2], "--since", "2026-03-01", "--overwrite"])
"""


def block(start: int, count: int, texts: list[str], rng: np.random.Generator) -> list[dict[str, Any]]:
    """Records with their input: one or two mentions in most, probabilities that are never quite 0."""
    size = len(TAXONOMY.keys)
    p = np.round(rng.gamma(0.05, 0.02, (count, size, 3)).clip(0, 0.1), 4)
    mentions = rng.poisson(1.3, count).clip(0, 4)
    days = np.datetime64("2025-01-01") + rng.integers(0, 700, count)
    stars = rng.integers(1, 6, count)
    chosen = rng.integers(0, len(texts), count)
    records = []
    for i in range(count):
        text = f"{texts[chosen[i]]} {start + i}"
        found = []
        for d in rng.choice(size, mentions[i], replace=False).tolist():
            label = int(rng.integers(0, 3))
            p[i, d] = 0.02
            p[i, d, label] = 0.9
            found.append(
                {
                    "dimension": TAXONOMY.keys[d], "sentiment": SENTIMENTS[label], "confidence": 0.9,
                    "evidence": text[:8], "start": 0, "end": len(text[:8]), "owner": TAXONOMY.dimensions[d].owner,
                }
            )  # fmt: skip
        records.append(
            {
                "schema": 1, "model": "made@00000000", "id": str(start + i),
                "overall": {"sentiment": SENTIMENTS[min(2, int(stars[i]) // 2)], "confidence": 0.9},
                "intent": {"label": "complaint" if stars[i] == 1 else "review", "confidence": 0.9},
                "escalation": {"label": bool(i % 100 == 0), "confidence": 0.8},
                "dimensions": found, "uncertain": False, "script": "hans", "tokens": 30, "windows": 1,
                "truncated": False, "status": "ok",
                "probabilities": dict(zip(TAXONOMY.keys, p[i].tolist(), strict=True)),
                "input": {
                    "日期": str(days[i]), "影院": f"星河影城{(start + i) % 300}号店", "评分": int(stars[i]),
                    "客户": f"K{(start + i) % 200_000}", "回复": "谢谢" if i % 3 else "", "评论": text,
                },
            }
        )  # fmt: skip
    return records


def write(path: Path, rows: int) -> None:
    """A scored file of `rows` records in the format of the suffix; CSV is wide with probabilities."""
    rng = np.random.default_rng(1)
    texts = [json.loads(line)["text"] for line in TEXTS.read_text("utf-8").splitlines()]
    own = ("日期", "影院", "评分", "客户", "回复", "评论")
    kinds = {**_RECORD, "probabilities": probability_type(TAXONOMY.keys, pa.float32())}
    kinds["input"] = pa.struct([(name, pa.int64() if name == "评分" else pa.string()) for name in own])
    flat = FlatTable(own, FlatNames(TAXONOMY), TAXONOMY.keys, probabilities=True)
    with path.open("wb") as stream:
        parquet = pq.ParquetWriter(stream, pa.schema(list(kinds.items()))) if path.suffix == ".parquet" else None
        cells = io.TextIOWrapper(stream, "utf-8-sig", newline="", write_through=True)
        lines = csv.writer(cells) if path.suffix == ".csv" else None
        if lines is not None:
            lines.writerow(flat.headers)
        for start in range(0, rows, BLOCK):
            records = block(start, min(BLOCK, rows - start), texts, rng)
            if parquet is not None:
                columns = {name: pa.array([r[name] for r in records], kind) for name, kind in kinds.items()}
                parquet.write_table(pa.table(columns))
            elif lines is not None:
                lines.writerows(line for record in records for line in flat.lines(record, record["input"]))
            else:
                stream.writelines(orjson.dumps(record) + b"\n" for record in records)
        if parquet is not None:
            parquet.close()
        cells.detach()


def main() -> None:
    """Measures and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--formats", nargs="*", default=["parquet", "jsonl", "csv"])
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "report.json")
    options = parser.parse_args()
    results: dict[str, Any] = {
        "rows": options.rows, "cores": os.cpu_count(), "python": platform.python_version(),
    }  # fmt: skip
    if options.output.exists():  # the formats that are not measured now keep theirs
        before = json.loads(options.output.read_text("utf-8"))
        if all(before.get(name) == value for name, value in results.items()):
            results = before
    with tempfile.TemporaryDirectory() as scratch:
        for suffix in options.formats:
            path = Path(scratch) / f"scored.{suffix}"
            write(path, options.rows)
            for target in ("json", "html"):
                results[f"{suffix} to {target}"] = measure(REPORT, str(path), str(Path(scratch) / f"report.{target}"))
                print(suffix, target, results[f"{suffix} to {target}"], flush=True)
            path.unlink()
    options.output.write_text(json.dumps(results, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
