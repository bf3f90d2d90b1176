"""Trainings: what is drawn of them is Student's distribution of their own differences."""

import numpy as np
import pytest
from scipy import stats

from cry_pipeline.evaluation.trainings import training_draws


@pytest.mark.parametrize("repeats", [2, 3, 5])
def test_draws_are_students_distribution_times_the_standard_error(repeats: int) -> None:
    values = np.random.default_rng(0).normal(3, 2, repeats)
    drawn = training_draws(repeats, resamples=20_000, seed=1) @ values
    error = values.std(ddof=1) / np.sqrt(repeats)
    assert stats.kstest(drawn / error, stats.t(repeats - 1).cdf).pvalue > 0.01


def test_what_all_trainings_share_adds_nothing_and_one_training_says_nothing() -> None:
    assert np.allclose(training_draws(5, resamples=100, seed=0).sum(axis=1), 0)
    assert not training_draws(1, resamples=100, seed=0).any()
