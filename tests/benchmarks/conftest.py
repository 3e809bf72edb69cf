"""A random BERT of one layer, in both its forms: making it takes long."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.rivals import Size, write_bert

TINY = Size(layers=1, hidden=16, heads=2, inner=32)


@pytest.fixture(autouse=True)
def _tokenising_on_all_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Libraries set it for the whole process, and benchmarks refuse to start with it."""
    monkeypatch.delenv("TOKENIZERS_PARALLELISM", raising=False)


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("speed") / "bert"
    write_bert(folder, TINY)
    return folder
