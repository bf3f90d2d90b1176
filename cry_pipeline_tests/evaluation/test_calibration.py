"""Calibration: temperatures do what they say, curves are counted right, keeping quiet pays where the model knows."""

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
ANY = Interval(value=0, low=0, high=0)


def overconfident(run_of, factor: float = 3.0, **given: float) -> OutOfFold:
    """Return a run whose logits are ``factor`` times what they should be, with that as the temperature of each fold."""
    rows = run_of(repeats=2, donors=200, **given)
    logits = np.log(rows.probabilities)
    # ln(p1/p0) of the made-up predictions is N(±effect, 2): its calibrated slope is effect.
    return replace(
        rows,
        probabilities=softmax(factor * logits * given["effect"], axis=-1),
        temperatures=np.full(rows.folds.shape, factor),
    )


def test_before_and_after_show_what_the_temperature_is_worth(run_of) -> None:
    rows = overconfident(run_of, effect=1.0)
    found = calibration_of(rows, ANY, ANY, **DRAWS)
    cool = calibrated(rows)
    assert found.ece_calibrated.high < found.ece.low
    truth, said = np.tile(rows.labels, 2), cool.probabilities[:, :, 1].ravel()
    assert found.log_loss_calibrated.value == pytest.approx(sk.log_loss(truth, said))
    assert found.brier_calibrated.value == pytest.approx(sk.brier_score_loss(truth, said))
    assert found.log_loss_calibrated.low < found.log_loss_calibrated.value < found.log_loss_calibrated.high
    assert found.log_loss_calibrated.value < sk.log_loss(truth, rows.probabilities[:, :, 1].ravel())
    assert (found.fitted, found.of) == (True, "probability of cry")
    assert (calibrated(cool).probabilities == cool.probabilities).all(), "not twice"


def test_temperatures_are_summed_up_over_folds_and_1_is_not_fitted(run_of) -> None:
    rows = run_of(effect=1.0)
    found = calibration_of(replace(rows, temperatures=1.0 + rows.folds), ANY, ANY, **DRAWS)
    assert found.temperature == Interval(value=3, low=1, high=5)
    plain = calibration_of(rows, ANY, ANY, **DRAWS)
    assert not plain.fitted
    assert plain.ece == plain.ece_calibrated
    assert plain.reliability == plain.reliability_calibrated


def test_the_reliability_curve_of_two_classes_is_scikit_learns(run_of) -> None:
    rows = run_of(effect=1.0, repeats=3)
    error, bins = reliability(rows, **DRAWS)
    truth, said = np.tile(rows.labels, 3), rows.probabilities[:, :, 1].ravel()
    rate, mean = calibration_curve(truth, said, n_bins=10)
    np.testing.assert_allclose([each.rate.value for each in bins], rate)
    np.testing.assert_allclose([each.probability for each in bins], mean)
    counts = np.histogram(said, np.linspace(0, 1, 11))[0]
    assert [each.predictions for each in bins] == [count for count in counts if count]
    assert error.value == pytest.approx(np.average(np.abs(rate - mean), weights=counts[counts > 0]))
    assert all(each.rate.low <= each.rate.value <= each.rate.high for each in bins)
    assert all(each.low <= each.probability <= each.high for each in bins)


def test_of_more_classes_the_curve_is_about_the_answer_given(run_of) -> None:
    rows = run_of(REASONS, effect=1.0)
    error, bins = reliability(rows, **DRAWS)
    said, right = rows.probabilities[0].max(axis=1), rows.probabilities[0].argmax(axis=1) == rows.labels
    rate, mean = calibration_curve(right, said, n_bins=10)
    np.testing.assert_allclose([each.rate.value for each in bins], rate)
    np.testing.assert_allclose([each.probability for each in bins], mean)
    shares = [each.predictions / len(said) for each in bins]
    assert error.value == pytest.approx(np.average(np.abs(rate - mean), weights=shares))


def test_a_certain_prediction_falls_into_the_last_bin(run_of) -> None:
    rows = run_of()
    certain = replace(rows, probabilities=np.eye(2)[rows.labels][None])
    error, bins = reliability(certain, **DRAWS)
    assert [(each.low, each.high, each.rate.value) for each in bins] == [(0.0, 0.1, 0.0), (0.9, 1.0, 1.0)]
    assert error.value == 0


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
