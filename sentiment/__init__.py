"""Scores Chinese cinema reviews and complaints."""

from sentiment.records import Analysis, Mention
from sentiment.taxonomy import Dimension, Taxonomy, TaxonomyError, load_taxonomy

__version__ = "0.1.0"

__all__ = ["Analysis", "Dimension", "Mention", "Taxonomy", "TaxonomyError", "load_taxonomy"]
