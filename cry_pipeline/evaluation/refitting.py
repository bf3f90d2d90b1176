"""Out-of-fold answers by models fitted anew, in memory: what a null by retraining and a learning curve are made of.

Belongs here: fitting a model on values to other labels, folds or fewer rows, without a file. Does not: which labels or
rows these are (retrained.py, learning_curve.py), calibration, and runs that are kept (training/).
"""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cry_pipeline.catalog.base import BaseModelSpec
from cry_pipeline.catalog.models import LogisticRegressionSpec, SvmSpec
from cry_pipeline.evaluation.metrics import Floats
from cry_pipeline.folds.words import TRAIN_ONLY
from cry_pipeline.training.fold_training import fold_seed

CHEAP = (LogisticRegressionSpec, SvmSpec)
"""Specs of models that listen and are fitted in a fraction of a second, so that hundreds of fits can be afforded."""

KERNELS, KERNEL_VALUES = 8, 2**25
"""Kernel matrices that are kept, and values in all of them together: 256 MB."""

Answer = Callable[[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.int64], int], Floats]
"""Fits to some rows and answers others: (rows to fit to, rows to answer, codes of all rows, seed) → probabilities."""


def is_cheap(spec: BaseModelSpec) -> bool:
    """Return whether models of ``spec`` listen, and are fitted in a fraction of a second."""
    return isinstance(spec, CHEAP)


def refit(
    spec: BaseModelSpec,
    values: NDArray,
    codes: NDArray[np.int64],
    folds: NDArray[np.int64],
    *,
    classes: int,
    seed: int = 0,
    learned: NDArray[np.bool_] | None = None,
    answer: Answer | None = None,
) -> Floats:
    """Return what a run's models would answer if they were fitted to these labels and folds; not calibrated.

    Args:
        spec: of a model on one row of values per recording (``training.value_models.ValueModel``).
        values: what its ``values()`` returns of the recordings, ``[recordings, values]``.
        codes: labels as positions among the classes, int ``[recordings]``.
        folds: the fold that tests each recording, int ``[repeats, recordings]``; ``TRAIN_ONLY`` where none does.
        classes: how many there are; every fold's training rows hold each of them.
        seed: of the run; each fold has one of its own, as in a run.
        learned: rows that may be learned from, bool ``[recordings]``; None for all.
        answer: :func:`answer_of` of the same, where it is asked for several labellings.

    Returns:
        Probabilities, float64 ``[repeats, recordings, classes]``; NaN for what no fold tests.
    """
    answer = answer or answer_of(spec, values, classes)
    probabilities = np.full((*folds.shape, classes), np.nan)
    for repeat, fold, fit, test in _sides(folds, learned):
        probabilities[repeat, test] = answer(fit, test, codes, fold_seed(seed, repeat, fold))
    return probabilities


def answer_of(spec: BaseModelSpec, values: NDArray, classes: int) -> Answer:
    """Return what fits models of ``spec`` to some rows of ``values`` and asks them of others; see :func:`refit`."""
    if isinstance(spec, SvmSpec):
        return _by_kernel_matrix(spec, values, classes)
    return _by_solving(spec, values, classes)


def _sides(
    folds: NDArray[np.int64], learned: NDArray[np.bool_] | None
) -> Iterator[tuple[int, int, NDArray[np.bool_], NDArray[np.bool_]]]:
    """Yield (repeat, fold, rows to fit to, rows to test)."""
    for repeat, of_repeat in enumerate(folds):
        for fold in np.unique(of_repeat[of_repeat != TRAIN_ONLY]):
            test = of_repeat == fold
            yield repeat, int(fold), ~test if learned is None else ~test & learned, test


def _by_solving(spec: Any, values: NDArray, classes: int) -> Answer:
    from cry_pipeline.training.registry import implementation

    model: Any = implementation(spec.kind)

    def answer(fit: NDArray, test: NDArray, codes: NDArray, seed: int) -> Floats:
        return model.answer(spec, model.solve(spec, values[fit], codes[fit], classes, seed), values[test])

    return answer


def _by_kernel_matrix(spec: SvmSpec, values: NDArray, classes: int) -> Answer:
    """Fit and ask support vector machines by one matrix of distances: the same answers in a sixth of the time.

    scikit-learn's own kernel takes the 2,080 values of each pair of rows one by one, for every machine; here they are
    one product of matrices. The scaling is of the rows that are fitted to, so each fold has a matrix of its own: the
    last ones are kept, as a protocol that hashes donors makes the same folds of every labelling.
    """
    from scipy.special import softmax
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    from cry_pipeline.training.svm import gamma

    @lru_cache(maxsize=max(1, min(KERNELS, KERNEL_VALUES // len(values) ** 2)))
    def kernel_of(fit: bytes) -> NDArray[np.float64]:
        scaler = StandardScaler().fit(values[np.frombuffer(fit, dtype=bool)])
        rows = np.asarray(scaler.transform(values), dtype=np.float32)
        product = rows @ rows.T
        squares = np.diag(product)
        squared = np.maximum(squares[:, None] + squares - 2 * product, 0).astype(np.float64)
        return np.exp(-gamma(spec, values.shape[1]) * squared)

    def answer(fit: NDArray, test: NDArray, codes: NDArray, seed: int) -> Floats:
        kernel = kernel_of(fit.tobytes())
        among, asked = np.ascontiguousarray(kernel[np.ix_(fit, fit)]), kernel[np.ix_(test, fit)]
        decisions = []
        for code in range(classes) if classes > 2 else (1,):
            weight = None if spec.class_weight == "none" else spec.class_weight
            machine = SVC(C=spec.penalty, kernel="precomputed", class_weight=weight).fit(among, codes[fit] == code)
            dual = np.asarray(machine.dual_coef_)[0]
            decisions.append(asked[:, machine.support_] @ dual + float(machine.intercept_[0]))
        if classes == 2:
            decisions.insert(0, np.zeros(int(test.sum())))
        return softmax(np.column_stack(decisions), axis=1)

    return answer
