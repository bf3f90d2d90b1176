"""Baselines solved in one go: what a network has to beat.

Belongs here: closed-form and scikit-learn models on pooled statistics. Does not: networks (networks/),
and cross-validation (runs.py). What is saved are numbers, from which predictions are computed here.
"""

from pathlib import Path
from typing import Any

import numpy as np

from cry_pipeline.catalog.specs import LogisticRegressionSpec, MajoritySpec
from cry_pipeline.training.checkpoints import Checkpoint, write_checkpoint
from cry_pipeline.training.datasets import Rows
from cry_pipeline.training.models import Epoch, FitSettings


class _Fitted:
    """A baseline that is its checkpoint: there is nothing else to it than named arrays."""

    history: tuple[Epoch, ...] = ()

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint

    @property
    def notes(self) -> dict[str, Any]:
        """See :class:`~cry_pipeline.training.registry.FittedModel`."""
        return {"device": "cpu", "bit_reproducible": "on the same machine and library versions"}

    def save(self, path: Path) -> None:
        """Write the arrays to ``path``."""
        write_checkpoint(path, self.checkpoint)


class FittedMajority(_Fitted):
    """Class frequencies ``[classes]``."""

    def predict_probabilities(self, rows: Rows) -> np.ndarray:
        """Return the training rows' class frequencies for every recording: ``[recordings, classes]``."""
        return np.tile(self.checkpoint.tensors["frequencies"], (len(rows), 1))


class Majority:
    """Answers every recording with the class frequencies of the training rows."""

    def fit(self, spec: MajoritySpec, train: Rows, settings: FitSettings) -> FittedMajority:
        """Count the classes of ``train``."""
        counts = np.bincount(train.codes, minlength=len(train.classes))
        tensors = {"frequencies": counts / counts.sum()}
        return self.restore(Checkpoint(spec.kind, train.classes, spec.model_dump(mode="json"), tensors))

    def restore(self, checkpoint: Checkpoint) -> FittedMajority:
        """Return what was saved as ``checkpoint``."""
        return FittedMajority(checkpoint)


class FittedLogisticRegression(_Fitted):
    """``means``, ``scales [values]``, ``coefficients [classes, values]``, ``intercepts [classes]``, float64."""

    def predict_probabilities(self, rows: Rows) -> np.ndarray:
        """Return softmax(standardised statistics · coefficientsᵀ + intercepts): ``[recordings, classes]``."""
        from scipy.special import softmax

        tensors = self.checkpoint.tensors
        standardised = (_statistics(rows) - tensors["means"]) / tensors["scales"]
        return softmax(standardised @ tensors["coefficients"].T + tensors["intercepts"], axis=1)


class LogisticRegressionOnStatistics:
    """Multinomial logistic regression (L2) on the standardised pooled statistics, by scikit-learn."""

    def fit(self, spec: LogisticRegressionSpec, train: Rows, settings: FitSettings) -> FittedLogisticRegression:
        """Fit scaler and regression to ``train``; ``train`` holds every class."""
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        scaler = StandardScaler()
        regression = LogisticRegression(
            C=spec.inverse_regularisation,
            class_weight=None if spec.class_weight == "none" else spec.class_weight,
            max_iter=spec.max_iterations,
            random_state=settings.seed,
        )
        make_pipeline(scaler, regression).fit(_statistics(train), train.codes)
        coefficients, intercepts = regression.coef_, regression.intercept_
        if len(train.classes) == 2:
            # scikit-learn keeps only the second class of two; the first one's logit is then 0.
            coefficients = np.vstack([np.zeros_like(coefficients), coefficients])
            intercepts = np.concatenate([[0.0], intercepts])
        tensors = {
            "means": np.asarray(scaler.mean_),
            "scales": np.asarray(scaler.scale_),
            "coefficients": coefficients,
            "intercepts": intercepts,
        }
        return self.restore(Checkpoint(spec.kind, train.classes, spec.model_dump(mode="json"), tensors))

    def restore(self, checkpoint: Checkpoint) -> FittedLogisticRegression:
        """Return what was saved as ``checkpoint``."""
        return FittedLogisticRegression(checkpoint)


def _statistics(rows: Rows) -> np.ndarray:
    return rows.with_arrays(["statistics"]).arrays["statistics"].astype(np.float64)
