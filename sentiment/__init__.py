"""Scores Chinese cinema reviews and complaints: 18 service dimensions with sentiment and evidence, offline on a CPU."""

from typing import TYPE_CHECKING, Any

from sentiment.records import Analysis, Mention
from sentiment.taxonomy import Dimension, Taxonomy, TaxonomyError, load_taxonomy

if TYPE_CHECKING:
    from sentiment.analyzer import Analyzer
    from sentiment.checkpoint import CheckpointError

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
