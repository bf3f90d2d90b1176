"""The simplest models: what anything has to beat.

Belongs here: constant answers and logistic regressions. Does not: trees (forests.py), kernels (svm.py), networks
(networks/).
"""

import numpy as np

from cry_pipeline.catalog.models import LogisticRegressionSpec, MajoritySpec, MetadataSpec
from cry_pipeline.training.datasets import Rows
from cry_pipeline.training.value_models import Tensors, ValueModel, statistics


class Majority(ValueModel[MajoritySpec]):
    """Answers every recording with the class frequencies ``[classes]`` of the training rows."""

    spec = MajoritySpec
    calibrated = False

    def values(self, spec: MajoritySpec, rows: Rows) -> np.ndarray:
        """Return no values ``[recordings, 0]``."""
        return np.empty((len(rows), 0))

    def solve(self, spec: MajoritySpec, values: np.ndarray, codes: np.ndarray, classes: int, seed: int) -> Tensors:
        """Return the ``frequencies``."""
        return {"frequencies": np.bincount(codes, minlength=classes) / len(codes)}

    def answer(self, spec: MajoritySpec, tensors: Tensors, values: np.ndarray) -> np.ndarray:
        """Return the frequencies for every recording."""
        return np.tile(tensors["frequencies"], (len(values), 1))


class LogisticRegressionOnStatistics(ValueModel[LogisticRegressionSpec]):
    """Multinomial logistic regression (L2) on the standardised pooled statistics, by scikit-learn.

    ``means``, ``scales [values]``, ``coefficients [classes, values]``, ``intercepts [classes]``, float64.
    """

    spec = LogisticRegressionSpec

    def values(self, spec: LogisticRegressionSpec, rows: Rows) -> np.ndarray:
        """Return the pooled statistics."""
        return statistics(rows)

    def solve(
        self, spec: LogisticRegressionSpec, values: np.ndarray, codes: np.ndarray, classes: int, seed: int
    ) -> Tensors:
        """Fit scaler and regression."""
        from sklearn.preprocessing import StandardScaler

        scaler = StandardScaler().fit(values)
        coefficients, intercepts = _regression(
            np.asarray(scaler.transform(values)),
            codes,
            spec.inverse_regularisation,
            spec.class_weight,
            spec.max_iterations,
        )
        means, scales = np.asarray(scaler.mean_), np.asarray(scaler.scale_)
        return {"means": means, "scales": scales, "coefficients": coefficients, "intercepts": intercepts}

    def answer(self, spec: LogisticRegressionSpec, tensors: Tensors, values: np.ndarray) -> np.ndarray:
        """Return softmax(standardised statistics · coefficientsᵀ + intercepts)."""
        from scipy.special import softmax

        standardised = (values - tensors["means"]) / tensors["scales"]
        return softmax(standardised @ tensors["coefficients"].T + tensors["intercepts"], axis=1)


class LogisticRegressionOnMetadata(ValueModel[MetadataSpec]):
    """Logistic regression (L2) on categories of the manifest: ``<column>=<category> [classes]`` and ``intercepts``.

    A category that was not seen in training adds nothing.
    """

    spec = MetadataSpec

    def values(self, spec: MetadataSpec, rows: Rows) -> np.ndarray:
        """Return ``<column>=<category>``, str ``[recordings, columns]``; what is not told is the category "?"."""
        columns = rows.with_columns(spec.columns)
        named = [
            columns[name].astype("string").fillna("?").map(lambda value, of=name: f"{of}={value}") for name in columns
        ]
        return np.column_stack([column.to_numpy(str) for column in named])

    def solve(self, spec: MetadataSpec, values: np.ndarray, codes: np.ndarray, classes: int, seed: int) -> Tensors:
        """Fit a regression to one column of 0 and 1 for each category."""
        categories = np.unique(values)
        coefficients, intercepts = _regression(
            _present(values, categories), codes, spec.inverse_regularisation, spec.class_weight, 1000
        )
        return {**dict(zip(categories.tolist(), coefficients.T, strict=True)), "intercepts": intercepts}

    def answer(self, spec: MetadataSpec, tensors: Tensors, values: np.ndarray) -> np.ndarray:
        """Return softmax(sum of the categories' coefficients + intercepts)."""
        from scipy.special import softmax

        categories = np.array(sorted(name for name in tensors if "=" in name))
        coefficients = np.stack([tensors[name] for name in categories])
        return softmax(_present(values, categories) @ coefficients + tensors["intercepts"], axis=1)


def _present(values: np.ndarray, categories: np.ndarray) -> np.ndarray:
    """Return float64 ``[recordings, categories]``: 1 where a recording is of a category."""
    return (values[:, :, None] == categories).any(axis=1).astype(np.float64)


def _regression(
    values: np.ndarray, codes: np.ndarray, inverse_regularisation: float, class_weight: str, iterations: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return coefficients ``[classes, values]`` and intercepts ``[classes]``."""
    from sklearn.linear_model import LogisticRegression

    weight = None if class_weight == "none" else class_weight
    regression = LogisticRegression(C=inverse_regularisation, class_weight=weight, max_iter=iterations)
    regression.fit(values, codes)
    coefficients, intercepts = np.asarray(regression.coef_), np.asarray(regression.intercept_)
    if len(coefficients) == 1:
        # scikit-learn keeps only the second class of two; the first one's logit is then 0.
        coefficients = np.vstack([np.zeros_like(coefficients), coefficients])
        intercepts = np.concatenate([[0.0], intercepts])
    return coefficients, intercepts
