"""Tasks and configuration for Label Studio, and what comes back: offsets in either unit, several people, mistakes."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentiment.tables.scored import ScoredText
from sentiment.taxonomy import Taxonomy
from training.example import DatasetError
from training.labelstudio import (
    Annotation,
    codepoint,
    is_task,
    labelling_config,
    read_annotations,
    task,
    task_text,
    utf16,
)
from training.names import ShownNames

TEXT = "👍👍座椅坏，\n票价好"
LABELS = {
    "labels": [
        {"dimension": "seating", "sentiment": "negative", "start": 2, "end": 5},
        {"dimension": "price", "sentiment": "positive", "evidence": "票价好"},
    ],
    "overall": "negative", "intent": "complaint", "escalation": True,
}  # fmt: skip
SCORED = ScoredText("in.csv", 3, "r3", TEXT, "ok", "m@1", LABELS, {"overall": 0.7, "seating": 0.6})


def exported(result: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {"id": 1, "data": {"text": TEXT}, "annotations": [{"id": 9, "completed_by": 2, "result": result, **more}]}


def read(row: dict[str, Any], taxonomy: Taxonomy) -> list[Annotation]:
    found = list(read_annotations(row, task_text(row), taxonomy))
    assert all(isinstance(one, Annotation) for one in found), found
    return found  # type: ignore[return-value]


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_labelstudio_config_has_every_label_once(lang: Any, taxonomy: Taxonomy) -> None:
    root = ET.fromstring(labelling_config(taxonomy, lang))
    labels = [label.get("value") for label in root.iter("Label")]
    assert labels == [d.zh if lang == "zh" else d.key for d in taxonomy.dimensions]
    values = {c.get("name"): [choice.get("value") for choice in c] for c in root.iter("Choices")}
    assert list(values) == ["sentiment", "overall", "intent", "escalation"]
    assert values["sentiment"] == (["正面", "中性", "负面"] if lang == "zh" else list(taxonomy.sentiments))
    assert len(values["intent"]) == 4 and len(values["escalation"]) == 2
    (text,) = root.iter("Text")
    assert text.get("value") == "$text" and all(c.get("toName") == "text" for c in root.iter("Choices"))
    per_region = [c.get("name") for c in root.iter("Choices") if c.get("perRegion")]
    assert per_region == ["sentiment"]


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("offsets", ["codepoints", "utf16"])
def test_labelstudio_task_comes_back_as_it_went(lang: Any, offsets: Any, taxonomy: Taxonomy) -> None:
    sent = task(SCORED, taxonomy, lang, offsets)
    (prediction,) = sent["predictions"]
    assert sent["data"] == {"text": TEXT, "id": "r3", "source": "in.csv", "row": 3} and is_task(sent)
    assert (prediction["model_version"], prediction["score"]) == ("m@1", 0.6)
    starts = [item["value"]["start"] for item in prediction["result"] if item["type"] == "labels"]
    assert starts == ([2, 7] if offsets == "codepoints" else [4, 9])
    shown = {label.get("value") for label in ET.fromstring(labelling_config(taxonomy, lang)).iter("Label")}
    assert {item["value"]["labels"][0] for item in prediction["result"] if item["type"] == "labels"} <= shown
    (back,) = read(exported(prediction["result"], ground_truth=True, updated_at="2026-01-02"), taxonomy)
    assert (back.by, back.at, back.settled, back.mixed) == ("2", "2026-01-02", True, ())
    assert back.labels["labels"] == [
        {"dimension": "seating", "sentiment": "negative", "start": 2, "end": 5},
        {"dimension": "price", "sentiment": "positive", "start": 7, "end": 10},
    ]
    assert {name: back.labels[name] for name in ("overall", "intent", "escalation")} == {
        "overall": "negative", "intent": "complaint", "escalation": True,
    }  # fmt: skip


def test_labelstudio_span_over_a_line_end_and_without_words(taxonomy: Taxonomy) -> None:
    def result(**value: Any) -> list[dict[str, Any]]:
        sentiment = {"id": "a", "from_name": "sentiment", "type": "choices", "value": {"choices": ["negative"]}}
        labels = {"id": "a", "from_name": "mentions", "type": "labels", "value": {"labels": ["seating"], **value}}
        return [labels, sentiment]

    for value in (
        {"start": 2, "end": 10, "text": r"座椅坏，\n票价好"},
        {"start": 4, "end": 12, "text": r"座椅坏，\n票价好"},
        {"start": 2, "end": 10},
    ):
        (found,) = read(exported(result(**value)), taxonomy)
        assert (found.labels["labels"][0]["start"], found.labels["labels"][0]["end"]) == (2, 10)
    for value in ({"start": 1, "end": 3, "text": "座椅坏"}, {"start": 8, "end": 99}, {"start": "/p", "end": "/p"}):
        (error,) = read_annotations(exported(result(**value)), TEXT, taxonomy)
        assert isinstance(error, DatasetError) and "annotation 9: expected" in str(error)


def test_labelstudio_names_what_an_annotator_forgot(taxonomy: Taxonomy) -> None:
    span = {
        "id": "a",
        "from_name": "mentions",
        "type": "labels",
        "value": {"labels": ["seating"], "start": 2, "end": 5},
    }
    (error,) = read_annotations(exported([span]), TEXT, taxonomy)
    assert "expected a sentiment for the span of seating, found none" in str(error)
    span = {
        "id": "a",
        "from_name": "mentions",
        "type": "labels",
        "value": {"labels": ["popcorn"], "start": 2, "end": 5},
    }
    (error,) = read_annotations(exported([span]), TEXT, taxonomy)
    assert "found 'popcorn'" in str(error)


def test_labelstudio_skipped_and_empty_annotations_say_nothing(taxonomy: Taxonomy) -> None:
    overall = {"id": "o", "from_name": "overall", "type": "choices", "value": {"choices": ["neutral"]}}
    row = exported([overall], was_cancelled=True)
    row["annotations"] += [{"id": 10, "completed_by": {"id": 3, "email": "a@example.org"}, "result": [overall]}]
    row["annotations"] += [{"id": 11, "completed_by": 4, "result": []}]
    (found,) = read(row, taxonomy)
    assert found.by == "a@example.org" and found.labels == {"overall": "neutral", "labels": []}


def test_labelstudio_good_and_bad_of_one_dimension_are_neutral(taxonomy: Taxonomy) -> None:
    result = []
    for number, (place, sentiment) in enumerate((((2, 5), "负面"), ((7, 10), "正面"))):
        value = {"labels": ["座椅视野"], "start": place[0], "end": place[1]}
        result.append({"id": number, "from_name": "mentions", "type": "labels", "value": value})
        choice = {"choices": [sentiment]}
        result.append({"id": number, "from_name": "sentiment", "type": "choices", "value": choice})
    (found,) = read(exported(result), taxonomy)
    assert found.mixed == ("seating",)
    assert found.labels["labels"] == [{"dimension": "seating", "sentiment": "neutral", "start": 2, "end": 5}]


def test_labelstudio_text_elsewhere(taxonomy: Taxonomy) -> None:
    row = {"data": {"review": TEXT}, "annotations": []}
    assert task_text(row, "review") == TEXT
    with pytest.raises(DatasetError, match=r"expected the text as data.text, found review; name it with --text-col"):
        task_text(row)
    assert not is_task({"data": "2026-01-01", "annotations": []}) and not is_task({"data": {}, "text": "a"})


@given(st.text(alphabet="座😀a\n👍🏽", max_size=20), st.integers(0, 20))
def test_labelstudio_units_are_inverse(text: str, at: int) -> None:
    at = min(at, len(text))
    assert codepoint(text, utf16(text, at)) == at
    assert codepoint(text, utf16(text, len(text)) + 1) is None
    assert codepoint("👍", 1) is None


def test_names_shared_by_two_dimensions_are_shown_as_keys() -> None:
    from sentiment.taxonomy import taxonomy_from_dict

    space = taxonomy_from_dict(
        {"dimensions": [{"key": "a", "zh": "同"}, {"key": "b", "zh": "同"}, {"key": "c", "zh": "别"}]}
    )
    names = ShownNames(space, "zh")
    assert [names.dimension(key) for key in space.keys] == ["a", "b", "别"]
    assert names.dimension_key("别") == "c" and names.dimension_key("a") == "a"
    with pytest.raises(DatasetError):
        names.dimension_key("同")


def test_labelstudio_escalation_of_another_wording_is_no_denial(taxonomy: Taxonomy) -> None:
    choice = {"id": "x", "from_name": "escalation", "type": "choices", "value": {"choices": ["urgent"]}}
    (one,) = read_annotations({"annotations": [{"id": 1, "result": [choice]}]}, "座椅坏", taxonomy)
    assert isinstance(one, Annotation) and one.labels["escalation"] == "urgent"  # which no record may say
