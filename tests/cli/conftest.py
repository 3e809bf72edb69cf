from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from score_runs import FAKE, ROWS


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    module = types.ModuleType("sentiment.analyzer")
    exec(FAKE, module.__dict__)
    monkeypatch.setitem(sys.modules, "sentiment.analyzer", module)
    yield module.Analyzer


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    path = tmp_path / "reviews.csv"
    path.write_text(ROWS, "utf-8")
    return path
