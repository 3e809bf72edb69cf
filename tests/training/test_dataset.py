from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sentiment.taxonomy import Taxonomy
from training.dataset import Collator, encode
from training.example import Example, parse_record
from training.labelled_files import read_labelled
from training.metrics import UNKNOWN

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Write = Callable[..., Path]


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
