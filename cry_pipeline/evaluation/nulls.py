"""What a run's metrics would be if labels had nothing to do with its predictions.

Belongs here: the null of a run. Does not: how labels are dealt (resampling.py), or verdicts (records.py).
"""

import numpy as np

from cry_pipeline.evaluation.findings import ROUNDING, Null
from cry_pipeline.evaluation.measures import measure, measure_dealt
from cry_pipeline.evaluation.metrics import Floats
from cry_pipeline.evaluation.predictions import EvidenceError, OutOfFold
from cry_pipeline.evaluation.resampling import RESAMPLES, deal_labels

BINS = 24


def permutation_nulls(rows: OutOfFold, *, permutations: int = RESAMPLES, seed: int = 0) -> dict[str, Null]:
    """Return the nulls of UAR and AUC: labels dealt to donors at random, predictions as they are.

    The p-value is (k + 1)/(n + 1), k of n permutations doing at least as well: the run as it is counts as one of
    the permutations, which keeps the test valid and p above 0 (Phipson & Smyth 2010, doi 10.2202/1544-6115.1585).
    Models are not trained again on dealt labels; what is tested is whether these predictions go with the labels.

    Raises:
        EvidenceError: every permutation loses a class.
    """
    deals = deal_labels(rows.labels, rows.donors, permutations=permutations, seed=seed)
    chunks = [measure_dealt(rows, dealt) for dealt in deals]
    observed = measure(rows, None, ("uar", "auc"))
    return {
        name: _null(np.concatenate([chunk[name] for chunk in chunks]), float(value)) for name, value in observed.items()
    }


def _null(values: Floats, observed: float) -> Null:
    kept = values[np.isfinite(values)]
    if not len(kept):
        raise EvidenceError("Labels dealt to donors always lose a class; use a cohort with more donors per class.")
    counts, edges = np.histogram(kept, BINS)
    return Null(
        mean=float(kept.mean()),
        high=float(np.quantile(kept, 0.95)),
        p_value=(1 + int((kept >= observed - ROUNDING).sum())) / (1 + len(kept)),
        permutations=len(values),
        permutations_lost=len(values) - len(kept),
        histogram_low=float(edges[0]),
        histogram_high=float(edges[-1]),
        histogram=tuple(int(count) for count in counts),
    )
