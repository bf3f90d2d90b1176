"""Support vector machines with a Gaussian kernel, by scikit-learn, kept and asked as plain arrays.

Belongs here: fitting and asking them. Does not: what they learn from (covariances.py, the store's statistics).
"""

import numpy as np

from cry_pipeline.catalog.models import SvmSpec
from cry_pipeline.training.covariances import log_covariances
from cry_pipeline.training.datasets import Rows
from cry_pipeline.training.value_models import Tensors, ValueModel, statistics


class SupportVectorMachine(ValueModel[SvmSpec]):
    """One machine for two classes, else one for each class against the rest.

    The probabilities are the softmax of the decision values (of 0 and d for two classes): they rank recordings as
    the decision values do, and how sure they may be is left to the slope, fitted on inner folds by donor as
    every model's (scikit-learn's own ``probability=True`` would take inner folds that do not know donors).

    ``means``, ``scales [values]``, ``support [vectors, values]`` (standardised), ``weights [machines, vectors]``,
    ``intercepts [machines]``.
    """

    spec = SvmSpec

    def values(self, spec: SvmSpec, rows: Rows) -> np.ndarray:
        """Return the pooled statistics, or the logarithms of the mels' covariances."""
        if spec.pool == "statistics":
            return statistics(rows)
        return log_covariances(rows.with_arrays(["mel"]), spec.bands, spec.change_frames, spec.ridge)

    def solve(self, spec: SvmSpec, values: np.ndarray, codes: np.ndarray, classes: int, seed: int) -> Tensors:
        """Standardise, and fit each machine; ``support`` are the rows that any of them needs."""
        from sklearn.preprocessing import StandardScaler
        from sklearn.svm import SVC

        scaler = StandardScaler().fit(values)
        # What is kept is float32, so float32 is what is learned from.
        standardised = np.asarray(scaler.transform(values), dtype=np.float32)
        weights, intercepts = [], []
        for code in range(classes) if classes > 2 else (1,):
            machine = SVC(
                C=spec.penalty,
                gamma=gamma(spec, values.shape[1]),  # pyright: ignore[reportArgumentType] - a float too
                class_weight=None if spec.class_weight == "none" else spec.class_weight,
            ).fit(standardised, codes == code)
            machine_weights = np.zeros(len(values))
            machine_weights[machine.support_] = np.asarray(machine.dual_coef_)[0]
            weights.append(machine_weights)
            intercepts.append(float(machine.intercept_[0]))
        needed = np.any(weights, axis=0)
        return {
            "means": np.asarray(scaler.mean_),
            "scales": np.asarray(scaler.scale_),
            "support": standardised[needed],
            "weights": np.stack(weights)[:, needed],
            "intercepts": np.array(intercepts),
        }

    def answer(self, spec: SvmSpec, tensors: Tensors, values: np.ndarray) -> np.ndarray:
        """Return the softmax of Σ weight · exp(−gamma · ‖x − support‖²) + intercept."""
        from scipy.spatial.distance import cdist
        from scipy.special import softmax

        standardised = ((values - tensors["means"]) / tensors["scales"]).astype(np.float32)
        squares = cdist(standardised, tensors["support"], "sqeuclidean")
        decisions = np.exp(-gamma(spec, values.shape[1]) * squares) @ tensors["weights"].T + tensors["intercepts"]
        if decisions.shape[1] == 1:
            decisions = np.column_stack([np.zeros(len(decisions)), decisions])
        return softmax(decisions, axis=1)


def gamma(spec: SvmSpec, values: int) -> float:
    """Return what squared distances between rows of so many values are multiplied by in the kernel."""
    return 1 / (spec.width * values)
