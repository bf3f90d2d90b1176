"""Metrics against scikit-learn, row by row repeated and weighted."""

from collections.abc import Callable

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st

from cry_pipeline.evaluation import metrics

Case = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def case(seed: int, classes: int, ties: bool) -> Case:
    """Return labels [n], probabilities [n, classes], folds [n] and integer weights [n] that keep every class."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(4 * classes, 60))
    labels = np.concatenate([np.arange(classes).repeat(2), rng.integers(0, classes, n - 2 * classes)])
    probabilities = rng.dirichlet(np.ones(classes), n)
    if ties:
        probabilities = np.eye(classes)[rng.integers(0, classes, n)] * 0.4 + 0.6 / classes
    weights = rng.integers(0, 4, n).astype(float)
    weights[:classes] = 1
    weights[np.unique(labels, return_index=True)[1]] = 2
    return labels, probabilities, rng.integers(0, 3, n), weights


def of(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> dict[str, float]:
    """scikit-learn's answers."""
    predicted, present, classes = probabilities.argmax(axis=1), np.unique(labels), probabilities.shape[1]
    one_hot, scores = np.eye(classes)[labels], probabilities[:, 1]
    rated = [1] if classes == 2 else range(classes)
    areas = [sk.roc_auc_score(labels == c, probabilities[:, c], sample_weight=weights) for c in rated]
    answers = {
        "uar": sk.recall_score(labels, predicted, labels=present, average="macro", sample_weight=weights),
        "macro_f1": sk.f1_score(labels, predicted, labels=present, average="macro", sample_weight=weights),
        "auc": np.mean(areas),
        "accuracy": sk.accuracy_score(labels, predicted, sample_weight=weights),
        "log_loss": sk.log_loss(labels, probabilities, labels=range(classes), sample_weight=weights),
        "brier": np.average(((probabilities - one_hot) ** 2).sum(axis=1), weights=weights),
    }
    if classes == 2:
        answers["brier"] = sk.brier_score_loss(labels, scores, sample_weight=weights)
        answers["average_precision"] = sk.average_precision_score(labels, scores, sample_weight=weights)
    return {name: float(value) for name, value in answers.items()}


@given(seed=st.integers(0, 10_000), classes=st.integers(2, 5), ties=st.booleans())
@settings(max_examples=60, deadline=None)
def test_every_metric_is_scikit_learns(seed: int, classes: int, ties: bool) -> None:
    labels, probabilities, folds, weights = case(seed, classes, ties)
    ours = metrics.all_metrics(labels, probabilities, np.zeros_like(folds), weights)
    expected = of(labels, probabilities, weights)
    assert set(ours) == set(expected)
    for name, value in expected.items():
        assert ours[name] == pytest.approx(value, abs=1e-12), name


@given(seed=st.integers(0, 10_000), classes=st.integers(2, 4), ties=st.booleans())
@settings(max_examples=40, deadline=None)
def test_a_weight_is_a_row_that_is_there_that_often_and_resamples_do_not_mix(
    seed: int, classes: int, ties: bool
) -> None:
    labels, probabilities, folds, weights = case(seed, classes, ties)
    many = metrics.all_metrics(labels, probabilities, folds, np.stack([np.ones_like(weights), weights]))
    rows = np.repeat(np.arange(len(labels)), weights.astype(int))
    plain = metrics.all_metrics(labels, probabilities, folds)
    repeated = metrics.all_metrics(labels[rows], probabilities[rows], folds[rows])
    for name, values in many.items():
        assert values.shape == (2,)
        np.testing.assert_allclose(values, [plain[name], repeated[name]], atol=1e-12, err_msg=name)


@given(seed=st.integers(0, 10_000), ties=st.booleans())
@settings(max_examples=40, deadline=None)
def test_auc_within_folds_is_the_mean_of_the_folds_by_their_pairs(seed: int, ties: bool) -> None:
    labels, probabilities, folds, weights = case(seed, 2, ties)
    areas, pairs = [], []
    for fold in np.unique(folds):
        rows = folds == fold
        w, positive = weights[rows], labels[rows] == 1
        pairs.append(w[positive].sum() * w[~positive].sum())
        if pairs[-1]:
            areas.append(pairs[-1] * sk.roc_auc_score(positive, probabilities[rows, 1], sample_weight=w))
    ours = metrics.auc(labels == 1, probabilities[:, 1], weights, folds)
    if sum(pairs):
        assert ours == pytest.approx(sum(areas) / sum(pairs), abs=1e-12)
    else:
        assert np.isnan(ours)


def test_a_constant_answer_per_fold_has_an_auc_of_exactly_half() -> None:
    labels = np.array([1, 1, 0, 0, 1, 0, 0, 0])
    folds = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    scores = np.where(folds == 0, 0.25, 0.5)  # a majority model: the rarer the class in test, the commoner in training
    assert metrics.auc(labels == 1, scores, strata=folds) == 0.5
    assert metrics.auc(labels == 1, scores) < 0.4


