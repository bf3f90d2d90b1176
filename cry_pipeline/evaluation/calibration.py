"""Whether probabilities can be taken at their word, and what is gained by keeping quiet.

Belongs here: reliability, abstention. Does not: fitting slope and intercepts (training, on inner folds: what is fitted
here would have seen the labels it is judged by), the formula that applies them (training too: there is one), and
whether there is anything to calibrate (records.py: the verdict).
"""

import numpy as np
from numpy.typing import NDArray

from cry_pipeline.evaluation.findings import AbstentionPoint, Calibration, Interval, Reliability, ReliabilityBin
from cry_pipeline.evaluation.measures import measure
from cry_pipeline.evaluation.metrics import Floats
from cry_pipeline.evaluation.predictions import OutOfFold
from cry_pipeline.evaluation.resampling import donor_bootstrap, donor_sums, percentile_interval
from cry_pipeline.training import calibration

LOSSES = ("brier", "log_loss")
BINS = 10
POINTS = 20
"""Coverages of the abstention curve: 1, 0.95 … 0.05."""


def calibrated(rows: OutOfFold) -> OutOfFold:
    """Return ``rows`` with their slopes and intercepts applied; the result has none."""
    return rows.saying(calibration.calibrated(rows.probabilities, rows.slopes, rows.intercepts))


def calibration_of(rows: OutOfFold, *, resamples: int, seed: int) -> Calibration:
    """Return how far the probabilities of a run hold, as predicted and with its slopes and intercepts.

    Args:
        rows: the run.
        resamples: of the donors.
        seed: of the resampling.
    """
    fitted = bool((rows.slopes != 1).any() or (rows.intercepts != 0).any())
    _, first = np.unique(rows.folds + np.arange(len(rows.folds))[:, None] * (rows.folds.max() + 1), return_index=True)
    slopes, intercepts = rows.slopes.reshape(-1)[first], rows.intercepts.reshape(-1, len(rows.classes))[first]
    return Calibration(
        of=f"probability of {rows.classes[1]}" if len(rows.classes) == 2 else "probability of the answer given",
        slope=_over_folds(slopes),
        intercepts={name: _over_folds(intercepts[:, code]) for code, name in enumerate(rows.classes) if code},
        as_predicted=reliability(rows, resamples=resamples, seed=seed),
        calibrated=reliability(calibrated(rows), resamples=resamples, seed=seed) if fitted else None,
    )


def reliability(rows: OutOfFold, *, resamples: int, seed: int) -> Reliability:
    """Return how far the probabilities of ``rows`` hold, as they are.

    The curve is over all repeats, in 10 bins of equal width. ECE = Σ over bins |Σ said − Σ came true| / predictions
    (Naeini et al. 2015, doi 10.1609/aaai.v29i1.9602). Empty bins are left out of the curve.
    """
    samples, _ = donor_bootstrap(
        lambda weights: measure(rows, weights, LOSSES), rows.donors, resamples=resamples, seed=seed
    )
    losses = {name: _interval(float(value), samples[name]) for name, value in measure(rows, None, LOSSES).items()}
    said, true = _statements(rows)
    place = np.minimum((said * BINS).astype(np.int64), BINS - 1)
    inside = np.eye(BINS)[place]  # [repeats, recordings, bins]
    parts = [(inside * values[..., None]).sum(axis=0) for values in (np.ones_like(said), said, true)]
    columns = np.concatenate(parts, axis=1)
    counts, said_sums, true_sums = np.split(columns.sum(axis=0), 3)
    drawn = np.split(donor_sums(columns, rows.donors, resamples=resamples, seed=seed), 3, axis=1)
    sizes = drawn[0].sum(axis=1)
    return Reliability(
        **losses,
        ece=_interval(np.abs(said_sums - true_sums).sum() / counts.sum(), np.abs(drawn[1] - drawn[2]).sum(1) / sizes),
        said=_interval(said_sums.sum() / counts.sum(), drawn[1].sum(axis=1) / sizes),
        came_true=_interval(true_sums.sum() / counts.sum(), drawn[2].sum(axis=1) / sizes),
        curve=tuple(
            ReliabilityBin(
                low=number / BINS,
                high=(number + 1) / BINS,
                predictions=int(counts[number]),
                probability=said_sums[number] / counts[number],
                rate=_interval(true_sums[number] / counts[number], _ratio(drawn[2][:, number], drawn[0][:, number])),
            )
            for number in np.flatnonzero(counts)
        ),
        abstention=abstention(rows, resamples=resamples, seed=seed),
    )


def abstention(rows: OutOfFold, *, resamples: int, seed: int) -> tuple[AbstentionPoint, ...]:
    """Return what is right among the surest predictions of all repeats, from all of them down to one in twenty.

    Predictions as sure as the least sure one given out are given out too, so that a model which says the same of
    every recording has one point. UAR is over the classes that those recordings have.
    """
    sure = rows.probabilities.max(axis=2)
    right = rows.probabilities.argmax(axis=2) == rows.labels
    truth = np.eye(len(rows.classes))[rows.labels]
    ranked = np.sort(sure, axis=None)[::-1]
    wanted = np.ceil(np.arange(POINTS, 0, -1) / POINTS * len(ranked)).astype(np.int64)
    points = []
    for least in np.unique(ranked[wanted - 1]):
        given = sure >= least
        answered = given.sum(axis=0)[:, None] * truth
        hits = (given & right).sum(axis=0)[:, None] * truth
        present = np.flatnonzero(answered.sum(axis=0))
        columns = np.concatenate([answered[:, present], hits[:, present]], axis=1)
        drawn = np.split(donor_sums(columns, rows.donors, resamples=resamples, seed=seed), 2, axis=1)
        counts, hits_by_class = np.split(columns.sum(axis=0), 2)
        points.append(
            AbstentionPoint(
                confidence=float(least),
                coverage=float(given.mean()),
                accuracy=_interval(
                    hits_by_class.sum() / counts.sum(), _ratio(drawn[1].sum(axis=1), drawn[0].sum(axis=1))
                ),
                majority_rate=float(counts.max() / counts.sum()),
                uar=_interval((hits_by_class / counts).mean(), _mean_of_present(_ratio(drawn[1], drawn[0]))),
                classes=len(present),
            )
        )
    return tuple(points)


def _statements(rows: OutOfFold) -> tuple[Floats, NDArray]:
    """Return (probability said, whether it came true), each [repeats, recordings]."""
    if len(rows.classes) == 2:
        said = rows.probabilities[:, :, 1]
        return said, np.broadcast_to(rows.labels == 1, said.shape).astype(np.float64)
    right = rows.probabilities.argmax(axis=2) == rows.labels
    return rows.probabilities.max(axis=2), right.astype(np.float64)


def _over_folds(values: Floats) -> Interval:
    return Interval(value=float(np.mean(values)), low=float(np.min(values)), high=float(np.max(values)))


def _interval(value: float, drawn: Floats) -> Interval:
    low, high = percentile_interval(drawn[np.isfinite(drawn)])
    return Interval(value=float(value), low=low, high=high)


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    return np.divide(numerator, denominator, out=np.full(denominator.shape, np.nan), where=denominator > 0)


def _mean_of_present(recalls: Floats) -> Floats:
    """Return the mean of ``recalls [resamples, classes]`` over the classes drawn; NaN where none is."""
    return _ratio(np.nansum(recalls, axis=1), np.isfinite(recalls).sum(axis=1).astype(np.float64))
