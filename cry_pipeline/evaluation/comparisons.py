"""Two runs on the same folds: is one better, and how sure is that?

Belongs here: paired differences, and their correction for many comparisons. Does not: resampling of donors
(resampling.py) and of trainings (trainings.py), or what is made of the answer (verdicts in records.py, the champion in
inference).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from cry_pipeline.evaluation.findings import ROUNDING, Comparison, Interval
from cry_pipeline.evaluation.measures import measure, measure_repeats
from cry_pipeline.evaluation.metrics import Floats, highest
from cry_pipeline.evaluation.nulls import TRAINING_WIDENING
from cry_pipeline.evaluation.predictions import EvidenceError, OutOfFold
from cry_pipeline.evaluation.resampling import RESAMPLES, donor_bootstrap, percentile_interval
from cry_pipeline.evaluation.trainings import with_trainings

Between = Literal["methods", "models"]


def compare(
    first: OutOfFold,
    second: OutOfFold,
    *,
    metric: str,
    between: Between = "methods",
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Comparison:
    """Return ``first`` − ``second`` in ``metric``, by a bootstrap that draws the same donors for both.

    What donors have in common (a loud room, a rare class) cancels in the difference, so that it is known better
    than either value. The p-value is two-sided: twice the share of resamples on the far side of 0, ties counting
    to both sides, with (k + 1)/(n + 1), so that it is never 0 and equal runs give 1.

    Between two methods, training makes the difference uncertain, too. Where the folds were repeated, with other splits
    and seeds, each resample also draws what other trainings would have given, from the differences of the repeats
    (trainings.py). Where they were not, nothing is known of that, and the spread over donors is taken
    ``TRAINING_WIDENING`` times. Between two trained models, such as a champion and its challenger, donors are all.

    Args:
        first: the run in question; its ``name`` is carried over.
        second: the run that it is compared with.
        metric: a name that :func:`cry_pipeline.evaluation.measures.measure` knows, such as ``uar`` or ``auc``.
        between: whether it is the methods that are compared, or these models of theirs.
        resamples: of the donors.
        seed: of the resampling; equal seeds draw the same donors as the intervals of evidence.

    Raises:
        EvidenceError: the runs did not test the same recordings in the same folds, or no resample has every class.
    """
    return draw((first, second), metric, between=between, resamples=resamples, seed=seed).difference(0, 1)


def compare_table(
    runs: Mapping[str, OutOfFold], reference: str, metric: str, *, resamples: int = RESAMPLES, seed: int = 0
) -> list[Comparison]:
    """Compare every other run's method with that of ``runs[reference]``, corrected by Holm over the table.

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
    named = [replace(rows, name=name) for name, rows in runs.items()]
    drawn, second = draw(named, metric, resamples=resamples, seed=seed), list(runs).index(reference)
    return holm([drawn.difference(first, second) for first in range(len(named)) if first != second])


def holm(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Return ``comparisons``, in their order, with ``p_adjusted`` by :func:`holm_adjusted`."""
    adjusted = holm_adjusted([comparison.p_value for comparison in comparisons])
    pairs = zip(comparisons, adjusted, strict=True)
    return [comparison.model_copy(update={"p_adjusted": p_value}) for comparison, p_value in pairs]


def holm_adjusted(p_values: Sequence[float]) -> list[float]:
    """Return ``p_values``, in their order, adjusted by Holm's step-down.

    The i-th smallest of m p-values is multiplied by m − i + 1; an adjusted value is at least the one before it
    and at most 1. The chance that any true null among them falls below α is then at most α (Holm 1979,
    Scandinavian Journal of Statistics 6:65).
    """
    count = len(p_values)
    adjusted, least = [0.0] * count, 0.0
    for rank, place in enumerate(sorted(range(count), key=p_values.__getitem__)):
        least = max(least, min(1.0, (count - rank) * p_values[place]))
        adjusted[place] = least
    return adjusted


@dataclass(frozen=True)
class Draws:
    """A metric of several runs on the same resamples of the donors, and between methods of their trainings.

    Attributes:
        names: of the runs.
        metric: what was measured.
        between: whether differences are between methods or between models.
        trainings: of each run, that is repeats.
        observed: on the recordings as they are, [runs].
        samples: on each resample, [runs, resamples kept].
        resamples: how many were drawn.
        lost: resamples without some class, not in ``samples``.
    """

    names: tuple[str, ...]
    metric: str
    between: Between
    trainings: int
    observed: Floats
    samples: Floats
    resamples: int
    lost: int

    def interval(self, run: int) -> Interval:
        """Return the metric of one run with its 95 % interval."""
        low, high = percentile_interval(self.samples[run], lowest=0, highest=highest(self.metric))
        return Interval(value=float(self.observed[run]), low=low, high=high)

    def difference(self, first: int, second: int) -> Comparison:
        """Return run ``first`` − run ``second``."""
        difference = float(self.observed[first] - self.observed[second])
        drawn = self.samples[first] - self.samples[second]
        if self.between == "methods" and self.trainings == 1:
            drawn = difference + TRAINING_WIDENING * (drawn - difference)
        most = highest(self.metric)
        low, high = percentile_interval(drawn, lowest=-most, highest=most)
        tails = [int((drawn <= ROUNDING).sum()), int((drawn >= -ROUNDING).sum())]
        return Comparison(
            first=self.names[first],
            second=self.names[second],
            metric=self.metric,
            difference=difference,
            low=low,
            high=high,
            p_value=min(1.0, 2 * (1 + min(tails)) / (1 + len(drawn))),
            between=self.between,
            trainings=self.trainings,
            resamples=self.resamples,
            resamples_lost=self.lost,
        )


def draw(
    runs: Sequence[OutOfFold],
    metric: str,
    *,
    between: Between = "methods",
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Draws:
    """Measure ``runs`` on the same resamples of the donors, and between methods of their trainings.

    Raises:
        EvidenceError: as for :func:`compare`.
    """
    for rows in runs[1:]:
        _check_pair(runs[0], rows)

    def values(weights: Floats | None) -> dict[str, Floats]:
        return {str(place): measure(rows, weights, (metric,))[metric] for place, rows in enumerate(runs)}

    samples, lost = donor_bootstrap(values, runs[0].donors, resamples=resamples, seed=seed)
    if lost == resamples:
        raise EvidenceError("No resample of the donors has every class; use a cohort with more donors per class.")
    of_donors = np.array(list(samples.values()))
    trained = np.array([measure_repeats(rows, None, (metric,))[metric] for rows in runs])  # [runs, repeats]
    if between == "methods":
        of_donors = with_trainings(of_donors, trained, seed)
    return Draws(
        names=tuple(rows.name for rows in runs),
        metric=metric,
        between=between,
        trainings=trained.shape[1],
        observed=trained.mean(axis=1),
        samples=of_donors,
        resamples=resamples,
        lost=lost,
    )


def _check_pair(first: OutOfFold, second: OutOfFold) -> None:
    """Refuse runs of different recordings, donors, labels, classes or folds: their difference means nothing."""
    for what, of_first, of_second in (
        ("recordings", first.recording_ids, second.recording_ids),
        ("donors", first.donors, second.donors),
        ("classes", np.array(first.classes), np.array(second.classes)),
        ("labels", first.labels, second.labels),
        ("folds", first.folds, second.folds),
    ):
        if not np.array_equal(of_first, of_second):
            raise EvidenceError(
                f"{first.name or 'the first run'} and {second.name or 'the second run'} have other {what}; compare "
                "runs of the same cohort and protocol, on the recordings of now."
            )
