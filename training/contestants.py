"""The contestants of `benchmarks/comparison.py`: each answers our own sets, and the held-out rows of a public set.

Own sets: the overall sentiment of three classes, and mentions where a program knows them. Public sets: positive or
negative. Whatever is fitted sees other texts than it is judged on.
"""

from __future__ import annotations

import functools
import hashlib
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from sentiment.checkpoint import Checkpoint
from sentiment.engine import Engine
from sentiment.scaling import Scaling
from sentiment.text import normalise
from training.bases import load_base
from training.calibrate import calibrate
from training.compare import compare
from training.evaluate import evaluate_sets, packaged_rules
from training.example import Example
from training.folders import score_folder
from training.linear import characters, fit_linear
from training.peers import PeerError, Peers
from training.public_sets import (
    CLASSES,
    SILENT,
    PublicSet,
    fit_cuts,
    gold_classes,
    sampled,
    two_class_figures,
)
from training.results import Report
from training.run import Sources, Start, load_start, run_training
from training.scores import Scores, gold_labels, score_examples
from training.train import Recipe

Array = NDArray[Any]
Sets = Mapping[str, Sequence[Example]]

STRENGTHS = (1.0, 4.0, 16.0)  # inverse regularisation of TF-IDF + logistic regression on the public sets
AS_PACKAGED = {"snownlp": 0.5, "cnsenti": 0.0}  # above it a text counts as positive where nothing was fitted
LOUDEST = 5.0  # logit of the class that a program names without saying how sure it is


@dataclass(frozen=True)
class Options:
    """How much is fitted and judged.

    rows: most other rows that our fine-tuning and SetFit learn from; mix: labelled files of ours of which `mix_rows`
    lines are mixed in; cut_texts: most texts that cut points are fitted on; peer_texts: most held-out rows that SnowNLP
    and cnsenti answer; setfit_base: `embedded` for the checkpoint's encoder, or what `--base` takes.
    """

    rows: int = 1500
    epochs: float = 2
    learning_rate: float = Recipe.learning_rate
    max_tokens: int = 128
    mix: tuple[Path, ...] = ()
    mix_rows: int = 1000
    cut_texts: int = 500
    peer_texts: int = 2000
    setfit_steps: int = 100
    setfit_base: str = "embedded"
    threads: int | None = None
    seed: int = 13


@dataclass(frozen=True)
class Bench:
    """What all contestants share. `work` keeps answers and runs; `development_files` are those of `development`."""

    options: Options
    checkpoint: Checkpoint
    start: Start
    peers: Peers
    work: Path
    development: Sets
    test: Sets
    development_files: tuple[Path, ...] = ()
    training: Sequence[Example] = ()

    @property
    def own(self) -> dict[str, Sequence[Example]]:
        return {**self.development, **self.test}

    @property
    def sized(self) -> list[Example]:
        """The training texts whose overall sentiment is known."""
        return [example for example in self.training if example.overall is not None]

    def kept(self, name: str, key: Mapping[str, Any], make: Callable[[], Any]) -> Any:
        """What `make` returns, with `seconds`; from `work` if it was made there before with an equal key."""
        whole = json.loads(json.dumps({"checkpoint": self.checkpoint.hash, "seed": self.options.seed, **key}))
        path = self.work / "answers" / f"{name}.json"
        if path.is_file():
            found = json.loads(path.read_text("utf-8"))
            if found["key"] == whole:
                return found["answer"]
        started = time.monotonic()
        made = {**make(), "seconds": round(time.monotonic() - started, 1)}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"key": whole, "answer": made}, ensure_ascii=False, allow_nan=False), "utf-8")
        print(f"{name}: {made['seconds']} s", file=sys.stderr)
        return made

    @functools.cached_property
    def before(self) -> Scores:
        """The checkpoint's answers to the development texts."""
        examples = [example for part in self.development.values() for example in part]
        return score_folder(self.checkpoint.folder, examples, self.options.threads)

    @functools.cached_property
    def encoder(self) -> Path:
        """The encoder's folder for SetFit."""
        folder = self.work / f"encoder-{self.checkpoint.hash[:8]}"
        if self.options.setfit_base != "embedded":
            model, tokenizer = load_base(self.options.setfit_base)
            folder = folder.with_name("encoder-given")
        else:
            whole, tokenizer, _ = load_start(self.start, self.options.max_tokens)
            model = whole.encoder
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return folder


def texts_of(sets: Sets) -> list[str]:
    return [example.text for part in sets.values() for example in part]


