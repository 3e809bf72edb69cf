"""A checkpoint judged on labelled texts: rates with intervals, calibration, evidence, the surest mistakes.

`evaluate` is pure: arrays in, a report of plain numbers out. `evaluate_checkpoint` runs a model first. What nobody
labelled is left out of the report; no number in it is ever NaN.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sentiment.text import normalise
from training.calibrate import FOLDS, Calibration, folds
from training.metrics import HEADS, UNKNOWN, Predictions, cells
from training.rates import ECE_SOURCE, calibration_error, f1, rates, ratio, resampled, rounded
from training.results import Report, set_rows
from training.scores import Scores, gold_labels, score_examples

if TYPE_CHECKING:
    from sentiment.checkpoint import Checkpoint
    from sentiment.taxonomy import Taxonomy
    from training.example import Example

Array = NDArray[Any]
Rules = Calibration | Sequence[tuple[Calibration, Array]]

REPORT_SCHEMA = 1
# A dimension with fewer gold mentions is too uncertain to count in a mean over dimensions.
MACRO_MENTIONS = 30
# Texts that a person would look at: the least certain ones, by the model's confidence in `overall`.
LEAST_CERTAIN = 0.15
SHOWN_MISTAKES = 20
NONE = "none"


class EvaluationError(ValueError):
    """Labelled texts that cannot be judged on; the message says what was expected, what was found, what to do."""


@dataclass(frozen=True)
class Answers:
    """What rules make of scores: the labels, and how sure the model is of each.

    `sure`: `dimensions` [N, K] (mention × sentiment), `overall`, `intent`, `escalation` [N], each of the label given.
    """

    said: Predictions
    sure: dict[str, Array]

    def take(self, index: Array | Sequence[int]) -> Answers:
        return Answers(self.said.take(index), {name: values[index] for name, values in self.sure.items()})


def answer(scores: Scores, taxonomy: Taxonomy, rules: Rules) -> Answers:
    """Labels and confidences, either by one set of rules or by the rules given for each part of the rows."""
    size = len(scores.overall)
    parts = [(rules, np.arange(size))] if isinstance(rules, Calibration) else list(rules)
    if sorted(int(i) for _, rows in parts for i in rows) != list(range(size)):
        raise ValueError(f"expected rules for each of {size} rows exactly once")
    labels: dict[str, Array] = {}
    sure: dict[str, Array] = {}

    def put(table: dict[str, Array], name: str, rows: Array, values: Array) -> None:
        table.setdefault(name, np.zeros((size, *values.shape[1:]), values.dtype))[rows] = values

    for calibration, rows in parts:
        part = scores.take(rows)
        said = calibration.decide(part, taxonomy)
        shares = part.probabilities(calibration.scaling)
        for name in HEADS:
            put(labels, name, rows, getattr(said, name))
        put(sure, "dimensions", rows, shares["mention"] * shares["polarity"].max(-1))
        put(sure, "overall", rows, shares["overall"].max(-1))
        put(sure, "intent", rows, shares["intent"].max(-1))
        risk = shares["escalation"]
        put(sure, "escalation", rows, np.where(said.escalation == 1, risk, 1 - risk))
    return Answers(Predictions(*(labels[name] for name in HEADS)), sure)


def evaluate(
    scores: Scores,
    gold: Predictions,
    examples: Sequence[Example],
    taxonomy: Taxonomy,
    rules: Rules,
    *,
    rows: Array | None = None,
    exclude: Collection[str] = (),
    samples: int = 1000,
    seed: int = 0,
    show_texts: bool = False,
) -> Report:
    """Judges scores against labels.

    Args:
        rules: one set for all texts, or pairs of rules and the rows that they decide (cross-fitting).
        rows: the texts to report on; all by default.
        exclude: dimensions to leave out.
        samples: bootstrap resamples of the texts behind each 95% interval (percentiles; Efron and Tibshirani 1993).
        show_texts: quote the texts of mistakes; otherwise they are named by id, or by the sha256 of the text.

    Returns:
        Plain numbers by name. A rate is `{"value", "low", "high"}`. A head without labels is missing.
    """
    answers = answer(scores, taxonomy, rules)
    evidence = scores.evidence
    if rows is not None:
        answers, gold, evidence = answers.take(rows), gold.take(rows), evidence[rows]
        examples = [examples[i] for i in rows]
    mention = gold.mention.copy()
    mention[:, [taxonomy.index[key] for key in exclude]] = UNKNOWN
    gold = replace(gold, mention=mention)
    # A text that the product does not score (empty, not Chinese) gets no label: where it has one, that is a miss.
    unread = np.array([normalise(example.text).status != "ok" for example in examples], dtype=bool)
    said = silent(answers.said, unread)
    overlap, compared = _overlaps(gold, said, evidence, examples, taxonomy)
    doubtful, sized = _least_certain(gold, said, answers.sure["overall"])
    wrong = sized & (gold.overall != said.overall)
    tables = dict(zip(("gold", "called", "found", "joint"), cells(gold, said), strict=True)) | {
        "overall": _confusion(gold.overall, said.overall, len(taxonomy.overall)),
        "intent": _confusion(gold.intent, said.intent, len(taxonomy.intents)),
        "escalation": _escalation(gold, said),
        "overlap": np.stack([overlap, compared], 1),
        "risk": np.stack([wrong, wrong & doubtful, sized & ~doubtful, wrong & ~doubtful], 1),
    }
    sums = resampled(tables, samples, seed)
    judged = (gold.mention != UNKNOWN).sum(0)
    report: Report = {"schema": REPORT_SCHEMA, "texts": len(examples), "unread": int(unread.sum())}
    for name, keys in (("service", taxonomy.service_keys), ("all", taxonomy.keys)):
        chosen = [taxonomy.index[key] for key in keys if judged[taxonomy.index[key]]]
        if chosen:
            report[name] = _micro(sums, chosen, taxonomy)
    if judged.any():
        report["dimension_labels"] = [NONE, *taxonomy.sentiments]
        report["dimensions"] = {
            key: {
                "texts": int(judged[k]),
                **_mentions(*(sums[name][:, k] for name in ("gold", "called", "found", "joint"))),
                "confusion": _dimension_confusion(gold, said, k, len(taxonomy.sentiments)),
            }
            for k, key in enumerate(taxonomy.keys)
            if judged[k]
        }
    for name, labels in (("overall", taxonomy.overall), ("intent", taxonomy.intents)):
        if sums[name][0].any():
            report[name] = _classes(sums[name], labels)
    known = int((gold.escalation != UNKNOWN).sum())
    if known:
        support, called, found = sums["escalation"].T
        counts = {"texts": known, "support": int(support[0]), "called": int(called[0])}
        report["escalation"] = {**counts, **f1(support, called, found)}
    report["calibration"] = _calibration(gold, said, answers.sure)
    risk = sums["risk"].T
    if sized.any():
        report["risk_coverage"] = {
            "share": LEAST_CERTAIN,
            "texts": int(doubtful.sum()),
            "errors": int(risk[0][0]),
            "errors_caught": int(risk[1][0]),
            **rates(caught=ratio(risk[1], risk[0]), accuracy_of_the_rest=1 - ratio(risk[3], risk[2])),
        }
    if sums["overlap"][0, 1]:
        mean = ratio(sums["overlap"][:, 0], sums["overlap"][:, 1])
        report["evidence"] = {"mentions": int(sums["overlap"][0, 1]), **rates(f1=mean)}
    report["mistakes"] = _mistakes(gold, replace(answers, said=said), examples, taxonomy, show_texts)
    return report


def evaluate_sets(
    scores: Scores,
    sets: Mapping[str, Sequence[Example]],
    taxonomy: Taxonomy,
    rules: Calibration | None = None,
    named: str = "packaged",
    **options: Any,
) -> dict[str, Report]:
    """A report for each set; `scores` holds the sets' texts one after another.

    Without `rules` they are cross-fitted over all sets together, as a checkpoint's own are fitted: five folds of whole
    near-duplicate groups, each decided by rules from the other four.

    Args:
        named: where `rules` come from, a key of `RULES`. `options` go to `evaluate`.
    """
    examples = [example for part in sets.values() for example in part]
    gold = gold_labels(examples, taxonomy)
    used: Rules = rules if rules is not None else cross_fitted_rules(scores, gold, examples, taxonomy)
    reports = {}
    for name, rows in set_rows(sets).items():
        report = evaluate(scores, gold, examples, taxonomy, used, rows=rows, **options)
        reports[name] = report | {"rules": named if rules is not None else "cross-fitted"}
    return reports


def cross_fitted_rules(
    scores: Scores, gold: Predictions, examples: Sequence[Example], taxonomy: Taxonomy
) -> list[tuple[Calibration, Array]]:
    """Rules for each fold, fitted without it.

    Raises:
        EvaluationError: too few different texts for the folds.
    """
    from training.near_duplicates import near_duplicate_groups

    groups = near_duplicate_groups([example.text for example in examples])
    if len(set(groups)) < 2 * FOLDS:
        raise EvaluationError(
            f"expected at least {2 * FOLDS} different texts for cross-fitting, found {len(set(groups))}; "
            "leave --cross-fit out to use the checkpoint's own rules"
        )
    return [(rules, judged) for rules, _, judged in folds(scores, gold, taxonomy, groups)]


def packaged_rules(checkpoint: Checkpoint) -> Calibration:
    """The rules that a checkpoint decides by."""
    thresholds = {"escalation": 0.5, **checkpoint.thresholds}
    return Calibration(checkpoint.scaling, thresholds, checkpoint.uncertain)


def evaluate_checkpoint(
    checkpoint: Checkpoint,
    sets: Mapping[str, Sequence[Example]],
    *,
    cross_fit: bool = False,
    taxonomy: Taxonomy | None = None,
    threads: int | None = None,
    runtime: str = "onnxruntime",
    **options: Any,
) -> dict[str, Report]:
    """Runs a packaged checkpoint on sets of labelled texts and reports on each.

    Args:
        cross_fit: refit thresholds and scaling for each fold without it, for texts that the checkpoint's own were
            fitted on; by default the checkpoint's own are used.
        taxonomy: names and lenses in place of the checkpoint's; same keys.
        threads: CPU threads. `options` go to `evaluate`.
        runtime: as `Analyzer.load` takes it; by default float32, which is comparable from processor to processor.

    Raises:
        EvaluationError: no texts, no labels, or too few texts to cross-fit. RuntimeChoiceError: no such runtime here.
    """
    from sentiment.engine import Engine
    from sentiment.runtimes import decided_by

    examples = [example for part in sets.values() for example in part]
    if not examples:
        raise EvaluationError("expected labelled texts, found none; give --data FILE")
    if not any(e.annotated or e.overall or e.intent or e.escalation is not None for e in examples):
        raise EvaluationError(
            "expected at least one label, found none; name the columns by dimension keys, overall, intent or escalation"
        )
    space = checkpoint.taxonomy if taxonomy is None else checkpoint.taxonomy.with_names_of(taxonomy)
    engine = Engine(checkpoint, threads=threads, runtime=runtime)
    checkpoint = decided_by(engine.runtime, checkpoint)
    scores = score_examples(checkpoint, engine, examples)
    return evaluate_sets(scores, sets, space, None if cross_fit else packaged_rules(checkpoint), **options)


def silent(said: Predictions, unread: Array) -> Predictions:
    """No mentions, no classes and no escalation for texts that were not read."""
    return Predictions(
        np.where(unread[:, None], 0, said.mention),
        np.where(unread[:, None], UNKNOWN, said.polarity),
        *(np.where(unread, UNKNOWN, getattr(said, name)) for name in ("overall", "intent", "escalation")),
    )


def _confusion(truth: Array, said: Array, classes: int) -> Array:
    """[N, classes, classes + 1]: one at (truth, said); the last column is for texts without an answer."""
    table = np.zeros((len(truth), classes, classes + 1))
    known = np.flatnonzero(truth != UNKNOWN)
    table[known, truth[known], np.where(said[known] == UNKNOWN, classes, said[known])] = 1
    return table


def _dimension_confusion(gold: Predictions, said: Predictions, k: int, sentiments: int) -> list[list[int]]:
    """Counts of one dimension by (truth, said), each not mentioned first, then the sentiments."""
    known = gold.mention[:, k] != UNKNOWN
    truth, answer = (np.where(table.mention[known, k] == 1, table.polarity[known, k] + 1, 0) for table in (gold, said))
    counts = np.zeros((sentiments + 1, sentiments + 1), dtype=int)
    np.add.at(counts, (truth, answer), 1)
    return [[int(n) for n in row] for row in counts]


def _escalation(gold: Predictions, said: Predictions) -> Array:
    """[N, 3]: should be escalated, was (where judged), both."""
    should, was = gold.escalation == 1, (said.escalation == 1) & (gold.escalation != UNKNOWN)
    return np.stack([should, was, should & was], 1)


def _least_certain(gold: Predictions, said: Predictions, sure: Array) -> tuple[Array, Array]:
    """[N] each: among the least certain of the texts whose overall label is known; that label is known."""
    known = (gold.overall != UNKNOWN) & (said.overall != UNKNOWN)
    rows = np.flatnonzero(known)
    order = rows[np.argsort(sure[rows], kind="stable")]
    doubtful = np.zeros(len(known), dtype=bool)
    doubtful[order[: round(LEAST_CERTAIN * len(order))]] = True
    return doubtful, known


def _overlaps(
    gold: Predictions, said: Predictions, evidence: Array, examples: Sequence[Example], taxonomy: Taxonomy
) -> tuple[Array, Array]:
    """[N] each: summed character F1 of evidence and gold span over found mentions with a gold span; their number."""
    total, number = np.zeros(len(examples)), np.zeros(len(examples))
    if not evidence.any():  # a model that shows none
        return total, number
    for i, k in zip(*np.nonzero(cells(gold, said)[2]), strict=True):
        _, start, end = examples[i].labels[taxonomy.keys[k]]
        if start < 0:
            continue
        first, last = (int(place) for place in evidence[i, k])
        shared = max(0, min(end, last) - max(start, first))
        total[i] += 2 * shared / (end - start + last - first)
        number[i] += 1
    return total, number


def _mentions(gold: Array, called: Array, found: Array, joint: Array) -> dict[str, Any]:
    counts = {"support": int(gold[0]), "called": int(called[0])}
    return {**counts, "mention": f1(gold, called, found), "joint": f1(gold, called, joint)}


def _micro(sums: Mapping[str, Array], chosen: Sequence[int], taxonomy: Taxonomy) -> dict[str, Any]:
    """Rates over the chosen dimensions' mentions together, and the mean of their joint F1 over those with enough."""
    gold, called, found, joint = (sums[name][:, chosen] for name in ("gold", "called", "found", "joint"))
    report = _mentions(*(table.sum(1) for table in (gold, called, found, joint)))
    enough = np.flatnonzero(gold[0] >= MACRO_MENTIONS)
    if len(enough):
        mean = ratio(2 * joint, gold + called)[:, enough].mean(1)
        keys = [taxonomy.keys[chosen[int(k)]] for k in enough]
        report["macro_joint"] = {**rates(f1=mean)["f1"], "dimensions": keys, "least_mentions": MACRO_MENTIONS}
    return report


