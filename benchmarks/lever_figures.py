"""What the measurements of `benchmarks.levers` come to: ratios, padding, whether records are the same, verdicts."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.engines import labels, probabilities
from benchmarks.lever_list import PACKAGED, Lever
from benchmarks.variants import Packed
from sentiment.analyzer import Analyzer
from sentiment.checkpoint import Checkpoint
from sentiment.engine import Engine
from sentiment.runtimes import Choice
from training.int8 import windows_of

TOLERANCE = 1e-4  # of a probability, between sides that add in another order
NOISE = 0.02  # a ratio nearer to 1 is neither a gain nor a loss
Told = dict[str, dict[str, Any]]  # side → what is told of it: `records`, and `skipped` or how large it is


def task(side: str, part: str, choice: Choice) -> str:
    """The name of a measurement."""
    return f"{side} on {part}, {choice.name}"


def padding(engine: Engine, together: Sequence[Sequence[Sequence[int]]]) -> float:
    """Which share of the tokens that the encoder reads is padding."""
    extra = len(engine._prefix) + len(engine._suffix)
    real = read = 0
    for windows in together:
        real += sum(len(window) + extra for window in windows)
        if isinstance(engine, Packed):
            read += sum(len(rows) * rows[0].tokens for rows in engine.grouped(windows))
            continue
        order = sorted(range(len(windows)), key=lambda i: (len(windows[i]), i))
        for batch in engine._batches(order, windows):
            read += len(batch) * max(engine._length(windows[i]) for i in batch)
    return round(1 - real / read, 4) if read else 0.0


def differences(checkpoint: Checkpoint, first: Engine, second: Engine, texts: Sequence[str]) -> dict[str, Any]:
    """How far the records of two engines are apart."""
    windows = [found for found in windows_of(first, texts) if found]
    apart = np.abs(probabilities(checkpoint, first, windows) - probabilities(checkpoint, second, windows)).max()
    pairs = zip(*(labels(Analyzer(checkpoint, engine), texts) for engine in (first, second)), strict=True)
    changed = sum(a != b for a, b in pairs)
    return {
        "texts": len(texts),
        "changed_labels": changed,
        "largest_difference": float(f"{apart:.3g}"),
        "equal": changed == 0 and bool(apart <= TOLERANCE),
    }


def compared(pulled: Sequence[float], released: Sequence[float]) -> dict[str, Any]:
    """The rate with the lever pulled over that with it released, round by round: median, least and greatest."""
    ratios = [without / with_ for with_, without in zip(pulled, released, strict=True)]
    return {
        "ratio": round(statistics.median(ratios), 3),
        "low": round(min(ratios), 3),
        "high": round(max(ratios), 3),
        "seconds": {"pulled": [round(v, 4) for v in pulled], "released": [round(v, 4) for v in released]},
    }


def verdict(parts: Sequence[Mapping[str, Any]]) -> str:
    """`gains`, `loses`: in every round of a set; `mixed`: one set does this and one that; `even`: no round of any set
    does either; `undecided`: some do."""
    gains, loses = any(part["low"] > 1 + NOISE for part in parts), any(part["high"] < 1 - NOISE for part in parts)
    if gains or loses:
        return "mixed" if gains and loses else "gains" if gains else "loses"
    even = all(part["low"] >= 1 - NOISE and part["high"] <= 1 + NOISE for part in parts)
    return "even" if even else "undecided"


def pieces(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """The pieces of each text."""
    return [encoding.ids for encoding in tokenizer.encode_batch(texts, add_special_tokens=False)]


def records(checkpoint: Checkpoint, engines: Mapping[str, Engine], texts: Sequence[str]) -> Told:
    """Side → `records`, how far its are from those of the packaged way."""
    plain = engines[PACKAGED]
    found = {
        name: {"records": differences(checkpoint, plain, engine, texts)}
        for name, engine in engines.items()
        if name != PACKAGED
    }
    if "one-by-one" in engines:
        same = pieces(engines["one-by-one"].tokenizer, texts) == pieces(plain.tokenizer, texts)
        found["one-by-one"]["records"]["equal"] &= same
    return found


def figures(
    lever: Lever, choice: Choice, values: Mapping[str, Sequence[float]], engines: Mapping[str, Engine], told: Told,
    together: Mapping[str, Sequence[Sequence[Sequence[int]]]],
) -> dict[str, Any]:  # fmt: skip
    """What a lever brings on a runtime, or why it was skipped there.

    Args:
        together: of each part the windows that the engine got together, in the orders of all rounds.
    """
    found: dict[str, Any] = {"records": None} | told.get(lever.released if lever.used else lever.pulled, {})
    if "skipped" in found:
        return found
    sides = {"pulled": lever.pulled, "released": lever.released}
    for part, windows in together.items():
        found[part] = compared(*(values[task(name, part, choice)] for name in sides.values()))
        if lever.scope == "scoring":
            found[part]["padding"] = {side: padding(engines[name], windows) for side, name in sides.items()}
    if lever.name == "packing":
        # A token costs nearly the same wherever it stands, so nothing that only removes padding gains more.
        found["bound"] = {part: round(1 / (1 - found[part]["padding"]["released"]), 3) for part in together}
    return found | {"verdict": verdict([found[part] for part in together])}


def depth(layers: int, own: int, values: Mapping[str, Sequence[float]], parts: Sequence[str]) -> dict[str, Any]:
    """The entry of a depth: its rate over that of the checkpoint's own, both with random weights."""
    entry: dict[str, Any] = {"layers": layers, "used": layers == own}
    for part in parts:
        entry[part] = compared(*(values[f"{count} layers on {part}"] for count in (layers, own)))
    return entry | {"verdict": verdict([entry[part] for part in parts])}


def surprises(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Levers that gain on a runtime and are not used, or lose and are, or whose records are others: one line each."""
    lines = []
    for entry in entries:
        for runtime, found in entry["runtimes"].items():
            name = f"{entry['name']} on {runtime}"
            wrong = {"gains": not entry["used"], "loses": entry["used"]}.get(found.get("verdict", ""), False)
            if wrong:
                lines.append(f"{name}: {found['verdict']}, and is {'' if entry['used'] else 'not '}used")
            if found.get("records") and not found["records"]["equal"]:
                lines.append(f"{name}: its records are not those of the packaged way")
    return lines
