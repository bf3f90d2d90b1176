"""What training adds to a number: with other seeds and other splits the same method gives other models.

Belongs here: draws of the trainings of runs with repeats. Does not: the donors' part (resampling.py), comparisons
(comparisons.py), and by how much a spread is widened where there was but one training (nulls.py).
"""

import numpy as np

from cry_pipeline.evaluation.findings import Comparison
from cry_pipeline.evaluation.metrics import Floats
from cry_pipeline.evaluation.nulls import TRAINING_WIDENING
from cry_pipeline.evaluation.records import Evidence

FEWEST_TRAININGS = 5
"""Trainings of each network, on other splits and with other seeds, before one is called better or worse."""


def lacking(comparison: Comparison, *, network: bool, guessing: bool) -> str:
    """Return in words what keeps a comparison from saying anything; empty where nothing does.

    Args:
        comparison: of two methods.
        network: whether either holds a network, whose value hangs on its seed.
        guessing: whether neither is above chance. What such methods come to hangs on the donors they were trained on,
            the same ones in all repeats, so that a difference looks surer than it is.
    """
    if guessing:
        return "not said: neither is above chance"
    done = comparison.trainings
    if not network or done >= FEWEST_TRAININGS:
        return ""
    return f"not said: trained {'once' if done == 1 else f'{done} times'}, {FEWEST_TRAININGS} times are needed"


def both_guess(first: Evidence, second: Evidence) -> bool:
    """Return whether neither run is above chance, be it by a shortcut."""
    return first.guesses and second.guesses


def intervals_hold(trainings: int) -> str:
    """Return what intervals on a page of comparisons are about, where each run was trained so often."""
    if trainings > 1:
        return (
            f"Each model was trained {trainings} times, on other splits and with other seeds. Intervals are 95 % "
            "intervals over donors and trainings."
        )
    return (
        "Each model was trained once. Intervals of values are 95 % intervals over donors, of these trained models. "
        f"Those of differences are {TRAINING_WIDENING:g} times as wide as donors alone make them: with other seeds and "
        "splits the models would have come out elsewhere."
    )


def with_trainings(samples: Floats, trained: Floats, seed: int) -> Floats:
    """Return ``samples [..., resamples]`` over donors with what other trainings would add to each.

    Args:
        samples: of a mean over repeats, on resamples of the donors.
        trained: its value in each repeat, ``[..., repeats]``.
        seed: of the draws.
    """
    return samples + trained @ training_draws(trained.shape[-1], resamples=samples.shape[-1], seed=seed).T


def training_draws(repeats: int, *, resamples: int, seed: int) -> Floats:
    """Return weights ``[resamples, repeats]``; times a value of each repeat they are what other trainings would add.

    For values ``v [repeats]``, the product is drawn from T · s/√R: Student's distribution with R − 1 degrees of freedom
    and the standard error of the mean of R values. Five values bootstrap poorly, their spread being known poorly, too;
    Student's distribution holds just that. A product is linear in the values, so that the difference of two runs'
    products is the product of their difference, and what trainings have in common (the split) cancels.

    Args:
        repeats: R, of each run; with 1 nothing is known of training, and all weights are 0.
        resamples: how many to draw.
        seed: of the draws.
    """
    if repeats == 1:
        return np.zeros((resamples, 1))
    rng = np.random.default_rng([seed, repeats])
    normal = rng.standard_normal((resamples, repeats))
    centred = normal - normal.mean(axis=1, keepdims=True)
    scale = np.sqrt(rng.chisquare(repeats - 1, resamples) / (repeats - 1))
    return centred / np.sqrt(repeats * (repeats - 1)) / scale[:, None]
