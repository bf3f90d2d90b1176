"""How far probabilities hold out of fold: as predicted, by slope alone (as temperatures did), by slope and intercepts.

Belongs here: fitting models and their calibration on the folds of an installation, as training does. Does not:
the calibration itself.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from cry_pipeline.evaluation.resampling import donor_bootstrap
from cry_pipeline.training.calibration import calibrated, fit_recalibration, log_calibrated
from cry_pipeline.training.registry import implementation
from cry_pipeline.training.value_models import inner_folds
from cry_pipeline_tests.simulations.installation import Installation, Seen
from cry_pipeline_tests.simulations.rates import Figure

EXPERIMENTS = (
    "curation_svm_covariance_donor_hashed",
    "curation_random_forest_donor_grouped",
    "curation_logistic_regression_donor_grouped",
    "cleaned_logistic_regression_donor_grouped",
)
RESAMPLES = 1000


def simulate(installation: Installation) -> Iterator[Figure]:
    """Yield, of each of some experiments on the corpus, mean probability against share, log-loss and Brier score.

    Of two classes the probability is that of the second, of more that of the most frequent one; ± is the standard
    error over donors of the difference between mean and share.
    """
    for experiment in EXPERIMENTS:
        seen = installation.seen(experiment)
        said, intercepts = _out_of_fold(seen)
        code = 1 if len(seen.classes) == 2 else int(np.bincount(seen.codes).argmax())
        truth = np.eye(len(seen.classes))[seen.codes]
        for how, probabilities in said.items():
            off = probabilities[:, code] - truth[:, code]

            def mean(weights: NDArray, off: NDArray = off) -> dict[str, NDArray]:
                return {"off": weights @ off / weights.sum(axis=1)}

            error = donor_bootstrap(mean, seen.donors, resamples=RESAMPLES, seed=0)[0]["off"].std()
            loss = -np.log(np.maximum(probabilities[truth == 1], 1e-15)).mean()
            brier = ((probabilities - truth) ** 2).sum(axis=1).mean() / (2 if len(seen.classes) == 2 else 1)
            yield Figure(
                f"{experiment}, {how}",
                f"mean p {probabilities[:, code].mean():.3f} for {truth[:, code].mean():.3f} (± {error:.3f}), "
                f"log-loss {loss:.4f}, Brier {brier:.4f}",
            )
        yield Figure(f"{experiment}, largest SD over folds of an intercept", f"{intercepts.std(axis=0).max():.2f}")


def _out_of_fold(seen: Seen) -> tuple[dict[str, NDArray], NDArray]:
    """Return out-of-fold probabilities of the first repeat by how they were calibrated, and each fold's intercepts."""
    model: Any = implementation(seen.spec.kind)
    classes = len(seen.classes)
    said = {
        how: np.empty((len(seen.codes), classes)) for how in ("as predicted", "slope alone", "slope and intercepts")
    }
    found = []
    for fold in np.unique(seen.folds[0]):
        train, test = seen.folds[0] != fold, seen.folds[0] == fold
        values, codes = seen.values[train], seen.codes[train]
        raw = model.answer(seen.spec, model.solve(seen.spec, values, codes, classes, 0), seen.values[test])
        parts = []
        for fit, held in inner_folds(codes, seen.donors[train], classes, 0):
            tensors = model.solve(seen.spec, values[fit], codes[fit], classes, 0)
            parts.append((codes[held], model.answer(seen.spec, tensors, values[held])))
        held_codes, answers = (np.concatenate(part) for part in zip(*parts, strict=True))
        own = fit_recalibration(answers, held_codes)
        found.append(own.intercepts)
        said["as predicted"][test] = raw
        said["slope alone"][test] = np.exp(log_calibrated(raw, _slope_alone(answers, held_codes)))
        said["slope and intercepts"][test] = calibrated(raw, *own)
    return said, np.array(found)


def _slope_alone(probabilities: NDArray, codes: NDArray) -> float:
    """Return the slope with the least log-loss where there are no intercepts."""

    def loss(log_slope: float) -> float:
        return -float(log_calibrated(probabilities, np.exp(log_slope))[np.arange(len(codes)), codes].sum())

    found: Any = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20)), method="bounded")
    return float(np.exp(found.x))
