"""Proof of the report's statistics: data drawn from a known truth, and how often the report gets it right.

`python -m benchmarks.report_statistics` runs 1,000 simulations of each and writes benchmarks/results/statistics.json;
the tests run a few of the same. Each is run without and with the classifier's errors: what a text really says is turned
into what the classifier says by the confusion that benchmarks/results/quality.json counts on written development texts
(rows are truth), and the report gets the probabilities P(truth | said), as a calibrated classifier gives them.

Asked for: coverage of 95% intervals between 93% and 97%; Kano classes recovered in at least 90% at n = 5,000; at most
5% false discoveries. Coverage of counted labels, errors included, is reported beside it: it is why counts are second
best.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentiment.report.cells import index_cells
from sentiment.report.comparison import ALPHA, compare
from sentiment.report.impact import KANO, fit_impact, impact_rows
from sentiment.report.index import any_sums, index_figure, index_row, tally
from sentiment.report.intervals import Units, adjusted, make_units, weights
from sentiment.report.league import shrink
from sentiment.report.lenses import ledger
from sentiment.report.model import Figure
from sentiment.report.priorities import fix_first, index_gain
from sentiment.report.segments import splits
from sentiment.taxonomy import Dimension, Taxonomy

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
STATES = ("negative", "neutral", "positive", "none")  # the last: not mentioned
Floats = NDArray[Any]


@dataclass(frozen=True)
class Errors:
    """Classifier errors: `said` (4, 4): P(said | truth), states in the order negative, neutral, positive, none. `mode`:
    what the report gets, probabilities P(truth | said) or the said labels."""

    said: Floats
    mode: str = "probabilities"


def measured_confusion() -> Floats:
    """P(said | truth) of the embedded checkpoint on the written development texts, service dimensions together."""
    models = json.loads((RESULTS / "quality.json").read_text("utf-8"))["models"]
    first = models[0] if isinstance(models, list) else next(iter(models.values()))
    found = first["sets"]["written"]
    order = [found["dimension_labels"].index(name) for name in STATES]
    told = [np.array(d["confusion"], float) for key, d in found["dimensions"].items() if key != "film"]
    counts: Floats = np.sum(told, axis=0)[np.ix_(order, order)]
    return np.asarray(counts / counts.sum(1, keepdims=True))


def draw_states(shares: Floats, size: int, rng: np.random.Generator) -> NDArray[np.int8]:
    """States of `size` texts × D dimensions from their shares (D, 4) or, by text, (size, D, 4)."""
    below = np.cumsum(shares, -1)[..., :-1]
    states: NDArray[np.int8] = (rng.random((size, shares.shape[-2]))[..., None] > below).sum(-1).astype(np.int8)
    return states


def observed(states: NDArray[np.int8], shares: Floats, errors: Errors | None, rng: np.random.Generator) -> Floats:
    """What the report gets: probabilities (n, D, 3). `shares` (D, 4) are those of the population, which calibration
    knows."""
    onehot: Floats = np.eye(4, dtype=np.float32)
    if errors is None:
        return np.asarray(onehot[states][..., :3])
    said = draw_states(errors.said[states], len(states), rng)
    if errors.mode == "counts":
        return np.asarray(onehot[said][..., :3])
    joint = shares[:, :, None] * errors.said[None]  # (D, truth, said)
    posterior = joint / np.maximum(joint.sum(1, keepdims=True), 1e-12)
    dimension = np.arange(states.shape[1])
    return np.asarray(posterior[dimension, :, said][..., :3], np.float32)


def true_index(shares: Floats) -> Floats:
    """The index of each dimension in the population."""
    return np.asarray(100 * (shares[:, 2] + shares[:, 1] / 2) / shares[:, :3].sum(1))


def usual_shares(size: int, rng: np.random.Generator) -> Floats:
    """Shares of states like those of real dumps: mentions from 2% to 25%, negative from a fifth to two thirds."""
    mention = rng.uniform(0.02, 0.25, size)
    negative = rng.uniform(0.2, 0.65, size)
    neutral = rng.uniform(0.05, 0.15, size)
    parts = np.stack([negative, neutral, 1 - negative - neutral], 1) * mention[:, None]
    return np.concatenate([parts, 1 - mention[:, None]], 1)


def toy_taxonomy(size: int) -> Taxonomy:
    """Dimensions d0, d1, … with alternating ledger lines."""
    lines = ("product", "money", "service", "time")
    return Taxonomy(
        tuple(Dimension(f"d{i}", f"d{i}", f"d{i}", ledger=lines[i % 4], servqual="empathy") for i in range(size))
    )


class Cover:
    """Counts how often intervals hold the truth."""

    def __init__(self) -> None:
        self.inside: dict[str, int] = {}
        self.all: dict[str, int] = {}

    def add(self, name: str, figure: Figure, truth: float) -> None:
        if figure.low is None or figure.high is None:
            return
        self.all[name] = self.all.get(name, 0) + 1
        self.inside[name] = self.inside.get(name, 0) + bool(figure.low - 1e-9 <= truth <= figure.high + 1e-9)

    def shares(self) -> dict[str, float]:
        return {f"coverage of {name}": self.inside[name] / self.all[name] for name in self.all}


def index_coverage(
    simulations: int, errors: Errors | None, rng: np.random.Generator, *, texts: int = 600, replicates: int = 1000
) -> dict[str, float]:
    """Index of a dimension and of all, mention share, negative share, net sentiment, ledger; texts independent."""
    cover = Cover()
    for _ in range(simulations):
        shares = usual_shares(6, rng)
        p = observed(draw_states(shares, texts, rng), shares, errors, rng)
        units = make_units(texts, None, rng)
        weight = weights(units.count, replicates, rng)
        sums = tally(p, units, weight)
        truth = true_index(shares)
        mention = 1 - shares[:, 3]
        for d in range(6):
            row = index_row("", "", "", [d], sums, any_sums(p, [d], units, weight))
            cover.add("index of a dimension", row.index, truth[d])
            cover.add("mention share", row.mention_share, 100 * mention[d])
            cover.add("negative share", row.negative_share, 100 * shares[d, 0])
            cover.add("net sentiment", row.net, float(100 * (shares[d, 2] - shares[d, 0]) / mention[d]))
        cover.add("index of all", index_figure(sums, list(range(6))), float((truth * mention).sum() / mention.sum()))
        found = ledger(sums, toy_taxonomy(6), list(range(6)), {})
        cover.add("ledger balance", found.balance, float(100 * (shares[:, 2] - shares[:, 0]).sum()))
    return cover.shares()


def cinema_coverage(
    simulations: int, errors: Errors | None, rng: np.random.Generator, *, cinemas: int = 25, replicates: int = 1000
) -> dict[str, float]:
    """Index of all where cinemas differ and are themselves a sample: the bootstrap over cinemas. 20–100 texts each."""
    cover = Cover()
    for _ in range(simulations):
        shares = usual_shares(4, rng)
        texts = rng.integers(20, 100, cinemas)
        cinema = np.repeat(np.arange(cinemas, dtype=np.int32), texts)
        # Praise and blame swapped for a share of the mentions that varies between cinemas, 0 on average.
        lean = np.clip(rng.normal(0, 0.12, cinemas), -0.5, 0.5)
        own = np.repeat(shares[None], cinemas, 0)
        moved = lean[:, None] * np.minimum(shares[:, 0], shares[:, 2])[None]
        own[..., 0] -= moved
        own[..., 2] += moved
        p = observed(draw_states(own[cinema], len(cinema), rng), shares, errors, rng)
        units = make_units(len(cinema), cinema, rng)
        sums = tally(p, units, weights(units.count, replicates, rng))
        mention = 1 - shares[:, 3]
        cover.add(
            "index over cinemas",
            index_figure(sums, [0, 1, 2, 3]),
            float((true_index(shares) * mention).sum() / mention.sum()),
        )
    return cover.shares()


def comparison_errors(
    simulations: int, errors: Errors | None, rng: np.random.Generator, *, texts: int = 1000, replicates: int = 400
) -> dict[str, float]:
    """Two groups, 16 dimensions, a true difference in four: coverage of differences, share of false discoveries among
    those claimed (its mean over simulations, 0 where none is), and how many of the four are found. Without any true
    difference: how often anything is claimed."""
    cover = Cover()
    false_share, found, nothing = [], [], []
    for _ in range(simulations):
        for different in (4, 0):
            shares = usual_shares(16, rng)
            other = shares.copy()
            moved = 0.6 * shares[:different, 2]
            other[:different, 2] -= moved
            other[:different, 0] += moved
            sides = []
            for own in (shares, other):
                p = observed(draw_states(own, texts, rng), own, errors, rng)
                units = make_units(texts, None, rng)
                sides.append(tally(p, units, weights(units.count, replicates, rng)))
            rows = compare(sides[0], sides[1], [(str(d), [d]) for d in range(16)])
            claimed = np.array([row.significant for row in rows])
            if different:
                false_share.append(claimed[different:].sum() / max(1, claimed.sum()))
                found.append(claimed[:different].mean())
                truth = true_index(other) - true_index(shares)
                for d, row in enumerate(rows):
                    cover.add("difference of two groups", row.difference, float(truth[d]))
            else:
                nothing.append(claimed.any())
    return cover.shares() | {
        "false discoveries": float(np.mean(false_share)),
        "true differences found": float(np.mean(found)),
        "anything claimed where nothing differs": float(np.mean(nothing)),
    }


# Penalty and reward in stars by class, for a rating whose standard deviation is about one.
TRUE_IMPACT = {"basic": (1.1, 0.1), "performance": (0.7, 0.7), "excitement": (0.1, 1.1), "indifferent": (0.0, 0.0)}


def kano_recovery(
    simulations: int, errors: Errors | None, rng: np.random.Generator, *, texts: int = 5000, replicates: int = 400
) -> dict[str, float]:
    """Twelve dimensions, three of each class, and the film; ratings are stars from 1 to 5, rounded. Recovered: the
    class is called, and right; "inconclusive" counts as not recovered. Wrong: another class is called."""
    kinds = [kind for kind in KANO for _ in range(3)]
    right = wrong = 0
    effects = np.array([TRUE_IMPACT[kind] for kind in kinds] + [(0.8, 0.8)])
    for _ in range(simulations):
        size = len(kinds) + 1
        shares = np.tile(np.array([0.045, 0.01, 0.045, 0.90]), (size, 1))
        shares[-1] = (0.2, 0.1, 0.3, 0.4)
        states = draw_states(shares, texts, rng)
        latent = (
            3.2 + ((states == 2) * effects[:, 1] - (states == 0) * effects[:, 0]).sum(1) + rng.normal(0, 0.7, texts)
        )
        rating = np.clip(np.round(latent), 1, 5)
        units = make_units(texts, None, rng)
        p = observed(states, shares, errors, rng).astype(np.float32)
        found = fit_impact(p, rating, units, weights(units.count, replicates, rng))
        assert found is not None
        rows = impact_rows(found, [str(d) for d in range(size)], list(range(size - 1)))
        right += sum(row.kano == kind for row, kind in zip(rows, kinds, strict=True))
        wrong += sum(row.kano not in (kind, "inconclusive") for row, kind in zip(rows, kinds, strict=True))
    return {"kano classes recovered": right / (12 * simulations), "wrong classes": wrong / (12 * simulations)}


def league_coverage(
    simulations: int, errors: Errors | None, rng: np.random.Generator, *, cinemas: int = 30
) -> dict[str, float]:
    """Shrunk index of every cinema, against its own truth; averaged over cinemas (empirical Bayes coverage)."""
    cover = Cover()
    for _ in range(simulations):
        shares = usual_shares(5, rng)
        texts = rng.integers(40, 300, cinemas)
        cinema = np.repeat(np.arange(cinemas), texts)
        lean = np.clip(rng.normal(0, 0.2, cinemas), -0.6, 0.6)
        own = np.repeat(shares[None], cinemas, 0)
        moved = lean[:, None] * np.minimum(shares[:, 0], shares[:, 2])[None]
        own[..., 0] -= moved
        own[..., 2] += moved
        states = draw_states(own[cinema], len(cinema), rng)
        p = np.zeros((len(cinema), 5, 3), np.float32)
        for c in range(cinemas):  # calibrated for each cinema: the league has no way to know of a shift between them
            at = cinema == c
            p[at] = observed(states[at], own[c], errors, rng)
        cells = index_cells(p, cinema, cinemas, list(range(5)))
        found = shrink(cells.index[:, -1], cells.variance[:, -1])
        mention = 1 - own[..., 3]
        truth = np.array([(true_index(own[c]) * mention[c]).sum() / mention[c].sum() for c in range(cinemas)])
        for c in range(cinemas):
            half = 1.96 * found.sd[c]
            cover.add(
                "shrunk index of a cinema", Figure(found.mean[c], found.mean[c] - half, found.mean[c] + half), truth[c]
            )
    return cover.shares()


# What changes in the series of `change_points`: the share of texts that turns from blame to praise, and the months.
CHANGED = ((0.03, range(9, 18)), (0.048, range(6, 12)))  # by 25 points for good, by 40 for half a year
CHANGED_SERIES = 3  # of each


def change_points(simulations: int, errors: Errors | None, rng: np.random.Generator) -> dict[str, float]:
    """Forty series of eighteen months, three with a change half-way, three with one for half a year. False: claimed in
    a series without any, or more of them than the series has. Found: as many as there are."""
    false_share, within = [], []
    found: list[list[float]] = [[], []]
    shares = np.array([[0.06, 0.01, 0.05, 0.88]])
    for _ in range(simulations):
        p_values, where = [], []
        for series in range(40):
            cell = np.repeat(np.arange(18), 120)
            own = np.repeat(shares[None], 18, 0)
            if series < 2 * CHANGED_SERIES:
                moved, months = CHANGED[series // CHANGED_SERIES]
                own[months, 0, 0] -= moved
                own[months, 0, 2] += moved
            states = draw_states(own[cell], len(cell), rng)
            p = np.concatenate([observed(states[cell == t], own[t], errors, rng) for t in range(18)])
            cells = index_cells(p, cell, 18, [0])
            for split in splits(cells.index[:, 0], cells.mentions[:, 0], cells.variance[:, 0]):
                p_values.append(split.p)
                where.append((series, split.at))
        claimed = [place for place, q in zip(where, adjusted(p_values), strict=True) if q <= ALPHA]
        false = len([series for series, _ in claimed if series >= 2 * CHANGED_SERIES])
        for kind, truth in enumerate(((9,), (6, 12))):
            for series in range(kind * CHANGED_SERIES, (kind + 1) * CHANGED_SERIES):
                at = [month for number, month in claimed if number == series]
                false += max(0, len(at) - len(truth))
                found[kind].append(len(at) >= len(truth))
                within += [min(abs(month - true) for true in truth) <= 1 for month in at]
        false_share.append(false / max(1, len(claimed)))
    return {
        "false change points": float(np.mean(false_share)),
        "true change points found": float(np.mean(found[0])),
        "temporary changes found": float(np.mean(found[1])),
        "found within a month": float(np.mean(within)) if within else 0.0,
    }


def gain_coverage(
    simulations: int, errors: Errors | None, rng: np.random.Generator, *, cinemas: int = 20, replicates: int = 200
) -> dict[str, float]:
    """The gain of "fix this first" if every cinema came down to the best quarter, against that of the true rates."""
    cover = Cover()
    for _ in range(simulations):
        shares = usual_shares(3, rng)
        texts = rng.integers(60, 300, cinemas)
        cinema = np.repeat(np.arange(cinemas, dtype=np.int32), texts)
        own = np.repeat(shares[None], cinemas, 0)
        rate = np.clip(shares[0, 0] * rng.gamma(6, 1 / 6, cinemas), 0.001, 0.6)
        own[:, 0, 3] -= np.clip(rate - shares[0, 0], None, own[:, 0, 3] - 0.05)
        own[:, 0, 0] = 1 - own[:, 0, 1:].sum(1)
        states = draw_states(own[cinema], len(cinema), rng)
        p = np.zeros((len(cinema), 3, 3), np.float32)
        for c in range(cinemas):
            p[cinema == c] = observed(states[cinema == c], own[c], errors, rng)
        units = Units(np.arange(len(cinema), dtype=np.int32) % 500, 500, "texts")
        sums = tally(p, units, weights(500, replicates, rng))
        negative = np.stack([np.bincount(cinema, p[:, d, 0], cinemas) for d in range(3)], 1)
        square = np.stack([np.bincount(cinema, p[:, d, 0] ** 2, cinemas) for d in range(3)], 1)
        rates = [Figure(10.0)] * 3
        _, gains = fix_first(sums, [0, 1, 2], rates, negative, square, texts.astype(float), rng)
        q = own[:, 0, 0]
        expected = (own[..., :3] * texts[:, None, None]).sum(0)
        avoided = float((np.maximum(0, q - np.quantile(q, 0.25)) * texts).sum())
        truth = float(index_gain(expected[:, 2].sum() + expected[:, 1].sum() / 2, expected.sum(), avoided))
        gain = next(item.gain for item in gains if item.dimension == 0)
        cover.add("expected gain", gain, truth)
    return cover.shares()


STUDIES: dict[str, Callable[[int, Errors | None, np.random.Generator], dict[str, float]]] = {
    "index": index_coverage,
    "cinemas": cinema_coverage,
    "comparison": comparison_errors,
    "kano": kano_recovery,
    "league": league_coverage,
    "change points": change_points,
    "gain": gain_coverage,
}


MODES = ("no errors", "errors, probabilities", "errors, counts")


def main() -> None:
    """Runs all studies and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulations", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="*", choices=list(STUDIES), default=list(STUDIES))
    parser.add_argument("--output", type=Path, default=RESULTS / "statistics.json")
    options = parser.parse_args()
    confusion = measured_confusion()
    results: dict[str, Any] = {
        "simulations": options.simulations, "seed": options.seed,
        "confusion": {"states": list(STATES), "said_given_truth": np.round(confusion, 4).tolist()},
    }  # fmt: skip
    if options.output.exists():
        before = json.loads(options.output.read_text("utf-8"))
        if all(before.get(name) == value for name, value in results.items()):  # else those were drawn otherwise
            results |= {name: before[name] for name in STUDIES if name in before and name not in options.only}
    for name in options.only:
        results[name] = {}
        for mode, errors in zip(MODES, (None, Errors(confusion), Errors(confusion, "counts")), strict=True):
            started = time.monotonic()
            found = STUDIES[name](options.simulations, errors, np.random.default_rng(options.seed))
            results[name][mode] = {key: round(value, 4) for key, value in found.items()}
            print(name, mode, results[name][mode], f"{time.monotonic() - started:.0f} s", flush=True)
            options.output.write_text(json.dumps(results, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
