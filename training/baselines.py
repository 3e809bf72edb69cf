"""Baselines on the same texts, judged by the same measure: TF-IDF with logistic regression, and SnowNLP.

`python -m training.baselines --data train.jsonl --dev real=dev.jsonl --json benchmarks/results/baselines.json`

With --run they are fitted to exactly the texts of a checkpoint's training, or not at all; CONTRIBUTING.md has the whole
command for the embedded checkpoint.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import random
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentiment.taxonomy import Taxonomy, load_taxonomy
from sentiment.text import normalise
from training.calibrate import calibrate
from training.evaluate import evaluate_sets
from training.example import DatasetError, Example
from training.linear import Fitted, characters, fit_linear, head_shape, scores_of, words
from training.metrics import HEADS
from training.results import Report, named_sets, set_facts, short, write_results
from training.run import Sources, gather
from training.scores import Scores, gold_labels
from training.seen import read_seen, text_hash
from training.steps import SEEN

Array = NDArray[Any]
Sets = Mapping[str, Sequence[Example]]

SNOWNLP_TEXTS = 500


def fit_snownlp(
    examples: Sequence[Example], judged: Sequence[str], taxonomy: Taxonomy, seed: int = 0, most: int = SNOWNLP_TEXTS
) -> Fitted:
    """SnowNLP's packaged sentiment model, its score cut into three classes where `most` training texts fit best."""
    labelled = [example for example in examples if example.overall is not None]
    random.Random(seed).shuffle(labelled)
    labelled = labelled[:most]
    gold = gold_labels([_only_overall(example) for example in labelled], taxonomy)
    odds = _snownlp([example.text for example in labelled])
    low, high = cut_points(odds, [str(example.overall) for example in labelled])
    rules = calibrate(_between(odds, low, high, taxonomy), gold, taxonomy)
    scores = _between(_snownlp(judged), low, high, taxonomy)
    cuts = {"low": low, "high": high}
    settings = {"texts": len(labelled), **{name: round(float(1 / (1 + np.exp(-cut))), 4) for name, cut in cuts.items()}}
    return Fitted(scores, rules, settings)


def cut_points(odds: Array, labels: Sequence[str]) -> tuple[float, float]:
    """The two values between which scores are neutral, below negative and above positive, with the fewest errors."""
    order = np.argsort(odds, kind="stable")
    ranked = np.array(labels)[order]
    below = {name: np.concatenate([[0], np.cumsum(ranked == name)]) for name in ("positive", "neutral", "negative")}
    # i texts lie below the lower cut, j below the upper one: errors are fewest where this sum is largest.
    right = (below["negative"] - below["neutral"])[:, None] + (below["neutral"] - below["positive"])[None, :]
    right = np.where(np.tri(len(right), k=-1, dtype=bool), -np.inf, right)
    i, j = np.unravel_index(int(right.argmax()), right.shape)
    edges = np.concatenate([[odds.min() - 1], odds[order], [odds.max() + 1]])
    middle = (edges[:-1] + edges[1:]) / 2
    return float(middle[i]), float(middle[j])


def _snownlp(texts: Sequence[str]) -> Array:
    """Log odds of "positive" by SnowNLP."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from snownlp import SnowNLP

        shares = [SnowNLP(text).sentiments if text else 0.5 for text in (normalise(text).text for text in texts)]
    clipped = np.clip(shares, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(clipped / (1 - clipped)))


def _between(odds: Array, low: float, high: float, taxonomy: Taxonomy) -> Scores:
    """Scores whose surest overall class is the one that the cut points say; all other heads say nothing."""
    sides = {"negative": low - odds, "neutral": np.minimum(odds - low, high - odds), "positive": odds - high}
    logits = {head: np.zeros(head_shape(head, len(odds), taxonomy)) for head in HEADS}
    return scores_of(logits | {"overall": np.stack([sides[name] for name in taxonomy.overall], 1)})


def run_baselines(
    training: Sequence[Example], development: Sets, test: Sets, taxonomy: Taxonomy, only: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Every baseline's reports: `sets` by rules fitted as a checkpoint's are, `training_rules` by the training texts'.

    The first are cross-fitted on the development sets, and for test sets fitted on all development texts.
    """
    titles: dict[str, tuple[str, str, Callable[[Sequence[str]], Fitted]]] = {
        "tfidf-characters": (
            "TF-IDF of characters (1–3-grams) + logistic regression",
            "字符 TF-IDF（1–3 元）+ 逻辑回归",
            lambda judged: fit_linear(characters, training, judged, taxonomy),
        ),
        "tfidf-words": (
            "TF-IDF of jieba words (1–2-grams) + logistic regression",
            "结巴分词 TF-IDF（1–2 元）+ 逻辑回归",
            lambda judged: fit_linear(words, training, judged, taxonomy),
        ),
        "snownlp": (
            "SnowNLP, two cut points",
            "SnowNLP（两个切分点）",
            lambda judged: fit_snownlp(training, judged, taxonomy),
        ),
    }
    models = []
    for name, (title, zh, fit) in titles.items():
        if only and name not in only:
            continue
        started = time.monotonic()
        sets = {**development, **test}
        fitted = fit([example.text for part in sets.values() for example in part])
        if name == "snownlp":
            sets = {key: [_only_overall(example) for example in part] for key, part in sets.items()}
        models.append(
            {
                "name": name,
                "title": title,
                "zh": zh,
                "kind": "baseline",
                "settings": fitted.settings,
                "seconds": round(time.monotonic() - started, 1),
                "sets": _judge(fitted.scores, sets, len(development), taxonomy),
                "training_rules": short(evaluate_sets(fitted.scores, sets, taxonomy, fitted.rules, named="training")),
            }
        )
        print(f"{name}: {models[-1]['seconds']} s", file=sys.stderr)
    return models


