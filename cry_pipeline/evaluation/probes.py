"""Shortcuts: what may go with a label without being in the cry, tried on the same recordings and folds.

Belongs here: probes, and a run's comparison with them. Does not: training the platform and metadata models
(training), or the verdict (records.py).
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cry_pipeline.evaluation.comparisons import draw, holm_adjusted
from cry_pipeline.evaluation.findings import SHORTCUTS, Neighbours, Probe, Shortcut
from cry_pipeline.evaluation.metrics import Floats
from cry_pipeline.evaluation.nulls import conditional_null
from cry_pipeline.evaluation.predictions import OutOfFold
from cry_pipeline.evaluation.resampling import RESAMPLES

DONOR_IDENTITY: Shortcut = "donor identity"
CHUNK_ROWS = 1024


def probe_shortcuts(
    rows: OutOfFold,
    others: Mapping[Shortcut, OutOfFold],
    folds: pd.DataFrame,
    metric: str,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[Probe, ...]:
    """Compare a run with the shortcuts that could stand for it.

    Args:
        rows: the run.
        others: runs on the same folds that see no audio; donor identity needs none, it is made from the folds.
        folds: the folds of the run.
        metric: that the verdict rests on.
        resamples: of the donors.
        seed: of the resampling.

    Raises:
        EvidenceError: a probe is of other recordings or folds, or no resample has every class.
    """
    runs: dict[Shortcut, OutOfFold] = {**others, DONOR_IDENTITY: donor_identity(rows, folds)}
    names: list[Shortcut] = [name for name in SHORTCUTS if name in runs]
    drawn = draw([rows, *(runs[name] for name in names)], metric, resamples=resamples, seed=seed)
    p_values = [conditional_null(runs[name], permutations=resamples, seed=seed)[metric].p_value for name in names]
    adjusted = holm_adjusted(p_values)
    return tuple(
        Probe(
            name=name,
            experiment=runs[name].name if name in others else None,
            headline=drawn.interval(place),
            p_value=p_values[place - 1],
            p_adjusted=adjusted[place - 1],
            comparison=drawn.difference(0, place),
        )
        for place, name in enumerate(names, start=1)
    )


def donor_identity(rows: OutOfFold, folds: pd.DataFrame) -> OutOfFold:
    """Predict each recording's label from the labels of its donor's training recordings, hearing nothing.

    p(class) = (the donor's training recordings of the class + the class' share of all training recordings) /
    (the donor's training recordings + 1). Where donors are on one side of a split no donor tested has trained,
    and the answer is the same for all recordings of a fold: chance.
    """
    classes = len(rows.classes)
    codes = pd.Index(rows.classes).get_indexer(pd.Index(folds["label"]))
    probabilities = np.empty((len(rows.folds), len(rows.labels), classes))
    for repeat, tested in enumerate(rows.folds):
        here = (folds["repeat"] == repeat).to_numpy()
        names, fold = folds["donor"].to_numpy(str)[here], folds["fold"].to_numpy(np.int64)[here]
        known, donor = np.unique(names, return_inverse=True)
        counts = np.zeros((len(known), classes))
        np.add.at(counts, (donor, codes[here]), 1.0)
        tested_donor = np.searchsorted(known, rows.donors)
        for number in np.unique(tested):
            held_out = fold == number
            trained = counts.copy()
            np.subtract.at(trained, (donor[held_out], codes[here][held_out]), 1.0)
            share, asked = trained.sum(axis=0) / trained.sum(), tested == number
            same_donor = trained[tested_donor[asked]]
            probabilities[repeat, asked] = (same_donor + share) / (same_donor.sum(axis=1, keepdims=True) + 1)
    return rows.saying(probabilities, DONOR_IDENTITY)


def donor_neighbours(statistics: Floats, donors: NDArray) -> Neighbours | None:
    """Ask whether a recording's nearest neighbour in pooled statistics is of its donor; None if no donor has two.

    Distances are Euclidean in standardised statistics; only recordings whose donor has another are asked. A rate
    far above chance says that features know the donor, so that a split which shares donors tests memory.

    Args:
        statistics: pooled over each recording's frames, [recordings, values].
        donors: [recordings].
    """
    _, donor, sizes = np.unique(donors, return_inverse=True, return_counts=True)
    asked = np.flatnonzero(sizes[donor] > 1)
    if not len(asked):
        return None
    spread = statistics.std(axis=0)
    values = (statistics - statistics.mean(axis=0))[:, spread > 0] / spread[spread > 0]
    squares = (values**2).sum(axis=1)
    same = 0
    for start in range(0, len(asked), CHUNK_ROWS):
        chunk = asked[start : start + CHUNK_ROWS]
        distances = squares - 2 * values[chunk] @ values.T  # but for the row's square, the same along a row
        distances[np.arange(len(chunk)), chunk] = np.inf
        same += int((donor[distances.argmin(axis=1)] == donor[chunk]).sum())
    chance = float(((sizes[donor[asked]] - 1) / (len(donor) - 1)).mean())
    return Neighbours(rate=same / len(asked), chance=chance, recordings=len(asked))
