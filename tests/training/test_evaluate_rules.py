"""Which rules answer which text: a checkpoint's own, or those fitted without its fold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_scores import plain_rules, simulated, value

from sentiment.checkpoint import load_checkpoint
from sentiment.scaling import Scaling
from sentiment.taxonomy import Taxonomy
from training.calibrate import FOLDS, Calibration, calibrate
from training.evaluate import (
    EvaluationError,
    answer,
    cross_fitted_rules,
    evaluate_checkpoint,
    evaluate_sets,
)
from training.metrics import summary
from training.near_duplicates import near_duplicate_groups
from training.scores import Scores, gold_labels


def test_answer_wants_rules_for_every_text_once(taxonomy: Taxonomy) -> None:
    scores, _ = simulated(taxonomy, 10)
    rules = plain_rules(taxonomy)
    with pytest.raises(ValueError, match="each of 10 rows exactly once"):
        answer(scores, taxonomy, [(rules, np.arange(9))])
    with pytest.raises(ValueError, match="exactly once"):
        answer(scores, taxonomy, [(rules, np.arange(10)), (rules, np.array([3]))])


def test_each_text_is_answered_by_its_own_rules(taxonomy: Taxonomy) -> None:
    scores, _ = simulated(taxonomy, 30)
    strict = Calibration(
        Scaling({"mention": 2.0, "overall": 3.0}), dict.fromkeys((*taxonomy.keys, "escalation"), 0.9), {}
    )
    mild = plain_rules(taxonomy)
    odd, even = np.arange(1, 30, 2), np.arange(0, 30, 2)
    mixed = answer(scores, taxonomy, [(strict, odd), (mild, even)])
    for rules, rows in ((strict, odd), (mild, even)):
        alone = answer(scores, taxonomy, rules)
        assert (mixed.said.mention[rows] == alone.said.mention[rows]).all()
        for name, sure in mixed.sure.items():
            assert np.allclose(sure[rows], alone.sure[name][rows])


def test_cross_fitted_rules_are_fitted_without_the_texts_they_judge_and_their_near_duplicates(
    taxonomy: Taxonomy,
) -> None:
    scores, examples = simulated(taxonomy, 60)
    copies = [replace(e, text=e.text + "！") for e in examples]
    both = Scores(
        *(
            np.concatenate([getattr(scores, n)] * 2)
            for n in ("mention", "polarity", "overall", "intent", "escalation", "evidence")
        )
    )
    gold = gold_labels([*examples, *copies], taxonomy)
    parts = cross_fitted_rules(both, gold, [*examples, *copies], taxonomy)
    assert len(parts) == FOLDS
    groups = near_duplicate_groups([e.text for e in (*examples, *copies)])
    for rules, judged in parts:
        rest = np.setdiff1d(np.arange(120), judged)
        assert not {groups[i] for i in judged} & {groups[i] for i in rest}
        assert {i + 60 if i < 60 else i - 60 for i in judged} == set(judged)  # copies stay together
        assert rules == calibrate(both.take(rest), gold.take(rest), taxonomy)
        everything = calibrate(both, gold, taxonomy)
        assert rules != everything


def test_cross_fitting_is_over_all_sets_together(taxonomy: Taxonomy) -> None:
    scores, examples = simulated(taxonomy, 90)
    sets = {"first": examples[:50], "second": examples[50:]}
    reports = evaluate_sets(scores, sets, taxonomy, samples=50)
    assert {name: (report["texts"], report["rules"]) for name, report in reports.items()} == {
        "first": (50, "cross-fitted"),
        "second": (40, "cross-fitted"),
    }
    gold = gold_labels(examples, taxonomy)
    rules = cross_fitted_rules(scores, gold, examples, taxonomy)
    said = answer(scores, taxonomy, rules).said
    service = [taxonomy.index[key] for key in taxonomy.service_keys]
    rows = np.arange(50, 90)
    plain = summary(gold.take(rows, service), said.take(rows, service))
    assert value(reports["second"]["service"], "joint", "f1") == pytest.approx(plain["joint"], abs=1e-4)


def test_packaged_rules_are_named(taxonomy: Taxonomy) -> None:
    scores, examples = simulated(taxonomy, 20)
    (report,) = evaluate_sets(scores, {"all": examples}, taxonomy, plain_rules(taxonomy), samples=10).values()
    assert report["rules"] == "packaged"


def test_too_few_texts_to_cross_fit(taxonomy: Taxonomy) -> None:
    scores, examples = simulated(taxonomy, 9)
    with pytest.raises(EvaluationError, match="at least 10 different texts for cross-fitting, found 9"):
        evaluate_sets(scores, {"all": examples}, taxonomy)


def test_evaluate_checkpoint_wants_texts(tiny_checkpoint: Path) -> None:
    with pytest.raises(EvaluationError, match="found none; give --data"):
        evaluate_checkpoint(load_checkpoint(tiny_checkpoint), {"data": []})
