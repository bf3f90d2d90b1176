"""Conditional evidence: what a run still tells apart among recordings that are alike in what could tell for it.

Belongs here: AUC over pairs alike, and the case mix. Does not: models that go by a shortcut alone (probes.py), or
what follows for the verdict (findings.py, records.py).
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cry_pipeline.evaluation.findings import SHORTCUTS_OF, Alike, CaseMix, Conditional, Interval
from cry_pipeline.evaluation.metrics import Floats, auc
from cry_pipeline.evaluation.predictions import OutOfFold
from cry_pipeline.evaluation.resampling import RESAMPLES, donor_bootstrap, percentile_interval
from cry_pipeline.evaluation.told import aligned

LOUDNESS_GROUPS = 5
"""Quintiles of the level: ten would leave a recording hardly a partner in its fold."""
NEAR_SILENT_DBFS = -60.0
"""Below it not one of the corpus' cries was kept: there is nothing to hear."""
LOUD_DBFS = -40.0
"""Above it a recording is loud enough for anything in it to be heard."""
NOT_TOLD = "not told"


def conditionals_of(
    rows: OutOfFold, told: pd.DataFrame, *, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[Conditional, ...]:
    """Return the AUC of a run over pairs of recordings alike in each of ``SHORTCUTS_OF``, where there are any.

    A pair counts if both are of the same fold and of the same group; pairs of all folds and groups are added up. So
    what goes with the group cannot tell them apart, whatever the model makes of it.

    Args:
        rows: the run.
        told: what :func:`cry_pipeline.evaluation.told.told_of` returns of its recordings.
        resamples: of the donors.
        seed: of the resampling.
    """
    groups = groups_alike(aligned(told, rows.recording_ids.tolist()))
    found = (_conditional(rows, alike, groups[alike], resamples, seed) for alike in SHORTCUTS_OF)
    return tuple(one for one in found if one is not None)


def groups_alike(told: pd.DataFrame) -> dict[Alike, NDArray[np.int64]]:
    """Return the group of each recording, int [recordings]; what is not told of is a group of its own."""
    platform, age = told["platform"].astype(object).fillna(NOT_TOLD), told["age_band"].astype(object).fillna(NOT_TOLD)
    level = told["rms_dbfs"].to_numpy(np.float64)
    edges = np.quantile(level, np.arange(1, LOUDNESS_GROUPS) / LOUDNESS_GROUPS)
    return {
        "platform": _codes(platform),
        "age band": _codes(age),
        "platform and age band": _codes(platform.astype(str) + "\n" + age.astype(str)),
        "loudness": np.searchsorted(edges, level),
    }


def case_mix_of(rows: OutOfFold, told: pd.DataFrame, *, resamples: int = RESAMPLES, seed: int = 0) -> CaseMix:
    """Return how many recordings of each class are near silence, and the AUC among the loud ones.

    Args:
        rows: the run.
        told: what :func:`cry_pipeline.evaluation.told.told_of` returns of its recordings.
        resamples: of the donors.
        seed: of the resampling.
    """
    level = aligned(told, rows.recording_ids.tolist())["rms_dbfs"].to_numpy(np.float64)
    loud = level > LOUD_DBFS
    sampled = _sampled(rows, {"loud": rows.folds}, resamples, seed, loud.astype(np.float64))
    return CaseMix(
        near_silent_dbfs=NEAR_SILENT_DBFS,
        near_silent={
            rows.classes[code]: float((level[rows.labels == code] < NEAR_SILENT_DBFS).mean())
            for code in np.unique(rows.labels)
        },
        loud_dbfs=LOUD_DBFS,
        loud=int(loud.sum()),
        loud_auc=sampled[0]["loud"] if sampled else None,
    )


def _conditional(rows: OutOfFold, alike: Alike, group: NDArray, resamples: int, seed: int) -> Conditional | None:
    """Return the evidence among recordings of one ``group [recordings]``; None where these are all of one class."""
    strata = rows.folds * (group.max() + 1) + group
    sampled = _sampled(rows, {"alike": strata, "all": rows.folds}, resamples, seed)
    if sampled is None:
        return None
    intervals, drawn = sampled
    low, high = percentile_interval(drawn["alike"] - drawn["all"])
    return Conditional(
        alike=alike,
        groups=len(np.unique(group)),
        pairs=_pairs(rows.labels, strata) / _pairs(rows.labels, rows.folds),
        auc=intervals["alike"],
        difference=Interval(value=intervals["alike"].value - intervals["all"].value, low=low, high=high),
    )


def _sampled(
    rows: OutOfFold, strata: Mapping[str, NDArray], resamples: int, seed: int, counted: Floats | float = 1.0
) -> tuple[dict[str, Interval], dict[str, Floats]] | None:
    """Return the AUC within each of ``strata [repeats, recordings]``, by name, and its values on the same resamples.

    Of the recordings ``counted`` 1, and the classes that have a pair within all strata; None where no class has one,
    or none in any resample.
    """

    def area(code: int, of: NDArray, weights: Floats | None) -> Floats:
        scores = rows.probabilities[:, :, code]
        weights = (np.ones(len(rows.labels)) if weights is None else weights) * counted
        repeats = zip(scores, of, strict=True)
        return np.mean([auc(rows.labels == code, each, weights, stratum) for each, stratum in repeats], axis=0)

    candidates = [1] if len(rows.classes) == 2 else np.unique(rows.labels).tolist()
    codes = [code for code in candidates if all(np.isfinite(area(code, of, None)) for of in strata.values())]
    if not codes:
        return None

    def areas(weights: Floats | None) -> dict[str, Floats]:
        return {name: np.mean([area(code, of, weights) for code in codes], axis=0) for name, of in strata.items()}

    samples, lost = donor_bootstrap(areas, rows.donors, resamples=resamples, seed=seed)
    if lost == resamples:
        return None
    intervals = {}
    for name, value in areas(None).items():
        low, high = percentile_interval(samples[name])
        intervals[name] = Interval(value=float(value), low=low, high=high)
    return intervals, samples


def _pairs(labels: NDArray, strata: NDArray) -> float:
    """Return how many pairs of unlike labels are within ``strata [repeats, recordings]``."""
    pairs = 0.0
    for of in strata:
        counts = pd.crosstab(of, labels).to_numpy(np.float64)
        pairs += float((counts.sum(axis=1) ** 2 - (counts**2).sum(axis=1)).sum()) / 2
    return pairs


def _codes(names: pd.Series) -> NDArray[np.int64]:
    return np.unique(names.to_numpy(str), return_inverse=True)[1].astype(np.int64)
