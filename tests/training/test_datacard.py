"""The data set's card: its counts are those of the files, and it says when they are not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from sentiment.taxonomy import Taxonomy
from training.datacard import agreement_table, main

DATA = Path(__file__).parents[2] / "data"


def test_the_card_of_this_project_is_up_to_date() -> None:
    assert main(["--data", str(DATA), "--check"]) == 0


def test_a_card_of_other_files_is_stale_until_written(tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(DATA / "cinema", data / "cinema")
    shutil.copytree(DATA / "standoff", data / "standoff")
    shutil.copy(DATA / "README.md", data)
    train = data / "cinema" / "train.jsonl"
    train.write_text("".join(train.read_text("utf-8").splitlines(keepends=True)[:-1]), "utf-8")
    assert main(["--data", str(data), "--check"]) == 1
    assert main(["--data", str(data)]) == 0
    assert main(["--data", str(data), "--check"]) == 0
    assert (data / "README.md").read_text("utf-8") != (DATA / "README.md").read_text("utf-8")


def labels(number: int, escalation: bool, overall: str = "negative") -> dict[str, Any]:
    heads = {"overall": overall, "intent": "review", "escalation": escalation}
    said = [{"dimension": "film", "sentiment": "negative"}]
    return {"sha256": f"{number:064x}", "corpus": "film_douban", "labels": said, **heads}


def test_agreement_says_what_kappa_cannot_and_which_rows_do_not_count(tmp_path: Path, taxonomy: Taxonomy) -> None:
    judged = [
        {"annotators": [labels(i, i < 25, "positive" if i % 2 else "negative"), labels(i, i < 24)]} for i in range(60)
    ]
    first = [labels(i, i == 0) for i in range(40)]
    second = [labels(i, i in (1, 2)) for i in range(40)]

    def table(second: list[dict[str, Any]]) -> list[str]:
        for name, rows in (("film", first), ("second", second)):
            (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        return agreement_table(judged, judged, tmp_path, taxonomy)

    lines = table(second)
    rows = {line.split(" | ")[0]: line for line in lines if line.startswith("| ")}
    assert rows["| dev"].endswith("| 25 / 24 / 24 |") and rows["| standoff"].endswith("| 1 / 2 / 0 |")
    assert rows["| standoff"].startswith("| standoff | 40 |")
    said = " ".join(lines)
    assert "Of 40 texts of standoff the first annotator called 1 an escalation, the second 2, and 0" in said
    assert "texts of dev" not in said and "without a first one" not in said
    lines = table([*second, labels(99, False)])
    assert lines[-1] == "Second labels of standoff without a first one beside them, which are not counted: 1."
    assert any(line.startswith("| standoff | 40 |") for line in lines)
