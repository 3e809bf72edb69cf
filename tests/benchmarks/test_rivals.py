"""The rivals small: a BERT of one layer in both forms, and the linear baseline against `training.linear`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.rivals import VOCABULARY, Int8Bert, Linear, Pipeline, Size, vocabulary, write_bert
from sentiment.taxonomy import Taxonomy
from training.example import Example
from training.labelled_files import read_labelled
from training.linear import Setting, characters, fit_linear

ROOT = Path(__file__).parent.parent.parent
TEXTS = ["座椅太硬，坐得腰疼", "IMAX 3D 很震撼！", "好", "排队" * 300, "爆米花很香，就是有点贵"]


def test_rivals_vocabulary_is_of_the_usual_size() -> None:
    pieces = vocabulary()
    assert len(pieces) == len(set(pieces)) == VOCABULARY
    assert {"影", "院", "a", "##7", "，", "[SEP]"} <= set(pieces)


def test_rivals_bert_reads_single_characters_and_pairs(bert: Path) -> None:
    tokenizer = Pipeline(bert, 1)._classify.tokenizer
    assert tokenizer.tokenize("影院3D") == ["影", "院", "3", "##d"]
    pair = tokenizer("停车", "好找")
    assert tokenizer.convert_ids_to_tokens(pair["input_ids"]) == ["[CLS]", "停", "车", "[SEP]", "好", "找", "[SEP]"]
    assert pair["token_type_ids"] == [0, 0, 0, 0, 1, 1, 1]


def test_rivals_int8_is_the_same_model(bert: Path) -> None:
    plain, int8 = Pipeline(bert, 1), Int8Bert(bert, 1)
    with torch.no_grad():
        inputs = plain._classify.tokenizer(TEXTS, padding=True, truncation=True, return_tensors="pt")
        exact = plain._classify.model(**inputs).logits.numpy()
    assert exact.std() > 1e-3
    np.testing.assert_allclose(int8.logits(TEXTS, 5), exact, atol=0.2 * exact.std())
    assert int8.logits(TEXTS, 2).shape == (5, 3)
    kinds = {argument.type for argument in int8._session.get_inputs()}
    assert kinds == {"tensor(int64)"}


def test_rivals_take_time_and_answer_everything(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Pipeline(bert, 1)
    asked: list[int] = []
    classify = plain._classify

    def spy(inputs: list[object], **options: object) -> list[object]:
        asked.append(len(inputs))
        return list(classify(inputs, **options))

    monkeypatch.setattr(plain, "_classify", spy)
    assert plain.seconds(TEXTS, 2) > 0 and plain.seconds_by_aspect(TEXTS, ["座椅", "票价", "停车"], 2) > 0
    assert asked == [5, 15]
    assert "TOKENIZERS_PARALLELISM" not in os.environ  # the pipeline sets it; what comes after must not suffer
    monkeypatch.setattr(plain, "_classify", lambda inputs, **options: [])
    with pytest.raises(RuntimeError, match="expected 5 answers"):
        plain.seconds(TEXTS, 2)


def test_rivals_bert_that_is_there_stays(bert: Path) -> None:
    size = json.loads((bert / "size.json").read_text("utf-8"))
    before = (bert / "int8.onnx").stat().st_mtime_ns
    write_bert(bert, Size(**size))
    assert (bert / "int8.onnx").stat().st_mtime_ns == before
    assert not (bert / "float32.onnx").exists()


def test_rivals_linear_is_the_baseline(taxonomy: Taxonomy) -> None:
    examples: list[Example] = read_labelled([ROOT / "data" / "cinema" / "dev.jsonl"], taxonomy)[:120]
    texts = [example.text for example in examples[:20]] + ["座椅太硬"]
    fitted = fit_linear(characters, examples, texts, taxonomy, (Setting(),)).scores
    found, count = Linear(examples, taxonomy).logits(texts), len(taxonomy.keys)
    assert found.shape == (21, count + 3 * count + 3 + len(taxonomy.intents) + 1)
    np.testing.assert_allclose(found[:, :count], fitted.mention, atol=1e-9)
    np.testing.assert_allclose(found[:, -1], fitted.escalation, atol=1e-9)
    polarity = found[:, count : 4 * count].reshape(21, 3, count).transpose(0, 2, 1)
    shares = -np.logaddexp(0.0, -polarity)
    np.testing.assert_allclose(shares - np.logaddexp.reduce(shares, axis=-1, keepdims=True), fitted.polarity, atol=1e-9)
