"""Slope and intercepts are fitted held back, and applied by one formula, whoever asks."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax
from sklearn.linear_model import LogisticRegression

from cry_pipeline.evaluation import calibration as evaluation
from cry_pipeline.evaluation.predictions import out_of_fold
from cry_pipeline.inference import candidates
from cry_pipeline.training.calibration import (
    LEAST,
    MOST,
    SMALLEST,
    Recalibration,
    calibrated,
    columns,
    fit_recalibration,
    log_calibrated,
    of_columns,
)
from cry_pipeline.training.checkpoints import Checkpoint, recalibration_of


def made_up(count: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities that are right, and classes drawn by them."""
    rng = np.random.default_rng(seed)
    probabilities = softmax(rng.normal(0, 1.5, (count, classes)), axis=1)
    return probabilities, np.array([rng.choice(classes, p=row) for row in probabilities])


def test_a_slope_multiplies_logits_and_an_intercept_is_added() -> None:
    rng = np.random.default_rng(0)
    logits, slopes = rng.normal(size=(2, 7, 4)), rng.uniform(0.3, 4, size=(2, 7))
    intercepts = rng.normal(size=(2, 7, 4))
    expected = log_softmax(slopes[..., None] * logits + intercepts, axis=-1)
    np.testing.assert_allclose(log_calibrated(softmax(logits, axis=-1), slopes, intercepts), expected)
    np.testing.assert_allclose(calibrated(softmax(logits, axis=-1), slopes, intercepts), np.exp(expected))


def test_what_has_slope_1_and_no_intercept_stays_as_it_is() -> None:
    given = np.array([[1.0, 0.0], [0.1, 0.9], [0.1, 0.9]])
    np.testing.assert_array_equal(calibrated(given, *Recalibration.none(2)), given)
    slopes, intercepts = np.array([1.0, 1.0, 2.0]), np.array([[0.0, 0.0], [0.0, 0.5], [0.0, 0.0]])
    found = calibrated(given, slopes, intercepts)
    np.testing.assert_array_equal(found[0], given[0])
    assert (found[1:] != given[1:]).all()


@pytest.mark.parametrize("least", [0.0, 1e-300, 1e-30, 1e-13, 1e-9, 0.3])
@pytest.mark.parametrize("slope", [LEAST, 1.0, 3.5, MOST])
@pytest.mark.parametrize("intercept", [0.0, -1.5])
def test_all_who_calibrate_say_the_same(least: float, slope: float, intercept: float) -> None:
    export = pytest.importorskip("cry_pipeline.inference.scorers")
    probabilities = np.array([[1 - least, least], [least, 1 - least]])
    own = Recalibration(slope, (0.0, intercept))
    expected = calibrated(probabilities, *own)
    assert np.isfinite(expected).all()
    table = pd.DataFrame(
        {"recording_id": ["a", "b"], "donor": ["c", "d"], "label": ["x", "y"], "repeat": 0, "fold": [0, 0]}
    ).assign(p_x=probabilities[:, 0], p_y=probabilities[:, 1], **columns(own, ("x", "y")))
    np.testing.assert_array_equal(candidates.calibrated(table, ["x", "y"], [own]), expected)
    rows = evaluation.calibrated(out_of_fold(table, table, ("x", "y"), "a run"))
    np.testing.assert_array_equal(rows.probabilities[0], expected)
    # What needs no calibration stays as it is but in the graph, which cannot tell: far below its tolerance.
    near = 1e-11 if own.fitted else SMALLEST
    np.testing.assert_allclose(np.exp(log_calibrated(probabilities, *own)), expected, atol=near)
    with np.errstate(divide="ignore"):
        logits = torch.from_numpy(np.log(probabilities))
    exported = (export.bounded(logits) * slope + torch.tensor(own.intercepts)).softmax(dim=1)
    np.testing.assert_allclose(exported.numpy(), expected, atol=near)


