"""What the analyser makes of an engine's answers, which a stub gives as told."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import sentiment.analyzer
from sentiment.analyzer import Analyzer
from sentiment.checkpoint import Checkpoint
from sentiment.engine import Logits
from sentiment.runtimes import Choice
from sentiment.scaling import Scaling
from sentiment.taxonomy import Taxonomy, taxonomy_from_dict


class StubEngine:
    """Reads characters. A dimension is mentioned in a window that holds its word, where all its attention lies."""

    def __init__(self, space: Taxonomy, words: dict[str, tuple[str, str]], window: int = 1000) -> None:
        """`words`: dimension → (word, sentiment); the dimension `""` stands for intent, of which the word is a sign."""
        self.tokenizer = self
        self.runtime = Choice("onnxruntime", "1", "float32")
        self.window = window
        self._space, self._words = space, words

    def encode_batch(self, texts: Sequence[str], add_special_tokens: bool) -> list[SimpleNamespace]:
        assert not add_special_tokens
        return [SimpleNamespace(ids=list(map(ord, t)), offsets=[(i, i + 1) for i in range(len(t))]) for t in texts]

    def run(self, windows: Sequence[Sequence[int]]) -> list[Logits]:
        return [self._answer("".join(map(chr, ids))) for ids in windows]

    def _answer(self, text: str) -> Logits:
        keys, space = len(self._space.keys), self._space
        mention, polarity = np.full(keys, -6.0), np.zeros((keys, 3))
        evidence = np.full((len(text), keys), -20.0)
        intent = np.zeros(len(space.intents))
        for key, (word, label) in self._words.items():
            at = text.find(word)
            if key == "":
                intent[space.intents.index(label) if at >= 0 else 0] = 5
            elif at >= 0:
                k = space.index[key]
                mention[k] = 5
                polarity[k, space.sentiments.index(label)] = 5
                evidence[at : at + len(word), k] = -1
        as_floats = (np.asarray(x, np.float32) for x in (mention, polarity, [4, 0, 0], intent, -3, evidence))
        return Logits(*as_floats)


def stub(space: Taxonomy, words: dict[str, tuple[str, str]], *, window: int = 1000, **rules: Any) -> Analyzer:
    thresholds = {**dict.fromkeys(space.keys, 0.5), "escalation": 0.5}
    settings: dict[str, Any] = {"thresholds": thresholds, "scaling": Scaling(), "uncertain": {}, **rules}
    checkpoint = Checkpoint(Path(), "stub@0", "0", space, **settings, max_tokens=window, config={})
    return Analyzer(checkpoint, StubEngine(space, words, window))  # type: ignore[arg-type]


@pytest.mark.parametrize("sentiments", [["positive", "neutral", "negative"], ["neutral", "negative", "positive"]])
def test_analyzer_probabilities_run_from_negative_to_positive(sentiments: list[str]) -> None:
    space = taxonomy_from_dict({"dimensions": [{"key": "bread"}, {"key": "queue"}], "sentiments": sentiments})
    record = stub(space, {"bread": ("酸", "negative"), "queue": ("快", "positive")}).analyze("面包酸，出餐快")
    assert {m.dimension: m.sentiment for m in record.dimensions} == {"bread": "negative", "queue": "positive"}
    assert np.argmax(record.probabilities["bread"]) == 0 and np.argmax(record.probabilities["queue"]) == 2
    # sigmoid(5) × softmax(5, 0, 0)
    assert record.probabilities["bread"] == (0.98, 0.0066, 0.0066)


def test_analyzer_confidences_are_those_of_the_labels(own_taxonomy: Taxonomy) -> None:
    record = stub(own_taxonomy, {"": ("要求", "defect")}).analyze("要求解决")
    # softmax(4, 0, 0); softmax(0, 5, 0)
    assert (record.overall, record.overall_confidence) == ("negative", 0.9647)
    assert (record.intent, record.intent_confidence) == ("defect", 0.9867)


def test_analyzer_scales_by_the_checkpoints_rules(own_taxonomy: Taxonomy) -> None:
    heads = ("mention", "polarity", "overall", "intent", "escalation")
    scaling = Scaling(dict.fromkeys(heads, 2.0), biases={"escalation": (2.0,), "overall": (0.0, 4.0, 0.0)})
    words = {"bread": ("酸", "negative"), "": ("要求", "defect")}
    record = stub(own_taxonomy, words, scaling=scaling).analyze("要求换酸面包")
    # sigmoid(5/2) × softmax(5/2, 0, 0)
    assert record.probabilities["bread"] == (0.7938, 0.0651, 0.0651)
    # softmax(4/2, 0 + 4, 0); softmax(0, 5/2, 0); sigmoid(−3/2 + 2)
    assert (record.overall, record.overall_confidence) == ("positive", 0.8668)
    assert (record.intent, record.intent_confidence) == ("defect", 0.859)
    assert (record.escalation, record.escalation_confidence) == (True, 0.6225)


@pytest.mark.parametrize(
    ("text", "word", "evidence"),
    [
        ("座椅太硬，坐得腰疼", "腰疼", "腰疼"),
        ("　　ＩＭＡＸ　厅的座椅太硬", "IMAX", "ＩＭＡＸ"),
        ("空調開得太冷，凍得發抖", "冻得发抖", "凍得發抖"),
        ("👍🏽👍🏽座椅真舒服😊😊😊😊😊😊，值", "值", "值"),
        ("座椅&nbsp;&amp;<br/>音响都好", "音响都好", "音响都好"),
        ("\u200b好\u200b看，座\ufeff椅太硬\u200d", "座椅太硬", "座\ufeff椅太硬"),
        ("差 评 太 差 了 座 位", "太差", "太 差"),
        ("哈哈哈哈哈哈哈哈哈，票价太高", "票价太高", "票价太高"),
        ("@小明同学 你看http://t.cn/abc，座椅脏", "座椅脏", "座椅脏"),
    ],
)
def test_analyzer_evidence_is_a_slice_of_the_callers_text(
    text: str, word: str, evidence: str, own_taxonomy: Taxonomy
) -> None:
    (mention,) = stub(own_taxonomy, {"bread": (word, "negative")}).analyze(text).dimensions
    assert text[mention.start : mention.end] == mention.evidence
    assert mention.evidence.strip("\u200b") == evidence


def test_analyzer_block_of_long_texts_is_taken_in_groups(
    own_taxonomy: Taxonomy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sentiment.analyzer, "GROUP_CHARACTERS", 50)
    analyzer = stub(own_taxonomy, {})
    encode, sizes = analyzer._engine.tokenizer.encode_batch, []

    def counted(texts: Sequence[str], add_special_tokens: bool) -> Any:
        sizes.append([len(text) for text in texts])
        return encode(texts, add_special_tokens=add_special_tokens)

    monkeypatch.setattr(analyzer._engine, "encode_batch", counted, raising=False)
    texts = ["座椅太硬" * n for n in (5, 5, 2, 3, 30, 1, 1)] + ["", "座椅"]
    records = analyzer.analyze_block(texts, [str(n) for n in range(9)])
    assert sizes == [[20, 20, 8], [12], [120], [4, 4, 2]]
    assert [record.id for record in records] == [str(n) for n in range(9)]
    assert [record.tokens for record in records] == [20, 20, 8, 12, 120, 4, 4, 0, 2]
    assert analyzer.analyze_block([]) == []


def test_analyzer_long_text_is_read_to_its_last_window(own_taxonomy: Taxonomy) -> None:
    analyzer = stub(own_taxonomy, {"queue": ("排队很久", "negative"), "": ("投诉", "defect")}, window=50)
    text = "面包很香，店面干净。" * 120 + "可是排队很久，我要投诉。"
    record = analyzer.analyze(text)
    assert record.windows > 20 and record.tokens == len(text)
    (mention,) = record.dimensions
    assert (mention.dimension, mention.sentiment, mention.evidence) == ("queue", "negative", "排队很久")
    assert mention.start == text.index("排队很久")
    assert record.intent == "defect"
    assert analyzer.analyze("面包很香，店面干净。" * 120).dimensions == ()


def test_analyzer_every_window_is_read(own_taxonomy: Taxonomy) -> None:
    filler = "面包很香，店面干净。"
    analyzer = stub(own_taxonomy, {"cost": ("太贵了", "negative")}, window=30)
    for at in range(0, 41, 5):
        text = filler * at + "价钱太贵了。" + filler * (40 - at)
        (mention,) = analyzer.analyze(text).dimensions
        assert (mention.start, mention.evidence) == (text.index("太贵了"), "太贵了")


def test_analyzer_evidence_is_in_the_window_of_its_own_dimension(own_taxonomy: Taxonomy) -> None:
    words = {"queue": ("排队很久", "negative"), "cost": ("太贵了", "negative"), "bread": ("酸了", "negative")}
    text = "排队很久。" + "店面干净整洁。" * 10 + "价钱太贵了，也酸了。"
    record = stub(own_taxonomy, words, window=30).analyze(text)
    assert {m.dimension: m.evidence for m in record.dimensions} == {key: word for key, (word, _) in words.items()}
    assert all(m.start == text.index(m.evidence) for m in record.dimensions)


@pytest.mark.parametrize(
    ("bounds", "uncertain"),
    [
        ({}, False),
        ({"overall": 0.95}, False), ({"overall": 0.97}, True),  # softmax(4, 0, 0) = 0.965
        ({"intent": 0.2}, False), ({"intent": 0.99}, True),  # softmax(5, 0, 0) = 0.987
        ({"mention": 0.97}, False), ({"mention": 0.99}, True),  # 0.980
        ({"escalation": 0.44}, False), ({"escalation": 0.46}, True),  # 0.5 − sigmoid(−3) = 0.453
    ],
)  # fmt: skip
def test_analyzer_uncertain_follows_the_checkpoints_bounds(
    own_taxonomy: Taxonomy, bounds: dict[str, float], uncertain: bool
) -> None:
    words = {"queue": ("排队", "negative"), "": ("要求", "defect")}
    assert stub(own_taxonomy, words, uncertain=bounds).analyze("要求解决排队").uncertain is uncertain


def test_analyzer_escalation_follows_its_threshold(own_taxonomy: Taxonomy) -> None:
    # sigmoid(−3) = 0.0474
    for threshold, label, confidence in ((0.04, True, 0.0474), (0.05, False, 0.9526)):
        rules = {**dict.fromkeys(own_taxonomy.keys, 0.5), "escalation": threshold}
        record = stub(own_taxonomy, {}, thresholds=rules).analyze("面包很香")
        assert (record.escalation, record.escalation_confidence) == (label, confidence)


def test_analyzer_shares_are_rounded_down(own_taxonomy: Taxonomy) -> None:
    scaling = Scaling({"mention": 0.5})
    record = stub(own_taxonomy, {"bread": ("酸", "negative")}, scaling=scaling).analyze("面包酸")
    # sigmoid(10) × softmax(5, 0, 0) = 0.986659, 0.0066479, 0.0066479
    assert record.probabilities["bread"] == (0.9866, 0.0066, 0.0066)
    assert record.dimensions[0].confidence == 0.9866


def test_analyzer_probabilities_are_those_of_the_dimensions_asked_for(own_taxonomy: Taxonomy) -> None:
    words = {"queue": ("排队", "negative"), "bread": ("酸", "positive")}
    everything = stub(own_taxonomy, words)
    some = stub(own_taxonomy, words)
    some._wanted = np.array([key == "queue" for key in own_taxonomy.keys])
    some._wanted_keys = ("queue",)
    all_found, found = everything.analyze("排队，面包酸"), some.analyze("排队，面包酸")
    assert list(all_found.probabilities) == list(own_taxonomy.keys)
    assert found.probabilities == {"queue": all_found.probabilities["queue"]}
    assert found.dimensions == tuple(m for m in all_found.dimensions if m.dimension == "queue") != ()


def test_analyzer_numbers_are_pythons_own(own_taxonomy: Taxonomy) -> None:
    record = stub(own_taxonomy, {"queue": ("排队", "negative")}).analyze("排队")
    (mention,) = record.dimensions
    numbers = (record.overall_confidence, record.intent_confidence, record.escalation_confidence, mention.confidence)
    assert {type(n) for n in (*numbers, *sum(record.probabilities.values(), ()))} == {float}
    assert {type(n) for n in (mention.start, mention.end, record.tokens, record.windows)} == {int}
    assert {type(n) for n in (record.escalation, record.uncertain)} == {bool}


def test_analyzer_refuses_a_graph_that_answers_nan(own_taxonomy: Taxonomy) -> None:
    analyzer = stub(own_taxonomy, {}, scaling=Scaling({"polarity": float("nan")}))
    with pytest.raises(ValueError, match="expected probabilities, found NaN"):
        analyzer.analyze("面包很香")
