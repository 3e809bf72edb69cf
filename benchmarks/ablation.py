"""What depth and each part of the training recipe bring: one small training, one thing changed at a time.

`python -m benchmarks.ablation --data FILE... --standoff FILE... --corpora DIR --base offline --work runs/ablation`

Of the near-duplicate groups of the texts, one half is trained on and the other half judged, so that nothing that is
measured here was seen, by a teacher either, and no development or test text is touched. Every run starts from the base,
not from the packaged checkpoint, which has seen both halves. Thresholds are cross-fitted on the judged half. A run's
answers are kept under --work: the same command goes on after an interruption.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import random
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import machine
from sentiment.scaling import Scaling
from sentiment.taxonomy import Taxonomy, load_taxonomy
from training.bases import BaseError, keep_layers, load_base
from training.calibrate import calibrate, cross_fitted, fold_numbers, folds
from training.compare import FIGURES, figures
from training.corpora import held_out_texts, read_corpus, read_rows
from training.distil import with_soft_labels
from training.example import DatasetError, Example
from training.folders import load_run, score_folder
from training.metrics import HEADS, Predictions
from training.model import build_model
from training.near_duplicates import near_duplicate_groups, without_near_duplicates
from training.pretrain import PretrainRecipe, corpus_texts, pretrain
from training.pretrain import gather as gather_tokens
from training.rates import rates
from training.results import write_results
from training.run import Sources, Start, gather, load_start
from training.scores import Scores, gold_labels
from training.train import Recipe, fine_tune

Array = NDArray[Any]

RESULTS = Path(__file__).parent / "results" / "ablation.json"
LAYERS = tuple(range(8))
REFERENCE = "plain"
SMOOTHING = 0.1
WEAK = (
    ("film_maoyan", 4_000), ("film_douban", 1_500), ("absa_dimabsa_restaurant_zh", 1_200),
    ("absa_zhang_dianping_aste", 1_200), ("senti_waimai_10k", 1_000),
)  # fmt: skip
UNLABELLED = ("venue_broad", "film_maoyan")


@dataclass(frozen=True)
class Variant:
    """One training that differs from the reference in one thing. `start` is `base`, `weak` or `pretrained`."""

    name: str
    group: str
    what: str
    layers: tuple[int, ...] = LAYERS
    start: str = "base"
    changes: Mapping[str, Any] = field(default_factory=dict)
    soft: str = ""
    seeds: int | None = None


VARIANTS = (
    Variant(REFERENCE, "both", "first 8 layers, labelled texts alone"),
    Variant("12 layers", "depth", "all 12 layers", tuple(range(12))),
    Variant("8 spread", "depth", "8 layers spread over the 12", (0, 1, 3, 4, 6, 8, 9, 11), seeds=1),
    Variant("6 first", "depth", "first 6 layers", tuple(range(6))),
    Variant("6 spread", "depth", "6 layers spread over the 12", (0, 2, 4, 6, 8, 11), seeds=1),
    Variant("4 first", "depth", "first 4 layers", tuple(range(4)), seeds=1),
    Variant("4 spread", "depth", "4 layers spread over the 12", (0, 3, 7, 11), seeds=1),
    Variant("pretrained", "part", "masked words of domain texts first", start="pretrained"),
    Variant("weak stage", "part", "a stage on stars and on aspects of other trades first", start="weak"),
    Variant("weak beside", "part", "a quarter of these beside the labelled texts, at a weight of 0.3", soft="weak"),
    Variant("distilled", "part", "unlabelled comments answered by the mean of the plain models", soft="teachers"),
    Variant("augmented", "part", "0.3 of the texts in another typing", changes={"augment": 0.3}),
    Variant("smoothed", "part", f"labels smoothed by {SMOOTHING}", soft="smoothed"),
)
COMMON = "one threshold"


@dataclass(frozen=True)
class Bench:
    """The two halves, and where runs are kept."""

    fit: list[Example]
    judged: list[Example]
    space: Taxonomy
    base: str
    corpora: Path
    work: Path
    recipe: Recipe
    unlabelled: int
    tokens: int

    @cached_property
    def identity(self) -> str:
        """A hash of both halves with their labels and of the recipe: kept answers to others are not taken for these."""
        told = [
            (e.text, sorted(e.labels.items()), sorted(e.annotated), e.overall, e.intent, e.escalation, e.weight)
            for e in (*self.fit, *self.judged)
        ]
        return hashlib.sha256(repr((self.recipe, len(self.fit), told)).encode()).hexdigest()[:16]

    def scores(self, variant: Variant, number: int) -> Scores:
        """The answers of one run to the judged half, trained if they are not kept yet.

        Raises:
            DatasetError: the folder keeps answers of other texts, labels or epochs.
        """
        folder = self.work / f"{variant.name.replace(' ', '-')}-{number}"
        kept = folder / "scores.npz"
        if not kept.exists():
            started = time.monotonic()
            self._train(variant, number, folder)
            found = score_folder(folder, self.judged)
            np.savez_compressed(kept, of=np.array(self.identity), **{name: getattr(found, name) for name in HEADS})
            (folder / "minutes").write_text(f"{(time.monotonic() - started) / 60:.1f}\n")
        with np.load(kept) as table:
            if "of" not in table or str(table["of"]) != self.identity:
                raise DatasetError(
                    f"expected answers to these texts in {kept}, found those of other texts, labels or epochs; "
                    "give another folder with --work"
                )
            spans = np.zeros((len(self.judged), len(self.space.keys), 2), dtype=int)  # evidence is not judged here
            return Scores(**{name: table[name] for name in HEADS}, evidence=spans)

    def _train(self, variant: Variant, number: int, folder: Path) -> None:
        recipe = replace(self.recipe, seed=self.recipe.seed + number, **variant.changes)
        texts, more = self.fit, []
        if variant.soft == "smoothed":
            texts, recipe = [smoothed(example, self.space) for example in texts], replace(recipe, soft=1.0)
        elif variant.soft == "teachers":
            more = self._taught()
        elif variant.soft == "weak":
            more = self._weak_texts(4, 0.3)
        if variant.start == "weak":
            model, tokenizer = load_run(self._weak())
        else:
            encoder, tokenizer = load_base(str(self._pretrained()) if variant.start == "pretrained" else self.base)
            if variant.start == "base":
                keep_layers(encoder, variant.layers)
            model = build_model(encoder, self.space, max_tokens=recipe.max_tokens)
        fine_tune(model, tokenizer, texts, folder, recipe, always=more, fresh_heads=variant.start != "weak")

    def _weak(self) -> Path:
        folder = self.work / "start-weak"
        if not (folder / "model.safetensors").exists():
            rows = self._weak_texts(1, 1.0)
            model, tokenizer, _ = load_start(Start(base=self.base, layers=len(LAYERS)), self.recipe.max_tokens)
            fine_tune(model, tokenizer, rows, folder, replace(self.recipe, epochs=1, held_out=0.02))
        return folder

    def _weak_texts(self, part: int, weight: float) -> list[Example]:
        """One in `part` of the weakly labelled texts, without those that nearly repeat a judged one."""
        rows = [
            example for name, count in WEAK
            for example in read_corpus(
                self.corpora, name, self.space, limit=count // part, max_characters=100, weight=weight
            )
        ]  # fmt: skip
        return without_near_duplicates(rows, self.judged)

    def _pretrained(self) -> Path:
        folder = self.work / "start-pretrained"
        if not (folder / "model.safetensors").exists():
            encoder, tokenizer = load_base(self.base)
            keep_layers(encoder, LAYERS)
            recipe = PretrainRecipe(tokens=self.tokens)
            texts = corpus_texts(self.corpora, [e.text for e in self.judged], recipe.seed)
            pretrain(encoder, tokenizer, gather_tokens(texts, tokenizer, recipe), folder, recipe)
        return folder

    def _taught(self) -> list[Example]:
        """Unlabelled comments with the mean of the reference runs' probabilities, which they were never asked about."""
        known = {e.text for e in (*self.fit, *self.judged)} | held_out_texts(self.corpora)
        texts = sorted({
            row["text"] for name in UNLABELLED for row in read_rows(self.corpora, name)
            if 4 <= len(row["text"]) <= 160 and row["text"] not in known
        })  # fmt: skip
        random.Random(0).shuffle(texts)
        rows = [Example(text=text, source="unlabelled") for text in texts[: self.unlabelled]]
        rows = without_near_duplicates(rows, self.judged)
        folders = sorted(self.work.glob(f"{REFERENCE}-*/model.safetensors"))
        shares = [score_folder(path.parent, rows).probabilities(Scaling()) for path in folders]
        return with_soft_labels(rows, {name: np.mean([share[name] for share in shares], axis=0) for name in HEADS})


