"""Scores Chinese cinema reviews and complaints: 18 service dimensions with sentiment and evidence, offline on a CPU."""

import os
from typing import TYPE_CHECKING, Any

from sentiment.records import Analysis, Mention
from sentiment.taxonomy import Dimension, Taxonomy, TaxonomyError, load_taxonomy

if TYPE_CHECKING:
    from sentiment.analyzer import Analyzer
    from sentiment.checkpoint import CheckpointError

# Read once, when ONNX Runtime is imported: from 1.29 on it sends what machine and model it runs on to its makers.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

__version__ = "0.1.0"

__all__ = [
    "Analysis",
    "Analyzer",
    "CheckpointError",
    "Dimension",
    "Mention",
    "Taxonomy",
    "TaxonomyError",
    "load_taxonomy",
]


def __getattr__(name: str) -> Any:
    # ONNX Runtime takes most of a second to load; `import sentiment` must not.
    if name == "Analyzer":
        from sentiment.analyzer import Analyzer

        return Analyzer
    if name == "CheckpointError":
        from sentiment.checkpoint import CheckpointError

        return CheckpointError
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