def _judge(scores: Scores, sets: Sets, development: int, taxonomy: Taxonomy) -> dict[str, Report]:
    names = list(sets)
    first = {name: sets[name] for name in names[:development]}
    rest = {name: sets[name] for name in names[development:]}
    examples = [example for part in first.values() for example in part]
    fitted, asked = scores.take(np.arange(len(examples))), scores.take(np.arange(len(examples), len(scores.overall)))
    reports = evaluate_sets(fitted, first, taxonomy)
    if rest:
        rules = calibrate(fitted, gold_labels(examples, taxonomy), taxonomy)
        reports |= evaluate_sets(asked, rest, taxonomy, rules, named="development")
    return short(reports)


def _only_overall(example: Example) -> Example:
    return replace(example, labels={}, annotated=frozenset(), intent=None, escalation=None)


def check_same_texts(training: Sequence[Example], run: Path) -> None:
    """
    Raises:
        DatasetError: the run does not say what it was trained on, or that is not what the baselines would be fitted to.
    """
    seen = read_seen(run)
    if seen is None:
        raise DatasetError(
            f"expected a run that says what it was trained on, found no {SEEN} in {run}; leave --run out"
        )
    given = {text_hash(example.text) for example in training}
    if given != seen:
        raise DatasetError(
            f"expected the texts that {run} was trained on, found {len(given - seen)} others and {len(seen - given)} "
            "missing; give the same --data, --standoff, --dev and --apart"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the baselines and writes their results."""
    parser = argparse.ArgumentParser(prog="python -m training.baselines", description=__doc__)
    parser.add_argument("--data", nargs="+", type=Path, required=True, metavar="FILE", help="labelled training files")
    parser.add_argument(
        "--standoff", nargs="+", type=Path, default=[], metavar="FILE", help="stand-off labels; need --corpora"
    )
    parser.add_argument("--corpora", type=Path, metavar="DIR", help="folder of the public corpora")
    parser.add_argument(
        "--dev", nargs="+", required=True, metavar="NAME=FILE", help="development sets, never fitted on"
    )
    parser.add_argument("--test", nargs="+", default=[], metavar="NAME=FILE", help="test sets")
    parser.add_argument(
        "--apart", nargs="+", type=Path, default=[], metavar="FILE", help="other texts whose near-duplicates go as well"
    )
    parser.add_argument("--run", type=Path, metavar="DIR", help="refuse unless fitted to the very texts of this run")
    parser.add_argument("--taxonomy", type=Path, metavar="FILE", help="label space (default: the packaged one)")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="tfidf-characters, tfidf-words, snownlp")
    parser.add_argument("--json", type=Path, required=True, metavar="OUT", help="where the results go")
    options = parser.parse_args(arguments)
    if options.standoff and options.corpora is None:
        parser.error("expected --corpora DIR beside --standoff, found none")
    try:
        taxonomy = load_taxonomy(options.taxonomy)
        development, test = named_sets(options.dev, taxonomy), named_sets(options.test, taxonomy)
        if set(development) & set(test):
            parser.error("expected different names for --dev and --test")
        measured = tuple(Path(item.partition("=")[2]) for item in (*options.dev, *options.test))
        sources = Sources(tuple(options.data), (*measured, *options.apart), tuple(options.standoff), options.corpora)
        training = gather(sources, taxonomy)
        if options.run is not None:
            check_same_texts(training, options.run)
    except DatasetError as error:
        parser.error(str(error))
    results = {
        "kind": "baselines",
        "training": {"texts": len(training), "files": [path.name for path in (*options.data, *options.standoff)]},
        "sets": set_facts(options.dev, development, "development") | set_facts(options.test, test, "test"),
        "versions": {name: importlib.metadata.version(name) for name in ("scikit-learn", "jieba", "snownlp")},
        "models": run_baselines(training, development, test, taxonomy, options.only),
    }
    write_results(options.json, results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
