"""Comparisons: paired on donors, directed, corrected by Holm, and refused where nothing pairs them."""

from dataclasses import replace

import numpy as np
import pytest
import sklearn.metrics as sk
from scipy import stats

from cry_pipeline.evaluation.comparisons import compare, compare_table, draw, holm
from cry_pipeline.evaluation.findings import Comparison
from cry_pipeline.evaluation.metrics import some_metrics
from cry_pipeline.evaluation.nulls import TRAINING_WIDENING
from cry_pipeline.evaluation.predictions import EvidenceError

REASONS = ("hungry", "tired", "burping")


def comparison(p_value: float = 0.5, **changes: object) -> Comparison:
    fields = {"first": "a", "second": "b", "metric": "uar", "difference": 0.1, "low": -0.1, "high": 0.3}
    return Comparison.model_validate(fields | {"p_value": p_value, "resamples": 1000} | changes)


@pytest.mark.parametrize("metric", ["auc", "uar", "brier"])
def test_the_interval_is_that_of_differences_on_equal_resamples(run_of, metric: str) -> None:
    first, second = run_of(effect=1.0, name="new"), run_of(effect=0.2, name="old")
    found = compare(first, second, metric=metric, between="models", resamples=30, seed=3)
    names, donor = np.unique(first.donors, return_inverse=True)
    rng = np.random.default_rng(3)
    differences = []
    for _ in range(30):
        weights = rng.multinomial(len(names), np.full(len(names), 1 / len(names)))[donor]
        differences.append(_one(first, weights, metric) - _one(second, weights, metric))
    ones = np.ones(len(donor), dtype=int)
    assert found.difference == pytest.approx(_one(first, ones, metric) - _one(second, ones, metric))
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(differences, [0.025, 0.975])))
    tail = min(np.sum(np.array(differences) <= 0), np.sum(np.array(differences) >= 0))
    assert found.p_value == pytest.approx(2 * (tail + 1) / 31)
    assert (found.first, found.second, found.metric) == ("new", "old", metric)


def _one(rows, weights: np.ndarray, metric: str) -> float:
    """Return scikit-learn's value of a run; the AUC is of each fold, averaged by its pairs."""
    truth, scores, fold = rows.labels, rows.probabilities[0, :, 1], rows.folds[0]
    if metric == "uar":
        return float(sk.recall_score(truth, scores > 0.5, average="macro", sample_weight=weights))
    if metric == "brier":
        return float(sk.brier_score_loss(truth, scores, sample_weight=weights))
    areas, pairs = [], []
    for number in np.unique(fold):
        own = fold == number
        pairs.append(weights[own & (truth == 1)].sum() * weights[own & (truth == 0)].sum())
        areas.append(sk.roc_auc_score(truth[own], scores[own], sample_weight=weights[own]) if pairs[-1] else 0)
    return float(np.average(areas, weights=pairs))


def test_no_difference_goes_beyond_what_two_values_can_differ_by(run_of) -> None:
    right = run_of(effect=9.0, name="right")
    upside_down = np.where((right.donors < "donor004")[:, None], right.probabilities, 1 - right.probabilities)
    wrong = replace(right, name="wrong", probabilities=upside_down)
    found = compare(right, wrong, metric="uar", between="methods")
    assert 0 < found.low < found.difference < found.high == 1


def test_equal_runs_do_not_differ_and_a_better_one_is_found_either_way_round(run_of) -> None:
    weak, strong = run_of(effect=0.2, name="weak"), run_of(effect=1.5, name="strong")
    same = compare(weak, replace(weak, name="copy"), metric="auc")
    assert (same.difference, same.low, same.high, same.p_value) == (0, 0, 0, 1)
    assert same.not_worse
    assert not same.better
    up, down = compare(strong, weak, metric="auc"), compare(weak, strong, metric="auc")
    assert up.better
    assert up.p_value == pytest.approx(2 / 1001)
    assert not down.not_worse
    assert (down.difference, down.low, down.high) == (-up.difference, -up.high, -up.low)


