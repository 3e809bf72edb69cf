from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sentiment.taxonomy import Taxonomy
from training.example import DatasetError, Example
from training.labelled_files import read_labelled

Write = Callable[..., Path]


def message(path: Path, taxonomy: Taxonomy, **options: Any) -> str:
    with pytest.raises(DatasetError) as caught:
        read_labelled([path], taxonomy, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


GOOD = {"text": "座椅太硬"}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("{", "expected one JSON object a line, found Expecting property name"),
        ("[]", "expected a JSON object, found list"),
        ({}, "column text: expected a non-empty string, found NoneType"),
        ({"text": " \n"}, "column text: expected a non-empty string, found a blank one"),
        ({"text": 5}, "column text: expected a non-empty string, found int"),
        ({**GOOD, "labels": [{"dimension": "seats", "sentiment": "negative"}]},
         "column labels.dimension: expected one of film, picture,"),
        ({**GOOD, "labels": [{"dimension": "seats", "sentiment": "negative"}]}, "found 'seats'"),
        ({**GOOD, "labels": [{"dimension": "seating", "sentiment": "bad"}]},
         "column labels.sentiment (seating): expected one of positive, neutral, negative, found 'bad'"),
        ({**GOOD, "labels": [{"dimension": "seating"}]}, "column labels.sentiment (seating)"),
        ({**GOOD, "labels": [{"dimension": "seating", "sentiment": "negative"}] * 2},
         "column labels: expected each dimension once, found 'seating' twice"),
        ({**GOOD, "labels": ["seating"]}, "column labels: expected a list of objects, found ['seating']"),
        ({**GOOD, "labels": {"seating": "negative"}}, "column labels: expected a list of objects"),
        ({**GOOD, "labels": [{"dimension": "seating", "sentiment": "negative", "evidence": "太软"}]},
         "column labels.evidence (seating): expected words of the text, found others"),
        ({**GOOD, "labels": [{"dimension": "seating", "sentiment": "negative", "start": 2, "end": 5}]},
         "column labels.evidence (seating): expected 0 <= start < end <= 4, found 2..5"),
        ({**GOOD, "labels": [], "annotated": ["seats"]}, "column annotated: expected one of"),
        ({**GOOD, "overall": "bad"}, "column overall: expected one of positive, neutral, negative, found 'bad'"),
        ({**GOOD, "intent": "praise"}, "column intent: expected one of review, complaint, suggestion, inquiry,"),
        ({**GOOD, "escalation": "yes"}, "column escalation: expected true or false, found 'yes'"),
        ({**GOOD, "rating": "five"}, "column rating: expected a number, found 'five'"),
        ({**GOOD, "rating": True}, "column rating: expected a number, found True"),
    ],
)  # fmt: skip
def test_labelled_files_error_names_file_row_column_expected_and_found(
    jsonl: Write, taxonomy: Taxonomy, row: Any, said: str
) -> None:
    found = message(jsonl(GOOD, "", row), taxonomy)
    assert found.startswith("data.jsonl, row 3") and said in found


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ({"seating": "bad"}, "column seating: expected one of positive, neutral, negative, none, found 'bad'"),
        ({"seating": "-1"}, "column seating: expected one of positive, neutral, negative, none, found '-1'"),
        ({"cs_seating": "bad"}, "column cs_seating: expected one of"),
        ({"rating": "five"}, "column rating: expected a number, found 'five'"),
        ({"escalation": "maybe"}, "column escalation: expected true or false, found 'maybe'"),
        ({"overall": "1"}, "column overall: expected one of positive, neutral, negative, found '1'"),
        ({"text": "  "}, "column text: expected a non-empty string, found a blank one"),
    ],
)
def test_labelled_files_table_error_names_file_row_column_expected_and_found(
    table: Write, taxonomy: Taxonomy, cells: dict[str, str], said: str
) -> None:
    blank = {"text": "座椅太硬", **dict.fromkeys(cells, "")}
    if "text" in cells:
        blank["text"] = "座椅太硬"
    found = message(table(blank, {**blank, **cells}), taxonomy)
    assert found.startswith("data.csv, row 2") and said in found


