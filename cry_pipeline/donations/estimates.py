"""What triage is worth, from the recordings that people heard: estimates for all donations, with 95 % intervals.

Belongs here: weights, shares and areas. Does not: which donations are meant (live.py).

People hear all that triage leaves open, and a random share of what it decides. Of each of these strata the recordings
heard stand for all of it: each counts for N/n, of N recordings of which n were heard (Horvitz & Thompson 1952,
doi 10.1080/01621459.1952.10483446, stratified after the draw). So what people hear, which is mostly what is hard, does
not pass for what arrives. The recordings of one donor are alike: intervals are over donors.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from cry_pipeline.evaluation.metrics import Floats, auc
from cry_pipeline.evaluation.resampling import CONFIDENCE, RESAMPLES, donor_bootstrap, percentile_interval
from cry_pipeline.reports.happened import Estimate

FEWEST = 5
"""Donors of each class that an area under the curve needs: of fewer its interval would be made up."""


def stratum_weights(strata: NDArray, heard: NDArray[np.bool_]) -> Floats:
    """Return for how many recordings each stands, [n]: N/n in its stratum where it was heard, else 0."""
    weights = np.zeros(len(strata))
    for stratum in np.unique(strata):
        own = strata == stratum
        if (own & heard).any():
            weights[own & heard] = own.sum() / (own & heard).sum()
    return weights


def unheard(strata: NDArray, heard: NDArray[np.bool_]) -> list[str]:
    """Return the strata of which nothing was heard, so that nothing can be said of the whole."""
    return [str(stratum) for stratum in np.unique(strata) if not heard[strata == stratum].any()]


def share_of(right: NDArray[np.bool_], donors: NDArray) -> Estimate:
    """Return the share of ``right`` [n] with Wilson's interval for as many recordings as they are worth.

    That is n over the design effect of ``donors`` [n], with the quantile of Student's t for their number (Korn &
    Graubard 1998, Survey Methodology 24:193); where all recordings are alike, which tells no effect, as many as donors.
    """
    count, people = len(right), len(np.unique(donors))
    if not count:
        return Estimate(None, None, None, 0, 0, "nobody has heard one yet")
    value = float(right.mean())
    if people < 2:
        return Estimate(value, None, None, count, people, "they are of one donor")
    worth = _effective(right, donors, value)
    z = stats.norm.ppf(0.5 + CONFIDENCE / 2)
    worth *= (z / stats.t.ppf(0.5 + CONFIDENCE / 2, people - 1)) ** 2
    centre, room = value + z**2 / (2 * worth), z * np.sqrt(value * (1 - value) / worth + z**2 / (4 * worth**2))
    low, high = ((centre + sign * room) / (1 + z**2 / worth) for sign in (-1, 1))
    return Estimate(value, max(0.0, float(low)), min(1.0, float(high)), count, people)


def _effective(right: NDArray[np.bool_], donors: NDArray, value: float) -> float:
    """Return how many independent recordings tell as much as these."""
    sums = pd.DataFrame({"donor": donors, "off": right - value}).groupby("donor")["off"].sum().to_numpy()
    people = len(sums)
    variance = people / (people - 1) * float((sums**2).sum()) / len(right) ** 2
    if variance <= 0:
        return float(people)
    return float(np.clip(value * (1 - value) / variance, 1, len(right)))


def area_of(
    cry: NDArray[np.bool_], scores: Floats, weights: Floats, donors: NDArray, models: NDArray, *, seed: int = 0
) -> Estimate:
    """Return how often a cry scores above what is none, of all pairs that one model scored; by donors resampled.

    Args:
        cry: whether each is one [n].
        scores: of a cry [n].
        weights: for how many recordings each stands [n].
        donors: of each [n].
        models: which of them scored it, int [n]; scores of two are not compared.
        seed: of the resampling.
    """
    people = [len(np.unique(donors[cry == which])) for which in (True, False)]
    heard = Estimate(None, None, None, len(cry), len(np.unique(donors)))
    if min(people) < FEWEST:
        which = f"cries of {people[0]} donors and others of {people[1]}"
        return heard.without(f"{which} were heard; it takes {FEWEST} of each")
    value = float(auc(cry, scores, weights, models))

    def metrics(drawn: Floats) -> dict[str, Floats]:
        return {"auc": auc(cry, scores, drawn * weights, models)}

    drawn, _ = donor_bootstrap(metrics, donors, resamples=RESAMPLES, seed=seed)
    if not np.isfinite(value) or not len(drawn["auc"]):
        return heard.without("no model has scored both cries and others that were heard")
    low, high = percentile_interval(drawn["auc"])
    return Estimate(value, low, high, heard.heard, heard.donors)


def recall_kept(missed: Estimate, set_aside: float, found: float) -> Estimate:
    """Return the share of all cries that was not set aside.

    Args:
        missed: the share of cries among what was set aside and heard.
        set_aside: recordings that were set aside, less those of which nobody could tell.
        found: cries among all others, estimated; their error is small beside that of ``missed``, and left out.
    """

    def recall(share: float | None) -> float | None:
        whole = found + set_aside * (share or 0.0)
        return None if share is None or not whole else found / whole

    if not set_aside:
        return Estimate(1.0 if found else None, None, None, 0, 0, "nothing was set aside")
    return Estimate(
        recall(missed.value), recall(missed.high), recall(missed.low), missed.heard, missed.donors, missed.why
    )


def numbered(names: Sequence[str]) -> NDArray[np.int64]:
    """Return a number for each of ``names``, equal ones for equal names."""
    return np.unique(np.asarray(names, dtype=str), return_inverse=True)[1].astype(np.int64)
