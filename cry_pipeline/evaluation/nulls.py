"""What a run's metrics would be if labels had nothing to do with what it heard.

Belongs here: nulls from dealt labels, and their p-values. Does not: how labels are dealt (resampling.py), models that
are trained again on dealt labels (retrained.py), or verdicts (records.py).
"""

from collections.abc import Mapping

import numpy as np

from cry_pipeline.evaluation.findings import ROUNDING, Null, NullKind
from cry_pipeline.evaluation.measures import measure, measure_dealt
from cry_pipeline.evaluation.metrics import Floats
from cry_pipeline.evaluation.predictions import EvidenceError, OutOfFold
from cry_pipeline.evaluation.resampling import RESAMPLES, deal_labels

BINS = 24
METRICS = ("uar", "auc")
ENOUGH_DEALS = 10
"""Deals that do as well as the run, from which on their share is its p-value; with fewer the tail is fitted."""
SMALLEST_P = 1e-6
"""No tail of some hundred deals is known any further out."""
TRAINING_WIDENING = 1.4
"""How many times as wide a null is with training in it as with predictions as they are.

Simulated on the corpus (``python -m cry_pipeline_tests.simulations --only above_chance``), the AUC of models that know
nothing has an SD 1.42 ± 0.05 times that of its own null for the support vector machine, 1.43 ± 0.05 for logistic
regression and 1.28 ± 0.07 for a small forest; the UAR of five reasons, 1.03 ± 0.04. Networks cannot be trained so
often: they get what the AUC of the others asks for, by both metrics.
"""


def conditional_null(rows: OutOfFold, *, permutations: int = RESAMPLES, seed: int = 0) -> dict[str, Null]:
    """Return the nulls of UAR and AUC: labels dealt to donors at random, predictions as they are.

    What is tested is whether these predictions go with the labels. That training on other recordings would have given
    other predictions is not in it, so that the deals lie too close to their mean. Their distances from it are taken
    :data:`TRAINING_WIDENING` times.

    Raises:
        EvidenceError: every permutation loses a class.
    """
    dealt = conditional_deals(rows, permutations=permutations, seed=seed)
    return _nulls(rows, {name: widened(values) for name, values in dealt.items()}, "conditional")


def conditional_deals(rows: OutOfFold, *, permutations: int = RESAMPLES, seed: int = 0) -> dict[str, Floats]:
    """Return UAR and AUC of ``rows`` under dealt labels, ``[permutations]``; NaN where a class is lost."""
    deals = deal_labels(rows.labels, rows.donors, permutations=permutations, seed=seed)
    chunks = [measure_dealt(rows, dealt) for dealt in deals]
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in METRICS}


def retrained_null(rows: OutOfFold, dealt: Mapping[str, Floats]) -> dict[str, Null]:
    """Return the nulls of UAR and AUC from what models trained on dealt labels came to, by metric; NaN: none could be.

    Raises:
        EvidenceError: none of them has a value.
    """
    return _nulls(rows, dealt, "retrained")


def widened(values: Floats) -> Floats:
    """Return ``values`` :data:`TRAINING_WIDENING` times as far from their mean."""
    mean = np.nanmean(values) if np.isfinite(values).any() else 0.0
    return mean + TRAINING_WIDENING * (values - mean)


def p_value_of(dealt: Floats, observed: float) -> float:
    """Return how often a deal does at least as well as ``observed``.

    (k + 1)/(n + 1), k of n deals doing as well: the run as it is counts as one of them, which keeps the test valid and
    p above 0 (Phipson & Smyth 2010, doi 10.2202/1544-6115.1585). Where fewer than :data:`ENOUGH_DEALS` do, it is the
    tail beyond ``observed`` of a Pearson III distribution (a shifted gamma) with the deals' mean, variance and
    skewness, so that some hundred deals tell 1 in 1,000 from 1 in 10,000 (Winkler et al. 2016,
    doi 10.1016/j.neuroimage.2016.05.068). A negative skewness is taken for none: such a tail ends, and would call
    impossible what so few deals have not seen.

    Args:
        dealt: metric of each deal, finite, ``[deals]``.
        observed: that of the run.
    """
    if _are_counted(dealt, observed):
        return (1 + int((dealt >= observed - ROUNDING).sum())) / (1 + len(dealt))
    from scipy.stats import pearson3, skew

    spread = float(dealt.std())
    slant = max(float(skew(dealt)), 0.0)
    return max(float(pearson3.sf(observed, slant, loc=float(dealt.mean()), scale=spread)), SMALLEST_P)


def _are_counted(dealt: Floats, observed: float) -> bool:
    """Return whether enough deals do as well to be counted; those without any spread are, however few."""
    return int((dealt >= observed - ROUNDING).sum()) >= ENOUGH_DEALS or float(dealt.std()) < ROUNDING


def _nulls(rows: OutOfFold, dealt: Mapping[str, Floats], kind: NullKind) -> dict[str, Null]:
    observed = measure(rows, None, METRICS)
    return {name: _null(dealt[name], float(value), kind) for name, value in observed.items()}


def _null(values: Floats, observed: float, kind: NullKind) -> Null:
    kept = values[np.isfinite(values)]
    if not len(kept):
        raise EvidenceError("Labels dealt to donors always lose a class; use a cohort with more donors per class.")
    counts, edges = np.histogram(kept, BINS)
    return Null(
        kind=kind,
        widening=TRAINING_WIDENING if kind == "conditional" else 1.0,
        mean=float(kept.mean()),
        sd=float(kept.std()),
        high=float(np.quantile(kept, 0.95)),
        p_value=p_value_of(kept, observed),
        fitted=not _are_counted(kept, observed),
        permutations=len(values),
        permutations_lost=len(values) - len(kept),
        histogram_low=float(edges[0]),
        histogram_high=float(edges[-1]),
        histogram=tuple(int(count) for count in counts),
    )
