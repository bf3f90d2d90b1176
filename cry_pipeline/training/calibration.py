"""The temperature of a model: one number that makes its probabilities as sure as they should be.

Belongs here: fitting it, and applying it. Does not: judging calibration (evaluation), and choosing the rows: these
must be held out of what the model was fitted to.
"""

from dataclasses import dataclass

import numpy as np

LEAST, MOST = 0.05, 20.0
SMALLEST = 1e-12
"""Probabilities are taken as at least this before a temperature is applied, in the exported graph too: one exact 0, as
forests give, would decide a temperature alone."""


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

    @property
    def temperature(self) -> float:
        """The temperature that fits them."""
        return fit_temperature(self.probabilities, self.codes)


def fit_temperature(probabilities: np.ndarray, codes: np.ndarray) -> float:
    """Return the T in 0.05 to 20 with the least log-loss of softmax(log p / T); 1 where that cannot be told.

    It cannot where fewer than two classes occur, or where the answers are all the same.

    Args:
        probabilities: [recordings, classes].
        codes: index of the true class [recordings].
    """
    from scipy.optimize import minimize_scalar

    if len(np.unique(codes)) < 2 or np.ptp(probabilities, axis=0).max() < SMALLEST:
        return 1.0

    def loss(log_temperature: float) -> float:
        return -float(log_calibrated(probabilities, np.exp(log_temperature))[np.arange(len(codes)), codes].mean())

    minimum = minimize_scalar(loss, bounds=(np.log(LEAST), np.log(MOST)), method="bounded")
    return float(np.exp(minimum.x))  # pyright: ignore[reportAttributeAccessIssue] - no fields in its stubs


def log_calibrated(probabilities: np.ndarray, temperatures: np.ndarray | float) -> np.ndarray:
    """Return log softmax(log p / T), float64 ``[..., classes]``, of ``temperatures [...]`` or one for all."""
    from scipy.special import log_softmax

    warmth = np.asarray(temperatures, dtype=np.float64)[..., None]
    return log_softmax(np.log(np.maximum(probabilities, SMALLEST)) / warmth, axis=-1)


def calibrated(probabilities: np.ndarray, temperatures: np.ndarray | float) -> np.ndarray:
    """Return softmax(log p / T), float64 ``[..., classes]``; what is at temperature 1 stays as it is, bit for bit."""
    as_they_are = np.asarray(temperatures)[..., None] == 1
    return np.where(as_they_are, probabilities, np.exp(log_calibrated(probabilities, temperatures)))
