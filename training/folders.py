"""Folders that hold a model: a run of `cinesent train`, or a packaged checkpoint."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from transformers import AutoTokenizer, PreTrainedTokenizerFast

from sentiment.checkpoint import load_checkpoint
from sentiment.engine import Engine
from sentiment.taxonomy import Taxonomy
from training.bases import BaseError
from training.example import Example
from training.export import write_float
from training.model import CinesentConfig, CinesentModel
from training.scores import Scores, score_examples


def require_run(folder: Path) -> None:
    """Raises BaseError unless the folder is that of a run."""
    if not (folder / "model.safetensors").is_file():
        if seeds := sorted(path.name for path in folder.glob("seed-*")):
            raise BaseError(
                f"expected a run folder with model.safetensors, found several in {folder}; name one or all of them: "
                f"{', '.join(seeds)}"
            )
        raise BaseError(
            f"expected a run folder with model.safetensors, found none in {folder}; write one with `cinesent train`"
        )


def load_run(folder: Path) -> tuple[CinesentModel, PreTrainedTokenizerFast]:
    """The model and tokeniser of a run folder.

    Raises:
        BaseError: it is none.
    """
    require_run(folder)
    tokenizer = cast(PreTrainedTokenizerFast, AutoTokenizer.from_pretrained(folder))
    return CinesentModel.from_pretrained(folder), tokenizer


def label_space(folder: Path) -> Taxonomy:
    """The label space of a packaged checkpoint or of a run folder.

    Raises:
        BaseError, CheckpointError: neither of the two is there.
    """
    if (folder / "model.onnx").is_file():
        return load_checkpoint(folder).taxonomy
    require_run(folder)
    return CinesentConfig.from_pretrained(folder).label_space()


def score_folder(folder: Path, examples: Sequence[Example], threads: int | None = None) -> Scores:
    """The answers of a packaged checkpoint, or of a run folder's float32 model, to the examples' texts.

    Raises:
        BaseError, CheckpointError: neither of the two is there.
    """
    if (folder / "model.onnx").is_file():
        checkpoint = load_checkpoint(folder)
        return score_examples(checkpoint, Engine(checkpoint, threads=threads), examples)
    model, tokenizer = load_run(folder)
    with tempfile.TemporaryDirectory() as scratch:
        write_float(model, tokenizer, Path(scratch))
        checkpoint = load_checkpoint(Path(scratch))
        return score_examples(checkpoint, Engine(checkpoint, threads=threads), examples)
