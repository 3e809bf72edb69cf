from __future__ import annotations

import hashlib
import json
import random
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

import sentiment.engine
from sentiment.checkpoint import CheckpointError, load_checkpoint
from sentiment.engine import BYTES_PER_TOKEN, OUTPUTS, PADDING, TOKEN_BUDGET, Engine, Logits

MAX_TOKENS = 64  # of the tiny checkpoints


class Session:
    """Stands before the session and keeps what it is fed."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.fed: list[tuple[Any, Any]] = []

    def run(self, outputs: Any, feeds: dict[str, Any]) -> Any:
        self.fed.append((feeds["input_ids"], feeds["attention_mask"]))
        return self._session.run(outputs, feeds)


Open = Callable[..., tuple[Engine, Session]]


@pytest.fixture
def open_engine(tiny_checkpoint: Path) -> Open:
    def start(folder: Path = tiny_checkpoint, **options: int) -> tuple[Engine, Session]:
        engine = Engine(load_checkpoint(folder), threads=1, **options)
        session = Session(engine._session)
        engine._session = session
        return engine, session

    return start


@pytest.fixture(scope="module")
def windows() -> list[list[int]]:
    """Windows of all lengths from 1 to full, in no order."""
    rng = random.Random(5)
    sizes = [*range(1, MAX_TOKENS - 1), *(rng.randint(1, 20) for _ in range(200))]
    rng.shuffle(sizes)
    return [[rng.randrange(5, 400) for _ in range(size)] for size in sizes]


def assert_close(first: Logits, second: Logits) -> None:
    for name in OUTPUTS:
        assert getattr(first, name).shape == getattr(second, name).shape
        np.testing.assert_allclose(getattr(first, name), getattr(second, name), atol=2e-4)


def test_engine_order_is_restored(open_engine: Open, windows: list[list[int]]) -> None:
    engine, session = open_engine()
    together = engine.run(windows)
    assert len(session.fed) < len(windows) / 5
    for window, answer in zip(windows, together, strict=True):
        assert answer.evidence.shape[0] == len(window)
        (alone,) = engine.run([window])
        assert_close(answer, alone)
    assert engine.run([]) == []


def test_engine_answers_differ_between_windows(open_engine: Open, windows: list[list[int]]) -> None:
    """Or the test above could not find a wrong order."""
    engine, _ = open_engine()
    answers = engine.run(windows)
    assert np.ptp([answer.mention for answer in answers], axis=0).min() > 0.1


@pytest.mark.parametrize(
    ("options", "budget"), [({}, TOKEN_BUDGET), ({"max_memory": 20}, 312), ({"max_memory": 1}, 64)]
)
def test_engine_batches_stay_within_the_token_budget(
    open_engine: Open, windows: list[list[int]], options: dict[str, int], budget: int
) -> None:
    assert 20_000_000 // BYTES_PER_TOKEN == 312 and 1_000_000 // BYTES_PER_TOKEN < MAX_TOKENS
    engine, session = open_engine(**options)
    engine.run(windows)
    sizes = [ids.size for ids, _ in session.fed]
    assert max(sizes) <= budget
    assert sum(len(ids) for ids, _ in session.fed) == len(windows)
    assert max(int(mask.size - mask.sum()) for _, mask in session.fed) <= PADDING
    # One more text of the next batch's shortest would not have fitted, or have brought more padding than a batch may
    # carry: no batch is smaller than it must be.
    ends = []
    for (_, mask), (_, following) in pairwise(session.fed):
        shortest, rows = int(following.sum(1).min()), len(mask)
        ends.append(((rows + 1) * shortest > budget, rows * shortest - int(mask.sum()) > PADDING))
    assert all(map(any, ends)) and (budget < TOKEN_BUDGET or any(padded for _, padded in ends))


@pytest.mark.parametrize("batch_size", [1, 7])
def test_engine_batches_stay_within_the_batch_size(
    open_engine: Open, windows: list[list[int]], batch_size: int
) -> None:
    engine, session = open_engine(batch_size=batch_size)
    engine.run(windows)
    assert max(len(ids) for ids, _ in session.fed) == batch_size
    assert all(ids.size <= TOKEN_BUDGET for ids, _ in session.fed)


def test_engine_sorts_by_length_so_that_little_is_padding(open_engine: Open, windows: list[list[int]]) -> None:
    engine, session = open_engine()
    engine.run(windows)
    real = sum(int(mask.sum()) for _, mask in session.fed)
    padded = sum(mask.size for _, mask in session.fed)
    assert real > 0.9 * padded  # in the order given it would be a quarter


def test_engine_frames_with_the_tokenisers_own_special_tokens(open_engine: Open, own_checkpoint: Path) -> None:
    for folder, (before, after, pad), text in (
        (None, ("<s>", "</s>", "<pad>"), "座椅太硬"),
        (own_checkpoint, ("[CLS]", "[SEP]", "[PAD]"), "面包发酸"),
    ):
        engine, session = open_engine() if folder is None else open_engine(folder)
        ids = engine.tokenizer.encode(text, add_special_tokens=False).ids
        first, last, padding = map(engine.tokenizer.token_to_id, (before, after, pad))
        engine.run([ids, [*ids, ids[0]]])
        ((rows, mask),) = session.fed
        assert rows.tolist() == [[first, *ids, last, padding], [first, *ids, ids[0], last]]
        assert mask.tolist() == [[1] * (len(ids) + 2) + [0], [1] * (len(ids) + 3)]
        assert rows[0, :-1].tolist() == engine.tokenizer.encode(text).ids
        assert engine.window == MAX_TOKENS - 2


def test_engine_reads_a_window_of_the_full_size(open_engine: Open) -> None:
    engine, session = open_engine()
    full, (short,) = engine.run([[7] * engine.window])[0], engine.run([[7]])
    assert session.fed[0][0].shape == (1, MAX_TOKENS)
    assert full.evidence.shape == (engine.window, 18) and short.evidence.shape == (1, 18)


def test_engine_evidence_is_the_log_attention_of_the_texts_own_tokens(open_engine: Open) -> None:
    engine, session = open_engine()
    (answer,) = engine.run([[7, 8, 9]])
    ids, mask = session.fed[0]
    raw = session._session.run(["evidence"], {"input_ids": ids, "attention_mask": mask})[0]
    assert raw.shape == (1, 5, 18)
    np.testing.assert_allclose(np.exp(raw).sum(1), 1, atol=1e-4)
    np.testing.assert_array_equal(answer.evidence, raw[0, 1:4])


def repack(folder: Path, target: Path, name: str, content: bytes) -> Path:
    """A copy of a checkpoint in which one file was replaced, and its hash with it."""
    shutil.copytree(folder, target)
    (target / name).write_bytes(content)
    config = json.loads((target / "config.json").read_text("utf-8"))
    config["sha256"][name] = hashlib.sha256(content).hexdigest()
    (target / "config.json").write_text(json.dumps(config), "utf-8")
    return target


def test_engine_graph_that_is_none_is_one_clear_line(tiny_checkpoint: Path, tmp_path: Path) -> None:
    folder = repack(tiny_checkpoint, tmp_path / "copy", "model.onnx", b"not a graph")
    with pytest.raises(CheckpointError, match=r"expected a model\.onnx that ONNX Runtime opens") as caught:
        Engine(load_checkpoint(folder))
    assert "\n" not in str(caught.value)


def test_engine_ignores_truncation_and_padding_that_a_tokeniser_brings(tiny_checkpoint: Path, tmp_path: Path) -> None:
    tokenizer = Tokenizer.from_file(str(tiny_checkpoint / "tokenizer.json"))
    tokenizer.enable_truncation(6)
    tokenizer.enable_padding(length=50)
    folder = repack(tiny_checkpoint, tmp_path / "copy", "tokenizer.json", tokenizer.to_str().encode())
    engine = Engine(load_checkpoint(folder), threads=1)
    assert engine.window == MAX_TOKENS - 2
    short, long = (encoding.ids for encoding in engine.tokenizer.encode_batch(["座椅", "座椅太硬，坐得腰疼。" * 9]))
    assert len(short) < 6 < 30 < len(long) and len(long) != 50


def test_engine_max_memory_never_raises_the_budget(tiny_checkpoint: Path) -> None:
    checkpoint = load_checkpoint(tiny_checkpoint)
    assert Engine(checkpoint, max_memory=100_000)._budget == sentiment.engine.TOKEN_BUDGET
