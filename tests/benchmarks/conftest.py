"""A random BERT of one layer, in both its forms: making it takes long; the packaged way on a random checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.rivals import Size, write_bert
from sentiment.checkpoint import Checkpoint, load_checkpoint
from sentiment.engine import Engine
from tests.benchmarks.sides import LONG

MIXED = ("好", LONG, "", "Great seats!", "排队检票等了二十分钟")
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


@pytest.fixture(scope="module")
def checkpoint(tiny_checkpoint: Path) -> Checkpoint:
    return load_checkpoint(tiny_checkpoint)


@pytest.fixture(scope="module")
def engine(checkpoint: Checkpoint) -> Engine:
    return Engine(checkpoint, threads=1)


@pytest.fixture(scope="module")
def texts(sample_texts: list[str]) -> list[str]:
    return [*sample_texts[:40], *MIXED]
