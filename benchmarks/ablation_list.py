"""The trainings that `benchmarks.ablation` sets side by side: what each changes, and in how many runs it is made."""

from __future__ import annotations

from dataclasses import dataclass

LAYERS = tuple(range(8))
REFERENCE = "plain"
COMMON = "one threshold"  # trains nothing: the reference's runs, decided otherwise
SMOOTHING = 0.1
# Corpus, most texts: stars, and aspects of other trades.
WEAK = (
    ("film_maoyan", 4_000), ("film_douban", 1_500), ("absa_dimabsa_restaurant_zh", 1_200),
    ("absa_zhang_dianping_aste", 1_200), ("senti_waimai_10k", 1_000),
)  # fmt: skip
UNLABELLED = ("venue_broad", "film_maoyan")
MANY = 20_000


@dataclass(frozen=True)
class Variant:
    """One training that differs from the reference in one thing.

    `start` is `base`, `weak` or `pretrained`; `soft` is `weak` (such texts beside), `teachers`, `smoothed` or nothing.
    `seeds`: at most so many runs. `comments`: so many for the teachers, in place of --unlabelled.
    """

    name: str
    group: str
    what: str
    layers: tuple[int, ...] = LAYERS
    start: str = "base"
    soft: str = ""
    seeds: int | None = None
    comments: int | None = None

    def runs(self, seeds: int) -> int:
        """In how many runs it is made where `seeds` are asked for."""
        return min(seeds, self.seeds or seeds)


# Five parts: pretraining, weak labels (two ways of using them, one of them tried once), distillation, smoothed
# labels, and `COMMON` against thresholds of every dimension's own. The sixth, a share of the texts in another typing,
# is in the results alone: it brought nothing, and its code has left.
VARIANTS = (
    Variant(REFERENCE, "both", "first 8 layers, labelled texts alone"),
    Variant("12 layers", "depth", "all 12 layers", tuple(range(12))),
    Variant("8 spread", "depth", "8 layers spread over the 12", (0, 1, 3, 4, 6, 8, 9, 11), seeds=1),
    Variant("6 first", "depth", "first 6 layers", tuple(range(6))),
    Variant(
        "6 distilled",
        "depth",
        f"first 6 layers, up to {MANY:,} unlabelled comments answered by the mean of the plain models",
        tuple(range(6)),
        soft="teachers",
        seeds=1,
        comments=MANY,
    ),
    Variant("6 spread", "depth", "6 layers spread over the 12", (0, 2, 4, 6, 8, 11), seeds=1),
    Variant("4 first", "depth", "first 4 layers", tuple(range(4)), seeds=1),
    Variant("4 spread", "depth", "4 layers spread over the 12", (0, 3, 7, 11), seeds=1),
    Variant("pretrained", "part", "masked words of domain texts first", start="pretrained"),
    Variant("weak stage", "part", "a stage on stars and on aspects of other trades first", start="weak", seeds=1),
    Variant("weak beside", "part", "a quarter of these beside the labelled texts, at a weight of 0.3", soft="weak"),
    Variant("distilled", "part", "unlabelled comments answered by the mean of the plain models", soft="teachers"),
    Variant("smoothed", "part", f"labels smoothed by {SMOOTHING}", soft="smoothed"),
)
