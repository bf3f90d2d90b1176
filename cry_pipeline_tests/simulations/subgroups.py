"""How often a subgroup is said to fare otherwise than the others where none does, and how wide its interval has to be.

Belongs here: made-up scores for the corpus' own recordings, donors, labels and folds, as good in every group. Does not:
subgroups themselves (evaluation/subgroups.py).

A score is higher for a cry by :data:`EFFECT` standard deviations, an AUC of .92; :data:`OF_DONOR` of its variance is
the donor's. Few donors are looked at apart: as many of each class as stated, of one to three recordings each, in five
folds.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import norm

from cry_pipeline.evaluation.metrics import Floats, auc
from cry_pipeline.evaluation.predictions import OutOfFold
from cry_pipeline.evaluation.resampling import donor_bootstrap, percentile_interval
from cry_pipeline.evaluation.subgroups import subgroups_of
from cry_pipeline.evaluation.told import told_of
from cry_pipeline_tests.simulations.installation import Installation
from cry_pipeline_tests.simulations.rates import Rate

EXPERIMENT = "curation_svm_covariance_donor_grouped"
EFFECT, OF_DONOR = 2.0, 0.4
TRUE = float(norm.cdf(EFFECT / np.sqrt(2)))
RUNS, FEW, RESAMPLES = 200, 300, 300
PROMISED = 0.05


def simulate(installation: Installation) -> Iterator[Rate]:
    """Yield how often any group of a run differs, how often intervals miss the truth, in groups and with few donors."""
    seen, workspace = installation.seen(EXPERIMENT), installation.workspace
    folds = workspace.folds(installation.catalog.experiments[EXPERIMENT].folds_name)
    told = told_of(workspace.recordings(), folds)
    shape = (*seen.folds.shape, len(seen.classes))
    rows = OutOfFold(
        recording_ids=seen.table["recording_id"].to_numpy(str),
        donors=seen.donors,
        labels=seen.codes,
        folds=seen.folds,
        probabilities=np.full(shape, 0.5),
        classes=seen.classes,
        slopes=np.ones(shape[:2]),
        intercepts=np.zeros(shape),
    )
    differ = missed = groups = 0
    for seed in range(RUNS):
        says = expit(scores(rows.donors, rows.labels, seed))[None]
        run = replace(rows, probabilities=np.stack([1 - says, says], axis=-1))
        found = [one for one in subgroups_of(run, told, "auc", resamples=RESAMPLES, seed=seed) if one.headline]
        differ += any(one.differs for one in found)
        missed += sum(not one.headline.low <= TRUE <= one.headline.high for one in found if one.headline)
        groups += len(found)
    yield Rate("some group is said to fare otherwise, where none does", differ, RUNS, PROMISED)
    yield Rate("a group's 95 % interval misses the AUC, of groups with a number", missed, groups)
    for donors in (10, 20):
        misses = sum(misses_with(donors, seed) for seed in range(FEW))
        yield Rate(f"the same, of {donors} donors of each class", misses, FEW)


def scores(donors: NDArray, labels: NDArray, seed: int) -> Floats:
    """Return scores that tell ``labels`` as well for every donor, in part alike for one donor's recordings."""
    rng = np.random.default_rng(seed)
    _, donor = np.unique(donors, return_inverse=True)
    own = np.sqrt(OF_DONOR) * rng.normal(size=donor.max() + 1)[donor]
    return EFFECT * labels + own + np.sqrt(1 - OF_DONOR) * rng.normal(size=len(donor))


def misses_with(donors: int, seed: int) -> bool:
    """Return whether the interval of ``donors`` of each class misses the AUC that there is."""
    sizes = np.random.default_rng(seed).integers(1, 4, 2 * donors)
    donor = np.repeat(np.arange(2 * donors), sizes)
    positive, folds = donor % 2 == 1, donor // 2 % 5
    said = scores(donor, positive.astype(np.int64), seed)
    drawn, _ = donor_bootstrap(
        lambda weights: {"auc": auc(positive, said, weights, folds)}, donor, resamples=RESAMPLES, seed=seed
    )
    low, high = percentile_interval(drawn["auc"])
    return not low <= TRUE <= high
