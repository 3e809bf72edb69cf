"""What depth and each part of the training recipe bring: one small training, one thing changed at a time.

`python -m benchmarks.ablation --data FILE... --standoff FILE... --corpora DIR --base offline --work runs/ablation`

Of the near-duplicate groups of the texts, one half is trained on and the other half judged, so that nothing that is
measured here was seen, by a teacher either, and no development or test text is touched. Every run starts from the base,
not from the packaged checkpoint, which has seen both halves. Thresholds are cross-fitted on the judged half. Intervals
are over texts and runs. A run's answers are kept under --work: the same command goes on after an interruption, and
refuses answers that were made of something else.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import random
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import set_seed

from benchmarks.ablation_figures import Drawn, common_threshold, depth_rule, drawn_figures, told_of
from benchmarks.ablation_list import COMMON, LAYERS, REFERENCE, SMOOTHING, UNLABELLED, VARIANTS, WEAK, Variant
from benchmarks.machine import machine
from sentiment.scaling import Scaling
from sentiment.taxonomy import Taxonomy, load_taxonomy
from training.bases import BaseError, keep_layers, load_base
from training.calibrate import cross_fitted, fold_numbers
from training.corpora import HELD_OUT_FILES, held_out_texts, read_corpus, read_rows
from training.example import DatasetError, Example
from training.folders import load_run, score_folder
from training.metrics import HEADS, Predictions
from training.model import build_model
from training.near_duplicates import near_duplicate_groups, without_near_duplicates
from training.pretrain import CORPORA, PretrainRecipe, corpus_texts, pretrain
from training.pretrain import gather as gather_tokens
from training.results import write_results
from training.run import Sources, Start, gather, load_start
from training.scores import Scores, gold_labels
from training.soft_labels import with_soft_labels
from training.steps import STEPS, clear_run, fingerprint
from training.train import Recipe, fine_tune

Array = NDArray[Any]

RESULTS = Path(__file__).parent / "results" / "ablation.json"


@dataclass(frozen=True)
class Bench:
    """The two halves, and where runs are kept. `seeds` is the number of the reference's runs, the teachers."""

    fit: list[Example]
    judged: list[Example]
    space: Taxonomy
    base: str
    corpora: Path
    work: Path
    recipe: Recipe
    seeds: int
    unlabelled: int
    tokens: int

    def folder(self, variant: Variant, number: int) -> Path:
        return self.work / f"{variant.name.replace(' ', '-')}-{number}"

    def identity(self, variant: Variant) -> str:
        """A hash of all that the answers of a variant depend on: texts with their labels, recipe, base, layers, and of
        tokens, corpora and teachers those that it uses."""
        made_of: list[Any] = [len(self.fit), self._weights, self.space.keys, self.recipe]
        made_of.append((variant.layers, variant.start, variant.soft))
        if variant.start != "base":
            made_of.append(self._start_identity(variant.start))
        if variant.soft == "smoothed":
            made_of.append(SMOOTHING)
        elif variant.soft == "weak":
            made_of += [WEAK, self._files([name for name, _ in WEAK])]
        elif variant.soft == "teachers":
            made_of += [self.seeds, self._comments(variant), UNLABELLED, self._files(UNLABELLED)]
        return fingerprint([*self.fit, *self.judged], made_of)

    def _start_identity(self, start: str) -> str:
        """The same of a start, whose texts were held against the judged half."""
        made_of: list[Any] = [self._weights, LAYERS]
        if start == "weak":
            made_of += [self.space.keys, self.recipe, WEAK, self._files([name for name, _ in WEAK])]
        else:
            made_of += [PretrainRecipe(tokens=self.tokens), self._files(CORPORA)]
        return fingerprint(self.judged, made_of)

    @cached_property
    def _weights(self) -> str:
        """The sha256 of the base's weights but for the pooler, which is not used, and random where a base has none."""
        digest = hashlib.sha256()
        for name, tensor in load_base(self.base)[0].state_dict().items():
            if name.startswith("pooler."):
                continue
            digest.update(name.encode() + tensor.float().numpy().tobytes())
        return digest.hexdigest()

    def _files(self, names: Sequence[str]) -> list[str]:
        """The sha256 of corpus files, and of those whose held-out rows are left out of all of them."""
        paths = (self.corpora / f"{name}.jsonl.xz" for name in (*names, *HELD_OUT_FILES))
        return [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]

    def is_kept(self, variant: Variant, number: int) -> bool:
        """Whether the answers of a run are there.

        Raises:
            DatasetError: there are some that were made of something else.
        """
        kept = self.folder(variant, number) / "scores.npz"
        if not kept.exists():
            return False
        with np.load(kept) as table:
            require_same(str(table["of"]) if "of" in table else "", self.identity(variant), kept)
        return True

    def scores(self, variant: Variant, number: int) -> Scores:
        """The answers of one run to the judged half, trained if they are not kept yet. Raises as `is_kept`."""
        folder = self.folder(variant, number)
        kept = folder / "scores.npz"
        if not self.is_kept(variant, number):
            started = time.monotonic()
            self._train(variant, number, folder)
            found = score_folder(folder, self.judged)
            (folder / "minutes").write_text(f"{(time.monotonic() - started) / 60:.1f}\n")
            answers = {name: getattr(found, name) for name in HEADS}
            np.savez_compressed(kept, of=np.array(self.identity(variant)), **answers)
        with np.load(kept) as table:
            spans = np.zeros((len(self.judged), len(self.space.keys), 2), dtype=int)  # evidence is not judged here
            return Scores(**{name: table[name] for name in HEADS}, evidence=spans)

    def _train(self, variant: Variant, number: int, folder: Path) -> None:
        recipe = replace(self.recipe, seed=self.recipe.seed + number)
        texts, more = self.fit, []
        if variant.soft == "smoothed":
            texts, recipe = [smoothed(example, self.space) for example in texts], replace(recipe, soft=1.0)
        elif variant.soft == "teachers":
            more = self._taught(self._comments(variant))
        elif variant.soft == "weak":
            more = self._weak_texts(4, 0.3)
        if variant.start == "weak":
            model, tokenizer = load_run(self._start("weak", self._make_weak))
        else:
            own = variant.start == "base"
            encoder, tokenizer = load_base(self.base if own else str(self._start("pretrained", self._make_pretrained)))
            if own:
                keep_layers(encoder, variant.layers)
            set_seed(recipe.seed)  # the heads are new
            model = build_model(encoder, self.space, max_tokens=recipe.max_tokens)
        clear_run(folder)
        fine_tune(model, tokenizer, texts, folder, recipe, always=more, fresh_heads=variant.start != "weak")
        shutil.rmtree(folder / STEPS, ignore_errors=True)  # optimiser states of a run that is over

    def _start(self, name: str, make: Callable[[Path], None]) -> Path:
        """The folder of a start, made unless it is there. Raises DatasetError if it was made of something else."""
        folder = self.work / f"start-{name}"
        mark = folder / "made_of.txt"
        if mark.is_file():
            require_same(mark.read_text().strip(), self._start_identity(name), folder)
        else:
            clear_run(folder)
            make(folder)
            shutil.rmtree(folder / STEPS, ignore_errors=True)
            mark.write_text(f"{self._start_identity(name)}\n")
        return folder

    def _make_weak(self, folder: Path) -> None:
        set_seed(self.recipe.seed)
        model, tokenizer, _ = load_start(Start(base=self.base, layers=len(LAYERS)), self.recipe.max_tokens)
        recipe = replace(self.recipe, epochs=1, held_out=0.02)
        fine_tune(model, tokenizer, self._weak_texts(1, 1.0), folder, recipe)

    def _make_pretrained(self, folder: Path) -> None:
        encoder, tokenizer = load_base(self.base)
        keep_layers(encoder, LAYERS)
        recipe = PretrainRecipe(tokens=self.tokens)
        texts = corpus_texts(self.corpora, [e.text for e in self.judged], recipe.seed)
        pretrain(encoder, tokenizer, gather_tokens(texts, tokenizer, recipe), folder, recipe)

    def _weak_texts(self, part: int, weight: float) -> list[Example]:
        """One in `part` of the weakly labelled texts, without those that nearly repeat a judged one."""
        rows = [
            example for name, count in WEAK
            for example in read_corpus(
                self.corpora, name, self.space, limit=count // part, max_characters=100, weight=weight
            )
        ]  # fmt: skip
        return without_near_duplicates(rows, self.judged)

    def _comments(self, variant: Variant) -> int:
        return self.unlabelled if variant.comments is None else variant.comments

    def _taught(self, count: int) -> list[Example]:
        """So many unlabelled comments, which no reference run has seen, with the mean of those runs' probabilities."""
        known = {e.text for e in (*self.fit, *self.judged)} | held_out_texts(self.corpora)
        texts = sorted({
            row["text"] for name in UNLABELLED for row in read_rows(self.corpora, name)
            if 4 <= len(row["text"]) <= 160 and row["text"] not in known
        })  # fmt: skip
        random.Random(0).shuffle(texts)
        rows = [Example(text=text, source="unlabelled") for text in texts[:count]]
        rows = without_near_duplicates(rows, self.judged)
        teachers = [self.work / f"{REFERENCE}-{number}" for number in range(1, self.seeds + 1)]
        shares = [score_folder(teacher, rows).probabilities(Scaling()) for teacher in teachers]
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


