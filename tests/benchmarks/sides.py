"""A long text, the windows of texts, and how far the answers of two engines are apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sentiment.engine import OUTPUTS, Engine
from training.int8 import windows_of

LONG = "座椅太硬，坐得腰疼。音响震撼，画面清晰！" * 12


def windows(engine: Engine, texts: Sequence[str]) -> list[list[int]]:
    return [window for found in windows_of(engine, texts) for window in found]


def largest(first: Engine, second: Engine, texts: Sequence[str]) -> float:
    pairs = zip(first.run(windows(first, texts)), second.run(windows(first, texts)), strict=True)
    return max(float(np.abs(getattr(a, name) - getattr(b, name)).max()) for a, b in pairs for name in OUTPUTS)