def fingerprint(texts: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def only_overall(sets: Sets) -> dict[str, list[Example]]:
    return {
        name: [replace(e, labels={}, annotated=frozenset(), intent=None, escalation=None) for e in part]
        for name, part in sets.items()
    }


def overall_scores(labels: Sequence[str], bench: Bench) -> Scores:
    """Scores that say the labels, and nothing else."""
    space, size = bench.checkpoint.taxonomy, len(labels)
    overall = np.zeros((size, len(space.overall)))
    overall[np.arange(size), [space.overall.index(label) for label in labels]] = LOUDEST
    count = len(space.keys)
    return Scores(
        np.zeros((size, count)), np.zeros((size, count, len(space.sentiments))), overall,
        np.zeros((size, len(space.intents))), np.zeros(size), np.zeros((size, count, 2), dtype=int),
    )  # fmt: skip


def judged(scores: Scores, bench: Bench, *, whole: bool, packaged: bool = False) -> dict[str, Any]:
    """The figures of each own set: development sets cross-fitted, test sets by rules from the development sets.

    Args:
        whole: mentions are judged too. packaged: test sets by the checkpoint's own rules.
    """
    space = bench.checkpoint.taxonomy
    development, test = (sets if whole else only_overall(sets) for sets in (bench.development, bench.test))
    examples = [example for part in development.values() for example in part]
    first, rest = scores.take(np.arange(len(examples))), scores.take(np.arange(len(examples), len(scores.overall)))
    reports: dict[str, Report] = evaluate_sets(first, development, space)
    if test:
        own = packaged_rules(bench.checkpoint) if packaged else calibrate(first, gold_labels(examples, space), space)
        reports |= evaluate_sets(rest, test, space, own, named="packaged" if packaged else "development")
    figures = {}
    for name, report in reports.items():
        overall = report.get("overall", {})
        figures[name] = {
            "texts": report["texts"],
            "rules": report["rules"],
            "overall": {key: overall.get(key) for key in ("accuracy", "macro_f1")},
            **{key: report.get("service", {}).get(key, {}).get("f1") for key in ("mention", "joint")},
        }
    return {"sets": figures}


def own_packaged(bench: Bench, engine: Engine) -> dict[str, Any]:
    examples = [example for part in bench.own.values() for example in part]
    return judged(score_examples(bench.checkpoint, engine, examples), bench, whole=True, packaged=True)


def own_tfidf(bench: Bench) -> dict[str, Any]:
    fitted = fit_linear(characters, bench.training, texts_of(bench.own), bench.checkpoint.taxonomy)
    return judged(fitted.scores, bench, whole=True) | {"settings": fitted.settings, "fitted": len(bench.training)}


def cuts_of(bench: Bench, peer: str, fit: Sequence[Example], classes: Sequence[str]) -> list[float]:
    """Cut points on a peer's score with the fewest errors on the texts of `fit`; those it cannot read do not count."""
    scores = bench.peers.scores(peer, [example.text for example in fit])
    known = [(score, str(e.overall)) for score, e in zip(scores, fit, strict=True) if score is not None]
    if not known:
        raise PeerError(f"expected {peer} to answer at least one text to fit cut points on, found none")
    return fit_cuts(np.array([score for score, _ in known]), [label for _, label in known], classes)


def own_scored(bench: Bench, peer: str) -> dict[str, Any]:
    """SnowNLP or cnsenti on own sets: two cut points, fitted on training texts. No answer is taken for neutral."""
    classes = ("negative", "neutral", "positive")
    fit = sampled(bench.sized, bench.options.cut_texts, bench.options.seed)
    cuts = cuts_of(bench, peer, fit, classes)
    said = [
        "neutral" if score is None else classes[int(np.searchsorted(cuts, score))]
        for score in bench.peers.scores(peer, texts_of(bench.own))
    ]
    return judged(overall_scores(said, bench), bench, whole=False) | {"fitted": len(fit), "settings": {"cuts": cuts}}


def own_setfit(bench: Bench) -> dict[str, Any]:
    fit = sampled(bench.sized, bench.options.rows, bench.options.seed)
    said = bench.peers.labels("setfit", fit, texts_of(bench.own), setfit_options(bench))
    return judged(overall_scores(said, bench), bench, whole=False) | {"fitted": len(fit)}


def setfit_options(bench: Bench) -> list[str]:
    options = bench.options
    found = ["--base", str(bench.encoder), "--steps", str(options.setfit_steps), "--seed", str(options.seed)]
    found += ["--max-tokens", str(options.max_tokens)]
    return [*found, "--threads", str(options.threads)] if options.threads else found


def sides(scores: Scores, bench: Bench, examples: Sequence[Example], scaling: Scaling) -> Array:
    """[N]: the larger of P(positive) and P(negative) after scaling; `SILENT` for texts that are not scored."""
    overall = scores.probabilities(scaling)["overall"]
    columns = [bench.checkpoint.taxonomy.overall.index(name) for name in CLASSES]
    unread = np.array([normalise(example.text).status != "ok" for example in examples], dtype=bool)
    return np.where(unread, SILENT, overall[:, columns].argmax(1))


def public_packaged(bench: Bench, part: PublicSet, engine: Engine) -> dict[str, Any]:
    said = sides(score_examples(bench.checkpoint, engine, part.held), bench, part.held, bench.checkpoint.scaling)
    return two_class_figures(gold_classes(part.held), said) | {"fitted": 0}


def public_fine_tuned(bench: Bench, part: PublicSet, mixed: bool) -> dict[str, Any]:
    """`cinesent train` on a sample of other rows that have nothing but overall, and with `mixed` on texts of ours too.

    Adds, under `development`, our own development figures before and after. The run's folder stays in `work`.
    """
    options = bench.options
    folder = bench.work / "runs" / f"{part.name}-{'mixed' if mixed else 'alone'}"
    fit = sampled(part.other, options.rows, options.seed)
    recipe = Recipe(
        epochs=options.epochs, learning_rate=options.learning_rate, max_tokens=options.max_tokens, seed=options.seed
    )
    with tempfile.TemporaryDirectory() as scratch:
        files = [Path(scratch) / "rows.jsonl"]
        rows = [json.dumps({"text": e.text, "overall": e.overall, "source": e.source}, ensure_ascii=False) for e in fit]
        files[0].write_text("\n".join(rows) + "\n", "utf-8")
        if mixed:
            files.append(Path(scratch) / "mix.jsonl")
            files[1].write_text("\n".join(mix_lines(options.mix, options.mix_rows, options.seed)) + "\n", "utf-8")
        run = run_training(Sources(tuple(files), bench.development_files), bench.start, folder, recipe)
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)  # optimiser states of a run that is over
    development = [example for examples in bench.development.values() for example in examples]
    scores = score_folder(folder, [*part.held, *development], options.threads)
    held, after = scores.take(np.arange(len(part.held))), scores.take(np.arange(len(part.held), len(scores.overall)))
    compared = None
    if development:
        compared = compare({"before": bench.before, "after": after}, bench.development, bench.checkpoint.taxonomy)
    settings = {"epochs": options.epochs, "learning_rate": options.learning_rate, "max_tokens": options.max_tokens}
    return two_class_figures(gold_classes(part.held), sides(held, bench, part.held, Scaling())) | {
        "fitted": run.metrics["texts"]["fitted"],
        "settings": settings,
        "development": compared,
    }