def require_same(found: str, expected: str, place: Path) -> None:
    """Raises DatasetError unless what is kept in a place was made of what it is to be made of."""
    if found != expected:
        raise DatasetError(
            f"expected what these texts, labels, base and options give in {place}, found what others gave; remove it, "
            "or give another folder with --work"
        )


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


def judge(bench: Bench, variants: Sequence[Variant], progress: Callable[[str], None]) -> dict[str, Any]:
    """Every variant's figures, its differences to the reference of the same seeds, and which depth the rule names.

    Raises:
        DatasetError: answers of something else are kept; before anything is trained.
    """
    for variant in variants:
        for number in range(1, variant.runs(bench.seeds) + 1):
            bench.is_kept(variant, number)
    gold = gold_labels(bench.judged, bench.space)
    groups = near_duplicate_groups([example.text for example in bench.judged])
    service = [bench.space.index[key] for key in bench.space.service_keys]
    parts = {
        "all": np.arange(len(bench.judged)),
        "comments": np.array([i for i, example in enumerate(bench.judged) if example.source], dtype=int),
    }
    drawn: dict[str, dict[str, Drawn]] = {}
    entries: list[dict[str, Any]] = []

    def add(name: str, group: str, what: str, said: list[Predictions], **facts: Any) -> None:
        drawn[name] = {
            part: drawn_figures(gold.take(rows, service), [one.take(rows, service) for one in said])
            for part, rows in parts.items() if len(rows)
        }  # fmt: skip
        told = {
            part: told_of(own, None if name == REFERENCE else drawn[REFERENCE][part])
            for part, own in drawn[name].items()
        }
        entry = {"name": name, "group": group, "what": what, "seeds": len(said), **facts, **told.pop("all"), **told}
        entries.append(entry)
        progress(f"{name}: joint {100 * entry['figures']['joint']['value']:.1f}")

    for variant in variants:
        numbers = range(1, variant.runs(bench.seeds) + 1)
        scores = [bench.scores(variant, number) for number in numbers]
        minutes = [float((bench.folder(variant, number) / "minutes").read_text()) for number in numbers]
        facts = {"layers": len(variant.layers), "minutes": round(float(np.mean(minutes)), 1)}
        add(variant.name, variant.group, variant.what,
            [cross_fitted(one, gold, bench.space, groups) for one in scores], **facts)  # fmt: skip
        if variant.name == REFERENCE:
            flat = [common_threshold(one, gold, bench.space, groups) for one in scores]
            add(COMMON, "part", "the plain models with one mention threshold for all dimensions", flat)
    depths = {v.name: len(v.layers) for v in variants if v.group in ("depth", "both")}
    if len(depths) < 2:
        return {"variants": entries}
    return {"variants": entries, "depth": depth_rule({name: drawn[name]["all"] for name in depths}, depths)}


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
        "--seeds", type=int, default=3, help="runs of most variants, and teachers (default: %(default)s)"
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
        fit, judged = halves(gather(sources, space), options.texts, options.judged)
        bench = Bench(fit, judged, space, options.base, options.corpora, options.work, recipe, options.seeds,
                      options.unlabelled, options.tokens)  # fmt: skip
        chosen = [v for v in VARIANTS if options.only is None or v.name in {*options.only, REFERENCE}]
        found = judge(bench, chosen, logging.getLogger(__name__).info)
    except (BaseError, DatasetError, OSError) as error:
        print(f"benchmarks.ablation: {error}", file=sys.stderr)
        return 2
    facts = {
        "kind": "ablation", "fitted": len(fit), "judged": len(judged),
        "judged_comments": sum(bool(example.source) for example in judged), "epochs": options.epochs,
        "unlabelled": options.unlabelled, "tokens": options.tokens, "machine": machine(),
    }  # fmt: skip
    write_results(options.output, {**facts, **found})
    return 0


if __name__ == "__main__":
    sys.exit(main())
