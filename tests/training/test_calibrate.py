from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sentiment.scaling import Scaling
from sentiment.taxonomy import Taxonomy
from training.calibrate import FOLDS, GRID, MIN_MENTIONS, Calibration, calibrate, cross_fitted, fit_scaling, folds
from training.metrics import HEADS, UNKNOWN, Predictions, summary
from training.scores import UNREAD, Scores


def simulated(taxonomy: Taxonomy, size: int = 600, sharpness: float = 1.0, seed: int = 0) -> tuple[Scores, Predictions]:
    """Labels drawn from the probabilities that logits at temperature 1 say, times `sharpness`: over 1 is too sure."""
    rng = np.random.default_rng(seed)
    count, intents = len(taxonomy.keys), len(taxonomy.intents)
    shapes = {"mention": (count,), "polarity": (count, 3), "overall": (3,), "intent": (intents,), "escalation": ()}
    logits = {name: rng.normal(0, 2, (size, *shape)) for name, shape in shapes.items()}
    logits["mention"] -= 2
    labels = {}
    for name, values in logits.items():
        if name in ("mention", "escalation"):
            labels[name] = (rng.random(values.shape) < 1 / (1 + np.exp(-values))).astype(int)
        else:
            labels[name] = (values + rng.gumbel(size=values.shape)).argmax(-1)
    labels["polarity"] = np.where(labels["mention"] == 1, labels["polarity"], UNKNOWN)
    scaled = {name: values * sharpness for name, values in logits.items()}
    evidence = np.zeros((size, count, 2), dtype=int)
    return Scores(**scaled, evidence=evidence), Predictions(**{name: labels[name] for name in HEADS})


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 2.5])
def test_temperatures_undo_the_sharpness_of_logits(taxonomy: Taxonomy, sharpness: float) -> None:
    rules = calibrate(*simulated(taxonomy, 3000, sharpness), taxonomy)
    for name, temperature in rules.scaling.temperatures.items():
        assert temperature == pytest.approx(sharpness, rel=0.12), name


def test_thresholds_come_from_the_grid_and_rare_dimensions_share_one(taxonomy: Taxonomy) -> None:
    scores, gold = simulated(taxonomy)
    mention = gold.mention.copy()
    rare = [2, 5]
    for k in rare:
        mention[np.flatnonzero(mention[:, k] == 1)[MIN_MENTIONS - 1 :], k] = 0
    gold = replace(gold, mention=mention, polarity=np.where(mention == 1, gold.polarity, UNKNOWN))
    rules = calibrate(scores, gold, taxonomy)
    assert set(rules.thresholds) == {*taxonomy.keys, "escalation"}
    assert all(threshold in GRID for threshold in rules.thresholds.values())
    assert rules.thresholds[taxonomy.keys[2]] == rules.thresholds[taxonomy.keys[5]]


def test_thresholds_find_the_gap_between_mentions_and_the_rest(taxonomy: Taxonomy) -> None:
    """Where mentions score 0.7 and all else 0.55, the threshold lies between, and not at the usual half."""
    scores, gold = simulated(taxonomy)
    odds = {1: np.log(0.7 / 0.3), 0: np.log(0.55 / 0.45)}
    scores = replace(scores, mention=np.where(gold.mention == 1, odds[1], odds[0]))
    rules = calibrate(scores, gold, taxonomy)
    shares = scores.probabilities(rules.scaling)["mention"]
    for k, key in enumerate(taxonomy.keys):
        said = gold.mention[:, k] == 1
        assert shares[~said, k].max() < rules.thresholds[key] <= shares[said, k].min()
    assert summary(gold, rules.decide(scores, taxonomy))["mention"] == 1.0


def test_decide_follows_the_rules(taxonomy: Taxonomy) -> None:
    scores, _ = simulated(taxonomy, 50)
    thresholds = dict.fromkeys(taxonomy.keys, 0.3) | {"escalation": 0.9}
    rules = Calibration(Scaling({"mention": 2.0, "escalation": 0.5}), thresholds, {})
    answer = rules.decide(scores, taxonomy)
    assert (answer.mention == 1).tolist() == (1 / (1 + np.exp(-scores.mention / 2)) >= 0.3).tolist()
    assert (answer.escalation == 1).tolist() == (1 / (1 + np.exp(-scores.escalation / 0.5)) >= 0.9).tolist()
    assert (answer.overall == scores.overall.argmax(-1)).all()
    said = answer.mention == 1
    assert (answer.polarity[said] == scores.polarity.argmax(-1)[said]).all()
    assert (answer.polarity[~said] == UNKNOWN).all()


