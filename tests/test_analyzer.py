"""Records of a checkpoint that nobody has trained: their shape, and that neighbours do not change them."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count, islice
from pathlib import Path

import numpy as np
import pytest

import sentiment.analyzer
from sentiment.analyzer import Analyzer
from sentiment.checkpoint import CheckpointError
from sentiment.engine import Logits
from sentiment.records import Analysis
from sentiment.taxonomy import Taxonomy, TaxonomyError, taxonomy_from_dict
from sentiment.text import MAX_CHARACTERS, normalise

MENTION_KEYS = ["dimension", "sentiment", "confidence", "evidence", "start", "end", "owner"]
RECORD_KEYS = [
    "schema", "model", "id", "overall", "intent", "escalation", "dimensions", "uncertain", "script", "tokens",
    "windows", "truncated", "status",
]  # fmt: skip


SHIFT = 0.002  # how far a confidence may move with a text's neighbours


@pytest.fixture(scope="module")
def analyzer(tiny_checkpoint: Path) -> Analyzer:
    return Analyzer.load(tiny_checkpoint)


@pytest.fixture(scope="module")
def alone(analyzer: Analyzer, sample_texts: list[str]) -> list[Analysis]:
    """Every sample text, scored by itself."""
    return [analyzer.analyze(text) for text in sample_texts]


def test_analyzer_record_has_the_shape_of_the_contract(alone: list[Analysis], taxonomy: Taxonomy) -> None:
    assert any(record.dimensions for record in alone) and any(not record.dimensions for record in alone)
    for record in (analysis.to_dict(probabilities=True) for analysis in alone):
        assert list(record) == [*RECORD_KEYS, "probabilities"]
        assert record["schema"] == 1 and record["id"] is None and record["status"] == "ok"
        assert record["model"].startswith("tiny@") and len(record["model"]) == len("tiny@") + 8
        assert list(record["overall"]) == ["sentiment", "confidence"]
        assert record["overall"]["sentiment"] in ("positive", "neutral", "negative")
        assert list(record["intent"]) == ["label", "confidence"] and record["intent"]["label"] in taxonomy.intents
        assert list(record["escalation"]) == ["label", "confidence"] and type(record["escalation"]["label"]) is bool
        for head in ("overall", "intent", "escalation"):
            assert type(record[head]["confidence"]) is float and 0 < record[head]["confidence"] <= 1
        assert type(record["uncertain"]) is bool and type(record["truncated"]) is bool
        assert type(record["tokens"]) is int and type(record["windows"]) is int and record["script"] == "hans"
        for mention in record["dimensions"]:
            assert list(mention) == MENTION_KEYS
            assert list(map(type, mention.values())) == [str, str, float, str, int, int, str]
            assert mention["owner"] == taxonomy[mention["dimension"]].owner
        confidences = [mention["confidence"] for mention in record["dimensions"]]
        assert confidences == sorted(confidences, reverse=True)
        assert list(record["probabilities"]) == list(taxonomy.keys)
        assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert list(alone[0].to_dict()) == RECORD_KEYS


def test_analyzer_probabilities_are_shares_and_agree_with_the_mentions(alone: list[Analysis]) -> None:
    order = ("negative", "neutral", "positive")
    for record in alone:
        said = {mention.dimension: mention for mention in record.dimensions}
        for key, shares in record.probabilities.items():
            assert all(0 <= share <= 1 for share in shares) and sum(shares) <= 1
            # Each share is rounded down to four digits.
            assert (key in said) == (sum(shares) >= 0.6) or abs(sum(shares) - 0.6) < 4e-4
            if key in said:
                assert said[key].confidence == max(shares) == shares[order.index(said[key].sentiment)]


def test_analyzer_evidence_stays_a_slice_whatever_surrounds_it(tiny_checkpoint: Path, phrases: tuple[str, ...]) -> None:
    every = Analyzer.load(tiny_checkpoint, thresholds=1e-9)
    rng = random.Random(1)
    marks = (
        "　",
        "<br>",
        "&amp;",
        "😂😂😂😂😂",
        "\u200b",
        "ＡＢＣ",
        "！！！！！！",
        "體驗極差",
        "👨‍👩‍👧",
        " a ",
        "\r\n",
        "@某人 ",
    )
    texts = ["".join(rng.choice((*phrases, *marks)) for _ in range(rng.randint(1, 30))) for _ in range(150)]
    scored = 0
    for text, record in zip(texts, every.analyze_many(texts), strict=True):
        scored += len(record.dimensions)
        for mention in record.dimensions:
            assert 0 <= mention.start < mention.end <= len(text)
            assert text[mention.start : mention.end] == mention.evidence
            assert 1 <= len(normalise(mention.evidence).text) <= 40
    assert scored > 100 * len(every.taxonomy.keys)


@pytest.mark.parametrize(
    ("text", "status", "script"),
    [("", "empty", "other"), (" \n\t　", "empty", "other"), ("\u200b\ufeff", "empty", "other"),
     ("The seats were awful.", "not_chinese", "other"), ("12345", "not_chinese", "other"),
     ("座席がとても硬くて腰が痛い", "not_chinese", "hans")],
)  # fmt: skip
def test_analyzer_unreadable_text_has_a_status_and_nulls(
    analyzer: Analyzer, text: str, status: str, script: str
) -> None:
    record = analyzer.analyze(text, id="7").to_dict(probabilities=True)
    assert record == {
        "schema": 1, "model": analyzer.name, "id": "7", "overall": None, "intent": None, "escalation": None,
        "dimensions": [], "uncertain": False, "script": script, "tokens": 0, "windows": 0, "truncated": False,
        "status": status, "probabilities": {},
    }  # fmt: skip


def test_analyzer_scores_emoji_alone(analyzer: Analyzer) -> None:
    record = analyzer.analyze("😊😊")
    assert record.status == "ok" and record.overall is not None and record.script == "other"


def test_analyzer_reads_twenty_thousand_characters_and_says_where_it_stopped(analyzer: Analyzer) -> None:
    sentence = "座椅太硬，坐得腰疼。"
    whole = analyzer.analyze(sentence * (MAX_CHARACTERS // len(sentence)))
    assert (whole.status, whole.truncated) == ("ok", False)
    assert whole.windows > 1 and whole.tokens > 64
    longer = analyzer.analyze(sentence * (MAX_CHARACTERS // len(sentence)) + "坏")
    assert longer.truncated and longer.tokens == whole.tokens and longer.dimensions == whole.dimensions
    assert analyzer.analyze(" " * (MAX_CHARACTERS + 1)).truncated


def test_analyzer_ids_stay_with_their_texts(analyzer: Analyzer, phrases: tuple[str, ...]) -> None:
    texts = [phrases[0], "", phrases[1] * 9, "hello", phrases[2]]
    records = analyzer.analyze_block(texts, ["a", None, "17", "x", ""])
    assert [record.id for record in records] == ["a", None, "17", "x", ""]
    assert [record.status for record in records] == ["ok", "empty", "ok", "not_chinese", "ok"]
    assert analyzer.analyze(phrases[0], "ü").id == "ü"
    assert analyzer.analyze_block([]) == []


def test_analyzer_refuses_what_is_no_text(analyzer: Analyzer) -> None:
    with pytest.raises(TypeError, match=r"^expected texts of type str, found NoneType$"):
        analyzer.analyze_block(["好", None])  # type: ignore[list-item]
    with pytest.raises(ValueError, match=r"^expected one id a text, found 1 ids for 2 texts$"):
        analyzer.analyze_block(["好", "坏"], ["1"])


def test_analyzer_thresholds_decide_what_is_listed(
    tiny_checkpoint: Path, alone: list[Analysis], sample_texts: list[str]
) -> None:
    def listed(thresholds: float | dict[str, float]) -> list[set[str]]:
        records = Analyzer.load(tiny_checkpoint, thresholds=thresholds).analyze_block(sample_texts[:100])
        return [{mention.dimension for mention in record.dimensions} for record in records]

    default = [{mention.dimension for mention in record.dimensions} for record in alone[:100]]
    assert listed(0.6) == default
    low, high, one = listed(0.2), listed(0.9), listed({"price": 1e-9, "seating": 0.9999999})
    assert all(a <= b <= c for a, b, c in zip(high, default, low, strict=True))
    assert sum(map(len, high)) < sum(map(len, default)) < sum(map(len, low))
    assert all(keys == (base | {"price"}) - {"seating"} for keys, base in zip(one, default, strict=True))


def test_analyzer_dimensions_narrow_the_record_only(
    tiny_checkpoint: Path, alone: list[Analysis], sample_texts: list[str]
) -> None:
    narrow = Analyzer.load(tiny_checkpoint, dimensions=["seating", "price"])
    for record, full in zip(narrow.analyze_block(sample_texts[:50]), alone, strict=False):
        assert list(record.probabilities) == ["seating", "price"] or list(record.probabilities) == ["price", "seating"]
        expected = {m.dimension for m in full.dimensions} & {"seating", "price"}
        assert {m.dimension for m in record.dimensions} == expected
        assert (record.overall, record.intent, record.escalation) == (full.overall, full.intent, full.escalation)


def test_analyzer_takes_names_and_owners_of_another_taxonomy(
    tiny_checkpoint: Path, taxonomy: Taxonomy, alone: list[Analysis], sample_texts: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "ours.yaml"
    path.write_text(
        "dimensions:\n" + "".join(f"  - {{key: {key}, owner: {key}的主管}}\n" for key in reversed(taxonomy.keys)),
        "utf-8",
    )
    renamed = Analyzer.load(tiny_checkpoint, taxonomy=path)
    assert renamed.taxonomy.keys == taxonomy.keys
    for record, before in zip(renamed.analyze_block(sample_texts[:20]), alone, strict=False):
        assert [m.dimension for m in record.dimensions] == [m.dimension for m in before.dimensions]
        assert all(m.owner == f"{m.dimension}的主管" for m in record.dimensions)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"dimensions": ["seats"]}, TaxonomyError, "found 'seats'"),
        ({"thresholds": {"seats": 0.5}}, TaxonomyError, "found 'seats'"),
        ({"thresholds": {"seating": 1.5}}, ValueError, "expected the threshold of seating between 0 and 1, found 1.5"),
        ({"thresholds": 0.0}, ValueError, "expected the threshold between 0 and 1, found 0.0"),
        ({"thresholds": 1}, ValueError, "found 1"),
        ({"thresholds": float("nan")}, ValueError, "found nan"),
        ({"threads": 0}, ValueError, "expected threads of at least 1, found 0"),
        ({"batch_size": 0}, ValueError, "expected batch_size of at least 1, found 0"),
        ({"max_memory": -5}, ValueError, "expected max_memory of at least 1, found -5"),
        ({"taxonomy": taxonomy_from_dict({"dimensions": [{"key": "bread"}]})}, TaxonomyError, "unknown ['bread']"),
        ({"path": "/no/such/folder"}, CheckpointError, "/no/such/folder"),
    ],
)  # fmt: skip
def test_analyzer_bad_option_is_one_clear_line(
    tiny_checkpoint: Path, options: dict[str, object], error: type[Exception], said: str
) -> None:
    with pytest.raises(error) as caught:
        Analyzer.load(**{"path": tiny_checkpoint, **options})  # type: ignore[arg-type]
    assert said in str(caught.value) and str(caught.value).startswith("expected")
    assert "\n" not in str(caught.value)


def assert_same(records: Sequence[Analysis], before: Sequence[Analysis]) -> None:
    assert len(records) == len(before)
    for new, old in zip(records, before, strict=True):
        assert (new.overall, new.intent, new.escalation) == (old.overall, old.intent, old.escalation)
        assert (new.tokens, new.windows, new.status, new.uncertain) == (
            old.tokens,
            old.windows,
            old.status,
            old.uncertain,
        )
        for head in ("overall_confidence", "intent_confidence", "escalation_confidence"):
            assert abs(getattr(new, head) - getattr(old, head)) <= SHIFT
        mentions, others = ({m.dimension: m for m in record.dimensions} for record in (new, old))
        assert {key: m.sentiment for key, m in mentions.items()} == {key: m.sentiment for key, m in others.items()}
        assert all(abs(m.confidence - others[key].confidence) <= SHIFT for key, m in mentions.items())
        for key, shares in new.probabilities.items():
            assert np.abs(np.subtract(shares, old.probabilities[key])).max() <= SHIFT


def test_analyzer_record_does_not_depend_on_neighbours(
    analyzer: Analyzer, alone: list[Analysis], sample_texts: list[str]
) -> None:
    """Alone, in eights, in shuffled 64s, all together."""
    eights = [record for i in range(0, 1000, 8) for record in analyzer.analyze_block(sample_texts[i : i + 8])]
    assert_same(eights, alone)
    order = list(range(1000))
    random.Random(2).shuffle(order)
    shuffled = [
        r for i in range(0, 1000, 64) for r in analyzer.analyze_block([sample_texts[j] for j in order[i : i + 64]])
    ]
    assert_same(shuffled, [alone[j] for j in order])
    assert_same(list(analyzer.analyze_many(sample_texts)), alone)


def test_analyzer_record_does_not_depend_on_batch_size_or_memory(
    tiny_checkpoint: Path, alone: list[Analysis], sample_texts: list[str]
) -> None:
    small = Analyzer.load(tiny_checkpoint, batch_size=3, max_memory=1, threads=1)
    assert_same(small.analyze_block(sample_texts[:200]), alone[:200])


def test_analyzer_many_takes_no_more_than_a_block_ahead(
    analyzer: Analyzer, alone: list[Analysis], sample_texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sentiment.analyzer, "BLOCK", 16)
    taken = 0

    def endless() -> Iterator[str]:
        nonlocal taken
        for i in count():
            taken += 1
            yield sample_texts[i % 1000]

    stream = analyzer.analyze_many(endless())
    assert taken == 0
    next(stream)
    assert taken == 16
    assert_same(list(islice(stream, 15)), alone[1:16])
    assert taken == 16
    assert_same(list(islice(stream, 40)), alone[16:56])
    assert taken == 64


def test_analyzer_many_keeps_the_order_over_blocks(
    analyzer: Analyzer, alone: list[Analysis], sample_texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sentiment.analyzer, "BLOCK", 7)
    texts = [*sample_texts[:40], "", "hello", *sample_texts[40:60]]
    records = list(analyzer.analyze_many(iter(texts)))
    assert [record.status for record in records[40:42]] == ["empty", "not_chinese"]
    assert_same([*records[:40], *records[42:]], alone[:60])
    assert list(analyzer.analyze_many([])) == []


def test_analyzer_eight_threads_get_the_records_of_one(
    analyzer: Analyzer, alone: list[Analysis], sample_texts: list[str]
) -> None:
    blocks = [range(i, i + 25) for i in range(0, 400, 25)] * 2

    def score(block: range) -> list[Analysis]:
        return analyzer.analyze_block([sample_texts[i] for i in block], [str(i) for i in block])

    with ThreadPoolExecutor(8) as pool:
        for block, records in zip(blocks, pool.map(score, blocks), strict=True):
            assert [record.id for record in records] == [str(i) for i in block]
            assert_same(records, [alone[i] for i in block])


def test_analyzer_warm_up_runs_and_says_nothing(analyzer: Analyzer, monkeypatch: pytest.MonkeyPatch) -> None:
    run = analyzer._engine.run
    lengths: list[int] = []

    def spy(windows: Sequence[Sequence[int]]) -> list[Logits]:
        lengths.extend(map(len, windows))
        return run(windows)

    monkeypatch.setattr(analyzer._engine, "run", spy)
    assert analyzer.warm_up() is None
    assert min(lengths) < 10 and max(lengths) > analyzer._engine.window / 2 and len(lengths) > 2


@pytest.fixture(scope="module")
def embedded() -> Analyzer:
    return Analyzer.load()


def test_analyzer_embedded_finds_a_complaint_after_a_long_review(embedded: Analyzer) -> None:
    praise = (
        "这部电影非常好看，剧情紧凑，演员的表演自然真实，导演把握节奏的能力让人佩服。",
        "摄影很美，每一帧都像油画，配乐也恰到好处。",
        "故事讲的是一个普通家庭的团圆，笑中带泪，特别感人。",
        "主角的眼神里有戏，几场对手戏看得人屏住呼吸。",
        "结尾处理得干净利落，余味悠长，值得二刷。",
        "和前作相比，这一部在人物塑造上更加丰满。",
    )
    rng = random.Random(0)
    review = ""
    while len(review) < 3000:
        review += rng.choice(praise)
    complaint = "不过影院的座椅太硬了，坐得腰疼。"
    record = embedded.analyze(review + complaint)
    assert record.windows > 3 and record.status == "ok"
    (seating,) = [mention for mention in record.dimensions if mention.dimension == "seating"]
    assert seating.sentiment == "negative"
    assert seating.start >= len(review) and set(seating.evidence) & set("座椅太硬腰疼")
    assert "seating" not in {mention.dimension for mention in embedded.analyze(review).dimensions}


def test_analyzer_embedded_record_does_not_depend_on_neighbours(
    embedded: Analyzer, phrases: tuple[str, ...], sample_texts: list[str]
) -> None:
    texts = [*phrases, *sample_texts[:200]]
    single = [embedded.analyze(text) for text in texts]
    order = list(range(len(texts)))
    random.Random(4).shuffle(order)
    assert_same(embedded.analyze_block([texts[i] for i in order]), [single[i] for i in order])


def test_analyzer_sample_texts_differ_in_every_label(alone: list[Analysis]) -> None:
    """Or the tests above would prove little."""
    assert {record.overall for record in alone} == {"positive", "neutral", "negative"}
    assert {record.escalation for record in alone} == {True, False}
    assert len({record.intent for record in alone}) >= 3
    assert len({m.dimension for record in alone for m in record.dimensions}) >= 12
    assert {record.windows for record in alone} >= {1, 2}
    assert {record.uncertain for record in alone} == {True, False}