def smoothed(example: Example, space: Taxonomy) -> Example:
    """The labels as probabilities, `SMOOTHING` of each spread evenly over its classes."""
    gold = gold_labels([example], space)

    def classes(index: Array, count: int) -> Array:
        return (1 - SMOOTHING) * np.eye(count)[np.maximum(index, 0)] + SMOOTHING / count

    def binary(labels: Array) -> Array:
        return (1 - SMOOTHING) * np.maximum(labels, 0) + SMOOTHING / 2

    shares = {
        "mention": binary(gold.mention),
        "polarity": classes(gold.polarity, len(space.sentiments)),
        "overall": classes(gold.overall, len(space.overall)),
        "intent": classes(gold.intent, len(space.intents)),
        "escalation": binary(gold.escalation),
    }
    return with_soft_labels([example], shares)[0]


def common_threshold(scores: Scores, gold: Predictions, space: Taxonomy, groups: Sequence[int]) -> Predictions:
    """As `cross_fitted`, with the same threshold for every dimension: the median of the fitted ones."""
    size = len(groups)
    guess = {name: np.zeros((size, *getattr(gold, name).shape[1:]), dtype=int) for name in HEADS}
    for _, fit, test in folds(scores, gold, space, groups):
        rules = calibrate(scores.take(fit), gold.take(fit), space)
        middle = float(np.median([rules.thresholds[key] for key in space.keys]))
        same = replace(
            rules, thresholds={**dict.fromkeys(space.keys, middle), "escalation": rules.thresholds["escalation"]}
        )
        answer = same.decide(scores.take(test), space)
        for name in HEADS:
            guess[name][test] = getattr(answer, name)
    return Predictions(*(guess[name] for name in HEADS))


