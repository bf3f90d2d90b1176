"""How far people agree, beyond what chance would make them agree: Cohen's κ, with intervals over donors.

Belongs here: agreement of two lists of verdicts, and of every two people. Does not: what is made of it (relistening.py
for the curators, live.py for donations).
"""

from collections.abc import Callable, Mapping
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cry_pipeline.corpus.judgements import latest_of_each
from cry_pipeline.evaluation.findings import ROUNDING, Interval
from cry_pipeline.evaluation.metrics import Floats, confusion_matrix
from cry_pipeline.evaluation.resampling import RESAMPLES, donor_bootstrap, percentile_interval
from cry_pipeline.reports.heard import Pair

NOT_MADE_UP = 0.5
"""Share of the resamples that a number must exist in, or its interval would be of a lucky half."""


def kappa(first: NDArray, second: NDArray, weights: Floats | None = None) -> float:
    """Return Cohen's κ of two lists of verdicts; NaN where both know one verdict only, so that chance is all.

    Cohen 1960, doi 10.1177/001316446002000104, as scikit-learn has it.
    """
    from sklearn.metrics import cohen_kappa_score

    counted = np.ones(len(first), dtype=bool) if weights is None else weights > 0
    if len(np.unique(np.concatenate([first[counted], second[counted]]))) < 2:
        return float("nan")
    return float(cohen_kappa_score(first, second, sample_weight=weights))


def kappas(first: NDArray, second: NDArray, weights: Floats) -> Floats:
    """Return :func:`kappa` for each row of ``weights [resamples, n]`` at once; ``first`` and ``second`` are codes."""
    table = confusion_matrix(first, second, int(max(first.max(), second.max())) + 1, weights)
    whole = table.sum(axis=(-2, -1))
    same, chance = np.trace(table, axis1=-2, axis2=-1) * whole, (table.sum(axis=-1) * table.sum(axis=-2)).sum(axis=-1)
    room = whole**2 - chance
    return np.divide(same - chance, room, out=np.full(len(weights), np.nan), where=room > ROUNDING * whole**2)


def kappa_interval(
    first: NDArray, second: NDArray, donors: NDArray, weights: Floats | None = None, *, resamples: int = RESAMPLES
) -> Interval | None:
    """Return κ with the 95 % interval over resampled donors; None where too little was judged for one."""
    base = np.ones(len(first)) if weights is None else weights
    _, codes = np.unique(np.concatenate([first, second]), return_inverse=True)
    one, other = codes[: len(first)], codes[len(first) :]
    found = interval_of(lambda drawn: kappas(one, other, drawn * base), donors, resamples=resamples)
    return found.model_copy(update={"value": kappa(one, other, weights)}) if found else None


def interval_of(measure: Callable[[Floats], Floats], donors: NDArray, *, resamples: int = RESAMPLES) -> Interval | None:
    """Return the value of ``measure`` and its 95 % interval over resampled donors.

    Args:
        measure: takes weights [resamples, n] and returns values [resamples], NaN where there is none.
        donors: of each row [n].
        resamples: how many to draw.

    Returns:
        None where there is no value, or in most resamples none.
    """
    if not len(donors):
        return None
    value = float(measure(np.ones((1, len(donors))))[0])
    drawn, _ = donor_bootstrap(lambda weights: {"value": measure(weights)}, donors, resamples=resamples, seed=0)
    if not np.isfinite(value) or len(drawn["value"]) < NOT_MADE_UP * resamples:
        return None
    low, high = percentile_interval(drawn["value"])
    return Interval(value=value, low=low, high=high)


def between_people(judgements: pd.DataFrame, donors: Mapping[str, str], *, resamples: int = RESAMPLES) -> list[Pair]:
    """Return how far every two people agree on what both judged, the most recordings first.

    Args:
        judgements: JUDGEMENTS; each person's last word on a recording counts.
        donors: donor by recording; recordings without one are left out.
        resamples: of the donors.
    """
    words = latest_of_each(judgements)
    words = words[words["recording_id"].isin(list(donors))]
    table = words.set_index(["recording_id", "who"])["verdict"].unstack()  # noqa: PD010 - each is there once
    found = []
    for first, second in combinations(sorted(table.columns), 2):
        both = table[[first, second]].dropna()
        if both.empty:
            continue
        one, other = both[first].to_numpy(str), both[second].to_numpy(str)
        of = np.array([donors[recording] for recording in both.index])
        at = kappa_interval(one, other, of, resamples=resamples)
        found.append(Pair(first, second, len(both), int((one == other).sum()), at))
    return sorted(found, key=lambda pair: (-pair.recordings, pair.first, pair.second))
