from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from serve import settings as module
from serve.settings import Settings, SettingsError


def test_settings_have_the_defaults_of_the_contract() -> None:
    settings = Settings()
    assert (settings.max_body, settings.max_batch_items, settings.max_characters) == (1024 * 1024, 256, 20_000)
    assert (settings.deadline, settings.drain) == (10.0, 0.0)
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
        {"deadline": float("inf")},
        {"body_timeout": 0.0},
        {"body_timeout": float("inf")},
        {"drain": -1.0},
        {"drain": float("nan")},
        {"drain": float("inf")},
        {"retention": 1_000_000},
        {"file_retention": 1_000_000},
    ],
)
def test_settings_refuse_what_cannot_work(values: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=r"expected .*found"):
        Settings(**values)


@pytest.mark.parametrize(
    ("values", "threads"),
    [
        ({}, None),
        ({"workers": 2}, 4),
        ({"workers": 3}, 2),
        ({"workers": 16}, 1),
        ({"workers": 2, "threads": 8}, 8),
        ({"threads": 3}, 3),
    ],
)
def test_settings_divide_the_cores_among_the_workers(
    values: dict[str, Any], threads: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "usable_cpus", lambda: 8)
    assert Settings(**values).worker_threads == threads


def test_settings_leave_all_cores_to_a_worker_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "usable_cpus", lambda: 3)
    assert Settings(workers=2).worker_threads == 1
    assert Settings(workers=1).worker_threads is None, "the engine takes them all"