@pytest.mark.filterwarnings("error")
def test_a_class_absent_from_the_truth_is_left_out_of_every_mean() -> None:
    labels = np.array([0, 0, 1, 1])
    probabilities = np.array([[0.8, 0.1, 0.1], [0.1, 0.1, 0.8], [0.1, 0.8, 0.1], [0.2, 0.7, 0.1]])
    confusion = metrics.confusion_matrix(labels, probabilities.argmax(axis=1), 3)
    np.testing.assert_array_equal(confusion, [[1, 0, 1], [0, 2, 0], [0, 0, 0]])
    np.testing.assert_array_equal(metrics.recalls(confusion), [0.5, 1.0, np.nan])
    assert metrics.uar(confusion) == 0.75
    assert metrics.macro_f1(confusion) == pytest.approx((2 / 3 + 1) / 2)
    assert metrics.macro_auc(labels, probabilities) == pytest.approx((0.625 + 1) / 2)


def test_majority_rate_is_the_share_of_the_most_frequent_class() -> None:
    confusion = metrics.confusion_matrix(np.array([0, 1, 1, 1]), np.array([0, 0, 0, 0]), 2)
    assert metrics.majority_rate(confusion) == 0.75
    assert metrics.accuracy(confusion) == 0.25


def test_roc_passes_through_the_points_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    positive = rng.random(400) < 0.5
    scores = np.round(rng.normal(size=400) + positive, 1)
    false, true, _ = sk.roc_curve(positive, scores)
    curve = metrics.roc(positive, scores)
    np.testing.assert_allclose(curve, np.interp(np.linspace(0, 1, 51), false, true), atol=0.02)
    assert curve[-1] == 1
    assert np.trapezoid(curve, np.linspace(0, 1, 51)) == pytest.approx(sk.roc_auc_score(positive, scores), abs=0.005)


@pytest.mark.parametrize("metric", [metrics.brier, metrics.log_loss], ids=lambda metric: metric.__name__)
def test_certainty_in_the_right_class_costs_nothing(metric: Callable[..., float]) -> None:
    labels = np.array([0, 1, 2])
    assert metric(labels, np.eye(3)[labels]) == pytest.approx(0)
    assert metric(labels, np.eye(3)[[1, 2, 0]]) > 1


@given(seed=st.integers(0, 10_000), ties=st.booleans(), recall=st.sampled_from([0.5, 0.9, 0.95, 1.0]))
@settings(max_examples=60, deadline=None)
def test_what_a_recall_takes_is_read_off_scikit_learns_curve(seed: int, ties: bool, recall: float) -> None:
    labels, probabilities, _, weights = case(seed, 2, ties)
    positive, scores = labels == 1, probabilities[:, 1]
    specificity, below = metrics.at_recalls(positive, scores, (recall, 1.0), np.stack([np.ones_like(weights), weights]))
    assert specificity.shape == below.shape == (2, 2)
    false, true, thresholds = sk.roc_curve(positive, scores, sample_weight=weights, drop_intermediate=False)
    place = np.flatnonzero(true >= recall - 1e-12)[0]
    assert specificity[1, 0] == pytest.approx(1 - false[place], abs=1e-12)
    assert below[1, 0] == pytest.approx(weights[scores < thresholds[place]].sum() / weights.sum(), abs=1e-12)
    plain = metrics.at_recalls(positive, scores, (recall, 1.0))
    np.testing.assert_allclose((specificity[0], below[0]), plain, atol=1e-12)


def test_a_recall_that_ties_leave_no_threshold_for_is_exceeded() -> None:
    positive, scores = np.array([1, 1, 0, 0, 0], dtype=bool), np.array([0.9, 0.5, 0.5, 0.5, 0.1])
    specificity, below = metrics.at_recalls(positive, scores, (0.5, 0.75))
    np.testing.assert_allclose(specificity, [1, 1 / 3])
    np.testing.assert_allclose(below, [4 / 5, 1 / 5])


def test_nine_tenths_of_ten_are_nine() -> None:
    scores = np.arange(20, 0, -1) / 21
    specificity, _ = metrics.at_recalls(np.arange(20) < 10, scores, (0.9,), np.full(20, 0.1))
    np.testing.assert_allclose(specificity, 1)


@pytest.mark.filterwarnings("error")
def test_without_a_positive_row_no_recall_is_reached() -> None:
    scores = np.array([0.2, 0.4])
    assert np.isnan(metrics.at_recalls(np.array([False, False]), scores, (0.9,))).all()
    specificity, below = metrics.at_recalls(np.array([True, True]), scores, (0.9,))
    assert np.isnan(specificity).all()
    np.testing.assert_allclose(below, 0)


@given(seed=st.integers(0, 10_000), ties=st.booleans())
@settings(max_examples=40, deadline=None)
def test_net_benefit_is_found_ones_less_alarms_at_the_odds_of_the_threshold(seed: int, ties: bool) -> None:
    labels, probabilities, _, weights = case(seed, 2, ties)
    positive, thresholds = labels == 1, np.array([0.1, 0.5, 0.8])
    ours = metrics.net_benefit(positive, probabilities[:, 1], thresholds, np.stack([np.ones_like(weights), weights]))
    for place, threshold in enumerate(thresholds):
        said = probabilities[:, 1] >= threshold
        (_, alarms), (_, found) = sk.confusion_matrix(labels, said, labels=[0, 1], sample_weight=weights)
        expected = (found - alarms * threshold / (1 - threshold)) / weights.sum()
        assert ours[1, place] == pytest.approx(expected, abs=1e-12)
    plain = metrics.net_benefit(positive, probabilities[:, 1], thresholds)
    np.testing.assert_allclose(ours[0], plain, atol=1e-12)
