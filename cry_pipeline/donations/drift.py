"""Drift: are the donations of a batch like what the champion was trained on?

Belongs here: batches, what is compared, and the test. Does not: what a warning looks like (orchestration), and the
figures (reports/).

Compared are the champion's scores with its out-of-fold scores, and a dozen columns of the manifest. A donor's
recordings are alike, so each donor counts once, whatever they gave: the distance is that of the two mean distributions
over donors. Its p-value is by dealing all donors to the two sides at random; Holm over all that is compared keeps the
chance of any warning at the level of the catalog. A batch is closed as soon as it has enough donors, and what is tested
of it does not change then: one that was tested again with every donation would warn by chance sooner or later.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cry_pipeline.evaluation.comparisons import holm_adjusted
from cry_pipeline.evaluation.metrics import Floats
from cry_pipeline.reports.happened import Batch, Drifted

NUMBERS = {
    "duration_s": "s",
    "sample_rate_hz": "Hz",
    "channels": "",
    "peak": "",
    "rms_dbfs": "dBFS",
    "clipped_fraction": "",
    "silent_fraction": "",
    "voiced_fraction": "",
}
"""Columns of the manifest that are numbers, with their units."""
WORDS = ("platform", "codec", "gender", "age_band")
"""Those that are words."""
SCORE = "score"
DONORS = 20
"""Of a batch."""
PERMUTATIONS = 2000
STEPS = 64
"""Quantiles at which distributions of numbers are held against each other, at most."""
MOST = 8
"""Batches, the latest, that are tested for a page."""
ROUNDING = 1e-9
QUANTILES = np.linspace(0, 1, 101)


def batches(rows: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Yield the closed batches of ``rows``, see ``live.decided``, in the order of arrival.

    A batch is of one champion; it is closed by the recording with which it has :data:`DONORS` donors.
    """
    for _, own in rows.groupby("bundle", sort=False):
        seen: set[str] = set()
        start = 0
        for place, donor in enumerate(own["donor"]):
            seen.add(donor)
            if len(seen) >= DONORS:
                yield own.iloc[start : place + 1]
                seen, start = set(), place + 1


def compared(batch: pd.DataFrame, reference: pd.DataFrame, level: float, *, seed: int = 0) -> list[Drifted]:
    """Return what is unlike between a batch and what the champion was trained on, the most distant first.

    Args:
        batch: donor, score (of one fold model, as out-of-fold scores are) and the columns of the manifest.
        reference: the same of the champion's out-of-fold predictions.
        level: chance of any warning where there is no drift.
        seed: of the permutations.
    """
    both = pd.concat([reference, batch], ignore_index=True)
    # The same donor may be on either side, at another time: two donors then.
    own, theirs = (pd.factorize(frame["donor"])[0] for frame in (reference, batch))
    donor = np.concatenate([own, theirs + own.max() + 1])
    dealt = _dealt(np.arange(donor.max() + 1) > own.max(), seed)
    tests = {name: _test(_levels(both[name], name), donor, dealt) for name in (SCORE, *NUMBERS, *WORDS)}
    adjusted = holm_adjusted([p_value for _, p_value in tests.values()])
    found = [
        Drifted(
            name=name,
            distance=distance,
            p_value=p_value,
            p_adjusted=of_all,
            drifted=of_all <= level,
            was=_in_words(reference[name], name),
            now=_in_words(batch[name], name),
        )
        for (name, (distance, p_value)), of_all in zip(tests.items(), adjusted, strict=True)
    ]
    return sorted(found, key=lambda one: (one.p_adjusted, -one.distance, one.name))


def tested(batch: pd.DataFrame, reference: pd.DataFrame, level: float) -> Batch:
    """Return a batch with what is unlike in it; see :func:`compared`."""
    arrived = batch["arrived_at"]
    scores = [frame[SCORE].dropna().to_numpy(np.float64) for frame in (batch, reference)]
    quantiles = [np.quantile(of, QUANTILES).tolist() if len(of) else [] for of in scores]
    return Batch(
        bundle=str(batch["bundle"].iloc[0]),
        first=f"{arrived.min():%Y-%m-%d %H:%M}",
        last=f"{arrived.max():%Y-%m-%d %H:%M}",
        donations=len(batch),
        donors=batch["donor"].nunique(),
        compared=compared(batch, reference, level),
        scores=quantiles[0],
        reference=quantiles[1],
    )


