"""What answers are worth: read off by hand, stricter than within folds, nothing gained by who knows nothing."""

from dataclasses import replace

import numpy as np
import pytest
import sklearn.metrics as sk

from cry_pipeline.evaluation.decisions import RECALLS, THRESHOLDS, decisions_of


def test_the_points_are_those_of_a_count_by_hand(run_of) -> None:
    rows = run_of(effect=1.5)
    found = decisions_of(rows, resamples=100, seed=0)
    assert found
    scores, positive = rows.probabilities[0, :, 1], rows.labels == 1
    assert (found.positive, found.share) == ("cry", positive.mean())
    for point, recall in zip(found.at_recall, RECALLS, strict=True):
        threshold = max(least for least in scores if (scores[positive] >= least).mean() >= recall)
        assert point.recall == recall
        assert point.specificity.value == pytest.approx((scores[~positive] < threshold).mean())
        assert point.unheard.value == pytest.approx((scores < threshold).mean())
        assert point.specificity.low <= point.specificity.value <= point.specificity.high
    for step in found.curve:
        odds, said = step.threshold / (1 - step.threshold), scores >= step.threshold
        benefit = ((said & positive).sum() - odds * (said & ~positive).sum()) / len(scores)
        everybody = positive.mean() - odds * (~positive).mean()
        assert step.net_benefit.value == pytest.approx(benefit)
        assert step.hear_all == pytest.approx(everybody)
        assert step.gained.value == pytest.approx(benefit - max(everybody, 0))


def test_a_recall_that_is_asked_for_more_leaves_less_unheard(run_of) -> None:
    found = decisions_of(run_of(effect=1.5, repeats=2), resamples=100, seed=0)
    assert found
    unheard = [point.unheard.value for point in found.at_recall]
    assert unheard == sorted(unheard, reverse=True)
    assert [step.threshold for step in found.curve] == list(THRESHOLDS)


def test_nothing_is_gained_by_what_knows_nothing(run_of) -> None:
    rows = run_of(effect=0.0)
    constant = replace(rows, probabilities=np.full_like(rows.probabilities, 0.5))
    found = decisions_of(constant, resamples=100, seed=0)
    assert found
    assert [point.unheard.value for point in found.at_recall] == [0, 0, 0]
    assert max(step.gained.value for step in found.curve) == pytest.approx(0)


def test_folds_are_asked_with_one_threshold(run_of) -> None:
    rows = run_of(effect=2.0)
    odds = np.log(rows.probabilities[..., 1] / rows.probabilities[..., 0]) + 4 * (rows.folds - 2)
    shifted = replace(rows, probabilities=np.stack([1 / (1 + np.exp(odds)), 1 / (1 + np.exp(-odds))], axis=-1))
    own, other = (decisions_of(one, resamples=100, seed=0) for one in (rows, shifted))
    assert own
    assert other
    area = [sk.roc_auc_score(rows.labels[rows.folds[0] == fold], odds[0, rows.folds[0] == fold]) for fold in range(5)]
    assert min(area) > 0.8, "within folds nothing changed"
    assert other.at_recall[1].specificity.value < own.at_recall[1].specificity.value - 0.2


def test_of_many_classes_there_is_no_yes_and_no(run_of) -> None:
    assert decisions_of(run_of(("hungry", "tired", "burping")), resamples=100, seed=0) is None
