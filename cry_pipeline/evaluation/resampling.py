"""How sure a number is: resampling donors, and dealing labels to them at random.

Belongs here: resampling and intervals for any weighted metric, and the permutations of a null. Does not: which
metrics (metrics.py), and what follows from them (evidence.py).
"""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from cry_pipeline.evaluation.metrics import Floats

CONFIDENCE = 0.95
RESAMPLES = 1000
"""Resamples of the donors, and permutations of their labels."""
STRATUM_DONORS = 20
"""Donors of like size among whom labels are dealt, at least: fewer would leave some labels nearly where they were."""
CHUNK_VALUES = 2_000_000
"""Weights held at a time; bounds memory for large cohorts at some 16 MB per array."""


def donor_bootstrap(
    metrics: Callable[[Floats], Mapping[str, Floats]], donors: NDArray, *, resamples: int, seed: int
) -> tuple[dict[str, Floats], int]:
    """Compute metrics on resamples of the donors, drawn with replacement, each with all of its rows.

    A resample in which any metric is undefined, because it drew no donor of some class, is left out and
    counted. Two calls with the same donors and seed draw the same resamples, so their difference is paired.

    Args:
        metrics: takes row weights [resamples, n] and returns values [resamples] by name.
        donors: donor of each row [n]; clusters that are drawn whole.
        resamples: how many to draw.
        seed: of the draws.

    Returns:
        (values by name [resamples kept], number of resamples left out). Values may be empty.
    """
    _, donor = np.unique(donors, return_inverse=True)
    step = max(1, CHUNK_VALUES // len(donor))
    chunks: list[Mapping[str, Floats]] = []
    for drawn in _draws(int(donor.max()) + 1, resamples, seed, step):
        chunks.append(metrics(drawn[:, donor].astype(np.float64)))
    values = {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}
    kept = np.isfinite(list(values.values())).all(axis=0)
    return {name: value[kept] for name, value in values.items()}, int((~kept).sum())


def percentile_interval(
    values: Floats, confidence: float = CONFIDENCE, *, lowest: float = -np.inf, highest: float = np.inf
) -> tuple[float, float]:
    """Return the ends of the central ``confidence`` interval of bootstrap ``values [resamples]``.

    An end beyond ``lowest`` or ``highest``, which the value cannot exceed, is put there: values widened by what
    training adds may go beyond, and the interval covers as much without.
    """
    tail = (1 - confidence) / 2
    low, high = np.clip(np.quantile(values, [tail, 1 - tail]), lowest, highest)
    return float(low), float(high)


def donor_sums(columns: Floats, donors: NDArray, *, resamples: int, seed: int) -> Floats:
    """Add up each column of ``columns [n, k]`` over the rows of resampled donors, ``[resamples, k]``.

    The draws are those of :func:`donor_bootstrap`. For ratios of sums this is far quicker than weights for rows.
    """
    _, donor = np.unique(donors, return_inverse=True)
    count = int(donor.max()) + 1
    totals = np.zeros((count, columns.shape[1]))
    np.add.at(totals, donor, columns)
    return np.concatenate([drawn.astype(np.float64) @ totals for drawn in _draws(count, resamples, seed, resamples)])


def _draws(count: int, resamples: int, seed: int, step: int) -> "Iterator[NDArray[np.int64]]":
    """Yield how often each of ``count`` donors is drawn in each resample, [at most ``step`` resamples, donors]."""
    if count * resamples <= CHUNK_VALUES:
        drawn = _kept_draws(count, resamples, seed)
        yield from (drawn[start : start + step] for start in range(0, resamples, step))
        return
    rng = np.random.default_rng(seed)
    for start in range(0, resamples, step):
        yield rng.multinomial(count, np.full(count, 1 / count), size=min(step, resamples - start))


@lru_cache(maxsize=4)
def _kept_draws(count: int, resamples: int, seed: int) -> "NDArray[np.int64]":
    """Return all draws at once: to draw takes longer than most that is done with them, and runs share their donors."""
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=resamples)
    drawn.flags.writeable = False
    return drawn


def deal_labels(labels: NDArray, donors: NDArray, *, permutations: int, seed: int) -> Iterator[NDArray]:
    """Deal whole donors' labels to donors at random: the labels of a model that knows nothing about donors' labels.

    Recordings of a donor share a phone, a room and mostly a label, so that shuffling recordings would take
    hundreds of near-copies for independent and call chance a finding. Hence each donor (the taker) gets the labels
    of one donor (the giver) in a permutation of the donors:

    - Giver and taker have the same number of recordings where there are enough such donors: then the labels move
      as they are, and the permutation test is exact. Donors of other sizes are put together with the next larger
      ones until at least ``STRATUM_DONORS`` are. So the number of recordings of each class stays about as it is, a
      label that goes with donors' sizes stays with them, and no large donor keeps its labels for want of another.
    - A giver of another size gives its labels in their proportions: evenly spaced along its own, from a random
      start, each at least once where the taker is larger.

    A donor with several labels hands on all of them, as a block: what differs within donors is not tested.

    Args:
        labels: class of each row, int [n].
        donors: donor of each row [n].
        permutations: how many to draw.
        seed: of the draws.

    Yields:
        Labels [some permutations, n], until there are ``permutations``.
    """
    names, donor, sizes = np.unique(donors, return_inverse=True, return_counts=True)
    order = np.argsort(donor, kind="stable")
    starts = np.cumsum(sizes) - sizes
    place = np.empty(len(donor), dtype=np.int64)
    place[order] = np.arange(len(donor)) - starts[donor[order]]
    by_donor, strata, rng = labels[order], _strata(sizes), np.random.default_rng(seed)
    step = max(1, CHUNK_VALUES // len(donor))
    for start in range(0, permutations, step):
        count = min(step, permutations - start)
        givers = np.empty((count, len(names)), dtype=np.int64)
        for stratum in strata:
            givers[:, stratum] = rng.permuted(np.tile(stratum, (count, 1)), axis=1)
        offset = rng.random((count, len(names)))
        ratio = sizes[givers] / sizes
        at = np.floor((place + offset[:, donor]) * ratio[:, donor]).astype(np.int64)
        # A product just below a whole number may round up to it, past the giver's last label.
        at = np.minimum(at, sizes[givers][:, donor] - 1)
        yield by_donor[starts[givers][:, donor] + at]


def _strata(sizes: NDArray) -> list[NDArray]:
    """Group donors of equal size, and those of neighbouring sizes until each group has STRATUM_DONORS."""
    strata: list[NDArray] = []
    open_: list[NDArray] = []
    for size in np.unique(sizes):
        open_.append(np.flatnonzero(sizes == size))
        if sum(map(len, open_)) >= STRATUM_DONORS:
            strata.append(np.concatenate(open_))
            open_ = []
    if open_:
        last = [strata.pop()] if strata else []
        strata.append(np.concatenate(last + open_))
    return strata
