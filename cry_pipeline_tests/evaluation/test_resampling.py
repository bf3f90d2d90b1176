"""Intervals: the fast bootstrap is the naive one."""

from collections.abc import Mapping

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st

from cry_pipeline.evaluation import resampling as statistics
from cry_pipeline.evaluation.metrics import Floats, all_metrics
from cry_pipeline.evaluation.resampling import donor_bootstrap, percentile_interval


def naive(
    labels: np.ndarray, scores: np.ndarray, donors: np.ndarray, resamples: int, seed: int
) -> tuple[dict[str, list[float]], int]:
    """Copy each drawn donor's rows as often as it is drawn, and ask scikit-learn."""
    names = np.unique(donors)
    rng = np.random.default_rng(seed)
    values: dict[str, list[float]] = {"auc": [], "uar": []}
    lost = 0
    for _ in range(resamples):
        drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)))
        rows = np.concatenate(
            [np.tile(np.flatnonzero(donors == name), count) for name, count in zip(names, drawn, strict=True)]
        )
        rows = rows.astype(int)
        if len(np.unique(labels[rows])) < 2:
            lost += 1
            continue
        values["auc"].append(float(sk.roc_auc_score(labels[rows], scores[rows])))
        values["uar"].append(float(sk.balanced_accuracy_score(labels[rows], scores[rows] > 0.5)))
    return values, lost


@given(seed=st.integers(0, 10_000))
@settings(max_examples=10, deadline=None)
def test_resampling_by_weights_is_resampling_rows_of_drawn_donors(seed: int) -> None:
    rng = np.random.default_rng(seed)
    donors = np.array(["a", "b", "c", "d", "e"])[np.append(np.arange(5), rng.integers(0, 5, 15))]
    labels = (donors >= "d").astype(int) if seed % 2 else rng.permutation(np.arange(20) % 2)
    scores = np.round(rng.random(20), 1)

    def metrics(weights: Floats) -> Mapping[str, Floats]:
        probabilities = np.stack([1 - scores, scores], axis=1)
        found = all_metrics(labels, probabilities, np.zeros(20, dtype=int), weights)
        return {name: found[name] for name in ("auc", "uar")}

    ours, lost = donor_bootstrap(metrics, donors, resamples=40, seed=seed)
    expected, expected_lost = naive(labels, scores, donors, 40, seed)
    assert lost == expected_lost
    for name, values in expected.items():
        np.testing.assert_allclose(ours[name], values, atol=1e-12)


def _mean(values: np.ndarray) -> object:
    return lambda weights: {"mean": weights @ values / weights.sum(axis=1)}


def test_resamples_without_a_class_are_left_out_and_counted() -> None:
    donors = np.repeat(["a", "b", "c"], 4)
    labels = (donors == "c").astype(int)
    probabilities = np.full((12, 2), 0.5)
    values, lost = donor_bootstrap(
        lambda weights: all_metrics(labels, probabilities, np.zeros(12, dtype=int), weights),
        donors,
        resamples=3000,
        seed=0,
    )
    assert lost / 3000 == pytest.approx((2 / 3) ** 3 + (1 / 3) ** 3, abs=0.03), "no c, or nothing but c, in three draws"
    assert len(values["auc"]) == 3000 - lost
    assert np.isfinite(values["auc"]).all()


def test_the_interval_of_a_mean_of_donor_means_is_the_known_one() -> None:
    rng = np.random.default_rng(0)
    means = rng.normal(size=200)
    donors, rows = np.repeat(np.arange(200), 5), np.repeat(means, 5)
    values, _ = donor_bootstrap(_mean(rows), donors, resamples=4000, seed=1)  # type: ignore[arg-type]
    low, high = percentile_interval(values["mean"])
    error = means.std() / np.sqrt(200)
    assert high - low == pytest.approx(2 * 1.96 * error, rel=0.06), "rows of one donor count once, not five times"
    assert low < means.mean() < high


def test_the_seed_decides_and_chunks_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(0).normal(size=50)
    first, _ = donor_bootstrap(_mean(rows), np.arange(50), resamples=101, seed=3)  # type: ignore[arg-type]
    other, _ = donor_bootstrap(_mean(rows), np.arange(50), resamples=101, seed=4)  # type: ignore[arg-type]
    monkeypatch.setattr(statistics, "CHUNK_VALUES", 350)
    chunked, _ = donor_bootstrap(_mean(rows), np.arange(50), resamples=101, seed=3)  # type: ignore[arg-type]
    np.testing.assert_allclose(chunked["mean"], first["mean"])
    assert len(first["mean"]) == 101
    assert not np.allclose(first["mean"], other["mean"])


def test_percentile_interval_is_the_central_part() -> None:
    assert percentile_interval(np.arange(1001.0)) == pytest.approx((25, 975))


@pytest.mark.parametrize("kept", [True, False])
def test_donors_are_drawn_as_by_the_generator_whether_draws_are_kept_or_not(kept: bool, monkeypatch) -> None:
    donors = np.repeat(np.arange(7), 3)
    monkeypatch.setattr(statistics, "CHUNK_VALUES", 10_000 if kept else 200)
    drawn = np.random.default_rng(5).multinomial(7, np.full(7, 1 / 7), size=40)
    for _ in range(2):
        sums = statistics.donor_sums(np.ones((21, 1)), donors, resamples=40, seed=5)
        np.testing.assert_array_equal(sums[:, 0], 3 * drawn.sum(axis=1))
        values, lost = statistics.donor_bootstrap(
            lambda weights: {"first": weights[:, 0], "last": weights[:, -1]}, donors, resamples=40, seed=5
        )
        assert lost == 0
        np.testing.assert_array_equal(values["first"], drawn[:, 0])
        np.testing.assert_array_equal(values["last"], drawn[:, 6])
