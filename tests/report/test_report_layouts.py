"""What only some layouts can say: on which dimensions a file was scored, which lines are one text, what has a guard."""

from __future__ import annotations

import json
from pathlib import Path

from scored_files import TAXONOMY, flat_lines, record, write_csv, write_jsonl

from sentiment.report.read import read_scored

SCORED_ON = ("seating", "parking")


def test_jsonl_scored_on_some_dimensions_leaves_the_others_out(tmp_path: Path) -> None:
    records = [record(n, "座椅太硬", {"seating": "negative"}) for n in range(3)]
    for one in records:
        one["probabilities"] = {key: one["probabilities"][key] for key in SCORED_ON}
    read = read_scored([write_jsonl(tmp_path / "s.jsonl", records)], TAXONOMY)
    assert read.scored.taxonomy.keys == SCORED_ON
    assert read.scored.from_probabilities


def test_long_lines_of_equal_texts_are_apart_where_a_dimension_comes_again(tmp_path: Path) -> None:
    records = [record(7, "座椅太硬，停车难", {"seating": "negative", "parking": "negative"}) for _ in range(2)]
    read = read_scored([write_csv(tmp_path / "s.csv", flat_lines(records, layout="long"))], TAXONOMY)
    assert len(read.scored) == 2
    assert read.scored.mentions.row.tolist() == [0, 0, 1, 1]
    assert read.scored.row.tolist() == [1, 2]


def test_records_without_the_input_have_no_texts_and_odd_mentions_are_passed_over(tmp_path: Path) -> None:
    records = [record(n, "座椅太硬", {"seating": "negative"}) for n in range(3)]
    for one in records:
        del one["input"]
    records[1]["dimensions"] = ["seating", None]
    path = tmp_path / "s.jsonl"
    path.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in records), "utf-8")
    read = read_scored([path], TAXONOMY)
    assert read.roles["text"] is None
    assert read.scored.mentions.row.tolist() == [0, 2]
    assert read.scored.text(0) == ""


def test_guards_are_taken_off_in_csv(tmp_path: Path) -> None:
    records = [record(1, "=停车难", {"parking": "negative"}, 影院="@甲店")]
    read = read_scored([write_csv(tmp_path / "s.csv", flat_lines(records))], TAXONOMY)
    assert (read.scored.text(0), read.scored.cinemas) == ("=停车难", ["@甲店"])
    assert (read.scored.mentions.start[0], read.scored.mentions.end[0]) == (0, 4)