def test_labelled_files_file_that_is_none_is_one_clear_line(tmp_path: Path, taxonomy: Taxonomy, table: Write) -> None:
    assert "expected a labelled file, found nothing at" in message(tmp_path / "none.jsonl", taxonomy)
    (tmp_path / "x.xlsx").write_bytes(b"")
    assert "expected .jsonl, .csv or .parquet, found x.xlsx" in message(tmp_path / "x.xlsx", taxonomy)
    (tmp_path / "x.parquet").write_bytes(b"no")
    assert "x.parquet: expected a Parquet file, found" in message(tmp_path / "x.parquet", taxonomy)
    (tmp_path / "gbk.csv").write_bytes("text\n座椅\n".encode("gb18030"))
    assert "gbk.csv: expected UTF-8, found another encoding" in message(tmp_path / "gbk.csv", taxonomy)
    (tmp_path / "gbk.jsonl").write_bytes('{"text": "好"}\n'.encode() + '{"text": "座椅"}\n'.encode("gb18030"))
    assert "gbk.jsonl, row 2: expected UTF-8" in message(tmp_path / "gbk.jsonl", taxonomy)
    assert "expected a column named text, found 评论, seating" in message(
        table({"评论": "好", "seating": ""}), taxonomy
    )


def test_labelled_files_blank_cell_is_unknown_unless_it_is_said_to_be_none(table: Write, taxonomy: Taxonomy) -> None:
    path = table(
        {"text": "甲", "seating": "negative", "price": "", "film": "none", "escalation": ""},
        {"text": "乙", "seating": "", "price": "", "film": "", "escalation": "0"},
    )
    first, second = read_labelled([path], taxonomy)
    assert first.annotated == {"seating", "film"} and set(first.labels) == {"seating"} and first.escalation is None
    assert second.annotated == frozenset() and second.escalation is False
    first, second = read_labelled([path], taxonomy, blank_none=True)
    # A column that the table lacks stays unknown.
    assert first.annotated == second.annotated == {"seating", "film", "price"}
    assert set(first.labels) == {"seating"} and second.labels == {}


def test_labelled_files_mapping_reads_other_codings(table: Write, taxonomy: Taxonomy) -> None:
    mapping = {"1": "positive", "0": "neutral", "-1": "negative", "-2": "none"}
    path = table(
        {"text": "甲", "seating": "-1", "price": "-2", "film": "1", "sound": "0", "parking": " ", "overall": "-1"}
    )
    (example,) = read_labelled([path], taxonomy, mapping=mapping)
    assert {key: label[0] for key, label in example.labels.items()} == {
        "seating": "negative", "film": "positive", "sound": "neutral",
    }  # fmt: skip
    assert example.annotated == {"seating", "price", "film", "sound"} and example.overall == "negative"


def test_labelled_files_reads_our_own_scored_file(table: Write, taxonomy: Taxonomy) -> None:
    path = table(
        {
            "text": "座椅太硬", "cs_id": "9", "cs_seating": "negative", "cs_seating_confidence": "0.93",
            "cs_seating_evidence": "太硬", "cs_film": "", "cs_overall": "negative", "cs_intent": "complaint",
            "cs_escalation": "true",
        }
    )  # fmt: skip
    (example,) = read_labelled([path], taxonomy, blank_none=True)
    assert example == Example(
        "座椅太硬",
        {"seating": ("negative", 2, 4)},
        frozenset({"seating", "film"}),
        "negative",
        "complaint",
        True,
        id="9",
    )


