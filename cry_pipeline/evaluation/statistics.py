"""How sure a number is: resampling by donor.

Belongs here: resampling and intervals for any weighted metric. Does not: which metrics (metrics.py), and
what follows from them (evidence.py).
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from cry_pipeline.evaluation.metrics import Floats

CONFIDENCE = 0.95
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
    count = int(donor.max()) + 1
    rng = np.random.default_rng(seed)
    step = max(1, CHUNK_VALUES // len(donor))
    chunks: list[Mapping[str, Floats]] = []
    for start in range(0, resamples, step):
        drawn = rng.multinomial(count, np.full(count, 1 / count), size=min(step, resamples - start))
        chunks.append(metrics(drawn[:, donor].astype(np.float64)))
    values = {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}
    kept = np.isfinite(list(values.values())).all(axis=0)
    return {name: value[kept] for name, value in values.items()}, int((~kept).sum())


def percentile_interval(values: Floats, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the ends of the central ``confidence`` interval of bootstrap ``values [resamples]``."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)
