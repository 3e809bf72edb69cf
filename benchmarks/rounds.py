"""Interleaved rounds: every task once a round, each round beginning elsewhere in the order; medians over rounds."""

from __future__ import annotations

import contextlib
import random
import statistics
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Generic, TypeVar

from benchmarks.journal import BESIDE, Journal
from benchmarks.machine import Others, tokenising_on_one_core
from benchmarks.texts import Drawn
from sentiment.analyzer import Analyzer

# A contestant below this many texts a second gets a fixed subsample of so many, of the same mix of lengths.
SLOW, SUBSAMPLE = 50.0, 300
PROBES = (4, 32, 300)  # texts of a first look at the rate, more of them while it is quick
PROBE_SECONDS = 2.0

Answer = TypeVar("Answer")  # of a task; JSON where there is a journal
Seconds = Callable[[Sequence[str]], float]


class Reordered(Generic[Answer]):
    """A task over the texts in another order each round, the same for every task: so that of more than a block of texts
    no batch comes twice, whose shape a runtime would have prepared for. One block is sorted by length: its
    shapes stay."""

    def __init__(self, of: Callable[[list[str]], Answer], texts: Sequence[str]) -> None:
        self._of, self._texts = of, texts
        self.round = 0  # which `interleaved` sets: an interruption does not change what a round gets

    def __call__(self) -> Answer:
        return self._of(in_round(self._texts, self.round))


def in_round(texts: Sequence[str], number: int) -> list[str]:
    """The order of a round, counted from 1."""
    shuffled = list(texts)
    random.Random(number).shuffle(shuffled)
    return shuffled


def interleaved(
    tasks: Mapping[str, Callable[[], Answer]], rounds: int, journal: Journal | None = None, *,
    once: Collection[str] = (), unwatched: Collection[str] = (),
) -> dict[str, list[Answer]]:  # fmt: skip
    """What every task answered, round by round; progress goes to standard error.

    What the journal has of an earlier sitting is not measured again. It also gets how busy others were meanwhile,
    but for `unwatched`.

    Args:
        once: tasks that take part in the first round only.
        unwatched: tasks whose own processes would be taken for others (`benchmarks.machine.Others`).
    """
    journal = journal or Journal(None, {})
    names = list(tasks)
    found: dict[str, list[Answer]] = {name: [] for name in names}
    for number in range(rounds):
        shift = number * len(names) // rounds
        for name in [*names[shift:], *names[:shift]]:
            if number and name in once:
                continue
            measure = tasks[name]
            if isinstance(measure, Reordered):
                measure.round = number + 1
            started, task, others = time.perf_counter(), f"round {number + 1}, {name}", Others()
            known = journal.get(task) is not None
            found[name].append(journal.once(task, measure))
            if not known and name not in unwatched:
                journal.once(f"{BESIDE}{task}", others.load)
            print(f"round {number + 1}, {name}: {time.perf_counter() - started:.1f} s", file=sys.stderr)
    return found


def scoring_seconds(analyzer: Analyzer, texts: Sequence[str], *, one_core: bool = False) -> float:
    """Seconds of all records; with `one_core` the tokeniser works in this thread alone."""
    with tokenising_on_one_core() if one_core else contextlib.nullcontext():
        started = time.perf_counter()
        for _ in analyzer.analyze_many(texts):
            pass
        return time.perf_counter() - started


def probed(
    seconds: Seconds, drawn: Drawn, *, everything: bool = False, known: float | None = None
) -> tuple[float, Drawn]:
    """Texts a second of a first look, which also warms up, and the texts that a contestant of that rate gets.

    Args:
        everything: all texts, however slow. known: the rate that an earlier look found; this one only warms up, as
            much as that did.
    """
    rate = 0.0
    seconds(drawn.subsample(1).texts)
    for size in PROBES:
        part = drawn.subsample(size)
        taken = max(seconds(part.texts), 1e-9)
        rate = len(part.texts) / taken
        if taken > PROBE_SECONDS:
            break
    rate = rate if known is None else known
    return rate, drawn if everything or rate >= SLOW else drawn.subsample(SUBSAMPLE)


def rate_of(values: Sequence[float], drawn: Drawn, probe: float) -> dict[str, Any]:
    """A contestant's entry for one set of texts: its rate from the seconds of its rounds, the median and its spread."""
    count = len(drawn.texts)
    return {
        "texts": count,
        "probe_texts_per_second": round(probe, 2),
        "seconds": [round(value, 4) for value in values],
        "texts_per_second": round(count / statistics.median(values), 2),
        "least": round(count / max(values), 2),
        "greatest": round(count / min(values), 2),
    }


def spread(values: Sequence[float], digits: int) -> dict[str, float]:
    """Median, least and greatest, rounded."""
    found = {"median": statistics.median(values), "least": min(values), "greatest": max(values)}
    return {name: round(value, digits) for name, value in found.items()}