def test_labelled_files_three_formats_give_equal_examples(
    tmp_path: Path, jsonl: Write, table: Write, taxonomy: Taxonomy
) -> None:
    columns = [
        {"text": "座椅太硬，看得清", "seating": "negative", "seating_evidence": "太硬", "film": "none", "price": "",
         "overall": "negative", "intent": "review", "escalation": True, "rating": 1.0, "id": "0", "source": "甲",
         "kind": "k", "author": "乙"},
        {"text": "=好看\n值", "seating": "", "seating_evidence": "", "film": "positive", "price": "neutral",
         "overall": "", "intent": "", "escalation": None, "rating": None, "id": "8", "source": "",
         "kind": "", "author": ""},
    ]  # fmt: skip
    records = [
        {"text": "座椅太硬，看得清", "labels": [{"dimension": "seating", "sentiment": "negative", "evidence": "太硬"}],
         "annotated": ["seating", "film"], "overall": "negative", "intent": "review", "escalation": True, "rating": 1,
         "id": "0", "source": "甲", "kind": "k", "author": "乙"},
        {"text": "=好看\n值", "labels": [{"dimension": "film", "sentiment": "positive"},
         {"dimension": "price", "sentiment": "neutral"}], "annotated": ["film", "price"], "id": "8"},
    ]  # fmt: skip
    expected = read_labelled([jsonl(*records)], taxonomy)
    assert read_labelled([table(*columns)], taxonomy) == expected
    flat = tmp_path / "flat.parquet"
    pq.write_table(pa.Table.from_pylist(columns), flat)
    assert read_labelled([flat], taxonomy) == expected
    nested = tmp_path / "nested.parquet"
    pq.write_table(pa.Table.from_pylist(records), nested)
    assert read_labelled([nested], taxonomy) == expected


def test_labelled_files_parquet_codes_may_be_floats_beside_blanks(tmp_path: Path, taxonomy: Taxonomy) -> None:
    path = tmp_path / "codes.parquet"
    pq.write_table(pa.table({"text": ["甲", "乙"], "seating": [-1.0, None], "price": [1, 0]}), path)
    mapping = {"1": "positive", "0": "none", "-1": "negative"}
    first, second = read_labelled([path], taxonomy, mapping=mapping)
    assert first.annotated == {"seating", "price"} and first.labels["seating"][0] == "negative"
    assert second.annotated == {"price"} and second.labels == {}


def test_labelled_files_csv_that_is_broken_is_refused_not_read_askew(tmp_path: Path, taxonomy: Taxonomy) -> None:
    path = tmp_path / "mine.csv"

    def told(*lines: str) -> str:
        path.write_text("\n".join(lines) + "\n", "utf-8")
        return message(path, taxonomy)

    # A comma of the text would end it there; a cell too few would be "not mentioned" with --blank none.
    assert "mine.csv, row 2: expected 2 cells as in the header, found 3" in told(
        "seating,text", "negative,座椅坏", "none,票价好,下次还来"
    )
    assert "row 1: expected 3 cells as in the header, found 2" in told("text,seating,price", "座椅坏,negative")
    assert "row 2: expected CSV, found" in told("seating,text", "none,票价好", 'negative,"座椅坏', "none,下次还来")
    assert "expected each column once, found seating twice" in told("text,seating,seating", "座椅坏,negative,")


def test_labelled_files_columns_that_are_not_read_are_named(
    table: Write, taxonomy: Taxonomy, caplog: pytest.LogCaptureFixture
) -> None:
    row = {"text": "座椅坏", "seatings": "negative", "cs_price": "none", "date": "2026-01-01", "座椅视野": "负面"}
    (example,) = read_labelled([table(row)], taxonomy)
    assert example.annotated == {"price"}
    assert caplog.messages == ["data.csv: columns that are no labels and were not read: seatings, 座椅视野"]


def test_labelled_files_nan_of_a_table_is_blank(tmp_path: Path, taxonomy: Taxonomy) -> None:
    path = tmp_path / "nan.parquet"
    nan = float("nan")
    columns = {"text": ["甲"], "seating": [nan], "price": [1.0], "price_evidence": [nan], "escalation": [nan]}
    pq.write_table(pa.table(columns), path)
    (example,) = read_labelled([path], taxonomy, mapping={"1": "positive"})
    assert example == Example("甲", {"price": ("positive", -1, -1)}, frozenset({"price"}))
