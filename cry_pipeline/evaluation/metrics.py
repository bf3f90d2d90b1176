"""Metrics of class probabilities, each also in a weighted form that a bootstrap computes all at once.

Belongs here: pure functions on arrays. Does not: intervals (resampling.py), or checking that predictions
are out-of-fold (predictions.py).

``weights`` is None (every row once), ``[n]``, or ``[resamples, n]``; results have the shape of the weights
without their last axis. Weights are never normalised: a weight of 2 is a row that is there twice. A class
absent from the truth has no recall, and is left out of every mean over classes.
"""

from collections.abc import Callable, Collection

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def confusion_matrix(labels: NDArray, predicted: NDArray, classes: int, weights: Floats | None = None) -> Floats:
    """Return the weight of rows by true and predicted class, ``[..., true, predicted]``.

    Args:
        labels: true class of each row, int [n].
        predicted: predicted class of each row, int [n].
        classes: number of classes.
        weights: None, [n] or [resamples, n].
    """
    cells = np.zeros((len(labels), classes * classes))
    cells[np.arange(len(labels)), labels * classes + predicted] = 1.0
    weights = _weights(weights, len(labels))
    return (weights @ cells).reshape(*weights.shape[:-1], classes, classes)


def recalls(confusion: Floats) -> Floats:
    """Return the recall of each class ``[..., classes]``, NaN where the truth has none of it."""
    return _ratio(np.diagonal(confusion, axis1=-2, axis2=-1), confusion.sum(axis=-1))


def uar(confusion: Floats) -> Floats:
    """Return the unweighted average recall (balanced accuracy) over the classes in the truth."""
    return np.nanmean(recalls(confusion), axis=-1)


def macro_f1(confusion: Floats) -> Floats:
    """Return the mean over the classes in the truth of F1 = 2·TP / (true + predicted)."""
    true, predicted = confusion.sum(axis=-1), confusion.sum(axis=-2)
    f1 = _ratio(2 * np.diagonal(confusion, axis1=-2, axis2=-1), true + predicted)
    return np.nanmean(np.where(true > 0, f1, np.nan), axis=-1)


def accuracy(confusion: Floats) -> Floats:
    """Return the share of rows that are predicted right."""
    return _ratio(np.trace(confusion, axis1=-2, axis2=-1), confusion.sum(axis=(-2, -1)))


def majority_rate(confusion: Floats) -> Floats:
    """Return the accuracy of always answering with the most frequent class of the truth."""
    return _ratio(confusion.sum(axis=-1).max(axis=-1), confusion.sum(axis=(-2, -1)))


def auc(positive: NDArray, scores: Floats, weights: Floats | None = None, strata: NDArray | None = None) -> Floats:
    """Return the area under the ROC curve: how often a positive row scores above a negative one, ties half.

    With ``strata`` only pairs within one stratum are compared, that is Σ pairs·AUC / Σ pairs over strata.
    Test folds are strata: their scores come from different models, and pooling them punishes a constant
    baseline (Forman & Scholz 2010, doi 10.1145/1882471.1882479) while within folds it is at 0.5.

    Args:
        positive: whether each row is of the class, bool [n], or [permutations, n] for many truths at once.
        scores: [n], higher is more positive.
        weights: None, [n] or, of one truth, [resamples, n].
        strata: None or int [n].

    Returns:
        The AUC, NaN where there is no pair to compare.
    """
    strata = np.zeros(len(scores), dtype=np.int64) if strata is None else strata
    order = np.lexsort((scores, strata))
    new_stratum = _changes(strata[order])
    ties = np.flatnonzero(new_stratum | _changes(scores[order]))
    pluses, minuses = _split_weights(positive[..., order], _weights(weights, len(scores))[..., order], ties)
    stratum = np.flatnonzero(new_stratum[ties])
    below = np.cumsum(minuses, axis=-1) - minuses
    below -= np.repeat(below[..., stratum], np.diff(np.append(stratum, len(ties))), axis=-1)
    concordant = (pluses * (below + minuses / 2)).sum(axis=-1)
    pairs = np.add.reduceat(pluses, stratum, axis=-1) * np.add.reduceat(minuses, stratum, axis=-1)
    return _ratio(concordant, pairs.sum(axis=-1))


def macro_auc(
    labels: NDArray, probabilities: Floats, weights: Floats | None = None, strata: NDArray | None = None
) -> Floats:
    """Return the mean one-vs-rest AUC over the classes in the truth; of two classes, the AUC of the second.

    Args:
        labels: int [n].
        probabilities: [n, classes].
        weights: None, [n] or [resamples, n].
        strata: None or int [n], as for :func:`auc`.
    """
    classes = [1] if probabilities.shape[1] == 2 else np.unique(labels)
    areas = [auc(labels == label, probabilities[:, label], weights, strata) for label in classes]
    return np.mean(areas, axis=0)


def average_precision(positive: NDArray, scores: Floats, weights: Floats | None = None) -> Floats:
    """Return Σ (recall_i − recall_{i−1})·precision_i over falling thresholds i."""
    hits, precision = _precision_curve(positive, scores, weights)
    gained = np.diff(hits, axis=-1, prepend=0.0)
    return _ratio((gained * precision).sum(axis=-1), hits[..., -1])