def test_bounds_of_uncertain_flag_their_share(taxonomy: Taxonomy) -> None:
    scores, gold = simulated(taxonomy, 2000)
    rules = calibrate(scores, gold, taxonomy)
    sure = scores.probabilities(rules.scaling)["overall"].max(-1)
    assert (sure < rules.uncertain["overall"]).mean() == pytest.approx(0.15, abs=0.01)
    assert 0 <= rules.uncertain["escalation"] <= 0.2


def test_heads_without_labels_keep_temperature_one(taxonomy: Taxonomy) -> None:
    scores, gold = simulated(taxonomy, 100)
    unknown = replace(
        gold,
        overall=np.full(100, UNKNOWN),
        intent=np.full(100, UNKNOWN),
        escalation=np.full(100, UNKNOWN),
    )
    rules = calibrate(scores, unknown, taxonomy)
    assert [rules.scaling.temperatures[name] for name in ("overall", "intent", "escalation")] == [1.0, 1.0, 1.0]
    assert {rules.scaling.factors[name] for name in ("overall", "intent", "escalation")} == {1.0}
    assert not any(any(rules.scaling.biases[name]) for name in ("overall", "intent", "escalation"))
    assert 0.1 <= rules.thresholds["escalation"] <= 0.9


def test_calibrate_keeps_the_rules_of_the_start_where_nothing_was_judged(taxonomy: Taxonomy) -> None:
    scores, gold = simulated(taxonomy, 900)
    first = calibrate(scores, gold, taxonomy)
    start = replace(first, thresholds=dict.fromkeys(first.thresholds, 0.77))
    mention = gold.mention.copy()
    mention[:, 1] = UNKNOWN  # nobody judged it
    mention[mention[:, 2] == 0, 2] = UNKNOWN  # mentions alone: the least threshold would look best
    partly = replace(
        gold, mention=mention, polarity=np.where(mention == 1, gold.polarity, UNKNOWN), overall=np.full(900, UNKNOWN),
        escalation=np.where(gold.escalation == 1, 1, UNKNOWN),
    )  # fmt: skip
    rules = calibrate(scores, partly, taxonomy, start)
    kept = {taxonomy.keys[1], taxonomy.keys[2], "escalation"}
    assert {key for key, value in rules.thresholds.items() if value == 0.77} == kept
    for part in ("temperatures", "factors", "biases"):
        assert getattr(rules.scaling, part)["overall"] == getattr(start.scaling, part)["overall"]
    assert rules.scaling.temperatures["mention"] == pytest.approx(1.0, rel=0.2)
    alone = calibrate(scores, partly, taxonomy)
    assert alone.thresholds[taxonomy.keys[2]] == alone.thresholds[taxonomy.keys[1]]  # the pooled one


def test_calibrate_leaves_out_texts_that_were_not_scored(taxonomy: Taxonomy) -> None:
    scores, gold = simulated(taxonomy, 600)
    more = np.concatenate([np.arange(600), np.arange(300)])
    unread, doubled = scores.take(more), gold.take(more)
    unread.mention[600:], unread.overall[600:], unread.escalation[600:] = UNREAD, 0.0, UNREAD
    assert unread.unread.sum() == 300
    assert calibrate(unread, doubled, taxonomy) == calibrate(scores, gold, taxonomy)


def test_scaling_finds_biases_and_what_talk_of_the_film_does(taxonomy: Taxonomy) -> None:
    scores, gold = simulated(taxonomy, 4000)
    film = taxonomy.index["film"]
    about = np.where(np.arange(4000) % 2, 9.0, -9.0)  # every other text speaks of the film, beyond doubt
    mention = scores.mention * 1.5 + 0.8
    mention[:, film] = about
    overall = scores.overall * np.where(about > 0, 3.0, 1.5)[:, None] + np.array([0.9, 0.0, -0.9])
    found = fit_scaling(
        replace(scores, mention=mention, overall=overall),
        replace(gold, mention=np.where(np.arange(len(taxonomy.keys)) == film, about[:, None] > 0, gold.mention)),
        taxonomy,
    )
    assert found.temperatures["overall"] == pytest.approx(1.5, rel=0.1)
    assert found.factors["overall"] == pytest.approx(2.0, rel=0.1)
    assert found.factors["intent"] == pytest.approx(1.0, abs=0.1)
    first, _, last = found.biases["overall"]
    assert first - last == pytest.approx(-0.9, abs=0.2)  # what was added, between −1.8 / 1.5 and −1.8 / 3
    assert found.biases["mention"][0] == pytest.approx(-0.8 / 1.5, abs=0.1)


