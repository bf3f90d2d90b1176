"""Donor-grouped folds of one cohort under many labellings at once, as a null by retraining needs them.

Belongs here: scikit-learn's StratifiedGroupKFold for hundreds of labellings side by side. Does not: the folds of a run
(splitting.py), to which a test holds these, and where labellings come from (evaluation/resampling.py).

The library goes over donors in Python, for each labelling anew: 0.1 s for 700 recordings. All labellings take the same
steps with other numbers, so that each step is taken for all of them here, in a hundredth of the time.
"""

import numpy as np
from numpy.typing import NDArray

from cry_pipeline.catalog.specs import ProtocolSpec
from cry_pipeline.folds.splitting import seeds_of

COUNTS_AT_ONCE = 2_000_000
"""Donors times classes, of all labellings that are gone through together: bounds memory for large cohorts."""
Codes = NDArray[np.int64]
Numbers = NDArray[np.float64]


def grouped_folds(codes: Codes, donors: NDArray, protocol: ProtocolSpec) -> tuple[Codes, NDArray[np.bool_]]:
    """Return what :func:`.splitting.make_folds` makes of each labelling by a protocol of kind ``donor_grouped``.

    Args:
        codes: labels, as positions among the classes in the order of their names, int ``[labellings, recordings]``.
        donors: of each recording, text ``[recordings]``; recordings are in the order of their ids.
        protocol: how many folds and repeats, and the seed.

    Returns:
        (the fold that tests each recording, int ``[labellings, repeats, recordings]``; whether there are folds of a
        labelling, bool ``[labellings]``). Where make_folds raises a FoldError there are none, and those given mean
        nothing.
    """
    donor, classes = np.unique(donors, return_inverse=True)[1], int(codes.max()) + 1
    step = max(1, COUNTS_AT_ONCE // (classes * (int(donor.max()) + 1)))
    chunks = [_grouped(codes[at : at + step], donor, classes, protocol) for at in range(0, len(codes), step)]
    folds, made = zip(*chunks, strict=True)
    return np.concatenate(folds), np.concatenate(made)


def _grouped(codes: Codes, donor: Codes, classes: int, protocol: ProtocolSpec) -> tuple[Codes, NDArray[np.bool_]]:
    counts = np.zeros((len(codes), int(donor.max()) + 1, classes))
    np.add.at(counts, (np.arange(len(codes))[:, None], donor, codes), 1)
    folds = np.full((len(codes), protocol.repeats, codes.shape[1]), -1, dtype=np.int64)
    made = np.zeros(len(codes), dtype=bool)
    # A labelling may lack a class: the library then knows nothing of it.
    patterns, pattern = np.unique(counts.any(axis=1), axis=0, return_inverse=True)
    for number, present in enumerate(patterns):
        place = np.flatnonzero(pattern.ravel() == number)
        of_donors, made[place] = _of_donors(counts[place][..., present], protocol)
        folds[place] = of_donors[..., donor]
    return folds, made


def _of_donors(counts: Numbers, protocol: ProtocolSpec) -> tuple[Codes, NDArray[np.bool_]]:
    """Return the fold of each donor, int ``[labellings, repeats, donors]``, and whether there are folds.

    ``counts [labellings, donors, classes]`` are recordings; each class has some.
    """
    labellings, donors, classes = counts.shape
    folds = np.full((labellings, protocol.repeats, donors), -1, dtype=np.int64)
    enough = ((counts > 0).sum(axis=1) >= protocol.folds).all(axis=1)
    made = enough & (classes > 1) & (counts.sum(axis=1).max(axis=1) >= protocol.folds)
    for repeat in range(protocol.repeats):
        left = np.flatnonzero(made)
        for seed in seeds_of(protocol, repeat):
            if not len(left):
                break
            folds[left, repeat], taken = _assigned(counts[left], protocol.folds, seed)
            # A class that lies wholly in one fold is absent from the training side of that fold.
            lacking = (taken == 0) | (taken == counts[left].sum(axis=1)[:, None])
            left = left[lacking.any(axis=(1, 2))]
        made[left] = False
    return folds, made


def _assigned(counts: Numbers, folds: int, seed: int) -> tuple[Codes, Numbers]:
    """Return the fold of each donor, int ``[labellings, donors]``, and recordings ``[labellings, folds, classes]``.

    Donors come by how uneven their classes are, ties as the seed shuffles them; each goes into the fold where it leaves
    the classes' shares most even over the folds and, of folds that are equal in that, the one with fewest recordings.
    """
    shuffled, every = np.arange(counts.shape[1]), np.arange(len(counts))
    np.random.RandomState(seed).shuffle(shuffled)
    order = shuffled[np.argsort(-counts[:, shuffled].std(axis=2), axis=1, kind="stable")]
    totals, taken = counts.sum(axis=1)[:, None, None], np.zeros((len(counts), folds, counts.shape[2]))
    found = np.empty(counts.shape[:2], dtype=np.int64)
    into = np.eye(folds)[:, :, None]
    for donor in order.T:
        of_donor = counts[every, donor]
        shares = (taken[:, None] + into * of_donor[:, None, None]) / totals  # [labellings, tried, folds, classes]
        best = _best(shares.std(axis=2).mean(axis=2), taken.sum(axis=2))
        taken[every, best] += of_donor
        found[every, donor] = best
    return found, taken


def _best(unevenness: Numbers, recordings: Numbers) -> Codes:
    """Return each labelling's fold, by what both are of each fold that is tried, ``[labellings, folds]``.

    In the library's order, as nearly equal numbers make no order of their own.
    """
    best, least, fewest = np.zeros(len(unevenness), dtype=np.int64), unevenness[:, 0].copy(), recordings[:, 0].copy()
    for fold in range(1, unevenness.shape[1]):
        here, held = unevenness[:, fold], recordings[:, fold]
        better = (here < least) | (np.isclose(here, least) & (held < fewest))
        best[better], least[better], fewest[better] = fold, here[better], held[better]
    return best