def test_of_losses_less_is_better(run_of) -> None:
    weak, strong = run_of(effect=0.2), run_of(effect=1.5)
    assert compare(strong, weak, metric="log_loss").difference < 0
    assert compare(strong, weak, metric="log_loss").better
    assert not compare(weak, strong, metric="log_loss").not_worse
    assert comparison(metric="brier", low=-0.2, high=0.1).not_worse
    assert not comparison(metric="brier", low=0.1, high=0.2).not_worse


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("metric", ["uar", "log_loss"])
@pytest.mark.parametrize(
    ("difference", "low", "high", "counts"),
    [
        (1e-9, 5e-10, 2e-9, False),  # an error of sums
        (2e-9, 1.5e-9, 3e-9, False),
        (1e-5, 5e-6, 2e-5, False),
        (0.00049, 0.0002, 0.0009, False),  # reads as 0.000
        (0.0005, 0.0002, 0.0009, True),
        (0.1, -0.01, 0.2, False),
        (0.1, 0.01, 0.2, True),
    ],
)
def test_a_difference_too_small_to_be_seen_is_called_none(
    metric: str, difference: float, low: float, high: float, sign: int, *, counts: bool
) -> None:
    low, high = sorted((sign * low, sign * high))
    given = {"metric": metric, "difference": sign * difference, "low": low, "high": high}
    found = comparison(0.001, p_adjusted=0.001, **given)
    up = (sign > 0) == (metric == "uar")
    assert found.better == (counts and up)
    assert found.not_worse == (not counts or up)
    assert found.shown == (None if not counts else "better" if up else "worse")
    assert comparison(0.001, p_adjusted=0.06, **given).shown is None


def test_two_runs_that_know_nothing_rarely_differ(run_of) -> None:
    runs = [run_of(donors=60, seed=seed) for seed in range(40)]
    p_values = [
        compare(rows, _shuffled(rows, seed), metric="auc", between="models", resamples=150).p_value
        for seed, rows in enumerate(runs)
    ]
    assert np.mean(np.array(p_values) < 0.05) < 0.15
    assert 0.35 < np.mean(p_values) < 0.65


def _shuffled(rows, seed: int):
    """Return a run with the same folds whose answers are those of other recordings."""
    order = np.random.default_rng(seed).permutation(len(rows.labels))
    return replace(rows, probabilities=rows.probabilities[:, order])


def test_methods_trained_once_are_told_apart_less_surely_than_their_models(run_of) -> None:
    first, second = run_of(effect=1.0), run_of(effect=0.95)
    models, methods = (compare(first, second, metric="auc", between=between) for between in ("models", "methods"))
    assert (models.between, methods.between, methods.trainings) == ("models", "methods", 1)
    assert methods.difference == models.difference
    wider = TRAINING_WIDENING * (np.array([models.low, models.high]) - models.difference)
    assert (methods.low, methods.high) == pytest.approx(tuple(methods.difference + wider))
    assert methods.p_value > models.p_value


def test_methods_trained_often_differ_by_donors_and_trainings(run_of) -> None:
    first, second = run_of(effect=1.0, repeats=5), run_of(effect=0.8, repeats=5)
    models, methods = (
        compare(first, second, metric="brier", between=between, resamples=4000) for between in ("models", "methods")
    )
    each = [
        sk.brier_score_loss(first.labels, first.probabilities[repeat, :, 1])
        - sk.brier_score_loss(second.labels, second.probabilities[repeat, :, 1])
        for repeat in range(5)
    ]
    error = np.std(each, ddof=1) / np.sqrt(5)
    donors = (models.high - models.low) / (2 * 1.96)
    sums = np.random.default_rng(1).normal(0, donors, 10**6) + error * stats.t(4).rvs(10**6, random_state=1)
    low, high = np.quantile(sums, [0.025, 0.975])
    assert methods.trainings == 5
    assert methods.difference == pytest.approx(np.mean(each))
    assert methods.high - methods.low == pytest.approx(high - low, rel=0.08)
    turned = compare(second, first, metric="brier", resamples=4000)
    assert (turned.low, turned.high) == pytest.approx((-methods.high, -methods.low))


