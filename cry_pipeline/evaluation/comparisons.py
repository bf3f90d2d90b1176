"""Two runs on the same folds: is one better, and how sure is that?

Belongs here: paired differences, and their correction for many comparisons. Does not: resampling itself
(statistics.py), or what is made of the answer (verdicts in records.py, the champion in inference).
"""

from collections.abc import Mapping, Sequence

import numpy as np

from cry_pipeline.evaluation.findings import ROUNDING, Comparison
from cry_pipeline.evaluation.measures import measure
from cry_pipeline.evaluation.metrics import Floats
from cry_pipeline.evaluation.predictions import EvidenceError, OutOfFold
from cry_pipeline.evaluation.statistics import donor_bootstrap, percentile_interval

RESAMPLES = 1000


def compare(
    first: OutOfFold, second: OutOfFold, *, metric: str, resamples: int = RESAMPLES, seed: int = 0
) -> Comparison:
    """Return ``first`` − ``second`` in ``metric``, by a bootstrap that draws the same donors for both.

    What donors have in common (a loud room, a rare class) cancels in the difference, so that it is known better
    than either value. The p-value is two-sided: twice the share of resamples on the far side of 0, ties counting
    to both sides, with (k + 1)/(n + 1), so that it is never 0 and equal runs give 1.

    Args:
        first: the run in question; its ``name`` is carried over.
        second: the run that it is compared with.
        metric: a name that :func:`cry_pipeline.evaluation.measures.measure` knows, such as ``uar`` or ``auc``.
        resamples: of the donors.
        seed: of the resampling; equal seeds draw the same donors as the intervals of evidence.

    Raises:
        EvidenceError: the runs did not test the same recordings in the same folds, or no resample has every class.
    """
    return _differences({first.name: first}, second, metric, resamples, seed)[0]


def compare_table(
    runs: Mapping[str, OutOfFold], reference: str, metric: str, *, resamples: int = RESAMPLES, seed: int = 0
) -> list[Comparison]:
    """Compare every other run with ``runs[reference]``, corrected by Holm over the table.

    Args:
        runs: by name, in the order of the result; all on the same folds.
        reference: the name of the run that the others are compared with.
        metric: as for :func:`compare`.
        resamples: of the donors.
        seed: of the resampling.

    Raises:
        EvidenceError: there is no such reference; or as for :func:`compare`.
    """
    if reference not in runs:
        raise EvidenceError(f"There is no run {reference!r} to compare with, only {', '.join(runs)}.")
    others = {name: rows for name, rows in runs.items() if name != reference}
    return holm(_differences(others, runs[reference], metric, resamples, seed, reference))


def holm(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Return ``comparisons``, in their order, with ``p_adjusted`` by Holm's step-down.

    Holm 1979, Scandinavian Journal of Statistics 6:65. The i-th smallest of m p-values is multiplied by m − i + 1; an adjusted value is at least the one before it
    and at most 1. The chance that any true null among them falls below α is then at most α.
    """
    count = len(comparisons)
    adjusted, least = [0.0] * count, 0.0
    for rank, place in enumerate(sorted(range(count), key=lambda place: comparisons[place].p_value)):
        least = max(least, min(1.0, (count - rank) * comparisons[place].p_value))
        adjusted[place] = least
    return [each.model_copy(update={"p_adjusted": value}) for each, value in zip(comparisons, adjusted, strict=True)]


def _differences(
    runs: Mapping[str, OutOfFold],
    reference: OutOfFold,
    metric: str,
    resamples: int,
    seed: int,
    reference_name: str | None = None,
) -> list[Comparison]:
    """Compare each run with the reference, all on the same resamples."""
    for name, rows in runs.items():
        _check_pair(name, rows, reference)
    if not runs:
        return []
    every: list[tuple[str, OutOfFold]] = [*runs.items(), ("", reference)]

    def values(weights: Floats | None) -> dict[str, Floats]:
        return {str(place): measure(rows, weights, (metric,))[metric] for place, (_, rows) in enumerate(every)}

    samples, lost = donor_bootstrap(values, reference.donors, resamples=resamples, seed=seed)
    if lost == resamples:
        raise EvidenceError("No resample of the donors has every class; use a cohort with more donors per class.")
    observed, last = values(None), str(len(every) - 1)
    found = []
    for place, name in enumerate(runs):
        drawn = samples[str(place)] - samples[last]
        low, high = percentile_interval(drawn)
        found.append(
            Comparison(
                first=name,
                second=reference.name if reference_name is None else reference_name,
                metric=metric,
                difference=float(observed[str(place)] - observed[last]),
                low=low,
                high=high,
                p_value=_two_sided(drawn),
                resamples=resamples,
                resamples_lost=lost,
            )
        )
    return found


def _two_sided(drawn: Floats) -> float:
    tails = [(drawn <= ROUNDING).sum(), (drawn >= -ROUNDING).sum()]
    return min(1.0, 2 * (1 + int(min(tails))) / (1 + len(drawn)))


def _check_pair(name: str, first: OutOfFold, second: OutOfFold) -> None:
    """Refuse runs of different recordings, donors, labels, classes or folds: their difference means nothing."""
    for what, own, other in (
        ("recordings", first.recording_ids, second.recording_ids),
        ("donors", first.donors, second.donors),
        ("classes", np.array(first.classes), np.array(second.classes)),
        ("labels", first.labels, second.labels),
        ("folds", first.folds, second.folds),
    ):
        if not np.array_equal(own, other):
            raise EvidenceError(
                f"{name or 'the first run'} and {second.name or 'the second run'} have other {what}; compare runs of "
                "the same cohort and protocol, on the recordings of now."
            )
