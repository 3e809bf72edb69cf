"""The files of results in benchmarks/results: which labelled sets a figure is on, and what of a report is kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentiment.taxonomy import Taxonomy
from training.example import DatasetError, Example
from training.labelled_files import read_labelled

Report = dict[str, Any]

RESULTS_SCHEMA = 1


def named_sets(items: Sequence[str], taxonomy: Taxonomy) -> dict[str, list[Example]]:
    """`NAME=FILE` arguments as labelled texts by name.

    Raises:
        DatasetError: an argument of another form, or a file that cannot be used.
    """
    sets = {}
    for item in items:
        name, equals, path = item.partition("=")
        if not equals or not name or name in sets:
            raise DatasetError(f"expected NAME=FILE with different names, found {item!r}")
        sets[name] = read_labelled([path], taxonomy)
        if not sets[name]:
            raise DatasetError(f"expected labelled texts, found none in {path}")
    return sets


def set_facts(items: Sequence[str], sets: Mapping[str, Sequence[Example]], split: str) -> dict[str, dict[str, Any]]:
    """What a results file tells of its sets: number of texts, split, file name, sha256 of the file."""
    return {
        name: {
            "texts": len(sets[name]),
            "split": split,
            "file": Path(path).name,
            "sha256": hashlib.sha256(Path(path).read_bytes()).hexdigest(),
        }
        for name, _, path in (item.partition("=") for item in items)
    }


def set_rows(sets: Mapping[str, Sequence[Example]]) -> dict[str, NDArray[Any]]:
    """Where each set's texts are when the sets follow one another."""
    rows, start = {}, 0
    for name, part in sets.items():
        rows[name] = np.arange(start, start + len(part))
        start += len(part)
    return rows


def write_results(path: Path, results: Mapping[str, Any]) -> None:
    """Writes a file of results, stamped with the schema of them all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    stamped = {"schema": RESULTS_SCHEMA, **results}
    path.write_text(json.dumps(stamped, ensure_ascii=False, indent=1, allow_nan=False) + "\n", "utf-8")


def short(reports: Mapping[str, Report]) -> dict[str, Report]:
    """Without the mistakes, which are for a person at work and not for a file of results."""
    return {name: {k: v for k, v in report.items() if k != "mistakes"} for name, report in reports.items()}