def test_of_two_classes_it_is_a_logistic_regression_on_the_log_odds() -> None:
    probabilities, codes = made_up(4000, 2)
    sure = softmax(2 * np.log(probabilities) + [0, 2], axis=1)
    found = fit_recalibration(sure, codes)
    odds = np.log(sure[:, 1] / sure[:, 0])[:, None]
    expected = LogisticRegression(C=np.inf).fit(odds, codes)
    assert (found.slope, found.intercepts[0]) == (pytest.approx(expected.coef_[0, 0], abs=0.005), 0)
    assert found.intercepts[1] == pytest.approx(expected.intercept_[0], abs=0.02)
    assert found.slope == pytest.approx(0.5, rel=0.1)
    assert found.intercepts[1] == pytest.approx(-1, abs=0.15)


def test_of_more_classes_it_undoes_a_scaling_and_other_frequencies() -> None:
    probabilities, codes = made_up(4000, 3)
    found = fit_recalibration(softmax(4 * np.log(probabilities) + [1, 0, -2], axis=1), codes)
    assert found.slope == pytest.approx(0.25, rel=0.1)
    assert found.intercepts == pytest.approx((0, 0.25, 0.75), abs=0.15)
    assert fit_recalibration(probabilities, codes) == (
        pytest.approx(1, abs=0.08),
        pytest.approx((0, 0, 0), abs=0.15),
    )


def test_after_it_classes_are_said_as_often_as_they_are() -> None:
    probabilities, codes = made_up(600, 5)
    rare = np.flatnonzero(codes == 4)[8:]
    probabilities, codes = np.delete(probabilities, rare, axis=0), np.delete(codes, rare)
    assert (codes == 4).sum() == 8
    said = calibrated(probabilities, *fit_recalibration(probabilities, codes)).mean(axis=0)
    np.testing.assert_allclose(said, np.bincount(codes) / len(codes), atol=0.005)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(2, 5), st.integers(2, 30), st.booleans())
def test_few_or_perfect_answers_do_not_blow_up(seed: int, classes: int, count: int, perfect: bool) -> None:
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, classes, count)
    probabilities = rng.dirichlet(np.full(classes, 0.3), count)
    if perfect:
        probabilities = np.eye(classes)[codes]
    found = fit_recalibration(probabilities, codes)
    assert LEAST <= found.slope <= MOST
    assert np.abs(found.intercepts).max() < 8
    loss = -log_calibrated(probabilities, *found)[np.arange(count), codes].mean()
    assert loss <= -log_calibrated(probabilities, 1.0)[np.arange(count), codes].mean() + 1e-9


@pytest.mark.parametrize(
    ("probabilities", "codes"),
    [(np.full((5, 2), 0.5), np.array([0, 1, 0, 1, 0])), (np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([1, 1]))],
)
def test_where_it_cannot_be_told_nothing_is_fitted(probabilities: np.ndarray, codes: np.ndarray) -> None:
    assert not fit_recalibration(probabilities, codes).fitted


def test_one_certain_mistake_does_not_decide_a_slope_alone() -> None:
    rng = np.random.default_rng(0)
    truth = rng.uniform(0.6, 0.99, 400)
    codes = (rng.random(400) > truth).astype(np.int64)
    probabilities = np.column_stack([truth, 1 - truth])
    assert fit_recalibration(probabilities, codes).slope == pytest.approx(1, abs=0.25)
    probabilities[0] = [0.0, 1.0] if codes[0] == 0 else [1.0, 0.0]
    assert fit_recalibration(probabilities, codes).slope > 0.4


def test_what_was_trained_with_a_temperature_has_the_inverse_as_its_slope() -> None:
    table = pd.DataFrame({"p_x": [0.2, 0.3], "p_y": [0.8, 0.7], "temperature": [2.0, 4.0]})
    slopes, intercepts = of_columns(table, ("x", "y"))
    np.testing.assert_array_equal(slopes, [0.5, 0.25])
    np.testing.assert_array_equal(intercepts, np.zeros((2, 2)))
    slopes, intercepts = of_columns(table[["p_x", "p_y"]], ("x", "y"))
    np.testing.assert_array_equal(slopes, [1, 1])
    np.testing.assert_array_equal(intercepts, np.zeros((2, 2)))
    saved = Checkpoint("svm", ("x", "y"), {}, {"temperature": np.array([4.0])})
    assert recalibration_of(saved) == Recalibration(0.25, (0.0, 0.0))