def _classes(confusion: Array, labels: Sequence[str]) -> dict[str, Any]:
    """Accuracy, macro-F1 over the classes that occur, and the confusion (rows are truth) of summed tables."""
    right = np.diagonal(confusion[:, :, :-1], axis1=1, axis2=2)
    total = confusion.sum(2) + confusion[:, :, :-1].sum(1)
    scores = ratio(2 * right, total)
    macro = ratio(np.where(np.isnan(scores), 0, scores).sum(1), (total > 0).sum(1))
    return {
        "texts": int(confusion[0].sum()),
        **rates(accuracy=ratio(right.sum(1), confusion.sum((1, 2))), macro_f1=macro),
        "labels": list(labels),
        "confusion": confusion[0, :, :-1].astype(int).tolist(),
        "unread": int(confusion[0, :, -1].sum()),
    }


def _calibration(gold: Predictions, said: Predictions, sure: Mapping[str, Array]) -> dict[str, Any]:
    """Calibration of the labels that were given and judged."""
    _, called, _, agreed = cells(gold, said)
    pairs = {"dimensions": (sure["dimensions"][called], agreed[called])}
    for name in ("overall", "intent", "escalation"):
        truth, label = getattr(gold, name), getattr(said, name)
        known = (truth != UNKNOWN) & (label != UNKNOWN)
        pairs[name] = (sure[name][known], (truth == label)[known])
    heads = {name: calibration_error(*pair) for name, pair in pairs.items() if len(pair[0])}
    return {"estimator": ECE_SOURCE, **heads}


