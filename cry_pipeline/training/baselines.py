"""The simplest models: what anything has to beat.

Belongs here: constant answers and logistic regressions. Does not: trees (forests.py), kernels (svm.py), networks
(networks/).
"""

from typing import TYPE_CHECKING

import numpy as np

from cry_pipeline.catalog.models import NUMBERS, LogisticRegressionSpec, MajoritySpec, MetadataSpec
from cry_pipeline.training.datasets import Rows
from cry_pipeline.training.value_models import Tensors, ValueModel, statistics

if TYPE_CHECKING:
    import pandas as pd

MISSING = "?"


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
    """Logistic regression (L2) on what the manifest says.

    A category has a coefficient for each class, ``<column>=<category> [classes]``; one that was not seen in training
    adds nothing. A number is standardised, and has ``<column>.mean [1]``, ``<column>.scale [1]`` and ``<column>
    [classes]``; where it is missing it is the mean, and the category ``<column>=?``. With ``bins`` it has
    ``<column>.edges`` too, the quantiles of the training rows, and a ``<column>.bin<number> [classes]`` for each:
    a number is in the bin of as many edges as are below it. ``intercepts [classes]``.
    """

    spec = MetadataSpec

    def values(self, spec: MetadataSpec, rows: Rows) -> np.ndarray:
        """Return ``<column>=<category or number>``, str ``[recordings, columns]``; what is not told is "?"."""
        columns = rows.with_columns(spec.columns)
        return np.column_stack([_named(columns[name], name) for name in spec.columns])

    def solve(self, spec: MetadataSpec, values: np.ndarray, codes: np.ndarray, classes: int, seed: int) -> Tensors:
        """Fit a regression to one column of 0 and 1 for each category, and one for each number."""
        categories = np.array([name for name in np.unique(values) if not _is_number(name)])
        scaling = {}
        for name in _numbers(spec):
            told = _told(values, name)
            told = told[np.isfinite(told)]
            sd = told.std() if len(told) else 0.0
            scaling |= {f"{name}.mean": np.array([told.mean() if len(told) else 0.0])}
            scaling |= {f"{name}.scale": np.array([sd if sd > 0 else 1.0])}
            if spec.bins:
                inner = np.arange(1, spec.bins) / spec.bins
                scaling |= {f"{name}.edges": np.unique(np.quantile(told, inner)) if len(told) else np.empty(0)}
        seen, names = _seen(values, spec, categories.tolist(), scaling)
        coefficients, intercepts = _regression(seen, codes, spec.inverse_regularisation, spec.class_weight, 1000)
        return {**dict(zip(names, coefficients.T, strict=True)), **scaling, "intercepts": intercepts}

    def answer(self, spec: MetadataSpec, tensors: Tensors, values: np.ndarray) -> np.ndarray:
        """Return softmax(sum of the categories' coefficients + numbers · theirs + intercepts)."""
        from scipy.special import softmax

        categories = sorted(name for name in tensors if "=" in name)
        seen, names = _seen(values, spec, categories, tensors)
        return softmax(seen @ np.stack([tensors[name] for name in names]) + tensors["intercepts"], axis=1)


def _seen(
    values: np.ndarray, spec: MetadataSpec, categories: list[str], scaling: Tensors
) -> tuple[np.ndarray, list[str]]:
    """Return what the regression sees, float64 ``[recordings, names]``, and the names of its columns."""
    numbers = _numbers(spec)
    columns = [_present(values, np.array(categories, str)), _standardised(values, spec, scaling)]
    names = [*categories, *numbers]
    for name in numbers if spec.bins else []:
        binned = _binned(values, name, scaling[f"{name}.edges"])
        columns.append(binned)
        names += [f"{name}.bin{number}" for number in range(binned.shape[1])]
    return np.column_stack(columns), names


def _numbers(spec: MetadataSpec) -> list[str]:
    """Return the columns that are taken as numbers: two recordings are hardly ever of the same category of these."""
    return [name for name in spec.columns if name in NUMBERS]


def _is_number(named: str) -> bool:
    name, _, value = named.partition("=")
    return name in NUMBERS and value != MISSING


def _named(column: "pd.Series", name: str) -> np.ndarray:
    """Return ``<name>=<value>`` of each recording; a number in full, so that it comes back bit for bit."""
    if name in NUMBERS:
        numbers = column.astype("Float64").to_numpy(np.float64, na_value=np.nan)
        named = [f"{name}={float(value)!r}" if np.isfinite(value) else f"{name}={MISSING}" for value in numbers]
        return np.array(named, dtype=str)
    return column.astype("string").fillna(MISSING).map(lambda value: f"{name}={value}").to_numpy(str)


def _told(values: np.ndarray, name: str) -> np.ndarray:
    """Return the number ``name`` of each recording, float64; NaN where it is missing."""
    column = values[:, np.char.startswith(values[0], f"{name}=")][:, 0] if len(values) else values[:, 0]
    texts = [text.partition("=")[2] for text in column.tolist()]
    return np.array([np.nan if text == MISSING else float(text) for text in texts])


def _standardised(values: np.ndarray, spec: MetadataSpec, scaling: Tensors) -> np.ndarray:
    """Return float64 ``[recordings, numbers]``; what is missing is 0, the mean."""
    numbers = [
        np.nan_to_num((_told(values, name) - scaling[f"{name}.mean"]) / scaling[f"{name}.scale"])
        for name in _numbers(spec)
    ]
    return np.column_stack(numbers) if numbers else np.empty((len(values), 0))


def _binned(values: np.ndarray, name: str, edges: np.ndarray) -> np.ndarray:
    """Return float64 ``[recordings, bins]``: 1 in the bin of the number ``name``; where it is missing, 0 in all."""
    told = _told(values, name)
    inside = np.searchsorted(edges, told)[:, None] == np.arange(len(edges) + 1)
    return (inside & np.isfinite(told)[:, None]).astype(np.float64)


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
