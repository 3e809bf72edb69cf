"""Labels of texts that may not be passed on: hash and offsets in the project, the words in the corpora.

A row names its text by the sha256 of the text as the corpus stores it; rebuilding looks the texts up again.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sentiment.taxonomy import Taxonomy
from training.corpora import held_out_texts, read_rows
from training.example import DatasetError, Example, parse_record
from training.labelled_files import read_jsonl


def read_standoff(
    paths: Sequence[Path], corpora: Path, taxonomy: Taxonomy, *, weight: float = 1.0
) -> tuple[list[Example], int]:
    """Rebuilds labelled examples from stand-off files and a folder of corpora.

    Texts that the hash rule keeps for the later test are left out.

    Returns:
        The examples, and the number of rows whose text was not found in the corpus they name.

    Raises:
        DatasetError: a row that is no stand-off row, or a corpus file that is missing.
    """
    wanted: dict[str, dict[str, tuple[str, dict[str, Any]]]] = defaultdict(dict)
    for path in paths:
        for number, row in read_jsonl(path):
            if not {"sha256", "corpus", "labels"} <= set(row):
                raise DatasetError(
                    f"{path.name}, row {number}: expected sha256, corpus and labels, found {sorted(row)}"
                )
            wanted[row["corpus"]][row["sha256"]] = (f"{path.name}, row {number}", row)
    banned = held_out_texts(corpora)
    examples: list[Example] = []
    for corpus, rows in sorted(wanted.items()):
        found: dict[str, str] = {}
        for entry in read_rows(corpora, corpus):
            digest = hashlib.sha256(entry["text"].encode()).hexdigest()
            if digest in rows:
                found[digest] = entry["text"]
        for digest, text in found.items():
            if text in banned:
                continue
            where, row = rows.pop(digest)
            record = {**row, "text": text, "id": digest, "source": corpus}
            examples.append(parse_record(record, taxonomy, where, weight))
        for digest in found:
            rows.pop(digest, None)
    return examples, sum(len(rows) for rows in wanted.values())
