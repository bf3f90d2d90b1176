"""Metrics of a run: means over the repeats of its out-of-fold predictions.

Belongs here: applying formulas to runs. Does not: the formulas (metrics.py), or intervals (statistics.py).
"""

from collections.abc import Iterable

import numpy as np

from cry_pipeline.evaluation.metrics import Floats, all_metrics, confusion_matrix, recalls, some_metrics
from cry_pipeline.evaluation.predictions import OutOfFold


def measure(rows: OutOfFold, weights: Floats | None, names: Iterable[str]) -> dict[str, Floats]:
    """Return the metrics called ``names``, averaged over repeats that share their weights.

    Args:
        rows: a run.
        weights: None, [recordings] or [resamples, recordings].
        names: as :func:`cry_pipeline.evaluation.metrics.all_metrics` calls them.
    """
    names = tuple(names)
    return _mean(
        some_metrics(names, rows.labels, probabilities, fold, weights)
        for fold, probabilities in zip(rows.folds, rows.probabilities, strict=True)
    )


def measure_all(rows: OutOfFold, weights: Floats | None) -> dict[str, Floats]:
    """Return every metric, and each present class' recall as ``recall of <class>``, averaged over repeats."""
    present = np.unique(rows.labels)

    def of(repeat: int) -> dict[str, Floats]:
        found = recalls(confusion(rows, repeat, weights))
        values = all_metrics(rows.labels, rows.probabilities[repeat], rows.folds[repeat], weights)
        return values | {f"recall of {rows.classes[code]}": found[..., code] for code in present}

    return _mean(of(repeat) for repeat in range(len(rows.folds)))


def confusion(rows: OutOfFold, repeat: int, weights: Floats | None = None) -> Floats:
    """Return the confusion matrix of one repeat, ``[..., true, predicted]``."""
    return confusion_matrix(rows.labels, rows.probabilities[repeat].argmax(axis=1), len(rows.classes), weights)


def _mean(repeats: Iterable[dict[str, Floats]]) -> dict[str, Floats]:
    values = list(repeats)
    return {name: np.mean([each[name] for each in values], axis=0) for name in values[0]}
