"""What makes a model's probabilities as sure as they should be: one slope, and an intercept for each class.

Belongs here: fitting them, applying them, and their columns in predictions. Does not: judging calibration
(evaluation), and choosing the rows: these must be held out of what the model was fitted to.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

LEAST, MOST = 0.05, 20.0
"""Of a slope."""
SLOPE_SD, INTERCEPT_SD = 1.0, 2.0
"""How far the logarithm of a slope, and an intercept, are expected from 0 before anything is seen.

On the corpus' 457 cleaned recordings (16 and 8 in the rarest classes) the intercepts hardly move when 2 becomes 0.5 or
10, nor between folds (SD at most 0.2), and take the log-loss from 1.27 to 0.67; answers that rows of few recordings
separate without a mistake are kept from a slope without end."""
SMALLEST = 1e-5
"""Probabilities are taken as at least this before a slope is applied, in the exported graph too: one exact 0, as
forests give, would decide slope and intercepts alone. No model here is so sure of itself for good reason."""


SAME = 1e-12
"""Probabilities that differ by less are the same answer."""


class Recalibration(NamedTuple):
    """p' = softmax(slope · log p + intercepts); the first class' intercept is 0, the others' are relative to it.

    The slope says how sure the model may be (below 1: it was too sure), the intercepts how frequent each class is:
    models are trained as if all were equally frequent. Formula: Platt scaling with more than two classes, as in
    Alexandari et al. 2020 ("bias-corrected temperature scaling", arXiv 1901.06852).

    Args:
        slope: above 0.
        intercepts: one for each class.
    """

    slope: float
    intercepts: tuple[float, ...]

    @classmethod
    def none(cls, classes: int) -> "Recalibration":
        """Return what leaves probabilities of so many classes as they are."""
        return cls(1.0, (0.0,) * classes)

    @property
    def fitted(self) -> bool:
        """Whether it changes anything."""
        return self.slope != 1 or any(self.intercepts)


@dataclass(frozen=True)
class HeldOut:
    """Answers for training rows that were held out of the fit, by inner folds or an inner split of donors.

    Args:
        recording_ids: str [recordings].
        codes: index of the true class, int64 [recordings].
        probabilities: float64 [recordings, classes].
    """

    recording_ids: list[str]
    codes: np.ndarray
    probabilities: np.ndarray

    @cached_property
    def recalibration(self) -> Recalibration:
        """Slope and intercepts that fit them."""
        return fit_recalibration(self.probabilities, self.codes)


def fit_recalibration(probabilities: np.ndarray, codes: np.ndarray) -> Recalibration:
    """Return slope and intercepts with the least log-loss, held back by a normal prior; none where they can't be told.

    They cannot where fewer than two classes occur, or where the answers are all the same. The slope is within
    :data:`LEAST` and :data:`MOST`. What is least is the sum over recordings of −log p' of the true class, plus
    ½ (log slope / :data:`SLOPE_SD`)², plus ½ (intercept / :data:`INTERCEPT_SD`)² of each class (the intercepts then
    sum to 0; the first is taken off them all, which changes no p').

    Args:
        probabilities: [recordings, classes].
        codes: index of the true class [recordings].
    """
    from scipy.optimize import minimize

    classes = probabilities.shape[1]
    if len(np.unique(codes)) < 2 or np.ptp(probabilities, axis=0).max() < SAME:
        return Recalibration.none(classes)
    logs, truth = np.log(np.maximum(probabilities, SMALLEST)), np.eye(classes)[codes]
    spread = np.array([SLOPE_SD, *[INTERCEPT_SD] * classes])

    def loss(sought: np.ndarray) -> tuple[float, np.ndarray]:
        slope = np.exp(sought[0])
        log_p = log_calibrated(probabilities, slope, sought[1:])
        excess = np.exp(log_p) - truth
        rise = np.array([(excess * logs).sum() * slope, *excess.sum(axis=0)]) + sought / spread**2
        return 0.5 * ((sought / spread) ** 2).sum() - log_p[truth == 1].sum(), rise

    bounds = [(np.log(LEAST), np.log(MOST)), *[(None, None)] * classes]
    options = {"ftol": 1e-13, "gtol": 1e-8}
    found = minimize(loss, np.zeros(classes + 1), jac=True, method="L-BFGS-B", bounds=bounds, options=options).x
    return Recalibration(float(np.exp(found[0])), tuple(float(value - found[1]) for value in found[1:]))


def log_calibrated(
    probabilities: np.ndarray, slopes: np.ndarray | float, intercepts: np.ndarray | Sequence[float] | float = 0.0
) -> np.ndarray:
    """Return log softmax(slope · log p + intercept), float64 ``[..., classes]``.

    Args:
        probabilities: ``[..., classes]``.
        slopes: ``[...]``, or one for all.
        intercepts: ``[..., classes]``, or ``[classes]`` for all; none where left out.
    """
    from scipy.special import log_softmax

    steepness = np.asarray(slopes, dtype=np.float64)[..., None]
    return log_softmax(steepness * np.log(np.maximum(probabilities, SMALLEST)) + np.asarray(intercepts), axis=-1)


def calibrated(
    probabilities: np.ndarray, slopes: np.ndarray | float, intercepts: np.ndarray | Sequence[float]
) -> np.ndarray:
    """Return softmax(slope · log p + intercept), see :func:`log_calibrated`.

    What has slope 1 and no intercepts stays as it is, bit for bit.
    """
    as_they_are = (np.asarray(slopes)[..., None] == 1) & (np.asarray(intercepts) == 0).all(axis=-1, keepdims=True)
    return np.where(as_they_are, probabilities, np.exp(log_calibrated(probabilities, slopes, intercepts)))


def columns(recalibration: Recalibration, classes: Sequence[str]) -> dict[str, float]:
    """Return the columns that predictions of a model with ``recalibration`` have: slope, and intercept_<class>."""
    intercepts = zip(classes, recalibration.intercepts, strict=True)
    return {"slope": recalibration.slope} | {f"intercept_{name}": value for name, value in intercepts}


def of_columns(predictions: "pd.DataFrame", classes: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the slopes ``[rows]`` and intercepts ``[rows, classes]`` of predictions, float64.

    What was trained before there were intercepts has a ``temperature``, the inverse of a slope; what was not
    calibrated has slope 1 and no intercepts.
    """
    if "slope" in predictions:
        names = [f"intercept_{name}" for name in classes]
        return predictions["slope"].to_numpy(np.float64), predictions[names].to_numpy(np.float64)
    none = np.zeros((len(predictions), len(classes)))
    if "temperature" in predictions:
        with np.errstate(divide="ignore"):
            return 1 / predictions["temperature"].to_numpy(np.float64), none
    return np.ones(len(predictions)), none
