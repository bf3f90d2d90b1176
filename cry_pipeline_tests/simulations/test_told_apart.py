"""Methods told apart: the simulation's quick areas are those of comparisons, and the rule keeps its promise."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from cry_pipeline.evaluation.comparisons import draw
from cry_pipeline.evaluation.predictions import OutOfFold
from cry_pipeline_tests.simulations.rates import Rate
from cry_pipeline_tests.simulations.told_apart import (
    Areas,
    Case,
    Setting,
    hats,
    methods_that_know_nothing,
    rates,
    trainings_of_one_method,
)

DONORS, EACH, VALUES = 60, 3, 40


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Matrices are small here: threads would only wait for each other."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def setting() -> Setting:
    """Recordings of donors of which half are of each class, with values that tell a little of it, on ten splits."""
    rng = np.random.default_rng(5)
    donor = np.repeat(np.arange(DONORS), EACH)
    codes = donor % 2
    values = rng.standard_normal((DONORS, VALUES))[donor] + rng.standard_normal((len(donor), VALUES))
    values[:, :10] += 0.5 * codes[:, None]
    folds = np.array([(rng.permutation(DONORS) % 5)[donor] for _ in range(10)])
    return Setting(values, codes, donor.astype(str), folds)


def test_quick_areas_are_those_of_comparisons(setting) -> None:
    rng = np.random.default_rng(0)
    scores = np.round(rng.uniform(0.1, 0.9, (2, len(setting.codes))), 1)
    value, drawn = Areas(setting.codes == 1, setting.donors, 50, seed=3).differences(
        scores[0], scores[1], setting.folds[0]
    )
    probabilities = np.stack([1 - scores, scores], axis=2)
    rows = OutOfFold(
        recording_ids=np.arange(len(setting.codes)).astype(str),
        donors=setting.donors,
        labels=setting.codes,
        folds=setting.folds[:1],
        probabilities=probabilities[:1],
        classes=("not_cry", "cry"),
        slopes=np.ones((1, len(setting.codes))),
        intercepts=np.zeros((1, len(setting.codes), 2)),
    )
    golden = draw([rows, replace(rows, probabilities=probabilities[1:])], "auc", resamples=50, seed=3)
    assert value == pytest.approx(golden.observed[0] - golden.observed[1])
    assert drawn == pytest.approx(golden.samples[0] - golden.samples[1], abs=1e-6)


def test_of_two_trainings_of_one_method_donors_alone_tell_too_many_apart(setting) -> None:
    def two_values(given: Setting, rng: np.random.Generator) -> np.ndarray:
        return given.values[:, rng.permutation(VALUES)[:2]]

    cases = [trainings_of_one_method(setting, two_values, case) for case in range(60)]
    found = _found(cases, often=0.06)
    assert found["5 trainings each, donors alone (before)"].interval[0] > 0.06
    assert found["5 trainings each"].kept
    assert found["one training each"].found < found["one training each, donors alone (before)"].found


def test_of_methods_that_know_nothing_few_are_told_apart(setting) -> None:
    ready = hats(setting)
    found = _found([methods_that_know_nothing(setting, ready, case) for case in range(100)])
    assert found["one training each"].kept


def _found(cases: list[Case], often: float | None = None) -> dict[str, Rate]:
    """Return the rates by rule."""
    lines = rates("x", cases, often=often)
    return {
        line.what.removeprefix("x, ").removesuffix(": told apart"): line for line in lines if isinstance(line, Rate)
    }
