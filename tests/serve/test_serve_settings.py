from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from serve.settings import Settings, SettingsError


def test_settings_have_the_defaults_of_the_contract() -> None:
    settings = Settings()
    assert (settings.max_body, settings.max_batch_items, settings.max_characters) == (1024 * 1024, 256, 20_000)
    assert settings.deadline == 10.0
    assert settings.host == "127.0.0.1"


def test_settings_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    "values",
    [
        {"queue_size": 10},
        {"deadline": 0.0},
        {"max_body": -1},
        {"max_batch_items": 20_000, "queue_size": 30_000},
        {"deadline": float("nan")},
    ],
)
def test_settings_refuse_what_cannot_work(values: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=r"expected .*found"):
        Settings(**values)
