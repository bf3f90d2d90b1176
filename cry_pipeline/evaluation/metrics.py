"""Metrics of class probabilities, each also in a weighted form that a bootstrap computes all at once.

Belongs here: pure functions on arrays. Does not: intervals (resampling.py), or checking that predictions
are out-of-fold (predictions.py).

``weights`` is None (every row once), ``[n]``, or ``[resamples, n]``; results have the shape of the weights
without their last axis. Weights are never normalised: a weight of 2 is a row that is there twice. A class
absent from the truth has no recall, and is left out of every mean over classes.
"""

from collections.abc import Callable, Collection, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
EDGE = 1e-9
"""So much of a recall is an error of floating-point sums: 0.9 of 10 rows are 9."""


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
    hits, misses = _falling(positive, scores, weights)
    gained = np.diff(hits, axis=-1, prepend=0.0)
    return _ratio((gained * np.nan_to_num(_ratio(hits, hits + misses))).sum(axis=-1), hits[..., -1])


def at_recalls(
    positive: NDArray, scores: Floats, recalls: Sequence[float], weights: Floats | None = None
) -> tuple[Floats, Floats]:
    """Return (specificity, share of all rows below) at the highest threshold that finds each of ``recalls``.

    A threshold lies between scores, never between equal ones: rows of one score are all at least it, or all below. So
    a recall that ties leave no threshold for is exceeded.

    Args:
        positive: whether each row is of the class, bool [n].
        scores: [n], higher is more positive.
        recalls: shares of the positive rows that score at least the threshold, each above 0 and at most 1.
        weights: None, [n] or [resamples, n].

    Returns:
        Two arrays [..., recalls]; NaN where no row is positive, or, of specificity, where all are.
    """
    hits, misses = _falling(positive, scores, weights)
    asked, positives, negatives = np.asarray(recalls), hits[..., -1:], misses[..., -1:]
    enough = hits[..., None, :] >= (asked * positives * (1 - EDGE))[..., None]
    place = enough.argmax(axis=-1)
    found, alarms = (np.take_along_axis(curve, place, axis=-1) for curve in (hits, misses))
    known = np.where(positives > 0, 1.0, np.nan)
    below = 1 - _ratio(found + alarms, positives + negatives)
    return (1 - _ratio(alarms, negatives)) * known, below * known


def net_benefit(positive: NDArray, scores: Floats, thresholds: Floats, weights: Floats | None = None) -> Floats:
    """Return the net benefit ``[..., thresholds]`` of acting on every row whose score is at least each threshold.

    TP/n − FP/n · t/(1 − t): positive rows acted on, less the others, each at the odds that the threshold stands for
    (Vickers & Elkin 2006, doi 10.1177/0272989X06295361). Acting on no row has 0.

    Args:
        positive: whether each row is of the class, bool [n].
        scores: probabilities of the class [n].
        thresholds: above 0 and below 1.
        weights: None, [n] or [resamples, n].
    """
    weights = _weights(weights, len(scores))
    acted = scores[:, None] >= thresholds
    worth = np.where(positive[:, None], 1.0, -thresholds / (1 - thresholds))
    return _ratio(weights @ (acted * worth), weights.sum(axis=-1)[..., None])


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
DETECTION_METRICS = ("average_precision",)
"""Of the second of two classes; not defined for more."""
HIGHEST = {"brier": 2.0, "log_loss": np.inf}
"""What a metric can come to at most, where that is not 1; the least of all is 0."""


def highest(metric: str) -> float:
    """Return what ``metric``, or a recall, can come to at most."""
    return HIGHEST.get(metric, 1.0)


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
        }
    unknown = [name for name in names if name not in formulas]
    if unknown:
        raise ValueError(f"{', '.join(unknown)}: no metric of {probabilities.shape[1]} classes")
    return {name: formulas[name]() for name in names}


def _falling(positive: NDArray, scores: Floats, weights: Floats | None) -> tuple[Floats, Floats]:
    """Return (weight of positive rows, of others) ``[..., thresholds]`` at least the threshold, as it falls."""
    order = np.argsort(-scores, kind="stable")
    ties = np.flatnonzero(_changes(scores[order]))
    pluses, minuses = _split_weights(positive[..., order], _weights(weights, len(scores))[..., order], ties)
    return np.cumsum(pluses, axis=-1), np.cumsum(minuses, axis=-1)


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
