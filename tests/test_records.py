from __future__ import annotations

import dataclasses
import json
from typing import get_args

import pytest

from sentiment.records import PROBABILITY_ORDER, SCHEMA, Analysis, Mention, Sentiment, Status

MENTION = Mention("seating", "negative", 0.93, "坐得腰疼", 12, 16, "工程")
FULL = Analysis(
    "cinesent-zh@1a2b3c4d", "17", "ok", "hans", "negative", 0.97, "complaint", 0.91, True, 0.84, (MENTION,), False, 41,
    1, False, {"seating": (0.93, 0.02, 0.01), "film": (0.0, 0.0, 0.01)},
)  # fmt: skip
# The example of the record's contract, word for word.
CONTRACT = """{
  "schema": 1, "model": "cinesent-zh@1a2b3c4d", "id": "17",
  "overall":    {"sentiment": "negative", "confidence": 0.97},
  "intent":     {"label": "complaint", "confidence": 0.91},
  "escalation": {"label": true, "confidence": 0.84},
  "dimensions": [
    {"dimension": "seating", "sentiment": "negative", "confidence": 0.93,
     "evidence": "坐得腰疼", "start": 12, "end": 16, "owner": "工程"}
  ],
  "uncertain": false,
  "script": "hans",
  "tokens": 41, "windows": 1, "truncated": false,
  "status": "ok"
}"""


def test_records_dict_is_the_contracts_example_in_its_order() -> None:
    expected = json.loads(CONTRACT)
    assert FULL.to_dict() == expected
    assert json.dumps(FULL.to_dict()) == json.dumps(expected)  # the order of all keys, too


def test_records_probabilities_come_last_and_on_demand() -> None:
    record = FULL.to_dict(probabilities=True)
    assert list(record)[-1] == "probabilities" and "probabilities" not in FULL.to_dict()
    assert record["probabilities"] == {"seating": [0.93, 0.02, 0.01], "film": [0.0, 0.0, 0.01]}
    assert {key: value for key, value in record.items() if key != "probabilities"} == FULL.to_dict()
    assert PROBABILITY_ORDER == ("negative", "neutral", "positive") and set(PROBABILITY_ORDER) == set(
        get_args(Sentiment)
    )


@pytest.mark.parametrize("status", get_args(Status))
def test_records_of_unread_text_hold_nulls(status: Status) -> None:
    record = Analysis("m@0", None, status, "other", truncated=True).to_dict(probabilities=True)
    assert record["overall"] is record["intent"] is record["escalation"] is record["id"] is None
    assert record["dimensions"] == [] and record["probabilities"] == {}
    assert record["truncated"] is True and record["tokens"] == record["windows"] == 0 and record["status"] == status


def test_records_tell_false_from_unknown() -> None:
    record = Analysis("m@0", None, "ok", "hans", escalation=False, escalation_confidence=0.9).to_dict()
    assert record["escalation"] == {"label": False, "confidence": 0.9}


def test_records_are_immutable_and_compare_by_value() -> None:
    assert dataclasses.replace(FULL) == FULL and SCHEMA == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        FULL.status = "empty"  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        MENTION.start = 0  # type: ignore[misc]
