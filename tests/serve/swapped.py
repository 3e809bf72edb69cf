"""What services in processes of their own load: fakes that files in a folder tell what to do."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from conftest import FakeAnalyzer
from held import wait_while_held

from sentiment.records import Analysis


class HeldAnalyzer(FakeAnalyzer):
    """Notes how many texts it begins with, and scores none of them while it is held."""

    def __init__(self, folder: Path, seconds: float = 0.0) -> None:
        super().__init__(seconds)
        self._folder = folder

    def analyze_block(self, texts: Sequence[str], ids: Sequence[str | None] | None = None) -> list[Analysis]:
        wait_while_held(self._folder, len(texts))
        return super().analyze_block(texts, ids)


class NamedAnalyzer(HeldAnalyzer):
    """Named by its content; blocks take a fiftieth of a second."""

    def __init__(self, folder: Path, name: str) -> None:
        super().__init__(folder, seconds=0.02)
        self.name, self.hash = name, hashlib.sha256(name.encode()).hexdigest()


def load(settings: Any) -> NamedAnalyzer:
    """`--model` is a folder with the file `name`; fails if that is empty."""
    name = (settings.model / "name").read_text("utf-8")
    if not name:
        raise ValueError("expected a name, found none")
    return NamedAnalyzer(settings.model, name)
