"""What users of such tools complain of, as far as no clock is needed; benchmarks/batching.py has the rest.

Cost is counted in what the model is given: batches, and tokens with their padding.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import sentiment.engine
from sentiment.analyzer import Analyzer
from sentiment.engine import TOKEN_BUDGET
from sentiment.int8 import exact_products

LONG = "座椅太硬，坐得腰疼。音响震撼，画面清晰！" * 1000  # 20,000 characters, as many as are read
Shapes = list[tuple[int, int]]


@pytest.fixture(params=["onnxruntime", "onnxruntime-int8"], autouse=True)
def _runtime(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `Analyzer.load` chooses."""
    name = str(request.param)
    if name == "onnxruntime-int8" and not exact_products():
        pytest.skip("the processor does not add products of int8 exactly")
    monkeypatch.setenv("CINESENT_RUNTIME", name)


@pytest.fixture
def shapes(monkeypatch: pytest.MonkeyPatch) -> Shapes:
    """(rows, tokens of each) of every batch from now on."""
    seen: Shapes = []
    real = sentiment.engine.open_runtime

    def opened(*arguments: Any) -> Any:
        session = real(*arguments)

        def run(outputs: Sequence[str], feed: Any) -> Any:
            seen.append(feed["input_ids"].shape)
            return session.run(outputs, feed)

        return SimpleNamespace(run=run)

    monkeypatch.setattr(sentiment.engine, "open_runtime", opened)
    return seen


def test_complaints_cost_does_not_grow_with_the_dimensions_asked(
    int8_checkpoint: Path, sample_texts: list[str], shapes: Shapes
) -> None:
    found = []
    for dimensions in (("seating",), ("seating", "price", "staff"), None):
        shapes.clear()
        records = Analyzer.load(int8_checkpoint, threads=1, dimensions=dimensions).analyze_block(sample_texts[:200])
        found.append(list(shapes))
        assert len(records[0].probabilities) == (18 if dimensions is None else len(dimensions))
    assert found[0] == found[1] == found[2]


def test_complaints_batch_size_has_an_effect_and_the_default_fills_batches(
    int8_checkpoint: Path, sample_texts: list[str], shapes: Shapes
) -> None:
    batches: dict[int | None, int] = {}
    for size in (1, 8, None):
        shapes.clear()
        Analyzer.load(int8_checkpoint, threads=1, batch_size=size).analyze_block(sample_texts[:400])
        batches[size] = len(shapes)
        assert max(count for count, _ in shapes) <= (size or TOKEN_BUDGET)
        if size is not None:
            assert batches[size] == -(-sum(count for count, _ in shapes) // size)
    assert batches[1] > batches[8] > 4 * (batches[None] or 1)


def test_complaints_a_batch_is_never_more_work_than_one_by_one(
    int8_checkpoint: Path, sample_texts: list[str], shapes: Shapes
) -> None:
    analyzer = Analyzer.load(int8_checkpoint, threads=1)
    texts = sample_texts[:600]
    for text in texts:
        analyzer.analyze(text)
    calls, tokens = len(shapes), sum(count * longest for count, longest in shapes)
    shapes.clear()
    analyzer.analyze_block(texts)
    assert len(shapes) * 20 < calls
    assert sum(count * longest for count, longest in shapes) < 1.25 * tokens  # of which padding is the rest


def test_complaints_one_very_long_text_does_not_hold_up_the_rest(
    int8_checkpoint: Path, sample_texts: list[str], shapes: Shapes
) -> None:
    analyzer = Analyzer.load(int8_checkpoint, threads=1)
    texts = sample_texts[:200]
    before = analyzer.analyze_block(texts)
    alone = sum(count * longest for count, longest in shapes)
    shapes.clear()
    analyzer.analyze(LONG)
    own = sum(count * longest for count, longest in shapes)
    shapes.clear()
    after = analyzer.analyze_block([*texts[:100], LONG, *texts[100:]])
    together = sum(count * longest for count, longest in shapes)
    assert own > alone  # a text that could hold up the others
    assert together <= 1.05 * (alone + own)
    assert all(count * longest <= TOKEN_BUDGET or count == 1 for count, longest in shapes)
    del after[100]
    for one, other in zip(before, after, strict=True):
        assert [m.dimension for m in one.dimensions] == [m.dimension for m in other.dimensions]
        assert one.overall_confidence == pytest.approx(other.overall_confidence, abs=0.002)


def test_complaints_an_endless_text_costs_no_more_than_what_is_read_of_it(
    int8_checkpoint: Path, shapes: Shapes
) -> None:
    analyzer = Analyzer.load(int8_checkpoint, threads=1)
    analyzer.analyze(LONG)
    read = list(shapes)
    shapes.clear()
    assert analyzer.analyze(LONG * 50).truncated
    assert shapes == read


MEMORY = """
import json, os, random, sys
from sentiment.analyzer import Analyzer

def resident():
    with open("/proc/self/status") as status:
        return int(next(line.split()[1] for line in status if line.startswith("VmRSS")))

analyzer = Analyzer.load(sys.argv[1], threads=1)
rng, phrases = random.Random(1), json.loads(sys.argv[2])

def texts():  # others each time: what grows with every shape that is new would not show otherwise
    for n in range(1500):
        yield "，".join(rng.choices(phrases, k=rng.choice((1, 1, 1, 2, 3, 8, 40)))) + str(n)

def read(rounds):
    for _ in range(rounds):
        for _ in analyzer.analyze_many(texts()):
            pass

read(10)  # until most shapes have come and the tokeniser's cache is full
warm = resident()
read(30)
print(json.dumps({"warm": warm, "after": resident()}))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="reads the resident memory in /proc")
def test_complaints_memory_does_not_grow_over_texts_of_mixed_length(
    int8_checkpoint: Path, phrases: tuple[str, ...]
) -> None:
    command = [sys.executable, "-c", MEMORY, str(int8_checkpoint), json.dumps(phrases)]
    folder = Path(__file__).parent.parent
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder, timeout=300)
    found: dict[str, int] = json.loads(done.stdout)
    assert found["after"] < 1.03 * found["warm"], found