def _mistakes(
    gold: Predictions, answers: Answers, examples: Sequence[Example], taxonomy: Taxonomy, show_texts: bool
) -> list[dict[str, Any]]:
    """The wrong labels of which the model is surest. A mention that it did not see is no label it gave."""
    said, sure = answers.said, answers.sure
    found: list[tuple[float, int, str, str, str]] = []  # confidence, text, head, label, truth
    _, called, _, agreed = cells(gold, said)
    for i, k in zip(*np.nonzero(called & ~agreed), strict=True):
        truth = taxonomy.sentiments[gold.polarity[i, k]] if gold.mention[i, k] == 1 else NONE
        found.append((sure["dimensions"][i, k], i, taxonomy.keys[k], taxonomy.sentiments[said.polarity[i, k]], truth))
    names: dict[str, Sequence[str]] = {
        "overall": taxonomy.overall, "intent": taxonomy.intents, "escalation": ("false", "true"),
    }  # fmt: skip
    for head, labels in names.items():
        truths, guesses = getattr(gold, head), getattr(said, head)
        for i in map(int, np.flatnonzero((truths != UNKNOWN) & (guesses != UNKNOWN) & (truths != guesses))):
            found.append((sure[head][i], i, head, labels[guesses[i]], labels[truths[i]]))
    found.sort(key=lambda mistake: (-mistake[0], mistake[1], mistake[2]))
    return [
        {"id": text_id(examples[i]), "head": head, "said": label, "gold": truth, "confidence": rounded(confidence)}
        | ({"text": examples[i].text} if show_texts else {})
        for confidence, i, head, label, truth in found[:SHOWN_MISTAKES]
    ]


def text_id(example: Example) -> str:
    """The text's own id, or the sha256 of the text."""
    return example.id or hashlib.sha256(example.text.encode("utf-8", "surrogatepass")).hexdigest()
