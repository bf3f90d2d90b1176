"""Slopes and intercepts do what they say, curves are counted right, keeping quiet pays where the model knows."""

from dataclasses import replace

import numpy as np
import pytest
import sklearn.metrics as sk
from scipy.special import softmax
from sklearn.calibration import calibration_curve

from cry_pipeline.evaluation.calibration import abstention, calibrated, calibration_of, reliability
from cry_pipeline.evaluation.findings import Interval
from cry_pipeline.evaluation.predictions import OutOfFold

REASONS = ("hungry", "tired", "burping")
DRAWS = {"resamples": 200, "seed": 0}


def overconfident(run_of, factor: float = 3.0, shift: float = 3.0, **given: float) -> OutOfFold:
    """Return a run whose logits are ``factor`` times what they should be, and off by ``shift``; each fold knows it."""
    rows = run_of(repeats=2, donors=200, **given)
    logits = np.log(rows.probabilities)
    intercepts = np.zeros_like(rows.probabilities)
    intercepts[..., 1] = -shift / factor
    # ln(p1/p0) of the made-up predictions is N(±effect, 2): its calibrated slope is effect.
    return replace(
        rows,
        probabilities=softmax(factor * logits * given["effect"] + np.array([0, shift]), axis=-1),
        slopes=np.full(rows.folds.shape, 1 / factor),
        intercepts=intercepts,
    )


def test_before_and_after_show_what_slope_and_intercept_are_worth(run_of) -> None:
    rows = overconfident(run_of, effect=1.0)
    found = calibration_of(rows, **DRAWS)
    before, after, straight = found.as_predicted, found.calibrated, calibrated(rows)
    assert after is not None
    assert after.ece.high < before.ece.low
    assert before.said.low > before.came_true.high, "the shift shows"
    assert after.said.value == pytest.approx(after.came_true.value, abs=0.03)
    truth = np.tile(rows.labels, 2)
    for held, of in ((before, rows), (after, straight)):
        said = of.probabilities[:, :, 1].ravel()
        assert held.log_loss.value == pytest.approx(sk.log_loss(truth, said))
        assert held.brier.value == pytest.approx(sk.brier_score_loss(truth, said))
        assert held.log_loss.low < held.log_loss.value < held.log_loss.high
        assert (held.said.value, held.came_true.value) == (pytest.approx(said.mean()), pytest.approx(truth.mean()))
        assert held.said.low < held.said.value < held.said.high
    assert found.of == "probability of cry"
    assert (calibrated(straight).probabilities == straight.probabilities).all(), "not twice"


def test_slopes_and_intercepts_are_summed_up_over_folds(run_of) -> None:
    rows = run_of(REASONS, effect=1.0, repeats=2)
    intercepts = np.stack([0 * rows.folds, 2 * rows.folds, -1.0 * rows.folds], axis=-1)
    found = calibration_of(replace(rows, slopes=1.0 + rows.folds, intercepts=intercepts), **DRAWS)
    assert found.slope == Interval(value=3, low=1, high=5)
    assert found.intercepts == {
        "tired": Interval(value=4, low=0, high=8),
        "burping": Interval(value=-2, low=-4, high=0),
    }


def test_what_no_fold_fitted_is_not_called_calibrated(run_of) -> None:
    assert calibration_of(run_of(effect=1.0), **DRAWS).calibrated is None


def test_the_reliability_curve_of_two_classes_is_scikit_learns(run_of) -> None:
    rows = run_of(effect=1.0, repeats=3)
    held = reliability(rows, **DRAWS)
    truth, said = np.tile(rows.labels, 3), rows.probabilities[:, :, 1].ravel()
    rate, mean = calibration_curve(truth, said, n_bins=10)
    np.testing.assert_allclose([each.rate.value for each in held.curve], rate)
    np.testing.assert_allclose([each.probability for each in held.curve], mean)
    counts = np.histogram(said, np.linspace(0, 1, 11))[0]
    assert [each.predictions for each in held.curve] == [count for count in counts if count]
    assert held.ece.value == pytest.approx(np.average(np.abs(rate - mean), weights=counts[counts > 0]))
    assert all(each.rate.low <= each.rate.value <= each.rate.high for each in held.curve)
    assert all(each.low <= each.probability <= each.high for each in held.curve)


def test_of_more_classes_the_curve_is_about_the_answer_given(run_of) -> None:
    rows = run_of(REASONS, effect=1.0)
    held = reliability(rows, **DRAWS)
    said, right = rows.probabilities[0].max(axis=1), rows.probabilities[0].argmax(axis=1) == rows.labels
    rate, mean = calibration_curve(right, said, n_bins=10)
    np.testing.assert_allclose([each.rate.value for each in held.curve], rate)
    np.testing.assert_allclose([each.probability for each in held.curve], mean)
    shares = [each.predictions / len(said) for each in held.curve]
    assert held.ece.value == pytest.approx(np.average(np.abs(rate - mean), weights=shares))
    assert (held.said.value, held.came_true.value) == (pytest.approx(said.mean()), pytest.approx(right.mean()))


def test_a_certain_prediction_falls_into_the_last_bin(run_of) -> None:
    rows = run_of()
    held = reliability(replace(rows, probabilities=np.eye(2)[rows.labels][None]), **DRAWS)
    assert [(each.low, each.high, each.rate.value) for each in held.curve] == [(0.0, 0.1, 0.0), (0.9, 1.0, 1.0)]
    assert held.ece.value == 0


def test_abstention_keeps_the_surest_and_says_what_a_constant_answer_would_get(run_of) -> None:
    rows = run_of(REASONS, effect=1.0, repeats=2)
    points = abstention(rows, **DRAWS)
    sure, answer = rows.probabilities.max(axis=2).ravel(), rows.probabilities.argmax(axis=2).ravel()
    truth = np.tile(rows.labels, 2)
    assert [point.coverage for point in points] == pytest.approx(np.arange(20, 0, -1) / 20, abs=1 / len(sure))
    for point in points:
        kept = sure >= point.confidence
        present = np.unique(truth[kept])
        assert point.coverage == pytest.approx(kept.mean())
        assert point.accuracy.value == pytest.approx((answer == truth)[kept].mean())
        assert point.majority_rate == pytest.approx(np.bincount(truth[kept]).max() / kept.sum())
        recall = sk.recall_score(truth[kept], answer[kept], labels=present, average="macro")
        assert point.uar.value == pytest.approx(recall)
        assert point.classes == len(present)
        assert point.accuracy.low <= point.accuracy.value <= point.accuracy.high
    assert points[10].accuracy.value > points[0].accuracy.high, "what the model is sure of it gets right"


def test_a_model_that_always_says_the_same_has_nothing_to_keep_quiet_about(run_of) -> None:
    rows = run_of(REASONS)
    constant = replace(rows, probabilities=np.broadcast_to([0.5, 0.3, 0.2], rows.probabilities.shape))
    (point,) = abstention(constant, **DRAWS)
    assert (point.coverage, point.confidence) == (1, 0.5)
    assert point.uar.value == point.uar.low == point.uar.high == pytest.approx(1 / 3)
