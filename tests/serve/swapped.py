"""What the workers of `test_serve_run` load: a fake whose name is what a file says."""

from __future__ import annotations

import hashlib
from typing import Any

from conftest import FakeAnalyzer


class NamedAnalyzer(FakeAnalyzer):
    """Named by its content; blocks take a fiftieth of a second."""

    def __init__(self, name: str) -> None:
        super().__init__(seconds=0.02)
        self.name, self.hash = name, hashlib.sha256(name.encode()).hexdigest()


def load(settings: Any) -> NamedAnalyzer:
    """`--model` is a folder with the file `name`; fails if that is empty."""
    name = (settings.model / "name").read_text("utf-8")
    if not name:
        raise ValueError("expected a name, found none")
    return NamedAnalyzer(name)