def drift_of(
    rows: pd.DataFrame,
    recordings: pd.DataFrame,
    out_of_fold: Mapping[str, pd.DataFrame],
    level: float,
    *,
    most: int = MOST,
) -> list[Batch]:
    """Return the last ``most`` closed batches, the latest first, with what is unlike in each.

    Args:
        rows: of ``live.decided``, with ``by_one`` of the scores.
        recordings: the manifest.
        out_of_fold: by digest of a bundle, what ``thresholds.out_of_fold_of`` returns.
        level: of the catalog.
        most: how many.
    """
    measured = recordings[["recording_id", *NUMBERS, *WORDS]]
    found = [batch for batch in batches(rows) if batch["bundle"].iloc[0] in out_of_fold]
    return [
        tested(
            batch.assign(score=batch["by_one"]).merge(measured, on="recording_id"),
            out_of_fold[str(batch["bundle"].iloc[0])].merge(measured, on="recording_id"),
            level,
        )
        for batch in sorted(found, key=lambda batch: batch["arrived_at"].iloc[-1])[::-1][:most]
    ]


def _dealt(is_batch: NDArray[np.bool_], seed: int) -> Floats:
    """Return which donors are in the batch as it is and under each permutation, [1 + permutations, donors]."""
    rng = np.random.default_rng(seed)
    others = rng.permuted(np.tile(is_batch, (PERMUTATIONS, 1)), axis=1)
    return np.concatenate([is_batch[None], others]).astype(np.float64)


def _levels(column: pd.Series, name: str) -> Floats:
    """Return of each recording whether it is at most each of some values, or has each of some words, [n, levels].

    NaN where there is no number.
    """
    if name in WORDS:
        words = column.astype(object).where(column.notna(), "").astype(str).to_numpy()
        return (words[:, None] == np.unique(words)[None]).astype(np.float64)
    values = column.to_numpy(np.float64, na_value=np.nan)[:, None]
    steps = np.unique(np.quantile(values[np.isfinite(values)], np.linspace(0, 1, STEPS), method="inverted_cdf"))
    return np.where(np.isfinite(values), values <= steps, np.nan)


def _test(levels: Floats, donor: NDArray[np.int64], dealt: Floats) -> tuple[float, float]:
    """Return the distance of the two sides, and its p-value.

    The distance is the largest difference of the sides' mean shares; the p-value counts the batch as it is as one of
    the permutations (Phipson & Smyth 2010, doi 10.2202/1544-6115.1585). Donors without a number do not count.
    """
    known = np.isfinite(levels).all(axis=1)
    order = np.flatnonzero(known)[np.argsort(donor[known], kind="stable")]
    there, starts, counts = np.unique(donor[order], return_index=True, return_counts=True)
    if not len(there):
        return 0.0, 1.0
    means, dealt = np.add.reduceat(levels[order], starts) / counts[:, None], dealt[:, there]
    inside = dealt.sum(axis=1, keepdims=True)
    if not inside[0, 0] or inside[0, 0] == len(means):
        return 0.0, 1.0  # one side has no number at all
    sums = dealt @ means
    sides = np.maximum(inside, 1), np.maximum(len(means) - inside, 1)
    distances = np.abs(sums / sides[0] - (means.sum(axis=0) - sums) / sides[1]).max(axis=1)
    at_least = int((distances[1:] >= distances[0] - ROUNDING).sum())
    return float(distances[0]), (1 + at_least) / len(distances)


def _in_words(column: pd.Series, name: str) -> str:
    """Return what a column is like, in a few words."""
    if name in WORDS:
        counts = column.astype(object).where(column.notna(), "not said").value_counts(normalize=True)
        return ", ".join(f"{word} {100 * share:.0f} %" for word, share in counts.head(3).items())
    values = column.dropna().to_numpy(np.float64)
    if not len(values):
        return "none"
    low, middle, high = (
        f"{at:,.0f}" if abs(at) >= 1000 else f"{at:.3g}" for at in np.quantile(values, [0.1, 0.5, 0.9])
    )
    return f"{middle} ({low} to {high}) {NUMBERS.get(name, '')}".strip()
