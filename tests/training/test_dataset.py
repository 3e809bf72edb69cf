from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentiment.taxonomy import Taxonomy
from training.dataset import (
    Collator,
    DatasetError,
    Example,
    encode,
    in_held_out_rows,
    near_duplicate_groups,
    parse_record,
    read_labelled,
    shingles,
    split_groups,
    without_near_duplicates,
)
from training.metrics import UNKNOWN

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Write = Callable[..., Path]


@pytest.fixture
def jsonl(tmp_path: Path) -> Write:
    def write(*rows: Any, name: str = "data.jsonl") -> Path:
        path = tmp_path / name
        lines = (row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows)
        path.write_text("\n".join(lines) + "\n", "utf-8")
        return path

    return write


@pytest.fixture
def table(tmp_path: Path) -> Write:
    def write(*rows: dict[str, Any], name: str = "data.csv") -> Path:
        path = tmp_path / name
        with path.open("w", encoding="utf-8-sig", newline="") as lines:
            writer = csv.DictWriter(lines, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        return path

    return write


def message(path: Path, taxonomy: Taxonomy, **options: Any) -> str:
    with pytest.raises(DatasetError) as caught:
        read_labelled([path], taxonomy, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_dataset_record_is_read_whole(jsonl: Write, taxonomy: Taxonomy) -> None:
    row = {
        "text": "座椅太硬，票价还行",
        "labels": [
            {"dimension": "seating", "sentiment": "negative", "evidence": "太硬"},
            {"dimension": "price", "sentiment": "neutral", "start": 5, "end": 9},
            {"dimension": "film", "sentiment": "positive"},
        ],
        "overall": "negative", "intent": "complaint", "escalation": False, "rating": 2, "id": 17, "author": "甲",
        "kind": "decoy", "source": "ours", "annotators": [], "split": "train",
    }  # fmt: skip
    (example,) = read_labelled([jsonl(row)], taxonomy, weight=0.5)
    labels = {"seating": ("negative", 2, 4), "price": ("neutral", 5, 9), "film": ("positive", -1, -1)}
    assert example == Example(
        row["text"], labels, frozenset(taxonomy.keys), "negative", "complaint", False, 2.0, "17", "ours", "decoy", "甲",
        0.5,
    )  # fmt: skip


def test_dataset_missing_keys_are_unknown(jsonl: Write, taxonomy: Taxonomy) -> None:
    (example,) = read_labelled([jsonl({"text": "好"})], taxonomy)
    assert example == Example("好")
    assert example.annotated == frozenset() and example.overall is example.escalation is example.rating is None
    (empty,) = read_labelled([jsonl({"text": "好", "labels": []})], taxonomy)
    assert empty.annotated == frozenset(taxonomy.keys) and empty.labels == {}
    subset = {"text": "好", "labels": [{"dimension": "film", "sentiment": "positive"}], "annotated": ["price"]}
    (judged,) = read_labelled([jsonl(subset)], taxonomy)
    assert judged.annotated == {"price", "film"}
    (nothing,) = read_labelled([jsonl({"text": "好", "labels": None, "rating": math.nan, "overall": None})], taxonomy)
    assert nothing == Example("好")


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
def test_dataset_error_names_file_row_column_expected_and_found(
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
def test_dataset_table_error_names_file_row_column_expected_and_found(
    table: Write, taxonomy: Taxonomy, cells: dict[str, str], said: str
) -> None:
    blank = {"text": "座椅太硬", **dict.fromkeys(cells, "")}
    if "text" in cells:
        blank["text"] = "座椅太硬"
    found = message(table(blank, {**blank, **cells}), taxonomy)
    assert found.startswith("data.csv, row 2") and said in found


def test_dataset_file_that_is_none_is_one_clear_line(tmp_path: Path, taxonomy: Taxonomy, table: Write) -> None:
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


def test_dataset_blank_cell_is_unknown_unless_it_is_said_to_be_none(table: Write, taxonomy: Taxonomy) -> None:
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


def test_dataset_mapping_reads_other_codings(table: Write, taxonomy: Taxonomy) -> None:
    mapping = {"1": "positive", "0": "neutral", "-1": "negative", "-2": "none"}
    path = table(
        {"text": "甲", "seating": "-1", "price": "-2", "film": "1", "sound": "0", "parking": " ", "overall": "-1"}
    )
    (example,) = read_labelled([path], taxonomy, mapping=mapping)
    assert {key: label[0] for key, label in example.labels.items()} == {
        "seating": "negative", "film": "positive", "sound": "neutral",
    }  # fmt: skip
    assert example.annotated == {"seating", "price", "film", "sound"} and example.overall == "negative"


def test_dataset_reads_our_own_scored_file(table: Write, taxonomy: Taxonomy) -> None:
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


def test_dataset_three_formats_give_equal_examples(
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


def test_dataset_parquet_codes_may_be_floats_beside_blanks(tmp_path: Path, taxonomy: Taxonomy) -> None:
    path = tmp_path / "codes.parquet"
    pq.write_table(pa.table({"text": ["甲", "乙"], "seating": [-1.0, None], "price": [1, 0]}), path)
    mapping = {"1": "positive", "0": "none", "-1": "negative"}
    first, second = read_labelled([path], taxonomy, mapping=mapping)
    assert first.annotated == {"seating", "price"} and first.labels["seating"][0] == "negative"
    assert second.annotated == {"price"} and second.labels == {}


def label(text: str, evidence: str, key: str = "seating", **more: Any) -> dict[str, Any]:
    return {"text": text, "labels": [{"dimension": key, "sentiment": "negative", "evidence": evidence}], **more}


def rows_of(
    examples: list[Example], tokenizer: PreTrainedTokenizerFast, taxonomy: Taxonomy, size: int = 64
) -> list[dict[str, Any]]:
    return list(encode(examples, tokenizer, taxonomy, size))


def test_dataset_unknown_labels_are_masked_never_negative(
    tiny_tokenizer: PreTrainedTokenizerFast, taxonomy: Taxonomy, table: Write
) -> None:
    judged = parse_record(label("座椅太硬", "太硬"), taxonomy, "")
    subset = parse_record(label("座椅太硬", "太硬", annotated=["price"]), taxonomy, "")
    blank, none = (
        read_labelled([table({"text": "座椅太硬", "seating": "", "price": "none"})], taxonomy, blank_none=blank)[0]
        for blank in (False, True)
    )
    rows = rows_of([Example("座椅太硬"), judged, subset, blank, none], tiny_tokenizer, taxonomy)
    seating, price, film = (taxonomy.index[key] for key in ("seating", "price", "film"))
    cells = [[row["mention_labels"][k] for k in (seating, price, film)] for row in rows]
    assert cells == [[UNKNOWN] * 3, [1, 0, 0], [1, 0, UNKNOWN], [UNKNOWN, 0, UNKNOWN], [0, 0, UNKNOWN]]
    assert rows[0]["mention_labels"] == rows[0]["polarity_labels"] == [UNKNOWN] * 18
    assert rows[1]["polarity_labels"][seating] == taxonomy.sentiments.index("negative")
    assert rows[1]["polarity_labels"][price] == UNKNOWN
    for row in rows:
        assert row["overall_labels"] == row["intent_labels"] == row["escalation_labels"] == UNKNOWN
        assert math.isnan(row["rating_labels"])


def test_dataset_heads_of_the_whole_text_are_encoded_by_the_taxonomys_order(
    wordpiece: PreTrainedTokenizerFast, own_taxonomy: Taxonomy
) -> None:
    record = {"text": "面包", "labels": [{"dimension": "queue", "sentiment": "positive"}], "overall": "positive",
              "intent": "defect", "escalation": False, "rating": 4.5}  # fmt: skip
    (row,) = rows_of([parse_record(record, own_taxonomy, "", 0.3)], wordpiece, own_taxonomy)
    assert (row["overall_labels"], row["intent_labels"], row["escalation_labels"]) == (1, 1, 0)
    assert (row["rating_labels"], row["weights"], row["length"]) == (4.5, 0.3, len(row["input_ids"]))
    assert row["polarity_labels"][4] == 2 and row["spans"][4] == [-1, -1]


@pytest.mark.parametrize(
    ("text", "evidence"),
    [
        ("座椅太硬，坐得腰疼", "腰疼"),
        ("座椅太硬，坐得腰疼", "座椅太硬"),
        ("ＩＭＡＸ厅果然不一样", "ＩＭＡＸ"),
        ("　　ＩＭＡＸ厅　果然不一样！！！！！！！", "不一样"),
        ("空調開得太冷，凍得發抖", "凍得發抖"),
        ("爆米花&nbsp;又貴<br>又不脆", "不脆"),
        ("😊😊😊😊😊😊停车免费\u200b两小时", "免费\u200b两"),
    ],
)
@pytest.mark.parametrize("kind", ["tiny_tokenizer", "wordpiece"])
def test_dataset_spans_land_on_the_tokens_of_the_evidence(
    request: pytest.FixtureRequest, taxonomy: Taxonomy, text: str, evidence: str, kind: str
) -> None:
    from sentiment.text import normalise

    tokenizer = request.getfixturevalue(kind)
    (row,) = rows_of([parse_record(label(text, evidence), taxonomy, "")], tokenizer, taxonomy)
    first, last = row["spans"][taxonomy.index["seating"]]
    assert [span for k, span in enumerate(row["spans"]) if k != taxonomy.index["seating"]] == [[-1, -1]] * 17
    norm = normalise(text)
    offsets = tokenizer(norm.text, return_offsets_mapping=True)["offset_mapping"]
    wanted = normalise(evidence).text
    begin = norm.text.index(wanted)
    touched = [t for t, (s, e) in enumerate(offsets) if s < begin + len(wanted) and e > begin and e > s]
    assert [first, last] == [touched[0], touched[-1] + 1]
    assert wanted in norm.text[offsets[first][0] : offsets[last - 1][1]]


def test_dataset_cut_text_knows_nothing_of_what_lies_behind(
    tiny_tokenizer: PreTrainedTokenizerFast, taxonomy: Taxonomy
) -> None:
    text = "座椅太硬，坐得腰疼。" + "环境干净，下次还来。" * 20 + "票价比隔壁贵一倍"
    record = label(text, "太硬", overall="negative")
    record["labels"] += [
        {"dimension": "price", "sentiment": "negative", "evidence": "贵一倍"},
        {"dimension": "cleanliness", "sentiment": "positive"},
    ]
    example = parse_record(record, taxonomy, "")
    whole, cut = (rows_of([example], tiny_tokenizer, taxonomy, size)[0] for size in (2000, 30))
    seating, price, cleanliness, film = (taxonomy.index[key] for key in ("seating", "price", "cleanliness", "film"))
    assert [whole["mention_labels"][k] for k in (seating, price, cleanliness, film)] == [1, 1, 1, 0]
    assert len(cut["input_ids"]) == 30
    assert [cut["mention_labels"][k] for k in (seating, price, cleanliness, film)] == [1, UNKNOWN, UNKNOWN, UNKNOWN]
    assert [cut["polarity_labels"][k] for k in (price, cleanliness, film)] == [UNKNOWN] * 3
    assert cut["spans"][price] == [-1, -1] and cut["spans"][seating] == whole["spans"][seating] != [-1, -1]
    assert cut["overall_labels"] == whole["overall_labels"] != UNKNOWN


def test_dataset_text_that_just_fits_is_not_cut(tiny_tokenizer: PreTrainedTokenizerFast, taxonomy: Taxonomy) -> None:
    example = parse_record(label("座椅太硬，坐得腰疼", "腰疼"), taxonomy, "")
    size = len(tiny_tokenizer("座椅太硬，坐得腰疼")["input_ids"])
    fits, cut = (rows_of([example], tiny_tokenizer, taxonomy, limit)[0] for limit in (size, size - 1))
    assert fits["mention_labels"].count(0) == 17 and fits["mention_labels"].count(1) == 1
    assert cut["mention_labels"].count(0) == 0


def test_dataset_collator_pads_and_spreads_spans(tiny_tokenizer: PreTrainedTokenizerFast, taxonomy: Taxonomy) -> None:
    examples = [parse_record(label("座椅太硬，坐得腰疼", "腰疼", rating=2), taxonomy, "", 0.5), Example("好")]
    rows = rows_of(examples, tiny_tokenizer, taxonomy)
    batch = Collator(tiny_tokenizer.pad_token_id)(rows)
    long, short = (len(row["input_ids"]) for row in rows)
    assert batch["input_ids"].shape == batch["attention_mask"].shape == (2, long)
    assert batch["attention_mask"].sum(1).tolist() == [long, short]
    assert batch["input_ids"][1, short:].tolist() == [tiny_tokenizer.pad_token_id] * (long - short)
    assert batch["input_ids"][0].tolist() == rows[0]["input_ids"]
    k = taxonomy.index["seating"]
    first, last = rows[0]["spans"][k]
    assert batch["evidence_labels"].shape == (2, long, 18) and batch["evidence_labels"].sum() == last - first > 0
    assert batch["evidence_labels"][0, first:last, k].eq(1).all()
    assert batch["weights"].tolist() == [0.5, 1.0]
    assert batch["rating_labels"][0] == 2 and batch["rating_labels"][1].isnan()


BASE = "座椅太硬，坐得腰疼，前面的人还一直打电话没人管"


def jaccard(first: str, second: str) -> float:
    a, b = shingles(first), shingles(second)
    return len(a & b) / len(a | b)


def test_dataset_near_duplicates_share_a_group() -> None:
    variants = [f"{BASE}！", f"【{BASE}】", BASE.replace("硬", "软"), "座椅太硬，坐得腰疼，前面的人還一直打電話沒人管"]
    others = ["电影本身很好看，哭湿了两包纸巾", "停车免费两小时，很方便", "座椅太硬，坐得腰疼"]
    groups = near_duplicate_groups([BASE, *variants, *others])
    assert len(set(groups[:5])) == 1
    assert len({*groups[5:], groups[0]}) == 4


def test_dataset_texts_of_emoji_alone_are_no_near_duplicates_of_others() -> None:
    assert len(set(near_duplicate_groups(["😡😡😡", "😍", "👏👏", "！！！", "😡 😡 😡"]))) == 4


def test_dataset_near_duplicates_chain() -> None:
    letters = [chr(0x4E00 + i) for i in range(60)]
    texts = ["".join(letters[i : i + 24]) for i in range(0, 36, 4)]
    assert jaccard(texts[0], texts[1]) > 0.5 and jaccard(texts[0], texts[-1]) == 0
    assert len(set(near_duplicate_groups(texts))) == 1
    assert len(set(near_duplicate_groups([texts[0], texts[-1]]))) == 2


@given(st.lists(st.integers(0, 30), min_size=2, max_size=12))
def test_dataset_near_duplicate_groups_are_named_by_their_first_text(starts: list[int]) -> None:
    # Whatever the order in which a set yields its shingles: else no split could be drawn twice.
    letters = [chr(0x4E00 + i) for i in range(60)]
    groups = near_duplicate_groups(["".join(letters[start : start + 24]) for start in starts])
    assert groups == [groups.index(group) for group in groups]


def test_dataset_near_duplicate_threshold_is_exceeded_not_reached() -> None:
    # 10 and 10 shingles of which 8 are shared: 8 / 12
    first, second = "".join(map(chr, range(0x4E00, 0x4E0E))), "".join(map(chr, range(0x4E02, 0x4E10)))
    assert jaccard(first, second) == pytest.approx(2 / 3)
    assert len(set(near_duplicate_groups([first, second], 8 / 12))) == 2
    assert len(set(near_duplicate_groups([first, second], 0.66))) == 1


@given(st.lists(st.text(st.sampled_from("甲乙丙丁戊"), max_size=12), max_size=25), st.integers(0, 5), st.floats(0, 1))
def test_dataset_split_never_straddles(texts: list[str], seed: int, fraction: float) -> None:
    groups = near_duplicate_groups(texts)
    rest, held = split_groups(groups, fraction, seed)
    assert sorted(rest + held) == list(range(len(texts)))
    assert not {groups[i] for i in rest} & {groups[i] for i in held}
    assert all(jaccard(texts[i], texts[j]) <= 0.5 for i in rest for j in held)
    assert len(held) >= fraction * len(texts) or not rest


def test_dataset_split_holds_out_about_the_fraction_and_follows_the_seed() -> None:
    groups = list(range(1000))
    rest, held = split_groups(groups, 0.1, 1)
    assert len(held) == 100 and (rest, held) == split_groups(groups, 0.1, 1)
    assert held != split_groups(groups, 0.1, 2)[1]
    assert split_groups(groups, 0.0, 1)[1] == []


def test_dataset_without_near_duplicates_drops_those_alone() -> None:
    examples = [Example(f"{BASE}。"), Example("停车免费两小时，很方便"), Example("电影本身很好看，哭湿了两包纸巾")]
    kept = without_near_duplicates(examples, [Example(BASE), Example("别的")])
    assert kept == examples[1:]
    assert without_near_duplicates(examples, []) == examples


def test_dataset_held_out_rows_follow_the_hash_rule() -> None:
    rng = random.Random(0)
    texts = ["".join(chr(rng.randrange(0x4E00, 0x9FFF)) for _ in range(rng.randint(0, 20))) for _ in range(500)]
    for text in texts:
        assert in_held_out_rows(text) == (int(hashlib.sha1(text.encode()).hexdigest()[:8], 16) % 5 == 0)
    assert 60 < sum(map(in_held_out_rows, texts)) < 140


def test_dataset_example_is_immutable() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Example("好").text = "坏"  # type: ignore[misc]


def test_dataset_csv_that_is_broken_is_refused_not_read_askew(tmp_path: Path, taxonomy: Taxonomy) -> None:
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


def test_dataset_columns_that_are_not_read_are_named(
    table: Write, taxonomy: Taxonomy, caplog: pytest.LogCaptureFixture
) -> None:
    row = {"text": "座椅坏", "seatings": "negative", "cs_price": "none", "date": "2026-01-01", "座椅视野": "负面"}
    (example,) = read_labelled([table(row)], taxonomy)
    assert example.annotated == {"price"}
    assert caplog.messages == ["data.csv: columns that are no labels and were not read: seatings, 座椅视野"]


def test_dataset_nan_of_a_table_is_blank(tmp_path: Path, taxonomy: Taxonomy) -> None:
    path = tmp_path / "nan.parquet"
    nan = float("nan")
    columns = {"text": ["甲"], "seating": [nan], "price": [1.0], "price_evidence": [nan], "escalation": [nan]}
    pq.write_table(pa.table(columns), path)
    (example,) = read_labelled([path], taxonomy, mapping={"1": "positive"})
    assert example == Example("甲", {"price": ("positive", -1, -1)}, frozenset({"price"}))


def test_dataset_what_a_record_does_not_say_is_unknown(taxonomy: Taxonomy) -> None:
    found = parse_record({"text": "座椅坏", "annotated": ["seating"], "id": None}, taxonomy, "row 1")
    assert found == Example("座椅坏")


def test_dataset_offsets_that_point_at_other_words_are_refused(jsonl: Write, taxonomy: Taxonomy) -> None:
    entry = {"dimension": "seating", "sentiment": "negative", "evidence": "座椅坏"}
    row = {"text": "😀座椅坏了", "labels": [{**entry, "start": 2, "end": 5}]}  # in UTF-16 code units
    assert "(seating): expected its words from start to end, found others at 2..5" in message(jsonl(row), taxonomy)
    assert "column rating: expected a number, found inf" in message(jsonl({"text": "好", "rating": math.inf}), taxonomy)


def test_dataset_split_does_not_hold_out_one_large_group_of_duplicates() -> None:
    groups = [0] * 400 + list(range(400, 1000))
    for seed in range(20):
        rest, held = split_groups(groups, 0.1, seed)
        assert len(held) == 100 and len(rest) == 900
    assert split_groups([0, 0, 0, 0, 4], 0.1, 1)[1] == split_groups([0, 0, 0, 0, 4], 0.1, 2)[1] == [4]
    assert len(split_groups([0, 0, 0, 3, 3, 3], 0.1, 1)[1]) == 3  # there are only large ones
