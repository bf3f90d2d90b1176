"""Whether a run does as well for some recordings as for others: by phone, by age, by gender, by version of the app.

Belongs here: the headline metric of groups, and its difference to all others. Does not: what is told of recordings
(told.py), and whether a group explains a result (probes.py).

A number needs :data:`FEWEST_DONORS` donors of every class, in the group and, for a difference, among the others. With
10 of each the 95 % interval of an AUC of .92 misses it one time in ten; with those that the corpus' larger groups have,
60 to 200 in all, about one in twenty (``python -m cry_pipeline_tests.simulations --only subgroups``).
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cry_pipeline.corpus.filenames import AGE_BANDS
from cry_pipeline.evaluation.comparisons import holm_adjusted
from cry_pipeline.evaluation.findings import ROUNDING, Interval, Subgroup
from cry_pipeline.evaluation.measures import measure
from cry_pipeline.evaluation.metrics import Floats
from cry_pipeline.evaluation.predictions import OutOfFold
from cry_pipeline.evaluation.resampling import donor_bootstrap, percentile_interval
from cry_pipeline.evaluation.told import aligned

COLUMNS = ("platform", "age_band", "gender", "app_version")
"""What groups are made by, of what the manifest tells."""
_AGES = {name: place for place, name in enumerate(AGE_BANDS.values())}
FEWEST_DONORS = 20
"""Donors of each class, below which no number is given."""


class _Measured(NamedTuple):
    value: float
    drawn: Floats

    def interval(self) -> Interval:
        low, high = percentile_interval(self.drawn)
        return Interval(value=self.value, low=low, high=high)


def subgroups_of(
    rows: OutOfFold, told: pd.DataFrame, metric: str, *, resamples: int, seed: int
) -> tuple[Subgroup, ...]:
    """Return the groups of each of COLUMNS, in its order: ages as they rise, else the larger ones first.

    Recordings of which nothing is told are in no group of that column, and not among its others.

    Args:
        rows: the run.
        told: as :func:`cry_pipeline.evaluation.told.told_of` returns it.
        metric: the run's headline.
        resamples: of the donors, of which a group has those that are its own.
        seed: of the resampling.

    Raises:
        KeyError: a recording is not told of.
    """
    made: list[Subgroup] = []
    p_values: dict[int, float] = {}
    for column, name, inside, others in _groups(aligned(told, list(rows.recording_ids))):
        by_class = _donors_by_class(rows, inside)
        here = there = None
        if min(by_class) >= FEWEST_DONORS:
            here, there = _drawn(rows, inside, others, metric, resamples, seed)
        if here and there:
            p_values[len(made)] = _p_value(here.drawn - there.drawn)
        made.append(
            Subgroup(
                of=column,
                name=name,
                recordings=int(inside.sum()),
                donors=len(np.unique(rows.donors[inside])),
                by_class=by_class,
                headline=here.interval() if here else None,
                difference=_Measured(here.value - there.value, here.drawn - there.drawn).interval()
                if here and there
                else None,
                p_adjusted=None,
            )
        )
    for place, p_value in zip(p_values, holm_adjusted(list(p_values.values())), strict=True):
        made[place] = made[place].model_copy(update={"p_adjusted": p_value})
    return tuple(made)


def _groups(told: pd.DataFrame) -> Iterator[tuple[str, str, NDArray[np.bool_], NDArray[np.bool_]]]:
    """Yield (column, name, rows of the group, rows of the others)."""
    for column in COLUMNS:
        known = told[column].notna().to_numpy()
        values = (
            told[column].astype(object).where(known, None).to_numpy()
        )  # pandas' NA is equal to nothing, nor unequal
        sizes = pd.Series(values[known], dtype=object).value_counts()
        for name in sorted(sizes.index, key=lambda name: (_AGES.get(name, 0), -sizes[name], str(name))):
            inside = known & (values == name)
            yield column, str(name), inside, known & ~inside


def _donors_by_class(rows: OutOfFold, inside: NDArray[np.bool_]) -> tuple[int, ...]:
    return tuple(len(np.unique(rows.donors[inside & (rows.labels == code)])) for code in range(len(rows.classes)))


def _drawn(
    rows: OutOfFold, inside: NDArray[np.bool_], others: NDArray[np.bool_], metric: str, resamples: int, seed: int
) -> tuple[_Measured, _Measured | None]:
    """Return the metric of a group and, where they have enough donors, of the others, on the same donors drawn."""
    sides = [inside, others] if min(_donors_by_class(rows, others)) >= FEWEST_DONORS else [inside]
    parts = [_only(rows, side) for side in sides]

    def measured(weights: Floats | None) -> dict[str, Floats]:
        return {
            str(place): measure(part, None if weights is None else weights[:, side], (metric,))[metric]
            for place, (side, part) in enumerate(zip(sides, parts, strict=True))
        }

    samples, _ = donor_bootstrap(measured, rows.donors, resamples=resamples, seed=seed)
    found = [_Measured(float(value), samples[name]) for name, value in measured(None).items()]
    return found[0], found[1] if len(found) > 1 else None


def _only(rows: OutOfFold, these: NDArray[np.bool_]) -> OutOfFold:
    return replace(
        rows,
        recording_ids=rows.recording_ids[these],
        donors=rows.donors[these],
        labels=rows.labels[these],
        folds=rows.folds[:, these],
        probabilities=rows.probabilities[:, these],
        slopes=rows.slopes[:, these],
        intercepts=rows.intercepts[:, these],
    )


def _p_value(drawn: Floats) -> float:
    """Return the two-sided p of a difference, from the same resamples as its interval; see comparisons.py."""
    tails = [int((drawn <= ROUNDING).sum()), int((drawn >= -ROUNDING).sum())]
    return min(1.0, 2 * (1 + min(tails)) / (1 + len(drawn)))
