"""Labels of texts that may not be passed on: hash and offsets in the project, the words in the corpora.

A row names its text by the sha256 of the text as the corpus stores it; rebuilding looks the texts up again.
`python -m training.standoff data/standoff/film.jsonl --corpora DIR -o runs/film.jsonl` writes labelled records with the
texts in them. The output is others' words: keep it out of the repository.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sentiment.taxonomy import Taxonomy, load_taxonomy
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


def record(example: Example) -> dict[str, Any]:
    """The labelled record of a fully judged example, as `training.example.parse_record` reads it."""
    labels: list[dict[str, Any]] = [
        {"dimension": key, "sentiment": sentiment, **({} if start < 0 else {"start": start, "end": end})}
        for key, (sentiment, start, end) in example.labels.items()
    ]
    heads = {"overall": example.overall, "intent": example.intent, "escalation": example.escalation}
    return {
        "id": example.id, "text": example.text, "labels": labels, "annotated": sorted(example.annotated),
        **{name: value for name, value in heads.items() if value is not None}, "source": example.source,
    }  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Rebuilds from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m training.standoff", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="stand-off files")
    parser.add_argument("--corpora", type=Path, required=True, metavar="DIR", help="folder of the public corpora")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="labelled .jsonl to write")
    options = parser.parse_args(arguments)
    try:
        examples, missing = read_standoff(options.files, options.corpora, load_taxonomy())
    except (DatasetError, OSError) as error:
        print(f"training.standoff: {error}", file=sys.stderr)
        return 2
    lines = (json.dumps(record(example), ensure_ascii=False) + "\n" for example in examples)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text("".join(lines), "utf-8", newline="\n")
    print(f"{options.output} written: {len(examples):,} texts; {missing:,} rows have no text in {options.corpora}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
