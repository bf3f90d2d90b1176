"""Metrics of a run: means over the repeats of its out-of-fold predictions.

Belongs here: applying formulas to runs. Does not: the formulas (metrics.py), or intervals (resampling.py).
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cry_pipeline.evaluation.metrics import (
    Floats,
    all_metrics,
    auc,
    confusion_matrix,
    majority_rate,
    recalls,
    roc,
    some_metrics,
)
from cry_pipeline.evaluation.predictions import OutOfFold


def measure(rows: OutOfFold, weights: Floats | None, names: Iterable[str]) -> dict[str, Floats]:
    """Return the metrics called ``names``, averaged over repeats that share their weights.

    Args:
        rows: a run.
        weights: None, [recordings] or [resamples, recordings].
        names: as :func:`cry_pipeline.evaluation.metrics.all_metrics` calls them.
    """
    return {name: value.mean(axis=0) for name, value in measure_repeats(rows, weights, names).items()}


def measure_repeats(rows: OutOfFold, weights: Floats | None, names: Iterable[str]) -> dict[str, Floats]:
    """Return what :func:`measure` averages, with an axis of repeats before the others."""
    names = tuple(names)
    return _stacked(
        [
            some_metrics(names, rows.labels, probabilities, fold, weights)
            for fold, probabilities in zip(rows.folds, rows.probabilities, strict=True)
        ]
    )


def measure_all(rows: OutOfFold, weights: Floats | None) -> dict[str, Floats]:
    """Return every metric, and each present class' recall as ``recall of <class>``, averaged over repeats."""
    return {name: value.mean(axis=0) for name, value in measure_all_repeats(rows, weights).items()}


def measure_all_repeats(rows: OutOfFold, weights: Floats | None) -> dict[str, Floats]:
    """Return what :func:`measure_all` averages, with an axis of repeats before the others."""
    present = np.unique(rows.labels)

    def of_repeat(repeat: int) -> dict[str, Floats]:
        recall = recalls(confusion(rows, repeat, weights))
        values = all_metrics(rows.labels, rows.probabilities[repeat], rows.folds[repeat], weights)
        return values | {f"recall of {rows.classes[code]}": recall[..., code] for code in present}

    return _stacked([of_repeat(repeat) for repeat in range(len(rows.folds))])


def measure_dealt(rows: OutOfFold, dealt: NDArray) -> dict[str, Floats]:
    """Return UAR and AUC as if the labels were ``dealt [permutations, recordings]``, NaN where a class is lost.

    Means are over the classes that the true labels have, so that each permutation is measured by the same ruler.
    """
    classes = np.unique(rows.labels)
    answers = np.eye(len(rows.classes))[rows.probabilities.argmax(axis=2)].mean(axis=0)
    recall, areas = [], []
    for code in classes:
        positive = dealt == code
        count = positive.sum(axis=1)
        hits = positive.astype(np.float64) @ answers[:, code]
        recall.append(np.divide(hits, count, out=np.full(len(positive), np.nan), where=count > 0))
        if code == 1 or len(rows.classes) > 2:
            areas.append(_area(rows, positive, code))
    return {"uar": np.mean(recall, axis=0), "auc": np.mean(areas, axis=0)}


def _area(rows: OutOfFold, positive: NDArray, code: int) -> Floats:
    repeats = zip(rows.folds, rows.probabilities, strict=True)
    return np.mean([auc(positive, scores[:, code], strata=fold) for fold, scores in repeats], axis=0)


def confusion(rows: OutOfFold, repeat: int, weights: Floats | None = None) -> Floats:
    """Return the confusion matrix of one repeat, ``[..., true, predicted]``."""
    return confusion_matrix(rows.labels, rows.probabilities[repeat].argmax(axis=1), len(rows.classes), weights)


def _stacked(repeats: list[dict[str, Floats]]) -> dict[str, Floats]:
    return {name: np.array([repeat[name] for repeat in repeats]) for name in repeats[0]}


def tested(rows: OutOfFold) -> dict[str, Any]:
    """Return what was tested, and the confusion matrix of all repeats."""
    matrices = np.array([confusion(rows, repeat) for repeat in range(len(rows.folds))])
    return {
        "classes": rows.classes,
        "recordings": len(rows.labels),
        "donors": len(np.unique(rows.donors)),
        "shared_donors": rows.shared_donors,
        "repeats": len(rows.folds),
        "folds": len(np.unique(rows.folds)),
        "majority_rate": float(majority_rate(matrices[0])),
        "confusion": tuple(tuple(int(cell) for cell in row) for row in matrices.sum(axis=0)),
    }


def roc_curves(rows: OutOfFold) -> tuple[tuple[float, ...], ...]:
    """Return the curve of each fold that has both classes, rounded: it is for looking at."""
    if len(rows.classes) != 2:
        return ()
    curves = []
    for folds, probabilities in zip(rows.folds, rows.probabilities, strict=True):
        for fold in np.unique(folds):
            positive, scores = rows.labels[folds == fold] == 1, probabilities[folds == fold, 1]
            if positive.any() and not positive.all():
                curves.append(tuple(round(float(rate), 4) for rate in roc(positive, scores)))
    return tuple(curves)
