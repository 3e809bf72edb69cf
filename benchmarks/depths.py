"""Engines of other depths with random weights: what layers cost, apart from what they are worth.

Weights do not change how long a product takes. What a record takes depends on what is found in the text, which random
weights would make up; so only the engine is timed, from token windows to logits. What each depth is worth is measured
by `benchmarks.ablation`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerFast

from sentiment.analyzer import BLOCK
from sentiment.checkpoint import Checkpoint, load_checkpoint
from sentiment.engine import Engine
from training.export import write_float
from training.int8 import windows_of
from training.model import CinesentConfig, CinesentModel

DEPTHS = (12, 8, 6, 4)  # that of the base, and those tried


def depths_beside(checkpoint: Checkpoint) -> list[int]:
    """The depths to measure, the checkpoint's own among them, the greatest first."""
    return sorted({*DEPTHS, own_depth(checkpoint)}, reverse=True)


def own_depth(checkpoint: Checkpoint) -> int:
    """Layers of the checkpoint's encoder."""
    return int(checkpoint.config["encoder"]["num_hidden_layers"])


def random_engine(checkpoint: Checkpoint, layers: int, threads: int, folder: Path) -> Engine:
    """An engine over an encoder of the checkpoint's width and so many layers; `folder` gets its files."""
    torch.manual_seed(layers)
    encoder = {**checkpoint.config["encoder"], "num_hidden_layers": layers}
    space, most = checkpoint.taxonomy.to_dict(), checkpoint.max_tokens
    model = CinesentModel(CinesentConfig(encoder=encoder, taxonomy=space, max_tokens=most))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(checkpoint.folder / "tokenizer.json"), **checkpoint.config["special_tokens"]
    )
    model.train(False)
    write_float(model, tokenizer, folder)
    return Engine(load_checkpoint(folder), threads=threads)


def inference_seconds(engine: Engine, together: Sequence[Sequence[Sequence[int]]]) -> float:
    """Seconds of all windows, block by block."""
    started = time.perf_counter()
    for windows in together:
        engine.run(windows)
    return time.perf_counter() - started


def blocks(items: Sequence[Any], size: int) -> Iterator[list[Any]]:
    """The items, so many at a time."""
    iterator = iter(items)
    while block := list(islice(iterator, size)):
        yield block


def window_blocks(engine: Engine, texts: Sequence[str]) -> list[list[list[int]]]:
    """The windows that the engine gets together, block by block."""
    return [[window for windows in windows_of(engine, block) for window in windows] for block in blocks(texts, BLOCK)]
