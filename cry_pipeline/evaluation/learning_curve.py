"""Learning curves by donors: what a model comes to that may learn from some of the donors alone.

Belongs here: training on shares of the donors, and what each doubling of them brings. Does not: fitting (refitting.py),
resampling (resampling.py), or pages.

Folds and tested recordings stay the same throughout, so that shares are compared in pairs, on the same donors.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from cry_pipeline.catalog.base import BaseModelSpec
from cry_pipeline.evaluation.findings import Interval, Record
from cry_pipeline.evaluation.metrics import Floats, auc
from cry_pipeline.evaluation.refitting import refit
from cry_pipeline.evaluation.resampling import RESAMPLES, donor_bootstrap, percentile_interval

SHARES = (1 / 8, 1 / 4, 1 / 2, 1.0)
"""Of the donors that a fold's model may learn from, each twice the one before."""
DRAWS = 10
ATTEMPTS = 5
"""Draws tried for each that is wanted, before a share is said to be too small."""


class TooFewDonorsError(ValueError):
    """A detector has too few donors to learn from shares of them; the message says so."""


@dataclass(frozen=True)
class Learner:
    """A detector, and the recordings that it learns from and is tested on.

    Attributes:
        experiment: whose model, recordings and folds these are.
        model: what it is called in the catalog.
        spec: of a model on one row of values per recording.
        values: what the model reads [recordings, values].
        codes: 1 for a cry, else 0; int [recordings].
        donors: str [recordings].
        folds: the fold that tests each recording, int [recordings].
        seed: of the experiment.
    """

    experiment: str
    model: str
    spec: BaseModelSpec
    values: NDArray
    codes: NDArray[np.int64]
    donors: NDArray
    folds: NDArray[np.int64]
    seed: int = 0


class Point(Record):
    """The AUC with a share of the donors to learn from."""

    share: float
    donors: float = Field(description="that a fold's model learned from, on average")
    recordings: float
    auc: Interval
    draws: int = Field(description="of which donors these are; the value is their mean")


class LearningCurve(Record):
    """The AUC of one detector by the number of donors that it learned from."""

    experiment: str
    model: str
    points: tuple[Point, ...]
    doublings: tuple[Interval, ...] = Field(description="what each share has over the one before, in pairs")
    trend: Interval = Field(description="what a doubling brings by a straight line of the AUC over log₂ of the donors")

    @property
    def bent(self) -> bool:
        """Whether each doubling brought less than the one before."""
        gains = [doubling.value for doubling in self.doublings]
        return all(later < earlier for earlier, later in pairwise(gains))


def learning_curve(
    learner: Learner,
    *,
    shares: Sequence[float] = SHARES,
    draws: int = DRAWS,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> LearningCurve:
    """Train ``learner`` on each of ``shares`` of its donors, several draws of them, and test it on the same folds.

    Intervals are over the tested donors and over the draws, both resampled; of all donors there is but one draw, so
    that its interval is over donors alone. A share is left out whose donors have but one class to learn from.

    Args:
        learner: the detector.
        shares: rising, the last is 1.
        draws: of each share but the last.
        resamples: of tested donors and draws.
        seed: of all draws.

    Raises:
        TooFewDonorsError: no share but the whole can be learned from.
    """
    rng = np.random.default_rng(seed)
    learned = {share: _draws(learner, share, draws if share < 1 else 1, rng) for share in shares}
    learned = {share: drawn for share, drawn in learned.items() if drawn}
    if len(learned) < 2:
        raise TooFewDonorsError(
            f"{learner.experiment} has too few donors for a learning curve: half of them have no cry, or nothing else."
        )
    areas = [_areas(learner, drawn, resamples, seed) for drawn in learned.values()]
    values = np.array([whole.mean() for whole, _ in areas])
    resampled = np.array([_over_draws(samples, rng) for _, samples in areas])
    points = [
        Point(share=share, **_size(learner, drawn), auc=_interval(value, sample), draws=len(drawn))
        for (share, drawn), value, sample in zip(learned.items(), values, resampled, strict=True)
    ]
    steps = np.log2([point.donors for point in points])
    slope = (steps - steps.mean()) / ((steps - steps.mean()) ** 2).sum()
    gains = zip(np.diff(values), np.diff(resampled, axis=0), strict=True)
    return LearningCurve(
        experiment=learner.experiment,
        model=learner.model,
        points=tuple(points),
        doublings=tuple(_interval(gain, sample) for gain, sample in gains),
        trend=_interval(slope @ values, slope @ resampled),
    )


def _draws(learner: Learner, share: float, draws: int, rng: np.random.Generator) -> list[NDArray[np.bool_]]:
    """Return ``draws`` times the recordings of ``share`` of the donors; none where a fold would lack a class."""
    names, drawn = np.unique(learner.donors), []
    for _ in range(ATTEMPTS * draws):
        chosen = np.isin(learner.donors, rng.permutation(names)[: round(share * len(names))])
        if all(len(np.unique(learner.codes[chosen & ~test])) == 2 for test in _tests(learner)):
            drawn.append(chosen)
        if len(drawn) == draws:
            return drawn
    return []


def _areas(learner: Learner, drawn: Sequence[NDArray[np.bool_]], resamples: int, seed: int) -> tuple[Floats, Floats]:
    """Return the AUC of each draw ``[draws]``, and on resamples of the tested donors ``[draws, resamples]``."""
    of = learner
    scores = [
        refit(of.spec, of.values, of.codes, of.folds[None], classes=2, seed=of.seed, learned=one)[0, :, 1]
        for one in drawn
    ]

    def measured(weights: Floats | None) -> dict[str, Floats]:
        return {str(place): auc(of.codes == 1, one, weights, of.folds) for place, one in enumerate(scores)}

    # No resample is left out that another share would keep: whether it has a pair to compare, labels and folds decide.
    samples, _ = donor_bootstrap(measured, learner.donors, resamples=resamples, seed=seed)
    return np.array(list(measured(None).values())), np.array(list(samples.values()))


def _over_draws(samples: Floats, rng: np.random.Generator) -> Floats:
    """Return, of ``samples [draws, resamples]``, the mean over draws that are themselves resampled ``[resamples]``."""
    draws, resamples = samples.shape
    chosen = rng.multinomial(draws, np.full(draws, 1 / draws), size=resamples)
    return (chosen.T * samples).sum(axis=0) / draws


def _size(learner: Learner, drawn: Sequence[NDArray[np.bool_]]) -> dict[str, float]:
    """Return how many donors and recordings a fold's model learned from, on average."""
    sides = [chosen & ~test for chosen in drawn for test in _tests(learner)]
    return {
        "donors": float(np.mean([len(np.unique(learner.donors[side])) for side in sides])),
        "recordings": float(np.mean([side.sum() for side in sides])),
    }


def _tests(learner: Learner) -> list[NDArray[np.bool_]]:
    return [learner.folds == fold for fold in np.unique(learner.folds)]


def _interval(value: float, sample: Floats) -> Interval:
    low, high = percentile_interval(sample)
    return Interval(value=float(value), low=low, high=high)