def recall_at_precision(
    positive: NDArray, scores: Floats, weights: Floats | None = None, precision: float = 0.95
) -> Floats:
    """Return the highest recall of a threshold whose precision is at least ``precision``; 0 if none is."""
    hits, precisions = _precision_curve(positive, scores, weights)
    return _ratio(np.where(precisions >= precision, hits, 0.0).max(axis=-1), hits[..., -1])


def roc(positive: NDArray, scores: Floats, steps: int = 50) -> Floats:
    """Return the true positive rate [steps + 1] at false positive rates of 0, 1/steps, …, 1."""
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.append(_changes(scores[order])[1:], True))
    hits, misses = np.cumsum(positive[order])[last], np.cumsum(~positive[order])[last]
    grid = np.linspace(0, 1, steps + 1)
    return np.interp(grid, np.append(0, misses / misses[-1]), np.append(0, hits / hits[-1]))


def brier(labels: NDArray, probabilities: Floats, weights: Floats | None = None) -> Floats:
    """Return the mean squared error of the probabilities, summed over classes; of two classes, of the second."""
    errors = (probabilities - np.eye(probabilities.shape[1])[labels]) ** 2
    return _mean(errors[:, 1] if probabilities.shape[1] == 2 else errors.sum(axis=1), weights)


def log_loss(labels: NDArray, probabilities: Floats, weights: Floats | None = None) -> Floats:
    """Return the mean of −ln p(true class), with p at least the float64 epsilon."""
    true = probabilities[np.arange(len(labels)), labels]
    return _mean(-np.log(np.maximum(true, np.finfo(np.float64).eps)), weights)


METRICS = ("uar", "macro_f1", "auc", "accuracy", "brier", "log_loss")
DETECTION_METRICS = ("average_precision", "recall_at_95_precision")
"""Of the second of two classes; not defined for more."""


def all_metrics(
    labels: NDArray, probabilities: Floats, folds: NDArray, weights: Floats | None = None
) -> dict[str, Floats]:
    """Return every metric by name: METRICS, and with two classes DETECTION_METRICS; see :func:`some_metrics`."""
    names = METRICS + DETECTION_METRICS * (probabilities.shape[1] == 2)
    return some_metrics(names, labels, probabilities, folds, weights)


def some_metrics(
    names: Collection[str], labels: NDArray, probabilities: Floats, folds: NDArray, weights: Floats | None = None
) -> dict[str, Floats]:
    """Return the metrics called ``names``; the predicted class is the most probable, the first of equals.

    Args:
        names: from METRICS and, with two classes, DETECTION_METRICS.
        labels: int [n].
        probabilities: [n, classes], rows summing to 1.
        folds: test fold of each row, int [n]; AUC compares within folds.
        weights: None, [n] or [resamples, n].

    Raises:
        ValueError: a name is no metric of so many classes.
    """
    positive, scores = labels == 1, probabilities[:, 1]
    formulas: dict[str, Callable[[], Floats]] = {
        "auc": lambda: macro_auc(labels, probabilities, weights, folds),
        "brier": lambda: brier(labels, probabilities, weights),
        "log_loss": lambda: log_loss(labels, probabilities, weights),
    }
    if not {"uar", "macro_f1", "accuracy"}.isdisjoint(names):
        confusion = confusion_matrix(labels, probabilities.argmax(axis=1), probabilities.shape[1], weights)
        formulas |= {
            "uar": lambda: uar(confusion),
            "macro_f1": lambda: macro_f1(confusion),
            "accuracy": lambda: accuracy(confusion),
        }
    if probabilities.shape[1] == 2:
        formulas |= {
            "average_precision": lambda: average_precision(positive, scores, weights),
            "recall_at_95_precision": lambda: recall_at_precision(positive, scores, weights),
        }
    unknown = [name for name in names if name not in formulas]
    if unknown:
        raise ValueError(f"{', '.join(unknown)}: no metric of {probabilities.shape[1]} classes")
    return {name: formulas[name]() for name in names}


def _precision_curve(positive: NDArray, scores: Floats, weights: Floats | None) -> tuple[Floats, Floats]:
    """Return (weight of positives found, precision) ``[..., thresholds]`` as the threshold falls."""
    order = np.argsort(-scores, kind="stable")
    ties = np.flatnonzero(_changes(scores[order]))
    pluses, minuses = _split_weights(positive[..., order], _weights(weights, len(scores))[..., order], ties)
    hits = np.cumsum(pluses, axis=-1)
    return hits, np.nan_to_num(_ratio(hits, hits + np.cumsum(minuses, axis=-1)))


def _split_weights(positive: NDArray, weights: Floats, starts: NDArray) -> tuple[Floats, Floats]:
    """Return the weights of positive and of other rows, added up over runs of rows beginning at ``starts``."""
    return (
        np.add.reduceat(weights * positive, starts, axis=-1),
        np.add.reduceat(weights * ~positive, starts, axis=-1),
    )


def _changes(values: NDArray) -> NDArray[np.bool_]:
    return np.concatenate([[True], values[1:] != values[:-1]])


def _weights(weights: Floats | None, rows: int) -> Floats:
    return np.ones(rows) if weights is None else weights


def _mean(values: Floats, weights: Floats | None) -> Floats:
    weights = _weights(weights, len(values))
    return _ratio(weights @ values, weights.sum(axis=-1))


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Return numerator / denominator, NaN where the denominator is 0: nothing there is no value, not 0."""
    numerator, denominator = np.broadcast_arrays(numerator, denominator)
    return np.divide(numerator, denominator, out=np.full(denominator.shape, np.nan), where=denominator > 0)
