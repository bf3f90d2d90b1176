"""What a run's answers are worth to whoever acts on them: who has to hear what, and what that gains.

Belongs here: specificity and recordings nobody has to hear at a recall, and the decision curve. Does not: the
thresholds that triage goes by (donations/thresholds.py), and how far probabilities hold (calibration.py).

All folds are asked with one threshold, as the models of a bundle are, on calibrated probabilities. That is stricter
than the AUC, which compares within folds only. A threshold is looked for on each resample anew, so that intervals hold
what is not known of it; but on the recordings that it is judged by, so that new ones bring another recall.
"""

import numpy as np

from cry_pipeline.evaluation.calibration import calibrated
from cry_pipeline.evaluation.findings import BenefitPoint, Decisions, Interval, RecallPoint
from cry_pipeline.evaluation.metrics import Floats, at_recalls, net_benefit
from cry_pipeline.evaluation.predictions import OutOfFold
from cry_pipeline.evaluation.resampling import donor_bootstrap, percentile_interval

RECALLS = (0.90, 0.95, 0.99)
THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 20))


def decisions_of(rows: OutOfFold, *, resamples: int, seed: int) -> Decisions | None:
    """Return what deciding by a run is worth, with intervals over donors; None where there are not two classes.

    Args:
        rows: the run; the second class is the one that is looked for.
        resamples: of the donors.
        seed: of the resampling.
    """
    if len(rows.classes) != 2:
        return None
    scores, positive = calibrated(rows).probabilities[:, :, 1], rows.labels == 1

    def measured(weights: Floats | None) -> dict[str, Floats]:
        every = net_benefit(positive, np.ones(len(positive)), np.array(THRESHOLDS), weights)
        specificity, unheard = np.mean([at_recalls(positive, one, RECALLS, weights) for one in scores], axis=0)
        benefit = np.mean([net_benefit(positive, one, np.array(THRESHOLDS), weights) for one in scores], axis=0)
        parts = {"specificity": specificity, "unheard": unheard, "all": every, "benefit": benefit}
        parts["gained"] = benefit - np.maximum(every, 0)
        return {f"{name} {place}": part[..., place] for name, part in parts.items() for place in range(part.shape[-1])}

    samples, _ = donor_bootstrap(measured, rows.donors, resamples=resamples, seed=seed)
    values = measured(None)

    def of(name: str, place: int) -> Interval:
        low, high = percentile_interval(samples[f"{name} {place}"])
        return Interval(value=float(values[f"{name} {place}"]), low=low, high=high)

    return Decisions(
        positive=rows.classes[1],
        share=float(positive.mean()),
        at_recall=tuple(
            RecallPoint(recall=recall, specificity=of("specificity", place), unheard=of("unheard", place))
            for place, recall in enumerate(RECALLS)
        ),
        curve=tuple(
            BenefitPoint(
                threshold=threshold,
                net_benefit=of("benefit", place),
                hear_all=float(values[f"all {place}"]),
                gained=of("gained", place),
            )
            for place, threshold in enumerate(THRESHOLDS)
        ),
    )
