"""Learning curves: the whole is the run itself, shares are of donors, and doublings are told in pairs."""

from dataclasses import replace

import numpy as np
import pytest

from cry_pipeline.catalog.models import LogisticRegressionSpec
from cry_pipeline.evaluation.learning_curve import Learner, LearningCurve, TooFewDonorsError, learning_curve
from cry_pipeline.evaluation.metrics import auc
from cry_pipeline.evaluation.refitting import refit

SPEC = LogisticRegressionSpec(kind="logistic_regression", inverse_regularisation=1.0)


def learner(donors: int = 80, *, effect: float = 1.0) -> Learner:
    """Return recordings, three of each donor, in whose many values a few tell a cry."""
    rng = np.random.default_rng(0)
    donor = np.repeat(np.arange(donors), 3)
    codes = donor % 2
    values = rng.normal(size=(len(donor), 30)) + rng.normal(size=(donors, 30))[donor] / 2
    values[:, :6] += effect * codes[:, None] / 2
    return Learner("cries", "regression", SPEC, values, codes, donor.astype(str), donor // 2 % 5)


@pytest.fixture(scope="module")
def found() -> LearningCurve:
    return learning_curve(learner(donors=160), draws=3, resamples=200)


def test_all_donors_give_the_run_itself() -> None:
    of = learner()
    found = learning_curve(of, draws=1, resamples=100)
    scores = refit(SPEC, of.values, of.codes, of.folds[None], classes=2)[0, :, 1]
    whole = found.points[-1]
    assert whole.auc.value == pytest.approx(float(auc(of.codes == 1, scores, strata=of.folds)))
    assert (whole.donors, whole.recordings, whole.draws) == (64, 192, 1)
    assert whole.auc.low < whole.auc.value < whole.auc.high


def test_more_donors_teach_more_and_doublings_add_up(found: LearningCurve) -> None:
    areas = [point.auc.value for point in found.points]
    assert areas == sorted(areas)
    assert [round(point.donors) for point in found.points] == [16, 32, 64, 128]
    assert sum(gain.value for gain in found.doublings) == pytest.approx(areas[-1] - areas[0])
    assert found.trend.low > 0, "a straight line of these rises"
    steps = np.log2([point.donors for point in found.points])
    assert found.trend.value == pytest.approx(np.polyfit(steps, areas, 1)[0])


def test_where_nothing_can_be_learned_more_donors_bring_nothing() -> None:
    found = learning_curve(learner(effect=0.0), draws=2, resamples=100)
    assert found.trend.low < 0 < found.trend.high


def test_shares_without_a_class_are_left_out() -> None:
    of = learner(donors=12)
    assert len(learning_curve(of, draws=2, resamples=100).points) < 4
    with pytest.raises(TooFewDonorsError, match="too few donors"):
        learning_curve(replace(of, codes=(of.donors == "0").astype(np.int64)), draws=2, resamples=100)


def test_a_doubling_is_paired_not_two_intervals_side_by_side(found: LearningCurve) -> None:
    last, whole = found.doublings[-1], found.points[-1].auc
    assert last.high - last.low < whole.high - whole.low