def test_what_trainings_have_in_common_cancels(run_of) -> None:
    rows = run_of(repeats=3, effect=0.5)
    same = compare(rows, replace(rows, name="copy"), metric="auc")
    assert (same.difference, same.low, same.high, same.p_value) == (0, 0, 0, 1)


def test_pairing_sees_what_separate_intervals_cannot(run_of) -> None:
    old = run_of(effect=0.6, donors=100, name="old")
    logits = np.log(old.probabilities) + 0.25 * np.eye(2)[old.labels]
    odds = np.exp(logits)
    new = replace(old, probabilities=odds / odds.sum(axis=2, keepdims=True), name="new")
    drawn = draw([new, old], "auc")
    assert drawn.interval(0).low < drawn.interval(1).high, "taken apart, the two could be equal"
    assert drawn.difference(0, 1).better


def test_holm_is_the_formula() -> None:
    adjusted = [each.p_adjusted for each in holm([comparison(p) for p in (0.01, 0.04, 0.03, 0.005)])]
    assert adjusted == pytest.approx([0.03, 0.06, 0.06, 0.02])  # 3·0.01, max(0.04, 2·0.03), 2·0.03, 4·0.005
    assert [each.p_adjusted for each in holm([comparison(0.6), comparison(0.7)])] == [1.0, 1.0]
    assert [each.p_adjusted for each in holm([comparison(0.02)])] == [0.02]
    assert holm([]) == []


def test_a_table_compares_every_run_with_the_reference_in_its_order(run_of) -> None:
    runs = {name: run_of(REASONS, effect=effect) for name, effect in (("a", 2.0), ("ref", 0.4), ("b", 0.4), ("c", 1.0))}
    table = compare_table(runs, "ref", "uar", resamples=400)
    assert [(each.first, each.second) for each in table] == [("a", "ref"), ("b", "ref"), ("c", "ref")]
    named = {name: replace(rows, name=name) for name, rows in runs.items()}
    alone = [compare(named[name], named["ref"], metric="uar", resamples=400) for name in "abc"]
    assert table == holm(alone), "the table draws the donors that a single comparison draws"
    assert table[1].difference == 0
    assert table[0].p_adjusted == pytest.approx(3 * 2 / 401)
    assert compare_table({"ref": runs["ref"]}, "ref", "uar") == []
    with pytest.raises(EvidenceError, match="no run 'lost' to compare with, only a, ref, b, c"):
        compare_table(runs, "lost", "uar")


@pytest.mark.parametrize("field", ["recording_ids", "donors", "labels", "folds", "classes"])
def test_runs_that_nothing_pairs_are_refused(run_of, field: str) -> None:
    first = run_of(name="new")
    changed = first.folds + 1 if field == "folds" else getattr(first, field)[::-1]
    what = {"recording_ids": "recordings"}.get(field, field)
    with pytest.raises(EvidenceError, match=f"new and old have other {what}"):
        compare(first, replace(first, name="old", **{field: changed}), metric="auc")


def test_no_difference_is_invented_where_resampling_cannot_give_one(run_of) -> None:
    rows = run_of(donors=10)
    one_class_each = replace(rows, folds=rows.labels[None])
    with pytest.raises(EvidenceError, match="No resample of the donors has every class"):
        compare(one_class_each, one_class_each, metric="auc", resamples=100)


def test_an_unknown_metric_is_named(run_of) -> None:
    rows = run_of(REASONS)
    with pytest.raises(ValueError, match="average_precision: no metric of 3 classes"):
        some_metrics(("average_precision",), rows.labels, rows.probabilities[0], rows.folds[0])