def mix_lines(files: Sequence[Path], most: int, seed: int) -> list[str]:
    """A sample of the labelled lines of our own files."""
    lines = [line for path in files for line in path.read_text("utf-8").splitlines() if line.strip()]
    chosen = np.random.default_rng(seed).permutation(len(lines))[:most]
    return [lines[i] for i in sorted(chosen)]


def public_tfidf(bench: Bench, part: PublicSet, most: int | None = None) -> dict[str, Any]:
    """The strength is chosen on a fifth of the other rows, then all of them are fitted; with `most`, of the sample
    of so many that our fine-tuning and SetFit get."""
    rows = part.other if most is None else sampled(part.other, most, bench.options.seed)
    texts = [normalise(example.text).text for example in rows]
    gold = gold_classes(rows)
    order = np.random.default_rng(bench.options.seed).permutation(len(texts))
    rest, chosen = order[len(order) // 5 :], order[: len(order) // 5]

    def answers(fit: Array, judged: Sequence[str], strengths: Sequence[float]) -> tuple[list[Array], int]:
        vectoriser = characters()
        known = vectoriser.fit_transform([texts[i] for i in fit])
        unseen = vectoriser.transform(judged)
        models = [
            LogisticRegression(C=c, solver="liblinear", dual=True, tol=0.01, max_iter=5000, random_state=0)
            for c in strengths
        ]
        return [np.asarray(model.fit(known, gold[fit]).predict(unseen)) for model in models], known.shape[1]

    tried, _ = answers(rest, [texts[i] for i in chosen], STRENGTHS)
    best = STRENGTHS[int(np.argmax([(said == gold[chosen]).mean() for said in tried]))]
    (said,), features = answers(order, [normalise(example.text).text for example in part.held], (best,))
    settings = {"strength": best, "features": features}
    return two_class_figures(gold_classes(part.held), said) | {"fitted": len(texts), "settings": settings}


def public_scored(bench: Bench, part: PublicSet, peer: str) -> dict[str, Any]:
    """SnowNLP or cnsenti on a sample of the held-out rows: one cut point, fitted on a sample of the others."""
    fit = sampled(part.other, bench.options.cut_texts, bench.options.seed)
    held = sampled(part.held, bench.options.peer_texts, bench.options.seed)
    (cut,) = cuts_of(bench, peer, fit, CLASSES)
    scores = bench.peers.scores(peer, [example.text for example in held])

    def figures(at: float) -> dict[str, Any]:
        said = np.array([SILENT if score is None else int(score > at) for score in scores])
        return two_class_figures(gold_classes(held), said)

    return figures(cut) | {
        "fitted": len(fit), "settings": {"cut": cut}, "as_packaged": figures(AS_PACKAGED[peer]),
    }  # fmt: skip


def public_setfit(bench: Bench, part: PublicSet) -> dict[str, Any]:
    fit = sampled(part.other, bench.options.rows, bench.options.seed)
    labels = bench.peers.labels("setfit", fit, [example.text for example in part.held], setfit_options(bench))
    said = np.array([CLASSES.index(label) for label in labels])
    return two_class_figures(gold_classes(part.held), said) | {"fitted": len(fit)}
