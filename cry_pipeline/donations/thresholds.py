"""From which score on the champion decides by itself: two thresholds, from its out-of-fold predictions.

Belongs here: choosing them. Does not: what is decided by them (triage.py), and the precision asked for (the catalog).

Out-of-fold scores are of one fold model each, calibrated as in the bundle, whose answer is the mean of all of them.
That mean is not worse, as far as one can tell beforehand; what triage is worth is measured on its audit share.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cry_pipeline.catalog.donations import TriageSpec
from cry_pipeline.inference.bundle import BundleError, read_bundle
from cry_pipeline.inference.candidates import calibrated, of_repeat
from cry_pipeline.inference.champions import Event, champion_folder
from cry_pipeline.inference.promotion import stored_predictions
from cry_pipeline.training import calibration

CRY = ("not_cry", "cry")
"""The classes of every model of cries, in their order."""
LEAST = 20
"""Out-of-fold recordings that a side must have: fewer say next to nothing of its precision."""


@dataclass(frozen=True)
class Thresholds:
    """A recording is taken from ``upper`` on and set aside up to ``lower``; NaN where a side is not automatic."""

    lower: float
    upper: float


NONE = Thresholds(float("nan"), float("nan"))
"""Everything is shown to a person."""


def out_of_fold_of(event: Event, models: Path, runs: Path) -> pd.DataFrame:
    """Return recording_id, donor, fold, whether it is a ``cry``, and ``score``, by recording_id, of a run's repeat 0.

    Scores are calibrated as in the champion's bundle; where that is gone, as the run's models are.

    Args:
        event: of a champion's history; names the bundle and the run.
        models: folder of the champions.
        runs: folder of all runs.

    Raises:
        DamagedFoldError: the run is not there any more, or not what was written.
    """
    rows = of_repeat(stored_predictions(event.runs["cry"], runs), 0)
    try:
        rule = read_bundle(champion_folder(models, event.digest)).targets["cry"].rule
        scores = calibrated(rows, CRY, rule.recalibrations)[:, 1]
    except BundleError:
        slopes, intercepts = calibration.of_columns(rows, CRY)
        scores = calibration.calibrated(rows[[f"p_{name}" for name in CRY]].to_numpy(), slopes, intercepts)[:, 1]
    return rows[["recording_id", "donor", "fold"]].assign(cry=rows["label"] == "cry", score=scores)


def thresholds_of(scores: NDArray[np.float64], cry: NDArray[np.bool_], spec: TriageSpec) -> Thresholds:
    """Return the thresholds that decide on most recordings, each side with the share of right answers asked for.

    A side counts only where at least :data:`LEAST` recordings are on it. Of thresholds that decide on equally many,
    those that are right most often: where both sides could reach past each other, they meet there.

    Args:
        scores: of a cry, out-of-fold [recordings].
        cry: whether each is one [recordings].
        spec: the precision asked for.
    """
    values, inverse = np.unique(scores, return_inverse=True)
    cries, others = (np.bincount(inverse, weights=of, minlength=len(values)) for of in (cry, ~cry))
    below, right_below = np.cumsum(cries + others), np.cumsum(others)
    above, right_above = (np.cumsum(of[::-1])[::-1] for of in (cries + others, cries))
    aside = (below >= LEAST) & (right_below / below >= spec.not_cry_precision)
    taken = (above >= LEAST) & (right_above / above >= spec.cry_precision)
    # The highest lower threshold below each upper one; and, last, where there is no upper one.
    places = np.arange(len(values))
    best = np.concatenate([[-1], np.maximum.accumulate(np.where(aside, places, -1))])
    uppers = [*np.flatnonzero(taken), len(values)]
    found = []
    for upper in uppers:
        lower = int(best[upper])
        decided = _at(above, upper) + _at(below, lower)
        right = _at(right_above, upper) + _at(right_below, lower)
        found.append((decided, right, int(upper), lower))
    _, _, upper, lower = max(found)
    return Thresholds(_at(values, lower, np.nan), _at(values, upper, np.nan))


def _at(values: NDArray, place: int, otherwise: float = 0.0) -> float:
    return float(values[place]) if 0 <= place < len(values) else otherwise