def test_scaling_of_a_few_texts_stays_near_the_prior(taxonomy: Taxonomy) -> None:
    scores, gold = simulated(taxonomy, 8)
    found = fit_scaling(scores, replace(gold, overall=np.zeros(8, int)), taxonomy)  # one class alone
    assert max(map(abs, found.biases["overall"])) < 2 and 0.3 < found.factors["overall"] < 3


def test_folds_judge_every_text_once_and_never_part_a_group(taxonomy: Taxonomy) -> None:
    scores, gold = simulated(taxonomy, 120)
    groups = [i // 3 for i in range(120)]
    parts = folds(scores, gold, taxonomy, groups)
    assert len(parts) == FOLDS
    assert sorted(int(i) for _, _, judged in parts for i in judged) == list(range(120))
    for _, fitted, judged in parts:
        assert not set(fitted) & set(judged)
        assert not {groups[i] for i in fitted} & {groups[i] for i in judged}


def test_cross_fitting_never_uses_the_judged_fold(taxonomy: Taxonomy) -> None:
    """The rules for a fold stay the same whatever its own labels and scores are; those of the others change."""
    scores, gold = simulated(taxonomy, 200)
    groups = list(range(200))
    before = folds(scores, gold, taxonomy, groups)
    for number, (_, _, judged) in enumerate(before):
        mention, overall, logits = gold.mention.copy(), gold.overall.copy(), scores.mention.copy()
        mention[judged], overall[judged], logits[judged] = 1, 0, 9.0
        polarity = np.where(mention == 1, 0, UNKNOWN)
        polarity[gold.mention == 1] = gold.polarity[gold.mention == 1]
        changed = replace(gold, mention=mention, overall=overall, polarity=polarity)
        after = folds(replace(scores, mention=logits), changed, taxonomy, groups)
        assert after[number][0] == before[number][0]
        assert all(after[other][0] != before[other][0] for other in range(FOLDS) if other != number)


def test_cross_fitted_labels_are_each_folds_own(taxonomy: Taxonomy) -> None:
    scores, gold = simulated(taxonomy, 150)
    groups = [i // 2 for i in range(150)]
    guess = cross_fitted(scores, gold, taxonomy, groups)
    for rules, _, judged in folds(scores, gold, taxonomy, groups):
        answer = rules.decide(scores.take(judged), taxonomy)
        for name in HEADS:
            assert (getattr(guess, name)[judged] == getattr(answer, name)).all()


def test_thresholds_fitted_on_noise_flatter_and_cross_fitting_does_not(taxonomy: Taxonomy) -> None:
    """Scores that know nothing: fitted and judged on the same texts they look better than they are."""
    flattered, honest = [], []
    for seed in range(6):
        _, gold = simulated(taxonomy, 150, seed=seed)
        scores, _ = simulated(taxonomy, 150, seed=100 + seed)
        flattered.append(summary(gold, calibrate(scores, gold, taxonomy).decide(scores, taxonomy))["mention"])
        honest.append(summary(gold, cross_fitted(scores, gold, taxonomy, range(150)))["mention"])
    assert np.mean(flattered) > np.mean(honest)


def test_calibrate_without_an_escalation_leaves_that_head_as_it_was(taxonomy: Taxonomy) -> None:
    scores, gold = simulated(taxonomy)
    start = calibrate(scores, gold, taxonomy)
    none = replace(gold, escalation=np.zeros(600, dtype=int))
    for before in (None, start):
        rules = calibrate(scores, none, taxonomy, before)
        expected = Scaling() if before is None else before.scaling
        assert rules.scaling.temperatures["escalation"] == expected.temperatures.get("escalation", 1.0)
        assert rules.scaling.biases["escalation"] == expected.biases.get("escalation", (0.0,))
    # Where nothing should be called, nothing says that calling was wrong either.
    np.testing.assert_array_equal(rules.decide(scores, taxonomy).escalation, start.decide(scores, taxonomy).escalation)