def averaged(gold: Predictions, said: Sequence[Predictions], rows: Array, service: list[int]) -> dict[str, Array]:
    """Figures over the texts and over resamples of them, the mean over the seeds."""
    drawn = [figures(gold.take(rows, service), one.take(rows, service), 1000) for one in said]
    return {name: np.mean([one[name] for one in drawn], axis=0) for name in FIGURES}


def halves(examples: Sequence[Example], fitted: int, judged: int, seed: int = 0) -> tuple[list[Example], list[Example]]:
    """Whole near-duplicate groups in two halves, of them at most so many texts, drawn at random."""
    groups = near_duplicate_groups([example.text for example in examples])
    half = fold_numbers(groups, 2, seed)
    rng = random.Random(seed)
    parts = []
    for number, texts in enumerate((fitted, judged)):
        rows = [int(i) for i in np.flatnonzero(half == number)]
        rng.shuffle(rows)
        parts.append([examples[i] for i in rows[:texts]])
    return parts[0], parts[1]


def judge(bench: Bench, variants: Sequence[Variant], seeds: int, progress: Callable[[str], None]) -> dict[str, Any]:
    """Every variant's figures, and its differences to the reference of the same seeds."""
    gold = gold_labels(bench.judged, bench.space)
    groups = near_duplicate_groups([example.text for example in bench.judged])
    service = [bench.space.index[key] for key in bench.space.service_keys]
    rows = np.arange(len(bench.judged))
    said: dict[str, list[Predictions]] = {}
    entries: list[dict[str, Any]] = []

    def add(name: str, group: str, what: str, own: list[Predictions], **facts: Any) -> None:
        said[name] = own
        drawn = averaged(gold, own, rows, service)
        entry = {"name": name, "group": group, "what": what, "seeds": len(own), **facts, "figures": rates(**drawn)}
        if name != REFERENCE:
            same = averaged(gold, said[REFERENCE][: len(own)], rows, service)
            entry["differences"] = rates(**{key: drawn[key] - same[key] for key in FIGURES})
        entries.append(entry)
        progress(f"{name}: joint {100 * entry['figures']['joint']['value']:.1f}")

    for variant in variants:
        count = min(seeds, variant.seeds or seeds)
        scores = [bench.scores(variant, number) for number in range(1, count + 1)]
        minutes = [(bench.work / f"{variant.name.replace(' ', '-')}-{n}" / "minutes") for n in range(1, count + 1)]
        facts = {
            "layers": len(variant.layers),
            "minutes": round(float(np.mean([float(p.read_text()) for p in minutes])), 1),
        }
        add(variant.name, variant.group, variant.what,
            [cross_fitted(one, gold, bench.space, groups) for one in scores], **facts)  # fmt: skip
        if variant.name == REFERENCE:
            flat = [common_threshold(one, gold, bench.space, groups) for one in scores]
            add(COMMON, "part", "the plain models with one mention threshold for all dimensions", flat)
    return {"variants": entries}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs what is missing and writes the results."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ablation", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, nargs="+", required=True, metavar="FILE", help="labelled texts")
    parser.add_argument("--standoff", type=Path, nargs="*", default=[], metavar="FILE", help="labels of --corpora")
    parser.add_argument("--corpora", type=Path, required=True, metavar="DIR", help="the public corpora")
    parser.add_argument("--base", default="offline", help="the encoder to start from (default: %(default)s)")
    parser.add_argument(
        "--texts", type=int, default=6000, metavar="N", help="most texts trained on (default: %(default)s)"
    )
    parser.add_argument("--judged", type=int, default=8000, metavar="N", help="most judged (default: %(default)s)")
    parser.add_argument("--epochs", type=float, default=3, help="of every run (default: %(default)s)")
    parser.add_argument(
        "--seeds", type=int, default=3, help="of a part and of a depth; some have one (default: %(default)s)"
    )
    parser.add_argument(
        "--unlabelled", type=int, default=4000, metavar="N", help="for the teachers (default: %(default)s)"
    )
    parser.add_argument("--tokens", type=int, default=1_000_000, help="of pretraining (default: %(default)s)")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these variants, the reference included in any case")
    parser.add_argument("--work", type=Path, default=Path("runs/ablation"), metavar="DIR", help="default: %(default)s")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS, metavar="OUT", help="default: %(default)s")
    options = parser.parse_args(arguments)
    names = [variant.name for variant in VARIANTS]
    wrong = set(options.only or ()) - set(names)
    if wrong:
        parser.error(f"expected --only of {', '.join(names)}, found {', '.join(sorted(wrong))}")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    space = load_taxonomy()
    recipe = Recipe(epochs=options.epochs, patience=99)
    sources = Sources(data=tuple(options.data), standoff=tuple(options.standoff), corpora=options.corpora)
    try:
        fit, judged = halves(gather(sources, space)[0], options.texts, options.judged)
        bench = Bench(fit, judged, space, options.base, options.corpora, options.work, recipe,
                      options.unlabelled, options.tokens)  # fmt: skip
        chosen = [v for v in VARIANTS if options.only is None or v.name in {*options.only, REFERENCE}]
        found = judge(bench, chosen, options.seeds, logging.getLogger(__name__).info)
    except (BaseError, DatasetError) as error:
        print(f"benchmarks.ablation: {error}", file=sys.stderr)
        return 2
    facts = {
        "kind": "ablation", "fitted": len(fit), "judged": len(judged), "epochs": options.epochs,
        "unlabelled": options.unlabelled, "tokens": options.tokens, "machine": machine(),
    }  # fmt: skip
    write_results(options.output, {**facts, **found})
    return 0


if __name__ == "__main__":
    sys.exit(main())
